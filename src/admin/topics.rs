//! Topics: which there are, and how they are created, extended and deleted.

use super::Admin;
use super::check_name;
use super::refused;
#[cfg(doc)]
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
        Self(m::NewTopic { name: name.into(), partitions: -1, replication: -1, ..m::NewTopic::default() })
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

    /// The brokers of each partition, the preferred leader first, instead of the numbers of partitions and replicas.
    pub fn assignments<B: Into<Vec<i32>>>(mut self, partitions: impl IntoIterator<Item = B>) -> Self {
        let assignment = |(partition, brokers): (i32, B)| m::Assignment { partition, brokers: brokers.into() };
        (self.0.partitions, self.0.replication) = (-1, -1);
        self.0.assignments = (0..).zip(partitions).map(assignment).collect();
        self
    }

    /// Sets an entry of the topic's configuration, such as `retention.ms`.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.configs.push((key.into(), Some(value.into())));
        self
    }
}

/// A topic that is to have more partitions. See [`Admin::create_partitions`].
#[derive(Clone, Debug)]
pub struct NewPartitions(m::MorePartitions);

impl NewPartitions {
    /// `count` partitions in total.
    pub fn new(topic: impl Into<TopicName>, count: i32) -> Self {
        Self(m::MorePartitions { name: topic.into(), count, assignments: None })
    }

    /// The brokers of each new partition, the preferred leader first. Without them the controller chooses.
    pub fn assignments<B: Into<Vec<i32>>>(mut self, partitions: impl IntoIterator<Item = B>) -> Self {
        let replicas = |brokers: B| m::NewReplicas { brokers: brokers.into() };
        self.0.assignments = Some(partitions.into_iter().map(replicas).collect());
        self
    }
}

/// The outcome for each topic, in the order of the call.
pub type Outcomes = Vec<(TopicName, Result<(), Error>)>;

impl Admin {
    /// The names of all topics, sorted.
    pub async fn list_topics(&self) -> Result<Vec<TopicName>, Error> {
        let listed = self.request_metadata(None, self.deadline()).await?;
        let mut names: Vec<TopicName> = listed.topics.into_iter().map(|topic| (&*topic.name).into()).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Creates topics. Each has an outcome of its own, in the order of the call. [`Admin::ensure_topic`] is for programs that start
    /// again and again.
    ///
    /// # Errors
    ///
    /// The call fails if no topic got an outcome: a name is invalid, or no controller responded. If the response to the change was
    /// lost, the error says that its outcome is unknown ([`Error::is_written`]).
    pub async fn create_topics(&self, topics: impl IntoIterator<Item = NewTopic>) -> Result<Outcomes, Error> {
        self.create(topics.into_iter().collect(), false).await
    }

    /// As [`Admin::create_topics`], without creating anything: the outcomes are those that the controller would give.
    pub async fn validate_topics(&self, topics: impl IntoIterator<Item = NewTopic>) -> Result<Outcomes, Error> {
        self.create(topics.into_iter().collect(), true).await
    }

    async fn create(&self, topics: Vec<NewTopic>, validate_only: bool) -> Result<Outcomes, Error> {
        topics.iter().try_for_each(|topic| check_name(&topic.0.name))?;
        let names = topics.iter().map(|topic| topic.0.name.clone()).collect();
        let request = |open: &[TopicName], timeout_ms| {
            let topics = topics.iter().filter(|topic| open.contains(&topic.0.name)).map(|topic| topic.0.clone());
            m::CreateTopicsRequest { topics: topics.collect(), timeout_ms, validate_only }
        };
        let outcomes = |_: &[TopicName], response: m::CreateTopicsResponse| {
            topic_outcomes(response.topics, "could not create the topic")
        };
        let created = self.at_controller(names, self.deadline(), request, outcomes).await;
        created.iter().filter(|(_, outcome)| outcome.is_ok()).for_each(|(name, _)| self.cluster.forget_misses(name));
        unless_all_failed(created)
    }

    /// Deletes topics, with their records. Each has an outcome of its own, in the order of the call. Errors are those of
    /// [`Admin::create_topics`].
    pub async fn delete_topics<N: Into<TopicName>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Outcomes, Error> {
        let names: Vec<TopicName> = names.into_iter().map(Into::into).collect();
        names.iter().try_for_each(check_name)?;
        let request = |open: &[TopicName], timeout_ms| m::DeleteTopicsRequest {
            names: open.to_vec(),
            ids: Vec::new(),
            timeout_ms,
        };
        let outcomes = |_: &[TopicName], response: m::DeleteTopicsResponse| {
            response.topics.into_iter().map(|topic| ((&*topic.name).into(), deleted(&topic))).collect()
        };
        unless_all_failed(self.at_controller(names, self.deadline(), request, outcomes).await)
    }

    /// As [`Admin::delete_topics`], by the topics' ids: a topic that was deleted and created again under its name stays. Needs Kafka
    /// 2.8; each topic has [`Kind::Unsupported`](crate::error::Kind::Unsupported) on older brokers.
    pub async fn delete_topics_by_id(
        &self,
        ids: impl IntoIterator<Item = TopicId>,
    ) -> Vec<(TopicId, Result<(), Error>)> {
        let request =
            |open: &[TopicId], timeout_ms| m::DeleteTopicsRequest { names: Vec::new(), ids: open.to_vec(), timeout_ms };
        let outcomes = |_: &[TopicId], response: m::DeleteTopicsResponse| {
            response.topics.into_iter().map(|topic| (topic.id(), deleted(&topic))).collect()
        };
        self.at_controller(ids.into_iter().collect(), self.deadline(), request, outcomes).await
    }

    /// Adds partitions to topics. Each has an outcome of its own, in the order of the call. Errors are those of
    /// [`Admin::create_topics`].
    ///
    /// Partitions can never be taken away: a number that is not above the current one is refused with
    /// [`INVALID_PARTITIONS`](Code::InvalidPartitions). Records with keys go to other partitions afterwards.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::NewPartitions;
    ///
    /// for (topic, outcome) in admin.create_partitions([NewPartitions::new("events", 12)]).await? {
    ///     outcome?;
    ///     println!("{topic} has 12 partitions");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn create_partitions(&self, topics: impl IntoIterator<Item = NewPartitions>) -> Result<Outcomes, Error> {
        self.extend(topics.into_iter().collect(), false).await
    }

    /// As [`Admin::create_partitions`], without a change: the outcomes are those that the controller would give.
    pub async fn validate_partitions(
        &self,
        topics: impl IntoIterator<Item = NewPartitions>,
    ) -> Result<Outcomes, Error> {
        self.extend(topics.into_iter().collect(), true).await
    }

    async fn extend(&self, topics: Vec<NewPartitions>, validate_only: bool) -> Result<Outcomes, Error> {
        topics.iter().try_for_each(|topic| check_name(&topic.0.name))?;
        let names = topics.iter().map(|topic| topic.0.name.clone()).collect();
        let request = |open: &[TopicName], timeout_ms| {
            let topics = topics.iter().filter(|topic| open.contains(&topic.0.name)).map(|topic| topic.0.clone());
            m::CreatePartitionsRequest { topics: topics.collect(), timeout_ms, validate_only }
        };
        let outcomes = |_: &[TopicName], response: m::CreatePartitionsResponse| {
            topic_outcomes(response.results, "could not add partitions")
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

fn deleted(topic: &m::DeletedTopic) -> Result<(), Error> {
    topic.error.map_or(Ok(()), |code| Err(refused(code, "could not delete the topic", topic.message())))
}
