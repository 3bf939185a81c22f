//! Messages: each row of an API in the table decodes and encodes to the same bytes, by our own code where it keeps every field,
//! otherwise through the crate. The fields that are kept equal Java's JSON.

use std::collections::BTreeSet;

use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::RequestKind;
use kafka_protocol::messages::ResponseKind;
use ottla::error::Code;
use ottla::internals::wire::Api;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::buf::Chunks;
use ottla::internals::wire::message as m;
use ottla::types::LeaderEpoch;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::control;
use super::hex;
use super::rows;
use super::unhex;

#[test]
fn golden_messages_survive_decoding_and_encoding() {
    let mut seen = BTreeSet::new();
    for row in rows("#api_key\tapi\tkind\tversion\tmode\tbody_hex\tjson") {
        let [name, kind, version] = [1, 2, 3].map(|column| row[column].as_str());
        let version: i16 = version.parse().expect("a version");
        let spoken = |api: &Api| (api.versions().0..=api.versions().1).contains(&version);
        let Some(api) = Api::ALL.into_iter().find(|api| api.name() == name).filter(spoken) else { continue };
        let body = Bytes::from(unhex(&row[5]));
        let expected: Value = serde_json::from_str(&row[6]).expect("JSON");
        let again = by_hand(name, kind, version, &body, &expected)
            .or_else(|| declared(api, kind, version, &body))
            .unwrap_or_else(|| through_crate(api, kind, version, &body));
        if kind == "response" {
            control::understood(name, version, &body, &expected);
        }
        assert_eq!(hex(&again), row[5], "{name} {kind} version {version} {}", row[4]);
        seen.insert((kind.to_owned(), api.key()));
    }
    for api in Api::ALL {
        for kind in ["request", "response"] {
            assert!(seen.contains(&(kind.to_owned(), api.key())), "there is no row of a {kind} of {api:?}");
        }
    }
}

/// Requests with a field that this client never sets: the replica that asks.
const SKIPPING: [Api; 2] = [Api::ListOffsets, Api::OffsetForLeaderEpoch];

/// The encoding of a decoded message, if the message keeps every field.
fn declared(api: Api, kind: &str, version: i16, body: &Bytes) -> Option<Bytes> {
    let mut out = Chunks::default();
    if kind == "request" {
        let request = Request::decode(api, version, body.clone())?.expect("a body that Java wrote");
        request.put(version, &mut out).expect("a version that is spoken");
        if SKIPPING.contains(&api) {
            let again = Request::decode(api, version, out.into_bytes());
            assert_eq!(again.expect("it is read").expect("it was just written"), request, "version {version}");
            return None;
        }
    } else if Response::is_exact(api) || !crate_knows(api, version) {
        let response = Response::read(api, version, body.clone()).expect("a body that Java wrote");
        response.put(version, &mut out);
    } else {
        return None;
    }
    Some(out.into_bytes())
}

macro_rules! hand_coded {
    ($type:ty, $version:expr, $body:expr, $expected:expr, $json:expr) => {{
        let decoded = <$type>::decode($version, $body.clone()).expect("a body that Java wrote");
        let mut ours = $json(&decoded, $version);
        let mut theirs = $expected.clone();
        // Other rows compare the records of batches.
        for value in [&mut ours, &mut theirs] {
            normalise(value);
        }
        assert_eq!(ours, theirs, "{} version {}", stringify!($type), $version);
        let mut out = Chunks::default();
        decoded.encode($version, &mut out);
        Some(out.into_bytes())
    }};
}

fn by_hand(api: &str, kind: &str, version: i16, body: &Bytes, expected: &Value) -> Option<Bytes> {
    match (api, kind) {
        ("Produce", "request") => hand_coded!(m::ProduceRequest, version, body, expected, produce_request),
        ("Produce", "response") => hand_coded!(m::ProduceResponse, version, body, expected, produce_response),
        ("Fetch", "request") => hand_coded!(m::FetchRequest, version, body, expected, fetch_request),
        ("Fetch", "response") => hand_coded!(m::FetchResponse, version, body, expected, fetch_response),
        ("OffsetCommit", "request") => hand_coded!(m::OffsetCommitRequest, version, body, expected, commit_request),
        ("OffsetCommit", "response") => hand_coded!(m::OffsetCommitResponse, version, body, expected, commit_response),
        ("OffsetFetch", "request") => hand_coded!(m::OffsetFetchRequest, version, body, expected, offset_fetch_request),
        ("OffsetFetch", "response") => {
            hand_coded!(m::OffsetFetchResponse, version, body, expected, offset_fetch_response)
        }
        _ => None,
    }
}

/// Removes fields that Kafka's JSON omits if they have their defaults, on both sides.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            const TAGGED: [&str; 7] = [
                "clusterId",
                "replicaState",
                "divergingEpoch",
                "currentLeader",
                "snapshotId",
                "nodeEndpoints",
                "highWatermarkTag",
            ];
            fields.retain(|name, value| {
                normalise(value);
                !(TAGGED.contains(&name.as_str()) && (value.is_null() || value.as_array().is_some_and(Vec::is_empty)))
            });
        }
        Value::Array(elements) => elements.iter_mut().for_each(normalise),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

pub(super) fn code(error: Option<Code>) -> Value {
    json!(error.map_or(0, Code::to_wire))
}

pub(super) fn epoch(epoch: Option<LeaderEpoch>) -> Value {
    json!(LeaderEpoch::to_wire(epoch))
}

/// Puts a topic's name or id first, as the version requires.
fn topic(by_id: bool, key: &str, name: &str, id: ottla::types::TopicId, rest: Value) -> Value {
    let mut fields = Map::new();
    if by_id {
        fields.insert("topicId".into(), json!(id.to_string()));
    } else {
        fields.insert(key.into(), json!(name));
    }
    let Value::Object(rest) = rest else { panic!("fields") };
    fields.extend(rest);
    Value::Object(fields)
}

/// Keeps the fields whose condition holds.
pub(super) fn object(fields: Vec<(&str, bool, Value)>) -> Value {
    let kept = fields.into_iter().filter(|(_, there, _)| *there).map(|(name, _, value)| (name.to_owned(), value));
    Value::Object(kept.collect())
}

fn produce_request(request: &m::ProduceRequest, version: i16) -> Value {
    let topics: Vec<Value> = request
        .topics
        .iter()
        .map(|t| {
            let partitions: Vec<Value> = t
                .partitions
                .iter()
                .map(|p| json!({ "index": p.index, "records": p.records.as_ref().map(|records| hex(&records.body)) }))
                .collect();
            topic(version >= 13, "name", &t.name, t.id, json!({ "partitionData": partitions }))
        })
        .collect();
    json!({
        "transactionalId": request.transactional_id, "acks": request.acks, "timeoutMs": request.timeout_ms,
        "topicData": topics,
    })
}

fn leader(leader: Option<m::Leader>) -> Value {
    leader.map_or(Value::Null, |leader| json!({ "leaderId": leader.id, "leaderEpoch": leader.epoch }))
}

fn nodes(nodes: &[m::Node]) -> Value {
    nodes
        .iter()
        .map(|node| json!({ "nodeId": node.id, "host": node.host, "port": node.port, "rack": node.rack }))
        .collect()
}

fn produce_response(response: &m::ProduceResponse, version: i16) -> Value {
    let partition = |p: &m::ProducedPartition| {
        let errors: Vec<Value> = p
            .record_errors
            .iter()
            .map(|(index, message)| json!({ "batchIndex": index, "batchIndexErrorMessage": message }))
            .collect();
        object(vec![
            ("index", true, json!(p.index)),
            ("errorCode", true, code(p.error)),
            ("baseOffset", true, json!(p.base_offset)),
            ("logAppendTimeMs", true, json!(p.log_append_time)),
            ("logStartOffset", version >= 5, json!(p.log_start_offset)),
            ("recordErrors", version >= 8, json!(errors)),
            ("errorMessage", version >= 8, json!(p.error_message)),
            ("currentLeader", version >= 10, leader(p.current_leader)),
        ])
    };
    let topics: Vec<Value> = response
        .topics
        .iter()
        .map(|t| {
            let partitions: Vec<Value> = t.partitions.iter().map(partition).collect();
            topic(version >= 13, "name", &t.name, t.id, json!({ "partitionResponses": partitions }))
        })
        .collect();
    json!({ "responses": topics, "throttleTimeMs": response.throttle_time_ms, "nodeEndpoints": nodes(&response.nodes) })
}

fn fetch_request(request: &m::FetchRequest, version: i16) -> Value {
    let partition = |p: &m::FetchPartition| {
        object(vec![
            ("partition", true, json!(p.index)),
            ("currentLeaderEpoch", version >= 9, epoch(p.current_leader_epoch)),
            ("fetchOffset", true, json!(p.fetch_offset)),
            ("lastFetchedEpoch", version >= 12, epoch(p.last_fetched_epoch)),
            ("logStartOffset", version >= 5, json!(p.log_start_offset)),
            ("partitionMaxBytes", true, json!(p.partition_max_bytes)),
            ("replicaDirectoryId", version >= 17 && !p.directory.is_zero(), json!(p.directory.to_string())),
            ("highWatermark", version >= 18 && p.high_watermark.is_some(), json!(p.high_watermark)),
        ])
    };
    let by_id = version >= 13;
    let topics: Vec<Value> = request
        .topics
        .iter()
        .map(|t| {
            let partitions: Vec<Value> = t.partitions.iter().map(partition).collect();
            topic(by_id, "topic", &t.name, t.id, json!({ "partitions": partitions }))
        })
        .collect();
    let forgotten: Vec<Value> = request
        .forgotten
        .iter()
        .map(|t| topic(by_id, "topic", &t.name, t.id, json!({ "partitions": t.partitions })))
        .collect();
    let state = json!({ "replicaId": request.replica.id, "replicaEpoch": request.replica.epoch });
    object(vec![
        ("clusterId", version >= 12, json!(request.cluster_id)),
        ("replicaId", version < 15, json!(request.replica.id)),
        ("replicaState", version >= 15 && request.replica != m::Replica::default(), state),
        ("maxWaitMs", true, json!(request.max_wait_ms)),
        ("minBytes", true, json!(request.min_bytes)),
        ("maxBytes", true, json!(request.max_bytes)),
        ("isolationLevel", true, json!(request.isolation)),
        ("sessionId", version >= 7, json!(request.session_id)),
        ("sessionEpoch", version >= 7, json!(request.session_epoch)),
        ("topics", true, json!(topics)),
        ("forgottenTopicsData", version >= 7, json!(forgotten)),
        ("rackId", version >= 11, json!(request.rack)),
    ])
}

fn fetch_response(response: &m::FetchResponse, version: i16) -> Value {
    let partition = |p: &m::FetchedPartition| {
        let aborted = p.aborted.as_ref().map(|aborted| -> Vec<Value> {
            aborted.iter().map(|(id, first)| json!({ "producerId": id, "firstOffset": first })).collect()
        });
        object(vec![
            ("partitionIndex", true, json!(p.index)),
            ("errorCode", true, code(p.error)),
            ("highWatermark", true, json!(p.high_watermark)),
            ("lastStableOffset", true, json!(p.last_stable_offset)),
            ("logStartOffset", version >= 5, json!(p.log_start_offset)),
            (
                "divergingEpoch",
                true,
                json!(p.diverging.map(|(epoch, end)| json!({ "epoch": epoch, "endOffset": end }))),
            ),
            ("currentLeader", true, leader(p.current_leader)),
            ("snapshotId", true, json!(p.snapshot.map(|(end, epoch)| json!({ "endOffset": end, "epoch": epoch })))),
            ("abortedTransactions", true, json!(aborted)),
            ("preferredReadReplica", version >= 11, json!(p.preferred_read_replica)),
            ("records", true, json!(p.records.as_ref().map(|records| hex(records)))),
        ])
    };
    let topics: Vec<Value> = response
        .topics
        .iter()
        .map(|t| {
            let partitions: Vec<Value> = t.partitions.iter().map(partition).collect();
            topic(version >= 13, "topic", &t.name, t.id, json!({ "partitions": partitions }))
        })
        .collect();
    object(vec![
        ("throttleTimeMs", true, json!(response.throttle_time_ms)),
        ("errorCode", version >= 7, code(response.error)),
        ("sessionId", version >= 7, json!(response.session_id)),
        ("responses", true, json!(topics)),
        ("nodeEndpoints", version >= 16, nodes(&response.nodes)),
    ])
}

fn commit_request(request: &m::OffsetCommitRequest, version: i16) -> Value {
    let partition = |p: &m::CommitPartition| {
        object(vec![
            ("partitionIndex", true, json!(p.index)),
            ("committedOffset", true, json!(p.offset)),
            ("committedLeaderEpoch", version >= 6, epoch(p.leader_epoch)),
            ("committedMetadata", true, json!(p.metadata)),
        ])
    };
    let topics: Vec<Value> = request
        .topics
        .iter()
        .map(|t| {
            let partitions: Vec<Value> = t.partitions.iter().map(partition).collect();
            topic(version >= 10, "name", &t.name, t.id, json!({ "partitions": partitions }))
        })
        .collect();
    object(vec![
        ("groupId", true, json!(request.group)),
        ("generationIdOrMemberEpoch", true, json!(request.generation_or_epoch)),
        ("memberId", true, json!(request.member)),
        ("groupInstanceId", version >= 7, json!(request.instance)),
        ("retentionTimeMs", version <= 4, json!(request.retention_ms)),
        ("topics", true, json!(topics)),
    ])
}

fn commit_response(response: &m::OffsetCommitResponse, version: i16) -> Value {
    let topics: Vec<Value> = response
        .topics
        .iter()
        .map(|t| {
            let partitions: Vec<Value> = t
                .partitions
                .iter()
                .map(|(index, error)| json!({ "partitionIndex": index, "errorCode": code(*error) }))
                .collect();
            topic(version >= 10, "name", &t.name, t.id, json!({ "partitions": partitions }))
        })
        .collect();
    object(vec![("throttleTimeMs", version >= 3, json!(response.throttle_time_ms)), ("topics", true, json!(topics))])
}

fn offset_fetch_request(request: &m::OffsetFetchRequest, version: i16) -> Value {
    let topics = |group: &m::OffsetFetchGroup| {
        let topics = group.topics.as_ref().map(|topics| -> Vec<Value> {
            topics
                .iter()
                .map(|t| topic(version >= 10, "name", &t.name, t.id, json!({ "partitionIndexes": t.partitions })))
                .collect()
        });
        json!(topics)
    };
    if version < 8 {
        let group = &request.groups[0];
        return object(vec![
            ("groupId", true, json!(group.group)),
            ("topics", true, topics(group)),
            ("requireStable", version >= 7, json!(request.require_stable)),
        ]);
    }
    let groups: Vec<Value> = request
        .groups
        .iter()
        .map(|group| {
            object(vec![
                ("groupId", true, json!(group.group)),
                ("memberId", version >= 9, json!(group.member)),
                ("memberEpoch", version >= 9, json!(group.member_epoch)),
                ("topics", true, topics(group)),
            ])
        })
        .collect();
    json!({ "groups": groups, "requireStable": request.require_stable })
}

fn offset_fetch_response(response: &m::OffsetFetchResponse, version: i16) -> Value {
    let topics = |group: &m::FetchedGroup| -> Value {
        let partition = |p: &m::FetchedOffset| {
            object(vec![
                ("partitionIndex", true, json!(p.index)),
                ("committedOffset", true, json!(p.offset)),
                ("committedLeaderEpoch", version >= 5, epoch(p.leader_epoch)),
                ("metadata", true, json!(p.metadata)),
                ("errorCode", true, code(p.error)),
            ])
        };
        group
            .topics
            .iter()
            .map(|t| {
                let partitions: Vec<Value> = t.partitions.iter().map(partition).collect();
                topic(version >= 10, "name", &t.name, t.id, json!({ "partitions": partitions }))
            })
            .collect()
    };
    if version < 8 {
        let group = &response.groups[0];
        return object(vec![
            ("throttleTimeMs", version >= 3, json!(response.throttle_time_ms)),
            ("topics", true, topics(group)),
            ("errorCode", version >= 2, code(group.error)),
        ]);
    }
    let groups: Vec<Value> = response
        .groups
        .iter()
        .map(|group| json!({ "groupId": group.group, "topics": topics(group), "errorCode": code(group.error) }))
        .collect();
    json!({ "throttleTimeMs": response.throttle_time_ms, "groups": groups })
}

fn crate_knows(api: Api, version: i16) -> bool {
    ApiKey::try_from(api.key()).is_ok_and(|key| version <= key.valid_versions().max)
}

/// The encoding of a message that the crate decoded.
fn through_crate(api: Api, kind: &str, version: i16, body: &Bytes) -> Bytes {
    let key = ApiKey::try_from(api.key()).expect("an API that the crate knows");
    let (mut body, mut out) = (body.clone(), BytesMut::new());
    if kind == "request" {
        let request = RequestKind::decode(key, &mut body, version).expect("a body that Java wrote");
        request.encode(&mut out, version).expect("what was decoded");
    } else {
        let response = ResponseKind::decode(key, &mut body, version).expect("a body that Java wrote");
        response.encode(&mut out, version).expect("what was decoded");
    }
    out.freeze()
}
