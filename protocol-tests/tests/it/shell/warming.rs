//! Warming a producer: the first record waits for nothing but its acknowledgement, and an error names what is missing.

use std::time::Duration;

use ottla::Record;
use ottla::error::Code;
use ottla::error::Kind;
use ottla::mock::Fault;
use ottla::producer::Guarantee;
use tokio::time::Instant;

use super::net::Door;
use super::net::Net;
use super::run;
use super::starting::chain;
use super::world::OTHER;
use super::world::PARTITIONS;
use super::world::TOPIC;
use super::world::cluster;
use super::world::soon;

const PRODUCE: i16 = 0;
const INIT_PRODUCER_ID: i16 = 22;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn first_records_of_a_warm_producer_wait_for_their_acknowledgement_only() {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        producer.warm([TOPIC, OTHER], 5 * SECOND).await.expect("nothing is missing");
        let (dials, requests) = (net.dials(), net.requests());
        let delay = Duration::from_millis(100);
        net.set_all(|switches| switches.delay = delay);
        let asked = Instant::now();
        for partition in 0..PARTITIONS {
            let record = Record::to(TOPIC).partition(partition).value("1");
            producer.send(record).await.expect("it is acknowledged");
        }
        assert_eq!(asked.elapsed(), 3 * delay, "one response for each record");
        assert_eq!((net.dials(), net.requests()), (dials, requests + 3));
    });
}

#[test]
fn warming_waits_for_brokers_that_start_late() {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        net.cut_all();
        net.set_all(|switches| switches.door = Door::Refusing);
        let producer = client.producer().build().expect("the settings are fine");
        let late = net.clone();
        tokio::spawn(async move {
            tokio::time::sleep(4 * SECOND).await;
            late.set_all(|switches| switches.door = Door::Open);
        });
        let asked = Instant::now();
        producer.warm([TOPIC], 10 * SECOND).await.expect("they answer in the end");
        assert!((4..7).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
    });
}

#[test]
fn error_of_warming_names_the_leader_that_is_missing() {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        net.set(2, |switches| switches.door = Door::Refusing);
        let asked = Instant::now();
        let error = producer.warm([TOPIC], 5 * SECOND).await.expect_err("a leader is missing");
        assert!(asked.elapsed() <= 5 * SECOND, "{:?}", asked.elapsed());
        let place = (error.kind(), error.topic(), error.partition());
        assert_eq!(place, (Kind::Timeout, Some(TOPIC), Some(1)));
        for part in ["could not connect to broker 2, the leader of a partition", "nothing listens there"] {
            assert!(chain(&error).contains(part), "{}", chain(&error));
        }
    });
}

#[test]
fn error_of_warming_names_the_partition_without_a_leader() {
    run(async {
        let mut cluster = cluster();
        cluster.set_down(1);
        let net = Net::new(cluster);
        let client = net.client().connect().await.expect("two brokers answer");
        let producer = client.producer().build().expect("the settings are fine");
        net.with(|cluster| {
            for broker in [2, 3] {
                cluster.inject_at(broker, 3, Fault::Error(Code::LeaderNotAvailable), u32::MAX);
            }
        });
        let error = producer.warm([TOPIC], 5 * SECOND).await.expect_err("no broker names a leader");
        assert_eq!((error.kind(), error.topic()), (Kind::Timeout, Some(TOPIC)), "{}", chain(&error));
    });
}

#[test]
fn error_of_warming_names_the_missing_topic() {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        let error = producer.warm([TOPIC, "nosuch"], 10 * SECOND).await.expect_err("it does not exist");
        assert_eq!((error.kind(), error.topic()), (Kind::UnknownTopic, Some("nosuch")));
    });
}

#[test]
fn error_of_warming_names_the_missing_producer_id() {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        net.with(|cluster| {
            cluster.inject(INIT_PRODUCER_ID, Fault::Error(Code::CoordinatorLoadInProgress), u32::MAX);
        });
        let producer = client.producer().build().expect("the settings are fine");
        let asked = Instant::now();
        let error = producer.warm([TOPIC], 5 * SECOND).await.expect_err("it is refused");
        assert_eq!((error.kind(), asked.elapsed()), (Kind::Timeout, 5 * SECOND));
        assert!(chain(&error).contains("COORDINATOR_LOAD_IN_PROGRESS"), "{}", chain(&error));
        // Another producer needs none.
        let producer = client.producer().guarantee(Guarantee::LeaderAck).build().expect("the settings are fine");
        producer.warm([TOPIC], SECOND).await.expect("it needs no identity");
        // The first one needs no help to go on.
        net.with(ottla::mock::Cluster::clear_faults);
        let producer = client.producer().build().expect("the settings are fine");
        producer.warm([TOPIC], 2 * SECOND).await.expect("nothing is missing");
        producer.close(SECOND).await.expect("nothing is open");
        assert_eq!(producer.warm([TOPIC], SECOND).await.expect_err("it is closed").kind(), Kind::Closed);
        assert_eq!(net.with(|cluster| cluster.requests_count(PRODUCE)), 0);
    });
}

#[test]
fn producer_that_may_not_be_idempotent_fails_to_warm_at_once() {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        net.with(|cluster| {
            cluster.inject(INIT_PRODUCER_ID, Fault::Error(Code::ClusterAuthorizationFailed), u32::MAX);
        });
        let producer = client.producer().build().expect("the settings are fine");
        let error = soon("warm", producer.warm([TOPIC], 60 * SECOND)).await.expect_err("it is refused");
        assert_eq!(error.code(), Some(Code::ClusterAuthorizationFailed));
    });
}
