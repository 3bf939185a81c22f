//! OAUTHBEARER on the broker's side: unsecured tokens (`OAuthBearerSaslServer`, `OAuthBearerUnsecuredJws`).

use crate::mock::sasl::SaslAnswer;
use crate::mock::sasl::base64;

/// The end of a key and its value.
const SEPARATOR: char = '\u{1}';

/// Answers the message of this number. A token that is refused is answered in JSON; the client has to answer that, too.
pub(super) fn answer(unix_ms: i64, round: usize, message: &[u8]) -> SaslAnswer {
    if round > 0 {
        return SaslAnswer::Refuse("{\"status\":\"invalid_token\"}".to_owned());
    }
    match user(unix_ms, message) {
        Some(user) => SaslAnswer::Accept { user, message: Vec::new() },
        None => SaslAnswer::Challenge(b"{\"status\":\"invalid_token\"}".to_vec()),
    }
}

/// The subject of the token, if it has one and the token has not expired.
fn user(unix_ms: i64, message: &[u8]) -> Option<String> {
    let message = std::str::from_utf8(message).ok()?.strip_prefix("n,,\u{1}")?;
    let pair = message.split(SEPARATOR).find_map(|pair| pair.strip_prefix("auth=Bearer "))?;
    let mut parts = pair.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let header = String::from_utf8(base64::decode(header)?).ok()?;
    let claims = String::from_utf8(base64::decode(claims)?).ok()?;
    let expires: f64 = field(&claims, "exp")?.parse().ok()?;
    let known = field(&header, "alg")? == "none" && signature.is_empty() && parts.next().is_none();
    let subject = field(&claims, "sub").filter(|subject| !subject.is_empty())?;
    let millis = std::time::Duration::from_millis(u64::try_from(unix_ms).ok()?);
    (known && expires > millis.as_secs_f64()).then_some(subject)
}

/// A text or a number in flat JSON.
fn field(json: &str, name: &str) -> Option<String> {
    let (_, after) = json.split_once(&format!("\"{name}\""))?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    match value.strip_prefix('"') {
        Some(text) => text.split('"').next().map(str::to_owned),
        None => value.split([',', '}']).next().map(|number| number.trim().to_owned()),
    }
}
