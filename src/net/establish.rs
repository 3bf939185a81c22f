//! From an address to a connection on which versions are agreed: dial, ask, read. A straight line of steps, all within the
//! caller's timeout.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::connection::Settings;
use super::dial::Stream;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::wire::Api;
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
    /// How long the broker asks to be left alone first (KIP-219).
    pub(super) throttle: Duration,
}

/// Dials and agrees on versions.
pub(super) async fn establish(settings: &Settings, host: &str, port: u16) -> Result<Established, Error> {
    let mut stream = settings.connector.connect(host, port).await.map_err(unreachable)?;
    let (versions, throttle) = agree(&mut *stream, settings).await?;
    Ok(Established { stream, versions, throttle })
}

fn unreachable(error: io::Error) -> Error {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there: check host and port, or start the broker",
        io::ErrorKind::NotFound => "could not find the host: check its name",
        _ => "could not connect",
    };
    Error::new(Kind::Connect, text).caused_by(error)
}

/// Correlation ids of the questions asked before a connection is in use. The requests that follow stay below these.
const CORRELATION_FIRST: i32 = 0x4000_0000;

/// Asks which versions the broker speaks; one that does not speak this version of the question says which it does (KIP-511).
async fn agree(stream: &mut dyn Stream, settings: &Settings) -> Result<(Versions, Duration), Error> {
    let mut version = Api::ApiVersions.versions().1;
    // The second try is at a version that the broker named, so there is no third.
    for id in [CORRELATION_FIRST, CORRELATION_FIRST + 1] {
        let request =
            Request::ApiVersions(ApiVersionsRequest).encode(version, id, &settings.client_id).map_err(Error::from)?;
        for part in request {
            stream.write_all(&part).await.map_err(|error| lost(Some(error)))?;
        }
        let frame = read_frame(stream, settings.response_bytes_max).await?;
        let answered = correlation(&frame).map_err(Error::from)?;
        if answered != id {
            let text =
                format!("answer {answered} arrived where {id} was due: this is not a Kafka broker, or a broken one");
            return Err(Error::protocol(text).in_api(Api::ApiVersions.name()));
        }
        let Response::ApiVersions(response) =
            Response::decode(Api::ApiVersions, version, frame).map_err(Error::from)?
        else {
            return Err(Error::protocol("the answer is to another question"));
        };
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

/// Reads the one frame that was asked for.
async fn read_frame(stream: &mut dyn Stream, limit: usize) -> Result<Bytes, Error> {
    let mut frames = FrameReader::new(limit);
    let mut arrived = BytesMut::with_capacity(4096);
    loop {
        if let Some(frame) = frames.next(&mut arrived).map_err(Error::from)? {
            if arrived.is_empty() {
                return Ok(frame);
            }
            return Err(Error::protocol(
                "more arrived than was asked for: this is not a Kafka broker, or a broken one",
            ));
        }
        if stream.read_buf(&mut arrived).await.map_err(|error| lost(Some(error)))? == 0 {
            return Err(lost(None));
        }
    }
}

pub(super) fn lost(error: Option<io::Error>) -> Error {
    match error {
        Some(error) => Error::new(Kind::Connect, "the connection was lost").caused_by(error),
        None => Error::new(Kind::Connect, "the broker closed the connection"),
    }
}
