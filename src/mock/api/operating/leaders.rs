//! ElectLeaders (`ReplicationControlManager.electLeaders`).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::ElectLeadersResponse;
use kafka_protocol::messages::elect_leaders_response::PartitionResult;
use kafka_protocol::messages::elect_leaders_response::ReplicaElectionResult;

use super::Ask;
use super::Refused;
use super::every_partition;
use super::verdict;
use crate::mock::api::Call;
use crate::mock::state::State;
use crate::mock::state::wire_name;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

impl Ask for ElectLeadersRequest {
    const HAS_EFFECT: bool = true;

    fn answer(self, state: &mut State, call: &Call) -> ElectLeadersResponse {
        let response = ElectLeadersResponse::default().with_throttle_time_ms(call.throttle_ms);
        let of_all = self.topic_partitions.is_none();
        let asked: Vec<(String, Vec<i32>)> = match &self.topic_partitions {
            Some(topics) => topics.iter().map(|topic| (topic.topic.to_string(), topic.partitions.clone())).collect(),
            None => every_partition(state),
        };
        let is_known = [PREFERRED, UNCLEAN].contains(&self.election_type);
        let known = if is_known { Ok(()) } else { Err(ResponseError::InvalidRequest) };
        let whole = call.refused().and(known).err();
        let mut topics = Vec::with_capacity(asked.len());
        for (name, indexes) in asked {
            let mut results = Vec::with_capacity(indexes.len());
            for index in indexes {
                let elected = match whole {
                    Some(error) => Err((error, "no leader was elected")),
                    None => elect(state, call, &name, index, self.election_type),
                };
                let is_needless = matches!(elected, Err((ResponseError::ElectionNotNeeded, _)));
                if !(of_all && (is_needless || whole.is_some())) {
                    let (code, message) = verdict(elected);
                    let result = PartitionResult::default().with_partition_id(index).with_error_code(code);
                    results.push(result.with_error_message(message));
                }
            }
            if !of_all || whole.is_none() {
                topics
                    .push(ReplicaElectionResult::default().with_topic(wire_name(&name)).with_partition_result(results));
            }
        }
        let code = whole.or_else(|| call.failed_late().err()).map_or(0, |error| error.code());
        let response = if call.version >= 1 { response.with_error_code(code) } else { response };
        response.with_replica_election_results(topics)
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        let mut all = Vec::new();
        for topic in self.topic_partitions.iter().flatten() {
            all.extend(topic.partitions.iter().map(|index| (topic.topic.as_str(), Some(*index))));
        }
        all
    }
}

fn elect(state: &mut State, call: &Call, topic: &str, index: i32, election: i8) -> Result<(), Refused> {
    call.refused_at(topic, index).map_err(|error| (error, "refused"))?;
    let missing = (ResponseError::UnknownTopicOrPartition, "there is no such partition");
    let placement = &state.partition(topic, index).ok_or(missing)?.placement;
    let live: Vec<i32> = state.live().collect();
    let in_sync = placement.in_sync(&live);
    let heir = if election == PREFERRED {
        let preferred = placement.replicas.first().copied();
        if placement.leader.is_some() && placement.leader == preferred {
            return Err((ResponseError::ElectionNotNeeded, "the preferred replica leads already"));
        }
        let heir = preferred.filter(|id| in_sync.contains(id));
        heir.ok_or((ResponseError::PreferredLeaderNotAvailable, "the preferred replica is not in sync"))?
    } else {
        if placement.leader.is_some() {
            return Err((ResponseError::ElectionNotNeeded, "the partition has a leader"));
        }
        let heir = placement.replicas.iter().copied().find(|id| live.contains(id));
        heir.ok_or((ResponseError::EligibleLeadersNotAvailable, "no replica is running"))?
    };
    state.move_leader(topic, index, heir);
    call.failed_late_at(topic, index).map_err(|error| (error, "failed after the election"))
}
