//! CreatePartitions and IncrementalAlterConfigs.

use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::make;
use super::name;
use super::peer::Peer;
use super::text;
use super::versions;
use super::wording;

const TOPIC: i8 = 2;

/// Sets an entry of a topic's configuration, and waits until the broker knows it.
pub(super) fn set(peer: &mut Peer, topic: &str, setting: &str, value: &str) {
    let config = AlterableConfig::default().with_name(text(setting)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text(topic));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])]);
    let response = peer.send(1, &request).expect("a response");
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
    described(peer, topic, setting, value);
}

/// The entry of a topic's configuration once it has a value. The broker applies a change a moment after the controller.
fn described(peer: &mut Peer, topic: &str, setting: &str, value: &str) -> DescribeConfigsResourceResult {
    let asked = DescribeConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text(topic));
    let asked = asked.with_configuration_keys(Some(vec![text(setting)]));
    let known = DescribeConfigsRequest::default().with_resources(vec![asked]);
    loop {
        let response = peer.send(4, &known).expect("a response");
        let entry = response.results[0].configs.first().cloned();
        if let Some(entry) = entry.filter(|entry| entry.value.as_deref() == Some(value)) {
            return entry;
        }
        std::thread::yield_now();
    }
}

#[test]
fn partitions_are_added_as_by_kafka() {
    let topic = rig::fresh("conf-more");
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 1);
        for (has, version) in (1..).zip(versions(key::CREATE_PARTITIONS)) {
            let cases = [
                ("none", &*topic, 0, false),
                ("as many", &*topic, has, false),
                ("an unknown topic", "conf-none", 3, false),
                ("validated", &*topic, 9, true),
                ("one more", &*topic, has + 1, false),
            ];
            for (what, topic, count, validate_only) in cases {
                let asked = CreatePartitionsTopic::default().with_name(name(topic)).with_count(count);
                let asked = asked.with_assignments(None);
                let request = CreatePartitionsRequest::default().with_topics(vec![asked]).with_timeout_ms(10_000);
                let request = request.with_validate_only(validate_only);
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    response.results.iter_mut().for_each(|result| wording(&mut result.error_message));
                    response
                });
                peer.record(format!("create partitions: {what}: version {version}"), response);
            }
        }
    });
}

#[test]
fn configurations_are_altered_as_by_kafka() {
    let topic = rig::fresh("conf-alter");
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 1);
        for version in versions(key::INCREMENTAL_ALTER_CONFIGS) {
            let value = format!("70{version}");
            let cases = [
                ("an unknown setting", &*topic, "no.such.setting", 0, Some("1"), false),
                ("an unknown topic", "conf-none", "retention.ms", 0, Some("1"), false),
                ("validated", &*topic, "retention.ms", 0, Some("5"), true),
                ("a list", &*topic, "cleanup.policy", 2, Some("compact"), false),
                ("an element of a list", &*topic, "cleanup.policy", 3, Some("compact"), false),
                ("deleted", &*topic, "max.message.bytes", 1, None, false),
                ("set", &*topic, "retention.ms", 0, Some(&*value), false),
            ];
            for (what, topic, setting, operation, value, validate_only) in cases {
                let config = AlterableConfig::default().with_name(text(setting)).with_config_operation(operation);
                let resource = AlterConfigsResource::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(topic))
                    .with_configs(vec![config.with_value(value.map(text))]);
                let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
                let response = peer.send(version, &request.with_validate_only(validate_only)).map(|mut response| {
                    response.throttle_time_ms = 0;
                    response.responses.iter_mut().for_each(|result| wording(&mut result.error_message));
                    response
                });
                peer.record(format!("alter configs: {what}: version {version}"), response);
            }
            let described = described(peer, &topic, "retention.ms", &value);
            peer.record(format!("alter configs: described: version {version}"), described);
        }
    });
}
