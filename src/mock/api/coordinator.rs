//! FindCoordinator and InitProducerId.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::FindCoordinatorResponse;
use kafka_protocol::messages::InitProducerIdRequest;
use kafka_protocol::messages::InitProducerIdResponse;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::protocol::StrBytes;

use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::state::GROUP;
use crate::mock::state::State;
use crate::mock::state::Transactional;
use crate::mock::state::text;

pub(super) fn find_coordinator(
    state: &mut State,
    call: &Call,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let response = FindCoordinatorResponse::default().with_throttle_time_ms(call.throttle_ms);
    if call.version >= 4 {
        let keys = request.coordinator_keys.into_iter();
        return response.with_coordinators(keys.map(|key| locate(state, call, request.key_type, key)).collect());
    }
    let found = locate(state, call, request.key_type, request.key);
    response
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

fn locate(state: &State, call: &Call, key_type: i8, key: StrBytes) -> Coordinator {
    let found = call.refused().and_then(|()| match key_type {
        GROUP | TRANSACTION => {
            state.coordinator_known_to(call.broker, key_type, &key).ok_or(ResponseError::CoordinatorNotAvailable)
        }
        _ => Err(ResponseError::InvalidRequest),
    });
    let coordinator = Coordinator::default().with_key(key).with_error_code(code(&found));
    match found.ok().and_then(|id| Some((id, state.brokers.get(&id)?))) {
        Some((id, broker)) => {
            let coordinator = coordinator.with_node_id(BrokerId(id)).with_host(text(&broker.host));
            coordinator.with_port(i32::from(broker.port)).with_error_message(Some(text("NONE")))
        }
        None => coordinator.with_node_id(BrokerId(-1)).with_port(-1).with_error_message(Some(text("not found"))),
    }
}

pub(super) fn init_producer_id(
    state: &mut State,
    call: &Call,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let result = identity(state, call, &request).and_then(|identity| call.failed_late().map(|()| identity));
    let (id, epoch) = result.unwrap_or((-1, -1));
    InitProducerIdResponse::default()
        .with_throttle_time_ms(call.throttle_ms)
        .with_error_code(code(&result))
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch)
}

fn identity(state: &mut State, call: &Call, request: &InitProducerIdRequest) -> Result<(i64, i16), ResponseError> {
    call.refused()?;
    if call.version >= 3 && (request.producer_id.0 >= 0) != (request.producer_epoch >= 0) {
        return Err(ResponseError::InvalidRequest);
    }
    // Without a transactional id every request gets a new producer id (`handleInitProducerId`).
    let Some(name) = request.transactional_id.as_ref().map(|name| name.as_str()) else {
        return Ok((state.take_producer_id(), 0));
    };
    if name.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    if state.coordinator(TRANSACTION, name) != Some(call.broker) {
        return Err(ResponseError::NotCoordinator);
    }
    if !(1..=TRANSACTION_TIMEOUT_MS_MAX).contains(&request.transaction_timeout_ms) {
        return Err(ResponseError::InvalidTransactionTimeout);
    }
    let known = state.transactional.get(name).copied();
    let expected = (request.producer_id.0, request.producer_epoch);
    if let Some(known) = known
        && request.producer_id.0 >= 0
        && expected != (known.producer_id, known.epoch)
    {
        let fenced =
            if call.version >= 4 { ResponseError::ProducerFenced } else { ResponseError::InvalidProducerEpoch };
        return Err(fenced);
    }
    let (producer_id, epoch) = match known {
        // The last epoch is reserved for fencing; a new id follows it.
        Some(known) if known.epoch < i16::MAX - 1 => (known.producer_id, known.epoch + 1),
        _ => (state.take_producer_id(), 0),
    };
    let next = Transactional { producer_id, epoch, timeout_ms: request.transaction_timeout_ms };
    state.transactional.insert(name.to_owned(), next);
    Ok((producer_id, epoch))
}

/// The key type of transactional ids.
pub(super) const TRANSACTION: i8 = 1;

/// `transaction.max.timeout.ms`.
const TRANSACTION_TIMEOUT_MS_MAX: i32 = 900_000;
