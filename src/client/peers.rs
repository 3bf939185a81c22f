//! The connections of a client: to whom, and where they lead.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::config::HostPort;
use crate::metadata::Snapshot;
use crate::net::connection;
use crate::net::connection::Handle;
use crate::wire::Api;
use crate::wire::Request;
use crate::wire::message::Node;

/// Requests of different kinds do not wait for each other: each kind has a connection of its own, made when needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    Control,
    /// Of one reader, who may have several.
    Fetch {
        reader: u64,
        line: usize,
    },
    Produce,
}

impl Lane {
    pub(super) fn of(request: &Request) -> Self {
        match request.api() {
            Api::Produce => Self::Produce,
            Api::Fetch => Self::Fetch { reader: 0, line: 0 },
            Api::ApiVersions
            | Api::CreateTopics
            | Api::DeleteTopics
            | Api::DescribeCluster
            | Api::FindCoordinator
            | Api::InitProducerId
            | Api::ListOffsets
            | Api::Metadata
            | Api::OffsetCommit
            | Api::OffsetFetch
            | Api::OffsetForLeaderEpoch => Self::Control,
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    /// One of the addresses that the user gave, by its index.
    Bootstrap(usize),
    Broker(i32),
}

/// Where a broker listens; `None` for what no connection can be made to.
pub(super) fn address(node: &Node) -> Option<HostPort> {
    Some(HostPort { host: node.host.clone(), port: u16::try_from(node.port).ok().filter(|port| *port > 0)? })
}

/// A connection for each peer and lane that was needed.
#[derive(Debug)]
pub(super) struct Peers {
    settings: Arc<connection::Settings>,
    open: Mutex<HashMap<(Peer, Lane), Open>>,
}

#[derive(Debug)]
struct Open {
    handle: Handle,
    address: HostPort,
}

impl Peers {
    pub(super) fn new(settings: connection::Settings) -> Self {
        Self { settings: Arc::new(settings), open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<(Peer, Lane), Open>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to `peer`, which listens at `address`. One that leads elsewhere is given up: what was sent on it is still
    /// answered.
    pub(super) fn handle(&self, peer: Peer, lane: Lane, address: HostPort) -> Handle {
        let mut open = self.open();
        if let Some(known) = open.get(&(peer, lane)).filter(|known| known.address == address) {
            return known.handle.clone();
        }
        let handle = connection::spawn(Arc::clone(&self.settings), address.clone());
        open.insert((peer, lane), Open { handle: handle.clone(), address });
        handle
    }

    /// Gives up connections to brokers that are not there any more, or are elsewhere, and to the bootstrap addresses once
    /// brokers are known.
    pub(super) fn prune(&self, snapshot: &Snapshot) {
        let nobody = snapshot.brokers().next().is_none();
        self.open().retain(|(peer, _), open| match peer {
            Peer::Bootstrap(_) => nobody,
            Peer::Broker(id) => snapshot.broker(*id).and_then(address).is_some_and(|address| address == open.address),
        });
    }

    /// Gives up the connections of a reader.
    pub(super) fn release(&self, reader: u64) {
        self.open().retain(|(_, lane), _| !matches!(lane, Lane::Fetch { reader: whose, .. } if *whose == reader));
    }

    /// Whether nothing is known to be wrong with the connection to a broker.
    pub(super) fn is_healthy(&self, broker: i32, lane: Lane) -> bool {
        self.open().get(&(Peer::Broker(broker), lane)).is_none_or(|open| open.handle.is_healthy())
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.open().len()
    }
}
