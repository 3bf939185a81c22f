//! UpdateFeatures: finalizes the versions of the cluster's features (KIP-584, KIP-778).

use super::buf::DecodeError;
use super::declare::api;
use super::declare::messages;
use crate::error::Code;

/// The first version that can be validated only, and that tells safe from unsafe downgrades (KIP-778).
const VALIDATES: i16 = 1;

api! {
    UpdateFeatures = 57, versions 0..=2, flexible 0.., writes;
    UpdateFeaturesRequest => UpdateFeaturesResponse
}

messages! {
    UpdateFeaturesRequest:

    /// `UpdateFeaturesRequest.json`.
    request UpdateFeaturesRequest {
        timeout_ms: i32,
        updates: Vec<FeatureUpdate>,
        validate_only: bool [1..],
    }

    /// `upgrade_kind`: 1 upgrade, 2 safe downgrade, 3 unsafe downgrade.
    struct FeatureUpdate {
        feature: String,
        level: i16,
        allow_downgrade: bool [0..=0],
        upgrade_kind: i8 [1..] = 1,
    }

    /// `UpdateFeaturesResponse.json`. Since version 2 all updates succeed or fail together.
    response UpdateFeaturesResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
        results: Vec<UpdatedFeature> [0..=1],
    }

    struct UpdatedFeature {
        feature: Box<str>,
        error: Option<Code>,
        error_message: Option<Box<str>>,
    }
}

impl UpdateFeaturesRequest {
    /// Refuses to carry out what is to be validated only.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        if version < VALIDATES && self.validate_only {
            return Err(DecodeError::TooOld(format!("version {version} cannot validate without a change")));
        }
        Ok(())
    }
}
