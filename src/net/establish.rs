//! From an address to a connection that requests may be sent on.
//!
//! [`establish`] is one straight function, within the caller's timeout: dial, shake hands for TLS, agree on versions, authenticate
//! ([`authenticate`](super::authenticate)). Each step after TLS sends a request and awaits its response ([`Setup::call`]).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::authenticate::Carrier;
use super::authenticate::authenticate;
use super::authenticate::check_versions;
use super::dial::Stream;
use super::meter::Meter;
use super::settings::Settings;
use crate::config::HostPort;
use crate::conn::login::Session;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metrics::ConnectionCounters;
use crate::sasl::Sasl;
use crate::wire::Api;
use crate::wire::Call;
use crate::wire::FrameReader;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::Versions;
use crate::wire::message::ApiVersionsRequest;
use crate::wire::request::correlation;

/// A connection on which requests may be sent.
pub(super) struct Established {
    pub(super) stream: Box<dyn Stream>,
    pub(super) versions: Versions,
    /// How long the broker throttles the client, which sends nothing meanwhile (KIP-219).
    pub(super) throttle: Duration,
    /// The session of the authentication, if it ends (KIP-368).
    pub(super) session: Option<Session>,
}

/// The mechanism that the set-up of a connection waits for, for the error of a set-up that takes too long.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Option<String>>>);

impl Progress {
    /// The place that a mechanism waits for. `None` while an answer of the broker is due.
    pub(super) fn awaited(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, awaited: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = awaited;
    }
}

/// Dials and sets up a connection.
pub(super) async fn establish(
    settings: &Settings,
    address: &HostPort,
    meter: &Meter,
    progress: &Progress,
) -> Result<Established, Error> {
    progress.set(None);
    let stream = settings.connector.connect(&address.host, address.port).await.map_err(unreachable)?;
    #[cfg(feature = "tls")]
    let stream = match &settings.secure {
        Some(secure) => secure.handshake(address, stream).await?,
        None => stream,
    };
    let mut setup = Setup {
        stream,
        settings,
        #[cfg(feature = "tls")]
        address,
        meter,
        correlation: CORRELATION_FIRST,
    };
    let (versions, throttle) = agree(&mut setup).await?;
    let session = match &settings.sasl {
        Some(sasl) => {
            check_versions(&versions)?;
            let mut carrier = Versioned { setup: &mut setup, versions: &versions, progress };
            authenticate(&mut carrier, sasl, &address.host).await?
        }
        None => None,
    };
    Ok(Established { stream: setup.stream, versions, throttle, session })
}

/// Carries the requests of an authentication over a connection that is being set up.
struct Versioned<'a, 'b> {
    setup: &'a mut Setup<'b>,
    versions: &'a Versions,
    progress: &'a Progress,
}

impl Carrier for Versioned<'_, '_> {
    fn awaits(&mut self, mechanism: Option<&Sasl>) {
        self.progress.set(mechanism.map(Sasl::place));
    }

    async fn call(&mut self, request: Request) -> Result<Response, Error> {
        let version = self.versions.pick(request.api(), request.version_max()).unwrap_or(0);
        self.setup.exchange(request, version).await
    }
}

/// Requests the versions that the broker supports. A broker that does not support this version of the request returns those that it
/// does (KIP-511).
async fn agree(setup: &mut Setup<'_>) -> Result<(Versions, Duration), Error> {
    let mut version = Api::ApiVersions.versions().1;
    // The second attempt uses a version that the broker named, so there is no third.
    for _ in 0..2 {
        let response = setup.call(ApiVersionsRequest, version).await?;
        match response.error {
            None => {
                let throttle = Duration::from_millis(u64::try_from(response.throttle_time_ms).unwrap_or(0));
                return Ok((Versions::agree(&response), throttle));
            }
            Some(Code::UnsupportedVersion) => {
                let spoken = response.apis.iter().find(|(key, _, _)| *key == Api::ApiVersions.key());
                version = spoken.map_or(0, |(_, _, last)| *last).min(version - 1).max(0);
            }
            Some(code) => return Err(Error::broker(code, "could not agree on versions").in_api("ApiVersions")),
        }
    }
    Err(Error::broker(Code::UnsupportedVersion, "could not agree on versions").in_api("ApiVersions"))
}

/// Correlation ids of the requests sent before a connection is in use. Those of the requests that follow are lower.
const CORRELATION_FIRST: i32 = 0x4000_0000;

/// A connection that is being set up: one request at a time.
struct Setup<'a> {
    stream: Box<dyn Stream>,
    settings: &'a Settings,
    #[cfg(feature = "tls")]
    address: &'a HostPort,
    meter: &'a Meter,
    correlation: i32,
}

impl Setup<'_> {
    /// Sends a request in a version that the broker supports, and awaits its response.
    async fn call<C: Call>(&mut self, request: C, version: i16) -> Result<C::Response, Error> {
        let response = self.exchange(request.into(), version).await.and_then(C::response);
        response.map_err(|error| error.in_api(C::API.name()))
    }

    async fn exchange(&mut self, request: Request, version: i16) -> Result<Response, Error> {
        let id = self.correlation;
        self.correlation += 1;
        self.write(&request, version, id).await?;
        let frame = self.read().await?;
        let received = correlation(&frame).map_err(Error::from)?;
        if received != id {
            let text =
                format!("response {received} arrived where {id} was due: this is not a Kafka broker, or a broken one");
            return Err(Error::protocol(text));
        }
        Response::decode(request.api(), version, frame).map_err(Error::from)
    }

    async fn write(&mut self, request: &Request, version: i16, id: i32) -> Result<(), Error> {
        let mut bytes = 0;
        for part in request.encode(version, id, &self.settings.client_id).map_err(Error::from)? {
            bytes += part.len() as u64;
            if let Err(error) = self.stream.write_all(&part).await {
                return Err(self.unwritable(error).await);
            }
        }
        self.count(|counters| {
            counters.requests += 1;
            counters.sent_bytes += bytes;
        });
        match self.stream.flush().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.unwritable(error).await),
        }
    }

    /// Reads the one frame that is due.
    async fn read(&mut self) -> Result<Bytes, Error> {
        let mut frames = FrameReader::new(self.settings.response_bytes_max);
        let mut arrived = BytesMut::with_capacity(4096);
        loop {
            if let Some(frame) = frames.next(&mut arrived).map_err(Error::from)? {
                if !arrived.is_empty() {
                    let text = "more arrived than one response: this is not a Kafka broker, or a broken one";
                    return Err(Error::protocol(text));
                }
                self.count(|counters| counters.responses += 1);
                return Ok(frame);
            }
            let read = self.stream.read_buf(&mut arrived).await.map_err(|error| self.failed(error))?;
            if read == 0 {
                return Err(lost(None));
            }
            self.count(|counters| counters.received_bytes += read as u64);
        }
    }

    /// The error of a stream that broke. TLS 1.3 finds out only by reading that the broker refuses the client's certificate.
    #[cfg_attr(not(feature = "tls"), allow(clippy::unused_self, reason = "TLS has more to say"))]
    fn failed(&self, error: io::Error) -> Error {
        #[cfg(feature = "tls")]
        if let Some(refusal) =
            self.settings.secure.as_ref().and_then(|secure| secure.explain(&error, &self.address.host))
        {
            return refusal;
        }
        lost(Some(error))
    }

    /// The error of a stream that takes no more bytes. Over TLS the broker's reason may have arrived before.
    #[cfg_attr(not(feature = "tls"), allow(clippy::unused_async, reason = "TLS has more to say"))]
    async fn unwritable(&mut self, error: io::Error) -> Error {
        #[cfg(feature = "tls")]
        if self.settings.secure.is_some() {
            let reason = self.stream.read(&mut [0; 64]).await.map_err(|reason| self.failed(reason));
            if let Err(reason) = reason
                && reason.is_rejection()
            {
                return reason;
            }
        }
        self.failed(error)
    }

    fn count(&self, change: impl FnOnce(&mut ConnectionCounters)) {
        self.meter.count(change);
    }
}

/// The error of a connection that could not be dialled. An error of this crate that the connector returned is passed on.
fn unreachable(error: io::Error) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return error,
        Err(error) => error,
    };
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there: check host and port, or start the broker",
        io::ErrorKind::NotFound => "could not find the host: check its name",
        _ => "could not connect",
    };
    Error::new(Kind::Connect, text).caused_by(error)
}

/// The error of a connection that broke; without a cause the broker closed it. An error of this crate is passed on: a stream over
/// TLS finds out only by reading that its certificate was refused.
pub(super) fn lost(error: Option<io::Error>) -> Error {
    match error.map(io::Error::downcast::<Error>) {
        Some(Ok(error)) => error,
        Some(Err(error)) => Error::new(Kind::Connect, "the connection was lost").caused_by(error),
        None => Error::new(Kind::Connect, "the broker closed the connection"),
    }
}

/// The highest common version of each API, for a log event.
pub(super) struct Agreed<'a>(pub(super) &'a Versions);

impl fmt::Display for Agreed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for api in Api::ALL {
            if let Some(version) = self.0.pick(api, i16::MAX) {
                write!(f, "{separator}{} {version}", api.name())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}
