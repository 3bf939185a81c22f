//! Requests to a token endpoint (RFC 6749, 7521, 7523), and its answers.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use serde_json::Map;
use serde_json::Value;
use zeroize::Zeroizing;

use super::jwt;
use crate::error::Error;
use crate::error::Kind;
use crate::error::one_line;
use crate::sasl::Token;
use crate::sasl::base64;
use crate::secret::Secret;

/// A request to a token endpoint.
pub struct Form {
    /// The value of the header `Authorization`.
    pub(super) authorization: Option<Secret>,
    pub(super) body: Secret,
    /// Texts that a server may send back and that no error shows.
    secrets: Vec<Secret>,
}

const CLIENT_CREDENTIALS: &str = "client_credentials";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Form {
    /// Client credentials: id and secret go into the header (RFC 6749, 2.3.1), as they are or encoded as that section demands.
    pub fn of_client(id: &str, secret: &Secret, is_encoded: bool, scope: Option<&str>) -> Self {
        let secret_text = secret.expose_text().unwrap_or_default();
        let pair = Zeroizing::new(if is_encoded {
            format!("{}:{}", encode(id), encode(secret_text))
        } else {
            format!("{id}:{secret_text}")
        });
        let basic: Secret = base64::encode(pair.as_bytes()).into();
        let authorization = format!("Basic {}", basic.expose_text().unwrap_or_default()).into();
        let body = fields([("grant_type", Some(CLIENT_CREDENTIALS)), ("scope", scope)]);
        let encoded = Secret::from(encode(secret_text));
        Self { authorization: Some(authorization), body, secrets: vec![secret.clone(), encoded, basic] }
    }

    /// Client credentials proved by an assertion (RFC 7523, 2.2).
    pub(super) fn of_assertion(id: Option<&str>, assertion: Secret, scope: Option<&str>) -> Self {
        let body = fields([
            ("grant_type", Some(CLIENT_CREDENTIALS)),
            ("client_assertion_type", Some(CLIENT_ASSERTION)),
            ("client_assertion", assertion.expose_text()),
            ("client_id", id),
            ("scope", scope),
        ]);
        Self { authorization: None, body, secrets: vec![assertion] }
    }

    /// An assertion that is the grant itself (RFC 7523, 2.1).
    pub(super) fn of_bearer(assertion: Secret, scope: Option<&str>) -> Self {
        let body = fields([("grant_type", Some(JWT_BEARER)), ("assertion", assertion.expose_text()), ("scope", scope)]);
        Self { authorization: None, body, secrets: vec![assertion] }
    }

    /// Adds texts that a server may send back and that no error shows.
    pub(super) fn conceal(mut self, texts: impl IntoIterator<Item = Secret>) -> Self {
        self.secrets.extend(texts);
        self
    }

    /// A text of the server for an error: one line of a bounded length, in which secrets of the request are replaced.
    pub(super) fn shown(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().filter_map(Secret::expose_text).filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "[redacted]");
        }
        one_line(&text, SHOWN_MAX)
    }
}

/// The longest text of a server in an error, in characters.
const SHOWN_MAX: usize = 300;

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form")
    }
}

/// Fields of `application/x-www-form-urlencoded`; those without a value are left out.
fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Secret {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&").into()
}

/// As `java.net.URLEncoder` has it.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The answer of a token endpoint.
pub struct Answer {
    pub status: u16,
    /// The header `Location`.
    pub location: Option<String>,
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The token in it. `place` is the endpoint; `now` the time since 1970. An error of [`Kind::Connect`] may pass.
    pub fn token(&self, form: &Form, place: &str, now: Duration) -> Result<Token, Error> {
        match self.status {
            200 | 201 => granted(&self.body, now).map_err(|what| Error::authentication(format!("{place} {what}"))),
            300..=399 => Err(self.redirected(form, place)),
            // "Not implemented", and a version of HTTP, are no faults that pass. Requests that come too slowly, too early or too often do.
            408 | 425 | 429 | 500 | 502..=504 | 506..=599 => Err(self.refused(Kind::Connect, form, place)),
            _ => Err(self.refused(Kind::Authentication, form, place)),
        }
    }

    fn redirected(&self, form: &Form, place: &str) -> Error {
        let target = self.location.as_deref().map_or_else(|| "an unknown place".to_owned(), |to| form.shown(to));
        let text = format!("{place} redirects to {target}, which is not followed: set the URL of the endpoint itself");
        Error::authentication(text)
    }

    /// The error of a server that gives no token, with the words that RFC 6749 (5.2) has for it.
    fn refused(&self, kind: Kind, form: &Form, place: &str) -> Error {
        let status = self.status;
        let object = serde_json::from_slice::<Map<String, Value>>(&self.body).unwrap_or_default();
        let word = |names: [&str; 2]| {
            let value = names.iter().find_map(|name| object.get(*name)?.as_str());
            value.map(|text| form.shown(text)).filter(|text| !text.is_empty())
        };
        // The second names are those of some servers that do not follow the standard.
        let words = [word(["error", "errorCode"]), word(["error_description", "errorSummary"])];
        let words: Vec<String> = words.into_iter().flatten().collect();
        let verb = if kind == Kind::Connect { "answered with" } else { "refused the client with" };
        let said = if words.is_empty() { String::new() } else { format!(": {}", words.join(": ")) };
        Error::new(kind, format!("{place} {verb} status {status}{said}"))
    }
}

/// The token in the body of a successful answer. The error says what the endpoint did, and shows nothing of the body.
pub(super) fn granted(body: &[u8], now: Duration) -> Result<Token, &'static str> {
    let value = serde_json::from_slice(body).map_err(|_| "did not answer in JSON: check its URL")?;
    let Value::Object(mut object) = value else { return Err("answered with JSON that is no object: check its URL") };
    // OpenID Connect's second token, for servers that give no other one, as Java's client has it.
    let value = [object.remove("access_token"), object.remove("id_token")].into_iter().flatten().find_map(text);
    let value = value.ok_or("gave no access_token")?;
    let lifetime = object.get("expires_in").and_then(jwt::seconds);
    let by_lifetime = lifetime.map(|lifetime| now.saturating_add(lifetime));
    let by_claim = value.expose_text().and_then(jwt::claims).as_ref().and_then(jwt::expiry);
    let expires = by_lifetime.into_iter().chain(by_claim).min();
    let expires = expires.ok_or("did not say when the token expires: it has no expires_in, and the token no exp")?;
    if expires <= now {
        return Err("gave a token that has expired: check the clock of this machine");
    }
    Ok(Token::new(value, SystemTime::UNIX_EPOCH + expires))
}

/// A text that is not empty, without the blanks around it.
fn text(value: Value) -> Option<Secret> {
    let Value::String(text) = value else { return None };
    let text = Zeroizing::new(text);
    (!text.trim().is_empty()).then(|| text.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn exposed(secret: &Secret) -> &str {
        secret.expose_text().expect("text")
    }

    /// RFC 6749, 2.3.1 and 4.4.2, and RFC 7523, 4.
    #[test]
    fn forms_are_those_of_the_standards() {
        let form = Form::of_client("s6BhdRkqt3", &"7Fjfp0ZBr1KtDRbnfVdmIw".into(), false, Some("a b/ü"));
        let authorization = form.authorization.as_ref().map(exposed);
        assert_eq!(authorization, Some("Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"));
        assert_eq!(exposed(&form.body), "grant_type=client_credentials&scope=a+b%2F%C3%BC");
        let form = Form::of_client("a:b", &"c d".into(), true, None);
        assert_eq!(form.authorization.as_ref().map(exposed), Some(&*format!("Basic {}", base64::encode(b"a%3Ab:c+d"))));
        let form = Form::of_bearer("a.b.c".into(), None);
        assert_eq!(
            exposed(&form.body),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c"
        );
        let form = Form::of_assertion(Some("me"), "a.b.c".into(), Some("s"));
        let rest = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&\
                    client_assertion=a.b.c&client_id=me&scope=s";
        assert_eq!(exposed(&form.body), format!("grant_type=client_credentials&{rest}"));
    }

    #[test]
    fn token_expires_at_the_earlier_of_both_times() {
        let jwt = |exp: u64| format!("e30.{}.c2ln", base64::encode_url(format!(r#"{{"exp":{exp}}}"#).as_bytes()));
        let left = |body: &str| {
            let expires = granted(body.as_bytes(), NOW).map(|token| token.expires());
            expires.map(|at| at.duration_since(SystemTime::UNIX_EPOCH + NOW).expect("later").as_secs())
        };
        let now = NOW.as_secs();
        assert_eq!(left(r#"{"access_token":"opaque","expires_in":60}"#), Ok(60));
        assert_eq!(left(r#"{"access_token":"opaque","expires_in":"60"}"#), Ok(60));
        assert_eq!(left(&format!(r#"{{"access_token":"{}","expires_in":600}}"#, jwt(now + 60))), Ok(60));
        assert_eq!(left(&format!(r#"{{"access_token":"{}","expires_in":6}}"#, jwt(now + 60))), Ok(6));
        assert_eq!(left(&format!(r#"{{"id_token":"{}"}}"#, jwt(now + 60))), Ok(60));
        for (body, what) in [
            ("", "did not answer in JSON"),
            ("<html>", "did not answer in JSON"),
            ("[]", "no object"),
            ("{}", "no access_token"),
            (r#"{"access_token":" ","expires_in":60}"#, "no access_token"),
            (r#"{"access_token":7,"expires_in":60}"#, "no access_token"),
            (r#"{"access_token":"hunter2"}"#, "when the token expires"),
            (r#"{"access_token":"hunter2","expires_in":0}"#, "has expired"),
            (&format!(r#"{{"access_token":"{}","expires_in":600}}"#, jwt(now - 1)), "has expired"),
        ] {
            let error = left(body).expect_err(body);
            assert!(error.contains(what), "{body}: {error}");
        }
        assert!(granted("[".repeat(100_000).as_bytes(), NOW).is_err(), "it is nested too deeply");
    }

    #[test]
    fn refusals_have_the_servers_words_and_no_secret() {
        let form = Form::of_client("me", &"hunter2".into(), false, None);
        let error = |status, location: Option<&str>, body: &str| {
            let location = location.map(str::to_owned);
            let answer = Answer { status, location, body: Zeroizing::new(body.as_bytes().to_vec()) };
            answer.token(&form, "E", NOW).expect_err(body)
        };
        let basic = base64::encode(b"me:hunter2");
        let echo = format!(r#"{{"error":"invalid_client","error_description":"not hunter2\n nor {basic}"}}"#);
        let refused = error(401, None, &echo);
        assert_eq!(refused.kind(), Kind::Authentication);
        let text = "E refused the client with status 401: invalid_client: not [redacted]  nor [redacted]";
        assert_eq!(refused.to_string(), text);
        let long = error(400, None, &format!(r#"{{"error":"{}"}}"#, "x".repeat(10_000))).to_string();
        assert!(long.len() < 400, "{long}");
        for (status, kind) in [
            (408, Kind::Connect),
            (429, Kind::Connect),
            (500, Kind::Connect),
            (503, Kind::Connect),
            (501, Kind::Authentication),
            (404, Kind::Authentication),
            (204, Kind::Authentication),
        ] {
            let error = error(status, None, "hunter2");
            assert_eq!(error.kind(), kind, "{status}");
            assert!(error.to_string().ends_with(&format!("status {status}")), "{error}");
        }
        let moved = error(302, Some("https://hunter2.evil.example/"), "");
        assert_eq!(moved.kind(), Kind::Authentication);
        assert!(moved.to_string().contains("redirects to https://[redacted].evil.example/"), "{moved}");
    }
}
