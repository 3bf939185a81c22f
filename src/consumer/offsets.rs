//! Looks up offsets: those that a group has committed, and those where the logs of partitions begin and end.

use std::collections::HashMap;
use std::time::Instant;

use super::committing::Committed;
use super::core::Isolation;
use super::core::Position;
use crate::client::Cluster;
use crate::client::Coordinated;
use crate::client::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::commit::CommitRecovery;
use crate::metadata::ByLeader;
use crate::metadata::ByTopic;
use crate::metadata::Snapshot;
use crate::metadata::by_leader;
use crate::metadata::by_topic;
use crate::net::clock;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::message as m;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Requests committed offsets from the coordinator of a group, once. If the broker does not coordinate it, the cached coordinator
/// is dropped.
pub(super) async fn fetch_offsets(
    cluster: &Cluster,
    group: &str,
    request: m::OffsetFetchRequest,
    deadline: Instant,
) -> Result<m::OffsetFetchResponse, Error> {
    let coordinated = Coordinated::group(group);
    let response = cluster.call_coordinator(&coordinated, request, deadline).await?;
    if codes(&response).any(|code| code.commit_recovery() == CommitRecovery::FindCoordinator) {
        cluster.forget_coordinator(&coordinated);
    }
    Ok(response)
}

/// The error codes of a response.
fn codes(response: &m::OffsetFetchResponse) -> impl Iterator<Item = Code> {
    let groups = response.groups.iter().filter_map(|group| group.error);
    let topics = response.groups.iter().flat_map(|group| &group.topics);
    groups.chain(topics.flat_map(|topic| &topic.partitions).filter_map(|partition| partition.error))
}

/// The error for a partition that a response leaves out.
fn left_out(who: &str) -> Error {
    Error::protocol(format!("{who} did not mention the partition"))
}

/// Whether a retry may help. It may also bring a partition that a response has left out.
fn may_pass(error: &Error) -> bool {
    error.is_retriable() || matches!(error.kind(), Kind::Protocol | Kind::UnknownTopic)
}

/// The offset that a group has committed for each partition.
pub(super) async fn committed(
    cluster: &Cluster,
    group: &str,
    partitions: &[TopicPartition],
    deadline: Instant,
) -> Result<Vec<(TopicPartition, Option<Committed>)>, Error> {
    let mut retry = cluster.retry(deadline);
    loop {
        let snapshot = cluster.snapshot();
        let request = committed_request(&snapshot, group, partitions);
        let response = fetch_offsets(cluster, group, request, deadline).await;
        match response.and_then(|response| positions(&snapshot, group, partitions, &response)) {
            Ok(positions) => return Ok(positions),
            Err(error) => retry.pause(error).await?,
        }
    }
}

fn positions(
    snapshot: &Snapshot,
    group: &str,
    partitions: &[TopicPartition],
    response: &m::OffsetFetchResponse,
) -> Result<Vec<(TopicPartition, Option<Committed>)>, Error> {
    let mut found: HashMap<TopicPartition, &m::FetchedOffset> = HashMap::new();
    let fetched = response.group(group).ok_or_else(|| Error::protocol("the coordinator did not mention the group"))?;
    // A group that was never used has committed nothing.
    if fetched.error == Some(Code::GroupIdNotFound) {
        return Ok(partitions.iter().map(|key| (key.clone(), None)).collect());
    }
    if let Some(code) = fetched.error {
        return Err(Error::broker(code, format!("could not read the offsets of group {group}")));
    }
    for topic in &fetched.topics {
        let name = name_of(snapshot, &topic.name, topic.id);
        for stored in &topic.partitions {
            found.entry(TopicPartition { topic: name.clone(), partition: stored.index }).or_insert(stored);
        }
    }
    let position = |key: &TopicPartition| match found.get(key) {
        None => Err(left_out("the coordinator").in_partition(&key.topic, key.partition)),
        // Version 1 reports an unknown group for each partition.
        Some(m::FetchedOffset { error: Some(Code::GroupIdNotFound), .. }) => Ok((key.clone(), None)),
        Some(m::FetchedOffset { error: Some(code), .. }) => {
            let error = Error::broker(*code, "could not read the committed offset");
            Err(error.in_partition(&key.topic, key.partition))
        }
        Some(stored) if stored.offset < 0 => Ok((key.clone(), None)),
        Some(stored) => {
            let position = Position { offset: stored.offset, epoch: stored.leader_epoch };
            let metadata = stored.metadata.clone().unwrap_or_default();
            Ok((key.clone(), Some(Committed { position, metadata })))
        }
    };
    partitions.iter().map(position).collect()
}

fn committed_request(snapshot: &Snapshot, group: &str, partitions: &[TopicPartition]) -> m::OffsetFetchRequest {
    let topics = by_topic(partitions.iter().map(|key| (key.topic.clone(), key.partition)))
        .into_iter()
        .map(|(name, partitions)| m::OffsetFetchTopic { id: id_of(snapshot, &name), name, partitions })
        .collect();
    let group = m::OffsetFetchGroup { group: group.to_owned(), member: None, member_epoch: -1, topics: Some(topics) };
    m::OffsetFetchRequest { groups: vec![group], require_stable: false }
}

/// The offset of a log to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetSpec {
    Earliest,
    Latest,
}

/// Requests the first or the end offset of partitions from their leaders.
pub(crate) async fn list_offsets(
    cluster: &Cluster,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
    isolation: Isolation,
    deadline: Instant,
) -> Result<Vec<(TopicPartition, i64)>, Error> {
    let mut retry = cluster.retry(deadline).when(may_pass);
    let mut found: HashMap<TopicPartition, i64> = HashMap::new();
    loop {
        let missing: Vec<&TopicPartition> = partitions.iter().filter(|key| !found.contains_key(*key)).collect();
        let mut problem = None;
        let ByLeader { leaders, leaderless } =
            by_leader(&cluster.snapshot(), missing.iter().map(|key| ((*key).clone(), ())));
        if let Some((key, ())) = leaderless.first() {
            let error = Error::broker(Code::LeaderNotAvailable, "the partition has no leader");
            problem = Some(error.in_partition(&key.topic, key.partition));
        }
        for (leader, topics) in leaders {
            let respond_by = cluster.request_deadline(deadline);
            let request = list_request(&topics, spec, isolation, respond_by);
            let response = cluster.call(Target::Broker(leader), request, respond_by).await;
            if let Err(error) = response.and_then(|response| note(&topics, &response, &mut found)) {
                problem = Some(error);
            }
        }
        let Some(error) = problem else {
            return Ok(partitions.iter().filter_map(|key| Some((key.clone(), *found.get(key)?))).collect());
        };
        let topics: Vec<TopicName> = missing.iter().map(|key| key.topic.clone()).collect();
        cluster.refresh(&topics);
        retry.pause(error).await?;
    }
}

fn list_request(
    topics: &ByTopic<(i32, ())>,
    spec: OffsetSpec,
    isolation: Isolation,
    respond_by: Instant,
) -> m::ListOffsetsRequest {
    let timestamp = match spec {
        OffsetSpec::Earliest => EARLIEST,
        OffsetSpec::Latest => LATEST,
    };
    let partition =
        |(index, ()): &(i32, ())| m::ListOffsetsPartition { index: *index, current_leader_epoch: None, timestamp };
    let topic = |(name, partitions): &(TopicName, Vec<_>)| m::ListOffsetsTopic {
        name: name.clone(),
        partitions: partitions.iter().map(partition).collect(),
    };
    let topics = topics.iter().map(topic).collect();
    let left = respond_by.saturating_duration_since(clock::now());
    let timeout_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
    m::ListOffsetsRequest { isolation: isolation.to_wire(), timeout_ms, topics }
}

/// Takes the offsets of the partitions that were requested from a leader. The error is of a partition that has none.
fn note(
    topics: &ByTopic<(i32, ())>,
    response: &m::ListOffsetsResponse,
    found: &mut HashMap<TopicPartition, i64>,
) -> Result<(), Error> {
    let mut problem = Ok(());
    let keys = topics.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |(index, ())| (topic, *index)));
    for (topic, partition) in keys {
        let error = match response.partition(topic, partition) {
            None => left_out("the leader"),
            Some(m::ListedPartition { error: Some(code), .. }) => Error::broker(*code, "could not list offsets"),
            Some(listed) if listed.offset < 0 => Error::protocol(format!("the offset {} is invalid", listed.offset)),
            Some(listed) => {
                found.insert(TopicPartition { topic: topic.clone(), partition }, listed.offset);
                continue;
            }
        };
        problem = Err(error.in_partition(topic, partition));
    }
    problem
}

fn id_of(snapshot: &Snapshot, topic: &TopicName) -> TopicId {
    snapshot.topic(topic).map_or(TopicId::ZERO, |topic| topic.id)
}

fn name_of(snapshot: &Snapshot, name: &TopicName, id: TopicId) -> TopicName {
    match snapshot.topic_by_id(id).filter(|_| name.is_empty()) {
        Some(topic) => topic.name.clone(),
        None => name.clone(),
    }
}
