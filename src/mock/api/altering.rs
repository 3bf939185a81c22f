//! IncrementalAlterConfigs: of topics, whose entries are kept.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::IncrementalAlterConfigsResponse;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;

use crate::mock::api::Call;
use crate::mock::api::admin::TOPIC_CONFIGS;
use crate::mock::state::State;
use crate::mock::state::text;

const TOPIC: i8 = 2;
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Refused = (ResponseError, &'static str);

pub(super) fn alter_configs(
    state: &mut State,
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in &request.resources {
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone())
            .with_error_message(None);
        responses.push(match alter(state, call, asked, request.validate_only) {
            Ok(()) => response,
            Err((error, reason)) => response.with_error_code(error.code()).with_error_message(Some(text(reason))),
        });
    }
    IncrementalAlterConfigsResponse::default().with_throttle_time_ms(call.throttle_ms).with_responses(responses)
}

fn alter(state: &mut State, call: &Call, asked: &AlterConfigsResource, validate_only: bool) -> Result<(), Refused> {
    if asked.resource_type != TOPIC {
        return Err((ResponseError::InvalidRequest, "the mock changes the configuration of topics only"));
    }
    let name = asked.resource_name.as_str();
    call.refused_topic(name).map_err(|error| (error, "refused"))?;
    let default = state.settings.batch_bytes_max;
    let missing = (ResponseError::UnknownTopicOrPartition, "there is no such topic");
    let topic = state.topics.get_mut(name).ok_or(missing)?;
    let mut configs = topic.configs.clone();
    if topic.batch_bytes_max != default {
        configs.insert(MAX_MESSAGE_BYTES.to_owned(), topic.batch_bytes_max.to_string());
    }
    for change in &asked.configs {
        apply(&mut configs, change)?;
    }
    let bytes = configs.remove(MAX_MESSAGE_BYTES).map_or(Ok(default), |value| value.parse());
    let bytes = bytes.map_err(|_| (ResponseError::InvalidConfig, "max.message.bytes is not a number of bytes"))?;
    if !validate_only {
        (topic.configs, topic.batch_bytes_max) = (configs, bytes);
        call.failed_late_topic(name).map_err(|error| (error, "failed after the change"))?;
    }
    Ok(())
}

fn apply(configs: &mut BTreeMap<String, String>, change: &AlterableConfig) -> Result<(), Refused> {
    let name = change.name.as_str();
    if !TOPIC_CONFIGS.contains(&name) {
        return Err((ResponseError::InvalidConfig, "topics have no configuration of this name"));
    }
    if change.config_operation == DELETE {
        configs.remove(name);
        return Ok(());
    }
    let value = change.value.as_ref().ok_or((ResponseError::InvalidRequest, "the value is null"))?;
    let elements = || value.split(',').map(|element| element.trim().to_owned());
    let known = configs.get(name).map(|known| known.split(',').map(str::to_owned).collect::<Vec<_>>());
    let mut list = known.unwrap_or_default();
    match change.config_operation {
        SET => list = vec![value.to_string()],
        APPEND => {
            let added: Vec<String> = elements().filter(|element| !list.contains(element)).collect();
            list.extend(added);
        }
        SUBTRACT => list.retain(|element| !elements().any(|gone| gone == *element)),
        _ => return Err((ResponseError::InvalidRequest, "there is no such operation")),
    }
    configs.insert(name.to_owned(), list.join(","));
    Ok(())
}
