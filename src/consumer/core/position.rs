//! One assigned partition: where it is read, and what was fetched of it but not handed out.
//!
//! ```text
//! Initializing --stored offset--> AwaitValidation --end of epoch--> Fetching <--> AwaitValidation (a new leader)
//!      |                                 |                             |
//!      +---none stored---> AwaitReset <--+--------out of range---------+------> Halted (no policy; until a seek)
//!                              +-----------offset listed-------------->+
//! ```
//!
//! There are two positions. `handed` is what a commit would store: the offset after the last record handed out. `fetch`
//! is the offset to fetch next, ahead of it by what is queued. A generation is drawn whenever `fetch` moves other than by
//! taking what was fetched, and each answer counts only in the era it was asked in, under one leader of one log, so that
//! late answers are known for what they are.

use std::collections::VecDeque;
use std::time::Instant;

use super::trouble::Trouble;
use crate::error::Error;
use crate::reading::Chunk;
use crate::reading::Position;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// Which log a partition has, and under which leader. What is said of it in one era says nothing of it in another.
pub(super) type Era = (TopicId, Option<LeaderEpoch>);

/// Where reading starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    Earliest,
    /// This many records before the end, or with the oldest if there are fewer.
    FromEnd(i64),
    /// With the first record written from now on.
    Latest,
    /// At an offset. One that is out of range is treated as the reset policy says.
    Offset(i64),
    /// At the offset that the group committed, or elsewhere where it has committed none.
    Stored {
        /// Where to start where none is committed.
        otherwise: Box<Self>,
    },
    /// At the offset that the group committed. Where it has committed none, that is an error of kind
    /// [`NoOffset`](crate::error::Kind::NoOffset), and the partition waits for a seek (`auto.offset.reset=none`).
    StoredOnly,
    /// With the first record of this time (milliseconds since 1970) or later; at the end if there is none.
    Timestamp(i64),
}

/// What to do when the position is no longer in the log, or never was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetPolicy {
    /// Go on with the oldest record there is. Nothing that still exists is skipped.
    #[default]
    Earliest,
    /// Skip to the end.
    Latest,
    /// Report an error of kind `Truncated` and wait for a seek.
    None,
}

/// A position that was moved by the reset policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The position that was given up.
    pub from: i64,
    /// Where reading goes on.
    pub to: i64,
    /// Why.
    pub reason: &'static str,
}

/// What a ListOffsets request is to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Earliest,
    FromEnd(i64),
    Latest,
    /// The larger of this and the earliest offset.
    NotBefore(i64),
    /// The end of a log that begins here, to say what a position is out of.
    RangeEnd(i64),
    /// The beginning of it.
    RangeStart,
    Timestamp(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The group's committed offset is to be asked for.
    Initializing {
        otherwise: Start,
    },
    /// The position is to be found; `reset` tells what was given up and why, unless this is the start.
    AwaitReset {
        target: Target,
        reset: Option<(i64, &'static str)>,
    },
    /// The position may be past the end of what the new leader has of its epoch.
    AwaitValidation,
    Fetching,
    /// The position is gone and no policy says where to go.
    Halted,
}

/// Where a bounded read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    None,
    /// The end offset is to be asked for, of which no more than this counts; nothing is handed out before it is known.
    Unknown(i64),
    At(i64),
}

/// What one fetch brought.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) chunk: Chunk,
    /// Where the log ended, as the fetch saw it.
    pub(super) end: i64,
    pub(super) generation: u64,
}

/// What waits to be handed out, in order.
#[derive(Debug)]
pub(super) enum Item {
    Chunk(Box<Fetched>),
    /// The end of the partition was reached at this offset.
    End(i64),
    Error(Error),
    /// A move that the caller has not heard of, and the epoch that goes with where it leads.
    Reset(Reset, Option<LeaderEpoch>),
}

impl Item {
    /// Where a move leads.
    fn leads_to(&self) -> Option<Position> {
        match self {
            Self::Reset(reset, epoch) => Some(Position { offset: reset.to, epoch: *epoch }),
            Self::Chunk(_) | Self::End(_) | Self::Error(_) => None,
        }
    }
}

/// A replica that the leader prefers us to read from (KIP-392).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preferred {
    pub(super) node: i32,
    pub(super) until: Instant,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each may hold with each other: they are no one state")]
pub(super) struct Partition {
    pub(super) key: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) generation: u64,
    pub(super) state: State,
    pub(super) handed: Option<Position>,
    pub(super) fetch: Position,
    pub(super) leader: Option<i32>,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    pub(super) preferred: Option<Preferred>,
    pub(super) queue: VecDeque<Item>,
    /// Bytes in `queue`.
    pub(super) buffered: usize,
    /// What was fetched last cannot be walked: it has to be read before anything follows it.
    pub(super) blocked: bool,
    pub(super) paused: bool,
    /// In the rotation of those that have something to hand out.
    pub(super) is_ready: bool,
    /// A question about the position is in flight.
    pub(super) asking: bool,
    pub(super) bound: Bound,
    /// A question about the bound is in flight.
    pub(super) asking_bound: bool,
    pub(super) bytes_max: i32,
    pub(super) trouble: Trouble,
    /// The topic does not have it, and the caller has been notified.
    gone: bool,
    /// The committed position is of this leader epoch, which the metadata does not have yet.
    awaited_epoch: Option<LeaderEpoch>,
    /// The end as the last fetch response had it: high watermark, or last stable offset.
    pub(super) end: Option<i64>,
    /// The offset at which the caller last heard of the end.
    pub(super) end_told: Option<i64>,
}

impl Partition {
    pub(super) fn new(key: TopicPartition, generation: u64, bytes_max: i32, bound: Bound, trouble: Trouble) -> Self {
        Self {
            key,
            topic_id: TopicId::ZERO,
            generation,
            state: State::Halted,
            handed: None,
            fetch: Position::from(0),
            leader: None,
            leader_epoch: None,
            preferred: None,
            queue: VecDeque::new(),
            buffered: 0,
            blocked: false,
            paused: false,
            is_ready: false,
            asking: false,
            bound,
            asking_bound: false,
            bytes_max,
            trouble,
            gone: false,
            awaited_epoch: None,
            end: None,
            end_told: None,
        }
    }

    /// Forgets what was fetched and goes where `start` says.
    pub(super) fn start(&mut self, start: &Start, generation: u64) {
        self.drop_queue(generation);
        self.trouble.clear();
        self.end_told = None;
        self.handed = None;
        self.awaited_epoch = None;
        self.state = match start {
            Start::Earliest => Self::find(Target::Earliest),
            Start::FromEnd(records) => Self::find(Target::FromEnd(*records)),
            Start::Latest => Self::find(Target::Latest),
            Start::Offset(offset) => {
                self.settle(Position::from(*offset));
                State::Fetching
            }
            Start::Stored { otherwise } => State::Initializing { otherwise: (**otherwise).clone() },
            Start::StoredOnly => State::Initializing { otherwise: Start::StoredOnly },
            Start::Timestamp(timestamp) => Self::find(Target::Timestamp(*timestamp)),
        };
    }

    fn find(target: Target) -> State {
        State::AwaitReset { target, reset: None }
    }

    /// Drops what was fetched; answers to what was asked so far count no more.
    pub(super) fn drop_queue(&mut self, generation: u64) {
        self.generation = generation;
        self.queue.clear();
        self.buffered = 0;
        self.blocked = false;
        self.asking = false;
    }

    /// Goes back to what was handed out.
    pub(super) fn rewind(&mut self, generation: u64) {
        let was_moved = self.queue.iter().any(|item| item.leads_to().is_some());
        self.drop_queue(generation);
        if let Some(handed) = self.handed {
            self.fetch = handed;
        }
        // A position that has no epoch cannot be validated: the leader would answer as for a log that was truncated.
        if was_moved || self.is_lost() || self.state == State::AwaitValidation {
            self.go_on();
        }
    }

    /// Whether the position that is fetched from is gone. Of one that is gone back from, the caller does not hear: if the one
    /// that is gone back to is gone as well, that is found out again.
    fn is_lost(&self) -> bool {
        matches!(self.state, State::Halted | State::AwaitReset { reset: Some(_), .. })
    }

    /// The position that nothing which is queued can be dropped before: what was handed out, or where a move led that the
    /// caller has not heard of. What is handed out before such a move means nothing after it.
    pub(super) fn base(&self) -> Option<Position> {
        self.queue.iter().rev().find_map(Item::leads_to).or(self.handed)
    }

    /// Goes back there.
    pub(super) fn go_back(&mut self, generation: u64) {
        let Some(at) = self.queue.iter().rposition(|item| item.leads_to().is_some()) else {
            return self.rewind(generation);
        };
        let bytes = |item: &Item| if let Item::Chunk(fetched) = item { fetched.chunk.bytes() } else { 0 };
        self.buffered -= self.queue.drain(at + 1..).map(|item| bytes(&item)).sum::<usize>();
        self.blocked = false;
        self.asking = false;
        // What came before the move is still good, so the generation stays; answers about what was behind it are known by
        // their offsets.
        self.fetch = self.base().unwrap_or(self.fetch);
        if self.is_lost() || self.state == State::AwaitValidation {
            self.go_on();
        }
    }

    /// Stops handing out. What is queued may wait for long, so it must not hold what came with it.
    pub(super) fn pause(&mut self) {
        if std::mem::replace(&mut self.paused, true) {
            return;
        }
        for item in &mut self.queue {
            if let Item::Chunk(fetched) = item {
                fetched.chunk.copy_out();
            }
        }
    }

    /// Puts both positions somewhere, with nothing queued.
    pub(super) fn settle(&mut self, position: Position) {
        self.fetch = position;
        self.handed = Some(position);
    }

    /// A position was found. What is queued before it is handed out first.
    pub(super) fn found(&mut self, position: Position, reset: Option<(i64, &'static str)>) {
        match reset {
            // Errors that are queued say nothing about where reading begins.
            None => self.handed = Some(position),
            // A reset moves the position when its turn comes.
            Some((from, reason)) => {
                let (topic, partition) = (self.key.topic.clone(), self.key.partition);
                tracing::warn!(%topic, partition, from, to = position.offset, reason, "position reset");
                let reset = Reset { topic, partition, from, to: position.offset, reason };
                self.queue.push_back(Item::Reset(reset, position.epoch));
            }
        }
        self.state = State::Fetching;
        // Whether the position is any good is for the fetch to say.
        self.trouble.hurry();
        self.fetch = position;
    }

    /// The position is gone. Follows the policy, or says so once and waits for a seek.
    pub(super) fn lost(&mut self, policy: ResetPolicy, reason: &'static str) {
        self.bound_anew();
        let from = self.fetch.offset;
        let target = match policy {
            ResetPolicy::Earliest => Target::Earliest,
            ResetPolicy::Latest => Target::Latest,
            ResetPolicy::None => return self.halt(reason),
        };
        self.state = State::AwaitReset { target, reset: Some((from, reason)) };
        self.asking = false;
    }

    /// The position is out of range and no policy says where to go: finds out what there is instead, to say so.
    pub(super) fn measure(&mut self, reason: &'static str) {
        self.state = State::AwaitReset { target: Target::RangeStart, reset: Some((self.fetch.offset, reason)) };
        self.asking = false;
    }

    /// The group has committed no offset and no policy says where to start: finds out what there is, to say so
    /// (`NoOffsetForPartitionException`).
    pub(super) fn measure_start(&mut self, generation: u64) {
        self.drop_queue(generation);
        self.state = Self::find(Target::RangeStart);
    }

    /// The log has these offsets. Fetching goes on where the position is among them after all; there is none unless `has_position`.
    pub(super) fn measured(&mut self, has_position: bool, start: i64, end: i64) {
        if !has_position {
            let error = Error::new(
                crate::error::Kind::NoOffset,
                format!(
                    "the group has committed no offset and the reset policy is none: \
                     seek to an offset of the log, which has {start} to {end}, or set another policy"
                ),
            );
            self.stop_reading(self.place(error));
        } else if (start..=end).contains(&self.fetch.offset) {
            self.go_on();
        } else {
            self.halt(&format!("the position is out of the log's range, which is {start} to {end}"));
        }
    }

    /// Starts where the group committed.
    ///
    /// The offset may have been committed under a leader whose log was truncated since, so it is validated first. If it is
    /// of a later epoch than the metadata's, the known leader may not be the leader any more, and its answer would look like a
    /// truncation (`Metadata.updateLastSeenEpochIfNewer` in Java).
    pub(super) fn start_stored(&mut self, position: Position) {
        self.found(position, None);
        if position.epoch.is_some() && self.leader_epoch.is_some() {
            self.state = State::AwaitValidation;
            self.awaited_epoch = position.epoch.filter(|epoch| Some(*epoch) > self.leader_epoch);
        }
    }

    /// Whether validation waits for metadata with a later leader epoch.
    pub(super) fn awaits_epoch(&self) -> bool {
        self.state == State::AwaitValidation && self.awaited_epoch.is_some()
    }

    /// No broker knows the awaited epoch: it was of a topic that was deleted, so the known leader decides.
    pub(super) fn give_up_epoch(&mut self) {
        let awaited = LeaderEpoch::to_wire(self.awaited_epoch.take());
        let known = LeaderEpoch::to_wire(self.leader_epoch);
        let TopicPartition { topic, partition } = &self.key;
        tracing::warn!(target: "ottla::consumer", %topic, partition, awaited, known, "committed epoch is unknown");
        self.trouble.hurry();
    }

    /// Goes on where it is, once the leader, which may be another than before, says that what came before is still there.
    pub(super) fn go_on(&mut self) {
        self.state = if self.fetch.epoch.is_some() { State::AwaitValidation } else { State::Fetching };
    }

    pub(super) fn halt(&mut self, reason: &str) {
        let error = Error::new(crate::error::Kind::Truncated, reason);
        self.stop_reading(self.place(error).at_offset(self.fetch.offset));
    }

    /// Waits for a seek, and says why.
    fn stop_reading(&mut self, error: Error) {
        self.bound_anew();
        // Nothing else says that a seek is waited for, so an error that was not told yet gives way.
        if matches!(self.queue.back(), Some(Item::Error(_))) {
            self.queue.pop_back();
        }
        self.complain(error);
        self.state = State::Halted;
    }

    pub(super) fn era(&self) -> Era {
        (self.topic_id, self.leader_epoch)
    }

    /// The log may be shorter than it was when the bound was found: the read ends where it ends now, or where it was to end. A
    /// leader that does not know yet how much is committed does not answer (KIP-207).
    pub(super) fn bound_anew(&mut self) {
        if let Bound::At(bound) = self.bound {
            self.bound = Bound::Unknown(bound);
        }
    }

    /// The log ends here.
    pub(super) fn bound_found(&mut self, end: i64) {
        if let Bound::Unknown(most) = self.bound {
            self.bound = Bound::At(end.min(most));
        }
    }

    /// Takes what the metadata says. A leader of a later epoch may have less of the log than the last one had.
    pub(super) fn led_by(&mut self, leader: Option<i32>, epoch: Option<LeaderEpoch>) {
        if (leader, epoch) == (self.leader, self.leader_epoch) {
            return;
        }
        let is_new = epoch > self.leader_epoch;
        self.awaited_epoch = self.awaited_epoch.filter(|awaited| epoch.is_some_and(|epoch| epoch < *awaited));
        (self.leader, self.leader_epoch) = (leader, epoch);
        self.trouble.hurry();
        if is_new && !self.is_done() {
            self.bound_anew();
        }
        if is_new && self.fetch.epoch.is_some() && self.state == State::Fetching {
            self.state = State::AwaitValidation;
        }
    }

    /// The topic does not have this partition. `error` takes the place of one that was not returned yet: nothing else says so.
    ///
    /// Records that wait for the bound of a bounded read can never be returned: nobody can say where it is.
    pub(super) fn vanished(&mut self, error: Error, generation: u64) {
        self.gone = true;
        if matches!(self.bound, Bound::Unknown(_)) {
            self.drop_queue(generation);
        }
        if matches!(self.queue.back(), Some(Item::Error(_))) {
            self.queue.pop_back();
        }
        self.complain(error);
    }

    /// The topic has this partition, maybe again.
    pub(super) fn appeared(&mut self) {
        if std::mem::take(&mut self.gone) {
            self.trouble.clear();
        }
    }

    /// Whether the topic does not have it, and the caller has been notified.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Says where an error happened.
    pub(super) fn place(&self, error: Error) -> Error {
        error.in_partition(&self.key.topic, self.key.partition)
    }

    /// Queues an error, unless the caller has not heard the last one yet.
    pub(super) fn complain(&mut self, error: Error) {
        if !matches!(self.queue.back(), Some(Item::Error(_))) {
            self.queue.push_back(Item::Error(error));
        }
    }

    /// Whether a fetch for it would be of use.
    pub(super) fn wants_fetch(&self) -> bool {
        self.state == State::Fetching
            && !self.paused
            && !self.blocked
            && !self.trouble.is_waiting()
            && !matches!(self.bound, Bound::At(bound) if self.fetch.offset >= bound)
    }

    /// Whether a bounded read of it is over.
    pub(super) fn is_done(&self) -> bool {
        if self.gone {
            return self.queue.is_empty();
        }
        match (self.bound, self.handed) {
            (Bound::At(bound), Some(handed)) => {
                handed.offset >= bound && matches!(self.state, State::Fetching | State::AwaitValidation)
            }
            _ => false,
        }
    }

    /// Whether this came from beyond the bound, before that was known: records, or that a position further on had to be moved.
    pub(super) fn is_beyond_bound(&self, item: &Item) -> bool {
        match (self.bound, item) {
            (Bound::At(bound), Item::Chunk(fetched)) => fetched.chunk.position().offset >= bound,
            (Bound::At(_), Item::Reset(reset, _)) => self.handed.is_some_and(|handed| handed.offset != reset.from),
            _ => false,
        }
    }

    /// Whether something can be handed out.
    pub(super) fn has_next(&self) -> bool {
        !self.paused && !self.queue.is_empty() && (!matches!(self.bound, Bound::Unknown(_)) || !self.chunk_is_next())
    }

    fn chunk_is_next(&self) -> bool {
        matches!(self.queue.front(), Some(Item::Chunk(_)))
    }
}
