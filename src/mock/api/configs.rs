//! DescribeConfigs: of each resource the few settings that the mock has.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::DescribeConfigsResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsSynonym;

use crate::mock::api::Call;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::types::TopicName;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// `DescribeConfigsResponse.ConfigSource`.
const SET_FOR_TOPIC: i8 = 1;
const STATIC: i8 = 4;
const DEFAULT: i8 = 5;

/// `DescribeConfigsResponse.ConfigType`.
const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const DOUBLE: i8 = 6;
const LIST: i8 = 7;

pub(super) fn describe_configs(
    state: &mut State,
    call: &Call,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let known = |asked: &DescribeConfigsResource| [TOPIC, BROKER].contains(&asked.resource_type);
    let whole = request.resources.iter().all(known);
    let results = request.resources.iter().map(|asked| {
        let result = DescribeConfigsResult::default()
            .with_error_message(Some(text("")))
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone());
        // One type that is none spoils the request.
        let described = if whole { describe(state, call, asked) } else { Err(ResponseError::InvalidRequest) };
        match described {
            Ok(entries) => {
                let wanted = |entry: &DescribeConfigsResourceResult| {
                    let keys = asked.configuration_keys.as_deref().unwrap_or_default();
                    keys.is_empty() || keys.contains(&entry.name)
                };
                let entries = entries.into_iter().filter(wanted).map(|entry| detailed(call, &request, entry));
                result.with_configs(entries.collect())
            }
            // Kafka leaves the message empty, rather than null, for a topic that does not exist.
            Err(error @ ResponseError::UnknownTopicOrPartition) => result.with_error_code(error.code()),
            Err(error) => result.with_error_code(error.code()).with_error_message(Some(text("not described"))),
        }
    });
    DescribeConfigsResponse::default().with_throttle_time_ms(call.throttle_ms).with_results(results.collect())
}

fn describe(
    state: &State,
    call: &Call,
    asked: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, ResponseError> {
    if asked.resource_type == TOPIC {
        let name = asked.resource_name.as_str();
        call.refused_topic(name)?;
        if TopicName::problem(&TopicName::from(name)).is_some() {
            return Err(ResponseError::InvalidTopicException);
        }
        let topic = state.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let mut entries = vec![batch_bytes_max(topic.batch_bytes_max, state.settings.batch_bytes_max)];
        entries.extend(topic.configs.iter().map(|(name, value)| set_for_topic(name, value)));
        return Ok(entries);
    }
    call.refused()?;
    if asked.resource_name.is_empty() {
        // No setting was made for all brokers.
        return Ok(Vec::new());
    }
    if asked.resource_name.parse() != Ok(call.broker) {
        return Err(ResponseError::InvalidRequest);
    }
    let id = text(&call.broker.to_string());
    let synonym = DescribeConfigsSynonym::default().with_name(text("node.id")).with_value(Some(id.clone()));
    Ok(vec![
        DescribeConfigsResourceResult::default()
            .with_name(text("node.id"))
            .with_value(Some(id))
            .with_read_only(true)
            .with_config_source(STATIC)
            .with_config_type(INT)
            .with_synonyms(vec![synonym.with_source(STATIC)]),
    ])
}

/// An entry that was set for a topic. Its type follows from its name.
fn set_for_topic(name: &str, value: &str) -> DescribeConfigsResourceResult {
    let (name, value) = (text(name), Some(text(value)));
    let own = DescribeConfigsSynonym::default().with_name(name.clone()).with_value(value.clone());
    let kind = match &*name {
        "cleanup.policy" | "follower.replication.throttled.replicas" | "leader.replication.throttled.replicas" => LIST,
        "preallocate" | "unclean.leader.election.enable" | "remote.storage.enable" => BOOLEAN,
        "min.cleanable.dirty.ratio" => DOUBLE,
        "min.insync.replicas" | "segment.bytes" | "index.interval.bytes" => INT,
        name if matches!(name.rsplit('.').next(), Some("ms" | "bytes")) => LONG,
        _ => STRING,
    };
    DescribeConfigsResourceResult::default()
        .with_name(name)
        .with_value(value)
        .with_config_source(SET_FOR_TOPIC)
        .with_config_type(kind)
        .with_synonyms(vec![own.with_source(SET_FOR_TOPIC)])
}

/// A topic's largest batch, which a broker's setting decides unless it was set for the topic.
fn batch_bytes_max(bytes: usize, of_broker: usize) -> DescribeConfigsResourceResult {
    let name = text("max.message.bytes");
    let value = |bytes: usize| Some(text(&bytes.to_string()));
    let own = DescribeConfigsSynonym::default().with_name(name.clone()).with_value(value(bytes));
    let default = DescribeConfigsSynonym::default().with_name(text("message.max.bytes")).with_value(value(of_broker));
    let mut synonyms = vec![default.with_source(DEFAULT)];
    if bytes != of_broker {
        synonyms.insert(0, own.with_source(SET_FOR_TOPIC));
    }
    DescribeConfigsResourceResult::default()
        .with_name(name)
        .with_value(value(bytes))
        .with_config_source(synonyms[0].source)
        .with_config_type(INT)
        .with_synonyms(synonyms)
}

/// The entry with no more than was asked for and than the version has.
fn detailed(
    call: &Call,
    request: &DescribeConfigsRequest,
    mut entry: DescribeConfigsResourceResult,
) -> DescribeConfigsResourceResult {
    if !request.include_synonyms {
        entry.synonyms.clear();
    }
    if call.version < 3 {
        entry.config_type = 0;
    }
    let documented = request.include_documentation && call.version >= 3;
    entry.documentation = documented.then(|| text("documented by Kafka"));
    entry
}
