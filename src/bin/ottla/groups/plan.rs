//! Decides the new offset of each partition, without asking anybody.

use std::time::Duration;

use crate::Failure;
use crate::args::groups::ResetOffsets;
use crate::times;

/// Where the offsets of a group go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Earliest,
    Latest,
    Offset(i64),
    /// By so many offsets from the committed one.
    Shift(i64),
    /// The first record with this timestamp or a later one, in milliseconds since 1970.
    Timestamp(i64),
}

impl Goal {
    /// Reads the options, of which clap admits exactly one.
    pub(super) fn parse(options: &ResetOffsets, now_ms: i64) -> Result<Self, Failure> {
        if options.to_earliest {
            return Ok(Self::Earliest);
        }
        if options.to_latest {
            return Ok(Self::Latest);
        }
        if let Some(offset) = options.to_offset {
            let refused = || Failure::Usage(format!("--to-offset {offset}: offsets are numbered from 0"));
            return if offset < 0 { Err(refused()) } else { Ok(Self::Offset(offset)) };
        }
        if let Some(by) = options.shift_by {
            return Ok(Self::Shift(by));
        }
        if let Some(text) = &options.to_datetime {
            let forms = "2026-01-31T12:00:00, with an offset if it is not UTC, or milliseconds since 1970";
            let refused = || Failure::Usage(format!("--to-datetime {text}: write it as {forms}"));
            return times::timestamp(text).map(Self::Timestamp).ok_or_else(refused);
        }
        let text = options.by_duration.as_deref().unwrap_or_default();
        let refused = || Failure::Usage(format!("--by-duration {text}: write it as P1DT2H3M4S, PT15M or the like"));
        let ago: Duration = times::duration(text).ok_or_else(refused)?;
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        Ok(Self::Timestamp(now_ms.saturating_sub(ago).max(0)))
    }
}

/// The offsets of a partition that are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) committed: Option<i64>,
    pub(super) start: i64,
    pub(super) end: i64,
    /// The offset of the goal's timestamp; `None` if no record is so late, or there is no timestamp.
    pub(super) at_timestamp: Option<i64>,
}

/// The new offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) to: i64,
    /// The offset that was asked for, if the log does not have it.
    pub(super) clamped_from: Option<i64>,
}

impl Goal {
    /// The new offset; `None` if there is no committed one to shift.
    pub(super) fn apply(self, known: Known) -> Option<Move> {
        let wanted = match self {
            Self::Earliest => known.start,
            Self::Latest => known.end,
            Self::Offset(offset) => offset,
            Self::Shift(by) => known.committed?.saturating_add(by),
            Self::Timestamp(_) => known.at_timestamp.unwrap_or(known.end),
        };
        // The log may have lost records between two requests.
        let to = wanted.min(known.end).max(known.start);
        Some(Move { to, clamped_from: (to != wanted).then_some(wanted) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { committed: Some(15), start: 10, end: 30, at_timestamp: Some(22) };

    #[test]
    fn new_offset_follows_the_goal_within_the_log() {
        let to = |goal: Goal| goal.apply(KNOWN).map(|moved| (moved.to, moved.clamped_from));
        assert_eq!(to(Goal::Earliest), Some((10, None)));
        assert_eq!(to(Goal::Latest), Some((30, None)));
        assert_eq!(to(Goal::Offset(30)), Some((30, None)));
        assert_eq!(to(Goal::Offset(31)), Some((30, Some(31))));
        assert_eq!(to(Goal::Offset(9)), Some((10, Some(9))));
        assert_eq!(to(Goal::Shift(-3)), Some((12, None)));
        assert_eq!(to(Goal::Shift(i64::MAX)), Some((30, Some(i64::MAX))));
        assert_eq!(to(Goal::Shift(i64::MIN)), Some((10, Some(i64::MIN + 15))));
        assert_eq!(to(Goal::Timestamp(5)), Some((22, None)));
        let late = Known { at_timestamp: None, ..KNOWN };
        assert_eq!(Goal::Timestamp(5).apply(late), Some(Move { to: 30, clamped_from: None }));
        assert_eq!(Goal::Shift(1).apply(Known { committed: None, ..KNOWN }), None);
    }
}
