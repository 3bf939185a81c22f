//! Who coordinates and who is who: FindCoordinator, versions 0 to 6, and InitProducerId, versions 0 to 5
//! (`FindCoordinatorResponse.json`, `InitProducerIdResponse.json`).

use bytes::Bytes;

use super::buf::COST_MAX;
use super::buf::DecodeError;
use super::buf::Reader;
use super::message::Coordinator;
use super::message::FindCoordinatorResponse;
use super::message::InitProducerIdResponse;
use super::version::Api;
use crate::types::ProducerIdentity;

/// The first version that asks for several coordinators at once (KIP-699).
pub(super) const COORDINATORS: i16 = 4;
/// The fewest bytes of one of several coordinators.
const COORDINATOR_MIN: usize = 14;

const _: () = assert!(size_of::<Coordinator>() <= COST_MAX * COORDINATOR_MIN);

impl FindCoordinatorResponse {
    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= Api::FindCoordinator.flexible_from());
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let coordinators = if version >= COORDINATORS {
            reader.array(COORDINATOR_MIN, one_of_several)?
        } else {
            vec![Coordinator {
                key: None,
                error: reader.code()?,
                error_message: if version >= 1 { reader.nullable_string()? } else { None },
                id: reader.i32()?,
                host: reader.string()?,
                port: reader.i32()?,
            }]
        };
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, coordinators })
    }
}

fn one_of_several(reader: &mut Reader) -> Result<Coordinator, DecodeError> {
    let key = Some(reader.string()?);
    let (id, host, port) = (reader.i32()?, reader.string()?, reader.i32()?);
    let coordinator =
        Coordinator { key, error: reader.code()?, error_message: reader.nullable_string()?, id, host, port };
    reader.skip_tags()?;
    Ok(coordinator)
}

impl InitProducerIdResponse {
    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= Api::InitProducerId.flexible_from());
        let throttle_time_ms = reader.i32()?;
        let error = reader.code()?;
        let identity = ProducerIdentity { id: reader.i64()?, epoch: reader.i16()? };
        reader.skip_tags()?;
        let identity = (identity.id >= 0 && identity.epoch >= 0).then_some(identity);
        Ok(Self { throttle_time_ms, error, identity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_coordinators_the_one_that_was_asked_about_is_taken() {
        let found = |key: Option<&str>, id| Coordinator { key: key.map(str::to_owned), id, ..Coordinator::default() };
        let several = vec![found(Some("a"), 1), found(Some("b"), 2)];
        let response = FindCoordinatorResponse { throttle_time_ms: 0, coordinators: several };
        assert_eq!(response.of("b").map(|found| found.id), Some(2));
        assert_eq!(response.of("c"), None);
        // Below version 4 nobody says whose it is.
        let response = FindCoordinatorResponse { throttle_time_ms: 0, coordinators: vec![found(None, 3)] };
        assert_eq!(response.of("c").map(|found| found.id), Some(3));
    }
}
