//! One assigned partition: where it is read, and what was fetched of it but not returned.
//!
//! ```text
//! Initializing --stored offset--> AwaitValidation --end of epoch--> Fetching <--> AwaitValidation (a new leader)
//!      |                                 |                             |
//!      +---none stored---> AwaitReset <--+--------out of range---------+------> Halted (no policy; until a seek)
//!                              +-----------offset listed-------------->+
//! ```
//!
//! There are two positions. `returned` is what a commit would store: the offset after the last record returned. `fetch` is
//! the offset to fetch next, ahead of it by what is queued. A generation is drawn whenever `fetch` moves other than by
//! taking what was fetched, and each response counts only in the generation of its request, under one leader of one log, so that
//! late responses are recognized.
//!
//! All fields are private to this module and its children: [`finding`] moves the position, [`leading`] follows the metadata,
//! [`fetched`] queues records, and [`queue`] returns them.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use super::retry::RetryState;
use super::start::Reset;
use super::start::Start;
use crate::error::Error;
use crate::reading::Chunk;
use crate::reading::Position;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicPartition;

mod fetched;
mod finding;
mod leading;
mod queue;

/// The log of a partition and its leader's epoch. The response to a request under one does not apply to another.
pub(super) type LogEpoch = (TopicId, Option<LeaderEpoch>);

/// The offset that a ListOffsets request looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The first record that is younger than this when the request is sent.
    Ago(Duration),
    Earliest,
    FromEnd(i64),
    Latest,
    /// The larger of this and the earliest offset.
    NotBefore(i64),
    /// The end of a log that begins here, to find out whether a position is in its range.
    RangeEnd(Position),
    /// The beginning of it.
    RangeStart,
    Timestamp(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The group's committed offset is to be read.
    Initializing {
        otherwise: Start,
    },
    /// The position is to be found; `reset` has the offset that was given up and why, unless this is the start.
    AwaitReset {
        target: Target,
        reset: Option<(i64, &'static str)>,
    },
    /// The position may be past the end of what the new leader has of its epoch.
    AwaitValidation,
    Fetching,
    /// The position is not in the log, and the reset policy is none.
    Halted,
}

/// Where a bounded read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    None,
    /// The end offset is to be listed, of which no more than this counts; no record is returned before it is known.
    Unknown(i64),
    At(i64),
}

/// A request about a partition's position that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inquiry {
    /// The end of the position's epoch.
    EpochEnd,
    /// An offset.
    Offset(Target),
    /// The committed offset.
    Stored,
}

/// A lookup: the partition as it was when the request about it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    pub(super) slot: usize,
    added: u64,
    generation: u64,
    epoch: LogEpoch,
}

/// The records of one fetch response.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) chunk: Chunk,
    /// Where the log ended when they were fetched.
    pub(super) end: i64,
    pub(super) generation: u64,
}

/// An element of the queue of a partition; elements are returned in order.
#[derive(Debug)]
pub(super) enum Item {
    Chunk(Box<Fetched>),
    /// The end of the partition was reached at this offset.
    End(i64),
    Error(Error),
    /// A move that was not reported yet, and the epoch of the position that it leads to.
    Reset(Reset, Option<LeaderEpoch>),
}

/// A replica that the leader prefers us to read from (KIP-392).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Preferred {
    node: i32,
    until: Instant,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each may hold with each other: they are no one state")]
pub(super) struct Partition {
    key: TopicPartition,
    topic_id: TopicId,
    /// Drawn when the partition was assigned.
    added: u64,
    generation: u64,
    state: State,
    returned: Option<Position>,
    /// The topic of the returned position; zero where it was not known.
    returned_in: TopicId,
    fetch: Position,
    leader: Option<i32>,
    leader_epoch: Option<LeaderEpoch>,
    preferred: Option<Preferred>,
    queue: VecDeque<Item>,
    /// Bytes in `queue`.
    buffered: usize,
    /// The records fetched last cannot be scanned: they have to be read before anything follows them.
    blocked: bool,
    paused: bool,
    /// A request about the position is in flight.
    asking: bool,
    bound: Bound,
    /// A request about the bound is in flight.
    asking_bound: bool,
    bytes_max: i32,
    pub(super) retry: RetryState,
    /// The topic does not have it, and that was reported.
    gone: bool,
    /// The leader reported this offset as out of range, but listed a range that has it.
    contradicted: Option<i64>,
    /// The committed position is of this leader epoch, which the metadata does not have yet.
    awaited_epoch: Option<LeaderEpoch>,
    /// The end as the last fetch response had it: high watermark, or last stable offset.
    end: Option<i64>,
    /// The offset at which the end was last reported.
    end_reported: Option<i64>,
}

impl Partition {
    /// A partition that is to be read up to its end, if `bounded`.
    pub(super) fn new(key: TopicPartition, generation: u64, bytes_max: i32, bounded: bool, retry: RetryState) -> Self {
        Self {
            key,
            topic_id: TopicId::ZERO,
            added: generation,
            generation,
            state: State::Halted,
            returned: None,
            returned_in: TopicId::ZERO,
            fetch: Position::from(0),
            leader: None,
            leader_epoch: None,
            preferred: None,
            queue: VecDeque::new(),
            buffered: 0,
            blocked: false,
            paused: false,
            asking: false,
            bound: if bounded { Bound::Unknown(i64::MAX) } else { Bound::None },
            asking_bound: false,
            bytes_max,
            retry,
            gone: false,
            contradicted: None,
            awaited_epoch: None,
            end: None,
            end_reported: None,
        }
    }

    pub(super) fn key(&self) -> &TopicPartition {
        &self.key
    }

    pub(super) fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The position after the records that were returned, once one is known.
    pub(super) fn returned(&self) -> Option<Position> {
        self.returned
    }

    /// The position that may be committed: the returned one, unless its topic was recreated since.
    pub(super) fn committable(&self) -> Option<Position> {
        self.returned.filter(|_| self.returned_in.is_zero() || self.returned_in == self.topic_id)
    }

    fn note_returned(&mut self, position: Position) {
        (self.returned, self.returned_in) = (Some(position), self.topic_id);
    }

    /// The position to fetch from.
    pub(super) fn fetch(&self) -> Position {
        self.fetch
    }

    pub(super) fn leader(&self) -> Option<i32> {
        self.leader
    }

    pub(super) fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.leader_epoch
    }

    pub(super) fn bytes_max(&self) -> i32 {
        self.bytes_max
    }

    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// How far the end was ahead of the returned position.
    pub(super) fn lag(&self) -> Option<i64> {
        Some((self.end? - self.returned?.offset).max(0))
    }

    pub(super) fn log_epoch(&self) -> LogEpoch {
        (self.topic_id, self.leader_epoch)
    }

    // Requests about the position.

    /// The request to send about the position, unless one is in flight.
    pub(super) fn inquiry(&self) -> Option<Inquiry> {
        match &self.state {
            _ if self.asking => None,
            State::Initializing { .. } => Some(Inquiry::Stored),
            State::AwaitReset { target, .. } => Some(Inquiry::Offset(*target)),
            State::AwaitValidation => Some(Inquiry::EpochEnd),
            State::Fetching | State::Halted => None,
        }
    }

    /// Whether the end of a bounded read is to be listed.
    pub(super) fn inquires_bound(&self) -> bool {
        !self.asking_bound && matches!(self.bound, Bound::Unknown(_))
    }

    /// Whether there is a request to send about it, or a leader to wait for.
    pub(super) fn is_due(&self) -> bool {
        let inquiry = self.inquiry();
        !self.retry.is_waiting()
            && (inquiry == Some(Inquiry::Stored)
                || self.leader.is_some() && (inquiry.is_some() || self.inquires_bound())
                || self.lacks_leader())
    }

    /// Whether it cannot go on without a leader.
    pub(super) fn lacks_leader(&self) -> bool {
        self.leader.is_none()
            && !self.gone
            && (self.inquiry().is_some_and(|inquiry| inquiry != Inquiry::Stored)
                || self.inquires_bound()
                || self.preferred.is_none() && self.wants_fetch())
    }

    /// Marks that a request about the position is in flight.
    pub(super) fn begin_lookup(&mut self, slot: usize) -> Lookup {
        self.asking = true;
        self.lookup(slot)
    }

    /// Marks that a request about the bound is in flight.
    pub(super) fn begin_bound_lookup(&mut self, slot: usize) -> Lookup {
        self.asking_bound = true;
        self.lookup(slot)
    }

    fn lookup(&self, slot: usize) -> Lookup {
        Lookup { slot, added: self.added, generation: self.generation, epoch: self.log_epoch() }
    }

    /// The request about the position is over. Returns whether its response counts.
    pub(super) fn end_lookup(&mut self, lookup: &Lookup) -> bool {
        let counts = self.generation == lookup.generation && self.log_epoch() == lookup.epoch;
        self.asking &= !counts;
        counts
    }

    /// The request about the bound is over. Returns whether its response counts. A seek does not move the bound.
    pub(super) fn end_bound_lookup(&mut self, lookup: &Lookup) -> bool {
        if self.added != lookup.added {
            return false;
        }
        self.asking_bound = false;
        self.log_epoch() == lookup.epoch
    }

    // Time.

    /// When it needs attention if nothing else happens first.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let lease = self.preferred.map(|preferred| preferred.until);
        match (self.retry.poll_timeout(), lease) {
            (Some(retry), Some(lease)) => Some(retry.min(lease)),
            (retry, lease) => retry.or(lease),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.retry.handle_timeout(now);
        if self.preferred.is_some_and(|preferred| preferred.until <= now) {
            self.leave_replica("lease expired");
        }
    }

    // Errors.

    /// Adds the topic and the partition to an error.
    pub(super) fn place(&self, error: Error) -> Error {
        error.in_partition(&self.key.topic, self.key.partition)
    }

    /// Queues an error, unless the last one was not returned yet.
    pub(super) fn report(&mut self, error: Error) {
        if !matches!(self.queue.back(), Some(Item::Error(_))) {
            self.queue.push_back(Item::Error(error));
        }
    }

    /// Queues an error in place of one that was not returned yet: nothing else says what this one says.
    fn report_surely(&mut self, error: Error) {
        if matches!(self.queue.back(), Some(Item::Error(_))) {
            self.queue.pop_back();
        }
        self.report(error);
    }
}
