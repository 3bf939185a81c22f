//! Splitting a stream into frames: four bytes of length, then so many bytes.

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use super::buf::DecodeError;

/// Takes frames off the front of what arrived.
#[derive(Debug)]
pub struct FrameReader {
    limit: usize,
    /// Nothing has been read: the peer may be something else altogether.
    fresh: bool,
    rooms: Rooms,
    /// Where small frames arrive, while a large one has a room of its own.
    aside: Option<BytesMut>,
}

/// The least a response can have: its correlation id.
const LENGTH_MIN: usize = 4;
/// Room that is made at once for a frame that has not arrived yet.
const RESERVE_MAX: usize = 1 << 20;
/// From here on a frame gets a room of its own: allocators ask the system for it, which clears page by page.
const LARGE: usize = 128 << 10;

impl FrameReader {
    /// Refuses frames of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, fresh: true, rooms: Rooms::default(), aside: None }
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
            self.make_room(arrived, whole + 4);
            return Ok(None);
        }
        let room = arrived.capacity();
        arrived.advance(4);
        let frame = arrived.split_to(whole).freeze();
        self.rooms.a_frame_came();
        if let Some(mut aside) = self.aside.take() {
            aside.extend_from_slice(arrived);
            self.rooms.keep(std::mem::replace(arrived, aside), room);
        }
        Ok(Some(frame))
    }

    /// Makes room for a frame of so many bytes, its length included. That is only a claim: new room grows as the bytes come.
    fn make_room(&mut self, arrived: &mut BytesMut, whole: usize) {
        let claimed = (whole - arrived.len()).min(RESERVE_MAX.max(arrived.len()));
        if whole < LARGE || self.aside.is_some() {
            return arrived.reserve(claimed);
        }
        let mut room = self.rooms.take(whole).unwrap_or_else(|| BytesMut::with_capacity(arrived.len() + claimed));
        room.extend_from_slice(arrived);
        arrived.clear();
        self.aside = Some(std::mem::replace(arrived, room));
    }
}

/// Rooms of large frames, to be read into again as soon as nobody holds what was read into them: as many as a consumer that
/// reads ahead has in turn. They are given up a few frames after they were of use.
#[derive(Debug, Default)]
struct Rooms {
    kept: Vec<Room>,
    frames: u64,
}

#[derive(Debug)]
struct Room {
    bytes: BytesMut,
    used: u64,
}

/// Rooms kept.
const ROOMS_MAX: usize = 3;
/// A larger room is not kept.
const ROOM_MAX: usize = 8 << 20;
/// Frames after which a room that was of no use is given up. A consumer that waits for records gets one in each fetch wait.
const ROOM_AGE: u64 = 8;

impl Rooms {
    fn a_frame_came(&mut self) {
        self.frames += 1;
        let frames = self.frames;
        self.kept.retain(|room| room.used + ROOM_AGE > frames);
    }

    fn keep(&mut self, mut bytes: BytesMut, room: usize) {
        if room > ROOM_MAX {
            return;
        }
        if self.kept.len() == ROOMS_MAX {
            self.kept.remove(0);
        }
        bytes.clear();
        self.kept.push(Room { bytes, used: self.frames });
    }

    /// A room of at least so many bytes that nobody holds any more.
    fn take(&mut self, whole: usize) -> Option<BytesMut> {
        let at = self.kept.iter_mut().position(|room| room.bytes.try_reclaim(whole))?;
        Some(self.kept.remove(at).bytes)
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

    fn large(fill: u8, length: usize) -> Vec<u8> {
        let mut frame = i32::try_from(length).unwrap().to_be_bytes().to_vec();
        frame.resize(4 + length, fill);
        frame
    }

    /// Reads a stream as a connection does, some bytes at a time.
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
    fn a_large_frame_is_read_where_one_was_that_nobody_holds_any_more() {
        let (mut reader, mut arrived) = (FrameReader::new(1 << 24), BytesMut::with_capacity(65_536));
        let mut places = Vec::new();
        let mut held = Vec::new();
        for fill in 1..=20 {
            // One is held while the next arrives, as by a consumer that reads ahead.
            let frames = read(&mut reader, &mut arrived, &[large(fill, 700_000), large(0, 9)].concat());
            assert_eq!(frames[0], vec![fill; 700_000]);
            assert_eq!(frames[1], vec![0; 9]);
            places.push(frames[0].as_ptr());
            held.push(frames[0].clone());
            if held.len() > 1 {
                held.remove(0);
            }
            assert!(
                held.iter().all(|frame| frame.iter().all(|byte| *byte == frame[0])),
                "what is held stays as it was"
            );
        }
        places.sort_unstable();
        places.dedup();
        assert!(places.len() <= 3, "{} rooms for twenty frames", places.len());
    }

    #[test]
    fn rooms_of_no_use_and_huge_ones_are_given_up() {
        let (mut reader, mut arrived) = (FrameReader::new(1 << 24), BytesMut::with_capacity(65_536));
        drop(read(&mut reader, &mut arrived, &large(1, 700_000)));
        assert_eq!(reader.rooms.kept.len(), 1);
        for _ in 0..ROOM_AGE {
            drop(read(&mut reader, &mut arrived, &large(1, 9)));
        }
        assert_eq!(reader.rooms.kept.len(), 0);
        drop(read(&mut reader, &mut arrived, &large(1, ROOM_MAX + 1)));
        assert_eq!(reader.rooms.kept.len(), 0);
        let mut held = Vec::new();
        for _ in 0..9 {
            held.extend(read(&mut reader, &mut arrived, &large(1, 200_000)));
        }
        assert_eq!(reader.rooms.kept.len(), ROOMS_MAX);
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
