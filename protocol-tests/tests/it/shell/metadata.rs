//! Metadata: found in time whatever brokers do, refreshed for topics in use and for no others, and created only where that is allowed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla::Record;
use ottla::admin::NewTopic;
use ottla::admin::OffsetSpec;
use ottla::client::Connector;
use ottla::client::Dialling;
use ottla::error::Code;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::types::TopicPartition;
use tokio::time::Instant;

use super::net::Ear;
use super::net::Net;
use super::run;
use super::world::OTHER;
use super::world::TOPIC;
use super::world::cluster;
use super::world::soon;

const METADATA: i16 = 3;

/// Virtual time passes where nothing happens, so that this is a measure of waiting.
async fn seconds<F: Future>(future: F) -> (F::Output, f64) {
    let begun = Instant::now();
    let output = future.await;
    (output, begun.elapsed().as_secs_f64())
}

#[test]
fn silent_brokers_delay_metadata_by_a_second_each_at_most() {
    run(async {
        let mut cluster = Cluster::builder().brokers(11).topic(TOPIC, 11).topic(OTHER, 1).auto_create(false).build();
        for partition in 0..11 {
            assert!(cluster.move_leader(TOPIC, partition, partition + 1));
        }
        assert!(cluster.move_leader(OTHER, 0, 11));
        let net = Net::new(cluster);
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        soon("send", producer.send(Record::to(TOPIC).partition(10).value("1"))).await.expect("it is acknowledged");
        // There is a connection to each broker, and it works.
        let all = (0..11).map(|partition| (TopicPartition::new(TOPIC, partition), OffsetSpec::Latest));
        let listed = soon("list", client.admin().list_offsets(all)).await;
        assert!(listed.iter().all(|(_, listed)| listed.is_ok()));
        for broker in 1..=10 {
            net.set(broker, |switches| switches.ear = Ear::Deaf);
        }
        let (sent, took) = seconds(producer.send(Record::to(OTHER).value("1"))).await;
        sent.expect("the last broker answers");
        assert!(took < 12.0, "took {took} s");
        let (listed, took) = seconds(client.admin().list_topics()).await;
        listed.expect("the last broker answers");
        assert!(took < 12.0, "took {took} s");
        // Connections that did not answer are known by now.
        let (sent, took) =
            seconds(client.admin().list_offsets([(TopicPartition::new("more", 0), OffsetSpec::Latest)])).await;
        assert_eq!(sent[0].1.as_ref().expect_err("there is none").kind(), Kind::UnknownTopic);
        assert!(took < 20.0, "took {took} s");
    });
}

#[test]
fn slow_change_and_slow_metadata_both_succeed_within_the_request_timeout() {
    run(async {
        let net = Net::new(cluster());
        // Setting up a connection takes two responses.
        let setup = Duration::from_secs(30);
        let client = soon("connect", net.client().setup_timeout(setup, setup).connect()).await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        net.set_all(|switches| switches.delay = Duration::from_secs(6));
        let admin = client.admin();
        let created = tokio::spawn(async move { admin.create_topics([NewTopic::new("n")]).await });
        let (sent, took) = seconds(producer.send(Record::to(OTHER).value("1"))).await;
        sent.expect("each response comes after 6 s");
        // The metadata, the versions of the leader, the acknowledgement; an identity meanwhile.
        assert!((12.0..50.0).contains(&took), "took {took} s");
        let created = created.await.expect("it does not panic").expect("the controller answers");
        assert!(created[0].1.is_ok(), "{created:?}");
    });
}

#[test]
fn slow_change_does_not_delay_metadata() {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        // The controller never answers a change.
        net.with(|cluster| cluster.inject(19, Fault::Swallowed, 1));
        let admin = client.admin();
        let creating = tokio::spawn(async move { admin.create_topics([NewTopic::new("n")]).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..6 {
            soon("list", client.admin().list_topics()).await.expect("they answer");
        }
        assert!(!creating.is_finished(), "the change waits for its answer");
        creating.await.expect("it does not panic").expect_err("there is no answer");
    });
}

#[test]
fn unused_topic_is_not_refreshed_forever() {
    run(async {
        let net = Net::new(cluster());
        let minute = Duration::from_secs(60);
        let client = net.client().metadata_age_max(minute).metadata_idle_max(5 * minute).connect();
        let client = soon("connect", client).await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        let consumer = client.consumer().assign([OTHER]).build().expect("the settings are fine");
        soon("send", producer.send(Record::to(TOPIC).value("1"))).await.expect("it is acknowledged");
        tokio::time::sleep(minute).await;
        assert_eq!(client.metrics().metadata.topics, 2);
        for _ in 0..20 {
            tokio::time::sleep(minute / 2).await;
            soon("send", producer.send(Record::to(TOPIC).value("1"))).await.expect("it is acknowledged");
            assert_eq!(client.metrics().metadata.topics, 2, "both are used");
        }
        tokio::time::sleep(8 * minute).await;
        assert_eq!(client.metrics().metadata.topics, 1, "the consumer holds one");
        drop(consumer);
        tokio::time::sleep(8 * minute).await;
        assert_eq!(client.metrics().metadata.topics, 0);
        soon("send", producer.send(Record::to(TOPIC).value("1"))).await.expect("it is known again when it is used");
    });
}

#[test]
fn name_that_no_topic_can_have_spoils_no_refresh() {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        let admin = client.admin();
        let long = "a".repeat(40_000);
        for bad in [&*long, "a b", "", ".."] {
            let listed = admin.list_offsets([(TopicPartition::new(bad, 0), OffsetSpec::Latest)]);
            let error = soon("list", listed).await.remove(0).1.expect_err("no topic has this name");
            assert_eq!(error.kind(), Kind::Config, "{error}");
            assert!(error.to_string().len() < 1_000, "{error}");
            producer.try_enqueue(Record::to(bad).value("1")).expect_err("no topic has this name");
        }
        soon("send", producer.send(Record::to(OTHER).value("1"))).await.expect("metadata is refreshed");
    });
}

#[test]
fn topics_are_created_only_where_that_is_allowed() {
    run(async {
        let net = Net::new(Cluster::builder().brokers(3).topic(TOPIC, 1).auto_create(true).build());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        let careful = client.producer().build().expect("the settings are fine");
        let error = careful.send(Record::to("first").value("1")).await.expect_err("it may not be created");
        assert_eq!(error.kind(), Kind::UnknownTopic);
        let producer = client.producer().allow_auto_create_topics(true).build().expect("the settings are fine");
        soon("send", producer.send(Record::to("second").value("1"))).await.expect("it is created");
        let mut consumer = client.consumer().allow_auto_create_topics(true).assign(["third"]).build().expect("fine");
        soon("poll", consumer.poll()).await.expect("it is created and empty");
        net.with(|cluster| {
            let exists = ["first", "second", "third"].map(|name| cluster.topic_id(name).is_some());
            assert_eq!(exists, [false, true, true]);
        });
    });
}

#[test]
fn metadata_is_requested_soon_after_a_leader_was_elected() {
    run(async {
        let mut cluster = cluster();
        assert!(cluster.move_leader(OTHER, 0, 3));
        let net = Net::new(cluster);
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        soon("send", producer.send(Record::to(OTHER).value("1"))).await.expect("it is acknowledged");
        // The leader is down, and metadata reports that for a while.
        net.with(|cluster| cluster.inject(METADATA, Fault::Error(Code::LeaderNotAvailable), u32::MAX));
        net.with(|cluster| cluster.set_down(3));
        let sending = tokio::spawn(async move { producer.send(Record::to(OTHER).value("2")).await });
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(!sending.is_finished());
        let before = net.with(|cluster| {
            cluster.clear_faults();
            cluster.requests_count(METADATA)
        });
        assert!(before < 60, "{before} requests");
        let asked = async {
            while net.with(|cluster| cluster.requests_count(METADATA)) == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ((), took) = seconds(asked).await;
        assert!(took < 0.3, "took {took} s");
        soon("send", sending).await.expect("it does not panic").expect("another broker leads");
    });
}

/// Connects to brokers until the test sets `wrong`: then it fails as if the credentials were wrong.
#[derive(Clone, Debug)]
struct Locked {
    net: Net,
    wrong: Arc<AtomicBool>,
    dials: Arc<AtomicU32>,
}

impl Connector for Locked {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        if self.wrong.load(Ordering::Relaxed) {
            return Box::pin(async { Err(ottla::Error::authentication("wrong password").into()) });
        }
        self.net.connect(host, port)
    }
}

#[test]
fn wrong_credentials_fail_at_once_and_are_tried_once() {
    run(async {
        let net = Net::new(cluster());
        let locked = Locked { net: net.clone(), wrong: Arc::new(true.into()), dials: Arc::default() };
        let connect = || soon("connect", net.client().connector(locked.clone()).connect());
        assert_eq!(connect().await.expect_err("refused").kind(), Kind::Authentication);
        assert_eq!(locked.dials.load(Ordering::Relaxed), 1);
        locked.wrong.store(false, Ordering::Relaxed);
        let client = connect().await.expect("accepted");
        let producer = client.producer().build().expect("the settings are fine");
        locked.wrong.store(true, Ordering::Relaxed);
        net.cut_all();
        let sent = soon("send", producer.send(Record::to(OTHER).value("1"))).await;
        assert_eq!(sent.expect_err("refused").kind(), Kind::Authentication);
    });
}
