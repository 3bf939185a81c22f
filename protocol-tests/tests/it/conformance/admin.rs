//! ApiVersions, Metadata, DescribeCluster, CreateTopics, DeleteTopics.

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::create_topics_request::CreatableReplicaAssignment;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla::mock::Cluster;
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

#[test]
fn versions_are_those_of_kafka() {
    let spoken = Cluster::builder().build();
    compare(|peer| {
        for version in 0..=4 {
            let request = ApiVersionsRequest::default();
            let request = match version {
                ..3 => request,
                3.. => request.with_client_software_name(text("ottla")).with_client_software_version(text("1")),
            };
            let response = peer.send(version, &request).expect("a response");
            peer.record(format!("api versions: error: version {version}"), response.error_code);
            for api in response.api_keys.iter().filter(|api| spoken.versions(api.api_key).is_some()) {
                let range = (api.min_version, api.max_version);
                peer.record(format!("api versions: api {}: version {version}", api.api_key), range);
            }
        }
    });
}

#[test]
fn unsupported_version_of_api_versions_is_answered_in_version_0() {
    compare(|peer| {
        for version in [5, 99] {
            use kafka_protocol::messages::ApiVersionsResponse;
            let response = peer.send_raw_with::<ApiVersionsResponse>(18, version, 2, 0, &[]).map(|response| {
                let own = response.api_keys.iter().find(|api| api.api_key == 18).cloned();
                (response.error_code, response.api_keys.len(), own)
            });
            let response = response.map(|(code, _, own)| (code, own));
            peer.record(format!("api versions: unspoken version {version}"), response);
        }
    });
}

fn record_metadata(peer: &mut Peer, step: String, response: Result<MetadataResponse, &'static str>) {
    let tidied = response.map(|mut response| {
        response.throttle_time_ms = 0;
        wording(&mut response.cluster_id);
        for broker in &mut response.brokers {
            broker.host = text("");
            broker.port = 0;
        }
        response.topics.iter_mut().for_each(|topic| flag(&mut topic.topic_id));
        for topic in &mut response.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
        response
    });
    peer.record(step, tidied);
}

#[test]
fn metadata_is_answered_as_by_kafka() {
    let topic = rig::fresh("conf-meta");
    compare(|peer| {
        let id = make(peer, &topic, 3);
        let mut unknown = id;
        flag(&mut unknown);
        let named = |topic: &str| MetadataRequestTopic::default().with_name(Some(name(topic)));
        for version in versions(key::METADATA) {
            let mut requests = vec![
                ("a topic", vec![named(&topic)]),
                ("an unknown topic", vec![named("conf-none")]),
                ("an invalid name", vec![named("a/b")]),
                ("an empty name", vec![named("")]),
                ("a topic twice", vec![named(&topic), named(&topic)]),
            ];
            if version >= 1 {
                requests.push(("none", Vec::new()));
            }
            if version >= 12 {
                let by_id = |id| MetadataRequestTopic::default().with_name(None).with_topic_id(id);
                requests.push(("an id", vec![by_id(id)]));
                requests.push(("an unknown id", vec![by_id(unknown)]));
            }
            for (what, topics) in requests {
                let request = MetadataRequest::default().with_topics(Some(topics));
                let response = peer.send(version, &request);
                record_metadata(peer, format!("metadata: {what}: version {version}"), response);
            }
        }
    });
}

#[test]
fn cluster_is_described_as_by_kafka() {
    compare(|peer| {
        for version in versions(key::DESCRIBE_CLUSTER) {
            for endpoint_type in if version >= 1 { vec![1, 2, 7] } else { vec![1] } {
                let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    wording(&mut response.error_message);
                    let has_id = i32::from(!response.cluster_id.is_empty());
                    response.cluster_id = text(&has_id.to_string());
                    for broker in &mut response.brokers {
                        broker.host = text("");
                        broker.port = 0;
                    }
                    response
                });
                peer.record(format!("describe cluster: endpoints {endpoint_type}: version {version}"), response);
            }
        }
    });
}

#[test]
fn topics_are_created_and_deleted_as_by_kafka() {
    let prefix = rig::fresh("conf-admin");
    compare(|peer| {
        for version in versions(key::CREATE_TOPICS) {
            let topic = format!("{prefix}-{version}");
            create(peer, version, &topic);
        }
        for version in versions(key::DELETE_TOPICS) {
            delete(peer, version, &format!("{prefix}-delete-{version}"));
        }
    });
}

fn create(peer: &mut Peer, version: i16, topic: &str) {
    let plain = |partitions, replicas| {
        let topic = CreatableTopic::default().with_name(name(topic)).with_num_partitions(partitions);
        topic.with_replication_factor(replicas)
    };
    let config =
        |key: &str, value: &str| CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)));
    let assigned = |partition| {
        CreatableReplicaAssignment::default().with_partition_index(partition).with_broker_ids(vec![BrokerId(1)])
    };
    let mut steps = vec![
        ("only validated", vec![plain(2, 1)], true),
        ("no partition", vec![plain(0, 1)], false),
        ("fewer than no partition", vec![plain(-5, 1)], false),
        ("too many replicas", vec![plain(1, 3)], false),
        ("no replica", vec![plain(1, 0)], false),
        ("an invalid name", vec![plain(1, 1).with_name(name("a/b"))], false),
        ("an unknown config", vec![plain(1, 1).with_configs(vec![config("no.such.config", "1")])], false),
        ("an invalid value", vec![plain(1, 1).with_configs(vec![config("max.message.bytes", "lots")])], false),
        ("twice in one request", vec![plain(1, 1), plain(2, 1)], false),
        ("an assignment and a number", vec![plain(1, 1).with_assignments(vec![assigned(0)])], false),
        ("a gap in the assignment", vec![plain(-1, -1).with_assignments(vec![assigned(1)])], false),
        ("created", vec![plain(2, 1)], false),
        ("created again", vec![plain(2, 1)], false),
        ("created again, only validated", vec![plain(2, 1)], true),
    ];
    if version >= 4 {
        steps.push(("by default", vec![plain(-1, -1).with_name(name(&format!("{topic}-default")))], false));
    }
    let by_hand =
        plain(-1, -1).with_name(name(&format!("{topic}-assigned"))).with_assignments(vec![assigned(0), assigned(1)]);
    steps.push(("assigned", vec![by_hand], false));
    for (what, topics, validate_only) in steps {
        let request = CreateTopicsRequest::default().with_topics(topics).with_validate_only(validate_only);
        let response = peer.send(version, &request.with_timeout_ms(10_000)).map(|mut response| {
            response.throttle_time_ms = 0;
            for topic in &mut response.topics {
                flag(&mut topic.topic_id);
                wording(&mut topic.error_message);
                // The broker's defaults are not compared.
                topic.configs = topic.configs.take().map(|_| Vec::new());
            }
            response.topics.sort_by(|one, other| one.name.cmp(&other.name));
            response
        });
        peer.record(format!("create: {what}: version {version}"), response);
    }
}

fn delete(peer: &mut Peer, version: i16, topic: &str) {
    let id = make(peer, topic, 1);
    let mut unknown = id;
    flag(&mut unknown);
    let state = |topic: &str| DeleteTopicState::default().with_name(Some(name(topic)));
    let by_id = |id| DeleteTopicState::default().with_name(None).with_topic_id(id);
    let mut steps = vec![
        ("an unknown topic", vec![state("conf-none")]),
        ("a topic twice", vec![state(topic), state(topic)]),
        ("a topic", vec![state(topic)]),
        ("a topic that was deleted", vec![state(topic)]),
    ];
    if version >= 6 {
        steps.push(("an unknown id", vec![by_id(unknown)]));
        steps.push(("an id that was deleted", vec![by_id(id)]));
    }
    for (what, topics) in steps {
        let request = DeleteTopicsRequest::default().with_timeout_ms(10_000);
        let request = match version {
            ..6 => request.with_topic_names(topics.into_iter().filter_map(|topic| topic.name).collect()),
            6.. => request.with_topics(topics),
        };
        let response = peer.send(version, &request).map(|mut response| {
            response.throttle_time_ms = 0;
            for topic in &mut response.responses {
                flag(&mut topic.topic_id);
                wording(&mut topic.error_message);
            }
            response
        });
        peer.record(format!("delete: {what}: version {version}"), response);
    }
}
