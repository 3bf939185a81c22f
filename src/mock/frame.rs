//! Frames: splits them off a stream, decodes request headers, encodes responses.

use std::fmt;

use bytes::Buf;
use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::HeaderVersion;
use kafka_protocol::protocol::Request;

/// Bytes that a broker refuses to read as a frame.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use ottla::mock::take_frame;
///
/// let mut stream = BytesMut::from(&b"GET / HTTP/1.1"[..]);
/// assert!(take_frame(&mut stream, 1 << 20).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// The size that the frame claimed.
    pub size: i32,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame of {} bytes is not acceptable", self.size)
    }
}

impl std::error::Error for FrameError {}

/// Takes one whole frame, with its size prefix, off the front of `stream`, or `None` if it is not complete.
///
/// Fails where the frame claims a negative size or more than `limit` bytes (Kafka's `socket.request.max.bytes`).
/// Where only its size is known, capacity for the rest is reserved.
pub fn take_frame(stream: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = stream.first_chunk::<4>() else { return Ok(None) };
    let size = i32::from_be_bytes(*prefix);
    let whole = usize::try_from(size).ok().filter(|size| *size <= limit).ok_or(FrameError { size })? + 4;
    if stream.len() < whole {
        stream.reserve(whole - stream.len());
        return Ok(None);
    }
    Ok(Some(stream.split_to(whole).freeze()))
}

/// The header of a request.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) api_key: i16,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) client_id: String,
}

/// Decodes a request's header, and leaves its body in `frame`; `None` where the request cannot be answered.
pub(super) fn read_header(frame: &mut Bytes) -> Option<Envelope> {
    let size = usize::try_from(frame.try_get_i32().ok()?).ok()?;
    if size != frame.len() || size < 8 {
        return None;
    }
    let api_key = i16::from_be_bytes([frame[0], frame[1]]);
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let key = ApiKey::try_from(api_key).ok()?;
    // An unknown version has an unknown header, except ApiVersions, whose header never changes.
    if key == ApiKey::ApiVersions && !(0..=4).contains(&version) {
        let correlation_id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        return Some(Envelope { api_key, version, correlation_id, client_id: String::new() });
    }
    let header = RequestHeader::decode(frame, key.request_header_version(version)).ok()?;
    Some(Envelope {
        api_key,
        version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.map(|id| id.to_string()).unwrap_or_default(),
    })
}

/// Encodes the response to a request of type `R`, with its size prefix.
///
/// `None` where the response cannot be encoded in this version, which is a mistake of the mock.
pub(super) fn reply<R: Request>(correlation_id: i32, version: i16, body: &R::Response) -> Option<Bytes> {
    reply_with_header(R::Response::header_version(version), correlation_id, version, body)
}

/// As [`reply`], for the one response whose header is not that of its version.
pub(super) fn reply_with_header<M: Encodable>(
    header_version: i16,
    correlation_id: i32,
    version: i16,
    body: &M,
) -> Option<Bytes> {
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    let size = header.compute_size(header_version).ok()? + body.compute_size(version).ok()?;
    let mut frame = BytesMut::with_capacity(4 + size);
    frame.put_i32(i32::try_from(size).ok()?);
    header.encode(&mut frame, header_version).ok()?;
    body.encode(&mut frame, version).ok()?;
    debug_assert_eq!(frame.len(), 4 + size, "the computed size is the encoded one");
    Some(frame.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_all_of_it_is_there() {
        let mut stream = BytesMut::from(&[0, 0, 0, 2, 7][..]);
        assert_eq!(take_frame(&mut stream, 10), Ok(None));
        stream.extend_from_slice(&[8, 9]);
        assert_eq!(take_frame(&mut stream, 10), Ok(Some(Bytes::from_static(&[0, 0, 0, 2, 7, 8]))));
        assert_eq!(&stream[..], [9]);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_read() {
        let mut stream = BytesMut::from(&b"GET / HTTP/1.1"[..]);
        assert_eq!(take_frame(&mut stream, 100), Err(FrameError { size: 0x4745_5420 }));
    }

    #[test]
    fn noise_has_no_header() {
        for noise in [
            &[][..],
            &[0, 0, 0, 1, 0],
            &[0, 0, 0, 8, 0x7f, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 9, 0, 3, 0, 9, 0, 0, 0, 0, 0],
        ] {
            assert!(read_header(&mut Bytes::copy_from_slice(noise)).is_none(), "{noise:?}");
        }
    }
}
