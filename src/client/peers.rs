//! The connections of a client: to whom, and where they lead.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::config::HostPort;
use crate::metadata::Snapshot;
use crate::metrics::ConnectionCounters;
use crate::metrics::ConnectionMetrics;
use crate::metrics::Metrics;
use crate::metrics::Purpose;
use crate::net::connection;
use crate::net::connection::Handle;
use crate::net::meter::Meter;
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
    fn purpose(self) -> Purpose {
        match self {
            Self::Control => Purpose::Control,
            Self::Fetch { .. } => Purpose::Fetch,
            Self::Produce => Purpose::Produce,
        }
    }

    pub(super) fn of(request: &Request) -> Self {
        match request.api() {
            Api::Produce => Self::Produce,
            Api::Fetch => Self::Fetch { reader: 0, line: 0 },
            _ => Self::Control,
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

impl Peer {
    fn broker(self) -> Option<i32> {
        match self {
            Self::Bootstrap(_) => None,
            Self::Broker(id) => Some(id),
        }
    }
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
    meters: Mutex<Meters>,
}

/// Every connection whose task may still run, and the sum over those whose tasks have ended.
#[derive(Debug, Default)]
struct Meters {
    live: Vec<Metered>,
    retired: ConnectionCounters,
}

#[derive(Debug)]
struct Metered {
    peer: Peer,
    lane: Lane,
    address: HostPort,
    meter: Meter,
}

impl Meters {
    /// Adds up the connections whose tasks have ended, so that the list is no longer than there are tasks.
    fn settle(&mut self) {
        let Self { live, retired } = self;
        live.retain(|Metered { meter, .. }| {
            let is_live = meter.is_shared();
            if !is_live {
                retired.add(&meter.read());
            }
            is_live
        });
    }
}

#[derive(Debug)]
struct Open {
    handle: Handle,
    address: HostPort,
}

impl Peers {
    pub(super) fn new(settings: connection::Settings) -> Self {
        Self { settings: Arc::new(settings), open: Mutex::default(), meters: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<(Peer, Lane), Open>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meters(&self) -> MutexGuard<'_, Meters> {
        // Adding up twice is the worst that a panic could leave behind.
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a reading of every connection, in an order that does not depend on who was connected to first.
    pub(super) fn metrics(&self, into: &mut Metrics) {
        let mut meters = self.meters();
        meters.settle();
        into.retired.add(&meters.retired);
        into.connections.extend(meters.live.iter().map(|Metered { peer, lane, address, meter }| ConnectionMetrics {
            broker: peer.broker(),
            address: address.to_string(),
            purpose: lane.purpose(),
            counters: meter.read(),
        }));
        drop(meters);
        into.connections.sort_by(|a, b| (a.broker, &a.address, a.purpose).cmp(&(b.broker, &b.address, b.purpose)));
    }

    /// The connection to `peer`, which listens at `address`. One that leads elsewhere is given up: what was sent on it is still
    /// answered.
    pub(super) fn handle(&self, peer: Peer, lane: Lane, address: HostPort) -> Handle {
        let mut open = self.open();
        if let Some(known) = open.get(&(peer, lane)).filter(|known| known.address == address) {
            return known.handle.clone();
        }
        let meter = Meter::default();
        let handle = connection::spawn(Arc::clone(&self.settings), address.clone(), meter.clone());
        let mut meters = self.meters();
        meters.settle();
        meters.live.push(Metered { peer, lane, address: address.clone(), meter });
        drop(meters);
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
