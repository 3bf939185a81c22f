//! Serves a mock cluster until standard input ends: `cargo run --features mock --example mock_serve -- [PORT]`.

use std::io;
use std::net::SocketAddr;

use ottla::mock::Cluster;
use ottla::mock::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let cluster = Cluster::builder().brokers(3).topic("events", 6).build();
    let server = Server::start(cluster, SocketAddr::from(([127, 0, 0, 1], port))).await?;
    println!("{}", server.bootstrap());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    for partition in 0..6 {
        let (start, end) = server.with(|cluster| cluster.offsets("events", partition)).unwrap_or_default();
        println!("events[{partition}]: {start}..{end}");
    }
    Ok(())
}
