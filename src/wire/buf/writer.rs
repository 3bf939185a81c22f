//! Writing the protocol's primitives into pieces for a vectored write, without copying record bytes.

use std::collections::VecDeque;

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;

use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;

/// Bytes to be written, in pieces. Small ones are copied into one buffer, large ones are referenced.
#[derive(Debug, Default)]
pub struct Chunks {
    parts: VecDeque<Bytes>,
    scratch: BytesMut,
    parts_len: usize,
    flexible: bool,
}

/// Pieces of at least this size are referenced. Copying smaller ones costs less than another piece of a vectored write.
const REFERENCE_FROM: usize = 4096;

impl Chunks {
    /// Whether lengths are compact and tagged fields are written (KIP-482).
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.parts_len + self.scratch.len()
    }

    /// Whether nothing was written.
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
        let fits = "lengths within a request fit a frame";
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

    /// An array whose elements `write` writes.
    pub fn put_array<T>(&mut self, elements: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.put_count(Some(elements.len()));
        for element in elements {
            write(self, element);
        }
    }

    pub fn put_nullable_string(&mut self, text: Option<&str>) {
        // The length of a classic string has 16 bits. A longer string is cut between characters so that the frame stays valid.
        let text = text.map(|text| if self.flexible { text } else { cut(text, 32_767) });
        self.put_length(text.map(str::len), true);
        self.scratch.put_slice(text.unwrap_or_default().as_bytes());
    }

    pub fn put_string(&mut self, text: &str) {
        self.put_nullable_string(Some(text));
    }

    /// One byte field in one or more pieces. Large pieces are referenced.
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

    /// The content of a tagged field, which `write` writes.
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

    /// The pieces, in order.
    pub fn into_parts(mut self) -> VecDeque<Bytes> {
        self.flush();
        self.parts
    }

    /// All bytes in one piece.
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
    fn large_pieces_are_referenced_and_small_ones_copied() {
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
