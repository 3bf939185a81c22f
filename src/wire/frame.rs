//! Splitting a stream into frames: four bytes of length, then so many bytes.

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use super::buf::DecodeError;

/// Takes frames off the front of what arrived.
#[derive(Clone, Copy, Debug)]
pub struct FrameReader {
    limit: usize,
    /// Nothing has been read: the peer may be something else altogether.
    fresh: bool,
}

/// The least a response can have: its correlation id.
const LENGTH_MIN: usize = 4;
/// Room that is made at once for a frame that has not arrived yet.
const RESERVE_MAX: usize = 1 << 20;

impl FrameReader {
    /// Refuses frames of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, fresh: true }
    }

    /// The next whole frame, without its length; `None` where more must arrive, for which room is then made.
    pub fn next(&mut self, arrived: &mut BytesMut) -> Result<Option<Bytes>, DecodeError> {
        let Some(head) = arrived.get(..4) else { return Ok(None) };
        if self.fresh {
            not_kafka(head)?;
        }
        let length = i32::from_be_bytes(head.try_into().expect("four bytes"));
        let whole = usize::try_from(length)
            .ok()
            .filter(|whole| (LENGTH_MIN..=self.limit).contains(whole))
            .ok_or(DecodeError::FrameLength { length, limit: self.limit })?;
        self.fresh = false;
        if arrived.len() - 4 < whole {
            // The length is only a claim: room grows as the bytes come.
            arrived.reserve((whole + 4 - arrived.len()).min(RESERVE_MAX.max(arrived.len())));
            return Ok(None);
        }
        arrived.advance(4);
        Ok(Some(arrived.split_to(whole).freeze()))
    }
}

/// Recognises what else listens on ports.
fn not_kafka(head: &[u8]) -> Result<(), DecodeError> {
    let what = match head {
        b"HTTP" => "it answers in HTTP; give the port of a Kafka listener",
        [0x15 | 0x16, 0x03, _, _] => "it answers in TLS; this listener wants an encrypted connection",
        b"SSH-" => "it is an SSH server; give the port of a Kafka listener",
        _ => return Ok(()),
    };
    Err(DecodeError::NotKafka(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let stream = [0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0, 4, 9, 9, 9, 9];
        for cut in 0..stream.len() {
            let mut reader = FrameReader::new(100);
            let mut arrived = BytesMut::from(&stream[..cut]);
            let mut frames = Vec::new();
            while let Some(frame) = reader.next(&mut arrived).unwrap() {
                frames.push(frame);
            }
            arrived.extend_from_slice(&stream[cut..]);
            while let Some(frame) = reader.next(&mut arrived).unwrap() {
                frames.push(frame);
            }
            assert_eq!(frames, [&[1, 2, 3, 4, 5][..], &[9, 9, 9, 9]], "cut at {cut}");
        }
    }

    #[test]
    fn a_length_outside_the_limit_is_refused_and_a_claim_reserves_little() {
        for bad in [-1, 0, 3, 101] {
            let mut arrived = BytesMut::from(&i32::to_be_bytes(bad)[..]);
            assert!(FrameReader::new(100).next(&mut arrived).is_err(), "{bad}");
        }
        let mut arrived = BytesMut::from(&i32::to_be_bytes(90 << 20)[..]);
        assert_eq!(FrameReader::new(100 << 20).next(&mut arrived), Ok(None));
        assert!(arrived.capacity() <= 3 << 20);
    }

    #[test]
    fn other_protocols_are_named() {
        let mut arrived = BytesMut::from(&b"HTTP/1.1 400 Bad Request"[..]);
        assert!(matches!(FrameReader::new(1 << 20).next(&mut arrived), Err(DecodeError::NotKafka(_))));
    }
}
