//! A broker that is fetched from, over two connections.
//!
//! A broker processes the requests of one connection in order and may hold each response. Fetches go over the
//! first connection. A partition that changes while that one waits for a response, because its position was moved or it was
//! resumed or found, goes over the second at once, so that no partition waits for another one's response. Each connection has a
//! session of its own, and a partition is in one of them at a time.

use std::collections::BTreeSet;
use std::time::Instant;

use super::config::Config;
use super::retry::RetryState;
use super::session::Entry;
use super::session::Session;
use crate::metadata::Snapshot;
use crate::types::inserted;

/// A broker that is fetched from.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) connections: [FetchConnection; CONNECTIONS],
    pub(super) retry: RetryState,
    /// The number of partitions to fetch from it.
    pub(super) wanted: usize,
    /// Bytes of its partitions that are queued.
    pub(super) held: usize,
    /// Partitions that may have changed since they were last compared with what was requested.
    pub(super) changed: BTreeSet<usize>,
    /// It refers to a replica that cannot be used, so fetches to it carry no rack.
    pub(super) without_rack: Option<WithoutRack>,
}

/// How long fetches to a leader carry no rack, and the replica that caused it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WithoutRack {
    pub(super) replica: i32,
    pub(super) until: Instant,
}

/// The fetches over one connection: at most one request is in flight.
#[derive(Debug, Default)]
pub(super) struct FetchConnection {
    /// Has the partitions of the last request.
    pub(super) session: Session,
    pub(super) in_flight: Option<InFlight>,
    /// Responses in a row that brought nothing and did not wait for anything.
    pub(super) empty: u32,
    /// The partition that the next full request begins with, so that each comes first in turn.
    pub(super) turn: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub(super) since: Instant,
    /// Bytes that the response may have.
    pub(super) bytes: usize,
}

const CONNECTIONS: usize = 2;

impl Node {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            connections: Default::default(),
            retry: RetryState::new(config.retry_backoff, config.retry_backoff_max),
            wanted: 0,
            held: 0,
            changed: BTreeSet::new(),
            without_rack: None,
        }
    }

    /// A replica that was not known may be known from now on.
    pub(super) fn handle_metadata(&mut self, before: &Snapshot, after: &Snapshot) {
        let is_known = |snapshot: &Snapshot, replica| snapshot.broker(replica).is_some();
        self.without_rack =
            self.without_rack.filter(|without| is_known(before, without.replica) || !is_known(after, without.replica));
    }

    /// Whether the rack is kept from it.
    pub(super) fn hides_rack(&mut self, now: Instant) -> bool {
        self.without_rack = self.without_rack.filter(|without| without.until > now);
        self.without_rack.is_some()
    }

    /// The first connection that has no request in flight.
    pub(super) fn free(&self) -> Option<usize> {
        self.connections.iter().position(|connection| connection.in_flight.is_none())
    }

    /// Bytes that responses to requests in flight may have.
    pub(super) fn awaited(&self) -> usize {
        self.connections.iter().filter_map(|connection| connection.in_flight).map(|in_flight| in_flight.bytes).sum()
    }

    /// Takes the partitions to compare before a request over this connection.
    ///
    /// If both are free, the partitions of the second come back to the first, which is then the only one in use.
    pub(super) fn take_changed(&mut self, connection: usize) -> BTreeSet<usize> {
        let mut changed = std::mem::take(&mut self.changed);
        if self.connections[1 - connection].in_flight.is_none() {
            changed.extend(self.connections[1 - connection].session.staying());
        }
        changed
    }

    /// Chooses the connection for a partition to be fetched. Returns whether the request of this connection has to name it.
    pub(super) fn place(&mut self, connection: usize, slot: usize, wanted: Option<&Entry>) -> bool {
        let [first, second] = &mut self.connections;
        let (this, other) = if connection == 0 { (first, second) } else { (second, first) };
        let is_asked = other.in_flight.is_some() && wanted.is_some_and(|wanted| other.session.has(slot, wanted));
        if is_asked {
            other.session.stay(slot);
            this.session.leave(slot);
            return false;
        }
        other.session.leave(slot);
        if wanted.is_none() {
            this.session.leave(slot);
        }
        wanted.is_some()
    }

    /// Forgets a partition that was revoked.
    pub(super) fn forget(&mut self, slot: usize, key: &crate::types::TopicPartition) {
        self.changed.remove(&slot);
        for connection in &mut self.connections {
            connection.session.revoke(slot, key);
        }
    }

    /// Partitions that are, or are about to be, fetched from it.
    pub(super) fn slots(&self) -> BTreeSet<usize> {
        let sent = self.connections.iter().flat_map(|connection| connection.session.slots());
        inserted(sent.chain(self.changed.iter().copied()))
    }
}
