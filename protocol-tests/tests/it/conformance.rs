//! The mock against Apache Kafka 4.3.1: the same requests in the same order, in every version that both speak, and every
//! field of the answers compared.
//!
//! Left out are times, ids that each side draws for itself (topics, producers, sessions), addresses, throttling, what a
//! topic's configuration is by default, and the wording of error messages: of these only whether there is one. [`DIFFERENCES`] lists what else differs, and why; an entry
//! that no longer holds fails the test as a new difference does.

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

mod admin;
mod configs;
mod fetch;
mod groups;
mod offsets;
mod others;
mod peer;
mod produce;

/// What differs on purpose: the question, up to where its name says it, and the reason.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "api versions: api 0:",
        "brokers announce Produce 0 to 2 for librdkafka's sake (KAFKA-18659) and take none of them",
    ),
    ("produce: append time:", "the mock is there to find an encoder's mistakes, Kafka overwrites this one"),
    ("produce: a wrong maximum timestamp:", "the mock is there to find an encoder's mistakes, Kafka mends this one"),
];

/// Plays a scene on both sides and compares what they said.
fn compare(scene: impl Fn(&mut Peer)) {
    let (_, port) = rig::RELEASES[0];
    if !rig::is_up(port) {
        return;
    }
    let mock = Cluster::builder().brokers(1).auto_create(false).partitions_default(4).build();
    let (mut real, mut mock) = (Peer::real(port), Peer::mock(mock));
    scene(&mut real);
    scene(&mut mock);
    assert_eq!(real.said.len(), mock.said.len(), "as many answers");
    let known =
        |question: &str| DIFFERENCES.iter().find(|(start, _)| question.starts_with(start)).map(|(start, _)| *start);
    let mut wrong = Vec::new();
    let (mut used, mut met) = (BTreeSet::new(), BTreeSet::new());
    for ((question, told), (_, mocked)) in real.said.iter().zip(&mock.said) {
        met.extend(known(question));
        match known(question) {
            _ if told == mocked => {}
            Some(start) => {
                used.insert(start);
            }
            None => wrong.push(format!("{question}\n  kafka: {told}\n  mock:  {mocked}")),
        }
    }
    wrong.extend(met.difference(&used).map(|start| format!("{start}: it is listed as a difference and is none")));
    assert!(wrong.is_empty(), "{} of {} answers differ:\n{}", wrong.len(), real.said.len(), wrong.join("\n"));
    eprintln!("{} answers compared", real.said.len());
}

/// The versions of an API that the mock speaks, which are all versions that 4.3.1 does.
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

/// Makes a topic and waits until it has leaders; its id.
fn make<U: TryFrom<Vec<u8>>>(peer: &mut Peer, topic: &str, partitions: i32) -> U {
    let creatable = CreatableTopic::default().with_name(name(topic)).with_num_partitions(partitions);
    let creatable = creatable.with_replication_factor(1);
    let ask = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(10_000);
    let made = peer.ask(7, &ask).expect("a reply");
    assert_eq!(made.topics[0].error_code, 0, "{made:?}");
    let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
    let ask = MetadataRequest::default().with_topics(Some(vec![asked]));
    loop {
        let told = peer.ask(12, &ask).expect("a reply");
        let topic = &told.topics[0];
        let led = topic.partitions.iter().filter(|partition| partition.leader_id == BrokerId(1)).count();
        if topic.error_code == 0 && led == usize::try_from(partitions).expect("small") {
            let Ok(id) = U::try_from(topic.topic_id.into_bytes().to_vec()) else { panic!("16 bytes") };
            lead(peer, &topic.name.clone().expect("asked for by name"), partitions);
            return id;
        }
        std::thread::yield_now();
    }
}

/// Waits until the broker knows itself that it leads a topic, which it does a moment after it tells.
fn lead(peer: &mut Peer, topic: &TopicName, partitions: i32) {
    let asked =
        (0..partitions).map(|index| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(-1));
    let asked = ListOffsetsTopic::default().with_name(topic.clone()).with_partitions(asked.collect());
    let ask = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
    while peer.ask(5, &ask).expect("a reply").topics[0].partitions.iter().any(|partition| partition.error_code != 0) {
        std::thread::yield_now();
    }
}

/// Whether there is an id, for what may not be compared further.
fn flag<U: Default + PartialEq + TryFrom<Vec<u8>>>(id: &mut U) {
    if *id != U::default() {
        let Ok(one) = U::try_from(vec![1; 16]) else { panic!("16 bytes") };
        *id = one;
    }
}

/// Whether there is a message.
fn wording(message: &mut Option<StrBytes>) {
    if let Some(message) = message {
        *message = text("…");
    }
}

#[test]
fn versions_that_nobody_speaks_end_the_same_way() {
    compare(|peer| {
        for api_key in [
            key::PRODUCE,
            key::FETCH,
            key::LIST_OFFSETS,
            key::METADATA,
            key::OFFSET_COMMIT,
            key::OFFSET_FETCH,
            key::FIND_COORDINATOR,
            key::CREATE_TOPICS,
            key::DELETE_TOPICS,
            key::INIT_PRODUCER_ID,
            key::OFFSET_FOR_LEADER_EPOCH,
            key::DESCRIBE_CLUSTER,
            key::DESCRIBE_CONFIGS,
        ] {
            let range = versions(api_key);
            let (low, high) = (range.start() - 1, range.end() + 1);
            for version in [low, high, 99].into_iter().filter(|version| *version >= 0) {
                // The header of an unknown version is read as that of the last known one.
                let header = if version >= high { 2 } else { 1 };
                let closed = peer.knock(api_key, version, header) == Answer::Closed;
                peer.say(format!("api {api_key} version {version}"), closed);
            }
        }
    });
}
