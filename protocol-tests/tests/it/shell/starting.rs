//! Starting: connecting while brokers are down, in the foreground and in the background.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use ottla::Client;
use ottla::Error;
use ottla::Record;
use ottla::consumer::Start;
use ottla::error::Kind;
use tokio::time::Instant;

use super::net::Door;
use super::net::Ear;
use super::net::Net;
use super::run;
use super::world::OTHER;
use super::world::TOPIC;
use super::world::cluster;
use super::world::soon;

/// An error and its causes in one line.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Opens the doors of all brokers after a while.
fn open_after(net: &Net, pause: Duration) {
    let net = net.clone();
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        net.set_all(|switches| switches.door = Door::Open);
    });
}

#[test]
fn connect_succeeds_once_a_broker_starts_within_the_setup_timeout() {
    for door in [Door::Refusing, Door::Silent] {
        run(async {
            let net = Net::new(cluster());
            net.set_all(|switches| switches.door = door);
            open_after(&net, Duration::from_secs(4));
            let asked = Instant::now();
            let connected = net.client().setup_timeout(Duration::from_secs(6), Duration::from_secs(6)).connect().await;
            let took = asked.elapsed();
            // A dial that began before gets no response.
            assert_eq!(connected.is_ok(), door == Door::Refusing, "{door:?}: {connected:?}");
            assert!((Duration::from_secs(4)..Duration::from_millis(6_100)).contains(&took), "{door:?}: {took:?}");
        });
    }
}

#[test]
fn connect_fails_at_the_setup_timeout_with_the_reason() {
    let listener = "check that the port is a Kafka listener";
    for (door, ear, reason) in [
        (Door::Refusing, Ear::Listening, "nothing listens there"),
        (Door::Silent, Ear::Listening, listener),
        (Door::Open, Ear::Deaf, listener),
    ] {
        run(async {
            let net = Net::new(cluster());
            net.set_all(|switches| (switches.door, switches.ear) = (door, ear));
            let asked = Instant::now();
            let error = net.client().connect().await.expect_err("no broker answers");
            let took = asked.elapsed();
            assert!((Duration::from_secs(8)..Duration::from_millis(10_100)).contains(&took), "{door:?}: {took:?}");
            assert_eq!(error.kind(), Kind::Connect, "{error:?}");
            assert!(chain(&error).contains(reason), "{}", chain(&error));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(net.tasks_of_client(), 0, "a task is left");
        });
    }
}

#[test]
fn connect_fails_at_once_where_a_retry_cannot_help() {
    run(async {
        let net = Net::new(cluster());
        net.set_all(|switches| switches.door = Door::Rejecting);
        let asked = Instant::now();
        assert_eq!(net.client().connect().await.expect_err("rejected").kind(), Kind::Authentication);
        net.set_all(|switches| switches.door = Door::Open);
        net.set_liar(Some(Box::new(|_, _, _, _| Bytes::from_static(b"HTTP/1.1 400 Bad Request\r\n\r\n"))));
        let error = net.client().connect().await.expect_err("this is no Kafka");
        assert_eq!(error.kind(), Kind::Protocol, "{}", chain(&error));
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    });
}

#[test]
fn lazy_client_works_once_brokers_start() {
    run(async {
        let net = Net::new(cluster());
        net.set_all(|switches| switches.door = Door::Refusing);
        let client = net.client().connect_lazy().expect("it is within a runtime");
        let producer = client.producer().build().expect("the settings are fine");
        let mut consumer =
            client.consumer().group("g").assign([OTHER]).start(Start::Earliest).build().expect("the settings are fine");
        let (sending, admin) = (producer.clone(), client.admin());
        let sent = tokio::spawn(async move { sending.send(Record::to(OTHER).value("1")).await });
        let listed = tokio::spawn(async move { admin.list_topics().await });
        open_after(&net, Duration::from_secs(20));
        tokio::time::sleep(Duration::from_secs(20)).await;
        let opened = Instant::now();
        let receipt = sent.await.expect("it does not panic").expect("it is acknowledged");
        assert_eq!((receipt.partition, receipt.offset), (0, Some(0)));
        listed.await.expect("it does not panic").expect("they answer");
        let records = consumer.poll().await.expect("nothing is wrong").expect("the read has no end");
        assert_eq!(records.count(), 1);
        consumer.commit().await.expect("the coordinator takes it");
        assert!(opened.elapsed() < Duration::from_secs(5), "{:?}", opened.elapsed());
        // Client, producer and consumer end in order.
        drop((client, producer, consumer));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(net.tasks_of_client(), 0, "a task is left");
    });
}

#[test]
fn calls_of_a_lazy_client_fail_by_their_deadlines_with_the_reason() {
    run(async {
        let net = Net::new(cluster());
        net.set_all(|switches| switches.door = Door::Refusing);
        let second = Duration::from_secs(1);
        let client = net.client().api_timeout(7 * second).connect_lazy().expect("it is within a runtime");
        let producer = client.producer().delivery_timeout(5 * second).build().expect("the settings are fine");
        let asked = Instant::now();
        let error = producer.send(Record::to(TOPIC).value("1")).await.expect_err("no broker answers");
        assert_eq!((error.kind(), asked.elapsed().as_secs()), (Kind::Timeout, 5));
        assert!(chain(&error).contains("nothing listens there"), "{}", chain(&error));
        let asked = Instant::now();
        let error = soon_or_later(client.admin().list_topics()).await;
        assert_eq!(error.kind(), Kind::Timeout);
        assert!(chain(&error).contains("nothing listens there"), "{}", chain(&error));
        assert!((5..=7).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
    });
}

async fn soon_or_later<T: std::fmt::Debug>(call: impl Future<Output = Result<T, Error>>) -> Error {
    call.await.expect_err("no broker answers")
}

#[test]
fn lazy_client_that_is_dropped_stops_connecting() {
    run(async {
        let net = Net::new(cluster());
        net.set_all(|switches| switches.door = Door::Silent);
        let client = net.client().connect_lazy().expect("it is within a runtime");
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(net.dials() > 0);
        drop(client);
        soon("the tasks to end", async {
            while net.tasks_of_client() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    });
}

#[test]
fn malformed_address_of_a_lazy_client_is_refused() {
    let error = Client::connect_lazy(["localhost:no-port"]).expect_err("not an address");
    assert_eq!(error.kind(), Kind::Config);
}
