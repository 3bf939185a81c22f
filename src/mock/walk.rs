//! Decodes the records of a decompressed v2 batch without allocating. The decoder is the mock's own.

/// One record in its batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawRecord<'a> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: RawHeaders<'a>,
}

/// A record's headers, which were decoded once already, so that this cannot fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawHeaders<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> RawHeaders<'a> {
    /// Each header's key and value.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let mut rest = Cursor { bytes: self.bytes };
        (0..self.count).map_while(move |_| rest.header())
    }
}

/// Decodes records until they end or one is malformed.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    rest: Cursor<'a>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(records: &'a [u8]) -> Self {
        Self { rest: Cursor { bytes: records } }
    }

    /// Whether every byte was decoded.
    pub(super) fn is_done(&self) -> bool {
        self.rest.bytes.is_empty()
    }

    /// The next record, or `None` where the bytes have no valid one.
    pub(super) fn next_record(&mut self) -> Option<RawRecord<'a>> {
        let length = usize::try_from(self.rest.varint()?).ok()?;
        let mut record = Cursor { bytes: self.rest.take(length)? };
        let _attributes = record.take(1)?;
        let timestamp_delta = record.varlong()?;
        let offset_delta = record.varint()?;
        let key = record.nullable()?;
        let value = record.nullable()?;
        let count = usize::try_from(record.varint()?).ok()?;
        let headers = RawHeaders { count, bytes: record.bytes };
        for _ in 0..count {
            record.header()?;
        }
        record.bytes.is_empty().then_some(RawRecord { timestamp_delta, offset_delta, key, value, headers })
    }
}

#[derive(Clone, Copy, Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn header(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        Some((self.nullable()??, self.nullable()?))
    }

    /// A length and that many bytes; the length −1 is null, any other negative one malformed.
    #[allow(clippy::option_option, reason = "the outer one is malformed, the inner one null")]
    fn nullable(&mut self) -> Option<Option<&'a [u8]>> {
        match self.varint()? {
            -1 => Some(None),
            length => Some(Some(self.take(usize::try_from(length).ok()?)?)),
        }
    }

    fn varint(&mut self) -> Option<i32> {
        let bits = u32::try_from(self.unsigned(5)?).ok()?;
        Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }

    fn varlong(&mut self) -> Option<i64> {
        let bits = self.unsigned(10)?;
        Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }

    fn unsigned(&mut self, bytes_max: usize) -> Option<u64> {
        let mut value = 0_u64;
        for (index, byte) in self.bytes.iter().take(bytes_max).enumerate() {
            let shift = 7 * index;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[index + 1..];
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_integers_read_as_protobufs_zigzag() {
        let read = |bytes: &[u8]| Cursor { bytes }.varint();
        assert_eq!(read(&[0x00]), Some(0));
        assert_eq!(read(&[0x01]), Some(-1));
        assert_eq!(read(&[0xac, 0x02]), Some(150));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(i32::MIN));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None, "more than 32 bits");
        assert_eq!(read(&[0x80]), None, "unfinished");
        let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Cursor { bytes: &long }.varlong(), Some(i64::MIN));
    }

    #[test]
    fn a_record_must_fill_its_length() {
        let record = [0x0e, 0, 0, 0, 0x01, 0x02, b'v', 0];
        let read = Walk::new(&record).next_record().expect("well formed");
        assert_eq!((read.key, read.value), (None, Some(&b"v"[..])));
        let padded = [0x10, 0, 0, 0, 0x01, 0x02, b'v', 0, 0];
        assert!(Walk::new(&padded).next_record().is_none());
    }

    #[test]
    fn a_header_needs_a_key() {
        let with = [0x12, 0, 0, 0, 0x01, 0x01, 0x02, 0x02, b'h', 0x01];
        let mut walk = Walk::new(&with);
        let read = walk.next_record().expect("well formed");
        assert_eq!(read.headers.iter().collect::<Vec<_>>(), [(&b"h"[..], None)]);
        assert!(walk.is_done());
        let without = [0x10, 0, 0, 0, 0x01, 0x01, 0x02, 0x01, 0x01];
        assert!(Walk::new(&without).next_record().is_none());
    }
}
