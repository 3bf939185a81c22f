//! Connections that follow brokers, metadata and how often it is requested, coordinators.

mod metrics;
mod state;

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::client::connections::ConnectionKind;
use crate::client::connections::Connections;
use crate::client::connections::Endpoint;
use crate::config::HostPort;
use crate::error::Code;
use crate::metadata::Cache;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::Release;
use crate::mock::Server;
use crate::net::clock;
use crate::net::connection;
use crate::net::connection::Outgoing;
use crate::net::connection::Reply;
use crate::net::runtime::Runtime;
use crate::types::TopicName;
use crate::wire::Request;
use crate::wire::message as m;

const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;

/// Refuses every connection, and remembers the addresses.
#[derive(Clone, Debug, Default)]
struct Refusing(Arc<Mutex<Vec<String>>>);

impl Connector for Refusing {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        self.0.lock().expect("nobody panics with it").push(format!("{host}:{port}"));
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }
}

fn connections(connector: &Refusing) -> Connections {
    let second = Duration::from_secs(1);
    let settings = connection::Settings {
        client_id: "test".into(),
        connector: Box::new(connector.clone()),
        sasl: None,
        #[cfg(feature = "tls")]
        secure: None,
        runtime: Runtime::current().expect("tests have a runtime"),
        setup_timeout: second,
        setup_timeout_max: second,
        request_timeout: Duration::from_secs(30),
        reconnect_backoff: second,
        reconnect_backoff_max: second,
        idle_max: None,
        response_bytes_max: 1 << 20,
        in_flight_max: 5,
    };
    Connections::new(settings, crate::client::state::Reaches::new(Vec::new()))
}

fn at(host: &str) -> HostPort {
    HostPort { host: host.into(), port: 9092 }
}

async fn dial(handle: &connection::Handle) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let deadline = clock::now() + Duration::from_secs(60);
    handle.submit(Outgoing {
        request: Request::ApiVersions(m::ApiVersionsRequest),
        deadline,
        connect_by: None,
        reply: Reply::Oneshot(sender),
    });
    receiver.await.expect("an answer").expect_err("refused");
}

fn cache(brokers: &[(i32, &str)]) -> Cache {
    let mut cache = Cache::default();
    let node = |(id, host): &(i32, &str)| m::Node { id: *id, host: (*host).into(), port: 9092, rack: None };
    let brokers = brokers.iter().map(node).collect();
    cache.handle_response(m::MetadataResponse { brokers, ..m::MetadataResponse::default() });
    cache
}

#[tokio::test(start_paused = true)]
async fn moved_broker_is_dialled_at_its_new_address() {
    let connector = Refusing::default();
    let connections = connections(&connector);
    for host in ["old", "old", "new"] {
        dial(&connections.handle(Endpoint::Broker(1), ConnectionKind::General, at(host))).await;
    }
    assert_eq!(*connector.0.lock().unwrap(), ["old:9092", "old:9092", "new:9092"]);
    assert_eq!(connections.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_to_brokers_that_left_are_dropped() {
    let connections = connections(&Refusing::default());
    connections.handle(Endpoint::Bootstrap(0), ConnectionKind::General, at("b"));
    connections.prune(&Cache::default().snapshot());
    assert_eq!(connections.count(), 1, "without known brokers, the bootstrap addresses are used");
    for (id, lane) in [
        (1, ConnectionKind::General),
        (1, ConnectionKind::Fetch { reader: 1, index: 0 }),
        (2, ConnectionKind::Produce),
        (3, ConnectionKind::General),
    ] {
        connections.handle(Endpoint::Broker(id), lane, at("b"));
    }
    connections.prune(&cache(&[(1, "b"), (2, "elsewhere")]).snapshot());
    assert_eq!(connections.count(), 2, "one broker stayed where it was");
    connections.prune(&Cache::default().snapshot());
    assert_eq!(connections.count(), 0);
}

async fn serve(mock: Mock) -> (Server, ClientBuilder) {
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let builder = Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
    (server, builder)
}

#[tokio::test]
async fn connect_skips_addresses_that_do_not_answer() {
    let (server, _) = serve(Mock::builder().build()).await;
    let servers = ["127.0.0.1:1", "nosuch.invalid:9092", server.bootstrap()];
    Client::connect(servers).await.expect("the third answers");
    let soon = Duration::from_millis(200);
    let nobody = Client::builder(["127.0.0.1:1"]).expect("well-formed").setup_timeout(soon, soon);
    let error = nobody.connect().await.expect_err("nobody listens");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn requests_for_a_missing_topic_are_spaced_by_a_growing_backoff() {
    let (server, builder) = serve(Mock::builder().auto_create(false).build()).await;
    let backoff = Duration::from_millis(10);
    let client = builder.retry_backoff(backoff, 16 * backoff).connect().await.expect("it answers");
    let before = server.with(|mock| mock.requests_count(METADATA));
    let topic = TopicName::from("nosuch");
    let begun = clock::now();
    client.cluster().known(std::slice::from_ref(&topic), begun + Duration::from_secs(1)).await.expect_err("none");
    let asked = server.with(|mock| mock.requests_count(METADATA)) - before;
    // 10, 20, 40, 80 and then 160 ms apart, a fifth more or less: every 10 ms it would be a hundred.
    assert!((3..=15).contains(&asked), "asked {asked} times in a second");
}

#[tokio::test]
async fn client_rebootstraps_when_all_known_brokers_are_gone() {
    let (old, builder) = serve(Mock::builder().build()).await;
    let new = Server::start(Mock::builder().topic("t", 1).build(), ([127, 0, 0, 1], 0).into()).await.expect("a port");
    let servers = [old.bootstrap(), new.bootstrap()].map(str::to_owned);
    drop(builder);
    for rebootstrap in [true, false] {
        let builder = Client::builder(servers.clone()).expect("well-formed").rebootstrap(rebootstrap);
        let client = builder.connect().await.expect("one answers");
        // The only known broker is gone.
        let gone = m::Node { id: 1, host: "127.0.0.1".into(), port: 1, rack: None };
        client.cluster().edit(|cache| {
            cache.handle_response(m::MetadataResponse { brokers: vec![gone], ..m::MetadataResponse::default() });
            true
        });
        let topics = [TopicName::from("t")];
        let deadline = clock::now() + Duration::from_secs(1);
        let known = client.cluster().known(&topics, deadline).await;
        let moved = client.cluster().snapshot().broker(1).is_some_and(|broker| broker.port != 1);
        assert_eq!(moved, rebootstrap, "{known:?}");
    }
}

#[tokio::test]
async fn cluster_replaced_at_its_bootstrap_addresses_is_accepted() {
    for rebootstrap in [true, false] {
        let (_server, builder) = serve(Mock::builder().topic("t", 1).build()).await;
        let client = builder.rebootstrap(rebootstrap).connect().await.expect("it answers");
        client.cluster().edit(|cache| {
            let brokers = cache.snapshot().brokers().cloned().collect();
            let cluster_id = Some("the one before".to_owned());
            cache.handle_response(m::MetadataResponse { brokers, cluster_id, ..m::MetadataResponse::default() });
            true
        });
        let deadline = clock::now() + Duration::from_secs(5);
        client.cluster().known(&[TopicName::from("t")], deadline).await.expect("it is there");
    }
}

#[tokio::test]
async fn rebootstrap_required_leads_to_the_bootstrap_addresses() {
    let (one, _) = serve(Mock::builder().build()).await;
    let (other, _) = serve(Mock::builder().build()).await;
    let client = Client::connect([one.bootstrap(), other.bootstrap()]).await.expect("one answers");
    let asked = |server: &Server| server.with(|mock| mock.requests_count(METADATA));
    let (left, joined) = if asked(&one) > 0 { (one, other) } else { (other, one) };
    assert_eq!(asked(&joined), 0, "the second address is not used when the first answers");
    let before = asked(&left);
    left.with(|mock| mock.inject(METADATA, Fault::Error(Code::RebootstrapRequired), u32::MAX));
    joined.with(|mock| mock.create_topic("t", 1));
    let deadline = clock::now() + Duration::from_secs(5);
    let known = client.cluster().known(&[TopicName::from("t")], deadline).await.expect("the other cluster has it");
    assert_eq!(known.topic("t").map(|topic| topic.partitions.len()), Some(1));
    let asked = asked(&left) - before;
    assert!((1..=2).contains(&asked), "asked {asked} times: as a known broker, and as a bootstrap address");
}

#[tokio::test]
async fn coordinator_that_is_not_available_is_looked_up_again() {
    let (server, builder) = serve(Mock::builder().brokers(3).topic("t", 1).build()).await;
    let client = builder.retry_backoff(Duration::from_millis(1), Duration::from_millis(5)).connect().await;
    let client = client.expect("it answers");
    server.with(|mock| {
        mock.inject(FIND_COORDINATOR, Fault::Error(Code::CoordinatorNotAvailable), 2);
        mock.inject(FIND_COORDINATOR, Fault::CloseBefore, 1);
    });
    let group = m::OffsetFetchGroup { group: "g".into(), member_epoch: -1, topics: Some(vec![]), ..Default::default() };
    let request = m::OffsetFetchRequest { groups: vec![group], require_stable: false };
    let deadline = clock::now() + Duration::from_secs(10);
    let (cluster, group) = (client.cluster(), Coordinated::group("g"));
    let mut retry = cluster.retry(deadline);
    let answer = loop {
        match cluster.call_coordinator(&group, request.clone(), deadline).await {
            Err(error) => retry.pause(error).await.expect("it may be asked again"),
            answer => break answer,
        }
    };
    answer.expect("the fourth lookup succeeds");
    assert_eq!(server.with(|mock| mock.requests_count(FIND_COORDINATOR)), 4);
}

#[tokio::test]
async fn group_authorization_failure_is_returned_at_once() {
    let (server, builder) = serve(Mock::builder().build()).await;
    let client = builder.connect().await.expect("it answers");
    server.with(|mock| mock.inject(FIND_COORDINATOR, Fault::Error(Code::GroupAuthorizationFailed), 1));
    let deadline = clock::now() + Duration::from_secs(10);
    let request = m::OffsetFetchRequest::default();
    let error = client.cluster().call_coordinator(&Coordinated::group("g"), request, deadline).await;
    let error = error.expect_err("refused");
    assert_eq!(error.code(), Some(Code::GroupAuthorizationFailed));
    assert_eq!(server.with(|mock| mock.requests_count(FIND_COORDINATOR)), 1);
}

#[tokio::test]
async fn leader_epochs_of_brokers_before_2_4_are_not_believed() {
    for (release, is_believed) in [(Release::V2_1, false), (Release::V2_8, true)] {
        let (_server, builder) = serve(Mock::builder().release(release).topic("t", 1).build()).await;
        let client = builder.connect().await.expect("it answers");
        let deadline = clock::now() + Duration::from_secs(5);
        let known = client.cluster().known(&[TopicName::from("t")], deadline).await.expect("it is there");
        let partition = known.partition("t", 0).expect("it has one");
        assert_eq!((partition.leader, partition.epoch.is_some()), (Some(1), is_believed), "{release:?}");
    }
}
