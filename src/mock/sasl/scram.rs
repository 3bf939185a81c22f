//! SCRAM on the broker's side (`ScramSaslServer`): the users with their keys, and the messages of an exchange.

use std::collections::BTreeMap;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha512;

use crate::mock::sasl::SaslAnswer;
use crate::mock::sasl::base64;

/// Users by name and by whether they are delegation tokens.
#[derive(Clone, Default)]
pub(super) struct Users(BTreeMap<(String, bool), String>);

/// The messages so far.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// The user, whether it is a token, the client's first message without its header, and the server's first message.
    first: Option<(String, bool, String, String)>,
}

const ITERATIONS: u32 = 4_096;
const NONCE: &str = "mock3rfcNHYJY1ZVvWVs7j";

impl Users {
    pub(super) fn add(&mut self, user: &str, password: &str, is_token: bool) {
        self.0.insert((user.to_owned(), is_token), password.to_owned());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `None` where the credentials are wrong.
    pub(super) fn answer(&self, mechanism: &str, stage: &mut Stage, message: &[u8]) -> Option<SaslAnswer> {
        let message = std::str::from_utf8(message).ok()?;
        match stage.first.take() {
            None => {
                let bare = message.strip_prefix("n,,")?;
                let mut attributes = bare.split(',');
                let user = attributes.next()?.strip_prefix("n=")?.replace("=2C", ",").replace("=3D", "=");
                let nonce = attributes.next()?.strip_prefix("r=")?;
                let is_token = attributes.any(|attribute| attribute == "tokenauth=true");
                self.0.get(&(user.clone(), is_token))?;
                let salt = base64::encode(salt(&user).as_bytes());
                let reply = format!("r={nonce}{NONCE},s={salt},i={ITERATIONS}");
                stage.first = Some((user, is_token, bare.to_owned(), reply.clone()));
                Some(SaslAnswer::Challenge(reply.into_bytes()))
            }
            Some((user, is_token, bare, reply)) => {
                let password = self.0.get(&(user.clone(), is_token))?;
                let (unproved, proof) = message.rsplit_once(",p=")?;
                let nonce = reply.split(',').next()?;
                if unproved != format!("c=biws,{nonce}") {
                    return None;
                }
                let auth_message = format!("{bare},{reply},{unproved}");
                let proof = base64::decode(proof)?;
                let signature = if mechanism == "SCRAM-SHA-256" {
                    check::<Sha256, Hmac<Sha256>>(password, &salt(&user), &auth_message, &proof)?
                } else {
                    check::<Sha512, Hmac<Sha512>>(password, &salt(&user), &auth_message, &proof)?
                };
                let message = format!("v={}", base64::encode(&signature)).into_bytes();
                Some(SaslAnswer::Accept { user, message })
            }
        }
    }
}

fn salt(user: &str) -> String {
    format!("salt of {user}")
}

/// Checks a client's proof, and returns the server's signature.
fn check<D: Digest, M: Mac + KeyInit + Clone>(
    password: &str,
    salt: &str,
    auth_message: &str,
    proof: &[u8],
) -> Option<Vec<u8>> {
    let keyed = |key: &[u8]| <M as KeyInit>::new_from_slice(key).ok();
    let finish = |mut mac: M, message: &[u8]| {
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    };
    // Hi of RFC 5802: the output is one block.
    let hi = keyed(password.as_bytes())?;
    let mut block = finish(hi.clone(), &[salt.as_bytes(), &[0, 0, 0, 1]].concat());
    let mut salted = block.clone();
    for _ in 1..ITERATIONS {
        block = finish(hi.clone(), &block);
        salted.iter_mut().zip(&block).for_each(|(sum, byte)| *sum ^= byte);
    }
    let client_key = finish(keyed(&salted)?, b"Client Key");
    let signature = finish(keyed(&D::digest(&client_key))?, auth_message.as_bytes());
    let expected: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
    if expected != proof {
        return None;
    }
    let server_key = finish(keyed(&salted)?, b"Server Key");
    Some(finish(keyed(&server_key)?, auth_message.as_bytes()))
}
