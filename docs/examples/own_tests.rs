//! A service that uses this library tests itself on a cluster in its own process, which fails on request.
//! `cargo run --features mock --example own_tests`.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::mock::Cluster;
use ottla::mock::Server;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::builder().brokers(3).topic(TOPIC, PARTITIONS).build();
    let server = Server::start(cluster, SocketAddr::from(([127, 0, 0, 1], 0))).await?;

    let client = Client::connect([server.bootstrap()]).await?;
    let producer = client.producer().build()?;
    producer.send(Record::to(TOPIC).key("a").value("1")).await?;

    // Every partition moves; the service must not notice.
    server.with(|cluster| {
        for partition in 0..PARTITIONS {
            let elsewhere = cluster.brokers()[usize::try_from(partition).expect("it is not negative") + 1];
            cluster.move_leader(TOPIC, partition, elsewhere);
        }
    });
    producer.send(Record::to(TOPIC).key("a").value("2")).await?;
    producer.close(Duration::from_secs(5)).await?;

    let written: i64 = server.with(|cluster| {
        let offsets = (0..PARTITIONS).filter_map(|partition| cluster.offsets(TOPIC, partition));
        offsets.map(|(start, end)| end - start).sum()
    });
    assert_eq!(written, 2);
    println!("both orders are in the log, once");
    Ok(())
}
