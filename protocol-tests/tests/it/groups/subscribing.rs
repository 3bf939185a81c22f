//! Subscribing on the mock, in virtual time: patterns, topics that come and go, partitions that are added, and closing.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::config::Properties;
use ottla::consumer::CloseOptions;
use ottla::consumer::Consumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::ResetPolicy;
use ottla::consumer::TopicPattern;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::GroupState;
use ottla::mock::NewBatch;
use ottla::mock::Server;
use ottla::mock::key;
use ottla::types::TopicPartition;

/// Longer than `metadata.max.age.ms`, every session, request timeout and retry together.
const LONG: Duration = Duration::from_secs(900);

struct Stage {
    server: Server,
    client: Client,
}

impl Stage {
    async fn new() -> Self {
        let mut cluster = Cluster::builder().brokers(2).topic("a1", 1).topic("b1", 2).build();
        cluster.move_coordinator(0, "g", 1);
        let server = Server::in_memory(cluster);
        let builder = Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector());
        let client = builder.connect().await.expect("a cluster");
        Self { server, client }
    }

    fn builder(&self) -> ConsumerBuilder {
        self.client.consumer().group("g")
    }

    fn matching(&self, pattern: &str) -> ConsumerBuilder {
        self.builder().subscribe_pattern(TopicPattern::regex(pattern).expect("it compiles"))
    }

    fn with<R>(&self, action: impl FnOnce(&mut Cluster) -> R) -> R {
        self.server.with(action)
    }

    async fn produce(&self, topic: &str, partition: i32, value: &'static str) {
        let producer = self.client.producer().build().expect("a producer");
        producer.send(Record::to(topic).partition(partition).value(value)).await.expect("written");
    }
}

/// Polls until a condition holds, and returns the values of all records on the way.
async fn poll_until(consumer: &mut Consumer, mut until: impl FnMut(&Consumer, &[String]) -> bool) -> Vec<String> {
    let mut values = Vec::new();
    let driven = async {
        while !until(consumer, &values) {
            let Ok(polled) = tokio::time::timeout(Duration::from_millis(100), consumer.poll()).await else { continue };
            let records = polled.expect("no error").expect("no end");
            let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text");
            values.extend(records.iter().map(|record| text(record.value.unwrap_or_default())));
        }
    };
    let in_time = tokio::time::timeout(LONG, driven).await.is_ok();
    assert!(in_time, "not in time: {:?} {values:?}", consumer.assignment());
    values
}

fn assigned(consumer: &Consumer) -> String {
    consumer.assignment().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

async fn assigned_to(consumer: &mut Consumer, partitions: &str) -> Vec<String> {
    poll_until(consumer, |consumer, _| assigned(consumer) == partitions).await
}

#[tokio::test(start_paused = true)]
async fn pattern_follows_topics_that_are_created_and_deleted() {
    let stage = Stage::new().await;
    let mut consumer = stage.matching("a.").build().expect("a consumer");
    assigned_to(&mut consumer, "a1[0]").await;
    stage.with(|cluster| cluster.create_topic("a2", 1));
    stage.with(|cluster| cluster.create_topic("ba2", 1));
    assigned_to(&mut consumer, "a1[0] a2[0]").await;
    let topics: Vec<String> = consumer.subscription().iter().map(ToString::to_string).collect();
    assert_eq!(topics, ["a1", "a2"]);
    stage.with(|cluster| cluster.delete_topic("a1"));
    assigned_to(&mut consumer, "a2[0]").await;
}

#[tokio::test(start_paused = true)]
async fn pattern_that_matches_nothing_joins_and_waits_for_a_topic() {
    let stage = Stage::new().await;
    let mut consumer = stage.matching("c.*").reset(ResetPolicy::Latest).build().expect("a consumer");
    let assigned = consumer.wait_for_assignment(Duration::from_secs(60)).await.expect("it has joined");
    assert_eq!(assigned, []);
    let state = stage.with(|cluster| cluster.describe_group("g")).expect("it exists").state;
    assert_eq!(state, GroupState::Stable);
    stage.with(|cluster| cluster.create_topic("c1", 1));
    // It is written before the consumer hears of the topic, and not skipped although the policy is latest.
    stage.produce("c1", 0, "first").await;
    let values = poll_until(&mut consumer, |_, values| !values.is_empty()).await;
    assert_eq!(values, ["first"]);
}

#[tokio::test(start_paused = true)]
async fn records_in_an_added_partition_are_not_skipped_with_latest() {
    let stage = Stage::new().await;
    stage.produce("a1", 0, "old").await;
    let builder = stage.builder().subscribe(["a1"]).reset(ResetPolicy::Latest);
    let mut consumer = builder.build().expect("a consumer");
    assigned_to(&mut consumer, "a1[0]").await;
    stage.with(|cluster| cluster.add_partitions("a1", 2));
    stage.produce("a1", 1, "new").await;
    let values = poll_until(&mut consumer, |_, values| !values.is_empty()).await;
    assert_eq!(values, ["new"], "latest skips what was there before");
}

#[tokio::test(start_paused = true)]
async fn subscription_changes_between_topics_and_patterns() {
    let stage = Stage::new().await;
    let mut consumer = stage.builder().subscribe(["a1"]).build().expect("a consumer");
    assigned_to(&mut consumer, "a1[0]").await;
    consumer.subscribe_pattern(TopicPattern::filter(|topic| topic.starts_with('b'))).expect("a member");
    assigned_to(&mut consumer, "b1[0] b1[1]").await;
    consumer.unsubscribe().await.expect("it leaves");
    assert_eq!((assigned(&consumer), consumer.subscription().len()), (String::new(), 0));
    consumer.subscribe_pattern(TopicPattern::regex(".1").expect("it compiles")).expect("a member");
    assigned_to(&mut consumer, "a1[0] b1[0] b1[1]").await;
    consumer.subscribe(["a1"]).expect("a member");
    assigned_to(&mut consumer, "a1[0]").await;
    // The pattern is not followed any more.
    stage.with(|cluster| cluster.create_topic("c1", 1));
    tokio::time::sleep(LONG).await;
    assigned_to(&mut consumer, "a1[0]").await;
}

#[tokio::test(start_paused = true)]
async fn contradicting_subscriptions_are_refused_with_the_remedy() {
    let stage = Stage::new().await;
    let any = || TopicPattern::filter(|_| true);
    let builders = [
        (stage.matching("a").subscribe(["b1"]), "choose one"),
        (stage.matching("a").assign(["b1"]), "subscribes and assigns"),
        (stage.matching("a").until_end(), "until_end"),
        (stage.client.consumer().subscribe_pattern(any()), "needs a group"),
        (stage.builder().subscribe_pattern(TopicPattern::server("a")), "TopicPattern::regex"),
        (stage.builder().subscribe(["a1"]).group_instance_id(""), "group.instance.id"),
    ];
    for (builder, expected) in builders {
        let error = builder.build().expect_err(expected);
        assert!(error.kind() == Kind::Config && error.to_string().contains(expected), "{error}");
    }
    let mut assigning = stage.builder().assign(["a1"]).build().expect("a consumer");
    assert_eq!(assigning.subscribe_pattern(any()).expect_err("it assigns").kind(), Kind::Config);
    let mut subscribing = stage.matching("a.").build().expect("a consumer");
    let error = subscribing.assign_partitions([("a1", 0)]).expect_err("it subscribes");
    assert!(error.to_string().contains("the group assigns partitions"), "{error}");
    let error = subscribing.subscribe_pattern(TopicPattern::server("a")).expect_err("it is a classic member");
    assert_eq!(error.kind(), Kind::Config);
}

/// Whether a member is left in the group after the consumer was closed with these options.
async fn stays(instance: Option<&str>, close: impl AsyncFnOnce(Consumer)) -> (bool, u64) {
    let stage = Stage::new().await;
    let builder = stage.builder().subscribe(["a1"]);
    let builder = match instance {
        Some(name) => builder.group_instance_id(name),
        None => builder,
    };
    let mut consumer = builder.build().expect("a consumer");
    stage.produce("a1", 0, "value").await;
    poll_until(&mut consumer, |_, values| !values.is_empty()).await;
    close(consumer).await;
    assert_eq!(stage.with(|cluster| cluster.committed("g", "a1", 0)), Some(1), "the last poll was committed");
    let members = stage.with(|cluster| cluster.describe_group("g")).map_or(0, |group| group.members.len());
    (members == 1, stage.with(|cluster| cluster.requests_count(key::LEAVE_GROUP)))
}

#[tokio::test(start_paused = true)]
async fn closing_leaves_or_stays_as_its_options_say() {
    async fn with(mut consumer: Consumer, options: CloseOptions) {
        consumer.close_with(options).await.expect("closed");
        assert!(consumer.poll().await.expect("closed").is_none());
    }
    let new = CloseOptions::new;
    assert_eq!(stays(None, async |consumer| with(consumer, new()).await).await, (false, 1));
    assert_eq!(stays(None, async |consumer| with(consumer, new().leave()).await).await, (false, 1));
    assert_eq!(stays(None, async |consumer| with(consumer, new().stay()).await).await, (true, 0));
    assert_eq!(stays(Some("i"), async |consumer| with(consumer, new()).await).await, (true, 0));
    assert_eq!(stays(Some("i"), async |consumer| with(consumer, new().leave()).await).await, (false, 1));
    assert_eq!(stays(Some("i"), async |consumer| with(consumer, new().stay()).await).await, (true, 0));
}

#[tokio::test(start_paused = true)]
async fn dropped_consumer_leaves_its_group_in_the_background() {
    let stage = Stage::new().await;
    let mut consumer = stage.builder().subscribe(["a1"]).build().expect("a consumer");
    assigned_to(&mut consumer, "a1[0]").await;
    drop(consumer);
    let left = async {
        while stage.with(|cluster| cluster.describe_group("g")).is_some_and(|group| !group.members.is_empty()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), left).await.expect("long before its session ends");
    assert_eq!(stage.with(|cluster| cluster.requests_count(key::LEAVE_GROUP)), 1);
    let key = TopicPartition::new("a1", 0);
    let mut next = stage.builder().subscribe(["a1"]).leave_group_on_close(false).build().expect("a consumer");
    poll_until(&mut next, |consumer, _| consumer.assignment() == [key.clone()]).await;
    drop(next);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.with(|cluster| cluster.requests_count(key::LEAVE_GROUP)), 1, "it was asked to stay");
}

#[tokio::test(start_paused = true)]
async fn reset_by_duration_starts_with_the_records_of_that_time() {
    let stage = Stage::new().await;
    // One record is of 1970, and the other of 2100.
    for (value, at) in [("old", 1_000), ("young", 4_102_444_800_000)] {
        let batch = NewBatch::of([("k", value)]).timestamp(at);
        stage.with(|cluster| cluster.append("a1", 0, &batch)).expect("it exists");
    }
    let mut properties = Properties::new();
    for bad in ["by_duration:", "by_duration:PT-1H", "by_duration:1h", "by_duration:P1Y"] {
        let error = properties.set("auto.offset.reset", bad).expect_err(bad).to_string();
        assert!(error.contains("PnDTnHnMn.nS"), "{error}");
    }
    properties.set("auto.offset.reset", "BY_DURATION:pt1h30m").expect("a duration");
    let builder = stage.builder().subscribe(["a1"]).properties(&properties).expect("known properties");
    let mut consumer = builder.build().expect("a consumer");
    let values = poll_until(&mut consumer, |_, values| !values.is_empty()).await;
    assert_eq!(values, ["young"]);
}

#[tokio::test(start_paused = true)]
async fn last_records_of_all_partitions_together_are_shared_among_them() {
    let stage = Stage::new().await;
    for value in ["1", "2", "3", "4"] {
        stage.produce("b1", 1, value).await;
    }
    stage.produce("b1", 0, "0").await;
    let mut consumer = stage.client.consumer().assign(["b1"]).build().expect("a consumer");
    consumer.seek_to_last(4).await.expect("it has leaders");
    let mut values = poll_until(&mut consumer, |_, values| values.len() == 4).await;
    values.sort();
    assert_eq!(values, ["0", "2", "3", "4"], "partition 0 has fewer than its share");
}
