//! Amazon MSK with IAM: log in by the keys of AWS, in either of its two forms.
//!
//! Both show the broker a request `kafka-cluster:Connect` that is signed by the keys and valid for 15 minutes. [`MskIam`] sends it as
//! JSON by the mechanism `AWS_MSK_IAM`, as `aws-msk-iam-auth` does; [`MskIam::tokens`] sends it as a token of OAUTHBEARER, as the signers
//! for other languages do.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use super::BoxError;
use super::Exchange;
use super::Fetching;
use super::Mechanism;
use super::Starting;
use super::Step;
use super::Stepping;
use super::Token;
use super::TokenSource;
use super::base64;
use crate::error::Error;
use crate::net::clock;
use crate::secret::Secret;

mod credentials;
mod sigv4;

pub use self::credentials::AwsCredentialSource;
pub use self::credentials::AwsCredentials;
pub use self::credentials::AwsEnvironment;
pub use self::credentials::FetchingCredentials;
use self::sigv4::Scope;

/// The mechanism `AWS_MSK_IAM` (feature `aws-msk-iam`). It needs TLS: whoever reads the signed request can use it for 15 minutes.
///
/// The region is that which is given, or else that in the broker's name, `….kafka.eu-west-1.amazonaws.com`, or else that of the source.
///
/// # Errors
///
/// [`Kind::Authentication`](crate::error::Kind::Authentication), at once: the source has no keys, or the region is not known. The
/// broker's words if it refuses the keys, or if they may not connect.
///
/// ```
/// use ottla::sasl::{AwsCredentials, MskIam, Sasl};
///
/// let keys = AwsCredentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI");
/// let sasl = Sasl::mechanism(MskIam::new(keys.clone()));
/// assert_eq!(sasl.name(), "AWS_MSK_IAM");
///
/// // The same by OAUTHBEARER, for brokers that enable no other mechanism.
/// let sasl = Sasl::oauth_bearer(MskIam::new(keys).region("eu-west-1").tokens());
/// assert_eq!(sasl.name(), "OAUTHBEARER");
/// ```
#[derive(Clone)]
pub struct MskIam {
    source: Arc<dyn AwsCredentialSource>,
    region: Option<String>,
}

impl MskIam {
    /// With the keys of this source.
    pub fn new(source: impl AwsCredentialSource + 'static) -> Self {
        Self { source: Arc::new(source), region: None }
    }

    /// The region of the cluster, for brokers that are reached by names of another form.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The same as tokens of OAUTHBEARER, for [`Sasl::oauth_bearer`](super::Sasl::oauth_bearer). The
    /// [region](Self::region) must be given here or by the source: a token serves all brokers.
    pub fn tokens(self) -> MskIamTokens {
        MskIamTokens(self)
    }

    /// The keys, checked.
    async fn keys(&self) -> Result<AwsCredentials, BoxError> {
        let keys = self.source.credentials().await?;
        keys.check()?;
        Ok(keys)
    }
}

impl fmt::Debug for MskIam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MskIam").field("source", &self.source).field("region", &self.region).finish()
    }
}

/// Tokens of OAUTHBEARER for Amazon MSK (feature `aws-msk-iam`). Made by [`MskIam::tokens`].
#[derive(Clone, Debug)]
pub struct MskIamTokens(MskIam);

/// How long a signed request is valid: what Amazon's own libraries take.
const LIFETIME: Duration = Duration::from_secs(900);
const USER_AGENT: &str = concat!("ottla/", env!("CARGO_PKG_VERSION"));

/// A request to connect, with its signature.
struct Signed {
    /// Names and values of the query, in alphabetical order, without the signature.
    pairs: Vec<(&'static str, String)>,
    signature: String,
}

impl Signed {
    fn new(keys: &AwsCredentials, region: &str, host: &str, date: &str) -> Self {
        let scope = Scope { date, region, service: "kafka-cluster" };
        let mut pairs = vec![
            ("Action", "kafka-cluster:Connect".to_owned()),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{}", keys.access_key_id, scope.name())),
            ("X-Amz-Date", date.to_owned()),
            ("X-Amz-Expires", LIFETIME.as_secs().to_string()),
        ];
        if let Some(token) = &keys.session_token {
            pairs.push(("X-Amz-Security-Token", token.expose_text().unwrap_or_default().to_owned()));
        }
        pairs.push(("X-Amz-SignedHeaders", "host".to_owned()));
        let mut signed = Self { pairs, signature: String::new() };
        let canonical = sigv4::canonical(host, "/", &signed.query(), sigv4::EMPTY);
        signed.signature = scope.sign(keys.secret_access_key.expose(), &canonical);
        signed
    }

    fn query(&self) -> String {
        let pairs: Vec<(&str, &str)> = self.pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        sigv4::query(&pairs)
    }

    /// The message of `AWS_MSK_IAM` (`AWS4SignedPayloadGenerator`).
    fn message(&self, host: &str) -> Secret {
        let own = [
            ("version", "2020_10_22"),
            ("host", host),
            ("user-agent", USER_AGENT),
            ("x-amz-signature", self.signature.as_str()),
        ];
        let pairs = self.pairs.iter().map(|(name, value)| (*name, value.as_str()));
        let fields: Vec<String> = own
            .into_iter()
            .chain(pairs)
            .map(|(name, value)| format!("\"{}\":\"{}\"", name.to_ascii_lowercase(), escaped(value)))
            .collect();
        format!("{{{}}}", fields.join(",")).into()
    }

    /// The token of OAUTHBEARER: the URL that the request would have.
    fn token(&self, host: &str) -> Secret {
        let agent = sigv4::query(&[("User-Agent", USER_AGENT)]);
        let url = Secret::from(format!("https://{host}/?{}&X-Amz-Signature={}&{agent}", self.query(), self.signature));
        base64::encode_url(url.expose()).into()
    }
}

/// A text within quotation marks in JSON. Control characters are in no key and no host.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The region in the name of a broker: the part before `amazonaws`.
fn region_of(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    let at = labels.iter().position(|label| *label == "amazonaws")?;
    let region = *labels.get(at.checked_sub(1)?)?;
    let is_region = region.contains('-') && region.ends_with(|c: char| c.is_ascii_digit());
    is_region.then_some(region)
}

impl Mechanism for MskIam {
    fn name(&self) -> &'static str {
        "AWS_MSK_IAM"
    }

    fn place(&self) -> Option<String> {
        Some(format!("the source of AWS keys {:?}", self.source).chars().take(200).collect())
    }

    fn start<'a>(&'a self, host: &'a str) -> Starting<'a> {
        Box::pin(async move {
            let host = host.strip_suffix('.').unwrap_or(host);
            let named = || region_of(host).map(str::to_owned);
            let region = self.region.clone().or_else(named).or_else(|| self.source.region()).ok_or_else(|| {
                let remedy = "set it by MskIam::region, or AWS_REGION where keys come from the environment";
                Error::authentication(format!("the host {host:?} names no AWS region: {remedy}"))
            })?;
            let keys = self.keys().await?;
            let date = sigv4::amz_date(clock::since_epoch().as_secs());
            let message = Signed::new(&keys, &region, host, &date).message(host);
            Ok(Box::new(Showing { message: Some(message) }) as Box<dyn Exchange>)
        })
    }
}

struct Showing {
    /// `None` once it was sent.
    message: Option<Secret>,
}

impl Exchange for Showing {
    fn step<'a>(&'a mut self, _: &'a [u8]) -> Stepping<'a> {
        // The broker's answer has a version and the number of the request: it refuses by an error.
        let step = self.message.take().map_or(Step::Done, Step::Respond);
        Box::pin(ready(Ok(step)))
    }
}

impl TokenSource for MskIamTokens {
    fn token(&self) -> Fetching<'_> {
        Box::pin(async move {
            let region = self.0.region.clone().or_else(|| self.0.source.region()).ok_or_else(|| {
                Error::authentication("tokens for Amazon MSK need a region: call MskIam::region, or set AWS_REGION")
            })?;
            let keys = self.0.keys().await?;
            let (host, now) = (format!("kafka.{region}.amazonaws.com"), clock::since_epoch());
            let signed = Signed::new(&keys, &region, &host, &sigv4::amz_date(now.as_secs()));
            Ok(Token::new(signed.token(&host), SystemTime::UNIX_EPOCH + now + LIFETIME))
        })
    }

    fn place(&self) -> Option<String> {
        self.0.place()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "b-1.test.abc123.c2.kafka.eu-west-1.amazonaws.com";
    const DATE: &str = "20261126T191500Z";

    fn keys() -> AwsCredentials {
        AwsCredentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    }

    /// Signatures by Python: `hmac.new(key, text, sha256).hexdigest()`, where `key` comes from `hmac` of "AWS4" + secret with day, region,
    /// "kafka-cluster" and "aws4_request", and `text` has the hash of "GET", "/", the query, "host:" + host, "", "host" and the hash
    /// of nothing, each on a line.
    #[test]
    fn message_is_that_of_amazons_library() {
        let message = Signed::new(&keys(), "eu-west-1", HOST, DATE).message(HOST);
        let expected = format!(
            "{{\"version\":\"2020_10_22\",\"host\":\"{HOST}\",\"user-agent\":\"{USER_AGENT}\",\
             \"x-amz-signature\":\"b12645ca264aa2e70164cf6ecc716bc478f244e3cc9866867d434f279526ac5a\",\
             \"action\":\"kafka-cluster:Connect\",\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\",\
             \"x-amz-credential\":\"AKIDEXAMPLE/20261126/eu-west-1/kafka-cluster/aws4_request\",\
             \"x-amz-date\":\"{DATE}\",\"x-amz-expires\":\"900\",\"x-amz-signedheaders\":\"host\"}}"
        );
        assert_eq!(message.expose_text(), Some(&*expected));
        let signed = Signed::new(&keys().session_token("to/ken+=="), "eu-west-1", HOST, DATE);
        assert_eq!(signed.signature, "06608b214f62a24771e5f618f5dd962a5c373dada9295f60831369235cd87222");
        let message = signed.message(HOST);
        assert!(message.expose_text().expect("text").contains("\"x-amz-security-token\":\"to/ken+==\""));
    }

    #[test]
    fn token_is_the_url_of_the_signed_request() {
        let host = "kafka.eu-west-1.amazonaws.com";
        let token = Signed::new(&keys().session_token("to/ken+=="), "eu-west-1", host, DATE).token(host);
        let url = format!(
            "https://{host}/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&\
             X-Amz-Credential=AKIDEXAMPLE%2F20261126%2Feu-west-1%2Fkafka-cluster%2Faws4_request&X-Amz-Date={DATE}&X-Amz-Expires=900&\
             X-Amz-Security-Token=to%2Fken%2B%3D%3D&X-Amz-SignedHeaders=host&\
             X-Amz-Signature=969ef41e396ea4082cf5a7e833fc32f7a53081537c426720741b078e02e60191&User-Agent={}",
            USER_AGENT.replace('/', "%2F")
        );
        assert_eq!(token.expose_text(), Some(&*base64::encode_url(url.as_bytes())));
    }

    #[test]
    fn region_is_that_of_the_brokers_name() {
        for (host, region) in [
            (HOST, Some("eu-west-1")),
            ("boot-x.c1.kafka-serverless.us-gov-east-1.amazonaws.com", Some("us-gov-east-1")),
            ("b-1.test.kafka.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("broker.example", None),
            ("amazonaws.com", None),
            ("kafka.amazonaws.com", None),
            ("", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let printed = format!("{:?}", MskIam::new(keys().session_token("hunter2")).region("eu-west-1").tokens());
        assert!(
            printed.contains("AKIDEXAMPLE") && !printed.contains("wJalr") && !printed.contains("hunter2"),
            "{printed}"
        );
    }
}
