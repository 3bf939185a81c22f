//! Anomalies, and the events that prove them.

use std::fmt;

/// A rule that every run must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A commit is beyond a record that its process has not received.
    CommitAhead,
    /// A send was not decided exactly once.
    DeliveryReportCount,
    /// One value is at two places.
    Duplicate,
    /// The readers of a group passed a record that none of them received.
    GroupSkip,
    /// Two values are at one offset.
    InconsistentOffsets,
    /// Within one poll, records come in another order than in the log.
    IntNonmonotonicPoll,
    /// Within one poll, a record is missing.
    IntPollSkip,
    /// A send was decided after its deadline.
    LateDecision,
    /// An acknowledged value was never read, although a reader passed it.
    LostWrite,
    /// The history contradicts itself: a fault of its recorder.
    Malformed,
    /// A value is in another partition or topic than it was sent to, or than its acknowledgement says.
    Misrouted,
    /// From one poll to the next, a process receives a record again, or one before it.
    NonmonotonicPoll,
    /// Two sends of one process are in the log in the other order.
    NonmonotonicSend,
    /// A new owner of a partition begins after the committed offset, past records.
    OwnerAhead,
    /// A new owner of a partition begins before the committed offset.
    OwnerBehind,
    /// A value was read that was never sent.
    Phantom,
    /// From one poll to the next, a record is missing.
    PollSkip,
    /// A value was read whose send was reported as not written.
    ReadOfFailed,
    /// A member received a record of a partition that it does not own.
    ReadUnowned,
    /// Two members own a partition in one generation.
    TwoOwners,
    /// No reader read a partition to its end after the run, so lost records cannot be found.
    Unfinished,
    /// An acknowledged value is not in the log after the run.
    Unseen,
    /// A member was assigned a partition that it owns, or gave up one that it does not own.
    WrongRebalance,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 23] = [
        Self::CommitAhead,
        Self::DeliveryReportCount,
        Self::Duplicate,
        Self::GroupSkip,
        Self::InconsistentOffsets,
        Self::IntNonmonotonicPoll,
        Self::IntPollSkip,
        Self::LateDecision,
        Self::LostWrite,
        Self::Malformed,
        Self::Misrouted,
        Self::NonmonotonicPoll,
        Self::NonmonotonicSend,
        Self::OwnerAhead,
        Self::OwnerBehind,
        Self::Phantom,
        Self::PollSkip,
        Self::ReadOfFailed,
        Self::ReadUnowned,
        Self::TwoOwners,
        Self::Unfinished,
        Self::Unseen,
        Self::WrongRebalance,
    ];

    /// Jepsen's name, where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::CommitAhead => "commit-ahead",
            Self::DeliveryReportCount => "delivery-report-count",
            Self::Duplicate => "duplicate",
            Self::GroupSkip => "group-skip",
            Self::InconsistentOffsets => "inconsistent-offsets",
            Self::IntNonmonotonicPoll => "int-nonmonotonic-poll",
            Self::IntPollSkip => "int-poll-skip",
            Self::LateDecision => "late-decision",
            Self::LostWrite => "lost-write",
            Self::Malformed => "malformed",
            Self::Misrouted => "misrouted",
            Self::NonmonotonicPoll => "nonmonotonic-poll",
            Self::NonmonotonicSend => "nonmonotonic-send",
            Self::OwnerAhead => "owner-ahead",
            Self::OwnerBehind => "owner-behind",
            Self::Phantom => "phantom",
            Self::PollSkip => "poll-skip",
            Self::ReadOfFailed => "read-of-failed",
            Self::ReadUnowned => "read-unowned",
            Self::TwoOwners => "two-owners",
            Self::Unfinished => "unfinished",
            Self::Unseen => "unseen",
            Self::WrongRebalance => "wrong-rebalance",
        }
    }
}

/// A broken rule, and its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The rule.
    pub rule: Rule,
    /// The description.
    pub detail: String,
    /// The indexes of the events that prove it.
    pub events: Vec<u64>,
}

impl Anomaly {
    pub(super) fn new(rule: Rule, detail: String, events: impl IntoIterator<Item = u64>) -> Self {
        let mut events: Vec<u64> = events.into_iter().collect();
        events.sort_unstable();
        events.dedup();
        Self { rule, detail, events }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (events {:?})", self.rule.name(), self.detail, self.events)
    }
}
