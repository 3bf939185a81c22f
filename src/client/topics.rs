//! Topics whose metadata a handle needs: interest in them, and waiting until they are known.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use super::cluster::Cluster;
use super::tracking::Tracking;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::net::clock;
use crate::types::TopicName;
use crate::wire::Api;

/// Whether a broker may create topics that do not exist (`allow.auto.create.topics`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AutoCreate {
    Allow,
    #[default]
    Forbid,
}

impl From<bool> for AutoCreate {
    fn from(allow: bool) -> Self {
        if allow { Self::Allow } else { Self::Forbid }
    }
}

/// Keeps the metadata of topics fresh until it is dropped.
#[derive(Debug)]
pub(crate) struct Interest {
    tracking: Arc<Tracking>,
    topics: Vec<TopicName>,
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.tracking.release(&self.topics);
    }
}

impl Cluster {
    /// Keeps the metadata of these topics fresh for as long as the result lives. Asks at once for topics that are not known.
    pub(crate) fn hold(&self, topics: &[TopicName], create: AutoCreate) -> Interest {
        self.tracking().hold(topics, create);
        self.track(topics, create);
        Interest { tracking: Arc::clone(self.tracking()), topics: topics.to_vec() }
    }

    /// Keeps the metadata of these topics fresh for a while (`metadata.max.idle.ms`). Asks at once for topics that are not known.
    pub(crate) fn track(&self, topics: &[TopicName], create: AutoCreate) {
        let snapshot = self.snapshot();
        let unknown = topics.iter().any(|topic| snapshot.topic(topic).is_none_or(|topic| topic.error.is_some()));
        let newer = unknown.then_some(&*snapshot);
        self.tracking().track(topics, create, self.settings().metadata_idle_max, newer);
    }

    /// Asks for the metadata of these topics soon. Requests are combined, and spaced by a back-off.
    pub(crate) fn refresh(&self, topics: &[TopicName]) {
        let snapshot = self.snapshot();
        self.tracking().track(topics, AutoCreate::Forbid, self.settings().metadata_idle_max, Some(&snapshot));
    }

    /// Waits until these topics are known, or are known not to exist.
    pub(crate) async fn known(&self, topics: &[TopicName], deadline: Instant) -> Result<Arc<Snapshot>, Error> {
        let grace = self.settings().propagation;
        self.known_or_created(topics, AutoCreate::Forbid, grace, deadline).await
    }

    /// As [`Self::known`]. With [`AutoCreate::Allow`], a broker may create a topic that does not exist. `grace` is how long brokers may
    /// not have heard of a topic that was just created: an unknown one is missing only after that.
    pub(crate) async fn known_or_created(
        &self,
        topics: &[TopicName],
        create: AutoCreate,
        grace: Duration,
        deadline: Instant,
    ) -> Result<Arc<Snapshot>, Error> {
        self.wait_for(topics, create, (grace, deadline), |snapshot| {
            topics.iter().find_map(|name| match snapshot.topic(name) {
                Some(topic) if topic.error.is_none() => None,
                Some(topic) => Some((name, Missing::Topic(topic.error))),
                None => Some((name, Missing::Topic(None))),
            })
        })
        .await
    }

    /// Waits until this partition is known, or is known not to exist: partitions may have been added since the last refresh.
    pub(crate) async fn known_partition(
        &self,
        topic: &TopicName,
        partition: i32,
        create: AutoCreate,
        grace: Duration,
        deadline: Instant,
    ) -> Result<Arc<Snapshot>, Error> {
        self.wait_for(std::slice::from_ref(topic), create, (grace, deadline), |snapshot| {
            let missing = match snapshot.topic(topic) {
                None => Missing::Topic(None),
                Some(known) if known.error.is_some() => Missing::Topic(known.error),
                Some(_) if snapshot.partition(topic, partition).is_some() => return None,
                Some(known) => Missing::Partition { partition, count: known.partitions.len() },
            };
            Some((topic, missing))
        })
        .await
    }

    /// Waits until nothing is missing from the metadata, or until it is decided that it does not exist.
    async fn wait_for<'a>(
        &self,
        topics: &'a [TopicName],
        create: AutoCreate,
        (grace, deadline): (Duration, Instant),
        missing: impl Fn(&Snapshot) -> Option<(&'a TopicName, Missing)>,
    ) -> Result<Arc<Snapshot>, Error> {
        for topic in topics {
            if let Some(problem) = TopicName::problem(topic) {
                return Err(Error::config(format!("not a topic's name: {problem}")).in_topic(&shortened(topic)));
            }
        }
        let mut changes = self.subscribe();
        // The metadata of a topic with an error is requested again: the topic may have been created since.
        let begun = changes.borrow().generation();
        let grace = clock::now() + grace;
        let mut failed = pin!(self.tracking().fatal_failure());
        // An outage may last longer than topics are kept without a holder.
        let _held = self.hold(topics, create);
        loop {
            let snapshot = Arc::clone(&changes.borrow_and_update());
            let Some((name, missing)) = missing(&snapshot) else { return Ok(snapshot) };
            if snapshot.generation() > begun
                && let Some(error) = missing.decided(name, clock::now() >= grace.min(deadline))
            {
                return Err(error);
            }
            if missing.needs_refresh() {
                self.refresh(topics);
            }
            let mut changed = pin!(changes.changed());
            let event = poll_fn(|cx| match failed.as_mut().poll(cx) {
                Poll::Ready(error) => Poll::Ready(Some(error)),
                Poll::Pending => changed.as_mut().poll(cx).map(|_| None),
            });
            let event = self.runtime().timeout_at(deadline, event).await;
            if let Ok(Some(error)) = event {
                return Err(error);
            }
            if event.is_err() {
                let error =
                    Error::new(Kind::Timeout, "no metadata of the topic arrived by the deadline").in_topic(name);
                return Err(match self.tracking().failure() {
                    Some(failure) => error.caused_by(failure),
                    None => error.in_api(Api::Metadata.name()),
                });
            }
        }
    }
}

/// A topic or a partition that the metadata lacks.
#[derive(Clone, Copy, Debug)]
enum Missing {
    /// A topic, with the error code of a broker if there is one.
    Topic(Option<Code>),
    /// A partition of a topic that has so many.
    Partition { partition: i32, count: usize },
}

impl Missing {
    /// The error, once waiting cannot help. `is_over` says that all brokers have had the time to learn of a new topic or partition.
    fn decided(self, topic: &TopicName, is_over: bool) -> Option<Error> {
        match self {
            Self::Topic(None) => None,
            Self::Topic(Some(code)) => {
                let is_final = !code.is_retriable() || (code == Code::UnknownTopicOrPartition && is_over);
                is_final.then(|| Error::no_topic(code, topic))
            }
            Self::Partition { partition, count } => is_over.then(|| Error::no_partition(topic, partition, count)),
        }
    }

    /// Whether metadata that arrived leaves it open, so that another request may bring more.
    fn needs_refresh(self) -> bool {
        !matches!(self, Self::Topic(None))
    }
}

/// A name for an error message.
fn shortened(name: &TopicName) -> TopicName {
    if name.len() <= TopicName::LEN_MAX {
        return name.clone();
    }
    let start: String = name.chars().take(40).collect();
    format!("{start}…").into()
}
