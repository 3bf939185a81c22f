//! Reading the protocol's primitives off a frame.
//!
//! Counts and lengths are checked against the bytes that arrived before memory is reserved for them. No byte covers two counts. The
//! memory for a frame is therefore proportional to its size, whatever it claims.

use bytes::Buf;
use bytes::Bytes;

use super::error::DecodeError;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;

/// Limit of the memory for an element of an array, as a multiple of the fewest bytes that encode one.
pub const COST_MAX: usize = 8;

/// Reads primitives off a frame. Byte fields borrow from the frame.
#[derive(Debug)]
pub struct Reader {
    rest: Bytes,
    flexible: bool,
    /// Bytes of `rest` reserved for later elements of the arrays being read. Only those elements may use them: an array within an
    /// array cannot claim bytes that the outer array has claimed.
    promised: usize,
}

impl Reader {
    /// Reads `bytes`; `flexible` versions have compact lengths and tagged fields (KIP-482).
    pub fn new(bytes: Bytes, flexible: bool) -> Self {
        Self { rest: bytes, flexible, promised: 0 }
    }

    /// How many bytes have not been read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// How many bytes have not been read and are not reserved for later elements.
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

    /// A length, in the encoding of the version. `None` is null.
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

    /// The element count of an array that is not null.
    fn count(&mut self, min_len: usize) -> Result<usize, DecodeError> {
        self.nullable_count(min_len)?.ok_or(DecodeError::Negative(-1))
    }

    /// Reads `count` elements. At least `min_len` bytes stay reserved for each of them until it is read.
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

    /// An array whose elements `read` reads. A whole element has at least `min_len` bytes.
    pub fn array<T>(
        &mut self,
        min_len: usize,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(min_len)?;
        self.elements(count, min_len, read)
    }

    /// An array that may be null.
    pub fn nullable_array<T>(
        &mut self,
        min_len: usize,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        match self.nullable_count(min_len)? {
            Some(count) => self.elements(count, min_len, read).map(Some),
            None => Ok(None),
        }
    }

    fn elements<T>(
        &mut self,
        count: usize,
        min_len: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        // The exact capacity: doubling would take up to three times as much for a frame full of the smallest elements.
        let mut elements = Vec::with_capacity(count);
        self.promised += count * min_len;
        for _ in 0..count {
            self.promised -= min_len;
            elements.push(read(self)?);
        }
        Ok(elements)
    }

    /// An array from which `read` drops elements by returning `None`. Elements that it keeps have at least `kept_len` bytes.
    pub fn array_of_kept<T>(
        &mut self,
        min_len: usize,
        kept_len: usize,
        mut read: impl FnMut(&mut Self) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(min_len)?;
        let mut elements = Vec::with_capacity(count.min(self.free() / kept_len));
        self.each(count, min_len, |reader| {
            elements.extend(read(reader)?);
            Ok(())
        })?;
        Ok(elements)
    }

    /// Skips an array whose elements `skip` skips.
    pub fn skip_array(
        &mut self,
        min_len: usize,
        skip: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.count(min_len)?;
        self.each(count, min_len, skip)
    }

    /// Skips an array that may be null, whose elements `skip` skips.
    pub fn skip_nullable_array(
        &mut self,
        min_len: usize,
        skip: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.nullable_count(min_len)?.unwrap_or(0);
        self.each(count, min_len, skip)
    }

    /// An array of numbers.
    pub fn i32s(&mut self) -> Result<Vec<i32>, DecodeError> {
        let count = self.count(4)?;
        let (numbers, _) = self.rest[..count * 4].as_chunks();
        let numbers = numbers.iter().map(|bytes| i32::from_be_bytes(*bytes)).collect();
        self.rest.advance(count * 4);
        Ok(numbers)
    }

    /// Converts a string that may be null.
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

    /// A string that may be null, without spare capacity.
    pub fn nullable_str(&mut self) -> Result<Option<Box<str>>, DecodeError> {
        self.text(|text| Box::from(text))
    }

    /// A string without spare capacity.
    pub fn str(&mut self) -> Result<Box<str>, DecodeError> {
        self.nullable_str()?.ok_or(DecodeError::Negative(-1))
    }

    pub fn topic(&mut self) -> Result<TopicName, DecodeError> {
        self.text(|text| TopicName::from(text))?.ok_or(DecodeError::Negative(-1))
    }

    /// Skips a string.
    pub fn skip_string(&mut self) -> Result<(), DecodeError> {
        self.text(|_| ())?.ok_or(DecodeError::Negative(-1))
    }

    /// Skips a string that may be null.
    pub fn skip_nullable_string(&mut self) -> Result<(), DecodeError> {
        self.text(|_| ()).map(drop)
    }

    /// Bytes that may be null, without copying them.
    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        self.take(length).map(Some)
    }

    /// Bytes, without copying them.
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        self.nullable_bytes()?.ok_or(DecodeError::Negative(-1))
    }

    /// Reads the tagged fields of a flexible version, whose tags ascend. `known` reads the fields it knows to their ends, and does
    /// not touch the others.
    pub fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.flexible { self.tagged(&mut known) } else { Ok(()) }
    }

    /// Not generic, because each message would have a copy of it.
    fn tagged(&mut self, known: &mut dyn FnMut(u32, &mut Self) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_beyond_the_frame_is_refused_before_memory_is_reserved() {
        let mut reader = Reader::new(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]), false);
        let refused = DecodeError::CountExceedsFrame { count: 0x7fff_ffff, remaining: 0 };
        assert_eq!(reader.i32s(), Err(refused.clone()));
        let mut reader = Reader::new(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]), false);
        assert_eq!(reader.array(4, Reader::i32), Err(refused));
    }

    /// Two elements of at least five bytes. The first claims numbers that would lie in the bytes of the second.
    #[test]
    fn inner_array_cannot_claim_bytes_of_the_outer_array() {
        let read = |inner: u8| {
            let frame = [&[3, inner][..], &[0; 4], &[2], &[0; 4]].concat();
            Reader::new(frame.into(), true).array(5, Reader::i32s)
        };
        assert_eq!(read(2), Ok(vec![vec![0], vec![0]]));
        assert_eq!(read(3), Err(DecodeError::CountExceedsFrame { count: 2, remaining: 4 }));
    }

    #[test]
    fn known_tagged_field_of_another_size_is_refused() {
        let read = |size: u8| {
            let frame = [&[1, 0, size][..], &[0; 3]].concat();
            Reader::new(frame.into(), true).tags(|_, field| field.i16().map(drop))
        };
        assert_eq!(read(2), Ok(()));
        assert_eq!(read(1), Err(DecodeError::Truncated));
        assert_eq!(read(3), Err(DecodeError::TagSize(0)));
    }

    #[test]
    fn varint_of_more_than_32_bits_is_refused() {
        let read = |bytes: &'static [u8]| Reader::new(Bytes::from_static(bytes), true).uvarint();
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(DecodeError::Varint));
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]), Err(DecodeError::Varint));
        assert_eq!(read(&[0x80]), Err(DecodeError::Truncated));
    }
}
