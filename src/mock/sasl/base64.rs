//! Base64 of the messages of SASL, with both alphabets, with or without padding.

/// Decodes; `None` where a character is of neither alphabet.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Encodes, with padding.
#[cfg(feature = "scram")]
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        for at in 0..4_usize {
            let value = u8::try_from(bits >> (18 - 6 * at) & 0x3f).unwrap_or(0);
            text.push(match value {
                _ if at > group.len() => '=',
                0..=25 => char::from(b'A' + value),
                26..=51 => char::from(b'a' + value - 26),
                52..=61 => char::from(b'0' + value - 52),
                62 => '+',
                _ => '/',
            });
        }
    }
    text
}
