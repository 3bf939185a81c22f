//! The numbers of a run.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::Body;
use super::Event;
use super::Outcome;
use super::Value;

/// Counts over events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sends that were acknowledged.
    pub acknowledged: u64,
    /// Sends that were reported as not written.
    pub not_written: u64,
    /// Sends in doubt.
    pub in_doubt: u64,
    /// Sends in doubt that turned out to be in the log.
    pub in_doubt_read: u64,
    /// The longest time from an invocation to its decision.
    pub slowest: Duration,
    /// The longest delay of a decision after its deadline.
    pub late: Duration,
    /// Records that consumers returned, duplicates included.
    pub returned: u64,
    /// Commits that took effect.
    pub commits: u64,
    /// Changes of the partitions of members.
    pub rebalances: u64,
    /// Faults.
    pub faults: u64,
}

impl Summary {
    /// Counts these events, which may be a part of a history.
    pub fn of<'h>(events: impl Iterator<Item = &'h Event> + Clone) -> Self {
        let mut summary = Self::default();
        let mut begun: HashMap<&Value, (Duration, Duration)> = HashMap::new();
        let mut doubtful: HashMap<&Value, bool> = HashMap::new();
        for event in events.clone() {
            match &event.body {
                Body::Invoked { value, deadline, .. } => drop(begun.insert(value, (event.at, *deadline))),
                Body::Accepted { value, deadline } => {
                    if let Some(begun) = begun.get_mut(value) {
                        begun.1 = *deadline;
                    }
                }
                Body::Decided { value, outcome } => {
                    match outcome {
                        Outcome::Acknowledged { .. } => summary.acknowledged += 1,
                        Outcome::NotWritten(_) => summary.not_written += 1,
                        Outcome::InDoubt(_) => {
                            summary.in_doubt += 1;
                            doubtful.insert(value, false);
                        }
                    }
                    if let Some((from, deadline)) = begun.get(value) {
                        summary.slowest = summary.slowest.max(event.at.saturating_sub(*from));
                        summary.late = summary.late.max(event.at.saturating_sub(*deadline));
                    }
                }
                Body::Polled { records, .. } => summary.returned += u64::try_from(records.len()).unwrap_or(u64::MAX),
                Body::Committed(super::CommitOutcome::Done) => summary.commits += 1,
                Body::Forsaken(_) | Body::Retained { .. } | Body::Fault(_) => summary.faults += 1,
                Body::Rebalanced { .. } => summary.rebalances += 1,
                Body::Opened(_)
                | Body::Subscribed(_)
                | Body::Moved { .. }
                | Body::CommitInvoked(_)
                | Body::Committed(_)
                | Body::ReadToEnd { .. }
                | Body::Crashed => {}
            }
        }
        for event in events {
            if let Body::Polled { records, .. } = &event.body {
                for record in records {
                    if let Some(read) = doubtful.get_mut(&record.value) {
                        *read = true;
                    }
                }
            }
        }
        summary.in_doubt_read = u64::try_from(doubtful.values().filter(|read| **read).count()).unwrap_or(u64::MAX);
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, not_written, in_doubt, in_doubt_read, .. } = self;
        let all = (acknowledged + not_written + in_doubt).max(1);
        // In hundredths of a per mille, so that no float is needed.
        let share = in_doubt * 100_000 / all;
        write!(
            f,
            "{acknowledged} acknowledged, {not_written} not written, {in_doubt} in doubt ({}.{:03} %, {in_doubt_read} of \
             them in the log); slowest decision {:.3} s, latest {:.3} s after its deadline; {} records returned, {} \
             commits, {} rebalances, {} faults",
            share / 1_000,
            share % 1_000,
            self.slowest.as_secs_f64(),
            self.late.as_secs_f64(),
            self.returned,
            self.commits,
            self.rebalances,
            self.faults,
        )
    }
}
