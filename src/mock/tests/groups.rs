//! Coordinators, committed offsets, producer ids.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::InitProducerIdRequest;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::TransactionalId;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use kafka_protocol::protocol::StrBytes;

use super::Rig;
use super::name;
use crate::mock::Cluster;

const GROUP: GroupId = GroupId(StrBytes::from_static_str("g"));

fn coordinator(rig: &mut Rig, version: i16) -> i32 {
    let ask = FindCoordinatorRequest::default();
    if version < 4 {
        return rig.ask(1, version, &ask.with_key(GROUP.0)).node_id.0;
    }
    let found = rig.ask(1, version, &ask.with_coordinator_keys(vec![GROUP.0]));
    assert_eq!(found.coordinators[0].key, GROUP.0);
    found.coordinators[0].node_id.0
}

fn commit(rig: &mut Rig, broker: i32, version: i16, partition: i32, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_partition_index(partition);
    let partition =
        partition.with_committed_offset(offset).with_committed_metadata(Some(StrBytes::from_static_str("m")));
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let ask = OffsetCommitRequest::default().with_group_id(GROUP).with_topics(vec![topic]);
    let ask = ask.with_generation_id_or_member_epoch(-1);
    rig.ask(broker, version, &ask).topics[0].partitions[0].error_code
}

#[test]
fn every_version_finds_the_same_coordinator() {
    let mut rig = Rig::new(Cluster::builder().brokers(3).topic("t", 1));
    let found: Vec<i32> = (0..=6).map(|version| coordinator(&mut rig, version)).collect();
    assert!(found.iter().all(|id| *id == found[0]), "{found:?}");
    rig.cluster.move_coordinator(0, "g", 3);
    assert_eq!(coordinator(&mut rig, 4), 3);
    rig.cluster.set_down(3);
    assert_ne!(coordinator(&mut rig, 4), 3);
}

#[test]
fn committed_offset_is_fetched_in_every_version() {
    let mut rig = Rig::new(Cluster::builder().brokers(2).topic("t", 3));
    let broker = coordinator(&mut rig, 3);
    for version in 2..=9 {
        assert_eq!(commit(&mut rig, broker, version, 1, i64::from(version) * 10), 0, "version {version}");
    }
    assert_eq!(rig.cluster.committed("g", "t", 1), Some(90));
    assert_eq!(commit(&mut rig, broker, 8, 7, 1), ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(commit(&mut rig, 3 - broker, 8, 1, 1), ResponseError::NotCoordinator.code());
    for version in 1..=7 {
        let topic = OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![1, 2]);
        let ask = OffsetFetchRequest::default().with_group_id(GROUP).with_topics(Some(vec![topic]));
        let found = rig.ask(broker, version, &ask);
        let offsets: Vec<i64> = found.topics[0].partitions.iter().map(|found| found.committed_offset).collect();
        assert_eq!(offsets, [90, -1], "version {version}");
    }
    for version in 8..=9 {
        let topic = OffsetFetchRequestTopics::default().with_name(name("t")).with_partition_indexes(vec![2, 1]);
        let group = OffsetFetchRequestGroup::default().with_group_id(GROUP);
        let some = rig.ask(broker, version, &fetch(group.clone().with_topics(Some(vec![topic]))));
        let offsets: Vec<i64> =
            some.groups[0].topics[0].partitions.iter().map(|found| found.committed_offset).collect();
        assert_eq!(offsets, [-1, 90], "version {version}");
        let all = rig.ask(broker, version, &fetch(group.with_topics(None)));
        assert_eq!(all.groups[0].topics[0].partitions.len(), 1);
    }
}

fn fetch(group: OffsetFetchRequestGroup) -> OffsetFetchRequest {
    OffsetFetchRequest::default().with_groups(vec![group])
}

#[test]
fn every_idempotent_producer_gets_an_id_of_its_own() {
    let mut rig = Rig::new(Cluster::builder());
    let mut ids: Vec<i64> = Vec::new();
    for version in 0..=5 {
        let given = rig.ask(1, version, &InitProducerIdRequest::default().with_transactional_id(None));
        assert_eq!((given.error_code, given.producer_epoch), (0, 0));
        ids.push(given.producer_id.0);
    }
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn a_transactional_id_is_fenced_by_its_next_user() {
    let mut rig = Rig::new(Cluster::builder());
    let ask = InitProducerIdRequest::default().with_transaction_timeout_ms(60_000);
    let ask = ask.with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("x"))));
    let first = rig.ask(1, 4, &ask);
    let second = rig.ask(1, 4, &ask);
    assert_eq!((second.producer_id, second.producer_epoch), (first.producer_id, 1));
    let stale = ask.clone().with_producer_id(first.producer_id).with_producer_epoch(0);
    assert_eq!(rig.ask(1, 4, &stale).error_code, ResponseError::ProducerFenced.code());
    let own = ask.clone().with_producer_id(second.producer_id).with_producer_epoch(1);
    assert_eq!(rig.ask(1, 4, &own).producer_epoch, 2);
    let half = rig.ask(1, 4, &ask.clone().with_producer_id(ProducerId(5)));
    assert_eq!(half.error_code, ResponseError::InvalidRequest.code(), "an id has an epoch");
    let other = ask.with_producer_id(ProducerId(5)).with_producer_epoch(0).with_transaction_timeout_ms(0);
    let other = rig.ask(1, 4, &other);
    assert_eq!(other.error_code, ResponseError::InvalidTransactionTimeout.code());
}

/// The bodies of version 10, which the message crate cannot write.
mod by_id {
    use bytes::BufMut;
    use bytes::Bytes;
    use bytes::BytesMut;
    use kafka_protocol::messages::OffsetCommitResponse;
    use kafka_protocol::messages::OffsetFetchResponse;
    use kafka_protocol::protocol::Decodable;

    use crate::mock::Cluster;
    use crate::mock::Outcome;
    use crate::mock::key;
    use crate::mock::tests::Rig;
    use crate::types::TopicId;

    fn head(api_key: i16) -> BytesMut {
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_i16(api_key);
        frame.put_i16(10);
        frame.put_i32(4_711);
        frame.put_i16(-1);
        frame.put_u8(0);
        frame
    }

    fn send(rig: &mut Rig, mut frame: BytesMut) -> Bytes {
        let size = u32::try_from(frame.len() - 4).expect("small");
        frame[..4].copy_from_slice(&size.to_be_bytes());
        let Outcome::Reply(reply) = rig.cluster.handle(rig.now, 0, 1, 1, frame.freeze()) else { panic!("no reply") };
        reply.slice(9..)
    }

    fn commit(id: TopicId, partition: i32, offset: i64) -> BytesMut {
        let mut frame = head(key::OFFSET_COMMIT);
        frame.put_slice(&[2, b'g']);
        frame.put_i32(-1);
        frame.put_slice(&[1, 0, 2]);
        frame.put_slice(&id.0);
        frame.put_u8(2);
        frame.put_i32(partition);
        frame.put_i64(offset);
        frame.put_i32(-1);
        frame.put_slice(&[3, b'm', b'd', 0, 0, 0]);
        frame
    }

    fn fetch(id: TopicId) -> BytesMut {
        let mut frame = head(key::OFFSET_FETCH);
        frame.put_slice(&[2, 2, b'g', 0]);
        frame.put_i32(-1);
        frame.put_u8(2);
        frame.put_slice(&id.0);
        frame.put_u8(2);
        frame.put_i32(0);
        frame.put_slice(&[0, 0, 0, 0]);
        frame
    }

    #[test]
    fn version_10_commits_and_fetches_by_id() {
        let mut rig = Rig::new(Cluster::builder().topic("t", 1));
        let id = rig.cluster.topic_id("t").expect("it was made");
        for (id, partition, expected) in [(id, 0, 0), (id, 7, 3), (TopicId([9; 16]), 0, 100)] {
            let mut reply = send(&mut rig, commit(id, partition, 42));
            let response = OffsetCommitResponse::decode(&mut reply, 10).expect("a response");
            assert_eq!((response.topics[0].partitions[0].error_code, reply.len()), (expected, 0));
            assert_eq!(response.topics[0].topic_id.into_bytes(), id.0);
        }
        assert_eq!(rig.cluster.committed("g", "t", 0), Some(42));
        for (id, expected) in [(id, (0, 42)), (TopicId([9; 16]), (100, -1))] {
            let mut reply = send(&mut rig, fetch(id));
            let response = OffsetFetchResponse::decode(&mut reply, 10).expect("a response");
            let topic = &response.groups[0].topics[0];
            assert_eq!((topic.partitions[0].error_code, topic.partitions[0].committed_offset), expected);
            assert_eq!(topic.topic_id.into_bytes(), id.0);
        }
    }

    #[test]
    fn a_count_beyond_the_frame_is_malformed() {
        let mut rig = Rig::new(Cluster::builder());
        let mut frame = head(key::OFFSET_FETCH);
        frame.put_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        let size = u32::try_from(frame.len() - 4).expect("small");
        frame[..4].copy_from_slice(&size.to_be_bytes());
        assert_eq!(rig.cluster.handle(rig.now, 0, 1, 1, frame.freeze()), Outcome::Close);
    }
}

#[test]
fn unknown_group_is_reported_when_configured() {
    for (version, whole) in [(1, false), (2, true), (7, true), (8, false), (9, false)] {
        let mut rig = Rig::new(Cluster::builder().brokers(2).topic("t", 2).unknown_groups());
        let broker = coordinator(&mut rig, 3);
        let group = OffsetFetchRequestGroup::default().with_group_id(GROUP);
        let topic = OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![0]);
        let ask = if version >= 8 {
            fetch(group)
        } else {
            OffsetFetchRequest::default().with_group_id(GROUP).with_topics(Some(vec![topic]))
        };
        let answer = rig.ask(broker, version, &ask);
        let code = match version {
            8.. => answer.groups[0].error_code,
            _ if whole => answer.error_code,
            _ => answer.topics[0].partitions[0].error_code,
        };
        assert_eq!(code, 69, "version {version}");
        assert_eq!(commit(&mut rig, broker, 8, 0, 5), 0);
        assert_ne!(rig.ask(broker, version, &ask), answer, "version {version}: it is known once it has committed");
    }
}
