//! The part of a client that its handles share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::connections::Connections;
use super::coordinators::Coordinators;
use super::events;
use super::metrics::Registry;
use super::misses::Misses;
use super::refresher;
use super::settings::Settings;
use super::state::Reaches;
use super::topics::AutoCreate;
use super::tracking::Tracking;
use crate::error::Error;
use crate::metadata::Cache;
use crate::metadata::Snapshot;
use crate::net::Connector;
use crate::net::clock;
use crate::net::connection;
use crate::net::runtime::Runtime;
#[cfg(feature = "tls")]
use crate::net::secure::Secure;
#[cfg(feature = "tls")]
use crate::tls::Peer;
use crate::types::TopicName;
use crate::wire::message::Leader;
use crate::wire::message::Node;

/// The leader of a partition, as a response hinted at it.
#[derive(Clone, Debug)]
pub(crate) struct Hint {
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    pub(crate) leader: Leader,
    pub(crate) nodes: Vec<Node>,
}

/// The shared part of a client. Dropping the last one ends its tasks.
#[derive(Clone, Debug)]
pub(crate) struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    connections: Connections,
    cache: Mutex<Cache>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    coordinators: Coordinators,
    tracking: Arc<Tracking>,
    misses: Misses,
    /// Counts choices among brokers, so that each begins with another broker.
    turn: AtomicUsize,
    /// The number of the last reader.
    readers: AtomicU64,
    registry: Registry,
}

impl Cluster {
    /// Connects to the first bootstrap address that responds, and takes the metadata from it. Tries again until the set-up timeout.
    pub(crate) async fn connect(settings: Settings, connector: Box<dyn Connector>, on: Runtime) -> Result<Self, Error> {
        let deadline = clock::now() + settings.setup_timeout;
        let cluster = Self::new(settings, connector, on);
        let mut retry = cluster.retry(deadline);
        while let Err(error) =
            refresher::once(&cluster.downgrade(), BTreeSet::new(), AutoCreate::Forbid, deadline).await
        {
            if retry.pause(error.clone()).await.is_err() {
                return Err(error);
            }
        }
        cluster.keep_fresh();
        Ok(cluster)
    }

    /// Connects in the background, and tries again until that has worked. Calls wait for it by their own deadlines.
    pub(crate) fn connect_lazy(settings: Settings, connector: Box<dyn Connector>, on: Runtime) -> Self {
        let cluster = Self::new(settings, connector, on);
        cluster.tracking().request();
        cluster.keep_fresh();
        cluster
    }

    fn new(settings: Settings, connector: Box<dyn Connector>, runtime: Runtime) -> Self {
        let connections = connection::Settings {
            client_id: settings.client_id.clone(),
            connector,
            sasl: settings.sasl.clone(),
            #[cfg(feature = "tls")]
            secure: settings.tls.clone().map(|tls| Secure::new(tls, Peer::Broker)),
            runtime,
            setup_timeout: settings.setup_timeout,
            setup_timeout_max: settings.setup_timeout_max,
            request_timeout: settings.request_timeout,
            reconnect_backoff: settings.reconnect_backoff,
            reconnect_backoff_max: settings.reconnect_backoff_max,
            idle_max: settings.idle_max,
            response_bytes_max: settings.response_bytes_max,
            in_flight_max: 64,
        };
        let reaches = Reaches::new(settings.bootstrap.as_slice().to_vec());
        let seed = usize::try_from(clock::seed() >> 33).unwrap_or(0);
        Self(Arc::new(Inner {
            settings,
            connections: Connections::new(connections, reaches),
            cache: Mutex::default(),
            snapshots: watch::Sender::new(Arc::default()),
            coordinators: Coordinators::default(),
            tracking: Arc::default(),
            misses: Misses::default(),
            turn: AtomicUsize::new(seed),
            readers: AtomicU64::new(0),
            registry: Registry::default(),
        }))
    }

    /// Starts the task that keeps the metadata fresh.
    fn keep_fresh(&self) {
        drop(self.runtime().spawn(refresher::run(self.downgrade(), Arc::clone(&self.0.tracking))));
    }

    /// The runtime of all tasks of the client.
    pub(crate) fn runtime(&self) -> &Runtime {
        self.0.connections.runtime()
    }

    pub(super) fn downgrade(&self) -> Weak {
        Weak(Arc::downgrade(&self.0))
    }

    pub(super) fn tracking(&self) -> &Arc<Tracking> {
        &self.0.tracking
    }

    pub(super) fn misses(&self) -> &Misses {
        &self.0.misses
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub(super) fn reaches(&self) -> &Reaches {
        self.0.connections.reaches()
    }

    pub(super) fn coordinators(&self) -> &Coordinators {
        &self.0.coordinators
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Grows with each call.
    pub(super) fn next_turn(&self) -> usize {
        self.0.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Grows with each call, from 1.
    pub(super) fn next_reader(&self) -> u64 {
        self.0.readers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The metadata.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.snapshots.borrow())
    }

    /// The metadata, and each of its changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.snapshots.subscribe()
    }

    /// Takes leaders that responses hinted at (KIP-951), in one change of the metadata.
    pub(crate) fn take_hints(&self, hints: &[Hint]) {
        let take = |cache: &mut Cache, Hint { topic, partition, leader, nodes }: &Hint| {
            cache.handle_hint(topic, *partition, *leader, nodes)
        };
        if !hints.is_empty() {
            self.edit(|cache| hints.iter().fold(false, |changed, hint| take(cache, hint) | changed));
        }
    }

    /// Changes the metadata and notifies all readers, if `change` returns `true`. Returns what `change` returns.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Cache) -> bool) -> bool {
        let mut cache = lock(&self.0.cache);
        let before = cache.snapshot();
        if !change(&mut cache) {
            return false;
        }
        let snapshot = cache.snapshot();
        self.registry().metadata().leader_changes += events::report(&before, &snapshot);
        self.0.connections.prune(&snapshot);
        self.reaches().take_brokers(&snapshot);
        self.0.snapshots.send_replace(snapshot);
        true
    }
}

fn lock(cache: &Mutex<Cache>) -> MutexGuard<'_, Cache> {
    // The cache is whole after every statement, so a panic elsewhere does not spoil it.
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cluster that does not keep the client alive.
#[derive(Clone, Debug)]
pub(super) struct Weak(std::sync::Weak<Inner>);

impl Weak {
    /// The cluster, unless the last handle was dropped. It is not to be held across an `.await` that waits for a broker.
    pub(super) fn upgrade(&self) -> Option<Cluster> {
        self.0.upgrade().map(Cluster)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tracking.stop();
    }
}
