//! Administration: the cluster, its topics, their configuration, the offsets of their partitions, groups.
//!
//! Any broker answers read-only requests. Changes go to the controller, requests for offsets to the leaders, requests for the
//! configuration of a broker to that broker, requests about a group to its coordinator. Each request is repeated after a move or a lost connection until the deadline
//! (`default.api.timeout.ms`). Only [`Admin::create_topics`] creates topics.

use std::collections::HashMap;
use std::time::Instant;

use crate::client::Client;
use crate::client::Cluster;
use crate::client::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::net::clock;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::millis_i32;
use crate::wire::Call;
use crate::wire::message as m;

mod configs;
mod groups;
mod offsets;
#[cfg(all(test, feature = "mock"))]
mod tests;

pub use self::configs::ConfigEntry;
pub use self::configs::ConfigQuery;
pub use self::configs::ConfigResource;
pub use self::configs::ConfigSource;
pub use self::configs::ConfigSynonym;
pub use self::configs::ConfigType;
pub use self::groups::CommittedOffset;
pub use self::groups::GroupDescription;
pub use self::groups::GroupFilter;
pub use self::groups::GroupLag;
pub use self::groups::GroupListing;
pub use self::groups::GroupMember;
pub use self::groups::GroupOffsets;
pub use self::groups::GroupOffsetsQuery;
pub use self::groups::GroupState;
pub use self::groups::GroupType;
pub use self::groups::Lag;
pub use self::groups::LagQuery;
pub use self::groups::ListedGroup;
pub use self::groups::PartitionLag;
pub use self::offsets::ListedOffset;
pub use self::offsets::OffsetSpec;

/// The target of log events.
const TARGET: &str = "ottla::admin";

impl Client {
    /// Administrates topics and groups, and describes the cluster.
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster())
    }
}

/// Administrates topics and groups, and describes the cluster. Cheap to clone. Created by [`Client::admin`](crate::Client::admin).
///
/// Every call ends within the client's [`api_timeout`](crate::client::ClientBuilder::api_timeout). Cancel safety: dropping a
/// read-only call has no effect. If a change is dropped, its outcome is unknown.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::admin::NewTopic;
///
/// let admin = client.admin();
/// for (topic, outcome) in admin.create_topics([NewTopic::new("payments").partitions(6)]).await? {
///     outcome?;
///     println!("created {topic}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    cluster: Cluster,
}

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

/// A cluster, as a broker describes it.
///
/// ```no_run
/// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
/// let cluster = admin.describe_cluster().await?;
/// for broker in cluster.brokers {
///     println!("{} at {}:{}", broker.id, broker.host, broker.port);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The broker that carries out changes.
    pub controller: Option<i32>,
    /// Its brokers, by id.
    pub brokers: Vec<BrokerDescription>,
}

/// A broker and its address. Part of a [`ClusterDescription`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerDescription {
    /// Its id.
    pub id: i32,
    /// The host on which it listens: a name or an address.
    pub host: String,
    /// The port on which it listens.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// The outcome for each topic, in the order of the call.
pub type Outcomes = Vec<(TopicName, Result<(), Error>)>;

impl Admin {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

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
    async fn describe_topics_by(
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

    async fn request_metadata(
        &self,
        topics: Option<Vec<TopicName>>,
        deadline: Instant,
    ) -> Result<m::MetadataResponse, Error> {
        let request = m::MetadataRequest { topics, ..Default::default() };
        let response = self.cluster.call_any(request, deadline).await?;
        match response.error {
            Some(code) => Err(Error::broker(code, "could not get metadata")),
            None => Ok(response),
        }
    }

    /// The cluster's id, its brokers, and the controller among them.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        let (id, controller, brokers) = match self.cluster.call_any(m::DescribeClusterRequest, self.deadline()).await {
            Ok(m::DescribeClusterResponse { error: Some(code), .. }) => {
                return Err(Error::broker(code, "could not describe the cluster"));
            }
            Ok(response) => (Some(response.cluster_id), response.controller, response.brokers),
            // Before 2.8 only metadata describes the cluster (KIP-700).
            Err(error) if error.kind() == Kind::Unsupported => {
                let response = self.request_metadata(Some(Vec::new()), self.deadline()).await?;
                (response.cluster_id, response.controller, response.brokers)
            }
            Err(error) => return Err(error),
        };
        let broker = |m::Node { id, host, port, rack }| BrokerDescription { id, host, port, rack };
        let mut brokers: Vec<_> = brokers.into_iter().map(broker).collect();
        brokers.sort_by_key(|broker| broker.id);
        brokers.dedup_by_key(|broker| broker.id);
        Ok(ClusterDescription { id, controller: Some(controller).filter(|id| *id >= 0), brokers })
    }

    /// Creates topics. Each has an outcome of its own. The call fails if no controller responds. If the response to a change was
    /// lost, the error says that its outcome is unknown (`is_written`).
    pub async fn create_topics(&self, topics: impl IntoIterator<Item = NewTopic>) -> Result<Outcomes, Error> {
        let topics: Vec<m::NewTopic> = topics.into_iter().map(|topic| topic.0).collect();
        topics.iter().try_for_each(|topic| check_name(&topic.name))?;
        let names = topics.iter().map(|topic| topic.name.clone()).collect();
        let request = |open: &[TopicName], timeout_ms| {
            let topics = topics.iter().filter(|topic| open.contains(&topic.name)).cloned().collect();
            m::CreateTopicsRequest { topics, timeout_ms, validate_only: false }
        };
        let created =
            self.at_controller(names, request, "could not create the topic", |response| response.topics).await?;
        created.iter().filter(|(_, outcome)| outcome.is_ok()).for_each(|(name, _)| self.cluster.forget_misses(name));
        Ok(created)
    }

    /// Deletes topics. Each has an outcome of its own. Errors are those of [`Admin::create_topics`].
    pub async fn delete_topics<N: Into<TopicName>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Outcomes, Error> {
        let names: Vec<TopicName> = names.into_iter().map(Into::into).collect();
        names.iter().try_for_each(check_name)?;
        let request = |open: &[TopicName], timeout_ms| m::DeleteTopicsRequest { names: open.to_vec(), timeout_ms };
        self.at_controller(names, request, "could not delete the topic", |response| response.topics).await
    }

    /// Sends a change of `names` to the controller. Finds the controller again when it moved, and repeats the request for names
    /// that it had no time for.
    async fn at_controller<C: Call>(
        &self,
        names: Vec<TopicName>,
        request: impl Fn(&[TopicName], i32) -> C,
        failed: &'static str,
        outcomes: impl Fn(C::Response) -> Vec<m::TopicOutcome>,
    ) -> Result<Outcomes, Error> {
        let deadline = self.deadline();
        let mut retry = self.cluster.retry(deadline);
        let mut decided: HashMap<TopicName, Result<(), Error>> = HashMap::new();
        loop {
            let open: Vec<TopicName> = names.iter().filter(|name| !decided.contains_key(*name)).cloned().collect();
            if open.is_empty() {
                let changed = decided.values().filter(|outcome| outcome.is_ok()).count();
                tracing::info!(target: TARGET, api = C::API.name(), changed, refused = decided.len() - changed, "topics changed");
                return Ok(names.into_iter().map(|name| (decided[&name].clone(), name)).map(|(o, n)| (n, o)).collect());
            }
            let target = self.cluster.snapshot().controller().map_or(Target::Any, Target::Broker);
            let answer_by = self.cluster.request_deadline(deadline);
            let request = request(&open, millis_until(answer_by));
            let error = match self.cluster.call(target, request, answer_by).await {
                Ok(response) => match note(&open, outcomes(response), failed, &mut decided) {
                    Some(error) => error,
                    None => continue,
                },
                // The outcome is unknown: the caller has to check it.
                Err(error) if error.is_written() != Some(Written::No) => {
                    let api = C::API.name();
                    tracing::warn!(target: TARGET, api, topics = open.len(), error = %error.chain(), "outcome of a change unknown");
                    return Err(error);
                }
                Err(error) => error,
            };
            tracing::debug!(target: TARGET, api = C::API.name(), topics = open.len(), error = %error.chain(), "change retried");
            self.cluster.refresh(&[]);
            retry.pause(error).await?;
        }
    }

    fn deadline(&self) -> Instant {
        clock::now() + self.cluster.settings().api_timeout
    }
}

/// Records the outcomes that are final. Returns the error of a topic that is worth another request.
fn note(
    open: &[TopicName],
    topics: Vec<m::TopicOutcome>,
    failed: &str,
    decided: &mut HashMap<TopicName, Result<(), Error>>,
) -> Option<Error> {
    let mut again = None;
    let mut answered = Vec::new();
    for topic in topics {
        // Topics that were not in the request are ignored, and so is a second outcome of a topic.
        let requested = open.iter().find(|name| ***name == *topic.name);
        let Some(name) = requested.filter(|name| !answered.contains(name)) else { continue };
        answered.push(name);
        match topic.error {
            // The controller changed nothing.
            Some(code @ (Code::NotController | Code::ThrottlingQuotaExceeded)) => {
                again = Some(Error::broker(code, failed).in_topic(name));
            }
            _ => drop(decided.insert(name.clone(), outcome(name, topic, failed))),
        }
    }
    for name in open.iter().filter(|name| !answered.contains(name)) {
        let error = Error::protocol(format!("{failed}: the response lacks the topic")).in_topic(name);
        decided.insert(name.clone(), Err(error));
    }
    again
}

/// The time until a deadline, in the unit of requests.
fn millis_until(deadline: Instant) -> i32 {
    millis_i32(deadline.saturating_duration_since(clock::now()))
}

/// Refuses a name that no topic can have before it is sent: a very long name would not fit a request.
fn check_name(name: &TopicName) -> Result<(), Error> {
    let Some(problem) = TopicName::problem(name) else { return Ok(()) };
    let start: String = name.chars().take(NAME_SHOWN).collect();
    Err(Error::config(format!("{start:?} is not a valid topic name: {problem}")).in_topic(&start.into()))
}

/// Characters of a refused name that an error shows.
const NAME_SHOWN: usize = 249;

fn outcome(name: &TopicName, topic: m::TopicOutcome, failed: &str) -> Result<(), Error> {
    let Some(code) = topic.error else { return Ok(()) };
    let why = topic.message.map_or(failed.to_owned(), |message| format!("{failed}: {message}"));
    Err(Error::broker(code, why).in_topic(name))
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
