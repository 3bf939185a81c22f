//! The grammar of `tracestate`: a list of at most 32 entries, `key=value`, over all headers of that name.

/// The most entries (Trace Context, 3.3.1.1).
const ENTRIES_MAX: usize = 32;
/// The longest key, with its tenant, and the longest value, in bytes.
const PART_MAX: usize = 256;

/// Joins the values of all headers into one. Its length is bounded by the grammar: about 16 KiB.
pub(super) fn joined<'h>(headers: impl Iterator<Item = &'h [u8]>) -> Result<String, &'static str> {
    let mut entries: Vec<(&str, &str)> = Vec::new();
    for entry in headers.flat_map(|header| header.split(|byte| *byte == b',')) {
        let entry = std::str::from_utf8(entry).map_err(|_| "an entry has characters outside ASCII")?;
        let entry = entry.trim_matches([' ', '\t']);
        if entry.is_empty() {
            continue;
        }
        let (key, value) = entry.split_once('=').ok_or("an entry has no equals sign")?;
        if !is_key(key) {
            return Err("a key is malformed");
        }
        if !is_value(value) {
            return Err("a value is malformed");
        }
        if entries.iter().any(|(known, _)| *known == key) {
            return Err("a key occurs twice");
        }
        if entries.len() == ENTRIES_MAX {
            return Err("it has more than 32 entries");
        }
        entries.push((key, value));
    }
    Ok(entries.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
}

/// A key of level 2: a lower-case letter or a digit first, then also `_`, `-`, `*`, `/` and `@`.
fn is_key(key: &str) -> bool {
    let is_first = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let is_later = |byte: &u8| is_first(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= PART_MAX && key.as_bytes().first().is_some_and(is_first) && key.as_bytes().iter().all(is_later)
}

/// Printable ASCII without a comma and an equals sign. Spaces around an entry do not belong to it.
fn is_value(value: &str) -> bool {
    let is_printable = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=PART_MAX).contains(&value.len()) && value.bytes().all(is_printable)
}

#[cfg(test)]
mod tests {
    use super::joined;

    fn of(headers: &[&str]) -> Result<String, &'static str> {
        joined(headers.iter().map(|header| header.as_bytes()))
    }

    #[test]
    fn headers_are_joined_in_order_without_empty_entries() {
        assert_eq!(of(&["a=1 , ,b@c/d=x y", "", "9=~"]), Ok("a=1,b@c/d=x y,9=~".to_owned()));
        assert_eq!(of(&[]), Ok(String::new()));
    }

    #[test]
    fn entries_outside_the_grammar_are_refused() {
        let long = "x".repeat(257);
        for bad in ["a", "=1", "a=", "A=1", "_a=1", "a b=1", "a=1=2", "a=\u{e4}", "a=\n", "a=1,b", "a=1,a=1"] {
            assert!(of(&[bad]).is_err(), "{bad}");
        }
        assert!(of(&[&format!("{long}=1")]).is_err() && of(&[&format!("a={long}")]).is_err());
        assert!(of(&["a=1", "a=1"]).is_err(), "a key occurs in two headers");
        assert!(joined([&b"a=\xff"[..]].into_iter()).is_err());
    }

    #[test]
    fn hostile_list_is_refused_at_its_33rd_entry() {
        let many = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(of(&[&many(32)]).is_ok());
        assert_eq!(of(&[&many(33)]), Err("it has more than 32 entries"));
        assert_eq!(of(&[&many(1_000_000)]), Err("it has more than 32 entries"));
        assert_eq!(of(&[&",".repeat(1 << 20)]), Ok(String::new()));
    }
}
