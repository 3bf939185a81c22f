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
    /// Told when the client is gone.
    stopped: Notify,
}

#[derive(Debug, Default)]
struct Wanted {
    topics: BTreeSet<TopicName>,
    soon: bool,
    stopped: bool,
    /// Why the last question was not answered, if it was not.
    failure: Option<Error>,
}

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
        self.stopped.notify_one();
    }

    /// Why nothing is known, where that is so.
    pub(super) fn failure(&self) -> Option<Error> {
        self.wanted().failure.clone()
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
        let asked = once(&cluster, topics).await;
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
        if tokio::time::timeout(wait, refresher.stopped.notified()).await.is_ok() {
            return;
        }
    }
}

/// Asks about `topics`: brokers that are known first, then the bootstrap addresses (KIP-899). Keeps no client alive.
pub(super) async fn once(client: &Weak, topics: Vec<TopicName>) -> Result<(), Error> {
    let closed = || Error::new(Kind::Closed, "the client is closed");
    let request = Request::Metadata(MetadataRequest { topics: Some(topics), allow_auto_create: false });
    let (known, tries) = {
        let cluster = client.upgrade().ok_or_else(closed)?;
        let known = cluster.snapshot().brokers().count();
        (known, known + cluster.settings().bootstrap.len())
    };
    let mut last = None;
    for attempt in 0..tries {
        let asking = {
            let cluster = client.upgrade().ok_or_else(closed)?;
            if attempt == known && known > 0 {
                tracing::info!("no known broker answers: starting over from the bootstrap addresses");
                forget_brokers(&cluster);
            }
            // A broker that is starting may take a question and not answer it: the next one is asked soon.
            let deadline = cluster.patience(clock::now() + cluster.settings().request_timeout);
            cluster.request(Target::Any, request.clone(), deadline)
        };
        let answer = asking.await;
        let cluster = client.upgrade().ok_or_else(closed)?;
        match answer {
            Ok(Response::Metadata(response)) if response.error == Some(Code::RebootstrapRequired) => {
                forget_brokers(&cluster);
            }
            Ok(Response::Metadata(response)) => {
                cluster.edit(|cache| {
                    cache.handle_response(response);
                    true
                });
                cluster.refresher().wanted().failure = None;
                return Ok(());
            }
            Ok(_) => last = Some(Error::protocol("the answer is to another question")),
            Err(error) => {
                cluster.refresher().wanted().failure = Some(error.clone());
                last = Some(error);
            }
        }
    }
    let servers =
        client.upgrade().ok_or_else(closed)?.settings().bootstrap.iter().map(ToString::to_string).collect::<Vec<_>>();
    let error = Error::new(Kind::Connect, format!("none of the brokers {} could be asked", servers.join(", ")));
    Err(match last {
        Some(last) => error.caused_by(last),
        None => error,
    })
}

fn forget_brokers(cluster: &Cluster) {
    cluster.edit(|cache| {
        cache.forget_brokers();
        true
    });
}
