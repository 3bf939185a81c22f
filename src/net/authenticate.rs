//! Authentication of one connection: SaslHandshake, then SaslAuthenticate as often as the mechanism needs (KIP-43, KIP-152).
//!
//! The same steps set a connection up and authenticate it again while it is in use; a [`Carrier`] brings their requests to the broker.

use std::future::Future;
use std::time::Duration;
use std::time::Instant;

use super::clock;
use crate::conn::login;
use crate::conn::login::Session;
use crate::error::Error;
use crate::error::Kind;
use crate::sasl::BoxError;
use crate::sasl::Exchange;
use crate::sasl::Sasl;
use crate::sasl::Step;
use crate::secret::Secret;
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

/// More messages than any mechanism needs: a broker that goes on must come to an end.
const STEPS_MAX: usize = 16;
/// How long a mechanism may take for one step. The set-up of a connection has a time limit of its own.
const STEP_MAX: Duration = Duration::from_secs(30);

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
    login::accepted(sasl, &m::SaslHandshakeRequest::response(response)?).map_err(in_api)?;
    let accepted = clock::now();
    let mut exchange = in_time(carrier, sasl, sasl.start(host)).await?;
    let in_api = |error: Error| error.in_api(Api::SaslAuthenticate.name());
    converse(carrier, sasl, &mut *exchange, accepted).await.map_err(in_api)
}

/// Carries messages to and fro until the exchange is done.
async fn converse(
    carrier: &mut impl Carrier,
    sasl: &Sasl,
    exchange: &mut dyn Exchange,
    accepted: Instant,
) -> Result<Option<Session>, Error> {
    let mut challenge = Secret::from(Vec::new());
    let mut session = None;
    for _ in 0..STEPS_MAX {
        let step = in_time(carrier, sasl, exchange.step(challenge.expose())).await?;
        let Step::Respond(message) = step else { return Ok(session) };
        let sent = clock::now();
        let message = m::SecretBytes(message.expose().to_vec().into());
        let response = carrier.call(m::SaslAuthenticateRequest { message }.into()).await?;
        let response = m::SaslAuthenticateRequest::response(response)?;
        session = login::answered(sasl, &response, [accepted, sent], exchange.reason())?;
        challenge = Secret::from(&*response.message.0);
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
