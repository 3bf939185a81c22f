//! Durations in the form of ISO 8601 that Java reads: `PnDTnHnMn.nS`.

use std::time::Duration;

/// Reads a duration (`java.time.Duration.parse`), in upper case. `None` for another text, for one below zero, and for one that is too long.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('P')?;
    let (days, time) = text.split_once('T').map_or((text, None), |(days, time)| (days, Some(time)));
    let mut rest = days;
    let days = whole(&mut rest, 'D')?;
    // There is nothing else before the time, and something in it.
    if !rest.is_empty() || time.is_some_and(str::is_empty) || (days.is_none() && time.is_none()) {
        return None;
    }
    let mut rest = time.unwrap_or_default();
    let (hours, minutes) = (whole(&mut rest, 'H')?, whole(&mut rest, 'M')?);
    let seconds = seconds(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    let mut sum = 0_u64;
    for (count, unit) in [(days, 86_400), (hours, 3_600), (minutes, 60)] {
        sum = sum.checked_add(count.unwrap_or(0).checked_mul(unit)?)?;
    }
    Duration::from_secs(sum).checked_add(seconds)
}

/// Takes a whole number and its unit from the beginning, if they are there. `None` if the number is too large.
#[allow(clippy::option_option, reason = "the outer one is malformed, the inner one absent")]
fn whole(rest: &mut &str, unit: char) -> Option<Option<u64>> {
    let Some((number, after)) = rest.split_once(unit) else { return Some(None) };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    *rest = after;
    number.parse().ok().map(Some)
}

/// Takes seconds, in fractions of nine digits at most.
fn seconds(rest: &mut &str) -> Option<Duration> {
    let Some((number, after)) = rest.split_once('S') else { return Some(Duration::ZERO) };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    *rest = after;
    Some(Duration::new(whole.parse().ok()?, format!("{fraction:0<9}").parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_by_java() {
        let rows = [
            ("PT0S", 0),
            ("PT1H", 3_600_000),
            ("P1D", 86_400_000),
            ("P2DT3H4M", 183_840_000),
            ("PT15M", 900_000),
            ("PT20.345S", 20_345),
            ("PT8H6M12.5S", 29_172_500),
            ("P7DT0.001S", 604_800_001),
        ];
        for (text, millis) in rows {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_durations() {
        let texts = [
            "",
            "P",
            "PT",
            "P1DT",
            "1H",
            "P1H",
            "PT1D",
            "PT-1H",
            "-PT1H",
            "PT1M1H",
            "PT1S1M",
            "PT.5S",
            "PT1.5H",
            "P1Y",
            "PT1",
            "PT1H ",
            "P99999999999999999999D",
            "P999999999999999999D",
            "PT1.0000000001S",
            "PTS",
            "PTH",
            "P+1D",
        ];
        for text in texts {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
