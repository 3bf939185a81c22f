//! Topics: which there are, their partitions, and how they are created and deleted.

use std::collections::HashMap;
use std::time::Instant;

use super::Admin;
use super::check_name;
use super::refused;
use crate::error::Code;
use crate::error::Error;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::wire::message as m;

/// A topic to be created.
///
/// ```
/// use ottla::admin::NewTopic;
///
/// let topic = NewTopic::new("events").partitions(6).replication(3).config("retention.ms", "86400000");
/// ```
#[derive(Clone, Debug)]
pub struct NewTopic(m::NewTopic);

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn new(name: impl Into<TopicName>) -> Self {
        Self(m::NewTopic { name: name.into(), partitions: -1, replication: -1, configs: Vec::new() })
    }

    /// The number of partitions; −1 is the broker's default.
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.0.partitions = partitions;
        self
    }

    /// The number of replicas of each partition; −1 is the broker's default.
    pub fn replication(mut self, replicas: i16) -> Self {
        self.0.replication = replicas;
        self
    }

    /// Sets an entry of the topic's configuration, such as `retention.ms`.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.configs.push((key.into(), Some(value.into())));
        self
    }
}

/// A topic, as a broker describes it.
///
/// ```no_run
/// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
/// for topic in admin.describe_topics(["events"]).await? {
///     let leaderless = topic.partitions.iter().filter(|partition| partition.leader.is_none()).count();
///     println!("{}: {} partitions, {leaderless} without a leader", topic.name, topic.partitions.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its id; zero if the broker is older than topic ids.
    pub id: TopicId,
    /// Why the broker did not describe it.
    pub error: Option<Code>,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition, as a broker describes it. Part of a [`TopicDescription`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its index.
    pub index: i32,
    /// The broker that leads it.
    pub leader: Option<i32>,
    /// The brokers with a replica.
    pub replicas: Vec<i32>,
    /// The brokers whose replicas are in sync.
    pub isr: Vec<i32>,
}

/// The outcome for each topic, in the order of the call.
pub type Outcomes = Vec<(TopicName, Result<(), Error>)>;

impl Admin {
    /// The names of all topics, sorted.
    pub async fn list_topics(&self) -> Result<Vec<TopicName>, Error> {
        let mut names: Vec<_> =
            self.metadata(None, self.deadline()).await?.into_iter().map(|topic| topic.name).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Partitions, leaders and replicas of the named topics, in the order of the names. One that does not exist carries its error.
    pub async fn describe_topics<N: Into<TopicName>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<TopicDescription>, Error> {
        self.describe_topics_by(names.into_iter().map(Into::into).collect(), self.deadline()).await
    }

    /// As [`Self::describe_topics`], until `deadline`.
    pub(super) async fn describe_topics_by(
        &self,
        names: Vec<TopicName>,
        deadline: Instant,
    ) -> Result<Vec<TopicDescription>, Error> {
        names.iter().try_for_each(check_name)?;
        let mut found: HashMap<TopicName, TopicDescription> = HashMap::new();
        for topic in self.metadata(Some(names.clone()), deadline).await? {
            found.entry(topic.name.clone()).or_insert(topic);
        }
        let missing = |name: &TopicName| Error::protocol("the response lacks the topic").in_topic(name);
        names.iter().map(|name| found.get(name).cloned().ok_or_else(|| missing(name))).collect()
    }

    async fn metadata(
        &self,
        topics: Option<Vec<TopicName>>,
        deadline: Instant,
    ) -> Result<Vec<TopicDescription>, Error> {
        Ok(self.request_metadata(topics, deadline).await?.topics.into_iter().map(describe).collect())
    }

    /// Creates topics. Each has an outcome of its own, in the order of the call.
    ///
    /// # Errors
    ///
    /// The call fails if no topic got an outcome: a name is invalid, or no controller responded. If the response to the change was
    /// lost, the error says that its outcome is unknown ([`Error::is_written`]).
    pub async fn create_topics(&self, topics: impl IntoIterator<Item = NewTopic>) -> Result<Outcomes, Error> {
        let topics: Vec<m::NewTopic> = topics.into_iter().map(|topic| topic.0).collect();
        topics.iter().try_for_each(|topic| check_name(&topic.name))?;
        let names = topics.iter().map(|topic| topic.name.clone()).collect();
        let request = |open: &[TopicName], timeout_ms| {
            let topics = topics.iter().filter(|topic| open.contains(&topic.name)).cloned().collect();
            m::CreateTopicsRequest { topics, timeout_ms, validate_only: false }
        };
        let outcomes = |_: &[TopicName], response: m::CreateTopicsResponse| {
            topic_outcomes(response.topics, "could not create the topic")
        };
        let created = self.at_controller(names, self.deadline(), request, outcomes).await;
        created.iter().filter(|(_, outcome)| outcome.is_ok()).for_each(|(name, _)| self.cluster.forget_misses(name));
        unless_all_failed(created)
    }

    /// Deletes topics. Each has an outcome of its own, in the order of the call. Errors are those of [`Admin::create_topics`].
    pub async fn delete_topics<N: Into<TopicName>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Outcomes, Error> {
        let names: Vec<TopicName> = names.into_iter().map(Into::into).collect();
        names.iter().try_for_each(check_name)?;
        let request = |open: &[TopicName], timeout_ms| m::DeleteTopicsRequest { names: open.to_vec(), timeout_ms };
        let outcomes = |_: &[TopicName], response: m::DeleteTopicsResponse| {
            topic_outcomes(response.topics, "could not delete the topic")
        };
        unless_all_failed(self.at_controller(names, self.deadline(), request, outcomes).await)
    }
}

/// The outcomes, or the error of a call that failed as a whole: no broker responded about any topic.
fn unless_all_failed(outcomes: Outcomes) -> Result<Outcomes, Error> {
    let has_failed = |outcome: &Result<(), Error>| outcome.as_ref().is_err_and(|error| error.code().is_none());
    match outcomes.first() {
        Some((_, Err(error))) if outcomes.iter().all(|(_, outcome)| has_failed(outcome)) => Err(error.clone()),
        _ => {
            let named = |(name, outcome): (TopicName, Result<(), Error>)| {
                let outcome = outcome.map_err(|error| error.in_topic(&name));
                (name, outcome)
            };
            Ok(outcomes.into_iter().map(named).collect())
        }
    }
}

fn topic_outcomes(topics: Vec<m::TopicOutcome>, failed: &str) -> Outcomes {
    let outcome = |topic: m::TopicOutcome| {
        let name = TopicName::from(&*topic.name);
        let message = topic.message.as_deref().map(|message| &**message);
        let outcome = topic.error.map_or(Ok(()), |code| Err(refused(code, failed, message)));
        (name, outcome)
    };
    topics.into_iter().map(outcome).collect()
}

fn describe(topic: m::MetadataTopic) -> TopicDescription {
    let partition = |partition: m::MetadataPartition| PartitionDescription {
        index: partition.index,
        leader: Some(partition.leader).filter(|leader| *leader >= 0),
        replicas: partition.replicas,
        isr: partition.isr,
    };
    let mut partitions: Vec<_> = topic.partitions.into_iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    TopicDescription { name: (&*topic.name).into(), id: topic.id, error: topic.error, partitions }
}
