//! The log directories of brokers, and the replicas in them (KIP-113, KIP-827).

use std::collections::BTreeMap;

use super::Admin;
use super::check_name;
use super::items::accepted;
use super::items::check_text;
use super::items::left_out;
use super::items::of_valid;
use super::refused;
use crate::error::Error;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::message as m;

/// A log directory of a broker. Returned by [`Admin::describe_log_dirs`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogDir {
    /// Its path on the broker.
    pub path: String,
    /// The size of its volume in bytes; `None` from brokers before 3.3.
    pub total_bytes: Option<i64>,
    /// The bytes that are free; `None` from brokers before 3.3.
    pub usable_bytes: Option<i64>,
    /// Its replicas, by topic and partition.
    pub replicas: Vec<LogDirReplica>,
}

/// A replica in a log directory. Part of a [`LogDir`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogDirReplica {
    /// The partition.
    pub partition: TopicPartition,
    /// The size of its segments in bytes.
    pub bytes: i64,
    /// How many records it is behind the replica that is in use, or behind the high watermark.
    pub lag: i64,
    /// Whether the broker moves it here, and does not use it yet.
    pub is_future: bool,
}

/// The directories of a broker. One that is offline has an error.
pub type LogDirs = Vec<Result<LogDir, Error>>;

/// A replica that is to be moved into another log directory of its broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaMove {
    /// The partition.
    pub partition: TopicPartition,
    /// The broker that has the replica.
    pub broker: i32,
    /// The path of the directory, which the broker has.
    pub path: String,
}

impl ReplicaMove {
    /// Moves the replica of `partition` on `broker` to `path`.
    pub fn new(partition: TopicPartition, broker: i32, path: impl Into<String>) -> Self {
        Self { partition, broker, path: path.into() }
    }
}

impl Admin {
    /// The log directories of all brokers, by their ids, each with its replicas (API DescribeLogDirs).
    ///
    /// A broker that fails has an error, and does not hide those of the others. Fails only if no broker can say which brokers there are.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// for (broker, directories) in admin.list_log_dirs().await? {
    ///     for directory in directories? {
    ///         let directory = directory?;
    ///         println!("broker {broker}: {} has {} replicas", directory.path, directory.replicas.len());
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn list_log_dirs(&self) -> Result<Vec<(i32, Result<LogDirs, Error>)>, Error> {
        let brokers = self.broker_ids(self.deadline()).await?;
        Ok(self.describe_log_dirs(brokers).await)
    }

    /// As [`Self::list_log_dirs`], of these brokers. Each has an outcome of its own, in the order of the call.
    pub async fn describe_log_dirs(
        &self,
        brokers: impl IntoIterator<Item = i32>,
    ) -> Vec<(i32, Result<LogDirs, Error>)> {
        let brokers: Vec<i32> = brokers.into_iter().collect();
        let request = || m::DescribeLogDirsRequest { topics: None };
        let requests = brokers.iter().map(|broker| (*broker, request())).collect();
        let described = self.judged_at_brokers(requests, self.deadline(), described).await;
        let missing = || Err(left_out(DESCRIBE_FAILED));
        let outcome = |broker| (broker, described.get(&broker).cloned().unwrap_or_else(missing));
        brokers.into_iter().map(outcome).collect()
    }

    /// Moves replicas between the log directories of their brokers. Each has an outcome of its own, in the order of the call.
    ///
    /// Requests go to the brokers that have the replicas (API AlterReplicaLogDirs). A move that is accepted has only begun:
    /// [`Self::describe_log_dirs`] shows it as a future replica. If the response was lost, the errors say that the outcome is unknown
    /// (`is_written`); it can be repeated without harm.
    pub async fn alter_replica_log_dirs(
        &self,
        moves: impl IntoIterator<Item = ReplicaMove>,
    ) -> Vec<(ReplicaMove, Result<(), Error>)> {
        let check = |one: &ReplicaMove| {
            check_name(&one.partition.topic)?;
            check_text("path", &one.path)
        };
        let alter = async |moves: Vec<ReplicaMove>| {
            let mut requests: BTreeMap<i32, m::AlterReplicaLogDirsRequest> = BTreeMap::new();
            for one in &moves {
                let request = requests.entry(one.broker).or_default();
                let topic =
                    m::TopicIndexes { name: one.partition.topic.clone(), partitions: vec![one.partition.partition] };
                match request.directories.iter_mut().find(|directory| directory.path == one.path) {
                    Some(directory) => add(&mut directory.topics, topic),
                    None => request.directories.push(m::ReplicaMove { path: one.path.clone(), topics: vec![topic] }),
                }
            }
            let altered = self.judged_at_brokers(requests, self.deadline(), |response| Ok(moved(response))).await;
            let outcome = |one: ReplicaMove| match altered.get(&one.broker) {
                Some(Ok(outcomes)) => {
                    outcomes.get(&one.partition).cloned().unwrap_or_else(|| Err(left_out(MOVE_FAILED)))
                }
                Some(Err(error)) => Err(error.clone()),
                None => Err(left_out(MOVE_FAILED)),
            };
            moves.into_iter().map(outcome).collect()
        };
        of_valid(moves.into_iter().collect(), check, alter).await
    }
}

const DESCRIBE_FAILED: &str = "could not describe log directories";
const MOVE_FAILED: &str = "could not move the replica";

/// Adds a partition to the topics of a request, which names each topic once.
fn add(topics: &mut Vec<m::TopicIndexes>, topic: m::TopicIndexes) {
    match topics.iter_mut().find(|there| there.name == topic.name) {
        Some(there) => there.partitions.extend(topic.partitions),
        None => topics.push(topic),
    }
}

fn described(response: m::DescribeLogDirsResponse) -> Result<LogDirs, Error> {
    accepted(response.error, DESCRIBE_FAILED, None)?;
    Ok(response.results.into_iter().map(directory).collect())
}

fn directory(directory: m::DescribedLogDir) -> Result<LogDir, Error> {
    if let Some(code) = directory.error {
        return Err(refused(code, &format!("{DESCRIBE_FAILED}: {}", directory.path), None));
    }
    let known = |bytes: i64| Some(bytes).filter(|bytes| *bytes >= 0);
    let mut replicas: Vec<LogDirReplica> = directory.topics.into_iter().flat_map(replicas).collect();
    replicas.sort_by(|one, other| one.partition.cmp(&other.partition));
    Ok(LogDir {
        path: directory.path.into(),
        total_bytes: directory.space.as_ref().and_then(|space| known(space.total)),
        usable_bytes: directory.space.as_ref().and_then(|space| known(space.usable)),
        replicas,
    })
}

fn replicas(topic: m::LogDirTopic) -> Vec<LogDirReplica> {
    let name = TopicName::from(&*topic.name);
    let replica = |replica: m::LogDirReplica| LogDirReplica {
        partition: TopicPartition::new(name.clone(), replica.index),
        bytes: replica.size,
        lag: replica.offset_lag,
        is_future: replica.is_future,
    };
    topic.partitions.into_iter().map(replica).collect()
}

fn moved(response: m::AlterReplicaLogDirsResponse) -> BTreeMap<TopicPartition, Result<(), Error>> {
    let mut outcomes = BTreeMap::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let key = TopicPartition::new(&*topic.name, partition.index);
            let outcome = accepted(partition.error, MOVE_FAILED, None);
            outcomes.insert(key.clone(), outcome.map_err(|error| error.in_partition(&key.topic, key.partition)));
        }
    }
    outcomes
}
