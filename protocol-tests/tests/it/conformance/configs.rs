//! DescribeConfigs: entries that the mock has, compared with those of a broker.

use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::make;
use super::name;
use super::text;
use super::versions;
use super::wording;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn asked(kind: i8, name: &str, key: &str) -> DescribeConfigsResource {
    let keys = Some(vec![text(key)]);
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(keys)
}

#[test]
fn configurations_are_described_as_by_kafka() {
    let topic = rig::fresh("conf-configs");
    let limited = format!("{topic}-limited");
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 1);
        let limit = CreatableTopicConfig::default().with_name(text("max.message.bytes")).with_value(Some(text("2000")));
        let creatable = CreatableTopic::default().with_name(name(&limited)).with_num_partitions(1);
        let creatable = creatable.with_replication_factor(1).with_configs(vec![limit]);
        let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(10_000);
        assert_eq!(peer.send(7, &request).expect("a response").topics[0].error_code, 0);
        // The broker knows of the topic a moment after it was created.
        let known = DescribeConfigsRequest::default().with_resources(vec![asked(TOPIC, &limited, "max.message.bytes")]);
        while peer.send(1, &known).expect("a response").results[0].error_code != 0 {
            std::thread::yield_now();
        }
        let resources = [
            ("a topic", vec![asked(TOPIC, &topic, "max.message.bytes")]),
            ("a topic with a setting", vec![asked(TOPIC, &limited, "max.message.bytes")]),
            ("an unknown key", vec![asked(TOPIC, &topic, "no.such.config")]),
            ("an unknown topic", vec![asked(TOPIC, "conf-none", "max.message.bytes")]),
            ("an invalid name", vec![asked(TOPIC, "a/b", "max.message.bytes")]),
            ("the broker", vec![asked(BROKER, "1", "node.id")]),
            ("another broker", vec![asked(BROKER, "7", "node.id")]),
            ("a broker id that is not a number", vec![asked(BROKER, "x", "node.id")]),
            ("all brokers", vec![asked(BROKER, "", "node.id")]),
            ("an invalid type", vec![asked(99, "x", "y"), asked(TOPIC, &topic, "max.message.bytes")]),
        ];
        for version in versions(key::DESCRIBE_CONFIGS) {
            for (label, resources) in &resources {
                for synonyms in [false, true] {
                    let documentation = synonyms && version >= 3;
                    let request = DescribeConfigsRequest::default()
                        .with_resources(resources.clone())
                        .with_include_synonyms(synonyms)
                        .with_include_documentation(documentation);
                    let response = peer.send(version, &request).map(|mut described| {
                        described.throttle_time_ms = 0;
                        for result in &mut described.results {
                            wording(&mut result.error_message);
                            result.configs.iter_mut().for_each(|config| wording(&mut config.documentation));
                        }
                        described.results.sort_by_key(|result| (result.resource_type, result.resource_name.clone()));
                        described
                    });
                    peer.record(format!("describe configs: {label}: synonyms {synonyms}: version {version}"), response);
                }
            }
        }
    });
}
