//! Responses of which this client skips fields: each field that it keeps equals Java's JSON.

use bytes::Bytes;
use ottla::internals::wire::Api;
use ottla::internals::wire::Response;
use ottla::internals::wire::message as m;
use serde_json::Value;
use serde_json::json;

use super::messages::code;
use super::messages::epoch;
use super::messages::object;

/// Decodes a response as a connection does, and compares the fields that are kept.
pub(super) fn understood(name: &str, version: i16, body: &Bytes, expected: &Value) {
    let Some(api) = Api::ALL.into_iter().find(|api| format!("{api:?}") == name) else { return };
    let header: &[u8] = if api.flexible_response(version) { &[0; 5] } else { &[0; 4] };
    let response = Response::decode(api, version, [header, body].concat().into()).expect("a response that Java wrote");
    let Some(ours) = kept(&response, version) else { return };
    assert!(agrees(&ours, expected), "{name} version {version}: {ours} is not what is in {expected}");
}

/// Whether `theirs` has every field of `ours`. It may have more.
fn agrees(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            // Java's JSON omits tagged fields with their defaults.
            let default = json!([]);
            ours.iter().all(|(name, value)| agrees(value, theirs.get(name).unwrap_or(&default)))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            // A topic without partitions is left out where its partitions are its only content.
            let bare = |value: &&Value| {
                value.get("partitions").is_none_or(|all| all.as_array().is_none_or(|all| !all.is_empty()))
            };
            let strict = ours.len() == theirs.len();
            let theirs: Vec<&Value> = theirs.iter().filter(|value| strict || bare(value)).collect();
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| agrees(ours, theirs))
        }
        (ours, theirs) => ours == theirs,
    }
}

fn kept(response: &Response, version: i16) -> Option<Value> {
    Some(match response {
        Response::ApiVersions(response) => api_versions(response, version),
        Response::CreateTopics(response) => {
            json!({ "throttleTimeMs": response.throttle_time_ms, "topics": outcomes(&response.topics, true) })
        }
        Response::DeleteTopics(response) => {
            json!({ "throttleTimeMs": response.throttle_time_ms, "responses": deleted(&response.topics, version) })
        }
        Response::FindCoordinator(response) => find_coordinator(response, version),
        Response::InitProducerId(response) => {
            let identity = response.identity.map_or((-1, -1), |identity| (identity.id, identity.epoch));
            object(vec![
                ("throttleTimeMs", true, json!(response.throttle_time_ms)),
                ("errorCode", true, code(response.error)),
                ("producerId", response.identity.is_some(), json!(identity.0)),
                ("producerEpoch", response.identity.is_some(), json!(identity.1)),
            ])
        }
        Response::ListOffsets(response) => list_offsets(response, version),
        Response::Metadata(response) => metadata(response, version),
        Response::OffsetForLeaderEpoch(response) => epoch_ends(response),
        // All other responses are compared byte by byte.
        _ => return None,
    })
}

fn api_versions(response: &m::ApiVersionsResponse, version: i16) -> Value {
    let api = |api: &(i16, i16, i16)| json!({ "apiKey": api.0, "minVersion": api.1, "maxVersion": api.2 });
    let supported = |feature: &m::SupportedFeature| json!({ "name": feature.name, "minVersion": feature.level_min, "maxVersion": feature.level_max });
    let finalized = |feature: &m::Feature| json!({ "name": feature.name, "maxVersionLevel": feature.level, "minVersionLevel": feature.level_min });
    object(vec![
        ("errorCode", true, code(response.error)),
        ("apiKeys", true, response.apis.iter().map(api).collect()),
        ("throttleTimeMs", version >= 1, json!(response.throttle_time_ms)),
        ("supportedFeatures", version >= 3, response.supported_features.iter().map(supported).collect()),
        ("finalizedFeaturesEpoch", version >= 3 && response.features_epoch >= 0, json!(response.features_epoch)),
        ("finalizedFeatures", version >= 3, response.finalized_features.iter().map(finalized).collect()),
    ])
}

fn outcomes(topics: &[m::TopicOutcome], messages: bool) -> Value {
    let outcome = |topic: &m::TopicOutcome| {
        object(vec![
            // The name is null if the request identified the topic by its id.
            ("name", !topic.name.is_empty(), json!(topic.name)),
            ("errorCode", true, code(topic.error)),
            ("errorMessage", messages && topic.message.is_some(), json!(topic.message)),
        ])
    };
    topics.iter().map(outcome).collect()
}

fn deleted(topics: &[m::DeletedTopic], version: i16) -> Value {
    let outcome = |topic: &m::DeletedTopic| {
        object(vec![
            // The name is null if the request identified the topic by its id.
            ("name", !topic.name.is_empty(), json!(topic.name)),
            ("errorCode", true, code(topic.error)),
            ("errorMessage", version >= 5, json!(topic.message())),
        ])
    };
    topics.iter().map(outcome).collect()
}

fn nodes(id: &str, nodes: &[m::Node], racks: bool) -> Value {
    let node = |node: &m::Node| {
        object(vec![
            (id, true, json!(node.id)),
            ("host", true, json!(node.host)),
            ("port", true, json!(node.port)),
            ("rack", racks, json!(node.rack)),
        ])
    };
    nodes.iter().map(node).collect()
}

fn find_coordinator(response: &m::FindCoordinatorResponse, version: i16) -> Value {
    let one = |found: &m::Coordinator| {
        object(vec![
            ("key", version >= 4, json!(found.key)),
            ("errorCode", true, code(found.error)),
            ("errorMessage", version >= 1, json!(found.error_message)),
            ("nodeId", true, json!(found.id)),
            ("host", true, json!(found.host)),
            ("port", true, json!(found.port)),
        ])
    };
    if version < 4 {
        return one(&response.coordinators[0]);
    }
    let coordinators: Vec<Value> = response.coordinators.iter().map(one).collect();
    json!({ "throttleTimeMs": response.throttle_time_ms, "coordinators": coordinators })
}

fn list_offsets(response: &m::ListOffsetsResponse, version: i16) -> Value {
    let partition = |partition: &m::ListedPartition| {
        object(vec![
            ("partitionIndex", true, json!(partition.index)),
            ("errorCode", true, code(partition.error)),
            ("timestamp", true, json!(partition.timestamp)),
            ("offset", true, json!(partition.offset)),
            ("leaderEpoch", version >= 4, epoch(partition.leader_epoch)),
        ])
    };
    let topic = |topic: &m::ListedTopic| {
        let partitions: Vec<Value> = topic.partitions.iter().map(partition).collect();
        json!({ "name": &*topic.name, "partitions": partitions })
    };
    object(vec![
        ("throttleTimeMs", version >= 2, json!(response.throttle_time_ms)),
        ("topics", true, response.topics.iter().map(topic).collect()),
    ])
}

fn metadata(response: &m::MetadataResponse, version: i16) -> Value {
    let partition = |partition: &m::MetadataPartition| {
        object(vec![
            ("errorCode", true, code(partition.error)),
            ("partitionIndex", true, json!(partition.index)),
            ("leaderId", true, json!(partition.leader)),
            ("leaderEpoch", version >= 7, epoch(partition.leader_epoch)),
            ("replicaNodes", true, json!(partition.replicas)),
            ("isrNodes", true, json!(partition.isr)),
            ("offlineReplicas", version >= 5, json!(partition.offline)),
        ])
    };
    let topic = |topic: &m::MetadataTopic| {
        let partitions: Vec<Value> = topic.partitions.iter().map(partition).collect();
        object(vec![
            ("errorCode", true, code(topic.error)),
            ("name", !topic.name.is_empty(), json!(topic.name)),
            ("topicId", version >= 10, json!(topic.id.to_string())),
            ("isInternal", version >= 1, json!(topic.internal)),
            ("partitions", true, json!(partitions)),
        ])
    };
    object(vec![
        ("throttleTimeMs", version >= 3, json!(response.throttle_time_ms)),
        ("brokers", true, nodes("nodeId", &response.brokers, version >= 1)),
        ("clusterId", version >= 2, json!(response.cluster_id)),
        ("controllerId", version >= 1, json!(response.controller)),
        ("topics", true, response.topics.iter().map(topic).collect()),
        ("errorCode", version >= 13, code(response.error)),
    ])
}

fn epoch_ends(response: &m::OffsetForLeaderEpochResponse) -> Value {
    let end = |end: &m::EpochEnd| {
        json!({
            "errorCode": code(end.error), "partition": end.index, "leaderEpoch": epoch(end.leader_epoch),
            "endOffset": end.end_offset,
        })
    };
    let topic = |topic: &m::EpochEndTopic| {
        let partitions: Vec<Value> = topic.partitions.iter().map(end).collect();
        json!({ "topic": &*topic.name, "partitions": partitions })
    };
    json!({
        "throttleTimeMs": response.throttle_time_ms, "topics": response.topics.iter().map(topic).collect::<Vec<_>>(),
    })
}
