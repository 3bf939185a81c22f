//! ApiVersions, versions 0 to 4 (`ApiVersionsResponse.json`): the first thing read from a peer, which may be anything.

use bytes::Bytes;

use super::buf::COST_MAX;
use super::buf::DecodeError;
use super::buf::Reader;
use super::message::ApiVersionsResponse;
use super::version::Api;

/// What a broker answers in the form of version 0 that does not speak the version it was asked in (KIP-511).
const UNSUPPORTED: [u8; 2] = 35_i16.to_be_bytes();
/// The fewest bytes of an API.
const API_MIN: usize = 6;
/// The fewest bytes of a feature.
const FEATURE_MIN: usize = 6;

const _: () = assert!(size_of::<(i16, i16, i16)>() <= COST_MAX * API_MIN);
const _: () = assert!(size_of::<(String, i16)>() <= COST_MAX * FEATURE_MIN);

impl ApiVersionsResponse {
    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let version = if body.starts_with(&UNSUPPORTED) { 0 } else { version };
        let mut reader = Reader::new(body, version >= Api::ApiVersions.flexible_from());
        let mut response = Self {
            error: reader.code()?,
            apis: reader.array(API_MIN, |reader| {
                let api = (reader.i16()?, reader.i16()?, reader.i16()?);
                reader.skip_tags()?;
                Ok(api)
            })?,
            throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
            finalized_features: Vec::new(),
        };
        reader.tags(|tag, field| {
            match tag {
                // Features that the broker supports, of which those that are in force follow.
                0 => drop(field.array(FEATURE_MIN, feature)?),
                // The epoch of the features in force.
                1 => drop(field.i64()?),
                2 => response.finalized_features = field.array(FEATURE_MIN, feature)?,
                // Whether the cluster is ready to leave ZooKeeper.
                3 => drop(field.bool()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(response)
    }
}

/// A feature with the first of two versions: of one that is supported the lowest, of one in force the highest.
fn feature(field: &mut Reader) -> Result<(String, i16), DecodeError> {
    let feature = (field.string()?, field.i16()?);
    field.i16()?;
    field.skip_tags()?;
    Ok(feature)
}
