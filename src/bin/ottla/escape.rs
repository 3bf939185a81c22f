//! Escapes in delimiters and formats, as kcat has them: `\n`, `\r`, `\t`, `\0`, `\\` and `\xNN`.

use std::str::Chars;

use crate::Failure;

/// The bytes of a delimiter. `option` is named in errors.
pub(crate) fn delimiter(option: &str, text: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => bytes.push(byte(option, &mut letters)?),
            other => push(other, &mut bytes),
        }
    }
    Ok(bytes)
}

/// Adds a character as UTF-8.
pub(crate) fn push(letter: char, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads the escape after a backslash.
///
/// kcat reads `\012` as octal and every unknown letter as itself. Both would be wrong data without a sign of it, so they are
/// errors here.
pub(crate) fn byte(option: &str, letters: &mut Chars<'_>) -> Result<u8, Failure> {
    let rest = letters.as_str();
    let (byte, length) = match rest.as_bytes() {
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b't', ..] => (b'\t', 1),
        [b'\\', ..] => (b'\\', 1),
        [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            (u8::from_str_radix(&rest[1..3], 16).expect("two hexadecimal digits"), 3)
        }
        [b'0', next, ..] if next.is_ascii_digit() => return Err(unknown(option, rest, 2)),
        [b'0', ..] => (0, 1),
        [b'x', ..] => return Err(unknown(option, rest, 3)),
        _ => return Err(unknown(option, rest, 1)),
    };
    *letters = rest[length..].chars();
    Ok(byte)
}

fn unknown(option: &str, rest: &str, length: usize) -> Failure {
    let escape: String = rest.chars().take(length).collect();
    Failure::Usage(format!(r"{option}: \{escape} is not an escape; there are \n \r \t \0 \\ and \xNN"))
}
