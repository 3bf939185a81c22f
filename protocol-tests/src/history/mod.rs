//! The history of a run, and the rules that it must keep.
//!
//! A [`History`] is a list of plain events: each send with its invocation, its acceptance and its decision, each poll with its
//! records, each commit, each move of a position. [`check`] returns every [`Anomaly`] with the events that prove it. Neither
//! depends on the source of the events: the simulator, the mock and real brokers produce the same.
//!
//! A value identifies its write: no value may be sent twice. A *process* is one producer or one consumer from its creation to its
//! end; after a restart it is another process, because order is promised within one only.
//!
//! The rules are those of Jepsen's Kafka workload (`jepsen.tests.kafka`) that apply without transactions, and some of our own.
//! Members of groups that record their rebalances and commits are held to `owning.rs`, too: who may read what, and where a new owner
//! begins.

mod anomaly;
mod check;
mod json;
mod owning;
mod reading;
mod recorder;
mod sending;
mod summary;

use std::sync::Arc;
use std::time::Duration;

use ottla::types::TopicName;
use ottla::types::TopicPartition;

pub use self::anomaly::Anomaly;
pub use self::anomaly::Rule;
pub use self::check::check;
pub use self::recorder::Recorder;
pub use self::summary::Summary;

/// The value of a record; unique among all sends of a history.
pub type Value = Arc<str>;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its index in the history, from zero.
    pub index: u64,
    /// The time since the run began.
    pub at: Duration,
    /// The process.
    pub process: u32,
    /// The content.
    pub body: Body,
}

/// The kind of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A producer. One that is not idempotent may write twice and out of order.
    Producer {
        /// Whether duplicates and reordering are anomalies.
        idempotent: bool,
    },
    /// A consumer with assigned partitions, or a member of a group if it subscribes.
    Consumer {
        /// The group that it commits for, if any. A partition has one reader at a time.
        group: Option<String>,
    },
}

/// The outcome of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Acknowledged {
        /// The partition.
        partition: i32,
        /// The offset; brokers do not always report it.
        offset: Option<i64>,
    },
    /// It was reported to be in no log.
    NotWritten(String),
    /// It was reported that it may be in the log.
    InDoubt(String),
}

/// The outcome of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It took effect.
    Done,
    /// It failed, for this reason.
    Failed(String),
    /// It is unknown, for this reason.
    InDoubt(String),
}

/// A record that a poll returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset.
    pub offset: i64,
    /// The value.
    pub value: Value,
}

/// The kind of a change of the partitions of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It gets partitions.
    Assigned,
    /// It has given partitions up, after its commits.
    Revoked,
    /// The group has given its partitions to others before it knew.
    Lost,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The process begins.
    Opened(Role),
    /// A send is invoked.
    Invoked {
        /// The topic.
        topic: TopicName,
        /// The partition, where the caller chose it.
        partition: Option<i32>,
        /// The value.
        value: Value,
        /// The deadline of the acceptance, since the run began.
        deadline: Duration,
    },
    /// A send was accepted into the buffer.
    Accepted {
        /// The value.
        value: Value,
        /// The deadline of the decision, since the run began.
        deadline: Duration,
    },
    /// A send was decided.
    Decided {
        /// The value.
        value: Value,
        /// The outcome.
        outcome: Outcome,
    },
    /// The position of the process in a partition is set: it starts there, or seeks.
    Moved {
        /// The partition.
        partition: TopicPartition,
        /// The offset of the next record, where it is known: nothing from there on may be skipped.
        to: Option<i64>,
    },
    /// The process subscribes: from now on its group gives it partitions. Such a group begins at the first offset of each.
    Subscribed(Vec<TopicName>),
    /// The partitions of a member change.
    Rebalanced {
        /// The kind.
        change: Change,
        /// The generation or the epoch of the member.
        generation: i32,
        /// The partitions that change; the others stay.
        partitions: Vec<TopicPartition>,
    },
    /// A poll returned records, or failed.
    Polled {
        /// The records, in order.
        records: Vec<Seen>,
        /// Partitions whose position was moved within this poll by the consumer itself: a reset, a rebalance.
        moved: Vec<TopicPartition>,
        /// The error.
        error: Option<String>,
    },
    /// A commit is invoked.
    CommitInvoked(Vec<(TopicPartition, i64)>),
    /// The last commit of the process ended.
    Committed(CommitOutcome),
    /// The process read a partition from its first offset to its end, after the last write.
    ReadToEnd {
        /// The partition.
        partition: TopicPartition,
        /// Its first offset.
        from: i64,
        /// Its end.
        to: i64,
    },
    /// The process crashed: its undecided sends will never be decided.
    Crashed,
    /// The cluster broke its promises about a partition: a leader was elected uncleanly, the topic was recreated, brokers forgot
    /// producers. Its log and its readers are exempt from the rules; its sends must still be decided once and in time.
    Forsaken(TopicPartition),
    /// Retention deleted the records of a partition before an offset, which cannot be read any more.
    Retained {
        /// The partition.
        partition: TopicPartition,
        /// Its first offset from now on.
        start: i64,
    },
    /// A fault, for people who read the history.
    Fault(String),
}

/// Events in the order in which they happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    events: Vec<Event>,
}

impl History {
    /// Adds an event; returns its index.
    pub fn push(&mut self, at: Duration, process: u32, body: Body) -> u64 {
        let index = u64::try_from(self.events.len()).expect("64 bits hold every length");
        self.events.push(Event { index, at, process, body });
        index
    }

    /// The events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events, mutable for planting faults. [`History::renumber`] restores the indexes.
    pub fn events_mut(&mut self) -> &mut Vec<Event> {
        &mut self.events
    }

    /// Sets the index of each event to its place.
    pub fn renumber(&mut self) {
        for (index, event) in (0..).zip(&mut self.events) {
            event.index = index;
        }
    }
}
