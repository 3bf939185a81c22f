//! Patterns on a real broker: matched by the client with both protocols, and by the coordinator.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::consumer::Consumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::GroupProtocol;
use ottla::consumer::ResetPolicy;
use ottla::consumer::TopicPattern;
use ottla::error::Code;
use protocol_tests::rig;

const PORT: u16 = 29_431;
const SOON: Duration = Duration::from_secs(60);

/// A client that lists topics every second.
async fn client(port: u16) -> Option<Client> {
    if !rig::is_up(port) {
        return None;
    }
    let builder = Client::builder([rig::address(port)]).expect("an address");
    Some(builder.metadata_age_max(Duration::from_secs(1)).connect().await.expect("a broker"))
}

async fn create(client: &Client, topic: &str) {
    let made = client.admin().create_topics([NewTopic::new(topic).partitions(2)]).await;
    for (_, outcome) in made.expect("a controller") {
        outcome.expect("a topic");
    }
}

async fn produce(client: &Client, topic: &str, value: &str) {
    let producer = client.producer().build().expect("a producer");
    producer.send(Record::to(topic).value(value)).await.expect("written");
}

/// Polls until this value is returned, and nothing else is.
async fn expect(consumer: &mut Consumer, value: &str) {
    let polled = async {
        loop {
            // A topic that was created a moment ago may not be known to the leader.
            let Ok(records) = consumer.poll().await else { continue };
            let records = records.expect("no end");
            if let Some(record) = records.iter().next() {
                return String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
            }
        }
    };
    let found = tokio::time::timeout(SOON, polled).await;
    assert_eq!(found.unwrap_or_else(|_| panic!("{value} was not returned")), value);
}

/// A consumer whose pattern matches nothing at first gets each topic that is created, from its first record.
async fn follows_new_topics(client: &Client, prefix: &str, builder: ConsumerBuilder) {
    let mut consumer = builder.reset(ResetPolicy::Latest).build().expect("a consumer");
    assert_eq!(consumer.wait_for_assignment(SOON).await.expect("it has joined"), []);
    for number in 0..2 {
        let topic = format!("{prefix}-{number}");
        create(client, &format!("other-{topic}")).await;
        create(client, &topic).await;
        produce(client, &topic, &topic).await;
        expect(&mut consumer, &topic).await;
    }
    assert_eq!(consumer.assignment().len(), 4);
    consumer.close().await.expect("it leaves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pattern_of_a_client_finds_topics_with_both_protocols() {
    for (port, protocol) in [
        (PORT, GroupProtocol::Classic),
        (PORT, GroupProtocol::Consumer),
        (29_391, GroupProtocol::Classic),
        (29_281, GroupProtocol::Classic),
    ] {
        let Some(client) = client(port).await else { continue };
        let prefix = rig::fresh("pattern");
        let pattern = TopicPattern::regex(&format!("{prefix}-\\d+")).expect("it compiles");
        let builder = client.consumer().group(prefix.as_str()).group_protocol(protocol).subscribe_pattern(pattern);
        follows_new_topics(&client, &prefix, builder).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pattern_of_the_coordinator_finds_topics_by_their_ids() {
    let Some(client) = client(PORT).await else { return };
    let prefix = rig::fresh("pattern");
    let pattern = TopicPattern::server(format!("{prefix}-\\d+"));
    let builder = client.consumer().group(prefix.as_str()).group_protocol(GroupProtocol::Consumer);
    follows_new_topics(&client, &prefix, builder.subscribe_pattern(pattern)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pattern_that_the_coordinator_refuses_is_named_and_replaced() {
    let Some(client) = client(PORT).await else { return };
    let prefix = rig::fresh("pattern");
    create(&client, &prefix).await;
    produce(&client, &prefix, "value").await;
    let builder = client.consumer().group(prefix.as_str()).group_protocol(GroupProtocol::Consumer);
    let mut consumer = builder.subscribe_pattern(TopicPattern::server("(")).build().expect("a consumer");
    let error = tokio::time::timeout(SOON, consumer.poll()).await.expect("in time").expect_err("it does not compile");
    assert_eq!(error.code(), Some(Code::InvalidRegularExpression));
    assert!(error.to_string().contains("\"(\""), "{error}");
    consumer.subscribe_pattern(TopicPattern::server(prefix.as_str())).expect("a member");
    expect(&mut consumer, "value").await;
    // The pattern is taken back.
    consumer.subscribe(["no-such-topic"]).expect("a member");
    let emptied = async {
        while !consumer.assignment().is_empty() {
            let _ = tokio::time::timeout(Duration::from_millis(50), consumer.poll()).await;
        }
    };
    assert!(tokio::time::timeout(SOON, emptied).await.is_ok(), "its topic was not given up");
    consumer.close().await.expect("it leaves");
}
