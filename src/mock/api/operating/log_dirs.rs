//! DescribeLogDirs and AlterReplicaLogDirs. Each broker has one directory, with the batches that are really stored.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::AlterReplicaLogDirsRequest;
use kafka_protocol::messages::AlterReplicaLogDirsResponse;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::DescribeLogDirsResponse;
use kafka_protocol::messages::alter_replica_log_dirs_response::AlterReplicaLogDirPartitionResult;
use kafka_protocol::messages::alter_replica_log_dirs_response::AlterReplicaLogDirTopicResult;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsPartition;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsTopic;

use super::Ask;
use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::state::Partition;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::mock::state::wire_name;
use crate::types::TopicName;

impl Ask for DescribeLogDirsRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> DescribeLogDirsResponse {
        let response = DescribeLogDirsResponse::default().with_throttle_time_ms(call.throttle_ms);
        if let Err(error) = call.refused() {
            return response.with_error_code(error.code());
        }
        let is_wanted = |name: &TopicName, index: i32| {
            let of = |topics: &Vec<_>| topics.iter().any(|topic| names(topic, name, index));
            self.topics.as_ref().is_none_or(of)
        };
        let (mut topics, mut used) = (Vec::new(), 0);
        for (name, topic) in &state.topics {
            let mut partitions = Vec::new();
            for (index, partition) in (0..).zip(&topic.partitions) {
                if partition.placement.replicas.contains(&call.broker) {
                    used += partition.log.size();
                    partitions.extend(is_wanted(name, index).then(|| replica(partition, index, call.broker)));
                }
            }
            if !partitions.is_empty() {
                let topic = DescribeLogDirsTopic::default().with_name(wire_name(name));
                topics.push(topic.with_partitions(partitions));
            }
        }
        let mut directory = DescribeLogDirsResult::default().with_log_dir(text(&path(call.broker))).with_topics(topics);
        if call.version >= 4 {
            directory = directory.with_total_bytes(VOLUME).with_usable_bytes((VOLUME - used).max(0));
        }
        response.with_results(vec![directory])
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        let mut all = Vec::new();
        for topic in self.topics.iter().flatten() {
            all.extend(topic.partitions.iter().map(|index| (topic.topic.as_str(), Some(*index))));
        }
        all
    }
}

fn names(topic: &DescribableLogDirTopic, name: &str, index: i32) -> bool {
    topic.topic.as_str() == name && topic.partitions.contains(&index)
}

/// A replica, with the records that it lacks of those that are replicated.
fn replica(partition: &Partition, index: i32, broker: i32) -> DescribeLogDirsPartition {
    let lag = match partition.placement.leader {
        Some(leader) if leader != broker => partition.log.high_watermark() - partition.follower_end(broker),
        _ => 0,
    };
    DescribeLogDirsPartition::default()
        .with_partition_index(index)
        .with_partition_size(partition.log.size())
        .with_offset_lag(lag.max(0))
}

impl Ask for AlterReplicaLogDirsRequest {
    const HAS_EFFECT: bool = true;

    fn answer(self, state: &mut State, call: &Call) -> AlterReplicaLogDirsResponse {
        let mut topics: BTreeMap<TopicName, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
        for directory in &self.dirs {
            for topic in &directory.topics {
                let partition = |index: &i32| {
                    let moved = moved(state, call, &directory.path, &topic.name, *index);
                    let result = AlterReplicaLogDirPartitionResult::default().with_partition_index(*index);
                    result.with_error_code(code(&moved))
                };
                let results = topic.partitions.iter().map(partition);
                topics.entry(TopicName::from(topic.name.as_str())).or_default().extend(results);
            }
        }
        let topic = |(name, partitions): (TopicName, Vec<_>)| {
            AlterReplicaLogDirTopicResult::default().with_topic_name(wire_name(&name)).with_partitions(partitions)
        };
        let results = topics.into_iter().map(topic).collect();
        AlterReplicaLogDirsResponse::default().with_throttle_time_ms(call.throttle_ms).with_results(results)
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        let mut all = Vec::new();
        for topic in self.dirs.iter().flat_map(|directory| &directory.topics) {
            all.extend(topic.partitions.iter().map(|index| (topic.name.as_str(), Some(*index))));
        }
        all
    }
}

/// A replica is in the only directory already.
fn moved(state: &State, call: &Call, directory: &str, topic: &str, index: i32) -> Result<(), ResponseError> {
    call.refused_at(topic, index)?;
    if directory != path(call.broker) {
        return Err(ResponseError::LogDirNotFound);
    }
    let found = state.partition(topic, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    if !found.placement.replicas.contains(&call.broker) {
        return Err(ResponseError::ReplicaNotAvailable);
    }
    call.failed_late_at(topic, index)
}

/// The directory of a broker.
fn path(broker: i32) -> String {
    format!("/var/lib/kafka/data-{broker}")
}

/// The size of each directory's volume: a tebibyte.
const VOLUME: i64 = 1 << 40;
