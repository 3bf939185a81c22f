//! Zig-zag variable-length numbers, as in records (`ByteUtils`).

use super::RecordError;

/// The zig-zag encoding of a signed number.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The number of bytes that `value` takes.
pub(super) fn len(value: i64) -> usize {
    match zigzag(value) {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        // Seven bits a byte.
        more => ((64 - more.leading_zeros()) as usize).div_ceil(7),
    }
}

/// The most bytes that a number takes.
pub(super) const LEN_MAX: usize = 10;

/// Writes `value` at `at` and returns the index after it. There must be [`LEN_MAX`] bytes.
pub(super) fn write(out: &mut [u8], mut at: usize, value: i64) -> usize {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out[at] = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    out[at] = (rest & 0x7f) as u8;
    at + 1
}

/// Appends `value`.
pub(super) fn put(out: &mut Vec<u8>, value: i64) {
    let rest = zigzag(value);
    if rest < 0x80 {
        out.push((rest & 0x7f) as u8);
        return;
    }
    let mut bytes = [0; LEN_MAX];
    let end = write(&mut bytes, 0, value);
    out.extend_from_slice(&bytes[..end]);
}

/// An error inside a batch. It is small and has no destructor, because checking a fetched batch returns a result for every
/// field, and consumers spend most of their time there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A length that does not fit into the enclosing bytes.
    Length(i64),
    /// An offset that overflows or is negative.
    Offset,
    /// A variable-length number that is too long.
    Varint,
}

impl Flaw {
    /// Too few or too many bytes are left.
    pub(super) fn left(bytes: &[u8]) -> Self {
        Self::Length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
    }
}

impl From<Flaw> for RecordError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Length(length) => Self::Length(length),
            Flaw::Offset => Self::Offset,
            Flaw::Varint => Self::Varint,
        }
    }
}

/// Takes a number of at most 64 bits off the front of `bytes`.
#[inline(always)]
pub(super) fn take(bytes: &mut &[u8]) -> Result<i64, Flaw> {
    // Nearly every length and delta takes one or two bytes.
    match **bytes {
        [first, ref rest @ ..] if first < 0x80 => {
            *bytes = rest;
            Ok(unzigzag(u64::from(first)))
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *bytes = rest;
            Ok(unzigzag(u64::from(first & 0x7f) | u64::from(second) << 7))
        }
        _ => take_long(bytes),
    }
}

/// Takes a number of at most 32 bits: five bytes.
#[inline(always)]
pub(super) fn take_i32(bytes: &mut &[u8]) -> Result<i32, Flaw> {
    match **bytes {
        [first, ref rest @ ..] if first < 0x80 => {
            *bytes = rest;
            Ok(unzigzag_i32(u32::from(first)))
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *bytes = rest;
            Ok(unzigzag_i32(u32::from(first & 0x7f) | u32::from(second) << 7))
        }
        _ => take_long_i32(bytes),
    }
}

#[inline(always)]
fn unzigzag_i32(value: u32) -> i32 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cold]
fn take_long_i32(bytes: &mut &[u8]) -> Result<i32, Flaw> {
    let before = bytes.len();
    let value = take_long(bytes)?;
    if before - bytes.len() > 5 {
        return Err(Flaw::Varint);
    }
    i32::try_from(value).map_err(|_| Flaw::Varint)
}

#[cold]
fn take_long(bytes: &mut &[u8]) -> Result<i64, Flaw> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return Err(Flaw::Varint);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(unzigzag(value));
        }
    }
    if bytes.len() < 10 { Err(Flaw::left(bytes)) } else { Err(Flaw::Varint) }
}

#[inline]
fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_in_the_predicted_length() {
        let edges =
            [0, -1, 1, 63, 64, -64, -65, 8_191, 8_192, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN];
        for value in edges {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out.len(), len(value), "{value}");
            let mut rest = &out[..];
            assert_eq!(take(&mut rest), Ok(value));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn overlong_numbers_are_refused() {
        assert_eq!(take_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), Err(Flaw::Varint));
        assert_eq!(take(&mut &[0xff; 11][..]), Err(Flaw::Varint));
        assert!(take(&mut &[0x80][..]).is_err());
        assert!(take(&mut &[][..]).is_err());
    }
}
