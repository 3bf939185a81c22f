//! Producers and transactions: DescribeProducers, DescribeTransactions, ListTransactions and WriteTxnMarkers.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::DescribeProducersRequest;
use kafka_protocol::messages::DescribeProducersResponse;
use kafka_protocol::messages::DescribeTransactionsRequest;
use kafka_protocol::messages::DescribeTransactionsResponse;
use kafka_protocol::messages::ListTransactionsRequest;
use kafka_protocol::messages::ListTransactionsResponse;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::TransactionalId;
use kafka_protocol::messages::WriteTxnMarkersRequest;
use kafka_protocol::messages::WriteTxnMarkersResponse;
use kafka_protocol::messages::describe_producers_response::PartitionResponse;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::describe_producers_response::TopicResponse;
use kafka_protocol::messages::describe_transactions_response as described;
use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::WritableTxnMarkerPartitionResult;
use kafka_protocol::messages::write_txn_markers_response::WritableTxnMarkerResult;
use kafka_protocol::messages::write_txn_markers_response::WritableTxnMarkerTopicResult;
use kafka_protocol::protocol::StrBytes;
use regex_lite::Regex;

use super::Ask;
use super::Refused;
use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::api::coordinator::TRANSACTION;
use crate::mock::log::Marker;
use crate::mock::producers::Producer;
use crate::mock::state::State;
use crate::mock::state::Transactional;
use crate::mock::state::text;
use crate::types::TopicName;

impl Ask for DescribeProducersRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> DescribeProducersResponse {
        let mut topics = Vec::with_capacity(self.topics.len());
        for topic in self.topics {
            let partition = |index: i32| {
                let response = PartitionResponse::default().with_partition_index(index).with_error_message(None);
                match producers(state, call, &topic.name, index) {
                    Ok(producers) => response.with_active_producers(producers),
                    Err((error, reason)) => {
                        let message = Some(text(reason)).filter(|_| !reason.is_empty());
                        response.with_error_code(error.code()).with_error_message(message)
                    }
                }
            };
            let partitions = topic.partition_indexes.into_iter().map(partition).collect();
            topics.push(TopicResponse::default().with_name(topic.name).with_partitions(partitions));
        }
        DescribeProducersResponse::default().with_throttle_time_ms(call.throttle_ms).with_topics(topics)
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        let mut all = Vec::new();
        for topic in &self.topics {
            all.extend(topic.partition_indexes.iter().map(|index| (topic.name.as_str(), Some(*index))));
        }
        all
    }
}

/// Any replica answers (`Partition.activeProducerState`). Kafka has no text for a partition that it does not have.
fn producers(state: &State, call: &Call, topic: &str, index: i32) -> Result<Vec<ProducerState>, Refused> {
    call.refused_at(topic, index).map_err(|error| (error, "refused"))?;
    if TopicName::problem(&TopicName::from(topic)).is_some() {
        return Err((ResponseError::InvalidTopicException, "the name is invalid"));
    }
    if !state.topics.contains_key(topic) {
        return Err((ResponseError::UnknownTopicOrPartition, "there is no such topic"));
    }
    let found = state.partition(topic, index).ok_or((ResponseError::UnknownTopicOrPartition, ""))?;
    if !found.placement.replicas.contains(&call.broker) {
        return Err((ResponseError::NotLeaderOrFollower, ""));
    }
    let log = &found.log;
    let producer = |(id, producer): (i64, &Producer)| {
        ProducerState::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(i32::from(producer.epoch()))
            .with_last_sequence(producer.last_sequence())
            .with_last_timestamp(producer.last_timestamp())
            .with_coordinator_epoch(producer.coordinator_epoch())
            .with_current_txn_start_offset(log.transactions.start_of(id).unwrap_or(-1))
    };
    Ok(log.producers.known().map(producer).collect())
}

impl Ask for DescribeTransactionsRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> DescribeTransactionsResponse {
        let describe = |id: TransactionalId| {
            let response = described::TransactionState::default().with_transactional_id(id.clone());
            match find(state, call, &id) {
                // The coordinator knows no transaction, because the protocol of transactions is not supported.
                Ok(known) => response
                    .with_transaction_state(text(EMPTY))
                    .with_transaction_timeout_ms(known.timeout_ms)
                    .with_transaction_start_time_ms(-1)
                    .with_producer_id(ProducerId(known.producer_id))
                    .with_producer_epoch(known.epoch),
                Err(error) => response.with_error_code(error.code()),
            }
        };
        let states = self.transactional_ids.into_iter().map(describe).collect();
        DescribeTransactionsResponse::default().with_throttle_time_ms(call.throttle_ms).with_transaction_states(states)
    }

    fn names(&self) -> Vec<String> {
        self.transactional_ids.iter().map(|id| id.to_string()).collect()
    }
}

fn find(state: &State, call: &Call, id: &str) -> Result<Transactional, ResponseError> {
    call.refused()?;
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    if state.coordinator(TRANSACTION, id) != Some(call.broker) {
        return Err(ResponseError::NotCoordinator);
    }
    state.transactional.get(id).copied().ok_or(ResponseError::TransactionalIdNotFound)
}

impl Ask for ListTransactionsRequest {
    const HAS_EFFECT: bool = false;

    fn answer(self, state: &mut State, call: &Call) -> ListTransactionsResponse {
        let response = ListTransactionsResponse::default().with_throttle_time_ms(call.throttle_ms);
        if let Err(error) = call.refused() {
            return response.with_error_code(error.code());
        }
        let pattern = self.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty());
        let Ok(pattern) = pattern.map(|pattern| Regex::new(&format!("^(?:{pattern})$"))).transpose() else {
            return response.with_error_code(ResponseError::InvalidRegularExpression.code());
        };
        // Every known id is between two transactions: its last one began at −1.
        let is_of_duration = self.duration_filter < 0 || call.unix_ms.saturating_add(1) > self.duration_filter;
        let is_of_state = self.state_filters.is_empty() || self.state_filters.iter().any(|state| **state == *EMPTY);
        let wanted = |(id, known): &(&String, &Transactional)| {
            let producers = &self.producer_id_filters;
            state.coordinator(TRANSACTION, id) == Some(call.broker)
                && (producers.is_empty() || producers.contains(&ProducerId(known.producer_id)))
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
        };
        let mut states: Vec<TransactionState> = Vec::new();
        for (id, known) in state.transactional.iter().filter(wanted).filter(|_| is_of_state && is_of_duration) {
            let listed = TransactionState::default().with_transactional_id(TransactionalId(text(id)));
            states.push(listed.with_producer_id(ProducerId(known.producer_id)).with_transaction_state(text(EMPTY)));
        }
        states.sort_by(|one, other| one.transactional_id.cmp(&other.transactional_id));
        let is_unknown = |state: &StrBytes| !STATES.contains(&state.as_str());
        let unknown = self.state_filters.into_iter().filter(is_unknown).collect();
        response.with_unknown_state_filters(unknown).with_transaction_states(states)
    }
}

impl Ask for WriteTxnMarkersRequest {
    const HAS_EFFECT: bool = true;

    fn answer(self, state: &mut State, call: &Call) -> WriteTxnMarkersResponse {
        let mut results = Vec::with_capacity(self.markers.len());
        for marker in self.markers {
            let mut topics = Vec::with_capacity(marker.topics.len());
            for topic in &marker.topics {
                let partition = |index: &i32| {
                    let written = mark(state, call, &marker, &topic.name, *index);
                    let result = WritableTxnMarkerPartitionResult::default().with_partition_index(*index);
                    result.with_error_code(code(&written))
                };
                let partitions = topic.partition_indexes.iter().map(partition).collect();
                let result = WritableTxnMarkerTopicResult::default().with_name(topic.name.clone());
                topics.push(result.with_partitions(partitions));
            }
            let result = WritableTxnMarkerResult::default().with_producer_id(marker.producer_id);
            results.push(result.with_topics(topics));
        }
        WriteTxnMarkersResponse::default().with_markers(results)
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        let mut all = Vec::new();
        for topic in self.markers.iter().flat_map(|marker| &marker.topics) {
            all.extend(topic.partition_indexes.iter().map(|index| (topic.name.as_str(), Some(*index))));
        }
        all
    }
}

/// Ends a transaction without its coordinator (`ProducerAppendInfo.appendEndTxnMarker`).
fn mark(
    state: &mut State,
    call: &Call,
    asked: &WritableTxnMarker,
    topic: &str,
    index: i32,
) -> Result<(), ResponseError> {
    call.refused_at(topic, index)?;
    let hosted = |state: &State| {
        state.partition(topic, index).is_some_and(|found| found.placement.replicas.contains(&call.broker))
    };
    if !hosted(state) {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    let leader_epoch = state.led(call.broker, topic, index, -1)?.placement.leader_epoch;
    let codecs = state.codecs.clone();
    let found = state.partition_mut(topic, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    if let Some(known) = found.log.producers.find(asked.producer_id.0) {
        if asked.producer_epoch < known.epoch() {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if asked.coordinator_epoch < known.coordinator_epoch() {
            return Err(ResponseError::TransactionCoordinatorFenced);
        }
    }
    let marker = Marker {
        producer_id: asked.producer_id.0,
        epoch: asked.producer_epoch,
        coordinator_epoch: asked.coordinator_epoch,
        commit: asked.transaction_result,
    };
    found.log.mark(marker, call.unix_ms, leader_epoch, &codecs).ok_or(ResponseError::UnknownServerError)?;
    state.changes += 1;
    call.failed_late_at(topic, index)
}

/// The state of a transactional id between two transactions.
const EMPTY: &str = "Empty";

/// `TransactionState.AllStates`.
const STATES: &[&str] = &[
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];
