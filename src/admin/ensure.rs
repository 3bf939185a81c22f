//! Ensures that a topic exists and is as a program needs it.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use super::Admin;
use super::ConfigChange;
use super::ConfigQuery;
use super::ConfigResource;
use super::ConfigType;
use super::NewPartitions;
use super::NewTopic;
use super::TARGET;
use super::TopicDescription;
use crate::error::Code;
use crate::error::Error;
#[cfg(doc)]
use crate::error::Kind;
use crate::error::Written;
use crate::net::clock;
use crate::types::TopicName;

/// A topic as a program needs it. See [`Admin::ensure_topic`]. Whatever is not said is left to the broker.
///
/// ```
/// use std::time::Duration;
/// use ottla::admin::TopicSpec;
///
/// let spec = TopicSpec::new("events").partitions(6).replication(3).retention(Duration::from_secs(30 * 60));
/// ```
#[derive(Clone, Debug)]
pub struct TopicSpec {
    name: TopicName,
    partitions: Option<i32>,
    replication: Option<i16>,
    configs: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic with the broker's defaults.
    pub fn new(name: impl Into<TopicName>) -> Self {
        Self { name: name.into(), partitions: None, replication: None, configs: BTreeMap::new() }
    }

    /// The number of partitions. A topic with fewer gets more; one with more is a conflict.
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// The number of replicas of each partition. A topic with another number is a conflict.
    pub fn replication(mut self, replicas: i16) -> Self {
        self.replication = Some(replicas);
        self
    }

    /// How long records are kept (`retention.ms`), in whole milliseconds. `Duration::MAX` keeps them without a limit of time.
    pub fn retention(self, retention: Duration) -> Self {
        let forever = retention == Duration::MAX;
        let millis = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        self.config("retention.ms", if forever { "-1".to_owned() } else { millis.to_string() })
    }

    /// An entry of the topic's configuration, such as `cleanup.policy`. Entries that are not named stay as they are.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::config(format!("{what} must be above zero")).in_topic(&self.name));
        match (self.partitions, self.replication) {
            (Some(..=0), _) => wrong("the number of partitions"),
            (_, Some(..=0)) => wrong("the number of replicas"),
            _ => super::check_name(&self.name),
        }
    }

    fn new_topic(&self) -> NewTopic {
        let topic = NewTopic::new(self.name.clone());
        let topic = topic.partitions(self.partitions.unwrap_or(-1)).replication(self.replication.unwrap_or(-1));
        self.configs.iter().fold(topic, |topic, (name, value)| topic.config(name.as_str(), value.as_str()))
    }

    /// Why an existing topic cannot become as it is to be.
    fn conflict(&self, topic: &TopicDescription) -> Option<TopicConflict> {
        let has = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if let Some(wanted) = self.partitions.filter(|wanted| *wanted < has) {
            return Some(TopicConflict::Partitions { has, wanted });
        }
        let wanted = self.replication?;
        let replicas = |partition: &super::PartitionDescription| i16::try_from(partition.replicas.len());
        let has = topic.partitions.iter().map(|partition| replicas(partition).unwrap_or(i16::MAX));
        has.into_iter().find(|has| *has != wanted).map(|has| TopicConflict::Replication { has, wanted })
    }
}

/// The outcome of [`Admin::ensure_topic`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ensured {
    /// There was no such topic. This call created it.
    Created,
    /// It was as it is to be.
    Unchanged,
    /// It existed, and this call changed it.
    Changed {
        /// The numbers of partitions before and after, if partitions were added.
        partitions: Option<(i32, i32)>,
        /// The entries of its configuration that were set: name, value before, value after.
        configs: Vec<(String, Option<String>, String)>,
    },
    /// It exists, and cannot become as it is to be. Nothing was changed.
    Conflict(TopicConflict),
}

/// Why a topic cannot become as its [`TopicSpec`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicConflict {
    /// It has more partitions: Kafka takes none away. Delete the topic, or ask for as many.
    Partitions {
        /// Its partitions.
        has: i32,
        /// Those of the spec.
        wanted: i32,
    },
    /// A partition has another number of replicas: reassign its partitions, or ask for as many.
    Replication {
        /// Its replicas.
        has: i16,
        /// Those of the spec.
        wanted: i16,
    },
}

/// The steps that one call has taken.
#[derive(Debug, Default)]
struct Done {
    created: bool,
    /// The response to its creation was lost.
    may_be_created: bool,
    partitions: Option<(i32, i32)>,
    configs: BTreeMap<String, (Option<String>, String)>,
}

impl Admin {
    /// Ensures that a topic exists and is as `spec` says: creates it, adds partitions, sets entries of its configuration, and waits
    /// until each of its partitions has a leader.
    ///
    /// Call it whenever a program starts; several processes may do so at the same time. Nothing is taken away: a topic with more
    /// partitions or with another number of replicas is a [conflict](Ensured::Conflict), and is left as it is. Entries that have
    /// the value already, set or by default, stay. Steps whose response was lost are looked at again, so that the outcome is known.
    ///
    /// # Errors
    ///
    /// - [`Kind::Config`]: the name or a number of the spec is invalid.
    /// - The broker's error if it refuses a step, such as
    ///   [`TOPIC_AUTHORIZATION_FAILED`](crate::error::Code::TopicAuthorizationFailed), or `INVALID_CONFIG` for an entry or a value that topics do not have.
    /// - [`Kind::Timeout`]: [`Admin::timeout`] has passed; the cause says what was missing. Steps that were carried out are not undone.
    ///
    /// Cancel safety: a call that is dropped may have made a part of its changes. The next one completes them.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use std::time::Duration;
    /// use ottla::admin::Ensured;
    /// use ottla::admin::TopicSpec;
    ///
    /// let spec = TopicSpec::new("events").partitions(6).retention(Duration::from_secs(86_400));
    /// match client.admin().ensure_topic(spec).await? {
    ///     Ensured::Conflict(conflict) => eprintln!("events is not as it is to be: {conflict:?}"),
    ///     outcome => println!("events is ready: {outcome:?}"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn ensure_topic(&self, spec: TopicSpec) -> Result<Ensured, Error> {
        spec.check()?;
        let deadline = self.deadline();
        // A step that failed for a reason that passes is decided again from what the topic has then.
        let may_pass = |error: &Error| {
            let maybe_done = error.is_written() == Some(Written::Maybe);
            error.is_retriable() || maybe_done || error.code() == Some(Code::InvalidPartitions)
        };
        let mut retry = self.cluster.retry(deadline).when(may_pass);
        let mut done = Done::default();
        loop {
            let error = match self.until(deadline).ensure_once(&spec, &mut done).await {
                Ok(Some(conflict)) => return Ok(Ensured::Conflict(conflict)),
                Ok(None) => return Ok(done.outcome()),
                Err(error) => error.in_topic(&spec.name),
            };
            tracing::debug!(target: TARGET, topic = %spec.name, error = %error.chain(), "topic not ready yet");
            retry.pause(error).await?;
        }
    }

    /// The same admin with the time until `deadline`.
    fn until(&self, deadline: Instant) -> Self {
        self.clone().timeout(deadline.saturating_duration_since(clock::now()))
    }

    /// Takes each step that is missing. Returns a conflict, or an error while the topic is not ready.
    async fn ensure_once(&self, spec: &TopicSpec, done: &mut Done) -> Result<Option<TopicConflict>, Error> {
        let topic = self.describe_topics([spec.name.clone()]).await?.remove(0);
        match topic.error {
            None => {}
            Some(Code::UnknownTopicOrPartition) if !done.created => {
                return self.ensure_created(spec, done).await.map(|()| None);
            }
            // The broker does not know of it yet.
            Some(Code::UnknownTopicOrPartition) => return Err(not_ready("the topic was created and is not known yet")),
            Some(code) => return Err(Error::broker(code, "could not describe the topic")),
        }
        if let Some(conflict) = spec.conflict(&topic).filter(|_| !done.created) {
            return Ok(Some(conflict));
        }
        let has = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if let Some(wanted) = spec.partitions.filter(|wanted| *wanted > has) {
            let more = self.create_partitions([NewPartitions::new(spec.name.clone(), wanted)]).await;
            let outcome = more.and_then(|more| more.into_iter().try_for_each(|(_, outcome)| outcome));
            if may_be_done(&outcome) {
                done.partitions = Some((done.partitions.map_or(has, |(from, _)| from), wanted));
            }
            outcome?;
            return Err(not_ready("partitions were added and are not known yet"));
        }
        self.ensure_configs(spec, done).await?;
        match topic.partitions.iter().find(|partition| partition.leader.is_none()) {
            Some(partition) => Err(not_ready("the partition has no leader").in_partition(&spec.name, partition.index)),
            None => Ok(None),
        }
    }

    async fn ensure_created(&self, spec: &TopicSpec, done: &mut Done) -> Result<(), Error> {
        let created = self.create_topics([spec.new_topic()]).await;
        let outcome = created.and_then(|created| created.into_iter().try_for_each(|(_, outcome)| outcome));
        done.may_be_created |= may_be_done(&outcome);
        match outcome {
            Ok(()) => done.created = true,
            // Another process was faster.
            Err(error) if error.code() == Some(Code::TopicAlreadyExists) => {}
            Err(error) => return Err(error),
        }
        Err(not_ready("the topic was created and is not known yet"))
    }

    /// Sets the entries that have another value.
    async fn ensure_configs(&self, spec: &TopicSpec, done: &mut Done) -> Result<(), Error> {
        if spec.configs.is_empty() {
            return Ok(());
        }
        let resource = ConfigResource::Topic(spec.name.clone());
        let query = ConfigQuery::new([resource.clone()]).keys(spec.configs.keys().map(String::as_str));
        let entries = self.describe_configs(query).await.remove(0).1.map_err(|error| match error.code() {
            // This broker does not know of the topic yet.
            Some(Code::UnknownTopicOrPartition) => not_ready("the topic has no configuration yet"),
            _ => error,
        })?;
        let mut change = ConfigChange::new(resource);
        let mut differs = Vec::new();
        for (name, wanted) in &spec.configs {
            let entry = entries.iter().find(|entry| entry.name == *name);
            let value = entry.and_then(|entry| entry.value.as_deref());
            let kind = entry.map_or(ConfigType::String, |entry| entry.kind);
            if value.is_none_or(|value| !is_same(kind, value, wanted)) {
                change = change.set(name.as_str(), wanted.as_str());
                differs.push((name.clone(), value.map(str::to_owned), wanted.clone()));
            }
        }
        if differs.is_empty() {
            return Ok(());
        }
        let outcome = self.alter_configs([change]).await.remove(0).1;
        if may_be_done(&outcome) {
            for (name, from, to) in differs {
                done.configs.entry(name).or_insert((from, to));
            }
        }
        outcome?;
        Err(not_ready("the configuration was changed and is not in force yet"))
    }
}

impl Done {
    fn outcome(self) -> Ensured {
        if self.created || self.may_be_created {
            return Ensured::Created;
        }
        if self.partitions.is_none() && self.configs.is_empty() {
            return Ensured::Unchanged;
        }
        let configs = self.configs.into_iter().map(|(name, (from, to))| (name, from, to)).collect();
        Ensured::Changed { partitions: self.partitions, configs }
    }
}

/// Whether a change was made, or its response was lost. What the topic has then decides.
fn may_be_done(outcome: &Result<(), Error>) -> bool {
    outcome.as_ref().err().is_none_or(|error| error.is_written() == Some(Written::Maybe))
}

/// An error for a state that passes.
fn not_ready(what: &str) -> Error {
    Error::broker(Code::LeaderNotAvailable, what)
}

/// Whether two texts are one value: numbers, words without regard to case, lists without regard to spaces.
fn is_same(kind: ConfigType, left: &str, right: &str) -> bool {
    let numbers = left.trim().parse::<f64>().ok().zip(right.trim().parse::<f64>().ok());
    match kind {
        ConfigType::List => left.split(',').map(str::trim).eq(right.split(',').map(str::trim)),
        ConfigType::Boolean => left.trim().eq_ignore_ascii_case(right.trim()),
        ConfigType::Double => numbers.is_some_and(|(left, right)| left.total_cmp(&right).is_eq()),
        _ => left.trim() == right.trim(),
    }
}
