//! SCRAM on the broker's side (`ScramSaslServer`): the users with their keys, and the messages of an exchange.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::OnceLock;

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
pub(super) struct Users(BTreeMap<(String, bool), User>);

#[derive(Clone)]
struct User {
    password: String,
    /// The password salted for each mechanism, once it was needed.
    salted: Arc<[OnceLock<Vec<u8>>; 2]>,
}

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
        let known = User { password: password.to_owned(), salted: Arc::default() };
        self.0.insert((user.to_owned(), is_token), known);
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
                let User { password, salted } = self.0.get(&(user.clone(), is_token))?;
                let salt = salt(&user);
                let (unproved, proof) = message.rsplit_once(",p=")?;
                let nonce = reply.split(',').next()?;
                if unproved != format!("c=biws,{nonce}") {
                    return None;
                }
                let auth_message = format!("{bare},{reply},{unproved}");
                let proof = base64::decode(proof)?;
                let signature = if mechanism == "SCRAM-SHA-256" {
                    let salted = salted[0].get_or_init(|| hi::<Hmac<Sha256>>(password, &salt));
                    check::<Sha256, Hmac<Sha256>>(salted, &auth_message, &proof)?
                } else {
                    let salted = salted[1].get_or_init(|| hi::<Hmac<Sha512>>(password, &salt));
                    check::<Sha512, Hmac<Sha512>>(salted, &auth_message, &proof)?
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

fn keyed<M: Mac + KeyInit>(key: &[u8]) -> M {
    <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn finish<M: Mac>(mut mac: M, message: &[u8]) -> Vec<u8> {
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Hi of RFC 5802: the output is one block.
fn hi<M: Mac + KeyInit + Clone>(password: &str, salt: &str) -> Vec<u8> {
    let mac: M = keyed(password.as_bytes());
    let mut block = finish(mac.clone(), &[salt.as_bytes(), &[0, 0, 0, 1]].concat());
    let mut salted = block.clone();
    for _ in 1..ITERATIONS {
        block = finish(mac.clone(), &block);
        salted.iter_mut().zip(&block).for_each(|(sum, byte)| *sum ^= byte);
    }
    salted
}

/// Checks a client's proof, and returns the server's signature.
fn check<D: Digest, M: Mac + KeyInit>(salted: &[u8], auth_message: &str, proof: &[u8]) -> Option<Vec<u8>> {
    let client_key = finish(keyed::<M>(salted), b"Client Key");
    let signature = finish(keyed::<M>(&D::digest(&client_key)), auth_message.as_bytes());
    let expected: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
    if expected != proof {
        return None;
    }
    let server_key = finish(keyed::<M>(salted), b"Server Key");
    Some(finish(keyed::<M>(&server_key), auth_message.as_bytes()))
}
