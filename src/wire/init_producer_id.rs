//! InitProducerId: the identity with which a producer's batches are numbered.

use super::declare::api;
use super::declare::messages;
use crate::error::Code;
use crate::types::ProducerIdentity;

api! {
    InitProducerId = 22, versions 0..=5, flexible 2.., writes;
    InitProducerIdRequest => InitProducerIdResponse
}

messages! {
    InitProducerIdRequest:

    /// `InitProducerIdRequest.json`.
    request InitProducerIdRequest {
        transactional_id: Option<String>,
        transaction_timeout_ms: i32,
        current: Option<ProducerIdentity> [3..],
    }

    /// `InitProducerIdResponse.json`.
    response InitProducerIdResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        identity: Option<ProducerIdentity>,
    }
}
