//! The registry behind [`Client::metrics`]: it knows the sources of all counters and reads them together.
//!
//! Counters belong to the layer that counts. A reading takes each lock once, one after the other. Counting needs no access to the
//! registry, so that a client whose metrics are not read pays nothing for it.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;

use super::Client;
use super::Cluster;
use crate::metrics::MetadataMetrics;
use crate::metrics::Metrics;

impl Client {
    /// Reads all counters of this client, its connections, producers and consumers. See [`metrics`](crate::metrics).
    ///
    /// Each is read as it is at its moment, one after the other. It costs a lock for each connection, producer and consumer.
    pub fn metrics(&self) -> Metrics {
        self.cluster.metrics()
    }
}

/// A producer or a consumer that counts.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Adds a reading under the number that the registry assigned.
    fn read(&self, id: u64, into: &mut Metrics);
}

/// The sources of the counters of a client.
#[derive(Debug, Default)]
pub(super) struct Registry {
    sources: Mutex<Sources>,
    metadata: Mutex<MetadataMetrics>,
}

#[derive(Debug, Default)]
struct Sources {
    last: u64,
    known: Vec<(u64, Weak<dyn Source>)>,
}

impl Registry {
    fn sources(&self) -> MutexGuard<'_, Sources> {
        // The list is whole after every statement, so a panic elsewhere does not spoil it.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, source: Weak<dyn Source>) {
        let mut sources = self.sources();
        sources.known.retain(|(_, known)| known.strong_count() > 0);
        sources.last += 1;
        let id = sources.last;
        sources.known.push((id, source));
    }

    /// Those that are alive. They are read without the lock, since the last handle to one may be dropped meanwhile.
    fn alive(&self) -> Vec<(u64, Arc<dyn Source>)> {
        let sources = self.sources();
        sources.known.iter().filter_map(|(id, source)| Some((*id, source.upgrade()?))).collect()
    }

    /// The counters of metadata; the gauges among them are filled in by a reading.
    pub(super) fn metadata(&self) -> MutexGuard<'_, MetadataMetrics> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Lets a producer or a consumer take part in readings until it is dropped.
    pub(crate) fn register(&self, source: Weak<dyn Source>) {
        self.registry().add(source);
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = Metrics { metadata: self.registry().metadata().clone(), ..Metrics::default() };
        let snapshot = self.snapshot();
        metrics.metadata.brokers = snapshot.brokers().count().try_into().unwrap_or(u64::MAX);
        metrics.metadata.topics = snapshot.topics().count().try_into().unwrap_or(u64::MAX);
        self.connections().metrics(&mut metrics);
        for (id, source) in self.registry().alive() {
            source.read(id, &mut metrics);
        }
        metrics
    }
}
