//! UpdateFeatures; ApiVersions has the features.

use kafka_protocol::messages::UpdateFeaturesRequest;
use kafka_protocol::messages::UpdateFeaturesResponse;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;

use super::Ask;
use super::failed_late;
use super::refused;
use crate::mock::api::Call;
use crate::mock::features::Update;
use crate::mock::state::State;
use crate::mock::state::text;

impl Ask for UpdateFeaturesRequest {
    const HAS_EFFECT: bool = true;

    fn answer(self, state: &mut State, call: &Call) -> UpdateFeaturesResponse {
        let response = UpdateFeaturesResponse::default().with_throttle_time_ms(call.throttle_ms);
        let update =
            |asked: &FeatureUpdateKey| (asked.feature.to_string(), asked.max_version_level, asked.upgrade_type);
        let updates: Vec<(String, i16, i8)> = self.feature_updates.iter().map(update).collect();
        let updates: Vec<Update<'_>> =
            updates.iter().map(|(feature, level, kind)| Update { feature, level: *level, kind: *kind }).collect();
        let updated = refused(call)
            .and_then(|()| state.features.update(&updates, self.validate_only))
            .and_then(|()| failed_late(call));
        if let Err((error, reason)) = updated {
            return response.with_error_code(error.code()).with_error_message(Some(text(reason)));
        }
        let result = |asked: FeatureUpdateKey| UpdatableFeatureResult::default().with_feature(asked.feature);
        let results = self.feature_updates.into_iter().map(result);
        // Since version 2 there are no results of single features.
        response.with_error_message(None).with_results(if call.version < 2 { results.collect() } else { Vec::new() })
    }

    fn names(&self) -> Vec<String> {
        self.feature_updates.iter().map(|asked| asked.feature.to_string()).collect()
    }
}
