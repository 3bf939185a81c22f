//! Base64 (RFC 4648, section 4) for bytes that are not text.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            // One byte fills two digits, two fill three.
            let digit = if index > group.len() { b'=' } else { ALPHABET[(bits >> (18 - 6 * index) & 0x3f) as usize] };
            text.push(char::from(digit));
        }
    }
    text
}
