//! Authentication of one connection: SaslHandshake, then SaslAuthenticate as often as the mechanism needs (KIP-43, KIP-152).
//!
//! The same steps set a connection up and authenticate it again while it is in use; a [`Carrier`] brings their requests to the broker.

use std::future::Future;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::clock;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::sasl::BoxError;
use crate::sasl::Exchange;
use crate::sasl::Sasl;
use crate::sasl::Step;
use crate::secret::Secret;
use crate::types::bounded;
use crate::wire::Api;
use crate::wire::Call;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::Versions;
use crate::wire::message as m;

/// Brings a request to the broker, and its response back.
pub(super) trait Carrier {
    fn call(&mut self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send;

    /// Notes that a mechanism is at work, or no longer.
    fn awaits(&mut self, _mechanism: Option<&Sasl>) {}
}

/// A session that ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    /// When it began at the earliest: the broker counts from the last message that it took.
    begun: Instant,
    pub(super) lifetime: Duration,
}

impl Session {
    /// When to authenticate again: after 85 to 95 % of the lifetime, as Java's client does, so that many connections do not at once.
    pub(super) fn renew_at(self, rng: &mut Rng) -> Instant {
        self.begun + bounded(self.lifetime).mul_f64(0.85 + 0.1 * rng.f64())
    }
}

/// More messages than any mechanism needs: a broker that goes on must come to an end.
const STEPS_MAX: usize = 16;
/// How long a mechanism may take for one step. The set-up of a connection has a time limit of its own.
const STEP_MAX: Duration = Duration::from_secs(30);
/// The longest text of a broker that is put into an error, in characters.
const WORDS_MAX: usize = 400;
/// The most mechanisms of a broker that an error names.
const NAMES_MAX: usize = 16;

/// Whether the broker has the requests that authentication takes.
pub(super) fn check_versions(versions: &Versions) -> Result<(), Error> {
    let missing =
        [Api::SaslHandshake, Api::SaslAuthenticate].into_iter().find(|api| versions.pick(*api, i16::MAX).is_none());
    let Some(api) = missing else { return Ok(()) };
    let text = "the broker cannot authenticate by SASL: it is older than Kafka 1.0, or no Kafka broker";
    Err(Error::new(Kind::Unsupported, text).in_api(api.name()))
}

/// Authenticates. Returns the session, unless it never ends.
pub(super) async fn authenticate(
    carrier: &mut impl Carrier,
    sasl: &Sasl,
    host: &str,
) -> Result<Option<Session>, Error> {
    let in_api = |error: Error| error.in_api(Api::SaslHandshake.name());
    let request = m::SaslHandshakeRequest { mechanism: sasl.name().to_owned() };
    let response = carrier.call(request.into()).await.map_err(in_api)?;
    accepted(sasl, &m::SaslHandshakeRequest::response(response)?).map_err(in_api)?;
    let mut exchange = in_time(carrier, sasl, sasl.start(host)).await?;
    let in_api = |error: Error| error.in_api(Api::SaslAuthenticate.name());
    converse(carrier, sasl, &mut *exchange).await.map_err(in_api)
}

/// Carries messages to and fro until the exchange is done.
async fn converse(
    carrier: &mut impl Carrier,
    sasl: &Sasl,
    exchange: &mut dyn Exchange,
) -> Result<Option<Session>, Error> {
    let mut challenge = Secret::from(Vec::new());
    let mut session = None;
    for _ in 0..STEPS_MAX {
        let step = in_time(carrier, sasl, exchange.step(challenge.expose())).await?;
        let Step::Respond(message) = step else { return Ok(session) };
        let begun = clock::now();
        let message = m::SecretBytes(message.expose().to_vec().into());
        let response = carrier.call(m::SaslAuthenticateRequest { message }.into()).await?;
        let response = m::SaslAuthenticateRequest::response(response)?;
        if let Some(code) = response.error {
            return Err(refused(sasl, code, response.error_message.as_deref(), exchange.reason()));
        }
        challenge = Secret::from(&*response.message.0);
        let millis = u64::try_from(response.session_lifetime_ms).ok().filter(|millis| *millis > 0);
        session = millis.map(|millis| Session { begun, lifetime: Duration::from_millis(millis) });
    }
    Err(Error::authentication(format!("could not authenticate {sasl}: the broker does not come to an end")))
}

/// Awaits a mechanism, which may ask the network for a token or a ticket, for a bounded time.
async fn in_time<T>(
    carrier: &mut impl Carrier,
    sasl: &Sasl,
    future: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, Error> {
    let silent = |_| Err(format!("{} did not answer within {} s", sasl.place(), STEP_MAX.as_secs()).into());
    carrier.awaits(Some(sasl));
    let outcome = tokio::time::timeout(STEP_MAX, future).await.unwrap_or_else(silent);
    carrier.awaits(None);
    outcome.map_err(|error| of_mechanism(sasl, error))
}

/// Whether the broker enables the mechanism. Its list is only shown: it decides nothing.
fn accepted(sasl: &Sasl, response: &m::SaslHandshakeResponse) -> Result<(), Error> {
    let name = sasl.name();
    let text = match response.error {
        None => return Ok(()),
        Some(Code::UnsupportedSaslMechanism) => {
            let names: Vec<String> = response.mechanisms.iter().flatten().take(NAMES_MAX).map(words).collect();
            format!("the broker does not enable {name} here, only {}: use one of these", names.join(", "))
        }
        Some(Code::IllegalSaslState) => {
            "this listener of the broker does not use SASL: connect to another one, or without SASL".to_owned()
        }
        Some(_) => format!("the broker refused to begin {name}"),
    };
    Err(response.error.into_iter().fold(Error::authentication(text), Error::with_code))
}

/// The error of a broker that does not believe the client, in its own words.
fn refused(sasl: &Sasl, code: Code, message: Option<&str>, reason: Option<&str>) -> Error {
    let said: Vec<String> =
        [message, reason].into_iter().flatten().map(words).filter(|text| !text.is_empty()).collect();
    let said = if said.is_empty() { "the broker gave no reason".to_owned() } else { said.join("; ") };
    Error::authentication(format!("could not authenticate {sasl}: {said}")).with_code(code)
}

/// The error of a mechanism.
fn of_mechanism(sasl: &Sasl, error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::new(Kind::Connect, format!("could not authenticate {sasl}")).caused_by(Cause(error)),
    }
}

/// An error of a mechanism, as a cause.
#[derive(Debug)]
struct Cause(BoxError);

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// A text of the broker's in one line, and not too long.
fn words(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(WORDS_MAX).map(visible).collect::<String>().trim().to_owned()
}
