//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455, KIP-860).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::AlterPartitionReassignmentsRequest;
use kafka_protocol::messages::AlterPartitionReassignmentsResponse;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::ListPartitionReassignmentsResponse;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::ReassignablePartitionResponse;
use kafka_protocol::messages::alter_partition_reassignments_response::ReassignableTopicResponse;
use kafka_protocol::messages::list_partition_reassignments_response::OngoingPartitionReassignment;
use kafka_protocol::messages::list_partition_reassignments_response::OngoingTopicReassignment;

use super::Ask;
use super::Refused;
use super::every_partition;
use super::failed_late;
use super::refused;
use super::verdict;
use crate::mock::api::Call;
use crate::mock::state::Placement;
use crate::mock::state::State;
use crate::mock::state::wire_name;

impl Ask for AlterPartitionReassignmentsRequest {
    const HAS_EFFECT: bool = true;

    fn answer(self, state: &mut State, call: &Call) -> AlterPartitionReassignmentsResponse {
        let may_resize = call.version < 1 || self.allow_replication_factor_change;
        let response = AlterPartitionReassignmentsResponse::default()
            .with_throttle_time_ms(call.throttle_ms)
            .with_allow_replication_factor_change(may_resize)
            .with_error_message(None);
        let whole = refused(call);
        if whole.is_err() {
            let (code, message) = verdict(whole);
            return response.with_error_code(code).with_error_message(message);
        }
        let mut topics = Vec::with_capacity(self.topics.len());
        for topic in self.topics {
            let partition = |asked: &ReassignablePartition| {
                let (code, message) = verdict(alter(state, call, &topic.name, asked, may_resize));
                ReassignablePartitionResponse::default()
                    .with_partition_index(asked.partition_index)
                    .with_error_code(code)
                    .with_error_message(message)
            };
            let partitions = topic.partitions.iter().map(partition).collect();
            topics.push(ReassignableTopicResponse::default().with_name(topic.name).with_partitions(partitions));
        }
        let (code, message) = verdict(failed_late(call));
        response.with_responses(topics).with_error_code(code).with_error_message(message)
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        let mut all = Vec::new();
        for topic in &self.topics {
            all.extend(topic.partitions.iter().map(|asked| (topic.name.as_str(), Some(asked.partition_index))));
        }
        all
    }
}

fn alter(
    state: &mut State,
    call: &Call,
    topic: &str,
    asked: &ReassignablePartition,
    may_resize: bool,
) -> Result<(), Refused> {
    let index = asked.partition_index;
    call.refused_at(topic, index).map_err(|error| (error, "refused"))?;
    let missing = (ResponseError::UnknownTopicOrPartition, "there is no such partition");
    let placement = &state.partition(topic, index).ok_or(missing)?.placement;
    let Some(target) = &asked.replicas else {
        if !placement.is_moving() {
            return Err((ResponseError::NoReassignmentInProgress, ""));
        }
        state.cancel_move(topic, index);
        return late(call, topic, index);
    };
    let target: Vec<i32> = target.iter().map(|broker| broker.0).collect();
    let mut distinct = target.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if target.is_empty() || distinct.len() < target.len() {
        return Err((ResponseError::InvalidReplicaAssignment, "name at least one broker, and each once"));
    }
    if !target.iter().all(|id| state.brokers.contains_key(id)) {
        return Err((ResponseError::InvalidReplicaAssignment, "there is no such broker"));
    }
    if !may_resize && target.len() != placement.replicas.len() - placement.adding.len() {
        return Err((ResponseError::InvalidReplicationFactor, "the number of replicas may not change"));
    }
    state.reassign(topic, index, target);
    late(call, topic, index)
}

fn late(call: &Call, topic: &str, index: i32) -> Result<(), Refused> {
    call.failed_late_at(topic, index).map_err(|error| (error, "failed after the change"))
}

impl Ask for ListPartitionReassignmentsRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> ListPartitionReassignmentsResponse {
        let (code, message) = verdict(refused(call));
        let response = ListPartitionReassignmentsResponse::default()
            .with_throttle_time_ms(call.throttle_ms)
            .with_error_code(code)
            .with_error_message(message);
        if code != 0 {
            return response;
        }
        let asked: Vec<(String, Vec<i32>)> = match self.topics {
            Some(topics) => topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect(),
            None => every_partition(state),
        };
        let mut topics = Vec::new();
        for (name, indexes) in asked {
            let moving = |index: i32| {
                let placement = &state.partition(&name, index)?.placement;
                placement.is_moving().then(|| ongoing(index, placement))
            };
            let partitions: Vec<_> = indexes.into_iter().filter_map(moving).collect();
            if !partitions.is_empty() {
                topics
                    .push(OngoingTopicReassignment::default().with_name(wire_name(&name)).with_partitions(partitions));
            }
        }
        response.with_topics(topics)
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        let mut all = Vec::new();
        for topic in self.topics.iter().flatten() {
            all.extend(topic.partition_indexes.iter().map(|index| (topic.name.as_str(), Some(*index))));
        }
        all
    }
}

fn ongoing(index: i32, placement: &Placement) -> OngoingPartitionReassignment {
    let of = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    OngoingPartitionReassignment::default()
        .with_partition_index(index)
        .with_replicas(of(&placement.replicas))
        .with_adding_replicas(of(&placement.adding))
        .with_removing_replicas(of(&placement.removing))
}
