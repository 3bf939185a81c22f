//! Decides which brokers can be reached, whether the cluster can, and what of it is worth a log event.
//!
//! ```text
//!             metadata                 one of several fails           all have failed
//! connecting ──────────→ connected ←──────────────────────→ degraded ←───────────────→ unreachable
//!     │                      ↑          it connects                                     ↑    │
//!     │                      └──────────────────── one connects ────────────────────────┼────┘
//!     └──── every bootstrap address has failed ─────────────────────────────────────────┘
//! ```
//!
//! An attempt to connect is made only when something needs the broker. A broker counts as unreachable from an attempt that failed
//! until one succeeds, until it has another address, or until metadata no longer names it. Lost and idle connections change nothing: the
//! next attempt decides. When a connection ends the outage of a whole cluster, all its brokers count as reachable until an attempt
//! fails, because most of them are not needed at once.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::config::HostPort;
use crate::error::Error;
use crate::types::inserted;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// One of the addresses that the user gave, by its index.
    Bootstrap(usize),
    Broker(i32),
}

impl Endpoint {
    /// The id, of a broker whose id is known.
    pub fn broker(self) -> Option<i32> {
        match self {
            Self::Bootstrap(_) => None,
            Self::Broker(id) => Some(id),
        }
    }
}

/// Whether a client can reach its cluster. Read by [`Client::state`](crate::Client::state).
///
/// It changes when an attempt to connect succeeds or fails, and attempts are made only when something needs the broker: an idle client
/// learns of an outage when it refreshes its metadata (`metadata.max.age.ms`).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum State {
    /// The client has not received metadata yet, and not every bootstrap address has failed. Only a client that
    /// [connects in the background](crate::Client::connect_lazy) is seen in this state.
    #[default]
    Connecting,
    /// The last attempt to connect to each broker succeeded, if there was one. Connections that are closed for being idle change
    /// nothing.
    Connected,
    /// Some brokers cannot be reached: their last attempts failed. Requests to the others go on.
    ///
    /// A broker counts again when a connection to it succeeds, or when it moves to another address. It is no longer listed when it
    /// leaves the metadata. A broker that nothing else needs is tried again with each regular refresh of the metadata.
    Degraded {
        /// The ids of the brokers that cannot be reached, in ascending order.
        brokers: Vec<i32>,
    },
    /// No broker of the cluster can be reached; before the first metadata, none of the bootstrap addresses. The first connection ends
    /// this state.
    Unreachable {
        /// When this state began.
        since: Instant,
        /// The error of the last attempt. It is kept up to date, without counting as a change of the state.
        error: Error,
    },
}

/// An event for the log.
#[derive(Clone, Debug)]
pub enum Report {
    Unreachable { endpoint: Endpoint, address: HostPort, error: Error },
    Reachable { endpoint: Endpoint, address: HostPort, outage: Duration },
    ClusterUnreachable { error: Error },
    ClusterReachable { outage: Duration },
}

/// The least time between two reports that the same broker, or the cluster, is unreachable. An outage that begins within it is reported
/// after it, if it still lasts.
pub const QUIET: Duration = Duration::from_secs(60);

/// Takes the outcome of every attempt to connect.
#[derive(Debug)]
pub struct Reach {
    bootstrap: Vec<HostPort>,
    /// The brokers that metadata names.
    brokers: BTreeMap<i32, HostPort>,
    /// The endpoints whose last attempt failed, since the first of these failures.
    failed: BTreeMap<Endpoint, Instant>,
    /// The error of the last attempt that failed, and since when all have failed.
    outage: Option<(Instant, Error)>,
    of_endpoints: BTreeMap<Endpoint, Reported>,
    of_cluster: Reported,
    reports: VecDeque<Report>,
}

/// The reports about an endpoint or the cluster.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    /// The beginning of an outage that was reported, until its end is.
    outage: Option<Instant>,
    /// When an outage was last reported.
    last: Option<Instant>,
}

impl Reported {
    /// Whether to report an outage that began at `since`.
    fn begins(&mut self, now: Instant, since: Instant) -> bool {
        let is_quiet = self.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET);
        if self.outage.is_some() || is_quiet {
            return false;
        }
        *self = Self { outage: Some(since), last: Some(now) };
        true
    }

    /// The length of an outage whose end is to be reported.
    fn ends(&mut self, now: Instant) -> Option<Duration> {
        self.outage.take().map(|since| now.saturating_duration_since(since))
    }
}

impl Reach {
    /// A client that has not connected yet.
    pub fn new(bootstrap: Vec<HostPort>) -> Self {
        Self {
            bootstrap,
            brokers: BTreeMap::new(),
            failed: BTreeMap::new(),
            outage: None,
            of_endpoints: BTreeMap::new(),
            of_cluster: Reported::default(),
            reports: VecDeque::new(),
        }
    }

    /// Takes the brokers that metadata names.
    pub fn handle_brokers(&mut self, now: Instant, brokers: impl IntoIterator<Item = (i32, HostPort)>) {
        let brokers: BTreeMap<i32, HostPort> = inserted(brokers);
        if self.brokers == brokers {
            return;
        }
        let before = std::mem::replace(&mut self.brokers, brokers);
        let is_same = |endpoint: &Endpoint| match endpoint {
            Endpoint::Bootstrap(_) => self.brokers.is_empty(),
            Endpoint::Broker(id) => before.contains_key(id) && before.get(id) == self.brokers.get(id),
        };
        self.failed.retain(|endpoint, _| is_same(endpoint));
        self.of_endpoints.retain(|endpoint, _| is_same(endpoint));
        self.update(now);
    }

    /// Takes an attempt to connect that succeeded.
    pub fn handle_connected(&mut self, now: Instant, endpoint: Endpoint, address: &HostPort) {
        if self.address(endpoint) != Some(address) {
            return;
        }
        self.failed.remove(&endpoint);
        if self.outage.is_some() {
            self.failed.clear();
        }
        self.update(now);
    }

    /// Takes an attempt to connect that failed.
    pub fn handle_failed(&mut self, now: Instant, endpoint: Endpoint, address: &HostPort, error: &Error) {
        if self.address(endpoint) != Some(address) {
            return;
        }
        self.failed.entry(endpoint).or_insert(now);
        if self.failed.len() == self.endpoints().count() {
            let since = self.outage.as_ref().map_or(now, |(since, _)| *since);
            self.outage = Some((since, error.clone()));
        }
        self.update_with(now, Some((endpoint, error)));
    }

    /// The state of the client.
    pub fn state(&self) -> State {
        if let Some((since, error)) = &self.outage {
            return State::Unreachable { since: *since, error: error.clone() };
        }
        let brokers: Vec<i32> = self.failed.keys().copied().filter_map(Endpoint::broker).collect();
        match (self.brokers.is_empty(), brokers.is_empty()) {
            (true, _) => State::Connecting,
            (false, true) => State::Connected,
            (false, false) => State::Degraded { brokers },
        }
    }

    /// The next event for the log.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// The brokers whose last attempt failed.
    pub fn failed_brokers(&self) -> Vec<i32> {
        self.failed.keys().copied().filter_map(Endpoint::broker).collect()
    }

    /// The endpoints that count: the brokers, or the bootstrap addresses while no broker is known.
    fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let bootstrap = if self.brokers.is_empty() { self.bootstrap.len() } else { 0 };
        (0..bootstrap).map(Endpoint::Bootstrap).chain(self.brokers.keys().copied().map(Endpoint::Broker))
    }

    /// The address of an endpoint that counts. Attempts at another address are of a connection that is given up.
    fn address(&self, endpoint: Endpoint) -> Option<&HostPort> {
        match endpoint {
            Endpoint::Bootstrap(index) => self.bootstrap.get(index).filter(|_| self.brokers.is_empty()),
            Endpoint::Broker(id) => self.brokers.get(&id),
        }
    }

    fn update(&mut self, now: Instant) {
        self.update_with(now, None);
    }

    /// Notes the end of an outage, and decides what to report. `failure` is the attempt that has just failed.
    fn update_with(&mut self, now: Instant, failure: Option<(Endpoint, &Error)>) {
        if self.failed.len() < self.endpoints().count() {
            self.outage = None;
        }
        if let Some((since, error)) = &self.outage {
            if self.of_cluster.begins(now, *since) {
                self.reports.push_back(Report::ClusterUnreachable { error: error.clone() });
                // The outages of single brokers are part of this one.
                self.of_endpoints.values_mut().for_each(|reported| reported.outage = None);
            }
            return;
        }
        if let Some(outage) = self.of_cluster.ends(now) {
            self.reports.push_back(Report::ClusterReachable { outage });
        }
        for (endpoint, reported) in &mut self.of_endpoints {
            let address = match endpoint {
                Endpoint::Bootstrap(index) => self.bootstrap.get(*index),
                Endpoint::Broker(id) => self.brokers.get(id),
            };
            if let Some(address) = address.filter(|_| !self.failed.contains_key(endpoint))
                && let Some(outage) = reported.ends(now)
            {
                self.reports.push_back(Report::Reachable { endpoint: *endpoint, address: address.clone(), outage });
            }
        }
        if let Some((endpoint, error)) = failure
            && let Some(address) = self.address(endpoint).cloned()
        {
            let since = self.failed.get(&endpoint).copied().unwrap_or(now);
            if self.of_endpoints.entry(endpoint).or_default().begins(now, since) {
                self.reports.push_back(Report::Unreachable { endpoint, address, error: error.clone() });
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/reach.rs"]
mod tests;
