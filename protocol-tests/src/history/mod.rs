//! What a run did and saw, and a judge that knows which of it cannot be.
//!
//! A [`History`] is a list of plain events: each send with its invocation, its acceptance and its decision, each poll with what
//! it handed out, each commit, each move of a position. [`check`] reads it and names every [`Anomaly`] with the events that
//! prove it. Neither knows where the events come from: the simulator, the mock and real brokers all make the same.
//!
//! A value names its write: no value may be sent twice. A *process* is one producer or one consumer from its making to its end;
//! what comes after a restart is another process, because order is promised within one only.
//!
//! The rules are those of Jepsen's Kafka workload (`jepsen.tests.kafka`) that apply without transactions, and some of our own.

mod anomaly;
mod check;
mod json;
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

/// What a record carries; unique among all sends of a history.
pub type Value = Arc<str>;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the history, from zero.
    pub index: u64,
    /// When, since the run began.
    pub at: Duration,
    /// Who did it.
    pub process: u32,
    /// What it was.
    pub body: Body,
}

/// What sort of process begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A producer. One that is not idempotent may write twice and out of order.
    Producer {
        /// Whether duplicates and disorder are anomalies.
        idempotent: bool,
    },
    /// A consumer with partitions assigned by hand.
    Consumer {
        /// The group it commits for, if it does. One reader of a partition at a time.
        group: Option<String>,
    },
}

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Acknowledged {
        /// Where to.
        partition: i32,
        /// At which offset; brokers do not always say.
        offset: Option<i64>,
    },
    /// It was said to be in no log.
    NotWritten(String),
    /// It was said that it may be in the log.
    InDoubt(String),
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It took place.
    Done,
    /// It did not, for this reason.
    Failed(String),
    /// Nobody knows, for this reason.
    InDoubt(String),
}

/// A record as a poll handed it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it was.
    pub partition: TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// What it carried.
    pub value: Value,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The process begins.
    Opened(Role),
    /// A send is asked for.
    Invoked {
        /// The topic.
        topic: TopicName,
        /// The partition, where the caller chose it.
        partition: Option<i32>,
        /// What it carries.
        value: Value,
        /// By when it is accepted or refused, since the run began.
        deadline: Duration,
    },
    /// A send was accepted into the buffer.
    Accepted {
        /// Which.
        value: Value,
        /// By when it is decided, since the run began.
        deadline: Duration,
    },
    /// A send was decided.
    Decided {
        /// Which.
        value: Value,
        /// How.
        outcome: Outcome,
    },
    /// The process goes on elsewhere in a partition: it starts there, or was told to seek.
    Moved {
        /// Which partition.
        partition: TopicPartition,
        /// The offset of the next record, where it is known: nothing from there on may be skipped.
        to: Option<i64>,
    },
    /// A poll handed something out, or failed.
    Polled {
        /// What, in order.
        records: Vec<Seen>,
        /// Partitions whose position was moved within this poll by the consumer itself: a reset, a rebalance.
        moved: Vec<TopicPartition>,
        /// How it failed.
        error: Option<String>,
    },
    /// A commit is asked for.
    CommitInvoked(Vec<(TopicPartition, i64)>),
    /// The last commit of the process ended.
    Committed(CommitOutcome),
    /// The process read a partition from its first offset to its end, when nothing was written any more.
    ReadToEnd {
        /// Which partition.
        partition: TopicPartition,
        /// Its first offset.
        from: i64,
        /// Its end.
        to: i64,
    },
    /// The process was thrown away: sends that are not decided never will be.
    Crashed,
    /// The system broke its own word about a partition: a leader was elected uncleanly, the topic was made anew under its name,
    /// brokers forgot who has written. What its log holds and what is read of it is judged no more; who sent is still answered
    /// once and in time.
    Forsaken(TopicPartition),
    /// Retention took what is before an offset of a partition: who had not read it never will.
    Retained {
        /// Which partition.
        partition: TopicPartition,
        /// Its first offset from now on.
        start: i64,
    },
    /// Something was done to the system, for the reader of the history.
    Fault(String),
}

/// Events in the order in which they happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    events: Vec<Event>,
}

impl History {
    /// Adds an event; answers its index.
    pub fn push(&mut self, at: Duration, process: u32, body: Body) -> u64 {
        let index = u64::try_from(self.events.len()).expect("64 bits hold every length");
        self.events.push(Event { index, at, process, body });
        index
    }

    /// The events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events to be changed, for planting faults. Indexes are put right by [`History::renumber`].
    pub fn events_mut(&mut self) -> &mut Vec<Event> {
        &mut self.events
    }

    /// Gives each event its place as its index.
    pub fn renumber(&mut self) {
        for (index, event) in (0..).zip(&mut self.events) {
            event.index = index;
        }
    }
}
