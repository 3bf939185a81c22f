//! Zig-zag variable-length numbers, as in records (`ByteUtils`).

use super::RecordError;

/// The number that a signed one is written as.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// How many bytes `value` takes.
pub(super) fn len(value: i64) -> usize {
    // Seven bits a byte; zero takes one.
    let bits = 64 - (zigzag(value) | 1).leading_zeros();
    (bits as usize).div_ceil(7)
}

/// Appends `value`.
pub(super) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    if rest < 0x80 {
        out.push(rest as u8 & 0x7f);
        return;
    }
    let mut bytes = [0; 10];
    let mut at = 0;
    while rest >= 0x80 {
        bytes[at] = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    bytes[at] = (rest & 0x7f) as u8;
    out.extend_from_slice(&bytes[..=at]);
}

/// Takes a number of at most 64 bits off the front of `bytes`.
pub(super) fn take(bytes: &mut &[u8]) -> Result<i64, RecordError> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return Err(RecordError::Varint);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    if bytes.len() < 10 { Err(RecordError::Length(bytes.len() as i64)) } else { Err(RecordError::Varint) }
}

/// Takes a number of at most 32 bits: five bytes.
pub(super) fn take_i32(bytes: &mut &[u8]) -> Result<i32, RecordError> {
    // Nearly every length and delta takes one byte.
    if let Some((first, rest)) = bytes.split_first() {
        if first & 0x80 == 0 {
            *bytes = rest;
            return Ok(i32::from(first >> 1) ^ -i32::from(first & 1));
        }
    }
    let before = bytes.len();
    let value = take(bytes)?;
    if before - bytes.len() > 5 {
        return Err(RecordError::Varint);
    }
    i32::try_from(value).map_err(|_| RecordError::Varint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_take_the_length_that_was_said() {
        let edges = [0, -1, 1, 63, 64, -64, -65, 8_191, 8_192, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN];
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
        assert_eq!(take_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), Err(RecordError::Varint));
        assert_eq!(take(&mut &[0xff; 11][..]), Err(RecordError::Varint));
        assert!(take(&mut &[0x80][..]).is_err());
        assert!(take(&mut &[][..]).is_err());
    }
}
