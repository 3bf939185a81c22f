//! The state of a client for its user: a watch, fed by the outcome of every attempt to connect.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Instant;

use tokio::sync::watch;

use super::Client;
use super::Cluster;
use super::connections;
use super::routing::Target;
use crate::config::HostPort;
use crate::conn::reach::Endpoint;
use crate::conn::reach::Reach;
use crate::conn::reach::Report;
pub use crate::conn::reach::State;
use crate::error::Error;
use crate::metadata::Snapshot;
use crate::net::clock;
use crate::net::connection::Reply;
use crate::net::observer::Observer;
use crate::wire::message::ApiVersionsRequest;

/// The target of log events about brokers that can be reached or not.
const TARGET: &str = "ottla::connection";

/// The state of a [`Client`], and its changes. Made by [`Client::state`], and cheap to clone.
///
/// It does not keep the client alive.
#[derive(Clone, Debug)]
pub struct StateWatch {
    states: watch::Receiver<State>,
}

impl StateWatch {
    /// The present state. It takes no time, so that a health endpoint may call it for each request.
    pub fn current(&self) -> State {
        self.states.borrow().clone()
    }

    /// Waits for a change of the state, and returns the new one. Of several changes since the last call, or since [`Client::state`],
    /// only the last is returned, at once. Returns `None` when the last handle of the client was dropped.
    ///
    /// Cancel safety: dropping the future before it is ready loses nothing.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) {
    /// use ottla::client::State;
    ///
    /// let mut states = client.state();
    /// while let Some(state) = states.changed().await {
    ///     match state {
    ///         State::Degraded { brokers } => println!("brokers {brokers:?} cannot be reached"),
    ///         State::Unreachable { error, .. } => println!("Kafka cannot be reached: {error}"),
    ///         _ => println!("{state:?}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn changed(&mut self) -> Option<State> {
        self.states.changed().await.ok()?;
        Some(self.states.borrow_and_update().clone())
    }
}

impl Client {
    /// Whether the client can reach its cluster: for health endpoints, see [`guide::health`](crate::guide::health).
    ///
    /// ```no_run
    /// # fn run(client: &ottla::Client) {
    /// use ottla::client::State;
    ///
    /// let is_healthy = matches!(client.state().current(), State::Connected | State::Degraded { .. });
    /// # let _ = is_healthy;
    /// # }
    /// ```
    pub fn state(&self) -> StateWatch {
        StateWatch { states: self.cluster.reaches().states.subscribe() }
    }
}

/// The machine that decides the state, and the channel that publishes it.
#[derive(Debug)]
pub(super) struct Reaches {
    machine: Mutex<Reach>,
    states: watch::Sender<State>,
}

impl Reaches {
    pub(super) fn new(bootstrap: Vec<HostPort>) -> Arc<Self> {
        Arc::new(Self { machine: Mutex::new(Reach::new(bootstrap)), states: watch::Sender::default() })
    }

    fn machine(&self) -> MutexGuard<'_, Reach> {
        // The machine is whole after every event, so a panic elsewhere does not spoil it.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no broker can be reached.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(*self.states.borrow(), State::Unreachable { .. })
    }

    /// Takes the brokers of new metadata.
    pub(super) fn take_brokers(&self, snapshot: &Snapshot) {
        let brokers = snapshot.brokers().filter_map(|node| Some((node.id, connections::address(node)?)));
        self.change(|machine, now| machine.handle_brokers(now, brokers));
    }

    fn change(&self, change: impl FnOnce(&mut Reach, Instant)) {
        let mut machine = self.machine();
        change(&mut machine, clock::now());
        let state = machine.state();
        // Published under the lock, so that the last state is the last one published.
        self.states.send_if_modified(|published| {
            let is_change = is_change(published, &state);
            *published = state;
            is_change
        });
        let reports: Vec<Report> = std::iter::from_fn(|| machine.poll_report()).collect();
        drop(machine);
        reports.into_iter().for_each(log);
    }

    /// An observer of the attempts to connect to one endpoint. It does not keep the state alive.
    pub(super) fn observer(self: &Arc<Self>, endpoint: Endpoint, address: HostPort) -> Box<dyn Observer> {
        Box::new(Attempts { reaches: Arc::downgrade(self), endpoint, address })
    }
}

/// Whether a watcher is notified. Another error of the same outage is no change.
fn is_change(before: &State, after: &State) -> bool {
    match (before, after) {
        (State::Connecting, State::Connecting) | (State::Connected, State::Connected) => false,
        (State::Degraded { brokers: before }, State::Degraded { brokers: after }) => before != after,
        (State::Unreachable { since: before, .. }, State::Unreachable { since: after, .. }) => before != after,
        _ => true,
    }
}

fn log(report: Report) {
    match report {
        Report::Unreachable { endpoint, address, error } => {
            let (broker, error) = (endpoint.broker(), error.chain());
            tracing::warn!(target: TARGET, broker, %address, %error, "broker unreachable");
        }
        Report::Reachable { endpoint, address, outage } => {
            let (broker, outage_ms) = (endpoint.broker(), outage.as_millis());
            tracing::info!(target: TARGET, broker, %address, outage_ms, "broker reachable again");
        }
        Report::ClusterUnreachable { error } => {
            tracing::warn!(target: TARGET, error = %error.chain(), "cluster unreachable");
        }
        Report::ClusterReachable { outage } => {
            tracing::info!(target: TARGET, outage_ms = outage.as_millis(), "cluster reachable again");
        }
    }
}

/// The attempts to connect to one endpoint.
#[derive(Debug)]
struct Attempts {
    reaches: Weak<Reaches>,
    endpoint: Endpoint,
    address: HostPort,
}

impl Observer for Attempts {
    fn connected(&self) {
        if let Some(reaches) = self.reaches.upgrade() {
            reaches.change(|machine, now| machine.handle_connected(now, self.endpoint, &self.address));
        }
    }

    fn failed(&self, error: &Error) {
        if let Some(reaches) = self.reaches.upgrade() {
            reaches.change(|machine, now| machine.handle_failed(now, self.endpoint, &self.address, error));
        }
    }
}

impl Cluster {
    /// Tries the brokers again that could not be reached. Nothing else may need them, and their state would stay as it is.
    pub(super) fn probe_unreachable(&self) {
        let deadline = clock::now() + self.settings().setup_timeout_max;
        let brokers = self.reaches().machine().failed_brokers();
        for broker in brokers {
            // Nobody waits for the response: the connection matters.
            let (sender, _) = tokio::sync::oneshot::channel();
            self.submit(Target::Broker(broker), ApiVersionsRequest.into(), deadline, Reply::Oneshot(sender));
        }
    }
}
