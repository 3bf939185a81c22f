//! FindCoordinator, OffsetCommit and OffsetFetch, by names and by ids.

use bytes::BufMut;
use bytes::BytesMut;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::OffsetCommitResponse;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::OffsetFetchResponse;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::flag;
use super::make;
use super::name;
use super::peer::Peer;
use super::text;
use super::versions;
use super::wording;

/// Waits until the group's coordinator takes commits.
pub(super) fn settle(peer: &mut Peer, group: &str, topic: &str) {
    let find = FindCoordinatorRequest::default().with_key(text(group));
    while peer.send(3, &find).expect("a response").error_code != 0 {
        std::thread::yield_now();
    }
    while commit(peer, 8, group, topic, 3, 1, "").expect("a response").topics[0].partitions[0].error_code != 0 {
        std::thread::yield_now();
    }
}

fn commit(
    peer: &mut Peer,
    version: i16,
    group: &str,
    topic: &str,
    partition: i32,
    offset: i64,
    metadata: &str,
) -> Result<OffsetCommitResponse, &'static str> {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text(metadata)));
    let partition = if version >= 6 { partition.with_committed_leader_epoch(0) } else { partition };
    let topic = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic]);
    peer.send(version, &request)
}

fn fetch(
    peer: &mut Peer,
    version: i16,
    group: &str,
    topics: Option<Vec<(&str, Vec<i32>)>>,
) -> Result<OffsetFetchResponse, &'static str> {
    let group = GroupId(text(group));
    let request = if version >= 8 {
        let topic = |(topic, partitions)| {
            OffsetFetchRequestTopics::default().with_name(name(topic)).with_partition_indexes(partitions)
        };
        let topics = topics.map(|topics| topics.into_iter().map(topic).collect());
        let group = OffsetFetchRequestGroup::default().with_group_id(group).with_topics(topics);
        OffsetFetchRequest::default().with_groups(vec![group])
    } else {
        let topic = |(topic, partitions)| {
            OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(partitions)
        };
        let topics = topics.map(|topics| topics.into_iter().map(topic).collect());
        OffsetFetchRequest::default().with_group_id(group).with_topics(topics)
    };
    peer.send(version, &request)
}

fn record_commit(peer: &mut Peer, step: String, response: Result<OffsetCommitResponse, &'static str>) {
    let tidied = response.map(|mut response| {
        response.throttle_time_ms = 0;
        response.topics.iter_mut().for_each(|topic| flag(&mut topic.topic_id));
        response
    });
    peer.record(step, tidied);
}

fn record_fetch(peer: &mut Peer, step: String, response: Result<OffsetFetchResponse, &'static str>) {
    let tidied = response.map(|mut response| {
        response.throttle_time_ms = 0;
        let topics = response.groups.iter_mut().flat_map(|group| &mut group.topics);
        topics.for_each(|topic| {
            flag(&mut topic.topic_id);
            // The offsets of a group have no order.
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        });
        response
            .topics
            .iter_mut()
            .for_each(|topic| topic.partitions.sort_by_key(|partition| partition.partition_index));
        response
    });
    peer.record(step, tidied);
}

#[test]
fn commits_by_name_are_stored_and_returned_as_by_kafka() {
    let (topic, group) = (rig::fresh("conf-commit"), rig::fresh("conf-group"));
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 4);
        settle(peer, &group, &topic);
        let long = "m".repeat(4_097);
        for version in versions(key::OFFSET_COMMIT).filter(|version| *version <= 9) {
            let steps = [
                ("taken", &*topic, 0, 42 + i64::from(version), "note"),
                ("without metadata", &*topic, 1, 7, ""),
                ("long metadata", &*topic, 1, 8, &*long),
                ("a negative offset", &*topic, 2, -1, ""),
                ("an unknown partition", &*topic, 99, 7, ""),
                ("an unknown topic", "conf-none", 0, 7, ""),
            ];
            for (what, topic, partition, offset, metadata) in steps {
                let response = commit(peer, version, &group, topic, partition, offset, metadata);
                record_commit(peer, format!("commit: {what}: version {version}"), response);
            }
            let member = OffsetCommitRequestTopic::default().with_name(name(&topic));
            let partition = OffsetCommitRequestPartition::default().with_committed_offset(3);
            let request = OffsetCommitRequest::default()
                .with_group_id(GroupId(text(&group)))
                .with_topics(vec![member.with_partitions(vec![partition])]);
            for (what, request) in [
                (
                    "an unknown member",
                    request.clone().with_member_id(text("somebody")).with_generation_id_or_member_epoch(1),
                ),
                ("a generation without a member", request.clone().with_generation_id_or_member_epoch(5)),
            ] {
                let response = peer.send(version, &request);
                record_commit(peer, format!("commit: {what}: version {version}"), response);
            }
        }
        for version in versions(key::OFFSET_FETCH).filter(|version| *version <= 9) {
            let mut requests = vec![
                ("some", &*group, Some(vec![(&*topic, vec![0, 1, 2, 3])])),
                ("what is not there", &*group, Some(vec![(&*topic, vec![99]), ("conf-none", vec![0])])),
                ("of an unknown group", "conf-nobody", Some(vec![(&*topic, vec![0])])),
                ("no topic", &*group, Some(Vec::new())),
            ];
            if version >= 2 {
                requests.push(("all", &*group, None));
                requests.push(("all of an unknown group", "conf-nobody", None));
            }
            for (what, group, topics) in requests {
                let response = fetch(peer, version, group, topics);
                record_fetch(peer, format!("offset fetch: {what}: version {version}"), response);
            }
        }
    });
}

/// A body of OffsetCommit 10, which the message crate cannot write.
fn commit_by_id(group: &str, id: &[u8], partition: i32, offset: i64) -> BytesMut {
    let mut body = BytesMut::new();
    put_text(&mut body, group);
    body.put_i32(-1);
    body.put_slice(&[1, 0, 2]);
    body.put_slice(id);
    body.put_u8(2);
    body.put_i32(partition);
    body.put_i64(offset);
    body.put_i32(0);
    body.put_slice(&[2, b'm', 0, 0, 0]);
    body
}

/// A body of OffsetFetch 10. No id requests all offsets.
fn fetch_by_id(group: &str, id: Option<&[u8]>) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u8(2);
    put_text(&mut body, group);
    body.put_u8(0);
    body.put_i32(-1);
    match id {
        None => body.put_u8(0),
        Some(id) => {
            body.put_u8(2);
            body.put_slice(id);
            body.put_u8(3);
            body.put_i32(0);
            body.put_i32(1);
            body.put_u8(0);
        }
    }
    body.put_slice(&[0, 0, 0]);
    body
}

fn put_text(body: &mut BytesMut, text: &str) {
    body.put_u8(u8::try_from(text.len() + 1).expect("short"));
    body.put_slice(text.as_bytes());
}

#[test]
fn commits_by_id_are_stored_and_returned_as_by_kafka() {
    let (topic, group) = (rig::fresh("conf-ids"), rig::fresh("conf-group"));
    compare(|peer| {
        let id: Vec<u8> = make(peer, &topic, 4);
        settle(peer, &group, &topic);
        let unknown = vec![9; 16];
        for (what, id, partition) in [
            ("taken", &id, 0),
            ("an unknown partition", &id, 99),
            ("an unknown topic", &unknown, 0),
            ("no topic", &vec![0; 16], 0),
        ] {
            let body = commit_by_id(&group, id, partition, 42);
            let response = peer.send_raw_with::<OffsetCommitResponse>(key::OFFSET_COMMIT, 10, 2, 10, &body);
            record_commit(peer, format!("commit by id: {what}"), response);
        }
        for (what, group, id) in [
            ("some", &*group, Some(&id)),
            ("an unknown topic", &*group, Some(&unknown)),
            ("an unknown group", "conf-nobody", Some(&id)),
            ("all", &*group, None),
        ] {
            let body = fetch_by_id(group, id.map(|id| &id[..]));
            let response = peer.send_raw_with::<OffsetFetchResponse>(key::OFFSET_FETCH, 10, 2, 10, &body);
            record_fetch(peer, format!("offset fetch by id: {what}"), response);
        }
    });
}

#[test]
fn coordinators_are_found_as_by_kafka() {
    let group = rig::fresh("conf-find");
    compare(|peer| {
        let warm = FindCoordinatorRequest::default().with_key(text(&group));
        for key_type in [0, 1] {
            while peer.send(3, &warm.clone().with_key_type(key_type)).expect("a response").error_code != 0 {
                std::thread::yield_now();
            }
        }
        for version in versions(key::FIND_COORDINATOR) {
            for key_type in if version >= 1 { vec![0, 1, 7] } else { vec![0] } {
                for key in [&*group, ""] {
                    let request = FindCoordinatorRequest::default().with_key_type(key_type);
                    let request = match version {
                        ..4 => request.with_key(text(key)),
                        4.. => request.with_coordinator_keys(vec![text(key), text("another")]),
                    };
                    let response = peer.send(version, &request).map(|mut response| {
                        response.throttle_time_ms = 0;
                        response.port = i32::from(response.port > 0);
                        response.host = text("");
                        wording(&mut response.error_message);
                        for found in &mut response.coordinators {
                            found.port = i32::from(found.port > 0);
                            found.host = text("");
                            wording(&mut found.error_message);
                        }
                        response
                    });
                    let empty = key.is_empty();
                    let what = format!("type {key_type}, an empty key: {empty}");
                    peer.record(format!("find coordinator: {what}: version {version}"), response);
                }
            }
        }
    });
}
