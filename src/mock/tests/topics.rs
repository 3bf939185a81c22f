//! Versions, metadata, topics made and deleted, brokers that come and go, frames that are noise.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::StrBytes;

use super::Rig;
use super::name;
use crate::error::Code;
use crate::mock::Cluster;
use crate::mock::Fault;
use crate::mock::Outcome;
use crate::mock::state::wire_id;

fn ask_for(topic: &'static str) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
    MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true)
}

#[test]
fn supported_versions_are_listed_in_every_version() {
    let mut rig = Rig::new(Cluster::builder().versions(0, 3, 9).versions(60, 1, 0));
    for version in 0..=4 {
        let response = rig.ask(1, version, &ApiVersionsRequest::default());
        let range = |key| {
            let found = response.api_keys.iter().find(|api| api.api_key == key);
            found.map(|api| (api.min_version, api.max_version))
        };
        assert_eq!((range(0), range(1), range(60)), (Some((3, 9)), Some((4, 18)), None));
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let mut rig = Rig::new(Cluster::builder());
    let frame = Bytes::from_static(&[0, 0, 0, 9, 0, 18, 0, 9, 0, 0, 0, 7, 0x7f]);
    let Outcome::Reply(reply) = rig.cluster.handle(rig.now, 0, 1, 1, frame) else { panic!("it must be answered") };
    let response = ApiVersionsResponse::decode(&mut reply.slice(8..), 0).expect("version 0");
    assert_eq!(reply[4..8], [0, 0, 0, 7]);
    assert_eq!(response.error_code, ResponseError::UnsupportedVersion.code());
    assert!(response.api_keys.iter().any(|api| api.api_key == 18 && api.max_version == 4));
}

#[test]
fn noise_and_unsupported_versions_close_the_connection() {
    let mut rig = Rig::new(Cluster::builder().versions(3, 1, 8));
    assert_eq!(rig.send(1, 9, &ask_for("t")), Outcome::Close);
    let good = super::encode(8, &ask_for("t"));
    for length in 0..good.len() {
        let mut cut = good.slice(..length).to_vec();
        if length >= 4 {
            cut[..4].copy_from_slice(&u32::try_from(length - 4).expect("small").to_be_bytes());
        }
        assert_eq!(rig.cluster.handle(rig.now, 0, 1, 1, cut.into()), Outcome::Close, "cut at {length}");
    }
    let mut long = good.to_vec();
    long.push(0);
    long[3] += 1;
    let outcome = rig.cluster.handle(rig.now, 0, 1, 1, long.into());
    assert!(matches!(outcome, Outcome::Reply(_)), "librdkafka sends bytes too many, and brokers do not mind");
}

#[test]
fn metadata_lists_every_broker_and_partition() {
    for version in 0..=13 {
        let mut rig = Rig::new(Cluster::builder().brokers(3).topic("t", 4).topic("u", 1).racks());
        let all = MetadataRequest::default().with_topics(if version > 0 { None } else { Some(Vec::new()) });
        let response = rig.ask(1, version, &all);
        assert_eq!((response.brokers.len(), response.topics.len()), (3, 2), "version {version}");
        let partitions = &response.topics[0].partitions;
        let leaders: Vec<i32> = partitions.iter().map(|partition| partition.leader_id.0).collect();
        assert_eq!(leaders, [1, 2, 3, 1]);
        assert_eq!(partitions[0].replica_nodes.len(), 3);
        if version >= 10 {
            let id = rig.cluster.topic_id("t").expect("it was made");
            assert_eq!(response.topics[0].topic_id.into_bytes(), id.0);
        }
    }
    let mut rig = Rig::new(Cluster::builder().topic("t", 4));
    let none = rig.ask(1, 9, &MetadataRequest::default().with_topics(Some(Vec::new())));
    assert!(none.topics.is_empty());
}

#[test]
fn auto_created_topic_is_known_to_the_second_request() {
    let mut rig = Rig::new(Cluster::builder().partitions_default(5));
    let response = rig.ask(1, 9, &ask_for("new"));
    assert_eq!(response.topics[0].error_code, ResponseError::UnknownTopicOrPartition.code());
    let response = rig.ask(1, 9, &ask_for("new"));
    assert_eq!((response.topics[0].error_code, response.topics[0].partitions.len()), (0, 5));
    let response = rig.ask(1, 9, &ask_for("no/slash"));
    assert_eq!(response.topics[0].error_code, ResponseError::InvalidTopicException.code());
    for (mut rig, ask) in [
        (Rig::new(Cluster::builder().auto_create(false)), ask_for("new")),
        (Rig::new(Cluster::builder()), ask_for("new").with_allow_auto_topic_creation(false)),
    ] {
        rig.ask(1, 9, &ask);
        let response = rig.ask(1, 9, &ask);
        assert_eq!(response.topics[0].error_code, ResponseError::UnknownTopicOrPartition.code());
    }
}

#[test]
fn metadata_is_found_by_topic_id() {
    let mut rig = Rig::new(Cluster::builder().topic("t", 1));
    let topic = MetadataRequestTopic::default().with_name(None);
    let topic = topic.with_topic_id(wire_id(rig.cluster.topic_id("t").expect("it was made")));
    let ask = MetadataRequest::default().with_topics(Some(vec![topic]));
    assert_eq!(rig.ask(1, 12, &ask).topics[0].name, Some(name("t")));
    rig.cluster.delete_topic("t");
    let response = rig.ask(1, 12, &ask);
    assert_eq!(response.topics[0].error_code, ResponseError::UnknownTopicId.code());
}

#[test]
fn topics_are_created_and_deleted_on_request() {
    for version in 2..=7 {
        let mut rig = Rig::new(Cluster::builder().brokers(2));
        let config = CreatableTopicConfig::default().with_name(StrBytes::from_static_str("max.message.bytes"));
        let topic = |partitions, replicas| {
            let topic = CreatableTopic::default().with_name(name("t")).with_num_partitions(partitions);
            let config = config.clone().with_value(Some(StrBytes::from_static_str("1000")));
            topic.with_replication_factor(replicas).with_configs(vec![config])
        };
        let mut create = |topic, validate_only| {
            let ask = CreateTopicsRequest::default().with_topics(vec![topic]).with_validate_only(validate_only);
            ResponseError::try_from_code(rig.ask(1, version, &ask).topics[0].error_code)
        };
        assert_eq!(create(topic(3, 2), true), None);
        assert_eq!(create(topic(0, 2), false), Some(ResponseError::InvalidPartitions));
        assert_eq!(create(topic(1, 3), false), Some(ResponseError::InvalidReplicationFactor));
        assert_eq!(create(topic(3, 2), false), None);
        assert_eq!(create(topic(3, 2), false), Some(ResponseError::TopicAlreadyExists));
        assert!(rig.cluster.leader("t", 2).is_some());
    }
    for version in 1..=6 {
        let mut rig = Rig::new(Cluster::builder().topic("t", 1));
        let ask = match version {
            6 => {
                DeleteTopicsRequest::default().with_topics(vec![DeleteTopicState::default().with_name(Some(name("t")))])
            }
            _ => DeleteTopicsRequest::default().with_topic_names(vec![name("t")]),
        };
        assert_eq!(rig.ask(1, version, &ask).responses[0].error_code, 0);
        let again = rig.ask(1, version, &ask).responses[0].error_code;
        assert_eq!(again, ResponseError::UnknownTopicOrPartition.code());
    }
}

#[test]
fn replica_takes_over_from_a_stopped_broker() {
    let mut rig = Rig::new(Cluster::builder().brokers(3).topic("t", 3));
    rig.cluster.set_down(2);
    assert_eq!(rig.send(2, 9, &ask_for("t")), Outcome::Close);
    let response = rig.ask(1, 9, &ask_for("t"));
    assert_eq!(response.brokers.len(), 2);
    let partition = &response.topics[0].partitions[1];
    assert_eq!((partition.leader_id.0, partition.leader_epoch), (3, 1));
    assert_eq!((partition.isr_nodes.len(), partition.offline_replicas.len()), (2, 1));
    rig.cluster.set_down(1);
    rig.cluster.set_down(3);
    rig.cluster.set_up(2);
    let response = rig.ask(2, 9, &ask_for("t"));
    assert!(response.topics[0].partitions.iter().all(|partition| partition.leader_id.0 == 2));
}

#[test]
fn cluster_describes_itself() {
    let mut rig = Rig::new(Cluster::builder().brokers(2));
    for version in 0..=2 {
        let response = rig.ask(1, version, &DescribeClusterRequest::default().with_endpoint_type(1));
        assert_eq!((response.error_code, response.controller_id.0, response.brokers.len()), (0, 1, 2));
    }
}

#[test]
fn response_has_injected_error_and_throttle() {
    let mut rig = Rig::new(Cluster::builder().topic("t", 1));
    rig.cluster.set_throttle_ms(123);
    rig.cluster.inject_at(1, 3, Fault::Error(Code::LeaderNotAvailable), 1);
    let response = rig.ask(1, 9, &ask_for("t"));
    assert_eq!((response.throttle_time_ms, response.topics[0].error_code), (123, 5));
    assert_eq!(rig.ask(1, 9, &ask_for("t")).topics[0].error_code, 0);
    let seen: Vec<_> = rig.cluster.requests().map(|seen| (seen.api_key, seen.version, &*seen.client_id)).collect();
    assert_eq!(seen, [(3, 9, "rig"), (3, 9, "rig")]);
}
