//! Keeps what is known about the cluster fresh: one task a client, one question at a time.
//!
//! The task holds no handle while it waits, so that a client that was dropped goes away at once.

use std::collections::BTreeSet;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Poll;

use fastrand::Rng;
use tokio::sync::Notify;
use tokio::sync::oneshot;

use super::cluster::Cluster;
use super::cluster::PATIENCE;
use super::cluster::Target;
use super::cluster::Weak;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::net::connection::Reply;
use crate::types::TopicName;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::message::MetadataRequest;
use crate::wire::message::MetadataResponse;

/// What is wanted of the task.
#[derive(Debug, Default)]
pub(super) struct Refresher {
    wanted: Mutex<Wanted>,
    news: Notify,
    stopped: Notify,
}

#[derive(Debug, Default)]
struct Wanted {
    topics: BTreeSet<TopicName>,
    soon: bool,
    /// Why the last question was not answered, if it was not.
    failure: Option<Error>,
}

impl Refresher {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
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

    /// Why nothing is known, where that is so.
    pub(super) fn failure(&self) -> Option<Error> {
        self.wanted().failure.clone()
    }

    pub(super) fn stop(&self) {
        self.stopped.notify_one();
    }

    /// Awaits `future` unless the client goes away first.
    async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut stopped = pin!(self.stopped.notified());
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

/// Asks whenever it is wanted, and when what is known is old, until the client is gone.
///
/// After an answer that brought nothing new, as after none, the next question waits longer (KIP-580).
pub(super) async fn run(cluster: Weak, refresher: Arc<Refresher>) {
    let mut rng = Rng::with_seed(clock::seed());
    let Some(first) = cluster.upgrade() else { return };
    let (age_max, long) = (first.settings().metadata_age_max, first.settings().retry_backoff_max);
    let mut backoff = first.retry_backoff();
    drop(first);
    loop {
        let quiet_since = clock::now();
        // A permit that was left before this point makes the wait return at once.
        let news = tokio::time::timeout(age_max, refresher.news.notified());
        if refresher.unless_stopped(news).await.is_none() {
            return;
        }
        if clock::now() - quiet_since > long {
            backoff.reset();
        }
        let topics = {
            let mut wanted = refresher.wanted();
            wanted.soon = false;
            wanted.topics.clone()
        };
        match refresher.unless_stopped(once(&cluster, topics)).await {
            None => return,
            Some(Ok(News::Some)) => backoff.reset(),
            Some(Ok(News::None)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "could not refresh metadata");
                refresher.want(&[], true);
            }
        }
        let pause = tokio::time::sleep(backoff.next(&mut rng));
        if refresher.unless_stopped(pause).await.is_none() {
            return;
        }
    }
}

/// Whether an answer changed what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Some,
    None,
}

/// Asks about `topics`: brokers that are known first, then the bootstrap addresses (KIP-899).
///
/// A known broker that says that it is of another cluster is passed over, since its address was given to another: only where the
/// bootstrap addresses lead is taken for granted. A client that may not go back to them has to believe what it hears.
pub(super) async fn once(cluster: &Weak, topics: BTreeSet<TopicName>) -> Result<News, Error> {
    let named = Some(topics.iter().cloned().collect());
    let request = Request::Metadata(MetadataRequest { topics: named, allow_auto_create: false });
    let (known, bootstrap) = strong(cluster)?.everybody();
    let mut last = None;
    for target in &known {
        match ask(cluster, *target, &request, true).await {
            Ok(response) if response.error == Some(Code::RebootstrapRequired) => break,
            Ok(response) if is_strange(&strong(cluster)?, &response) => {
                let text = format!("it belongs to cluster {}", response.cluster_id.as_deref().unwrap_or_default());
                last = Some(Error::protocol(text));
            }
            Ok(response) => return Ok(learn(&strong(cluster)?, &topics, response)),
            Err(error) => last = Some(error),
        }
    }
    if !known.is_empty() {
        let cluster = strong(cluster)?;
        if !cluster.settings().rebootstrap {
            return Err(nobody(&cluster, last));
        }
        tracing::info!("no known broker answers: starting over from the bootstrap addresses");
        cluster.edit(|cache| {
            cache.forget_brokers();
            true
        });
    }
    let others = !known.is_empty() || bootstrap.len() > 1;
    for target in &bootstrap {
        match ask(cluster, *target, &request, others).await {
            Ok(MetadataResponse { error: Some(code), .. }) => {
                last = Some(Error::broker(code, "could not learn of the cluster"));
            }
            Ok(response) => return Ok(learn(&strong(cluster)?, &topics, response)),
            Err(error) => last = Some(error),
        }
    }
    Err(nobody(&strong(cluster)?, last))
}

fn is_strange(cluster: &Cluster, response: &MetadataResponse) -> bool {
    let is_strange = cluster.settings().rebootstrap && cluster.snapshot().is_of_another_cluster(response);
    if is_strange {
        tracing::warn!(id = response.cluster_id, "a broker belongs to another cluster: it is not believed");
    }
    is_strange
}

fn strong(cluster: &Weak) -> Result<Cluster, Error> {
    cluster.upgrade().ok_or_else(|| Error::new(Kind::Closed, "the client is closed"))
}

/// Puts the question to one. A broker that is starting may take it and not answer: where there are `others`, not for long.
async fn ask(cluster: &Weak, target: Target, request: &Request, others: bool) -> Result<MetadataResponse, Error> {
    let (sender, receiver) = oneshot::channel();
    {
        let cluster = strong(cluster)?;
        let settings = cluster.settings();
        // Alone, it has the time that it may take to set up a connection and to answer.
        let patience = if others { PATIENCE } else { settings.setup_timeout_max + PATIENCE };
        let deadline = clock::now() + settings.request_timeout.min(patience);
        cluster.submit(target, request.clone(), deadline, Reply::Oneshot(sender));
    }
    let answer = match receiver.await {
        Ok(Ok(Response::Metadata(response))) => Ok(response),
        Ok(Ok(_)) => Err(Error::protocol("the answer is to another question")),
        Ok(Err(error)) => Err(error.of_a_question()),
        Err(_) => Err(Error::new(Kind::Closed, "the client is closed")),
    };
    strong(cluster)?.refresher().wanted().failure = answer.as_ref().err().cloned();
    answer
}

/// Takes an answer, and tells whether it changed anything.
fn learn(cluster: &Cluster, topics: &BTreeSet<TopicName>, response: MetadataResponse) -> News {
    let before = cluster.snapshot();
    cluster.edit(|cache| {
        cache.handle_answer(topics, response);
        true
    });
    if before.says_the_same_as(&cluster.snapshot()) { News::None } else { News::Some }
}

fn nobody(cluster: &Cluster, last: Option<Error>) -> Error {
    let servers: Vec<String> = cluster.settings().bootstrap.iter().map(ToString::to_string).collect();
    let error = Error::new(Kind::Connect, format!("none of the brokers {} could be asked", servers.join(", ")));
    match last {
        Some(last) => error.caused_by(last),
        None => error,
    }
}
