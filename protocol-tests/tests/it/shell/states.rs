//! The state of a client: what a health endpoint sees of outages, and what changes nothing.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::client::State;
use ottla::client::StateWatch;
use ottla::error::Kind;
use ottla::mock::Fault;
use ottla::producer::Producer;
use tokio::time::Instant;

use super::net::Door;
use super::net::Net;
use super::run;
use super::starting::chain;
use super::world::PARTITIONS;
use super::world::TOPIC;
use super::world::cluster;
use super::world::soon;

const PRODUCE: i16 = 0;
const HOUR: Duration = Duration::from_secs(3_600);

fn shown(state: &State) -> String {
    match state {
        State::Degraded { brokers } => format!("degraded {brokers:?}"),
        State::Unreachable { .. } => "unreachable".to_owned(),
        state => format!("{state:?}").to_lowercase(),
    }
}

async fn next(states: &mut StateWatch) -> String {
    shown(&soon("a change of the state", states.changed()).await.expect("the client lives"))
}

/// A client with a producer that has written to each broker.
async fn connected(net: &Net) -> (Client, Producer, StateWatch) {
    let client = soon("connect", net.client().connect()).await.expect("they answer");
    let states = client.state();
    let producer = client.producer().delivery_timeout(HOUR).build().expect("the settings are fine");
    send(&producer).await;
    (client, producer, states)
}

async fn send(producer: &Producer) {
    for partition in 0..PARTITIONS {
        let sent = producer.send(Record::to(TOPIC).partition(partition).value("1"));
        soon("send", sent).await.expect("it is acknowledged");
    }
}

#[test]
fn state_follows_the_outage_of_a_broker_and_of_the_cluster() {
    run(async {
        let net = Net::new(cluster());
        let (_client, producer, mut states) = connected(&net).await;
        assert_eq!(shown(&states.current()), "connected");
        net.set(2, |switches| switches.door = Door::Refusing);
        net.cut_all();
        let of_2 = producer.enqueue(Record::to(TOPIC).partition(1).value("1")).await.expect("there is capacity");
        assert_eq!(next(&mut states).await, "degraded [2]");
        // The others are reached, and nothing changes.
        for partition in [0, 2] {
            let sent = producer.send(Record::to(TOPIC).partition(partition).value("1"));
            soon("send", sent).await.expect("it is acknowledged");
        }
        assert!(tokio::time::timeout(HOUR / 2, states.changed()).await.is_err());
        net.set_all(|switches| switches.door = Door::Refusing);
        net.cut_all();
        let begun = Instant::now();
        let of_1 = producer.enqueue(Record::to(TOPIC).partition(0).value("1")).await.expect("there is capacity");
        let mut last = next(&mut states).await;
        while last != "unreachable" {
            last = next(&mut states).await;
        }
        let State::Unreachable { since, error } = states.current() else { panic!("it is unreachable") };
        assert!(since >= begun.into_std() && since <= Instant::now().into_std());
        assert_eq!(error.kind(), Kind::Connect);
        assert!(chain(&error).contains("nothing listens there"), "{}", chain(&error));
        // Attempts go on, and are no changes.
        assert!(tokio::time::timeout(Duration::from_secs(600), states.changed()).await.is_err());
        net.set_all(|switches| switches.door = Door::Open);
        assert_eq!(next(&mut states).await, "connected");
        for delivery in [of_1, of_2] {
            soon("a delivery", delivery).await.expect("it is acknowledged");
        }
        assert_eq!(shown(&states.current()), "connected");
    });
}

#[test]
fn idle_connections_that_close_do_not_degrade() {
    run(async {
        let net = Net::new(cluster());
        let (_client, producer, mut states) = connected(&net).await;
        // Connections are closed after nine minutes; later they are dialled again.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(1_200)).await;
            send(&producer).await;
        }
        // A connection that is lost and can be had again is no outage, whether or not it was in use.
        net.cut_all();
        send(&producer).await;
        net.with(|cluster| cluster.inject(PRODUCE, Fault::CloseBefore, 3));
        send(&producer).await;
        assert_eq!(shown(&states.current()), "connected");
        assert!(tokio::time::timeout(Duration::ZERO, states.changed()).await.is_err());
    });
}

#[test]
fn lazy_client_is_connecting_then_unreachable_then_connected() {
    run(async {
        let net = Net::new(cluster());
        net.set_all(|switches| switches.door = Door::Refusing);
        let client = net.client().connect_lazy().expect("it is within a runtime");
        let mut states = client.state();
        assert_eq!(shown(&states.current()), "connecting");
        assert_eq!(next(&mut states).await, "unreachable");
        tokio::time::sleep(HOUR).await;
        net.set_all(|switches| switches.door = Door::Open);
        let mut seen = vec![next(&mut states).await];
        while seen.last().is_none_or(|state| state != "connected") {
            seen.push(next(&mut states).await);
        }
        assert!(seen == ["connected"] || seen == ["connecting", "connected"], "{seen:?}");
    });
}

#[test]
fn broker_that_nobody_needs_is_tried_again_with_the_metadata() {
    run(async {
        let net = Net::new(cluster());
        let (_client, producer, mut states) = connected(&net).await;
        net.set(2, |switches| switches.door = Door::Refusing);
        net.cut_all();
        let deliveries = producer.enqueue(Record::to(TOPIC).partition(1).value("1")).await.expect("there is capacity");
        assert_eq!(next(&mut states).await, "degraded [2]");
        producer.close(Duration::ZERO).await.expect_err("a record is left");
        drop((deliveries, producer));
        // Its producer is gone. It stays unreachable as long as it is.
        assert!(tokio::time::timeout(HOUR, states.changed()).await.is_err());
        net.set(2, |switches| switches.door = Door::Open);
        let found = tokio::time::timeout(Duration::from_secs(310), states.changed()).await;
        assert_eq!(found.expect("it is tried every five minutes").map(|state| shown(&state)), Some("connected".into()));
    });
}

#[test]
fn watch_ends_with_the_client() {
    run(async {
        let net = Net::new(cluster());
        let (client, producer, mut states) = connected(&net).await;
        let mut more = states.clone();
        drop((client, producer));
        assert!(soon("the end", states.changed()).await.is_none());
        assert!(soon("the end", more.changed()).await.is_none());
        assert_eq!(shown(&states.current()), "connected", "the last state stays");
    });
}
