//! DescribeQuorum: the first three brokers are controllers too.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::DescribeQuorumResponse;
use kafka_protocol::messages::describe_quorum_response::Listener;
use kafka_protocol::messages::describe_quorum_response::Node;
use kafka_protocol::messages::describe_quorum_response::PartitionData;
use kafka_protocol::messages::describe_quorum_response::ReplicaState;
use kafka_protocol::messages::describe_quorum_response::TopicData;

use super::Ask;
use crate::mock::api::Call;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::mock::state::wire_name;

impl Ask for DescribeQuorumRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> DescribeQuorumResponse {
        let whole = |code: i16, message: &str| {
            let message = Some(text(message)).filter(|_| call.version >= 2);
            DescribeQuorumResponse::default().with_error_code(code).with_error_message(message)
        };
        if let Err(error) = call.refused() {
            return whole(error.code(), "refused");
        }
        let is_metadata = match &self.topics[..] {
            [topic] if topic.topic_name.as_str() == METADATA => {
                matches!(&topic.partitions[..], [partition] if partition.partition_index == 0)
            }
            _ => false,
        };
        let response = whole(0, "");
        if is_metadata {
            let nodes = if call.version >= 2 { nodes(state) } else { Vec::new() };
            let topic = TopicData::default().with_topic_name(wire_name(METADATA));
            return response.with_topics(vec![topic.with_partitions(vec![quorum(state, call)])]).with_nodes(nodes);
        }
        let unknown = ResponseError::UnknownTopicOrPartition;
        let message = Some(text("only the metadata is replicated by the controllers")).filter(|_| call.version >= 2);
        let mut topics = Vec::with_capacity(self.topics.len());
        for topic in self.topics {
            let partition = |index| {
                let partition = PartitionData::default().with_partition_index(index);
                partition.with_error_code(unknown.code()).with_error_message(message.clone())
            };
            let partitions = topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect();
            topics.push(TopicData::default().with_topic_name(topic.topic_name).with_partitions(partitions));
        }
        response.with_topics(topics)
    }
}

fn quorum(state: &State, call: &Call) -> PartitionData {
    // Every change of the cluster stands for a record of the metadata.
    let end = i64::try_from(state.changes).unwrap_or(i64::MAX).saturating_add(1);
    let replica = |id: &i32| {
        let is_up = state.is_up(*id);
        let at = |value: i64| if is_up { value } else { -1 };
        let replica = ReplicaState::default().with_replica_id(BrokerId(*id)).with_log_end_offset(at(end));
        if call.version == 0 {
            return replica;
        }
        replica.with_last_fetch_timestamp(at(call.unix_ms)).with_last_caught_up_timestamp(at(call.unix_ms))
    };
    let (voters, observers) = members(state);
    PartitionData::default()
        .with_leader_id(BrokerId(state.controller().0))
        .with_leader_epoch(1)
        .with_high_watermark(end)
        .with_current_voters(voters.iter().map(replica).collect())
        .with_observers(observers.iter().map(replica).collect())
        .with_error_message(Some(text("")).filter(|_| call.version >= 2))
}

/// The brokers that vote, and those that follow.
fn members(state: &State) -> (Vec<i32>, Vec<i32>) {
    let mut ids: Vec<i32> = state.brokers.keys().copied().collect();
    let observers = ids.split_off(ids.len().min(VOTERS_MAX));
    (ids, observers)
}

fn nodes(state: &State) -> Vec<Node> {
    let node = |id: &i32| {
        let broker = &state.brokers[id];
        let listener = Listener::default().with_name(text("CONTROLLER")).with_host(text(&broker.host));
        Node::default().with_node_id(BrokerId(*id)).with_listeners(vec![listener.with_port(broker.port)])
    };
    members(state).0.iter().map(node).collect()
}

/// The topic that the controllers replicate.
const METADATA: &str = "__cluster_metadata";

const VOTERS_MAX: usize = 3;
