//! Offsets in a real Redis, which the tests start themselves on a free port.

use std::net::TcpListener;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::Client;
use crate::consumer::Position;
use crate::consumer::store::Change;
use crate::consumer::store::Expected;
use crate::consumer::store::LegacyCursor;
use crate::consumer::store::Lookup;
use crate::consumer::store::OffsetStore;
use crate::consumer::store::Outcome;
use crate::consumer::store::RedisStore;
use crate::error::Kind;
use crate::mock::Cluster;
use crate::mock::Server;
use crate::queue::Queue;
use crate::types::TopicPartition;

const SECOND: Duration = Duration::from_secs(1);

struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    /// `None` where there is no `redis-server`, and it is not required (`OTTLA_REQUIRE_REAL`).
    async fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it has one").port();
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"])
            .arg(std::env::temp_dir());
        let Ok(child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            assert!(std::env::var_os("OTTLA_REQUIRE_REAL").is_none(), "no redis-server here");
            eprintln!("NOT RUN: there is no redis-server");
            return None;
        };
        let redis = Self { child, port };
        for _ in 0..200 {
            if redis.command(&["PING"]).contains("PONG") {
                return Some(redis);
            }
            tokio::time::sleep(SECOND / 20).await;
        }
        panic!("redis-server did not start within 10 s");
    }

    fn address(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    fn command(&self, words: &[&str]) -> String {
        use std::io::Read;
        use std::io::Write;
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) else { return String::new() };
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.set_read_timeout(Some(SECOND * 5)).expect("it is not zero");
        stream.write_all(request.as_bytes()).expect("connected");
        let mut answer = [0; 512];
        let count = stream.read(&mut answer).unwrap_or(0);
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn change(partition: i32, offset: i64, expected: Expected) -> Change {
    let partition = TopicPartition::new("t", partition);
    Change { partition, position: Position::from(offset), metadata: "a text".to_owned(), expected }
}

#[tokio::test]
async fn redis_changes_only_the_expected_version() {
    let Some(redis) = Redis::start().await else { return };
    let store = RedisStore::connect(&redis.address()).expect("an address");
    let keys = vec![TopicPartition::new("t", 0), TopicPartition::new("t", 1)];
    assert_eq!(store.load("g:{%", keys.clone()).await.expect("loaded"), [Lookup::Missing, Lookup::Missing]);
    let changes = vec![change(0, 5, Expected::Missing), change(1, 6, Expected::Version(3))];
    let outcomes = store.compare_and_set("g:{%", changes).await.expect("answered");
    assert_eq!(outcomes, [Outcome::Stored(1), Outcome::Conflict(Lookup::Missing)]);
    let outcomes = store.compare_and_set("g:{%", vec![change(0, 7, Expected::Missing)]).await.expect("answered");
    let [Outcome::Conflict(Lookup::Found(stored))] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((stored.position.offset, &*stored.metadata, stored.version), (5, "a text", 1));
    let outcomes = store.compare_and_set("g:{%", vec![change(0, 8, Expected::Version(1))]).await.expect("answered");
    assert_eq!(outcomes, [Outcome::Stored(2)]);
    let old = store.clone().retention(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let found = old.load("g:{%", keys).await.expect("loaded");
    assert!(
        matches!(&found[..], [Lookup::Expired(stored), Lookup::Missing] if stored.position.offset == 8),
        "{found:?}"
    );
}

#[tokio::test]
async fn redis_errors_name_the_key_and_never_the_password() {
    let Some(redis) = Redis::start().await else { return };
    let keys = vec![TopicPartition::new("t", 0)];
    let store = RedisStore::connect(&redis.address()).expect("an address").timeout(SECOND * 2);
    redis.command(&["SET", "ottla:{g:t}:0", "no hash"]);
    let error = store.load("g", keys.clone()).await.expect_err("it is of another type");
    assert_eq!(error.kind(), Kind::Storage);
    assert!(error.to_string().contains("ottla:{g:t}:0"), "{error:#}");
    redis.command(&["DEL", "ottla:{g:t}:0"]);
    redis.command(&["HSET", "ottla:{g:t}:0", "o", "many"]);
    let error = store.load("g", keys.clone()).await.expect_err("it is no number");
    assert!(error.to_string().contains("ottla:{g:t}:0: it is no stored offset"), "{error:#}");
    // It accepts connections, and does not answer.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("it has one").port();
    let address = format!("redis://user:hunter2@127.0.0.1:{port}/0");
    let store = RedisStore::connect(&address).expect("an address").timeout(SECOND / 2);
    let answered = tokio::time::timeout(SECOND * 20, store.load("g", keys.clone())).await.expect("it ends");
    let error = answered.expect_err("nobody answers");
    assert!(!format!("{error:#} {error:?} {store:?}").contains("hunter2"), "{error:#}");
    drop(silent);
    let answered = tokio::time::timeout(SECOND * 20, store.load("g", keys)).await.expect("it ends");
    assert_eq!(answered.expect_err("nobody is there").kind(), Kind::Storage);
    let error = RedisStore::connect("http://user:hunter2@there").expect_err("not of Redis");
    assert!(error.kind() == Kind::Config && !format!("{error:#} {error:?}").contains("hunter2"), "{error:#}");
}

#[tokio::test]
async fn place_of_the_old_system_is_read_once() {
    let Some(redis) = Redis::start().await else { return };
    let store = RedisStore::connect(&redis.address()).expect("an address");
    let none = LegacyCursor { offset: None, reset: None };
    assert_eq!(store.legacy_cursor("app", "g", "t").await.expect("read"), none);
    redis.command(&["SET", "app_kafka_offset_g_t", "42"]);
    redis.command(&["SET", "RESET_app_kafka_offset_g_t", "7"]);
    let found = store.legacy_cursor("app", "g", "t").await.expect("read");
    assert_eq!(found, LegacyCursor { offset: Some(42), reset: Some(7) });
    redis.command(&["SET", "app_kafka_offset_g_t", "-3"]);
    let error = store.legacy_cursor("app", "g", "t").await.expect_err("it is negative");
    assert!(error.to_string().contains("app_kafka_offset_g_t"), "{error}");
}

/// Four workers on one Redis, of which some die with records in their hands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_on_one_redis_lose_nothing_and_repeat_only_what_the_dead_had() {
    let Some(redis) = Redis::start().await else { return };
    let cluster = Cluster::builder().brokers(3).topic("t", 8).build();
    let server = Server::start(cluster, "127.0.0.1:0".parse().expect("an address")).await.expect("started");
    let client = Client::connect([server.bootstrap()]).await.expect("it responds");
    let queue = Queue::builder(&client, "t").build().expect("settings are fine");
    queue.put((0..4_000).map(|number: i32| number.to_string()), SECOND * 30).await.expect("acknowledged");
    let address: Arc<str> = redis.address().into();
    let worker = |dies_after: usize| {
        let (client, address) = (client.clone(), Arc::clone(&address));
        async move {
            let store = RedisStore::connect(&address).expect("an address");
            let builder = Queue::builder(&client, "t").group("g").store(store).lease(SECOND);
            let mut queue = builder.build().expect("settings are fine");
            let (mut done, mut dropped) = (Vec::new(), Vec::new());
            let name = |record: &crate::consumer::OwnedRecord| (record.partition, record.offset);
            for round in 0.. {
                let batch = queue.take(100, SECOND * 3).await.expect("taken");
                if batch.is_empty() {
                    break;
                }
                let names: Vec<(i32, i64)> = batch.iter().map(name).collect();
                if round == dies_after {
                    dropped.extend(names);
                    break;
                }
                match batch.ack(SECOND * 5).await {
                    Ok(()) => done.extend(names),
                    // This machine was slow: somebody else has them.
                    Err(error) => assert_eq!(error.kind(), Kind::Unacknowledged, "{error:#}"),
                }
            }
            (done, dropped)
        }
    };
    let workers: Vec<_> = [usize::MAX, usize::MAX, 2, 3].map(|dies| tokio::spawn(worker(dies))).into_iter().collect();
    let (mut done, mut dropped) = (Vec::new(), Vec::new());
    for worker in workers {
        let (finished, had) = worker.await.expect("it does not panic");
        done.extend(finished);
        dropped.extend(had);
    }
    done.sort_unstable();
    let all = done.len();
    done.dedup();
    assert_eq!(done.len(), 4_000, "none is lost");
    assert_eq!(all, 4_000, "and none is acknowledged twice");
    assert!(dropped.iter().all(|name| done.binary_search(name).is_ok()));
}
