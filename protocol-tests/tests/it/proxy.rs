//! Each fault of the proxy has its effect on frames, and a client survives all of them.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::error::Written;
use ottla::mock::Cluster;
use ottla::mock::Server;
use ottla::producer::Producer;
use protocol_tests::proxy::Direction;
use protocol_tests::proxy::Fault;
use protocol_tests::proxy::Proxy;
use protocol_tests::proxy::Through;
use protocol_tests::proxy::Weather;

const PRODUCE: i16 = 0;

struct Rig {
    server: Server,
    proxy: Proxy,
    client: Client,
    producer: Producer,
}

async fn rig() -> Rig {
    let cluster = Cluster::builder().topic("t", 2).build();
    let server = Server::start(cluster, "127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let proxy = Proxy::start(server.bootstrap().parse().expect("an address")).await.expect("a port");
    let builder = Client::builder([server.bootstrap()]).expect("an address");
    let builder = builder.connector(Through::proxies([&proxy])).request_timeout(Duration::from_millis(500));
    let client = builder.connect().await.expect("a broker");
    let producer = client.producer().linger(Duration::ZERO).build().expect("a producer");
    Rig { server, proxy, client, producer }
}

impl Rig {
    fn log(&self, partition: i32) -> Vec<String> {
        let text = |value: Option<bytes::Bytes>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
        self.server.with(|cluster| cluster.log("t", partition).into_iter().map(|record| text(record.value)).collect())
    }

    fn requests(&self, api_key: i16) -> usize {
        let frames = self.proxy.frames();
        frames.iter().filter(|frame| frame.direction == Direction::Request && frame.api_key == api_key).count()
    }

    /// Writes one record, in spite of a fault, and finds it once.
    async fn writes_once(&self) {
        let receipt = self.producer.send(Record::to("t").partition(0).value("x")).await.expect("acknowledged");
        assert_eq!(receipt.partition, 0);
        assert_eq!(self.log(0), ["x"]);
    }
}

#[tokio::test]
async fn held_response_arrives_when_released() {
    let rig = rig().await;
    let mut held = rig.proxy.hold(Direction::Response, PRODUCE);
    let delivery = rig.producer.enqueue(Record::to("t").partition(0).value("x")).await.expect("there is capacity");
    assert!(held.arrived().await);
    assert_eq!(rig.log(0), ["x"], "the broker has it, and its response is held");
    assert!(rig.client.admin().list_topics().await.is_ok(), "other connections are not held");
    held.release();
    assert_eq!(delivery.await.expect("acknowledged").offset, Some(0));
    assert_eq!(rig.requests(PRODUCE), 1);
}

#[tokio::test]
async fn request_is_repeated_when_its_response_is_damaged_or_lost() {
    for fault in [Fault::Cut, Fault::Truncate, Fault::Drop] {
        let rig = rig().await;
        rig.proxy.inject(Direction::Response, Some(PRODUCE), fault, 1);
        rig.writes_once().await;
        assert_eq!(rig.requests(PRODUCE), 2);
    }
}

#[tokio::test]
async fn damaged_or_lost_request_is_sent_again() {
    for fault in [Fault::Cut, Fault::Truncate, Fault::Drop] {
        let rig = rig().await;
        rig.proxy.inject(Direction::Request, Some(PRODUCE), fault, 1);
        rig.writes_once().await;
        assert_eq!(rig.requests(PRODUCE), 2);
    }
}

#[tokio::test]
async fn responses_out_of_order_are_rejected() {
    let rig = rig().await;
    for partition in 0..2 {
        rig.producer.send(Record::to("t").partition(partition).value("first")).await.expect("acknowledged");
    }
    let before = rig.requests(PRODUCE);
    rig.proxy.inject(Direction::Response, Some(PRODUCE), Fault::Swap, 1);
    let one = rig.producer.enqueue(Record::to("t").partition(0).value("x")).await.expect("there is capacity");
    while rig.requests(PRODUCE) == before {
        tokio::task::yield_now().await;
    }
    let other = rig.producer.enqueue(Record::to("t").partition(1).value("y")).await.expect("there is capacity");
    let outcomes = [one.await, other.await];
    let swapped = rig.proxy.frames().iter().any(|frame| frame.fault.is_some() && frame.api_key == PRODUCE);
    assert!(swapped, "the first response waited for the second");
    for (outcome, (partition, value)) in outcomes.into_iter().zip([(0, "x"), (1, "y")]) {
        let times = rig.log(partition).iter().filter(|logged| *logged == value).count();
        match outcome {
            Ok(receipt) => assert_eq!((receipt.offset, times), (Some(1), 1)),
            // The broker has both: what may not be said is that it has not.
            Err(error) => assert_eq!(error.is_written(), Some(Written::Maybe), "{error}"),
        }
    }
}

#[tokio::test]
async fn stalled_proxy_passes_everything_after_the_stall() {
    let rig = rig().await;
    rig.writes_once().await;
    rig.proxy.set_weather(Weather { stalled: true, ..Weather::default() });
    let mut delivery = Box::pin(rig.producer.send(Record::to("t").partition(1).value("y")));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut delivery).await.is_err());
    assert!(rig.log(1).is_empty());
    rig.proxy.calm();
    delivery.await.expect("acknowledged");
    assert_eq!(rig.log(1), ["y"]);
}

#[tokio::test]
async fn client_survives_slow_cut_and_refused_connections() {
    let rig = rig().await;
    let slow = Weather { latency: Duration::from_millis(5), bytes_per_second: Some(20_000), ..Weather::default() };
    rig.proxy.set_weather(slow);
    rig.writes_once().await;
    rig.proxy.set_weather(Weather { refusing: true, ..Weather::default() });
    rig.proxy.cut();
    let delivery = rig.producer.enqueue(Record::to("t").partition(1).value("y")).await.expect("there is capacity");
    rig.proxy.calm();
    delivery.await.expect("acknowledged");
    assert_eq!(rig.log(1), ["y"]);
}
