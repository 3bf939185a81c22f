//! The mock against Apache Kafka 4.3.1: the same requests in the same order, in every version that both support. Every field of
//! the responses is compared.
//!
//! Not compared are times, ids that each side draws (topics, producers, sessions), addresses, throttling, the default configuration
//! of topics, and the text of error messages. [`DIFFERENCES`] lists other differences with their reasons. An entry without a
//! difference fails the test, as a new difference does.

use std::collections::BTreeSet;

use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::protocol::StrBytes;
use ottla::mock::Cluster;
use ottla::mock::key;
use protocol_tests::rig;

use self::peer::Answer;
use self::peer::Peer;

mod access;
mod admin;
mod altering;
mod configs;
mod fetch;
mod group_admin;
mod groups;
mod members;
mod modern;
mod offsets;
mod operating;
mod others;
mod peer;
mod produce;
mod producers;

/// Intended differences: the start of the name of a step, and the reason.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "api versions: api 0:",
        "brokers announce Produce 0 to 2 for librdkafka's sake (KAFKA-18659) and take none of them",
    ),
    ("api versions: api 27:", "the codec of the mock lacks WriteTxnMarkers 2, which is for brokers"),
    ("api versions: api 35:", "the codec of the mock lacks DescribeLogDirs 5 (KIP-1066)"),
    ("produce: append time:", "the mock is there to find an encoder's mistakes, Kafka overwrites this one"),
    ("produce: a wrong maximum timestamp:", "the mock is there to find an encoder's mistakes, Kafka mends this one"),
];

/// Plays a scene on both sides and compares the responses.
fn compare(scene: impl Fn(&mut Peer)) {
    let (_, port) = rig::RELEASES[0];
    if !rig::is_up(port) {
        return;
    }
    let mock = Cluster::builder().brokers(1).auto_create(false).partitions_default(4).build();
    let (mut real, mut mock) = (Peer::real(port), Peer::mock(mock));
    scene(&mut real);
    scene(&mut mock);
    assert_eq!(real.responses.len(), mock.responses.len(), "as many responses");
    let known = |step: &str| DIFFERENCES.iter().find(|(start, _)| step.starts_with(start)).map(|(start, _)| *start);
    let mut wrong = Vec::new();
    let (mut used, mut met) = (BTreeSet::new(), BTreeSet::new());
    for ((step, response), (_, mocked)) in real.responses.iter().zip(&mock.responses) {
        met.extend(known(step));
        match known(step) {
            _ if response == mocked => {}
            Some(start) => {
                used.insert(start);
            }
            None => wrong.push(format!("{step}\n  kafka: {response}\n  mock:  {mocked}")),
        }
    }
    wrong.extend(met.difference(&used).map(|start| format!("{start}: listed as a difference, but both sides agree")));
    assert!(wrong.is_empty(), "{} of {} responses differ:\n{}", wrong.len(), real.responses.len(), wrong.join("\n"));
    eprintln!("{} responses compared", real.responses.len());
}

/// The versions of an API that the mock supports, which are those of 4.3.1.
fn versions(api_key: i16) -> std::ops::RangeInclusive<i16> {
    let (min, max) = Cluster::builder().build().versions(api_key).expect("the mock speaks it");
    min..=max
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Creates a topic and waits until it has leaders. Returns its id.
fn make<U: TryFrom<Vec<u8>>>(peer: &mut Peer, topic: &str, partitions: i32) -> U {
    let creatable = CreatableTopic::default().with_name(name(topic)).with_num_partitions(partitions);
    let creatable = creatable.with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(10_000);
    let made = peer.send(7, &request).expect("a response");
    assert_eq!(made.topics[0].error_code, 0, "{made:?}");
    let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    loop {
        let response = peer.send(12, &request).expect("a response");
        let topic = &response.topics[0];
        let led = topic.partitions.iter().filter(|partition| partition.leader_id == BrokerId(1)).count();
        if topic.error_code == 0 && led == usize::try_from(partitions).expect("small") {
            let Ok(id) = U::try_from(topic.topic_id.into_bytes().to_vec()) else { panic!("16 bytes") };
            lead(peer, &topic.name.clone().expect("requested by name"), partitions);
            return id;
        }
        std::thread::yield_now();
    }
}

/// Waits until the broker acts as the leader of a topic, which is a moment after its metadata names it.
fn lead(peer: &mut Peer, topic: &TopicName, partitions: i32) {
    let asked =
        (0..partitions).map(|index| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(-1));
    let asked = ListOffsetsTopic::default().with_name(topic.clone()).with_partitions(asked.collect());
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
    while peer.send(5, &request).expect("a response").topics[0]
        .partitions
        .iter()
        .any(|partition| partition.error_code != 0)
    {
        std::thread::yield_now();
    }
}

/// Replaces an id, which is not compared, by a fixed one.
fn flag<U: Default + PartialEq + TryFrom<Vec<u8>>>(id: &mut U) {
    if *id != U::default() {
        let Ok(one) = U::try_from(vec![1; 16]) else { panic!("16 bytes") };
        *id = one;
    }
}

/// Replaces the text of a message, which is not compared.
fn wording(message: &mut Option<StrBytes>) {
    if let Some(message) = message {
        *message = text("…");
    }
}

#[test]
fn unsupported_versions_end_as_in_kafka() {
    compare(|peer| {
        for api_key in [
            key::PRODUCE,
            key::FETCH,
            key::LIST_OFFSETS,
            key::METADATA,
            key::OFFSET_COMMIT,
            key::OFFSET_FETCH,
            key::FIND_COORDINATOR,
            key::JOIN_GROUP,
            key::HEARTBEAT,
            key::LEAVE_GROUP,
            key::SYNC_GROUP,
            key::DESCRIBE_GROUPS,
            key::LIST_GROUPS,
            key::CREATE_TOPICS,
            key::DELETE_TOPICS,
            key::DELETE_RECORDS,
            key::INIT_PRODUCER_ID,
            key::OFFSET_FOR_LEADER_EPOCH,
            key::WRITE_TXN_MARKERS,
            key::DESCRIBE_ACLS,
            key::CREATE_ACLS,
            key::DELETE_ACLS,
            key::DESCRIBE_CONFIGS,
            key::ALTER_REPLICA_LOG_DIRS,
            key::DESCRIBE_LOG_DIRS,
            key::CREATE_PARTITIONS,
            key::DELETE_GROUPS,
            key::ELECT_LEADERS,
            key::INCREMENTAL_ALTER_CONFIGS,
            key::ALTER_PARTITION_REASSIGNMENTS,
            key::LIST_PARTITION_REASSIGNMENTS,
            key::OFFSET_DELETE,
            key::DESCRIBE_CLIENT_QUOTAS,
            key::ALTER_CLIENT_QUOTAS,
            key::DESCRIBE_USER_SCRAM_CREDENTIALS,
            key::ALTER_USER_SCRAM_CREDENTIALS,
            key::DESCRIBE_QUORUM,
            key::UPDATE_FEATURES,
            key::DESCRIBE_CLUSTER,
            key::DESCRIBE_PRODUCERS,
            key::DESCRIBE_TRANSACTIONS,
            key::LIST_TRANSACTIONS,
            key::CONSUMER_GROUP_HEARTBEAT,
            key::CONSUMER_GROUP_DESCRIBE,
            key::DESCRIBE_TOPIC_PARTITIONS,
        ] {
            let range = versions(api_key);
            let (low, high) = (range.start() - 1, range.end() + 1);
            for version in [low, high, 99].into_iter().filter(|version| *version >= 0) {
                // The header of an unknown version is read as that of the last known one.
                let header = if version >= high { 2 } else { 1 };
                let closed = peer.knock(api_key, version, header) == Answer::Closed;
                peer.record(format!("api {api_key} version {version}"), closed);
            }
        }
    });
}
