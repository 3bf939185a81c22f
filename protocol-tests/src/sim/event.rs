//! Events, in the order in which they happen.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla::internals::producer::Key;
use ottla::internals::record::ClosedBatch;

use super::peer::Lane;
use super::setting::Fault;

/// An event at a virtual time.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes arrive at a client.
    Bytes { link: u64, bytes: Bytes },
    /// A client notices that a connection is closed.
    Closed { link: u64 },
    /// An attempt to connect ends.
    Dialled { client: usize, broker: i32, lane: Lane },
    /// A fault that lasts ends.
    Over { fault: Fault, broker: i32 },
    /// A broker notices that a connection is closed.
    Fin { link: u64 },
    /// A frame arrives at a broker.
    Frame { link: u64, frame: Bytes },
    /// The faults end.
    Heal,
    /// A client may close a connection that is still idle.
    Idle { link: u64 },
    /// A connection's deadline.
    LinkTimer { link: u64 },
    /// A client's metadata is too old (`metadata.max.age.ms`).
    MaxAge { client: usize },
    /// The timer of the mock.
    Mock,
    /// A client requests metadata.
    Refresh { client: usize },
    /// A reader retries an operation of its coordinator.
    Retry { client: usize, operation: u64 },
    /// A batch is sealed.
    Sealed { client: usize, life: u32, key: Key, id: u64, closed: ClosedBatch },
    /// Another fault.
    Strike,
    /// A core's deadline.
    Timer { client: usize },
    /// A reader takes a chunk, or continues to read one.
    Turn { client: usize },
    /// Bytes flow again between a client and a broker.
    Unclog { client: usize, broker: i32 },
    /// A client's user does something.
    Work { client: usize },
}

impl Event {
    /// Numbers that identify it in the trace.
    #[expect(clippy::decimal_bitwise_operands, reason = "the kinds are counted")]
    pub(super) fn words(&self) -> [u64; 2] {
        let pair = |client: usize, broker: i32| (client as u64) << 8 | u64::from(broker.unsigned_abs());
        match self {
            Self::Bytes { link, bytes } => [1 << 8 | link << 16, super::trace::fingerprint(bytes)],
            Self::Closed { link } => [2, *link],
            Self::Dialled { client, broker, lane } => [3 | lane.number() << 8, pair(*client, *broker)],
            Self::Over { fault, broker } => [4 | (*fault as u64) << 8, u64::from(broker.unsigned_abs())],
            Self::Fin { link } => [5, *link],
            Self::Frame { link, frame } => [6 | link << 16, super::trace::fingerprint(frame)],
            Self::Heal => [7, 0],
            Self::Idle { link } => [18, *link],
            Self::LinkTimer { link } => [8, *link],
            Self::MaxAge { client } => [19, *client as u64],
            Self::Mock => [9, 0],
            Self::Refresh { client } => [10, *client as u64],
            Self::Retry { client, operation } => [11 | operation << 8, *client as u64],
            Self::Sealed { client, id, .. } => [12 | id << 8, *client as u64],
            Self::Strike => [13, 0],
            Self::Timer { client } => [14, *client as u64],
            Self::Turn { client } => [15, *client as u64],
            Self::Unclog { client, broker } => [16, pair(*client, *broker)],
            Self::Work { client } => [17, *client as u64],
        }
    }
}

/// Events by time, and in the order of insertion where the time is the same.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: BTreeMap<(u64, u64), Event>,
    ties: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: u64, event: Event) {
        self.ties += 1;
        self.events.insert((at, self.ties), event);
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
