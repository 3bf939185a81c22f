//! DescribeTopicPartitions: topics in pages (KIP-966).

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::DescribeTopicPartitionsResponse;
use kafka_protocol::messages::describe_topic_partitions_response::Cursor;
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponsePartition;
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;

use super::Ask;
use crate::mock::api::Call;
use crate::mock::api::metadata::live;
use crate::mock::state::Placement;
use crate::mock::state::State;
use crate::mock::state::wire_id;
use crate::mock::state::wire_name;
use crate::types::TopicId;
use crate::types::TopicName;

impl Ask for DescribeTopicPartitionsRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> DescribeTopicPartitionsResponse {
        let response = DescribeTopicPartitionsResponse::default().with_throttle_time_ms(call.throttle_ms);
        let all = self.topics.is_empty();
        let (first, start) = self.cursor.as_ref().map_or(("", 0), |at| (at.topic_name.as_str(), at.partition_index));
        let mut names: BTreeSet<TopicName> = match (all, state.view(call.broker)) {
            (false, _) => self.topics.iter().map(|topic| TopicName::from(topic.name.as_str())).collect(),
            (true, Some(view)) => view.topics.keys().cloned().collect(),
            (true, None) => state.topics.keys().cloned().collect(),
        };
        names.retain(|name| &**name >= first);
        if start < 0 || (self.cursor.is_some() && !all && !names.contains(first)) {
            let names = self.topics.iter().map(|topic| topic.name.as_str());
            return response.with_topics(names.map(|name| failed(name, ResponseError::InvalidRequest)).collect());
        }
        let live = live(state, call);
        let mut left = usize::try_from(self.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_MAX);
        let (mut topics, mut next) = (Vec::new(), None);
        for name in names {
            if left == 0 {
                next = Some(Cursor::default().with_topic_name(wire_name(&name)));
                break;
            }
            let error = call.refused_topic(&name).err();
            let Some((id, placements)) = known(state, call, &name).filter(|_| error.is_none()) else {
                let unknown = match TopicName::problem(&name) {
                    Some(_) => ResponseError::InvalidTopicException,
                    None => ResponseError::UnknownTopicOrPartition,
                };
                let described = failed(&name, error.unwrap_or(unknown)).with_topic_authorized_operations(OPERATIONS);
                topics.push(described);
                continue;
            };
            let start = if *name == *first { usize::try_from(start).unwrap_or(usize::MAX) } else { 0 };
            let end = placements.len().min(start.saturating_add(left));
            let page = placements.get(start..end).unwrap_or_default();
            let partition = |(index, placement): (usize, &&Placement)| partition(call, &live, &name, index, placement);
            let partitions: Vec<_> = (start..).zip(page).map(partition).collect();
            left -= partitions.len();
            topics.push(
                DescribeTopicPartitionsResponseTopic::default()
                    .with_name(Some(wire_name(&name)))
                    .with_topic_id(wire_id(id))
                    .with_partitions(partitions)
                    .with_topic_authorized_operations(OPERATIONS),
            );
            if end < placements.len() {
                next = Some(Cursor::default().with_topic_name(wire_name(&name)).with_partition_index(number(end)));
                break;
            }
        }
        response.with_topics(topics).with_next_cursor(next)
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        self.topics.iter().map(|topic| (topic.name.as_str(), None)).collect()
    }
}

/// A topic, as far as this broker knows.
fn known<'a>(state: &'a State, call: &Call, name: &str) -> Option<(TopicId, Vec<&'a Placement>)> {
    if let Some(view) = state.view(call.broker) {
        return view.topics.get(name).map(|(id, placements)| (*id, placements.iter().collect()));
    }
    let topic = state.topics.get(name)?;
    Some((topic.id, topic.partitions.iter().map(|partition| &partition.placement).collect()))
}

fn failed(name: &str, error: ResponseError) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default().with_name(Some(wire_name(name))).with_error_code(error.code())
}

fn partition(
    call: &Call,
    live: &[i32],
    name: &str,
    index: usize,
    placement: &Placement,
) -> DescribeTopicPartitionsResponsePartition {
    let of = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    let offline = placement.replicas.iter().copied().filter(|id| !live.contains(id)).map(BrokerId).collect();
    let error = call.refused_at(name, number(index)).err();
    let leader = placement.leader.filter(|_| error.is_none());
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_partition_index(number(index))
        .with_leader_id(BrokerId(leader.unwrap_or(-1)))
        .with_leader_epoch(placement.leader_epoch)
        .with_replica_nodes(of(&placement.replicas))
        .with_isr_nodes(of(&placement.in_sync(live)))
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
        .with_offline_replicas(offline)
}

fn number(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// `max.request.partition.size.limit`.
const PARTITIONS_MAX: usize = 2_000;

/// All that can be done to a topic, since everyone may do it (`AclEntry.supportedOperations`).
const OPERATIONS: i32 = 0b1101_1111_1000;
