//! InitProducerId: the identity with which a producer's batches are numbered.

use kafka_protocol::messages as kp;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::control::put;
use super::control::text;
use super::declare::api;
use super::declare::messages;
use crate::error::Code;
use crate::types::ProducerIdentity;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct InitProducerIdRequest {
    pub transactional_id: Option<String>,
    pub transaction_timeout_ms: i32,
    pub current: Option<ProducerIdentity>,
}

api! {
    InitProducerId = 22, versions 0..=5, flexible 2.., writes;
    InitProducerIdRequest by kafka_protocol => InitProducerIdResponse
}

messages! {
    InitProducerIdRequest:

    /// `InitProducerIdResponse.json`.
    response InitProducerIdResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        identity: Option<ProducerIdentity>,
    }
}

impl InitProducerIdRequest {
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let mut request = kp::InitProducerIdRequest::default()
            .with_transactional_id(self.transactional_id.as_deref().map(|id| text(id).into()))
            .with_transaction_timeout_ms(self.transaction_timeout_ms);
        if version >= 3 {
            let (id, epoch) = self.current.map_or((-1, -1), |current| (current.id, current.epoch));
            request = request.with_producer_id(id.into()).with_producer_epoch(epoch);
        }
        put(&request, version, out)
    }
}
