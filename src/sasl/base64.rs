//! Base64 (RFC 4648): the plain alphabet with padding, as SCRAM has it, and the URL-safe one without, as tokens have it.

#[cfg(any(test, feature = "sasl-oauth", feature = "scram"))]
const PLAIN: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes with padding.
#[cfg(any(test, feature = "sasl-oauth", feature = "scram"))]
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = letters(bytes, PLAIN);
    text.extend(std::iter::repeat_n('=', text.len().next_multiple_of(4) - text.len()));
    text
}

/// Encodes with the URL-safe alphabet, without padding.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    letters(bytes, URL)
}

fn letters(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for letter in 0..=group.len() {
            let index = (bits >> (18 - 6 * letter)) & 0x3f;
            text.push(char::from(alphabet[usize::try_from(index).expect("six bits fit")]));
        }
    }
    text
}

/// Decodes text with padding; `None` unless it is what [`encode`] gives.
#[cfg(any(test, feature = "scram"))]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let unpadded = text.trim_end_matches('=');
    let bytes = values(unpadded, PLAIN)?;
    (encode(&bytes) == text).then_some(bytes)
}

/// Decodes URL-safe text without padding; `None` unless it is what [`encode_url`] gives.
#[cfg(any(test, feature = "sasl-oauth"))]
pub(crate) fn decode_url(text: &str) -> Option<Vec<u8>> {
    let bytes = values(text, URL)?;
    (encode_url(&bytes) == text).then_some(bytes)
}

#[cfg(any(test, feature = "sasl-oauth", feature = "scram"))]
fn values(text: &str, alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for letter in group {
            let value = alphabet.iter().position(|known| known == letter)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * (4 - group.len());
        let whole = bits.to_be_bytes();
        bytes.extend_from_slice(&whole[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn vectors_of_the_standard_are_encoded_and_decoded() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, encoded) in vectors {
            assert_eq!(encode(plain.as_bytes()), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(encode_url(&[0xfb, 0xff]), "-_8");
        assert_eq!(decode_url("-_8").as_deref(), Some(&[0xfb, 0xff][..]));
    }

    #[test]
    fn text_that_nobody_encodes_is_refused() {
        for wrong in ["Zg", "Zg=", "Zh==", "Z", "=", "====", "Zm9v=", "Zm 9", "Zm9vé", "Zg==Zg=="] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        for wrong in ["Zg==", "Zh", "+/8", "Z"] {
            assert_eq!(decode_url(wrong), None, "{wrong}");
        }
    }
}
