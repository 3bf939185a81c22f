//! Records that run out of time: the error says why they had to wait, and whether they may be in the log.

use std::time::Duration;

use ottla::Record;
use ottla::error::Code;
use ottla::error::Error;
use ottla::error::Kind;
use ottla::error::Written;
use ottla::mock::Fault;
use ottla::mock::On;
use ottla::mock::key;
use ottla::producer::Producer;
use ottla::producer::ProducerBuilder;

use super::net::Door;
use super::net::Ear;
use super::net::Net;
use super::run;
use super::world::OTHER;
use super::world::cluster;
use super::world::soon;

/// Longer than the set-up of a connection may take, so that a silent broker has failed by then.
const DELIVERY: Duration = Duration::from_secs(40);

async fn producer(net: &Net, with: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Producer {
    let client = soon("connect", net.client().connect()).await.expect("the brokers answer");
    with(client.producer().delivery_timeout(DELIVERY)).build().expect("the settings are fine")
}

/// The leader of the one partition of [`OTHER`].
fn leader(net: &Net) -> i32 {
    net.with(|cluster| cluster.leader(OTHER, 0)).expect("it has one").0
}

/// Sends a record that runs out of time.
async fn expired(producer: &Producer) -> Error {
    let error = producer.send(Record::to(OTHER).value("late")).await.expect_err("nothing acknowledges it");
    assert_eq!(error.kind(), Kind::Timeout, "{error:#}");
    error
}

#[test]
fn expired_record_names_the_refused_connection() {
    run(async {
        let net = Net::new(cluster());
        let producer = producer(&net, |builder| builder).await;
        net.set(leader(&net), |switches| switches.door = Door::Refusing);
        // Whether a request waits for the connection at that moment, which counts as sent, is left to chance.
        let text = format!("{:#}", expired(&producer).await);
        assert!(text.contains("not acknowledged within 40s (`delivery_timeout` / `delivery.timeout.ms`)"), "{text}");
        assert!(text.ends_with("connection refused") && text.matches("written)").count() == 1, "{text}");
    });
}

#[test]
fn expired_record_names_the_broker_that_is_silent() {
    run(async {
        let net = Net::new(cluster());
        let producer = producer(&net, |builder| builder).await;
        net.set(leader(&net), |switches| switches.door = Door::Silent);
        let text = format!("{:#}", expired(&producer).await);
        assert!(text.contains("no Kafka broker responded within"), "{text}");
    });
}

#[test]
fn expired_record_names_the_last_code_of_its_batch() {
    run(async {
        let net = Net::new(cluster());
        let producer = producer(&net, |builder| builder).await;
        let refused = On::api(key::PRODUCE).topic(OTHER).then(Fault::Error(Code::NotEnoughReplicas)).forever();
        net.with(|cluster| cluster.play(refused));
        let text = format!("{:#}", expired(&producer).await);
        let parts = ["(not written): the broker refused the batch: NOT_ENOUGH_REPLICAS", "`min.insync.replicas`"];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        // An acknowledged batch clears the reason: a later record that expires has another one.
        net.with(ottla::mock::Cluster::clear_faults);
        soon("send", producer.send(Record::to(OTHER).value("1"))).await.expect("it is acknowledged");
        net.set(leader(&net), |switches| switches.ear = Ear::Deaf);
        let error = expired(&producer).await;
        assert_eq!(error.is_written(), Some(Written::Maybe));
        assert!(!format!("{error:#}").contains("REPLICAS"), "{error:#}");
    });
}

#[test]
fn expired_record_names_the_failure_to_get_an_identity() {
    run(async {
        let net = Net::new(cluster());
        let refused = On::api(key::INIT_PRODUCER_ID).then(Fault::Error(Code::CoordinatorLoadInProgress)).forever();
        net.with(|cluster| cluster.play(refused));
        let text = format!("{:#}", expired(&producer(&net, |builder| builder).await).await);
        assert!(text.contains("could not get a producer identity") && text.contains("LOAD_IN_PROGRESS"), "{text}");
    });
}

#[test]
fn record_without_capacity_names_the_failure_of_the_buffered_ones() {
    run(async {
        let net = Net::new(cluster());
        let producer = producer(&net, |builder| builder.request_bytes_max(1_000).buffer_bytes(1_000)).await;
        net.set(leader(&net), |switches| switches.ear = Ear::Deaf);
        let value = "x".repeat(800);
        let first =
            soon("enqueue", producer.enqueue(Record::to(OTHER).value(&value))).await.expect("there is capacity");
        let error = producer.enqueue(Record::to(OTHER).value(&value)).await.expect_err("the buffer stays full");
        assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::No)));
        let text = format!("{error:#}");
        let parts = [
            "had no capacity by the deadline: 8",
            " of 1000 bytes (`buffer_bytes` / `buffer.memory`)",
            ": no Kafka broker responded",
        ];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(first.await.expect_err("nothing acknowledges it").is_written(), Some(Written::No));
    });
}

#[test]
fn closed_producer_names_the_failure_of_what_it_gives_up() {
    run(async {
        let net = Net::new(cluster());
        let producer = producer(&net, |builder| builder).await;
        net.set(leader(&net), |switches| switches.door = Door::Refusing);
        let delivery =
            soon("enqueue", producer.enqueue(Record::to(OTHER).value("1"))).await.expect("there is capacity");
        let error = producer.close(Duration::from_secs(2)).await.expect_err("a record is left");
        assert!(error.to_string().contains("closed after 2s"), "{error}");
        let error = delivery.await.expect_err("it was given up");
        assert_eq!(error.kind(), Kind::Closed);
        assert!(error.is_written().is_some() && format!("{error:#}").ends_with("connection refused"), "{error:#}");
    });
}

/// The values in the log of [`OTHER`].
fn values(net: &Net) -> Vec<String> {
    let log = net.with(|cluster| cluster.log(OTHER, 0));
    log.iter().map(|record| String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()).collect()
}

const OWN: Duration = Duration::from_secs(2);

#[test]
fn unsent_record_past_its_own_deadline_is_never_written() {
    run(async {
        let net = Net::new(cluster());
        let refused = On::api(key::INIT_PRODUCER_ID).then(Fault::Error(Code::CoordinatorLoadInProgress)).forever();
        net.with(|cluster| cluster.play(refused));
        let producer = producer(&net, |builder| builder).await;
        let begun = tokio::time::Instant::now();
        let mut deliveries = Vec::new();
        for (value, own) in [("1", None), ("2", Some(OWN)), ("3", None), ("4", Some(OWN)), ("5", Some(DELIVERY * 2))] {
            let record = Record::to(OTHER).value(value);
            let record = if let Some(own) = own { record.deadline(own) } else { record };
            deliveries.push(soon("enqueue", producer.enqueue(record)).await.expect("there is capacity"));
        }
        for late in [deliveries.remove(3), deliveries.remove(1)] {
            let error = late.await.expect_err("it has no identity");
            assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::No)));
            assert!(format!("{error:#}").contains("by its own deadline (`Record::deadline`)"), "{error:#}");
            assert_eq!(begun.elapsed().as_secs(), OWN.as_secs());
        }
        net.with(ottla::mock::Cluster::clear_faults);
        for (offset, delivery) in (0..).zip(deliveries) {
            let receipt = soon("delivery", delivery).await.expect("it is acknowledged");
            assert_eq!(receipt.offset, Some(offset));
        }
        assert_eq!(values(&net), ["1", "3", "5"]);
    });
}

#[test]
fn sent_record_past_its_own_deadline_may_be_written() {
    run(async {
        let net = Net::new(cluster());
        let producer = producer(&net, |builder| builder).await;
        soon("send", producer.send(Record::to(OTHER).value("1"))).await.expect("it is acknowledged");
        net.set(leader(&net), |switches| switches.ear = Ear::Deaf);
        let begun = tokio::time::Instant::now();
        let error = producer.send(Record::to(OTHER).value("2").deadline(OWN)).await.expect_err("the broker is deaf");
        assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::Maybe)));
        assert_eq!(begun.elapsed().as_secs(), OWN.as_secs());
        soon("flush", producer.flush()).await;
    });
}

#[test]
fn waiting_counts_for_the_deadline_of_a_record() {
    run(async {
        let net = Net::new(cluster());
        let small = |builder: ProducerBuilder| builder.request_bytes_max(1_000).buffer_bytes(1_000);
        let producer = producer(&net, small).await;
        soon("send", producer.send(Record::to(OTHER).value("1"))).await.expect("it is acknowledged");
        net.set_all(|switches| switches.ear = Ear::Deaf);
        let value = "x".repeat(800);
        let held = soon("enqueue", producer.enqueue(Record::to(OTHER).value(&value))).await.expect("there is capacity");
        let begun = tokio::time::Instant::now();
        for topic in ["unknown", OTHER] {
            let error =
                producer.send(Record::to(topic).value(&value).deadline(OWN)).await.expect_err("no broker answers");
            assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::No)), "{error:#}");
        }
        assert_eq!(begun.elapsed().as_secs(), 2 * OWN.as_secs());
        drop(held);
    });
}
