//! Key derivation of SCRAM (RFC 5802): the salted password.

use hmac::Hmac;
use sha2::Sha256;
use sha2::Sha512;

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
