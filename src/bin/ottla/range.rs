//! The range that `-o` names: where reading starts, and the timestamp at which it stops.

use ottla::consumer::Start;

use crate::Failure;

/// Where reading starts, and the timestamp at which each partition stops.
#[derive(Debug, Default)]
pub(crate) struct Range {
    pub(crate) start: Option<Start>,
    /// Milliseconds since 1970: a record with this timestamp, or a later one, ends the read of its partition.
    pub(crate) until: Option<i64>,
}

impl Range {
    /// Reads every `-o`: one start at most, and one end.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, Failure> {
        let mut range = Self::default();
        for text in texts {
            let is_second = match text.strip_prefix("e@") {
                Some(timestamp) => {
                    let timestamp = timestamp.parse().ok().filter(|timestamp| *timestamp >= 0);
                    range.until.replace(timestamp.ok_or_else(|| wrong(text))?).is_some()
                }
                None => range.start.replace(start(text)?).is_some(),
            };
            if is_second {
                return Err(Failure::Usage(format!("-o {text}: give one start and one end (e@TIMESTAMP_MS) at most")));
            }
        }
        if let (Some(Start::Timestamp(start)), Some(until)) = (&range.start, range.until)
            && *start >= until
        {
            return Err(Failure::Usage(format!("-o e@{until}: the end is not after the start s@{start}")));
        }
        Ok(range)
    }
}

fn wrong(text: &str) -> Failure {
    Failure::Usage(format!(
        "-o {text}: give beginning, end, an offset, -N, s@TIMESTAMP_MS or stored, and e@TIMESTAMP_MS to stop at"
    ))
}

fn start(text: &str) -> Result<Start, Failure> {
    match text {
        "beginning" => return Ok(Start::Earliest),
        "end" => return Ok(Start::Latest),
        "stored" => return Ok(Start::StoredOnly),
        _ => {}
    }
    if let Some(timestamp) = text.strip_prefix("s@") {
        return timestamp.parse().map(Start::Timestamp).map_err(|_| wrong(text));
    }
    let number: i64 = text.parse().map_err(|_| wrong(text))?;
    Ok(if text.starts_with('-') {
        Start::FromEnd(number.checked_neg().ok_or_else(|| wrong(text))?)
    } else {
        Start::Offset(number)
    })
}
