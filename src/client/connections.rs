//! The connections of a client, and the addresses that they lead to.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use super::state::Reaches;
use crate::config::HostPort;
pub(super) use crate::conn::reach::Endpoint;
use crate::metadata::Snapshot;
use crate::metrics::ConnectionCounters;
use crate::metrics::ConnectionMetrics;
use crate::metrics::Metrics;
use crate::metrics::Purpose;
use crate::net::connection;
use crate::net::connection::Handle;
use crate::net::meter::Meter;
use crate::net::runtime::Runtime;
use crate::wire::Api;
use crate::wire::message::Node;

/// The requests that share a connection to a broker.
///
/// A broker processes the requests of one connection in order, so that a slow request delays all later ones. Requests that may take
/// long have a connection of their own, which is opened when it is first needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ConnectionKind {
    /// Changes of topics. A broker responds once the cluster has carried them out.
    Admin,
    /// The fetches of one reader. A broker holds a fetch that finds no records.
    Fetch {
        reader: u64,
        index: usize,
    },
    /// Requests that a broker responds to at once.
    General,
    /// Requests of a reader that is a member of a group. A broker holds some until the group is complete (JoinGroup, SyncGroup).
    Membership {
        reader: u64,
    },
    Produce,
}

impl ConnectionKind {
    fn purpose(self) -> Purpose {
        match self {
            Self::Admin => Purpose::Admin,
            Self::Fetch { .. } => Purpose::Fetch,
            Self::General | Self::Membership { .. } => Purpose::Control,
            Self::Produce => Purpose::Produce,
        }
    }

    /// The connection for requests of an API.
    pub(super) fn of(api: Api) -> Self {
        match api {
            Api::Produce => Self::Produce,
            Api::Fetch => Self::Fetch { reader: 0, index: 0 },
            Api::CreateTopics | Api::DeleteTopics => Self::Admin,
            _ => Self::General,
        }
    }
}

/// The state of the connections to a broker, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Working,
    Untried,
    Failed,
}

/// The address of a broker. `None` if no connection can be made to it.
pub(super) fn address(node: &Node) -> Option<HostPort> {
    Some(HostPort { host: node.host.clone(), port: u16::try_from(node.port).ok().filter(|port| *port > 0)? })
}

/// The connections that were needed so far.
#[derive(Debug)]
pub(super) struct Connections {
    settings: Arc<connection::Settings>,
    open: Mutex<HashMap<(Endpoint, ConnectionKind), Open>>,
    meters: Mutex<Meters>,
    reaches: Arc<Reaches>,
}

/// Every connection whose task may still run, and the sum over those whose tasks have ended.
#[derive(Debug, Default)]
struct Meters {
    live: Vec<Metered>,
    retired: BTreeMap<Purpose, ConnectionCounters>,
}

#[derive(Debug)]
struct Metered {
    endpoint: Endpoint,
    kind: ConnectionKind,
    address: HostPort,
    meter: Meter,
}

impl Meters {
    /// Adds up the connections whose tasks have ended, so that the list is no longer than there are tasks.
    fn settle(&mut self) {
        let Self { live, retired } = self;
        live.retain(|Metered { kind, meter, .. }| {
            let is_live = meter.is_shared();
            if !is_live {
                retired.entry(kind.purpose()).or_default().add(&meter.read());
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

impl Connections {
    /// The outcome of every attempt to connect goes to `reaches`.
    pub(super) fn new(settings: connection::Settings, reaches: Arc<Reaches>) -> Self {
        Self { settings: Arc::new(settings), open: Mutex::default(), meters: Mutex::default(), reaches }
    }

    /// The runtime of all tasks of the client.
    pub(super) fn runtime(&self) -> &Runtime {
        &self.settings.runtime
    }

    /// Whether brokers can be reached.
    pub(super) fn reaches(&self) -> &Reaches {
        &self.reaches
    }

    fn open(&self) -> MutexGuard<'_, HashMap<(Endpoint, ConnectionKind), Open>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meters(&self) -> MutexGuard<'_, Meters> {
        // Adding up twice is the worst that a panic could leave behind.
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a reading of every connection, in an order that does not depend on which was opened first.
    pub(super) fn metrics(&self, into: &mut Metrics) {
        let mut meters = self.meters();
        meters.settle();
        meters.retired.values().for_each(|counters| into.retired.add(counters));
        into.retired_by_purpose.clone_from(&meters.retired);
        into.connections.extend(meters.live.iter().map(|Metered { endpoint, kind, address, meter }| {
            ConnectionMetrics {
                broker: endpoint.broker(),
                address: address.to_string(),
                purpose: kind.purpose(),
                counters: meter.read(),
            }
        }));
        drop(meters);
        into.connections.sort_by(|a, b| (a.broker, &a.address, a.purpose).cmp(&(b.broker, &b.address, b.purpose)));
    }

    /// The connection to `endpoint` at `address`. A connection to its former address is dropped once the
    /// requests sent over it have their responses.
    pub(super) fn handle(&self, endpoint: Endpoint, kind: ConnectionKind, address: HostPort) -> Handle {
        let mut open = self.open();
        if let Some(known) = open.get(&(endpoint, kind)).filter(|known| known.address == address) {
            return known.handle.clone();
        }
        let meter = Meter::default();
        let observer = self.reaches.observer(endpoint, address.clone());
        let handle = connection::spawn(Arc::clone(&self.settings), address.clone(), meter.clone(), observer);
        let mut meters = self.meters();
        meters.settle();
        meters.live.push(Metered { endpoint, kind, address: address.clone(), meter });
        drop(meters);
        open.insert((endpoint, kind), Open { handle: handle.clone(), address });
        handle
    }

    /// Drops connections to brokers that left or moved, and to bootstrap addresses once brokers are known.
    pub(super) fn prune(&self, snapshot: &Snapshot) {
        let without_brokers = snapshot.brokers().next().is_none();
        self.open().retain(|(endpoint, _), open| match endpoint {
            Endpoint::Bootstrap(_) => without_brokers,
            Endpoint::Broker(id) => {
                snapshot.broker(*id).and_then(address).is_some_and(|address| address == open.address)
            }
        });
    }

    /// Drops the connections of a reader.
    pub(super) fn release(&self, reader: u64) {
        let is_readers = |kind: ConnectionKind| match kind {
            ConnectionKind::Fetch { reader: owner, .. } | ConnectionKind::Membership { reader: owner } => {
                owner == reader
            }
            ConnectionKind::Admin | ConnectionKind::General | ConnectionKind::Produce => false,
        };
        self.open().retain(|(_, kind), _| !is_readers(*kind));
    }

    /// The health of the general connection to a broker, or else of its other connections.
    pub(super) fn health(&self, broker: i32) -> Health {
        let of = |open: &Open| if open.handle.is_healthy() { Health::Working } else { Health::Failed };
        let open = self.open();
        if let Some(general) = open.get(&(Endpoint::Broker(broker), ConnectionKind::General)) {
            return of(general);
        }
        let others = open.iter().filter(|((endpoint, _), _)| *endpoint == Endpoint::Broker(broker));
        others.map(|(_, open)| of(open)).max().unwrap_or(Health::Untried)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.open().len()
    }
}
