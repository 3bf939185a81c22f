//! Names and dates in a certificate, for errors and for one that is trusted as it is. Certificates come from the network: nothing here
//! panics on them.

use rustls::pki_types::UnixTime;

/// The names of a subject or an issuer: its common name, or else its organization. The bytes are a name of X.501 without its outer tag.
pub(super) fn common_name(name: &[u8]) -> Option<String> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    const ORGANIZATION: &[u8] = &[0x55, 4, 10];
    let find = |wanted: &[u8]| {
        let mut rest = name;
        while let Some((SET, attributes, after)) = element(rest) {
            rest = after;
            let Some((SEQUENCE, attribute, _)) = element(attributes) else { continue };
            let Some((OBJECT, id, value)) = element(attribute) else { continue };
            if id == wanted {
                let (_, text, _) = element(value)?;
                return Some(shown(text));
            }
        }
        None
    };
    find(COMMON_NAME).or_else(|| find(ORGANIZATION))
}

/// A text of somebody else's, in a form that may be shown: short, and without control characters.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

const NAME_CHARS_MAX: usize = 64;

/// The times from and until which a certificate is valid, in seconds of Unix time.
pub(super) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, mut rest, _) = element(certificate)? else { return None };
    if let Some((VERSION, _, after)) = element(rest) {
        rest = after;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (SEQUENCE, times, _) = element(rest)? else { return None };
    let (first_tag, first, after) = element(times)?;
    let (last_tag, last, _) = element(after)?;
    Some((time(first_tag, first)?, time(last_tag, last)?))
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 6;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Splits off the first element of DER: its tag, its contents, and what follows.
pub(crate) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        // The length in one to three bytes.
        long @ 0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

/// Reads `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, the only forms that RFC 5280 allows.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let year: u64 = text[..2].parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, &text[2..])
        }
        (GENERALIZED_TIME, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |index: usize| rest[2 * index..2 * index + 2].parse::<u64>().ok();
    let (month, day, hour, minute, second) = (part(0)?, part(1)?, part(2)?, part(3)?, part(4)?);
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then(|| days_before(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March, so that the leap day ends them.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days - 719_468
}

/// A date, as `YYYY-MM-DD`.
pub(super) fn date(time: UnixTime) -> String {
    let days = time.as_secs() / 86_400 + 719_468;
    // 400 years have 146,097 days; years begin in March.
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + next)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_read_and_written_as_calendars_have_them() {
        for (text, seconds, shown) in [
            ("19700101000000Z", 0, "1970-01-01"),
            ("20000229120000Z", 951_825_600, "2000-02-29"),
            ("20261126152007Z", 1_795_706_407, "2026-11-26"),
            ("99991231235959Z", 253_402_300_799, "9999-12-31"),
        ] {
            assert_eq!(time(GENERALIZED_TIME, text.as_bytes()), Some(seconds), "{text}");
            assert_eq!(date(UnixTime::since_unix_epoch(Duration::from_secs(seconds))), shown);
        }
        assert_eq!(time(UTC_TIME, b"261126152007Z"), Some(1_795_706_407));
        for wrong in ["261326152007Z", "261126152007", "+61126152007Z", "2611261520Z", "20261126152007Z"] {
            assert_eq!(time(UTC_TIME, wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn common_name_is_preferred_and_made_printable() {
        let attribute = |id: u8, text: &[u8]| {
            let value = [&[0x0c, u8::try_from(text.len()).expect("short")], text].concat();
            let inner = [&[OBJECT, 3, 0x55, 4, id][..], &value].concat();
            let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("short");
            let sequence = [&[SEQUENCE, length(&inner)][..], &inner].concat();
            [&[SET, length(&sequence)][..], &sequence].concat()
        };
        let name = [attribute(10, b"ACME"), attribute(3, b"test\n-ca")].concat();
        assert_eq!(common_name(&name).as_deref(), Some("test-ca"));
        assert_eq!(common_name(&attribute(10, b"ACME")).as_deref(), Some("ACME"));
        assert_eq!(common_name(&attribute(3, &[b'a'; 100])).map(|name| name.len()), Some(64));
        assert_eq!(common_name(&[SET, 0x83, 0xff, 0xff, 0xff]), None, "a length beyond the end");
        assert_eq!(common_name(&[]), None);
    }
}
