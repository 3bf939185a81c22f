//! ApiVersions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::api_versions_response::FinalizedFeatureKey;
use kafka_protocol::messages::api_versions_response::SupportedFeatureKey;

use crate::mock::api::Answer;
use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::frame;
use crate::mock::state::State;
use crate::mock::state::text;

pub(super) fn api_versions(state: &State, call: &Call) -> ApiVersionsResponse {
    let response = response(state).with_error_code(code(&call.refused())).with_throttle_time_ms(call.throttle_ms);
    if call.version < 3 {
        return response;
    }
    let features = &state.features;
    // A level of 0 is new in version 4 (KIP-1022).
    let is_shown = |(_, (min, _)): &(&&str, &(i16, i16))| *min > 0 || call.version >= 4;
    let supported = |(name, (min, max)): (&&str, &(i16, i16))| {
        SupportedFeatureKey::default().with_name(text(name)).with_min_version(*min).with_max_version(*max)
    };
    let finalized = |(name, level): (&&str, &i16)| {
        FinalizedFeatureKey::default()
            .with_name(text(name))
            .with_min_version_level(*level)
            .with_max_version_level(*level)
    };
    response
        .with_supported_features(features.supported.iter().filter(is_shown).map(supported).collect())
        .with_finalized_features_epoch(features.epoch)
        .with_finalized_features(features.finalized.iter().map(finalized).collect())
}

/// The response to an unsupported version has version 0, so that any client can read the supported ones (KIP-511).
pub(super) fn unsupported(state: &State, call: &Call) -> Answer {
    let response = response(state).with_error_code(ResponseError::UnsupportedVersion.code());
    let frame = frame::reply_with_header(0, call.correlation_id, 0, &response);
    frame.map_or(Answer::Close, Answer::Reply)
}

fn response(state: &State) -> ApiVersionsResponse {
    let range = |(api_key, (min, max)): (&i16, &(i16, i16))| {
        ApiVersion::default().with_api_key(*api_key).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_api_keys(state.settings.versions.iter().map(range).collect())
}
