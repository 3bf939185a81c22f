//! The admin against the mock cluster over TCP.

mod outages;

use std::time::Duration;

use super::*;
use crate::error::Kind;
use crate::error::Written;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::On;
use crate::mock::Server;
use crate::mock::key;
use crate::net::clock;
use crate::producer::Record;
use crate::types::TopicPartition;

const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
const DELETE_TOPICS: i16 = 20;
const DESCRIBE_CLUSTER: i16 = 60;
const DESCRIBE_CONFIGS: i16 = 32;

async fn serve(mock: Mock) -> (Server, Client) {
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let client = Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
    (
        server,
        client.retry_backoff(Duration::from_millis(1), Duration::from_millis(10)).connect().await.expect("it answers"),
    )
}

fn three() -> Mock {
    Mock::builder().brokers(3).topic("t", 3).build()
}

fn names(outcomes: &Outcomes) -> Vec<(&str, bool)> {
    outcomes.iter().map(|(name, outcome)| (&**name, outcome.is_ok())).collect()
}

#[tokio::test]
async fn read_only_request_goes_to_another_broker_after_a_hangup() {
    let (server, client) = serve(three()).await;
    server.with(|mock| mock.inject(METADATA, Fault::CloseBefore, 2));
    assert_eq!(client.admin().list_topics().await.expect("the third answers"), [TopicName::from("t")]);
    server.with(|mock| mock.inject(METADATA, Fault::CloseBefore, 2));
    let described = client.admin().describe_topics(["t"]).await.expect("the third answers");
    assert_eq!(described[0].partitions.len(), 3);
    assert!(described[0].partitions.iter().all(|partition| partition.leader.is_some() && !partition.isr.is_empty()));
}

#[tokio::test]
async fn each_topic_has_an_outcome_in_the_order_named() {
    let (_server, client) = serve(three()).await;
    let admin = client.admin();
    let made = admin.create_topics(["b", "t", "a"].map(|name| NewTopic::new(name).partitions(2))).await;
    let made = made.expect("the controller answers");
    assert_eq!(names(&made), [("b", true), ("t", false), ("a", true)]);
    let error = made[1].1.as_ref().expect_err("there is one");
    assert_eq!((error.code(), error.topic()), (Some(Code::TopicAlreadyExists), Some("t")));
    let gone = admin.delete_topics(["a", "nosuch", "b"]).await.expect("the controller answers");
    assert_eq!(names(&gone), [("a", true), ("nosuch", false), ("b", true)]);
    assert_eq!(admin.list_topics().await.expect("an answer"), [TopicName::from("t")]);
}

#[tokio::test]
async fn change_follows_the_controller_and_is_made_once() {
    for code in [Code::NotController, Code::ThrottlingQuotaExceeded] {
        let (server, client) = serve(three()).await;
        server.with(|mock| mock.inject(CREATE_TOPICS, Fault::Error(code), 3));
        let made = client.admin().create_topics([NewTopic::new("n")]).await.expect("found");
        assert_eq!(names(&made), [("n", true)]);
        assert_eq!(server.with(|mock| mock.requests_count(CREATE_TOPICS)), 4);
        server.with(|mock| mock.inject(DELETE_TOPICS, Fault::Error(code), 3));
        assert_eq!(names(&client.admin().delete_topics(["n"]).await.expect("found")), [("n", true)]);
    }
}

#[tokio::test]
async fn change_with_unknown_outcome_is_not_repeated() {
    let (server, client) = serve(three()).await;
    server.with(|mock| mock.inject(CREATE_TOPICS, Fault::CloseAfter, 1));
    let error = client.admin().create_topics([NewTopic::new("n")]).await.expect_err("it is not known");
    assert_eq!(error.is_written(), Some(Written::Maybe));
    assert_eq!(server.with(|mock| mock.requests_count(CREATE_TOPICS)), 1);
}

#[tokio::test]
async fn invalid_name_is_refused_before_a_request_is_sent() {
    let (server, client) = serve(three()).await;
    for bad in ["", ".", "a b", "a/b"] {
        let error = client.admin().create_topics([NewTopic::new("fine"), NewTopic::new(bad)]).await.expect_err(bad);
        assert_eq!(error.kind(), Kind::Config);
    }
    assert_eq!(server.with(|mock| mock.requests_count(CREATE_TOPICS)), 0);
}

#[tokio::test]
async fn cluster_is_described_by_old_brokers_too() {
    let modern = three();
    let old = Mock::builder().brokers(3).topic("t", 3).versions(DESCRIBE_CLUSTER, 1, 0).build();
    for mock in [modern, old] {
        let (_server, client) = serve(mock).await;
        let cluster = client.admin().describe_cluster().await.expect("an answer");
        assert_eq!(cluster.brokers.iter().map(|broker| broker.id).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(cluster.brokers.iter().all(|broker| broker.host == "127.0.0.1" && broker.port > 0));
        assert!(cluster.controller.is_some_and(|id| (1..=3).contains(&id)));
        assert_eq!(cluster.id.as_deref(), Some("ottla-mock-cluster-000"));
    }
}

#[tokio::test]
async fn offsets_come_from_leaders_that_move() {
    let (server, client) = serve(three()).await;
    let producer = client.producer().build().expect("the defaults are fine");
    for index in 0..4 {
        let record = Record::to("t").partition(0).value("v").timestamp(1_000 + index);
        producer.send(record).await.expect("it takes it");
    }
    server.with(|mock| {
        mock.inject(LIST_OFFSETS, Fault::Error(Code::NotLeaderOrFollower), 1);
        mock.inject(LIST_OFFSETS, Fault::CloseBefore, 1);
    });
    let at = |partition, spec| (TopicPartition::new("t", partition), spec);
    let asked =
        [at(0, OffsetSpec::Latest), at(1, OffsetSpec::Earliest), at(2, OffsetSpec::Latest), at(3, OffsetSpec::Latest)];
    let listed = client.admin().list_offsets(asked).await;
    let offsets: Vec<_> = listed.iter().map(|(_, listed)| listed.as_ref().ok().and_then(|l| l.offset)).collect();
    assert_eq!(offsets, [Some(4), Some(0), Some(0), None]);
    let missing = listed[3].1.as_ref().expect_err("there are three");
    assert_eq!((missing.kind(), missing.partition()), (Kind::UnknownTopic, Some(3)));
    for (time, expected) in [(0, Some(0)), (1_002, Some(2)), (9_000, None)] {
        let listed = client.admin().list_offsets([at(0, OffsetSpec::Timestamp(time))]).await;
        assert_eq!(listed[0].1.as_ref().expect("an answer").offset, expected, "at {time}");
    }
    let both_ends = [at(0, OffsetSpec::Earliest), at(0, OffsetSpec::Latest), at(0, OffsetSpec::Timestamp(1_002))];
    let listed = client.admin().list_offsets(both_ends).await;
    let offsets: Vec<_> = listed.iter().map(|(_, listed)| listed.as_ref().ok().and_then(|l| l.offset)).collect();
    assert_eq!(offsets, [Some(0), Some(4), Some(2)], "each has an outcome of its own");
}

#[tokio::test(start_paused = true)]
async fn offsets_of_many_topics_wait_for_metadata_once() {
    let names = || (0..100).map(|number| format!("t{number}"));
    let cluster = names().fold(Mock::builder().brokers(3), |builder, name| builder.topic(&name, 3)).build();
    let server = Server::in_memory(cluster);
    let builder = Client::builder([server.bootstrap()]).expect("well-formed").connector(server.connector());
    let client = builder.connect().await.expect("it answers");
    let count = |api_key| server.with(|mock| mock.requests_count(api_key));
    let (begun, metadata) = (clock::now(), count(METADATA));
    let missing = (0..20).map(|number| format!("missing{number}"));
    let asked = names().chain(missing).flat_map(|name| [0, 1, 2].map(|index| TopicPartition::new(name.clone(), index)));
    let listed = client.admin().list_offsets(asked.map(|key| (key, OffsetSpec::Latest))).await;
    let kinds: Vec<_> = listed.iter().map(|(_, listed)| listed.as_ref().map_err(Error::kind)).collect();
    assert!(kinds[..300].iter().all(Result::is_ok), "{kinds:?}");
    assert!(kinds[300..].iter().all(|kind| *kind.as_ref().unwrap_err() == Kind::UnknownTopic), "{kinds:?}");
    assert_eq!(count(LIST_OFFSETS), 3, "one request to each leader");
    assert!(clock::now() - begun < Duration::from_secs(6), "missing topics are waited for at the same time");
    assert!(count(METADATA) - metadata < 20, "the requests of topics are combined: {}", count(METADATA) - metadata);
}

#[tokio::test]
async fn read_only_requests_create_no_topic() {
    let (server, client) = serve(Mock::builder().auto_create(true).build()).await;
    let described = client.admin().describe_topics(["nosuch"]).await.expect("an answer");
    assert_eq!(described[0].error, Some(Code::UnknownTopicOrPartition));
    let listed = client.admin().list_offsets([(TopicPartition::new("nosuch", 0), OffsetSpec::Latest)]).await;
    assert_eq!(listed[0].1.as_ref().expect_err("there is none").kind(), Kind::UnknownTopic);
    assert!(client.admin().list_topics().await.expect("an answer").is_empty());
    assert!(server.with(|mock| mock.topic_id("nosuch")).is_none());
}

#[tokio::test]
async fn call_ends_by_the_api_timeout() {
    let (server, _) = serve(three()).await;
    let client = Client::builder([server.bootstrap()]).expect("well-formed").api_timeout(Duration::from_millis(300));
    let client = client.connect().await.expect("it answers");
    server.with(|mock| mock.inject(CREATE_TOPICS, Fault::Error(Code::NotController), u32::MAX));
    let error = client.admin().create_topics([NewTopic::new("n")]).await.expect_err("there is no controller");
    assert!(error.is_timeout(), "{error}");
}

#[tokio::test]
async fn names_no_topic_can_have_are_refused_before_a_broker_is_asked() {
    let (server, client) = serve(three()).await;
    let (admin, before) = (client.admin(), server.with(|mock| mock.requests().len()));
    // The second is one byte longer than a classic string can be.
    for name in ["a/b".to_owned(), "x".repeat(32_768)] {
        let refused = |error: &Error| (error.kind(), error.topic().map(|topic| name.starts_with(topic)));
        let expected = (Kind::Config, Some(true));
        let offsets = [(TopicPartition::new(&*name, 0), OffsetSpec::Latest)];
        let listed = admin.list_offsets(offsets).await;
        assert_eq!(refused(listed[0].1.as_ref().unwrap_err()), expected);
        assert_eq!(refused(&admin.describe_topics([&*name]).await.unwrap_err()), expected);
        assert_eq!(refused(&admin.create_topics([NewTopic::new(&*name)]).await.unwrap_err()), expected);
        assert_eq!(refused(&admin.delete_topics([&*name]).await.unwrap_err()), expected);
        let described = admin.describe_configs(ConfigQuery::new([ConfigResource::topic(&*name)])).await;
        assert_eq!(refused(described[0].1.as_ref().unwrap_err()), expected);
        let error = described[0].1.as_ref().unwrap_err().to_string();
        assert!(error.len() < 1_000, "{error}");
    }
    assert_eq!(server.with(|mock| mock.requests().len()), before);
    // Later refreshes are not affected.
    assert_eq!(admin.describe_topics(["t"]).await.expect("a broker answers").len(), 1);
}

#[tokio::test]
async fn configuration_is_described_by_the_broker_that_has_it() {
    let (server, client) = serve(three()).await;
    server.with(|mock| mock.set_batch_bytes_max("t", 2_000));
    let resources = [
        ConfigResource::Broker(3),
        ConfigResource::topic("t"),
        ConfigResource::topic("missing"),
        ConfigResource::Broker(1),
        ConfigResource::BrokerDefaults,
        ConfigResource::topic("t"),
    ];
    let described = client.admin().describe_configs(ConfigQuery::new(resources.clone()).with_synonyms()).await;
    let order: Vec<_> = described.iter().map(|(resource, _)| resource.clone()).collect();
    assert_eq!(order, resources);
    let entries = |at: usize| described[at].1.as_ref().expect("it is described");
    for (at, id) in [(0, "3"), (3, "1")] {
        let entry = &entries(at)[0];
        assert_eq!((&*entry.name, entry.value.as_deref()), ("node.id", Some(id)));
        assert!(entry.read_only && !entry.sensitive && !entry.is_default());
        assert_eq!((entry.source, entry.kind), (ConfigSource::StaticBroker, ConfigType::Int));
    }
    let entry = &entries(1)[0];
    assert_eq!((&*entry.name, entry.value.as_deref()), ("max.message.bytes", Some("2000")));
    assert_eq!((entry.source, &entry.documentation), (ConfigSource::Topic, &None));
    let sources: Vec<_> = entry.synonyms.iter().map(|synonym| (&*synonym.name, synonym.source)).collect();
    assert_eq!(sources, [("max.message.bytes", ConfigSource::Topic), ("message.max.bytes", ConfigSource::Default)]);
    let missing = described[2].1.as_ref().expect_err("there is no such topic");
    assert_eq!((missing.code(), missing.topic()), (Some(Code::UnknownTopicOrPartition), Some("missing")));
    // Kafka's message is empty here and adds nothing.
    assert!(!missing.to_string().contains("configuration: "), "{missing}");
    assert_eq!(entries(4), &[]);
    assert_eq!(entries(5), entries(1));
    // One request to each broker that is named, and one for all the others.
    let requests = server.with(|mock| mock.requests().filter(|seen| seen.api_key == DESCRIBE_CONFIGS).count());
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn configuration_is_asked_for_again_after_a_lost_connection() {
    let (server, client) = serve(three()).await;
    server.with(|mock| mock.inject(DESCRIBE_CONFIGS, Fault::CloseBefore, 2));
    let query = ConfigQuery::new([ConfigResource::Broker(2), ConfigResource::topic("t")]);
    let query = query.keys(["node.id", "max.message.bytes"]).with_documentation();
    let described = client.admin().describe_configs(query).await;
    for (resource, entries) in described {
        let entries = entries.unwrap_or_else(|error| panic!("{resource:?}: {error}"));
        assert!(entries[0].documentation.is_some() && entries[0].synonyms.is_empty());
    }
}

#[tokio::test]
async fn topic_is_ensured_grown_and_changed_on_the_mock() {
    let (server, client) = serve(three()).await;
    let admin = client.admin();
    let spec = |name: &str| TopicSpec::new(name).partitions(4).retention(Duration::from_secs(60));
    assert_eq!(admin.ensure_topic(spec("new")).await.expect("an outcome"), Ensured::Created);
    assert_eq!(admin.ensure_topic(spec("new")).await.expect("an outcome"), Ensured::Unchanged);
    let configs = vec![("retention.ms".to_owned(), None, "60000".to_owned())];
    let changed = Ensured::Changed { partitions: Some((3, 4)), configs };
    assert_eq!(admin.ensure_topic(spec("t")).await.expect("an outcome"), changed);
    let conflict = TopicConflict::Partitions { has: 4, wanted: 1 };
    let outcome = admin.ensure_topic(TopicSpec::new("t").partitions(1)).await;
    assert_eq!(outcome.expect("an outcome"), Ensured::Conflict(conflict));
    // A response that was lost leaves no doubt: the topic is looked at again.
    for api in [CREATE_TOPICS, key::CREATE_PARTITIONS, key::INCREMENTAL_ALTER_CONFIGS] {
        server.with(|mock| mock.inject(api, Fault::CloseAfter, 1));
    }
    assert_eq!(admin.ensure_topic(spec("lost")).await.expect("an outcome"), Ensured::Created);
    let grown = admin.ensure_topic(spec("lost").partitions(6).config("retention.ms", "7")).await;
    let configs = vec![("retention.ms".to_owned(), Some("60000".to_owned()), "7".to_owned())];
    assert_eq!(grown.expect("an outcome"), Ensured::Changed { partitions: Some((4, 6)), configs });
    let described = admin.describe_topics(["lost"]).await.expect("an answer");
    assert_eq!(described[0].partitions.len(), 6);
}

#[tokio::test]
async fn refused_creation_and_invalid_spec_are_errors_of_ensure_topic() {
    let (server, client) = serve(three()).await;
    let admin = client.admin();
    server.with(|mock| mock.inject(CREATE_TOPICS, Fault::Error(Code::TopicAuthorizationFailed), 1));
    let error = admin.ensure_topic(TopicSpec::new("secret")).await.expect_err("no permission");
    assert_eq!((error.code(), error.topic()), (Some(Code::TopicAuthorizationFailed), Some("secret")));
    let before = server.with(|mock| mock.requests().len());
    for spec in [TopicSpec::new("a b"), TopicSpec::new("t").partitions(0), TopicSpec::new("t").replication(-1)] {
        assert_eq!(admin.ensure_topic(spec).await.expect_err("it is invalid").kind(), Kind::Config);
    }
    assert_eq!(server.with(|mock| mock.requests().len()), before);
}

#[tokio::test]
async fn half_of_a_change_that_gets_no_controller_names_its_topics() {
    let (server, client) = serve(three()).await;
    let client = client.admin().timeout(Duration::from_millis(300));
    server.with(|mock| mock.play(On::api(CREATE_TOPICS).topic("b").then(Fault::Error(Code::NotController)).forever()));
    let made = client.create_topics(["a", "b"].map(NewTopic::new)).await.expect("one has an outcome");
    assert_eq!(names(&made), [("a", true), ("b", false)]);
    let error = made[1].1.as_ref().expect_err("it got no controller");
    assert!(error.is_timeout() && error.topic() == Some("b"), "{error:#}");
}

#[tokio::test]
async fn probe_says_who_was_authenticated() {
    let users = crate::mock::SaslUsers::new().plain("alice", "hunter2");
    let mock = Mock::builder().sasl(users).build();
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let sasl = crate::sasl::Sasl::plain("alice", "hunter2").allow_plaintext_credentials();
    let builder = Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
    let client = builder.sasl(sasl).connect().await.expect("the password is right");
    let probe = client.probe(Duration::from_secs(5)).await.expect("an answer");
    assert_eq!((probe.authenticated.as_deref(), probe.encrypted), (Some("user alice by PLAIN"), false));
}

#[tokio::test]
async fn probe_reports_a_broker_that_is_down_beside_the_others() {
    let (server, client) = serve(three()).await;
    let probe = client.probe(Duration::from_secs(5)).await.expect("an answer");
    assert!(probe.is_healthy() && probe.topics == [TopicName::from("t")] && probe.brokers.len() == 3);
    server.with(|mock| mock.inject_at(2, key::API_VERSIONS, Fault::CloseBefore, u32::MAX));
    let probe = client.probe(Duration::from_secs(2)).await.expect("the others answer");
    let silent: Vec<_> = probe.brokers.iter().filter(|one| one.served.is_err()).map(|one| one.broker.id).collect();
    assert_eq!((silent, probe.is_healthy()), (vec![2], false));
}
