//! The cluster behind TCP.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::protocol::Request;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Draft;
use super::decode;
use super::encode;
use super::name;
use super::produce;
use crate::mock::Cluster;
use crate::mock::Fault;
use crate::mock::On;
use crate::mock::Server;
use crate::mock::key;

async fn start() -> (Server, Vec<SocketAddr>) {
    let cluster = Cluster::builder().brokers(2).topic("t", 2).build();
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(cluster, any).await.expect("two free ports");
    let addresses = server.bootstrap().split(',').map(|address| address.parse().expect("an address")).collect();
    (server, addresses)
}

async fn reply<R: Request>(stream: &mut TcpStream, version: i16) -> R::Response {
    let size = stream.read_i32().await.expect("a size");
    let mut frame = size.to_be_bytes().to_vec();
    frame.resize(4 + usize::try_from(size).expect("not negative"), 0);
    stream.read_exact(&mut frame[4..]).await.expect("a whole frame");
    decode::<R>(version, Bytes::from(frame))
}

#[tokio::test]
async fn metadata_leads_to_every_broker() {
    let (_server, addresses) = start().await;
    let mut stream = TcpStream::connect(addresses[1]).await.expect("it listens");
    stream.write_all(&encode(9, &MetadataRequest::default().with_topics(None))).await.expect("it reads");
    let response = reply::<MetadataRequest>(&mut stream, 9).await;
    let ports: Vec<i32> = response.brokers.iter().map(|broker| broker.port).collect();
    assert_eq!(ports, addresses.iter().map(|address| i32::from(address.port())).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_waiting_fetch_gets_what_another_connection_writes() {
    let (server, addresses) = start().await;
    let mut reader = TcpStream::connect(addresses[0]).await.expect("it listens");
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
    let fetch = FetchRequest::default().with_max_wait_ms(60_000).with_min_bytes(1).with_topics(vec![topic]);
    reader.write_all(&encode(12, &fetch)).await.expect("it reads");

    let mut writer = TcpStream::connect(addresses[0]).await.expect("it listens");
    let request = encode(9, &produce::request("t", 1, 0, Draft::of(&["a"]).bytes()));
    let (front, back) = request.split_at(7);
    writer.write_all(front).await.expect("it reads");
    tokio::task::yield_now().await;
    writer.write_all(back).await.expect("it reads");

    let response = reply::<FetchRequest>(&mut reader, 12).await;
    assert!(response.responses[0].partitions[0].records.as_ref().is_some_and(|records| records.len() > 61));
    assert_eq!(server.with(|cluster| cluster.log("t", 0).len()), 1);
}

#[tokio::test]
async fn a_broker_that_goes_down_hangs_up() {
    let (server, addresses) = start().await;
    let mut stream = TcpStream::connect(addresses[0]).await.expect("it listens");
    stream.write_all(&encode(9, &MetadataRequest::default().with_topics(None))).await.expect("it reads");
    reply::<MetadataRequest>(&mut stream, 9).await;
    server.with(|cluster| cluster.set_down(1));
    assert_eq!(stream.read(&mut [0; 8]).await.expect("an orderly end"), 0);
    drop(server);
    tokio::task::yield_now().await;
    assert!(TcpStream::connect(addresses[1]).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn replies_drip_and_break_off_on_the_wire() {
    let (server, addresses) = start().await;
    let pause = Duration::from_millis(1);
    let script = On::api(key::METADATA).then(Fault::Drip { bytes: 9, pause }).then(Fault::CutReply(11));
    server.with(|cluster| cluster.play(script));
    let mut stream = TcpStream::connect(addresses[0]).await.expect("it listens");
    let ask = encode(9, &MetadataRequest::default().with_topics(None));
    stream.write_all(&ask).await.expect("it reads");
    assert_eq!(reply::<MetadataRequest>(&mut stream, 9).await.brokers.len(), 2);
    stream.write_all(&ask).await.expect("it reads");
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.expect("an orderly end"), 11);
}
