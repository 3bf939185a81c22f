//! Records whose topic or partition is not known: metadata is requested, and decides within a bounded time.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use super::shared::Shared;
use crate::client::Recalled;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::metadata::Snapshot;
use crate::net::clock;
use crate::types::TopicName;

/// The part of a record's destination that the metadata lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Missing {
    Partition(i32),
    Topic,
}

/// Destinations that `try_enqueue` found missing. It cannot wait, so it remembers when it first requested metadata for each.
#[derive(Debug, Default)]
pub(super) struct Doubts(HashMap<(TopicName, Missing), Doubt>);

#[derive(Debug)]
struct Doubt {
    since: Instant,
    /// The generation of the metadata at that time.
    generation: u64,
}

/// The most doubts that are remembered. Beyond that all are forgotten, and begin again.
const DOUBTS_MAX: usize = 1_000;

/// The decision about a missing topic or partition.
#[derive(Debug)]
enum Verdict {
    /// It exists.
    Known,
    /// Metadata from after the request says that it does not exist.
    Absent(Error),
    /// Not decided yet.
    Unclear,
}

impl Missing {
    /// The partition, unless the whole topic is missing.
    fn partition(self) -> Option<i32> {
        match self {
            Self::Partition(partition) => Some(partition),
            Self::Topic => None,
        }
    }

    /// Refuses a topic or partition that no metadata can bring.
    fn check(self, topic: &str) -> Result<(), Error> {
        if let Some(problem) = TopicName::problem(topic) {
            return Err(Error::config(format!("{:?} is not a valid topic name: {problem}", shown(topic))));
        }
        match self {
            Self::Partition(partition @ ..0) => Err(Error::no_partition(&topic.into(), partition, 0)),
            Self::Partition(_) | Self::Topic => Ok(()),
        }
    }

    /// Decides by a snapshot. Metadata from before the request is not fresh and decides nothing. A broker may not know yet of a topic
    /// or partition that was just created: until the time for that `is_over`, an unknown one is not absent.
    fn verdict(self, topic: &TopicName, snapshot: &Snapshot, is_fresh: bool, is_over: bool) -> Verdict {
        let Some(known) = snapshot.topic(topic) else { return Verdict::Unclear };
        if let Some(code) = known.error {
            let is_final = !code.is_retriable() || (code == Code::UnknownTopicOrPartition && is_over);
            return if is_fresh && is_final { Verdict::Absent(Error::no_topic(code, topic)) } else { Verdict::Unclear };
        }
        match self {
            Self::Topic if known.partitions.is_empty() => Verdict::Unclear,
            Self::Topic => Verdict::Known,
            Self::Partition(partition) => {
                let count = known.partitions.len();
                if usize::try_from(partition).is_ok_and(|partition| partition < count) {
                    return Verdict::Known;
                }
                if is_fresh && is_over {
                    return Verdict::Absent(Error::no_partition(topic, partition, count));
                }
                Verdict::Unclear
            }
        }
    }
}

/// A name for an error, cut if it is too long.
fn shown(topic: &str) -> &str {
    let end = (0..=TopicName::LEN_MAX.min(topic.len())).rev().find(|end| topic.is_char_boundary(*end));
    &topic[..end.unwrap_or(0)]
}

impl Doubts {
    /// The doubt about a destination, which begins now if there is none.
    fn of(&mut self, topic: &TopicName, missing: Missing, now: Instant, generation: u64) -> &Doubt {
        if self.0.len() >= DOUBTS_MAX {
            self.0.clear();
        }
        self.0.entry((topic.clone(), missing)).or_insert(Doubt { since: now, generation })
    }

    fn forget(&mut self, topic: &TopicName, missing: Missing) {
        self.0.remove(&(topic.clone(), missing));
    }
}

impl Shared {
    /// Waits until the missing topic or partition is in the metadata, and the core has that metadata, or until the producer is closed.
    /// An error says that it does not exist, or that no metadata arrived by the deadline.
    pub(super) async fn learn(&self, topic: &str, missing: Missing, deadline: Instant) -> Result<(), Error> {
        missing.check(topic)?;
        let topic = TopicName::from(topic);
        let grace = match self.recall(&topic, missing) {
            Recalled::Missing(error) => return Err(error),
            Recalled::Before => Duration::ZERO,
            Recalled::Nothing => self.propagation(),
        };
        let mut known = std::pin::pin!(self.await_known(&topic, missing, (grace, deadline)));
        let mut ended = std::pin::pin!(self.ended());
        let learned = poll_fn(|cx| match known.as_mut().poll(cx) {
            Poll::Ready(known) => Poll::Ready(Some(known)),
            Poll::Pending => ended.as_mut().poll(cx).map(|()| None),
        });
        match learned.await {
            Some(Ok(_)) => self.catch_up(),
            Some(Err(error)) => {
                self.cluster().note_miss(&topic, missing.partition(), &error);
                return Err(error);
            }
            None => {}
        }
        Ok(())
    }

    fn recall(&self, topic: &TopicName, missing: Missing) -> Recalled {
        self.cluster().recall_miss(topic, missing.partition(), self.auto_create())
    }

    async fn await_known(
        &self,
        topic: &TopicName,
        missing: Missing,
        (grace, deadline): (Duration, Instant),
    ) -> Result<Arc<Snapshot>, Error> {
        match missing {
            Missing::Partition(partition) => {
                self.cluster().known_partition(topic, partition, self.auto_create(), grace, deadline).await
            }
            Missing::Topic => {
                let topics = std::slice::from_ref(topic);
                let snapshot = self.cluster().known_or_created(topics, self.auto_create(), grace, deadline).await?;
                let has_some = snapshot.topic(topic).is_some_and(|topic| !topic.partitions.is_empty());
                let none = || Error::new(Kind::UnknownTopic, "the topic has no partitions").in_topic(topic);
                if has_some { Ok(snapshot) } else { Err(none()) }
            }
        }
    }

    /// The error for a record that cannot wait: its destination is not known yet, and a later call may succeed, or does not exist.
    pub(super) fn not_known(&self, topic: &str, missing: Missing) -> Error {
        let error = match missing.check(topic) {
            Ok(()) => self.doubt(&topic.into(), missing),
            Err(error) => error,
        };
        error.written(Written::No)
    }

    fn doubt(&self, topic: &TopicName, missing: Missing) -> Error {
        let recalled = self.recall(topic, missing);
        if let Recalled::Missing(error) = recalled {
            return error;
        }
        let (now, snapshot) = (clock::now(), self.cluster().snapshot());
        let mut doubts = self.doubts();
        let doubt = doubts.of(topic, missing, now, snapshot.generation());
        let is_fresh = snapshot.generation() > doubt.generation;
        let is_over = recalled.was_missing() || now >= doubt.since + self.propagation();
        match missing.verdict(topic, &snapshot, is_fresh, is_over) {
            Verdict::Absent(error) => {
                // It may be created later: after a back-off, a call requests metadata again.
                doubts.forget(topic, missing);
                self.cluster().note_miss(topic, missing.partition(), &error);
                error
            }
            Verdict::Known | Verdict::Unclear => {
                drop(doubts);
                self.cluster().track(std::slice::from_ref(topic), self.auto_create());
                self.cluster().refresh(std::slice::from_ref(topic));
                match missing {
                    Missing::Topic => Error::new(Kind::Full, "the topic is not known yet").in_topic(topic),
                    Missing::Partition(partition) => {
                        Error::new(Kind::Full, "the partition is not known yet").in_partition(topic, partition)
                    }
                }
            }
        }
    }

    /// How long a topic or partition that was created may be unknown to a broker.
    fn propagation(&self) -> Duration {
        self.cluster().settings().propagation
    }
}
