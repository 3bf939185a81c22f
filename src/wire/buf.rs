//! Reading and writing the protocol's primitives.
//!
//! A count or a length from the wire is held against the bytes that are really there before anything is reserved for it, and
//! no byte vouches for two counts: what is made for a frame is in proportion to its size, whatever it claims.

use std::collections::VecDeque;
use std::fmt;

use bytes::Buf;
use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;

use crate::error::Code;
use crate::error::Error;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A count of elements that the rest of the frame cannot hold.
    CountExceedsFrame {
        /// What was declared.
        count: usize,
        /// What was left.
        remaining: usize,
    },
    /// A frame's length is outside the limit.
    FrameLength {
        /// What was declared.
        length: i32,
        /// What is allowed.
        limit: usize,
    },
    /// A null where there must be a value, or a negative length other than −1.
    Negative(i64),
    /// The peer speaks something else.
    NotKafka(&'static str),
    /// The bytes end in the middle of something.
    Truncated,
    /// A tagged field whose size is not that of what it holds, by its number.
    TagSize(u32),
    /// A tagged field that does not come after the one before it, as KIP-482 has them.
    TagOrder(u32),
    /// A string is not UTF-8.
    Utf8,
    /// A variable-length number that is too long.
    Varint,
    /// What the message crate says of the body.
    Message(String),
    /// A version that this client does not speak.
    Version(i16),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountExceedsFrame { count, remaining } => {
                write!(f, "a count of {count} elements where {remaining} bytes are left")
            }
            Self::FrameLength { length, limit } => {
                write!(f, "a response of {length} bytes, where the limit is {limit}")
            }
            Self::Negative(number) => write!(f, "the length {number} where there must be a value"),
            Self::NotKafka(what) => write!(f, "the peer does not speak Kafka: {what}"),
            Self::Truncated => f.write_str("the response ends too early"),
            Self::TagSize(tag) => write!(f, "tagged field {tag} is not of the size that it declares"),
            Self::TagOrder(tag) => write!(f, "tagged field {tag} does not come after the one before it"),
            Self::Utf8 => f.write_str("a string is not UTF-8"),
            Self::Varint => f.write_str("a variable-length number is too long"),
            Self::Message(text) => f.write_str(text),
            Self::Version(version) => write!(f, "version {version} is not spoken"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::protocol("could not understand the response").caused_by(error)
    }
}

/// The most that one byte of an array's smallest element may cost in memory: what [`Reader`] bounds counts by, and tests hold.
pub const COST_MAX: usize = 8;

/// Reads primitives off a frame; what it hands out borrows from the frame.
#[derive(Debug)]
pub struct Reader {
    rest: Bytes,
    flexible: bool,
    /// Bytes of `rest` that elements still to come of the arrays being read need at least. Nothing else may use them, so that
    /// an array within an array cannot claim what the outer one has claimed already.
    promised: usize,
}

impl Reader {
    /// Reads `bytes`; `flexible` versions have compact lengths and tagged fields (KIP-482).
    pub fn new(bytes: Bytes, flexible: bool) -> Self {
        Self { rest: bytes, flexible, promised: 0 }
    }

    /// What has not been read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What has not been read and is not promised to elements still to come.
    fn free(&self) -> usize {
        self.rest.len().saturating_sub(self.promised)
    }

    fn need(&self, length: usize) -> Result<(), DecodeError> {
        if self.free() < length { Err(DecodeError::Truncated) } else { Ok(()) }
    }

    /// Takes `length` bytes without copying them.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.need(length)?;
        Ok(self.rest.split_to(length))
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.need(1)?;
        Ok(self.rest.get_i8())
    }

    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.need(2)?;
        Ok(self.rest.get_i16())
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.need(4)?;
        Ok(self.rest.get_i32())
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.need(8)?;
        Ok(self.rest.get_i64())
    }

    pub fn id(&mut self) -> Result<TopicId, DecodeError> {
        self.need(16)?;
        let mut id = [0; 16];
        self.rest.copy_to_slice(&mut id);
        Ok(TopicId(id))
    }

    pub fn code(&mut self) -> Result<Option<Code>, DecodeError> {
        Ok(Code::from_wire(self.i16()?))
    }

    pub fn epoch(&mut self) -> Result<Option<LeaderEpoch>, DecodeError> {
        Ok(LeaderEpoch::from_wire(self.i32()?))
    }

    /// An unsigned variable-length number of at most five bytes.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            self.need(1)?;
            let byte = self.rest.get_u8();
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// A length in the version's own form; `None` is null.
    fn length(&mut self, short: bool) -> Result<Option<usize>, DecodeError> {
        let declared = if self.flexible {
            i64::from(self.uvarint()?) - 1
        } else if short {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match declared {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| DecodeError::Negative(length)),
        }
    }

    /// An element count, refusing one the frame cannot hold. `min_len` is the fewest bytes an element can occupy.
    fn nullable_count(&mut self, min_len: usize) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.length(false)? else { return Ok(None) };
        let remaining = self.free();
        if count > remaining / min_len {
            return Err(DecodeError::CountExceedsFrame { count, remaining });
        }
        Ok(Some(count))
    }

    /// Reads `count` elements, each of at least `min_len` bytes, which are kept for it meanwhile.
    fn each(
        &mut self,
        count: usize,
        min_len: usize,
        mut read: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.promised += count * min_len;
        for _ in 0..count {
            self.promised -= min_len;
            read(self)?;
        }
        Ok(())
    }

    /// An array, each element read by `read`, which finds at least `min_len` bytes in any element that is whole.
    pub fn array<T>(
        &mut self,
        min_len: usize,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(min_len, read)?.ok_or(DecodeError::Negative(-1))
    }

    /// An array that may be null.
    pub fn nullable_array<T>(
        &mut self,
        min_len: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.nullable_count(min_len)? else { return Ok(None) };
        // Exactly: growing by doubling would hold up to three times as much when a frame is full of the smallest elements.
        let mut elements = Vec::with_capacity(count);
        self.each(count, min_len, |reader| {
            elements.push(read(reader)?);
            Ok(())
        })?;
        Ok(Some(elements))
    }

    /// An array of which `read` leaves out, by `None`, elements that say nothing. Those it keeps have at least `kept_len` bytes.
    pub fn array_of_kept<T>(
        &mut self,
        min_len: usize,
        kept_len: usize,
        mut read: impl FnMut(&mut Self) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.nullable_count(min_len)?.ok_or(DecodeError::Negative(-1))?;
        let mut elements = Vec::with_capacity(count.min(self.free() / kept_len));
        self.each(count, min_len, |reader| {
            elements.extend(read(reader)?);
            Ok(())
        })?;
        Ok(elements)
    }

    /// Passes over an array that may be null, each element passed over by `skip`.
    pub fn skip_array(
        &mut self,
        min_len: usize,
        skip: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.nullable_count(min_len)?.unwrap_or(0);
        self.each(count, min_len, skip)
    }

    /// An array of numbers.
    pub fn i32s(&mut self) -> Result<Vec<i32>, DecodeError> {
        let count = self.nullable_count(4)?.ok_or(DecodeError::Negative(-1))?;
        let (numbers, _) = self.rest[..count * 4].as_chunks();
        let numbers = numbers.iter().map(|bytes| i32::from_be_bytes(*bytes)).collect();
        self.rest.advance(count * 4);
        Ok(numbers)
    }

    /// What `make` makes of a string that may be null.
    fn text<T>(&mut self, make: impl FnOnce(&str) -> T) -> Result<Option<T>, DecodeError> {
        let Some(length) = self.length(true)? else { return Ok(None) };
        self.need(length)?;
        let made = std::str::from_utf8(&self.rest[..length]).map(make).map_err(|_| DecodeError::Utf8)?;
        self.rest.advance(length);
        Ok(Some(made))
    }

    pub fn nullable_string(&mut self) -> Result<Option<String>, DecodeError> {
        self.text(str::to_owned)
    }

    pub fn string(&mut self) -> Result<String, DecodeError> {
        self.nullable_string()?.ok_or(DecodeError::Negative(-1))
    }

    /// A string that may be null, in the least memory.
    pub fn nullable_str(&mut self) -> Result<Option<Box<str>>, DecodeError> {
        self.text(|text| Box::from(text))
    }

    /// A string in the least memory.
    pub fn str(&mut self) -> Result<Box<str>, DecodeError> {
        self.nullable_str()?.ok_or(DecodeError::Negative(-1))
    }

    pub fn topic(&mut self) -> Result<TopicName, DecodeError> {
        self.text(|text| TopicName::from(text))?.ok_or(DecodeError::Negative(-1))
    }

    /// Passes over a string.
    pub fn skip_string(&mut self) -> Result<(), DecodeError> {
        self.text(|_| ())?.ok_or(DecodeError::Negative(-1))
    }

    /// Passes over a string that may be null.
    pub fn skip_nullable_string(&mut self) -> Result<(), DecodeError> {
        self.text(|_| ()).map(drop)
    }

    /// Bytes that may be null, without copying them.
    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        self.take(length).map(Some)
    }

    /// Reads the tagged fields of a flexible version, which ascend; `known` reads those it knows to their ends, and skips the
    /// others by leaving them.
    pub fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.uvarint()?;
        if count as usize > self.free() / 2 {
            return Err(DecodeError::CountExceedsFrame { count: count as usize, remaining: self.free() });
        }
        let mut before = None;
        for _ in 0..count {
            let tag = self.uvarint()?;
            if before.replace(tag) >= Some(tag) {
                return Err(DecodeError::TagOrder(tag));
            }
            let size = self.uvarint()? as usize;
            let mut field = Self::new(self.take(size)?, true);
            known(tag, &mut field)?;
            if !field.rest.is_empty() && field.rest.len() < size {
                return Err(DecodeError::TagSize(tag));
            }
        }
        Ok(())
    }

    /// Skips the tagged fields of a flexible version.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(|_, _| Ok(()))
    }
}

/// Bytes to be written, in pieces: small ones are gathered in one buffer, large ones are kept as they are.
#[derive(Debug, Default)]
pub struct Chunks {
    parts: VecDeque<Bytes>,
    scratch: BytesMut,
    parts_len: usize,
    flexible: bool,
}

/// Pieces from here on are referenced, not copied: below, one more piece of a vectored write costs more than the copy.
const REFERENCE_FROM: usize = 4096;

impl Chunks {
    /// Whether lengths are compact and tagged fields are written (KIP-482).
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.parts_len + self.scratch.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn put_i8(&mut self, value: i8) {
        self.scratch.put_i8(value);
    }

    pub fn put_bool(&mut self, value: bool) {
        self.scratch.put_i8(i8::from(value));
    }

    pub fn put_i16(&mut self, value: i16) {
        self.scratch.put_i16(value);
    }

    pub fn put_i32(&mut self, value: i32) {
        self.scratch.put_i32(value);
    }

    pub fn put_i64(&mut self, value: i64) {
        self.scratch.put_i64(value);
    }

    pub fn put_id(&mut self, id: TopicId) {
        self.scratch.put_slice(&id.0);
    }

    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.scratch.put_slice(bytes);
    }

    pub fn put_code(&mut self, code: Option<Code>) {
        self.scratch.put_i16(code.map_or(0, Code::to_wire));
    }

    pub fn put_epoch(&mut self, epoch: Option<LeaderEpoch>) {
        self.scratch.put_i32(LeaderEpoch::to_wire(epoch));
    }

    pub fn put_uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.scratch.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.scratch.put_u8((value & 0x7f) as u8);
    }

    fn put_length(&mut self, length: Option<usize>, short: bool) {
        let fits = "what is written fits a frame";
        if self.flexible {
            self.put_uvarint(length.map_or(0, |length| u32::try_from(length + 1).expect(fits)));
        } else if short {
            self.put_i16(length.map_or(-1, |length| i16::try_from(length).expect(fits)));
        } else {
            self.put_i32(length.map_or(-1, |length| i32::try_from(length).expect(fits)));
        }
    }

    /// The count of an array; `None` is null.
    pub fn put_count(&mut self, count: Option<usize>) {
        self.put_length(count, false);
    }

    /// An array, each element written by `write`.
    pub fn put_array<T>(&mut self, elements: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.put_count(Some(elements.len()));
        for element in elements {
            write(self, element);
        }
    }

    pub fn put_nullable_string(&mut self, text: Option<&str>) {
        // A classic string's length has 16 bits; longer ones are cut at a character so that the frame stays whole.
        let text = text.map(|text| if self.flexible { text } else { cut(text, 32_767) });
        self.put_length(text.map(str::len), true);
        self.scratch.put_slice(text.unwrap_or_default().as_bytes());
    }

    pub fn put_string(&mut self, text: &str) {
        self.put_nullable_string(Some(text));
    }

    /// Bytes in one or more pieces under one length. Large pieces are referenced.
    pub fn put_bytes(&mut self, pieces: Option<&[&Bytes]>) {
        self.put_length(pieces.map(|pieces| pieces.iter().map(|piece| piece.len()).sum()), false);
        for piece in pieces.unwrap_or_default() {
            if piece.len() < REFERENCE_FROM {
                self.scratch.put_slice(piece);
            } else {
                self.flush();
                self.parts_len += piece.len();
                self.parts.push_back((*piece).clone());
            }
        }
    }

    /// Ends a struct of a flexible version that has no tagged fields.
    pub fn put_no_tags(&mut self) {
        if self.flexible {
            self.put_uvarint(0);
        }
    }

    /// Ends a struct of a flexible version with these tagged fields, in the order of their tags.
    pub fn put_tags(&mut self, fields: &[(u32, Vec<u8>)]) {
        if !self.flexible {
            return;
        }
        self.put_uvarint(u32::try_from(fields.len()).expect("a handful of tags"));
        for (tag, field) in fields {
            self.put_uvarint(*tag);
            self.put_uvarint(u32::try_from(field.len()).expect("a field fits a frame"));
            self.scratch.put_slice(field);
        }
    }

    /// Writes what `write` writes as the content of a tagged field.
    pub fn field(write: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut field = Self { flexible: true, ..Self::default() };
        write(&mut field);
        field.scratch.to_vec()
    }

    fn flush(&mut self) {
        if !self.scratch.is_empty() {
            self.parts_len += self.scratch.len();
            self.parts.push_back(self.scratch.split().freeze());
        }
    }

    /// The pieces in order.
    pub fn into_parts(mut self) -> VecDeque<Bytes> {
        self.flush();
        self.parts
    }

    /// All in one piece.
    pub fn into_bytes(self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.len());
        for part in self.into_parts() {
            all.put_slice(&part);
        }
        all.freeze()
    }
}

fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_the_frame_cannot_hold_is_refused_before_anything_is_reserved() {
        let mut reader = Reader::new(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]), false);
        let refused = DecodeError::CountExceedsFrame { count: 0x7fff_ffff, remaining: 0 };
        assert_eq!(reader.i32s(), Err(refused.clone()));
        let mut reader = Reader::new(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]), false);
        assert_eq!(reader.array(4, Reader::i32), Err(refused));
    }

    /// Two elements of at least five bytes, the first of which claims eight numbers where the second has its bytes.
    #[test]
    fn an_array_within_an_array_cannot_claim_what_the_outer_one_has_claimed() {
        let read = |inner: u8| {
            let frame = [&[3, inner][..], &[0; 4], &[2], &[0; 4]].concat();
            Reader::new(frame.into(), true).array(5, Reader::i32s)
        };
        assert_eq!(read(2), Ok(vec![vec![0], vec![0]]));
        assert_eq!(read(3), Err(DecodeError::CountExceedsFrame { count: 2, remaining: 4 }));
    }

    #[test]
    fn a_tagged_field_that_is_known_has_the_size_of_what_it_holds() {
        let read = |size: u8| {
            let frame = [&[1, 0, size][..], &[0; 3]].concat();
            Reader::new(frame.into(), true).tags(|_, field| field.i16().map(drop))
        };
        assert_eq!(read(2), Ok(()));
        assert_eq!(read(1), Err(DecodeError::Truncated));
        assert_eq!(read(3), Err(DecodeError::TagSize(0)));
    }

    #[test]
    fn an_unsigned_varint_has_at_most_five_bytes_and_32_bits() {
        let read = |bytes: &'static [u8]| Reader::new(Bytes::from_static(bytes), true).uvarint();
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(DecodeError::Varint));
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]), Err(DecodeError::Varint));
        assert_eq!(read(&[0x80]), Err(DecodeError::Truncated));
    }

    #[test]
    fn large_pieces_are_referenced_and_small_ones_gathered() {
        let large = Bytes::from(vec![7; REFERENCE_FROM]);
        let mut chunks = Chunks::default();
        chunks.put_i32(1);
        chunks.put_bytes(Some(&[&Bytes::from_static(b"head"), &large]));
        chunks.put_i8(9);
        assert_eq!(chunks.len(), 4 + 4 + 4 + REFERENCE_FROM + 1);
        let parts = chunks.into_parts();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1].as_ptr(), large.as_ptr());
    }
}
