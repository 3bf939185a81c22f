//! Encryption and authentication: against the mock, and against the secured broker of the rig.

mod certificates;
mod files;
mod interop;
mod peers;
mod quota;
mod records;
mod redis;
mod rig;
mod rights;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use ottla::Client;
use ottla::Error;
use ottla::client::ClientBuilder;
use ottla::client::Connector;
use ottla::client::Dialling;
use ottla::mock::Cluster;
use ottla::mock::MemoryConnector;
use ottla::mock::Server;
use ottla::mock::ServerTls;
use ottla::tls::Tls;
use protocol_tests::pki::Authority;
use protocol_tests::pki::Identity;

/// A mock cluster in memory whose brokers are `localhost`.
fn server() -> Server {
    let mut cluster = Cluster::builder().brokers(1).topic("t", 1).build();
    cluster.advertise(1, "localhost", 9092);
    Server::in_memory(cluster)
}

fn serving(identity: &Identity) -> ServerTls {
    ServerTls::from_pem(&identity.chain, &identity.key).expect("it belongs together")
}

/// Counts how often it is dialled.
#[derive(Clone, Debug)]
struct Counting<C> {
    inner: C,
    dials: Arc<AtomicUsize>,
}

impl Counting<MemoryConnector> {
    fn new(server: &Server) -> Self {
        Self::over(server.connector())
    }
}

impl<C> Counting<C> {
    fn over(inner: C) -> Self {
        Self { inner, dials: Arc::default() }
    }

    fn dials(&self) -> usize {
        self.dials.load(Ordering::Relaxed)
    }
}

impl<C: Connector> Connector for Counting<C> {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        self.inner.connect(host, port)
    }
}

fn client(server: &Server, host: &str) -> ClientBuilder {
    Client::builder([format!("{host}:9092")]).expect("an address").connector(server.connector())
}

/// Trusts this CA alone.
fn trusting(authority: &Authority) -> Tls {
    Tls::builder().ca(authority.pem()).build().expect("a CA")
}

/// The error of a client that cannot connect, with its causes.
async fn refusal(builder: ClientBuilder) -> Error {
    builder.connect().await.expect_err("it cannot connect")
}
