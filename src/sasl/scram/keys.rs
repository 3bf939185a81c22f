//! Key derivation of SCRAM (RFC 5802): the salted password, the client's proof and the server's signature.

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::types::ScramMechanism;

/// `SaltedPassword`: the password hashed so many times under the salt (`ScramFormatter.saltedPassword` of the Java client, which like
/// this does not normalize the password).
pub(crate) fn salted_password(mechanism: ScramMechanism, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut salted = vec![0; mechanism.hash_len()];
    let hashed = match mechanism {
        ScramMechanism::Sha256 => pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, iterations, &mut salted),
        ScramMechanism::Sha512 => pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, iterations, &mut salted),
    };
    hashed.expect("HMAC takes a key of any length");
    salted
}

/// `ClientProof`: shows that the client knows the salted password, and only for this `AuthMessage`.
pub(super) fn client_proof(mechanism: ScramMechanism, salted: &[u8], auth_message: &[u8]) -> Vec<u8> {
    let client_key = Zeroizing::new(keyed(mechanism, salted, b"Client Key"));
    let stored_key = match mechanism {
        ScramMechanism::Sha256 => Sha256::digest(&*client_key).to_vec(),
        ScramMechanism::Sha512 => Sha512::digest(&*client_key).to_vec(),
    };
    let signature = keyed(mechanism, &stored_key, auth_message);
    client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect()
}

/// Whether this is the `ServerSignature` of who knows the salted password too. Takes equally long for every signature.
pub(super) fn is_server_signature(
    mechanism: ScramMechanism,
    salted: &[u8],
    auth_message: &[u8],
    signature: &[u8],
) -> bool {
    let server_key = Zeroizing::new(keyed(mechanism, salted, b"Server Key"));
    match mechanism {
        ScramMechanism::Sha256 => mac::<Hmac<Sha256>>(&server_key, auth_message).verify_slice(signature).is_ok(),
        ScramMechanism::Sha512 => mac::<Hmac<Sha512>>(&server_key, auth_message).verify_slice(signature).is_ok(),
    }
}

fn keyed(mechanism: ScramMechanism, key: &[u8], message: &[u8]) -> Vec<u8> {
    match mechanism {
        ScramMechanism::Sha256 => mac::<Hmac<Sha256>>(key, message).finalize().into_bytes().to_vec(),
        ScramMechanism::Sha512 => mac::<Hmac<Sha512>>(key, message).finalize().into_bytes().to_vec(),
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The exchanges of RFC 7677 (section 3) and RFC 6070's inputs for SHA-512; computed again with Python's `hashlib.pbkdf2_hmac`.
    #[test]
    fn salted_passwords_are_those_of_the_standard() {
        let salt = [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];
        let pencil = salted_password(ScramMechanism::Sha256, b"pencil", &salt, 4_096);
        assert_eq!(hex(&pencil), "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d");
        let password = salted_password(ScramMechanism::Sha512, b"password", b"salt", 4_096);
        assert_eq!(
            hex(&password),
            "d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5143f30602641b3d55cd335988cb36b84376060ecd532e039b742a239434af2d5"
        );
    }
}
