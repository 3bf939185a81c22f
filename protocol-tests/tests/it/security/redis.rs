//! Offsets in a Redis with TLS: the real server, and certificates of each kind.

use std::time::Duration;

use ottla::Error;
use ottla::consumer::Position;
use ottla::consumer::store::Change;
use ottla::consumer::store::Expected;
use ottla::consumer::store::Lookup;
use ottla::consumer::store::OffsetStore;
use ottla::consumer::store::Outcome;
use ottla::consumer::store::RedisStore;
use ottla::error::Kind;
use ottla::tls::Tls;
use ottla::types::TopicPartition;
use protocol_tests::pki;
use protocol_tests::pki::Authority;
use protocol_tests::pki::Identity;
use protocol_tests::rig::Redis;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::trusting;

/// Longer than anything takes here. What ends before has not waited for the time limit of the store.
const SOON: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::MAX;
const NO_CLIENT_CERTIFICATES: [&str; 2] = ["--tls-auth-clients", "no"];

/// A Redis with this certificate.
async fn redis(identity: &Identity, settings: &[&str]) -> Option<(Redis, TempDir)> {
    let folder = tempfile::tempdir().expect("a folder");
    let redis = Redis::start_tls(folder.path(), identity, &identity.chain, settings).await?;
    Some((redis, folder))
}

async fn load(store: &RedisStore) -> Result<Vec<Lookup>, Error> {
    let answer = store.load("g", vec![TopicPartition::new("t", 0)]);
    tokio::time::timeout(SOON, answer).await.expect("it ends in time")
}

async fn set(store: &RedisStore, offset: i64, expected: Expected) -> Result<Vec<Outcome>, Error> {
    let (partition, position) = (TopicPartition::new("t", 0), Position::from(offset));
    let change = Change { partition, position, metadata: String::new(), expected };
    let answer = store.compare_and_set("g", vec![change]);
    tokio::time::timeout(SOON, answer).await.expect("it ends in time")
}

/// The error of a store that cannot be used, in words.
async fn refusal(store: RedisStore, secret: &str) -> String {
    let error = load(&store).await.expect_err("it cannot be used");
    assert_eq!(error.kind(), Kind::Storage, "{error:#}");
    let shown = format!("{error:#}");
    assert!(!format!("{shown} {error:?} {store:?}").contains(secret), "{shown}");
    shown
}

#[tokio::test]
async fn redis_with_tls_keeps_offsets_and_may_restart() {
    let (authority, clients) = (Authority::new("redis-ca"), Authority::new("client-ca"));
    let (server, own) = (authority.sign(&["localhost"]), clients.sign(&[]));
    let folder = tempfile::tempdir().expect("a folder");
    let password = ["--requirepass", "hunter2"];
    let Some(mut redis) = Redis::start_tls(folder.path(), &server, clients.pem(), &password).await else { return };
    let tls = Tls::builder().ca(authority.pem()).identity(own.chain.as_str(), own.key.as_str()).build().expect("fine");
    let address = format!("rediss://default:hunter2@localhost:{}/3", redis.port());
    let store = RedisStore::connect_tls(&address, tls).expect("an address").timeout(NEVER);
    assert_eq!(load(&store).await.expect("it answers"), [Lookup::Missing]);
    assert_eq!(set(&store, 5, Expected::Missing).await.expect("it answers"), [Outcome::Stored(1)]);
    let found = load(&store).await.expect("it answers");
    assert!(matches!(&found[..], [Lookup::Found(stored)] if stored.position.offset == 5), "{found:?}");
    redis.stop();
    // The first attempt fails, whatever the machine does meanwhile: the connection ends during the handshake.
    let listener = TcpListener::bind(("127.0.0.1", redis.port())).await.expect("its port is free");
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { load(&store).await }
    });
    let attempt = tokio::time::timeout(SOON, listener.accept()).await.expect("an attempt in time");
    drop(attempt.expect("an attempt"));
    drop(listener);
    redis.restart().await;
    let found = waiting.await.expect("no panic").expect("it is there again");
    assert_eq!(found, [Lookup::Missing], "it has started without data");
    assert_eq!(set(&store, 6, Expected::Missing).await.expect("it answers"), [Outcome::Stored(1)]);
}

#[tokio::test]
async fn wrong_certificate_of_redis_is_refused_at_once() {
    let (authority, other) = (Authority::new("redis-ca"), Authority::new("other-ca"));
    for (identity, reason) in [
        (authority.sign(&["elsewhere"]), "the certificate of localhost is for other hosts, elsewhere: connect by one"),
        (other.sign(&["localhost"]), "is signed by \"other-ca\", which leads to no trusted CA"),
        (authority.sign_for(&["localhost"], pki::EXPIRED), "the certificate of localhost expired on 2021-01-01"),
    ] {
        let Some((redis, _folder)) = redis(&identity, &NO_CLIENT_CERTIFICATES).await else { return };
        let address = format!("rediss://u:hunter2@localhost:{}/0", redis.port());
        let store = RedisStore::connect_tls(&address, trusting(&authority)).expect("an address").timeout(NEVER);
        let shown = refusal(store, "hunter2").await;
        assert!(shown.contains(reason) && !shown.contains("broker"), "{shown}");
        assert!(shown.contains(&format!("localhost:{}", redis.port())), "{shown}");
    }
}

#[tokio::test]
async fn redis_that_wants_a_certificate_says_so_at_once() {
    let authority = Authority::new("redis-ca");
    let Some((redis, _folder)) = redis(&authority.sign(&["localhost"]), &[]).await else { return };
    let address = format!("rediss://localhost:{}", redis.port());
    let store = RedisStore::connect_tls(&address, trusting(&authority)).expect("an address").timeout(NEVER);
    let shown = refusal(store, "hunter2").await;
    assert!(shown.contains("Redis wants a certificate of the client, which has none"), "{shown}");
    assert!(shown.contains("Tls::builder().identity") && !shown.contains("ssl.keystore"), "{shown}");
}

#[tokio::test]
async fn wrong_password_is_refused_at_once_and_shown_nowhere() {
    let authority = Authority::new("redis-ca");
    let settings = [&NO_CLIENT_CERTIFICATES[..], &["--requirepass", "another"]].concat();
    let Some((redis, _folder)) = redis(&authority.sign(&["localhost"]), &settings).await else { return };
    let address = format!("rediss://:hunter2@localhost:{}", redis.port());
    let store = RedisStore::connect_tls(&address, trusting(&authority)).expect("an address").timeout(NEVER);
    let shown = refusal(store, "hunter2").await;
    assert!(shown.contains("Redis refused the login: correct the user and the password"), "{shown}");
}

#[tokio::test]
async fn tls_on_one_side_only_is_named_in_time() {
    let authority = Authority::new("redis-ca");
    let Some(plain) = Redis::start().await else { return };
    let address = format!("rediss://localhost:{}", plain.port());
    let store = RedisStore::connect_tls(&address, trusting(&authority)).expect("an address");
    let shown = refusal(store.timeout(Duration::from_millis(500)), "hunter2").await;
    assert!(shown.contains("write redis:// for one without"), "{shown}");

    let Some((encrypted, _folder)) = redis(&authority.sign(&["localhost"]), &NO_CLIENT_CERTIFICATES).await else {
        return;
    };
    for login in ["", ":hunter2@"] {
        let address = format!("redis://{login}localhost:{}", encrypted.port());
        let store = RedisStore::connect(&address).expect("an address").timeout(Duration::from_millis(500));
        let shown = refusal(store, "hunter2").await;
        assert!(shown.contains("write rediss://"), "{shown}");
    }
}

#[tokio::test]
async fn address_and_tls_that_contradict_each_other_are_refused() {
    let tls = trusting(&Authority::new("redis-ca"));
    for (address, remedy) in
        [("redis://:hunter2@h", "write rediss://"), ("rediss://:hunter2@h#insecure", "leave it out, and name the CA")]
    {
        let error = RedisStore::connect_tls(address, tls.clone()).expect_err(address);
        assert_eq!(error.kind(), Kind::Config);
        let shown = format!("{error:#} {error:?}");
        assert!(shown.contains(remedy) && !shown.contains("hunter2"), "{shown}");
    }
    // The CAs of the system.
    RedisStore::connect("rediss://:hunter2@h").expect("it is an address of TLS");
}
