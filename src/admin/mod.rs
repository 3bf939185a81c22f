//! Topics: create, delete, list, describe.

use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use crate::client::Client;
use crate::client::Cluster;
use crate::client::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::message as m;

/// How long a call may take altogether (`default.api.timeout.ms`).
const TIMEOUT: Duration = Duration::from_secs(60);

impl Client {
    /// Topics: list, describe, create, delete.
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster())
    }
}

/// Looks after topics. Made by [`Client::admin`](crate::Client::admin).
#[derive(Clone, Debug)]
pub struct Admin {
    cluster: Cluster,
}

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic(m::NewTopic);

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn new(name: impl Into<TopicName>) -> Self {
        Self(m::NewTopic { name: name.into(), partitions: -1, replication: -1, configs: Vec::new() })
    }

    /// How many partitions; −1 is the broker's default.
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.0.partitions = partitions;
        self
    }

    /// How many replicas of each; −1 is the broker's default.
    pub fn replication(mut self, replicas: i16) -> Self {
        self.0.replication = replicas;
        self
    }

    /// A setting of the topic, as `retention.ms`.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.configs.push((key.into(), Some(value.into())));
        self
    }
}

/// A topic as a broker describes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its id; zero where the broker is older than ids.
    pub id: TopicId,
    /// Why it could not be described.
    pub error: Option<Code>,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition as a broker describes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its index.
    pub index: i32,
    /// The broker that leads it.
    pub leader: Option<i32>,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub isr: Vec<i32>,
}

/// What became of each topic.
pub type Outcomes = Vec<(TopicName, Result<(), Error>)>;

impl Admin {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// The names of all topics, sorted.
    pub async fn list_topics(&self) -> Result<Vec<TopicName>, Error> {
        let mut names: Vec<_> = self.metadata(None).await?.into_iter().map(|topic| topic.name).collect();
        names.sort();
        Ok(names)
    }

    /// Partitions, leaders and replicas of the named topics. One that does not exist carries its error.
    pub async fn describe_topics<N: Into<TopicName>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<TopicDescription>, Error> {
        self.metadata(Some(names.into_iter().map(Into::into).collect())).await
    }

    async fn metadata(&self, topics: Option<Vec<TopicName>>) -> Result<Vec<TopicDescription>, Error> {
        let request = Request::Metadata(m::MetadataRequest { topics, allow_auto_create: false });
        let response = self.cluster.ask_any(request, deadline()).await?;
        let Response::Metadata(response) = response else { return Err(mixed_up()) };
        Ok(response.topics.into_iter().map(describe).collect())
    }

    /// Creates topics. Each has an outcome of its own; the call fails only if no controller answers.
    pub async fn create_topics(&self, topics: impl IntoIterator<Item = NewTopic>) -> Result<Outcomes, Error> {
        let topics: Vec<m::NewTopic> = topics.into_iter().map(|topic| topic.0).collect();
        for topic in &topics {
            if let Some(problem) = TopicName::problem(&topic.name) {
                return Err(Error::config(format!("{:?} is no name for a topic: {problem}", &*topic.name)));
            }
        }
        let request = m::CreateTopicsRequest { topics, timeout_ms: 30_000, validate_only: false };
        self.at_controller(Request::CreateTopics(request), "could not create the topic", |response| match response {
            Response::CreateTopics(response) => Some(response.topics),
            _ => None,
        })
        .await
    }

    /// Deletes topics. Each has an outcome of its own; the call fails only if no controller answers.
    pub async fn delete_topics<N: Into<TopicName>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Outcomes, Error> {
        let names = names.into_iter().map(Into::into).collect();
        let request = m::DeleteTopicsRequest { names, timeout_ms: 30_000 };
        self.at_controller(Request::DeleteTopics(request), "could not delete the topic", |response| match response {
            Response::DeleteTopics(response) => Some(response.topics),
            _ => None,
        })
        .await
    }

    /// Asks the controller, finding it anew when it moved.
    async fn at_controller(
        &self,
        request: Request,
        failed: &str,
        read: impl Fn(Response) -> Option<Vec<m::TopicOutcome>>,
    ) -> Result<Outcomes, Error> {
        let deadline = deadline();
        let mut backoff = self.cluster.retry_backoff();
        let mut rng = Rng::with_seed(clock::seed());
        loop {
            let target = self.cluster.snapshot().controller().map_or(Target::Any, Target::Broker);
            let answer = self.cluster.request(target, request.clone(), self.cluster.request_deadline(deadline)).await;
            let error = match answer {
                Ok(response) => {
                    let topics = read(response).ok_or_else(mixed_up)?;
                    match topics.iter().find_map(|topic| topic.error.filter(|code| *code == Code::NotController)) {
                        None => return Ok(topics.into_iter().map(|topic| outcome(topic, failed)).collect()),
                        Some(code) => Error::broker(code, failed),
                    }
                }
                // Whether it was carried out is not known: the caller must look.
                Err(error) if error.is_written() != Some(crate::error::Written::No) => return Err(error),
                Err(error) => error,
            };
            self.cluster.refresh(&[]);
            let wait = clock::now() + backoff.next(&mut rng);
            if wait >= deadline {
                return Err(Error::new(Kind::Timeout, "no controller answered by the deadline").caused_by(error));
            }
            tokio::time::sleep_until(wait.into()).await;
        }
    }
}

fn deadline() -> Instant {
    clock::now() + TIMEOUT
}

fn mixed_up() -> Error {
    Error::protocol("the answer is to another question")
}

fn outcome(topic: m::TopicOutcome, failed: &str) -> (TopicName, Result<(), Error>) {
    let result = match topic.error {
        None => Ok(()),
        Some(code) => {
            let why = topic.message.map_or(failed.to_owned(), |message| format!("{failed}: {message}"));
            Err(Error::broker(code, why).in_topic(&topic.name))
        }
    };
    (topic.name, result)
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
    TopicDescription { name: topic.name, id: topic.id, error: topic.error, partitions }
}
