//! The client's side of SCRAM (RFC 5802): what it sends, and what it accepts of a server. Text in, text out.

use zeroize::Zeroizing;

use super::keys;
use crate::error::Error;
use crate::sasl::base64;
use crate::types::ScramMechanism;

/// The fewest iterations that are accepted (RFC 7677; `ScramMechanism.minIterations` of the Java client).
pub const ITERATIONS_MIN: u32 = 4_096;
/// The longest message of a server that is looked at. Kafka's own have about a hundred bytes.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// An exchange, from the client's first message on.
#[derive(Debug)]
pub struct Client {
    mechanism: ScramMechanism,
    nonce: String,
    /// The first message without its header, which is part of what is signed.
    first_bare: String,
    iterations_max: u32,
    /// The last message without its proof, and the signed text, once the server's first message has come.
    last_bare: String,
    auth_message: String,
    /// The salted password, until the server's signature is checked.
    salted: Option<Zeroizing<Vec<u8>>>,
}

/// The server's first message: how the password is to be salted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub salt: Vec<u8>,
    pub iterations: u32,
}

impl Client {
    /// A user, or the id of a delegation token if `token`, and a random nonce of printable characters without a comma.
    pub fn new(mechanism: ScramMechanism, user: &str, token: bool, nonce: String, iterations_max: u32) -> Self {
        // A user name cannot contain the characters that separate attributes.
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let extension = if token { ",tokenauth=true" } else { "" };
        let first_bare = format!("n={user},r={nonce}{extension}");
        let (last_bare, auth_message) = (String::new(), String::new());
        Self { mechanism, nonce, first_bare, iterations_max, last_bare, auth_message, salted: None }
    }

    /// The first message: no channel binding, no authorization id.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// Takes the server's first message.
    pub fn challenge(&mut self, message: &[u8]) -> Result<Challenge, Error> {
        let message = text(message)?;
        let mut attributes = message.split(',');
        let mut next = |name: char| attributes.next().and_then(|attribute| value(attribute, name));
        let nonce = next('r').ok_or_else(|| refused("its first message does not begin with a nonce"))?;
        let salt = next('s').ok_or_else(|| refused("its first message has no salt"))?;
        let iterations = next('i').ok_or_else(|| refused("its first message has no number of iterations"))?;
        extensions(attributes)?;
        let own = nonce.strip_prefix(&self.nonce).ok_or_else(|| refused("its nonce does not begin with ours"))?;
        if own.is_empty() || !own.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("it added nothing to our nonce, or unprintable characters"));
        }
        let salt = base64::decode(salt).filter(|salt| !salt.is_empty());
        let salt = salt.ok_or_else(|| refused("its salt is not Base64, or empty"))?;
        let iterations = self.iterations(iterations)?;
        // "biws" is the header of the first message in Base64.
        self.last_bare = format!("c=biws,r={nonce}");
        self.auth_message = format!("{},{message},{}", self.first_bare, self.last_bare);
        Ok(Challenge { salt, iterations })
    }

    fn iterations(&self, text: &str) -> Result<u32, Error> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|_| is_number);
        let Some(number) = number else { return Err(refused("its number of iterations is not one")) };
        if number < ITERATIONS_MIN {
            return Err(refused(&format!(
                "it wants {number} iterations, and fewer than {ITERATIONS_MIN} are not safe"
            )));
        }
        if number > self.iterations_max {
            let most = self.iterations_max;
            return Err(refused(&format!(
                "it wants {number} iterations, and at most {most} are allowed (Scram::iterations_max)"
            )));
        }
        Ok(number)
    }

    /// The last message of the client, with the proof that it knows the salted password.
    pub fn last(&mut self, salted: Zeroizing<Vec<u8>>) -> String {
        let proof = keys::client_proof(self.mechanism, &salted, self.auth_message.as_bytes());
        self.salted = Some(salted);
        format!("{},p={}", self.last_bare, base64::encode(&proof))
    }

    /// Takes the server's last message, with the proof that it knows the salted password as well.
    pub fn verify(&mut self, message: &[u8]) -> Result<(), Error> {
        let message = text(message)?;
        let mut attributes = message.split(',');
        let first = attributes.next().unwrap_or_default();
        if let Some(error) = value(first, 'e') {
            let known = error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            return Err(refused(if known { error } else { "its error is malformed" }));
        }
        let signature = value(first, 'v').ok_or_else(|| refused("it did not sign the exchange"))?;
        extensions(attributes)?;
        let signature = base64::decode(signature).ok_or_else(|| refused("its signature is not Base64"))?;
        let salted = self.salted.take().ok_or_else(|| refused("it signed before it could"))?;
        let auth_message = self.auth_message.as_bytes();
        if keys::is_server_signature(self.mechanism, &salted, auth_message, &signature) {
            return Ok(());
        }
        Err(refused("its signature is wrong: it does not know the password, and may not be the broker that it seems"))
    }
}

fn text(message: &[u8]) -> Result<&str, Error> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(refused("its message is far too long"));
    }
    std::str::from_utf8(message).map_err(|_| refused("its message is not UTF-8"))
}

/// The value of an attribute of this name.
fn value(attribute: &str, name: char) -> Option<&str> {
    attribute.strip_prefix(name)?.strip_prefix('=').filter(|value| !value.is_empty())
}

/// Ignores extensions, as RFC 5802 demands, except those that must not be ignored: `m`, and those that say again what was said.
fn extensions<'a>(attributes: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    for attribute in attributes {
        let name = attribute.split_once('=').filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
        match name {
            Some("m") => return Err(refused("it uses an extension that this client does not know")),
            Some("r" | "s" | "i" | "v" | "e") => return Err(refused("it gives an attribute twice")),
            Some(name) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()) => {}
            _ => return Err(refused("its message has something after its end")),
        }
    }
    Ok(())
}

#[cold]
fn refused(why: &str) -> Error {
    Error::authentication(format!("the broker broke off SCRAM, or broke its rules: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const SHA_256: ScramMechanism = ScramMechanism::Sha256;
    const FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn client() -> Client {
        Client::new(SHA_256, "user", false, "rOprNGfwEbeRWgbNEkqO".into(), 131_072)
    }

    fn salted(challenge: &Challenge) -> Zeroizing<Vec<u8>> {
        let Challenge { salt, iterations } = challenge;
        keys::salted_password(SHA_256, b"pencil", salt, *iterations).into()
    }

    /// RFC 7677, section 3.
    #[test]
    fn exchange_is_that_of_the_standard() {
        let mut client = client();
        assert_eq!(client.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = client.challenge(FIRST.as_bytes()).expect("a challenge");
        assert_eq!(
            client.last(salted(&challenge)),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        client.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").expect("the server's signature");
        assert!(client.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_err(), "it is checked once");
    }

    #[test]
    fn names_are_escaped_and_tokens_are_marked() {
        let client = Client::new(SHA_256, "a=b,c", true, "N".into(), 131_072);
        assert_eq!(client.first(), "n,,n=a=3Db=2Cc,r=N,tokenauth=true");
    }

    #[test]
    fn first_messages_that_break_a_rule_are_refused() {
        let nonce = "r=rOprNGfwEbeRWgbNEkqOx";
        for (message, why) in [
            (String::new(), "nonce"),
            ("e=other-error".into(), "nonce"),
            (format!("m=x,{nonce},s=QQ==,i=4096"), "nonce"),
            (format!("{nonce},i=4096"), "salt"),
            (format!("{nonce},s=QQ=="), "iterations"),
            (format!("{nonce},s=,i=4096"), "salt"),
            (format!("{nonce},s=Q,i=4096"), "Base64"),
            (format!("{nonce},s=QQ==,i=0"), "0 iterations"),
            (format!("{nonce},s=QQ==,i=4095"), "4095 iterations"),
            (format!("{nonce},s=QQ==,i=131073"), "131073 iterations"),
            (format!("{nonce},s=QQ==,i=2147483647"), "2147483647 iterations"),
            (format!("{nonce},s=QQ==,i=99999999999"), "iterations"),
            (format!("{nonce},s=QQ==,i=+4096"), "iterations"),
            (format!("{nonce},s=QQ==,i=-1"), "iterations"),
            ("r=rOprNGfwEbeRWgbNEkqO,s=QQ==,i=4096".into(), "added nothing"),
            ("r=another,s=QQ==,i=4096".into(), "begin with ours"),
            (format!("{nonce}\u{1},s=QQ==,i=4096"), "unprintable"),
            (format!("{nonce},s=QQ==,i=4096,m=x"), "extension"),
            (format!("{nonce},s=QQ==,i=4096,i=8192"), "twice"),
            (format!("{nonce},s=QQ==,i=4096,"), "after its end"),
            (format!("{nonce},s=QQ==,i=4096,x"), "after its end"),
            (format!("{nonce},s=QQ==,i=4096,x={}", "y".repeat(10_000)), "too long"),
        ] {
            let error = client().challenge(message.as_bytes()).expect_err(&message);
            assert_eq!(error.kind(), Kind::Authentication, "{message}");
            assert!(error.to_string().contains(why), "{message}: {error}");
        }
        assert!(client().challenge(&[0xff]).is_err());
        client().challenge(format!("{FIRST},x=1").as_bytes()).expect("an optional extension is ignored");
    }

    #[test]
    fn last_messages_without_the_right_signature_are_refused() {
        for (message, why) in [
            ("", "did not sign"),
            ("v=", "did not sign"),
            ("x=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "did not sign"),
            ("e=invalid-proof", "invalid-proof"),
            ("e=\u{7}", "malformed"),
            ("v=6rriTRBi23WpRR", "Base64"),
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,m=1", "extension"),
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "Base64"),
            ("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "does not know the password"),
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==", "does not know the password"),
        ] {
            let mut client = client();
            let challenge = client.challenge(FIRST.as_bytes()).expect("a challenge");
            client.last(salted(&challenge));
            let error = client.verify(message.as_bytes()).expect_err(message);
            assert!(error.to_string().contains(why), "{message}: {error}");
        }
    }
}
