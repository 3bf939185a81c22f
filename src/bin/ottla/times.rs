//! Points in time and durations as the user writes them (ISO 8601).

use std::time::Duration;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Milliseconds since 1970 of `2026-01-31T12:00:00`, with or without fractions of a second and an offset (`Z`, `+02:00`), or of a
/// number of milliseconds. Without an offset it is UTC, as in Kafka's own tools.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    if let Ok(milliseconds) = text.parse::<i64>() {
        return (milliseconds >= 0).then_some(milliseconds);
    }
    let (date, time) = text.split_once('T')?;
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], offset(&time[at..])?),
        None => (time, 0),
    };
    let mut numbers = date.split('-');
    let (year, month, day) = (number(numbers.next()?, 4)?, number(numbers.next()?, 2)?, number(numbers.next()?, 2)?);
    let days = days(year, month, day).filter(|_| numbers.next().is_none())?;
    let milliseconds = days * DAY + time_of_day(time)? - offset;
    (milliseconds >= 0).then_some(milliseconds)
}

/// The length of a duration such as `P1DT2H30M`, `PT15M` or `PT0.5S`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('P')?;
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    let units = [(date, &[('D', DAY)][..]), (time, &[('H', HOUR), ('M', MINUTE), ('S', SECOND)])];
    let mut total: u64 = 0;
    let mut has_part = false;
    for (mut rest, units) in units {
        let mut units = units.iter();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let unit = rest[end..].chars().next()?;
            let (_, length) = units.find(|(name, _)| *name == unit)?;
            let (whole, fraction) = match rest[..end].split_once('.') {
                Some((whole, fraction)) if unit == 'S' => (whole, milliseconds(fraction)?),
                Some(_) => return None,
                None => (&rest[..end], 0),
            };
            let part = whole.parse::<u64>().ok()?.checked_mul(length.unsigned_abs())?;
            total = total.checked_add(part)?.checked_add(fraction.unsigned_abs())?;
            rest = &rest[end + 1..];
            has_part = true;
        }
    }
    has_part.then(|| Duration::from_millis(total))
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The first three digits of a fraction of a second.
fn milliseconds(fraction: &str) -> Option<i64> {
    let is_number = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let digits: String = fraction.chars().chain("00".chars()).take(3).collect();
    digits.parse().ok().filter(|_| is_number)
}

fn time_of_day(text: &str) -> Option<i64> {
    let (text, fraction) = match text.split_once('.') {
        Some((text, fraction)) => (text, milliseconds(fraction)?),
        None => (text, 0),
    };
    let mut numbers = text.split(':');
    let (hours, minutes) = (number(numbers.next()?, 2)?, number(numbers.next()?, 2)?);
    let seconds = numbers.next().map_or(Some(0), |seconds| number(seconds, 2))?;
    let is_valid = hours < 24 && minutes < 60 && seconds < 60 && numbers.next().is_none();
    is_valid.then_some(hours * HOUR + minutes * MINUTE + seconds * SECOND + fraction)
}

fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text[1..].split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let (hours, minutes) = (number(hours, 2)?, if minutes.is_empty() { 0 } else { number(minutes, 2)? });
    (hours < 24 && minutes < 60).then_some(sign * (hours * HOUR + minutes * MINUTE))
}

/// Days from 1970 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month - 1).ok().filter(|before| *before < 12)?;
    if !(1..=lengths[before]).contains(&day) {
        return None;
    }
    let past = year - 1;
    let years = past * 365 + past / 4 - past / 100 + past / 400;
    // 719,162 days passed from the year 1 to 1970.
    Some(years - 719_162 + lengths[..before].iter().sum::<i64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_read_as_iso_8601_or_milliseconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:00", 0),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000),
            ("2024-02-29T23:59:59.25", 1_709_251_199_250),
            ("2000-03-01T00:00", 951_868_800_000),
            ("2026-01-01T02:00:00.000+02:00", 1_767_225_600_000),
            ("2025-12-31T19:00:00-0500", 1_767_225_600_000),
            ("1767225600000", 1_767_225_600_000),
        ] {
            assert_eq!(timestamp(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "now",
            "-5",
            "2026-01-01",
            "2025-02-29T00:00:00",
            "2026-13-01T00:00:00",
            "2026-01-00T00:00:00",
            "2026-01-01T24:00:00",
            "2026-01-01T00:60:00",
            "2026-01-01T00:00:00.",
            "2026-01-01T00:00:00+2",
            "1969-12-31T23:59:59",
            "2026-01-01-01T00:00:00",
            "2026-01-01T00:00:00+é",
            "26-01-01T00:00:00",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_iso_8601() {
        for (text, seconds) in [("PT15M", 900.0), ("P1D", 86_400.0), ("P1DT2H3M4S", 93_784.0), ("PT0.5S", 0.5)] {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "P", "PT", "15M", "P15M", "PT1D", "PT5", "PT1.5H", "PT1M1H", "P1DT", "PT99999999999999999999S"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
