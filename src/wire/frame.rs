//! Splits a stream into frames: four bytes of length, then that many bytes.

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use super::buf::DecodeError;

/// Splits received bytes into frames.
#[derive(Debug)]
pub struct FrameReader {
    limit: usize,
    /// No frame has been read yet: the peer may not speak Kafka.
    fresh: bool,
    spares: Spares,
    /// The buffer for small frames, while a large frame is received into a buffer of its own.
    small: Option<BytesMut>,
}

/// The length of the smallest response: its correlation id.
const LENGTH_MIN: usize = 4;
/// Capacity that is reserved at once for a frame that has not arrived yet.
const RESERVE_MAX: usize = 1 << 20;
/// Frames of at least this size get a buffer of their own. Allocators request such a buffer from the system, which clears it page
/// by page.
const LARGE: usize = 128 << 10;

impl FrameReader {
    /// Refuses frames of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, fresh: true, spares: Spares::default(), small: None }
    }

    /// The next whole frame, without its length. `None` if it has not arrived whole; capacity for the rest is then reserved.
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
            self.reserve(arrived, whole + 4);
            return Ok(None);
        }
        let capacity = arrived.capacity();
        arrived.advance(4);
        let frame = arrived.split_to(whole).freeze();
        self.spares.count_frame();
        if let Some(mut small) = self.small.take() {
            small.extend_from_slice(arrived);
            self.spares.keep(std::mem::replace(arrived, small), capacity);
        }
        Ok(Some(frame))
    }

    /// Reserves capacity for a frame of `whole` bytes, its length included. The length is only a claim: a new buffer grows as bytes
    /// arrive.
    fn reserve(&mut self, arrived: &mut BytesMut, whole: usize) {
        let claimed = (whole - arrived.len()).min(RESERVE_MAX.max(arrived.len()));
        if whole < LARGE || self.small.is_some() {
            return arrived.reserve(claimed);
        }
        let mut large = self.spares.take(whole).unwrap_or_else(|| BytesMut::with_capacity(arrived.len() + claimed));
        large.extend_from_slice(arrived);
        arrived.clear();
        self.small = Some(std::mem::replace(arrived, large));
    }
}

/// Buffers of large frames, reused as soon as the frame that was received into them is dropped. Their number suffices for a
/// consumer that reads ahead. A buffer that was not used for a few frames is dropped.
#[derive(Debug, Default)]
struct Spares {
    kept: Vec<Spare>,
    frames: u64,
}

#[derive(Debug)]
struct Spare {
    bytes: BytesMut,
    used: u64,
}

/// How many buffers are kept.
const SPARES_MAX: usize = 3;
/// A larger buffer is not kept.
const SPARE_BYTES_MAX: usize = 8 << 20;
/// The number of frames after which an unused buffer is dropped. A consumer that waits for records gets one frame in each fetch
/// wait.
const SPARE_AGE: u64 = 8;

impl Spares {
    fn count_frame(&mut self) {
        self.frames += 1;
        let frames = self.frames;
        self.kept.retain(|spare| spare.used + SPARE_AGE > frames);
    }

    fn keep(&mut self, mut bytes: BytesMut, capacity: usize) {
        if capacity > SPARE_BYTES_MAX {
            return;
        }
        if self.kept.len() == SPARES_MAX {
            self.kept.remove(0);
        }
        bytes.clear();
        self.kept.push(Spare { bytes, used: self.frames });
    }

    /// A buffer for at least `whole` bytes that is not in use.
    fn take(&mut self, whole: usize) -> Option<BytesMut> {
        let at = self.kept.iter_mut().position(|spare| spare.bytes.try_reclaim(whole))?;
        Some(self.kept.remove(at).bytes)
    }
}

/// Recognises other protocols by their first bytes.
fn not_kafka(head: &[u8]) -> Result<(), DecodeError> {
    let peer = match head {
        b"HTTP" => "it responds in HTTP; give the port of a Kafka listener",
        [0x15 | 0x16, 0x03, _, _] => {
            "it responds in TLS; set security.protocol to ssl or sasl_ssl, or call ClientBuilder::tls"
        }
        b"SSH-" => "it is an SSH server; give the port of a Kafka listener",
        _ => return Ok(()),
    };
    Err(DecodeError::NotKafka(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_whole_however_bytes_arrive() {
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

    fn large(fill: u8, length: usize) -> Vec<u8> {
        let mut frame = i32::try_from(length).unwrap().to_be_bytes().to_vec();
        frame.resize(4 + length, fill);
        frame
    }

    /// Reads a stream in pieces, as a connection does.
    fn read(reader: &mut FrameReader, arrived: &mut BytesMut, stream: &[u8]) -> Vec<Bytes> {
        let mut frames = Vec::new();
        for piece in stream.chunks(50_000) {
            arrived.extend_from_slice(piece);
            while let Some(frame) = reader.next(arrived).unwrap() {
                frames.push(frame);
            }
        }
        frames
    }

    #[test]
    fn large_frames_reuse_buffers_that_nobody_holds() {
        let (mut reader, mut arrived) = (FrameReader::new(1 << 24), BytesMut::with_capacity(65_536));
        let mut places = Vec::new();
        let mut held = Vec::new();
        for fill in 1..=20 {
            // One frame is held while the next arrives, as by a consumer that reads ahead.
            let frames = read(&mut reader, &mut arrived, &[large(fill, 700_000), large(0, 9)].concat());
            assert_eq!(frames[0], vec![fill; 700_000]);
            assert_eq!(frames[1], vec![0; 9]);
            places.push(frames[0].as_ptr());
            held.push(frames[0].clone());
            if held.len() > 1 {
                held.remove(0);
            }
            assert!(held.iter().all(|frame| frame.iter().all(|byte| *byte == frame[0])), "held frames do not change");
        }
        places.sort_unstable();
        places.dedup();
        assert!(places.len() <= 3, "{} buffers for twenty frames", places.len());
    }

    #[test]
    fn unused_and_huge_buffers_are_dropped() {
        let (mut reader, mut arrived) = (FrameReader::new(1 << 24), BytesMut::with_capacity(65_536));
        drop(read(&mut reader, &mut arrived, &large(1, 700_000)));
        assert_eq!(reader.spares.kept.len(), 1);
        for _ in 0..SPARE_AGE {
            drop(read(&mut reader, &mut arrived, &large(1, 9)));
        }
        assert_eq!(reader.spares.kept.len(), 0);
        drop(read(&mut reader, &mut arrived, &large(1, SPARE_BYTES_MAX + 1)));
        assert_eq!(reader.spares.kept.len(), 0);
        let mut held = Vec::new();
        for _ in 0..9 {
            held.extend(read(&mut reader, &mut arrived, &large(1, 200_000)));
        }
        assert_eq!(reader.spares.kept.len(), SPARES_MAX);
    }

    #[test]
    fn length_beyond_the_limit_is_refused_and_a_claim_reserves_little() {
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
