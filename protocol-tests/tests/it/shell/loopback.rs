//! Client, producer, consumer and admin over TCP on this machine, on one thread and on several.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::mock::Cluster;
use ottla::mock::Server;
use tokio::runtime::Builder;

const TOPIC: &str = "smoke";
const PARTITIONS: i32 = 4;
const WRITERS: i32 = 8;
const RECORDS: i32 = 500;

/// Runs a test on both kinds of runtime; nothing in it takes a minute.
fn on_both<F: Future<Output = ()>>(test: fn() -> F) {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime can be had");
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test()).await.expect("it ends") });
    }
}

async fn served() -> (Server, Client) {
    let cluster = Cluster::builder().brokers(3).auto_create(false).build();
    let server = Server::start(cluster, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let client = Client::connect([server.bootstrap()]).await.expect("the mock cluster answers");
    let made = client.admin().create_topics([NewTopic::new(TOPIC).partitions(PARTITIONS)]).await;
    assert!(made.expect("the controller answers").iter().all(|(_, outcome)| outcome.is_ok()));
    (server, client)
}

/// The values of each writer in a partition, as they are in the log.
fn logs(server: &Server, partition: i32) -> BTreeMap<i32, Vec<i32>> {
    let mut found: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for record in server.with(|cluster| cluster.log(TOPIC, partition)) {
        let text = String::from_utf8(record.value.expect("each has one").to_vec()).expect("written as text");
        let (writer, number) = text.split_once(' ').expect("written so");
        let [writer, number] = [writer, number].map(|text| text.parse().expect("written as a number"));
        found.entry(writer).or_default().push(number);
    }
    found
}

async fn smoke() {
    let (server, client) = served().await;
    let producer = client.producer().build().expect("the settings are fine");
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let mut deliveries = Vec::new();
                for number in 0..RECORDS {
                    let value = format!("{writer} {number}");
                    let record = Record::to(TOPIC).partition(number % PARTITIONS).value(&value);
                    deliveries.push(producer.enqueue(record).await.expect("there is capacity"));
                }
                for delivery in deliveries {
                    delivery.await.expect("it is acknowledged");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("it does not panic");
    }
    for partition in 0..PARTITIONS {
        for (writer, numbers) in logs(&server, partition) {
            let expected: Vec<i32> = (0..RECORDS).filter(|number| number % PARTITIONS == partition).collect();
            assert_eq!(numbers, expected, "writer {writer}, partition {partition}");
        }
    }
    let mut consumer = client.consumer().group("g").assign([TOPIC]).until_end().build().expect("the settings are fine");
    let mut count = 0;
    while let Some(records) = consumer.poll().await.expect("nothing is wrong") {
        count += records.iter().map(|_| 1).sum::<i32>();
    }
    assert_eq!(count, WRITERS * RECORDS);
    consumer.commit().await.expect("the coordinator takes it");
    assert_eq!(consumer.committed().await.expect("the coordinator knows").len(), 4);
    consumer.close().await.expect("it can be closed");
    producer.close(Duration::from_secs(10)).await.expect("everything was acknowledged");
    for (topic, outcome) in client.admin().delete_topics([TOPIC]).await.expect("the controller answers") {
        outcome.unwrap_or_else(|error| panic!("{topic}: {error}"));
    }
}

#[test]
fn writing_reading_committing_and_closing_work_over_tcp() {
    on_both(smoke);
}

/// Sends that are aborted at random while leaders move and connections break, in parallel.
async fn storm() {
    let (server, client) = served().await;
    let producer = client.producer().buffer_bytes(64 << 10).request_bytes_max(64 << 10).build();
    let producer = producer.expect("the settings are fine");
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let mut rng = fastrand::Rng::with_seed(writer.unsigned_abs().into());
                let mut sure = Vec::new();
                for number in 0..RECORDS {
                    let value = format!("{writer} {number:0>300}");
                    let send = producer.send(Record::to(TOPIC).partition(writer % PARTITIONS).value(&value));
                    let patience = Duration::from_micros(rng.u64(0..400));
                    if rng.u32(..4) == 0 {
                        drop(tokio::time::timeout(patience, send).await);
                    } else {
                        send.await.expect("it is acknowledged");
                        sure.push(number);
                    }
                }
                (writer, sure)
            })
        })
        .collect();
    for round in 0..10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.with(|cluster| {
            for partition in 0..PARTITIONS {
                cluster.move_leader(TOPIC, partition, (partition + round) % 3 + 1);
            }
            cluster.inject(0, ottla::mock::Fault::CloseAfter, 1);
        });
    }
    for writer in writers {
        let (writer, sure) = writer.await.expect("it does not panic");
        let log = logs(&server, writer % PARTITIONS).remove(&writer).expect("it wrote something");
        assert!(log.windows(2).all(|pair| pair[0] < pair[1]), "writer {writer}: out of order or repeated: {log:?}");
        let lost: Vec<_> = sure.iter().filter(|number| log.binary_search(number).is_err()).collect();
        assert!(lost.is_empty(), "writer {writer} lost {lost:?}");
    }
    let whole = vec![b'0'; (64 << 10) - 200];
    let sent = producer.send(Record::to(TOPIC).partition(0).value(&whole));
    sent.await.expect("nothing is left in the buffer");
    producer.close(Duration::from_secs(10)).await.expect("everything was acknowledged");
}

#[test]
fn parallel_aborted_sends_drop_only_their_own_records() {
    on_both(storm);
}
