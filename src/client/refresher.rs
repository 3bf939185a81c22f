//! Keeps what is known about the cluster fresh: one task a client, one question at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::Notify;

use super::cluster::Cluster;
use super::cluster::Target;
use super::cluster::Weak;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::types::TopicName;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::message::MetadataRequest;

/// What is wanted of the task.
#[derive(Debug, Default)]
pub(super) struct Refresher {
    wanted: Mutex<Wanted>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Wanted {
    topics: BTreeSet<TopicName>,
    soon: bool,
    stopped: bool,
}

/// How long one broker is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two questions are at least this far apart.
const PAUSE: Duration = Duration::from_millis(100);

impl Refresher {
    fn wanted(&self) -> std::sync::MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds topics to those that are kept fresh; `soon` asks without waiting for the next turn.
    pub(super) fn want(&self, topics: &[TopicName], soon: bool) {
        let mut wanted = self.wanted();
        for topic in topics {
            if !wanted.topics.contains(topic) {
                wanted.topics.insert(topic.clone());
            }
        }
        wanted.soon |= soon;
        drop(wanted);
        if soon {
            self.news.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        self.wanted().stopped = true;
        self.news.notify_one();
    }
}

/// Asks whenever it is wanted, and when what is known is old, until the client is gone.
pub(super) async fn run(cluster: Weak, refresher: Arc<Refresher>) {
    let mut rng = Rng::with_seed(clock::seed());
    let Some(first) = cluster.upgrade() else { return };
    let age_max = first.settings().metadata_age_max;
    let mut backoff = first.retry_backoff();
    drop(first);
    loop {
        // A permit that was left before this point makes the wait return at once.
        let _ = tokio::time::timeout(age_max, refresher.news.notified()).await;
        let topics = {
            let mut wanted = refresher.wanted();
            wanted.soon = false;
            if wanted.stopped {
                return;
            }
            wanted.topics.iter().cloned().collect()
        };
        let Some(cluster) = cluster.upgrade() else { return };
        let asked = once(&cluster, topics).await;
        drop(cluster);
        let wait = match asked {
            Ok(()) => {
                backoff.reset();
                PAUSE
            }
            Err(error) => {
                tracing::debug!(%error, "could not refresh metadata");
                refresher.want(&[], true);
                backoff.next(&mut rng)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Asks about `topics`: brokers that are known first, then the bootstrap addresses (KIP-899).
pub(super) async fn once(cluster: &Cluster, topics: Vec<TopicName>) -> Result<(), Error> {
    let request = Request::Metadata(MetadataRequest { topics: Some(topics), allow_auto_create: false });
    let known = cluster.snapshot().brokers().count();
    let mut last = None;
    for attempt in 0..known + cluster.settings().bootstrap.len() {
        if attempt == known && known > 0 {
            tracing::info!("no known broker answers: starting over from the bootstrap addresses");
            cluster.edit(|cache| {
                cache.forget_brokers();
                true
            });
        }
        let settings = cluster.settings();
        // A broker that is starting may take a question and not answer it: the next one is asked soon.
        let deadline = clock::now() + settings.request_timeout.min(PATIENCE);
        match cluster.request(Target::Any, request.clone(), deadline).await {
            Ok(Response::Metadata(response)) if response.error == Some(Code::RebootstrapRequired) => {
                cluster.edit(|cache| {
                    cache.forget_brokers();
                    true
                });
            }
            Ok(Response::Metadata(response)) => {
                cluster.edit(|cache| {
                    cache.handle_response(response);
                    true
                });
                return Ok(());
            }
            Ok(_) => last = Some(Error::protocol("the answer is to another question")),
            Err(error) => last = Some(error),
        }
    }
    let servers: Vec<String> = cluster.settings().bootstrap.iter().map(ToString::to_string).collect();
    let error = Error::new(Kind::Connect, format!("none of the brokers {} could be asked", servers.join(", ")));
    Err(match last {
        Some(last) => error.caused_by(last),
        None => error,
    })
}
