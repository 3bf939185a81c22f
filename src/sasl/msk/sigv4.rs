//! Signature version 4 of AWS: a request whose query is signed (`AWS4-HMAC-SHA256`).

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Digest;
use sha2::Sha256;
use zeroize::Zeroizing;

/// When and for what a signature holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// As [`amz_date`] gives it.
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl Scope<'_> {
    /// The text that names it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day(), self.region, self.service)
    }

    fn day(&self) -> &str {
        self.date.split('T').next().unwrap_or_default()
    }

    /// Signs a canonical request by this secret key. The signature is in hexadecimal digits.
    pub(super) fn sign(&self, secret: &[u8], canonical: &str) -> String {
        let digest = hex(&Sha256::digest(canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{digest}", self.date, self.name());
        hex(&keyed(&self.key(secret), text.as_bytes()))
    }

    /// The key of this scope, made from the secret key.
    fn key(&self, secret: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
        key.extend_from_slice(b"AWS4");
        key.extend_from_slice(secret);
        for part in [self.day(), self.region, self.service, "aws4_request"] {
            key = keyed(&key, part.as_bytes());
        }
        key
    }
}

/// A request with a query and the header `host` alone, in the form that is signed. `payload` is the hash of its body.
pub(super) fn canonical(host: &str, path: &str, query: &str, payload: &str) -> String {
    format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\n{payload}")
}

/// The hash of an empty body.
pub(super) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A query, sorted and encoded.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut encoded: Vec<(String, String)> = pairs.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    encoded.sort();
    let pairs: Vec<String> = encoded.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn keyed(key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time since 1970 as AWS writes it: `20150830T123600Z`.
pub(super) fn amz_date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // From days to a date of the Gregorian calendar, by eras of 400 years that begin in March.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of AWS's documentation.
    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// "Examples of how to derive a signing key", AWS General Reference.
    #[test]
    fn key_is_that_of_the_documentation() {
        let scope = Scope { date: "20120215", region: "us-east-1", service: "iam" };
        assert_eq!(hex(&scope.key(SECRET)), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }

    /// `get-vanilla`, `get-vanilla-query-order-key-case`, `get-vanilla-query-unreserved` and `get-vanilla-utf8-query` of AWS's
    /// `aws-sig-v4-test-suite`, whose requests have the date in a header.
    #[test]
    fn signatures_are_those_of_the_test_suite() {
        let scope = Scope { date: "20150830T123600Z", region: "us-east-1", service: "service" };
        let plain = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for (pairs, signature) in [
            (&[][..], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                &[("Param2", "value2"), ("Param1", "value1")],
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (&[(plain, plain)], "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
            (&[("\u{1234}", "bar")], "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
        ] {
            let headers = "host:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date";
            let canonical = format!("GET\n/\n{}\n{headers}\n{EMPTY}", query(pairs));
            assert_eq!(scope.sign(SECRET, &canonical), signature, "{pairs:?}");
        }
    }

    /// "Authenticating Requests: Using Query Parameters", Amazon S3 API Reference.
    #[test]
    fn signature_of_a_query_is_that_of_the_documentation() {
        let scope = Scope { date: "20130524T000000Z", region: "us-east-1", service: "s3" };
        let credential = format!("AKIAIOSFODNN7EXAMPLE/{}", scope.name());
        let query = query(&[
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", scope.date),
            ("X-Amz-Expires", "86400"),
            ("X-Amz-SignedHeaders", "host"),
        ]);
        let canonical = canonical("examplebucket.s3.amazonaws.com", "/test.txt", &query, "UNSIGNED-PAYLOAD");
        let signature = scope.sign(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &canonical);
        assert_eq!(signature, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    }

    #[test]
    fn dates_are_written_as_aws_writes_them() {
        for (seconds, date) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (1_735_689_599, "20241231T235959Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(amz_date(seconds), date);
        }
    }
}
