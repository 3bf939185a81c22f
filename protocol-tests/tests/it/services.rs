//! For services, on the mock: JSON values, trace context, calls that block, metrics, spans.

use ottla::Client;
use ottla::consumer::Consumer;
use ottla::consumer::Records;
use ottla::consumer::Start;
use ottla::mock::Cluster;
use ottla::mock::Server;

mod blocking;
mod json;
mod metrics;
mod spans;
mod trace;

/// A cluster with one topic of one partition, and a client of it.
async fn cluster() -> (Server, Client) {
    let server = Server::in_memory(Cluster::builder().topic("t", 1).build());
    let builder = Client::builder([server.bootstrap()]).expect("its address is well-formed");
    let client = builder.connector(server.connector()).connect().await.expect("the mock responds");
    (server, client)
}

/// A consumer that ends.
fn reader(client: &Client) -> Consumer {
    let builder = client.consumer().assign(["t"]).start(Start::Earliest).until_end();
    builder.build().expect("the settings are fine")
}

/// The records of the topic.
async fn records(client: &Client) -> Records {
    let mut consumer = reader(client);
    loop {
        let records = consumer.poll().await.expect("the leader responds").expect("there are records");
        if !records.is_empty() {
            return records;
        }
    }
}
