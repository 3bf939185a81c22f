//! Misuses by a newcomer, each with all that is printed by `{:#}`: subject, place, value, remedy.
//!
//! [`TABLE`] is the expectation. `OTTLA_SHOW=1` with this test prints the table as it is.

use std::future::Future;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use ottla::Client;
use ottla::Error;
use ottla::Record;
use ottla::codec::Codecs;
use ottla::codec::Compression;
use ottla::config::Config;
use ottla::config::Properties;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::error::Written;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::mock::On;
use ottla::mock::Server;
use ottla::mock::key;
use ottla::producer::Producer;
use ottla::producer::Receipt;
use ottla::types::TopicPartition;

const TABLE: &str = r#"
an address that is a URL
    broker 1 "localhost": an address has no scheme, such as http:// or PLAINTEXT://; write HOST:PORT
an address that is a listener
    broker 1 "localhost": an address has no scheme, such as http:// or PLAINTEXT://; write HOST:PORT
an address that is a DSN
    broker 1 "localhost": kafka:// begins a DSN, which `Config::from_dsn` reads, and not an address; write HOST:PORT
an address without the port after the colon
    broker 1 "localhost": the port is empty; write HOST:PORT
two addresses with a space between them
    broker 1 "one": a comma separates addresses, and not a space; write HOST:PORT
no address
    no brokers to start from: give at least one HOST:PORT
a port that nothing listens at
    no broker of CLOSED responded: nothing listens there: check host and port, or start the broker, broker CLOSED: Connection refused (os error 111)
a host that does not exist
    no broker of nosuch.invalid:9092 responded: could not find the host: check its name, broker nosuch.invalid:9092: …
the port of a controller
    no broker of CONTROLLER responded: this is the port of a controller, not of a broker: name a listener of a broker, broker CONTROLLER
a property that is misspelt
    no property is named linger.sm; did you mean linger.ms?
an unknown key in a DSN
    no property is named batchsize; did you mean batch.size?
a value with a unit
    linger.ms = "20ms": give a number of milliseconds, up to 4294967295
a word that a property does not take
    compression.type = "brotli": give none, gzip, snappy, lz4 or zstd
encryption
    security.protocol = "tls": give plaintext, ssl, sasl_plaintext or sasl_ssl
a password
    sasl.oauthbearer.config cannot be set: unsecured tokens are for tests: give `sasl.jaas.config` the option `unsecuredLoginStringClaim_sub`, or call `Sasl::unsecured_tokens`
connecting outside a tokio runtime
    there is no tokio runtime here: call it within one, or pass one by ClientBuilder::runtime
a buffer below the largest request
    `buffer_bytes` / `buffer.memory` is 1000, and `request_bytes_max` / `max.request.size` is 1048576: the largest record would never fit the buffer; raise the first, or lower the second
a request below any record
    `request_bytes_max` / `max.request.size` is 50, and no record fits: give at least 95 bytes
batches of no bytes
    `batch_bytes` / `batch.size` is 0: give at least 1 byte, which sends each record in a batch of its own
a linger above the delivery timeout
    `linger` / `linger.ms` is 6s, and `delivery_timeout` / `delivery.timeout.ms` is 5s: records would run out of time while they wait for others; lower the first, or raise the second
idempotence with acks = 1
    `acks` = 1 cannot be idempotent: set `acks` to all, or `enable.idempotence` to false
compression by a codec that is not compiled in
    there is no codec for zstd: turn on the cargo feature `zstd` of ottla, or register a codec (`Codecs::register`)
a level that the codec does not have
    gzip has no level 42: give one -1, or from 1 to 9 (`compression_level` / `compression.gzip.level`)
a consumer of nothing
    no topics or partitions to read: call `subscribe` to join a group, or `assign` or `assign_partitions`
an empty group
    `group` / `group.id` is empty: name a group, or leave it out
a fetch of no bytes
    `fetch_bytes_max` / `fetch.max.bytes` is 0, so that nothing could be read: raise it
a committed start without a group
    committed offsets belong to a group: name one by `group` / `group.id`, or choose another start
a topic that does not exist
    the topic does not exist, topic nosuch: UNKNOWN_TOPIC_OR_PARTITION (not written); check its name, or create it
a topic with an illegal name
    "my topic" is not a valid topic name: it has a character other than ASCII letters, digits, '.', '_' and '-' (not written)
a partition that does not exist
    there is no partition 99: the topic has 4, 0 to 3, topic t[99] (not written)
a record above the largest request
    a record of 2097190 bytes does not fit `request_bytes_max` / `max.request.size`, which is 1048576: send a smaller record, or raise it, topic t (not written)
a record above the topic's limit
    the batch is larger than the topic's max.message.bytes, topic t[0]: MESSAGE_TOO_LARGE (not written); send smaller records, or raise `max.message.bytes` of the topic (`message.max.bytes` of the brokers)
a timestamp before 1970
    the timestamp of a record is -5: give a time after 1970, in milliseconds, topic t (not written)
a topic without enough replicas
    the record was not acknowledged within 400ms (`delivery_timeout` / `delivery.timeout.ms`), topic t[0], Produce, broker 1 (SERVER) (not written): the broker refused the batch: NOT_ENOUGH_REPLICAS; fewer replicas are in sync than `min.insync.replicas` of the topic demands: start the missing brokers, or lower it
a deadline of the record that is too short for that
    the record was not acknowledged by its own deadline (`Record::deadline`), topic t[0], Produce, broker 1 (SERVER) (not written): the broker refused the batch: NOT_ENOUGH_REPLICAS; fewer replicas are in sync than `min.insync.replicas` of the topic demands: start the missing brokers, or lower it
a record after the producer was closed
    the producer is closed: build a new one, topic t (not written)
records of a codec that is not compiled in
    could not decompress a record batch: there is no codec for zstd: turn on the cargo feature `zstd` of ottla, or register a codec (`Codecs::register`), topic t[0], offset 0
the poll after that, since the position stays
    could not decompress a record batch: there is no codec for zstd: turn on the cargo feature `zstd` of ottla, or register a codec (`Codecs::register`), topic t[0], offset 0
a seek to a negative offset
    the start offset is -7: offsets are numbered from 0
a seek in a partition that is not read
    the partition is not assigned: see `Consumer::assignment`, topic t[3]
a commit without a group
    offsets are committed for a group: name one by `group` / `group.id`
a pause of a partition that is not read
    the partition is not assigned: see `Consumer::assignment`, topic t[3]
"#;

const SHORT: Duration = Duration::from_millis(400);

/// The misuses so far, each with the text that was printed.
#[derive(Default)]
struct Table {
    text: String,
    /// Addresses that differ from run to run, and the name to print instead.
    addresses: Vec<(String, &'static str)>,
}

impl Table {
    fn note<T>(&mut self, what: &str, result: Result<T, Error>) {
        let mut printed = match result {
            Ok(_) => "no error".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        for (address, name) in &self.addresses {
            printed = printed.replace(address, name);
        }
        // Whether the last attempt to connect had failed by the deadline, or was still under way, is left to chance.
        for late in [
            "no connection could be established by the deadline, Metadata, broker ",
            "no Kafka broker responded by the deadline: check that the port is a Kafka listener, Metadata, broker ",
        ] {
            if let Some((before, (_, after))) =
                printed.split_once(late).and_then(|(before, rest)| Some((before, rest.split_once(": ")?)))
            {
                printed = format!("{before}{after}");
            }
        }
        printed = printed.replace(", Metadata, broker", ", broker");
        self.text += &format!("{what}\n    {printed}\n");
    }
}

async fn serve(cluster: Cluster) -> Server {
    Server::start(cluster, ([127, 0, 0, 1], 0).into()).await.expect("a port is free")
}

fn properties(pairs: &[(&str, &str)]) -> Result<Properties, Error> {
    Ok(Config::from_properties(pairs.iter().copied())?.properties().clone())
}

/// A client that gives up soon.
async fn connect(server: &str) -> Result<Client, Error> {
    let soon = properties(&[("topic.metadata.propagation.max.ms", "100"), ("retry.backoff.max.ms", "100")])?;
    Client::builder([server])?.setup_timeout(SHORT, SHORT).properties(&soon).connect().await
}

async fn addresses(table: &mut Table) {
    let refused = |server: &str| Client::builder([server]).map(drop);
    table.note("an address that is a URL", refused("http://localhost:9092"));
    table.note("an address that is a listener", refused("PLAINTEXT://localhost:9092"));
    table.note("an address that is a DSN", refused("kafka://localhost:9092/events"));
    table.note("an address without the port after the colon", refused("localhost:"));
    table.note("two addresses with a space between them", refused("one:9092 two:9092"));
    table.note("no address", refused(""));
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let closed = free.local_addr().expect("it is bound").to_string();
    drop(free);
    table.addresses.push((closed.clone(), "CLOSED"));
    table.note("a port that nothing listens at", connect(&closed).await);
    let unknown = connect("nosuch.invalid:9092").await.map(drop);
    table.note("a host that does not exist", unknown);
    // The end is the resolver's, which differs from system to system.
    let cut = table.text.rfind("failed to lookup").expect("the resolver's error is the last cause");
    table.text.replace_range(cut.., "…\n");
    let controller = serve(Cluster::builder().versions(key::METADATA, 1, 0).build()).await;
    table.addresses.push((controller.bootstrap().to_owned(), "CONTROLLER"));
    table.note("the port of a controller", connect(controller.bootstrap()).await);
}

fn configuration(table: &mut Table) {
    table.note("a property that is misspelt", properties(&[("linger.sm", "5")]));
    table.note("an unknown key in a DSN", Config::from_dsn("kafka://localhost?batchsize=9"));
    table.note("a value with a unit", properties(&[("linger.ms", "20ms")]));
    table.note("a word that a property does not take", properties(&[("compression.type", "brotli")]));
    table.note("encryption", properties(&[("security.protocol", "tls")]));
    table.note("a password", properties(&[("sasl.oauthbearer.config", "hunter2")]));
    let outside = std::thread::spawn(|| {
        let mut connecting = pin!(Client::connect(["localhost:9092"]));
        match connecting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("it cannot connect without a runtime"),
        }
    });
    table.note("connecting outside a tokio runtime", outside.join().expect("it does not panic"));
}

fn settings(table: &mut Table, client: &Client) {
    let build = |settings: &[(&str, &str)]| -> Result<Producer, Error> {
        client.producer().properties(&properties(settings)?)?.build()
    };
    table.note("a buffer below the largest request", build(&[("buffer.memory", "1000")]));
    table.note("a request below any record", build(&[("max.request.size", "50")]));
    table.note("batches of no bytes", build(&[("batch.size", "0")]));
    table.note("a linger above the delivery timeout", build(&[("linger.ms", "6000"), ("delivery.timeout.ms", "5000")]));
    table.note("idempotence with acks = 1", build(&[("acks", "1"), ("enable.idempotence", "true")]));
    let without = client.producer().codecs(Codecs::empty()).compression(Compression::Zstd).build();
    table.note("compression by a codec that is not compiled in", without);
    table.note(
        "a level that the codec does not have",
        client.producer().compression(Compression::Gzip).compression_level(42).build(),
    );
    table.note("a consumer of nothing", client.consumer().build());
    table.note("an empty group", client.consumer().assign(["t"]).group("").build());
    table.note("a fetch of no bytes", client.consumer().assign(["t"]).fetch_bytes_max(0).build());
    table.note("a committed start without a group", client.consumer().assign(["t"]).start(Start::StoredOnly).build());
}

/// Sends a record that runs out of time, between two attempts and not while one is under way.
async fn late<'r>(producer: &Producer, record: impl Fn() -> Record<'r>) -> Result<Receipt, Error> {
    for _ in 0..5 {
        match producer.send(record()).await {
            Err(error) if error.is_written() == Some(Written::Maybe) => {}
            decided => return decided,
        }
    }
    panic!("attempts are short, and pauses are long")
}

async fn producing(table: &mut Table, server: &Server, client: &Client) {
    let producer = client.producer().delivery_timeout(Duration::from_secs(5)).build().expect("the settings are fine");
    table.note("a topic that does not exist", producer.send(Record::to("nosuch").value("1")).await);
    table.note("a topic with an illegal name", producer.send(Record::to("my topic").value("1")).await);
    table.note("a partition that does not exist", producer.send(Record::to("t").partition(99).value("1")).await);
    let large = "x".repeat(2 << 20);
    table.note("a record above the largest request", producer.send(Record::to("t").partition(0).value(&large)).await);
    server.with(|cluster| cluster.set_batch_bytes_max("t", 1_000));
    table.note(
        "a record above the topic's limit",
        producer.send(Record::to("t").partition(0).value(&large[..9_000])).await,
    );
    table.note("a timestamp before 1970", producer.send(Record::to("t").partition(0).value("1").timestamp(-5)).await);
    let refused = On::api(key::PRODUCE).then(Fault::Error(Code::NotEnoughReplicas)).forever();
    server.with(|cluster| cluster.play(refused));
    let hasty = client.producer().delivery_timeout(SHORT).build().expect("the settings are fine");
    table.note("a topic without enough replicas", late(&hasty, || Record::to("t").partition(0).value("1")).await);
    let brief = || Record::to("t").partition(0).value("1").deadline(SHORT);
    table.note("a deadline of the record that is too short for that", late(&producer, brief).await);
    server.with(Cluster::clear_faults);
    producer.close(Duration::from_secs(5)).await.expect("nothing is left");
    table.note("a record after the producer was closed", producer.send(Record::to("t").partition(0).value("1")).await);
}

async fn consuming(table: &mut Table, client: &Client) {
    let zstd = client.producer().compression(Compression::Zstd).build().expect("it is compiled in");
    zstd.send(Record::to("t").partition(0).value("1")).await.expect("the mock takes it");
    let consumer = client.consumer().assign_partitions([("t", 0)]).codecs(Codecs::empty()).build();
    let mut consumer = consumer.expect("the settings are fine");
    table.note("records of a codec that is not compiled in", consumer.poll().await);
    table.note("the poll after that, since the position stays", consumer.poll().await);
    let partition = TopicPartition::new("t", 0);
    table.note("a seek to a negative offset", consumer.seek(&partition, Start::Offset(-7)));
    table.note("a seek in a partition that is not read", consumer.seek(&TopicPartition::new("t", 3), Start::Latest));
    table.note("a commit without a group", consumer.commit().await);
    table.note("a pause of a partition that is not read", consumer.pause([&TopicPartition::new("t", 3)]));
}

#[tokio::test]
async fn misuses_are_answered_with_what_to_do() {
    let mut table = Table::default();
    addresses(&mut table).await;
    configuration(&mut table);
    let server = serve(Cluster::builder().topic("t", 4).auto_create(false).build()).await;
    table.addresses.push((server.bootstrap().to_owned(), "SERVER"));
    let client = connect(server.bootstrap()).await.expect("the mock answers");
    settings(&mut table, &client);
    producing(&mut table, &server, &client).await;
    consuming(&mut table, &client).await;
    if std::env::var("OTTLA_SHOW").is_ok_and(|value| value == "1") {
        println!("{}", table.text);
    }
    for (printed, expected) in table.text.lines().zip(TABLE.lines().skip(1)) {
        assert_eq!(printed, expected);
    }
    assert_eq!(table.text.lines().count() + 1, TABLE.lines().count());
}
