//! The claims of a JWT (RFC 7519) that a client looks at. Brokers verify it; here no signature is.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::sasl::base64;

/// The claims of a token in the compact form of JWS, three parts with dots between them. `None` of an opaque token.
pub(super) fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let [_, payload, _] = [parts.next()?, parts.next()?, parts.next()?];
    if parts.next().is_some() {
        return None;
    }
    match serde_json::from_slice(&base64::decode_url(payload.trim_end_matches('='))?).ok()? {
        Value::Object(claims) => Some(claims),
        _ => None,
    }
}

/// When a token with these claims expires, in the time since 1970.
pub(super) fn expiry(claims: &Map<String, Value>) -> Option<Duration> {
    seconds(claims.get("exp")?)
}

/// Seconds in JSON, as a number or, as some servers have them, as a text. Fractions are cut off.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Beyond any time that a clock shows.
    let number = if number.is_finite() && number >= 0.0 { number.min(1e12).trunc() } else { return None };
    Duration::try_from_secs_f64(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", base64::encode_url(payload.as_bytes()))
    }

    #[test]
    fn expiry_is_that_of_the_claims() {
        let expiry = |payload: &str| claims(&jwt(payload)).as_ref().and_then(expiry).map(|exp| exp.as_secs());
        assert_eq!(expiry(r#"{"exp":1700000000}"#), Some(1_700_000_000));
        assert_eq!(expiry(r#"{"exp":1700000000.9}"#), Some(1_700_000_000));
        assert_eq!(expiry(r#"{"exp":"1700000000"}"#), Some(1_700_000_000));
        assert_eq!(expiry(r#"{"exp":1e300}"#), Some(1_000_000_000_000));
        for none in [r#"{"exp":-1}"#, r#"{"exp":"soon"}"#, r#"{"exp":"NaN"}"#, r#"{"exp":[]}"#, "{}", "[]", "", "{"] {
            assert_eq!(expiry(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_jwt_is_opaque() {
        for opaque in ["", "abc", "a.b", "a.b.c.d", "a.!.c", "..", "e30.é.e30"] {
            assert!(claims(opaque).is_none(), "{opaque}");
        }
    }
}
