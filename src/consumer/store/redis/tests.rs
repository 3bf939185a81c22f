//! Offsets in a real Redis, which the tests start themselves on a free port.

use std::net::TcpListener;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

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
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it has one").port();
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"])
            .arg(std::env::temp_dir())
            .args(settings);
        let Ok(child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            assert!(std::env::var_os("OTTLA_REQUIRE_REAL").is_none(), "no redis-server here");
            eprintln!("NOT RUN: there is no redis-server");
            return None;
        };
        let redis = Self { child, port };
        for _ in 0..200 {
            if ["+PONG", "-NOAUTH"].iter().any(|reply| redis.command(&["PING"]).starts_with(reply)) {
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
async fn login_takes_user_password_and_database_of_the_address() {
    let Some(redis) = Redis::start().await else { return };
    for user in [
        &["ACL", "SETUSER", "worker", "on", ">p@ss", "~*", "+@all"][..],
        &["ACL", "SETUSER", "reader", "on", ">p@ss", "~other:*", "+client", "+select", "+get"],
        &["CONFIG", "SET", "requirepass", "another"],
    ] {
        assert_eq!(redis.command(user), "+OK\r\n");
    }
    let at = |login: &str, database: u8| {
        let address = format!("redis://{login}127.0.0.1:{}/{database}", redis.port);
        RedisStore::connect(&address).expect("an address").timeout(SECOND * 20)
    };
    let keys = || vec![TopicPartition::new("t", 0)];
    let store = at("worker:p%40ss@", 3);
    let outcomes = store.compare_and_set("g", vec![change(0, 5, Expected::Missing)]).await.expect("answered");
    assert_eq!(outcomes, [Outcome::Stored(1)]);
    assert_eq!(at("worker:p%40ss@", 4).load("g", keys()).await.expect("loaded"), [Lookup::Missing]);
    assert!(matches!(at(":another@", 3).load("g", keys()).await.expect("loaded")[..], [Lookup::Found(_)]));
    for (store, why) in [
        (at("worker:another@", 3), "Redis refused the login: correct the user and the password in the address"),
        (at("", 0), "write the user and the password into the address: redis://"),
        (at("", 3), "Redis wants a login: write the user"),
        (at(":another@", 99), "Redis refused the database: correct its number in the address"),
        (at("reader:p%40ss@", 0), "Redis refused the command: let the user run EVAL, GET"),
    ] {
        let shown = format!("{:#}", store.load("g", keys()).await.expect_err(why));
        assert!(shown.contains(why) && !shown.contains("p@ss") && !shown.contains("another"), "{shown}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn redis_is_reached_by_its_socket_of_unix() {
    let path = std::env::temp_dir().join(format!("ottla-redis-{}.sock", std::process::id()));
    let path = path.to_str().expect("text");
    let Some(redis) = Redis::start_with(&["--unixsocket", path, "--requirepass", "p w"]).await else { return };
    let address = format!("unix://{path}?db=2&pass=p+w");
    let store = RedisStore::connect(&address).expect("an address").timeout(SECOND * 20);
    let outcomes = store.compare_and_set("g", vec![change(0, 5, Expected::Missing)]).await.expect("answered");
    assert_eq!(outcomes, [Outcome::Stored(1)]);
    let store = RedisStore::connect(&format!("redis://:p%20w@127.0.0.1:{}/2", redis.port)).expect("an address");
    let found = store.load("g", vec![TopicPartition::new("t", 0)]).await.expect("loaded");
    assert!(matches!(&found[..], [Lookup::Found(stored)] if stored.position.offset == 5), "{found:?}");
}

/// A server that sends a greeting, answers a login with OK, and each script with the next reply; the last one goes on.
async fn fake(greeting: &'static str, replies: Vec<String>) -> RedisStore {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it has one").port();
    let (replies, next) = (Arc::new(replies), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (replies, next) = (Arc::clone(&replies), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut heard, mut done) = (Vec::new(), [0; 2]);
                let mut written = stream.write_all(greeting.as_bytes()).await;
                while written.is_ok() && stream.read_buf(&mut heard).await.is_ok_and(|count| count > 0) {
                    let count = |word: &[u8]| heard.windows(word.len()).filter(|window| *window == word).count();
                    let asked = [count(b"SETINFO"), count(b"EVAL")];
                    let mut out = "+OK\r\n".repeat(asked[0] - done[0]);
                    for _ in done[1]..asked[1] {
                        out += &replies[next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1)];
                    }
                    done = asked;
                    written = stream.write_all(out.as_bytes()).await;
                }
            });
        }
    });
    RedisStore::connect(&format!("redis://127.0.0.1:{port}")).expect("an address").timeout(SECOND * 20)
}

#[tokio::test]
async fn server_that_is_no_redis_is_refused_at_once() {
    for (greeting, why) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "this is not the protocol of Redis: check the port"),
        ("\u{15}\u{3}\u{3}", "write rediss:// for one with TLS: a reply begins with the byte 0x15"),
        ("+welcome\r\n", "this is not the protocol of Redis"),
        ("*2147483647\r\n", "a reply of 2147483647 values was announced"),
        ("-DENIED Redis is running in protected mode\r\n", "set a password in redis.conf"),
    ] {
        let store = fake(greeting, vec![String::new()]).await.timeout(Duration::MAX);
        let loaded = tokio::time::timeout(SECOND * 30, store.load("g", vec![TopicPartition::new("t", 0)]));
        let shown = format!("{:#}", loaded.await.expect("at once").expect_err("no Redis"));
        assert!(shown.contains(why), "{shown}");
    }
}

#[tokio::test]
async fn hostile_reply_ends_the_connection_and_is_named() {
    let nested = "*1\r\n".repeat(100_000);
    let line = format!("-{}", "a".repeat(100_000));
    for (reply, why) in [
        ("*2147483647\r\n", "a reply of 2147483647 values was announced, and 1024 are the most"),
        ("$2147483647\r\n", "bytes was announced, and 67108864 are the most"),
        (&nested, "more than 8 arrays within each other"),
        (&line, "a line of a reply has more than 65536 bytes"),
        ("*7\r\n?\r\n", "a reply begins with the byte 0x3f"),
    ] {
        // A change is not repeated: it may have been made.
        let store = fake("", vec![reply.to_owned(), "*1\r\n:1\r\n".to_owned()]).await;
        let error = store.compare_and_set("g", vec![change(0, 5, Expected::Any)]).await.expect_err("no reply");
        let shown = format!("{error:#}");
        assert!(shown.contains("the command failed") && shown.contains(why), "{shown}");
        assert_eq!(error.kind(), Kind::Storage);
        // A read is repeated over another connection.
        let lost = "*7\r\n:1\r\n:0\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n".to_owned();
        let store = fake("", vec![reply.to_owned(), lost]).await;
        let found = store.load("g", vec![TopicPartition::new("t", 0)]).await.expect("the second answer is fine");
        assert_eq!(found, [Lookup::Missing]);
    }
}

#[tokio::test]
async fn redis_that_loads_its_data_is_waited_for() {
    let loading = "-LOADING Redis is loading the dataset in memory\r\n".to_owned();
    let store = fake("", vec![loading.clone(), loading, "*1\r\n:1\r\n".to_owned()]).await;
    let outcomes = store.compare_and_set("g", vec![change(0, 5, Expected::Missing)]).await.expect("it has loaded");
    assert_eq!(outcomes, [Outcome::Stored(1)]);
}

#[tokio::test]
async fn error_of_redis_names_its_own_remedy() {
    for (reply, why) in [
        ("-MOVED 3999 127.0.0.1:6381\r\n", "to `RedisStore::with` (feature `redis-1`): MOVED 3999 127.0.0.1:6381"),
        ("-READONLY You can't write against a read only replica.\r\n", "write the address of its primary"),
        ("-NOAUTH Authentication required.\r\n", "redis://USER:PASSWORD@HOST: NOAUTH"),
        ("-OOM command not allowed\r\n", "no memory left"),
        ("-ERR a\tb\r\n", "delete the key if it is of another type"),
    ] {
        let store = fake("", vec![reply.to_owned()]).await;
        let error = store.compare_and_set("g", vec![change(0, 5, Expected::Missing)]).await.expect_err("refused");
        let shown = format!("{error:#}");
        assert!(shown.contains("key ottla:{g:t}:0: Redis refused the command: ") && shown.contains(why), "{shown}");
    }
}

#[tokio::test]
async fn metadata_that_could_not_be_read_again_is_not_stored() {
    let store = fake("", vec![String::new()]).await;
    let large = Change { metadata: "m".repeat((32 << 20) + 1), ..change(0, 5, Expected::Any) };
    let error = store.compare_and_set("g", vec![large]).await.expect_err("too large");
    assert!(error.to_string().contains("the metadata has 33554433 bytes: store at most 32 MiB"), "{error}");
}

#[cfg(feature = "redis-1")]
#[tokio::test]
async fn given_connection_of_the_crate_redis_keeps_offsets() {
    let Some(redis) = Redis::start().await else { return };
    for protocol in ["resp2", "resp3"] {
        let client = ::redis::Client::open(format!("{}?protocol={protocol}", redis.address())).expect("an address");
        let connection = client.get_multiplexed_async_connection().await.expect("connected");
        let store = RedisStore::with(connection).prefix(protocol).timeout(SECOND * 20);
        let keys = || vec![TopicPartition::new("t", 0)];
        assert_eq!(store.load("g", keys()).await.expect("loaded"), [Lookup::Missing]);
        let outcomes = store.compare_and_set("g", vec![change(0, 5, Expected::Missing)]).await.expect("answered");
        assert_eq!(outcomes, [Outcome::Stored(1)]);
        // The store's own connection finds it.
        let own = RedisStore::connect(&redis.address()).expect("an address").prefix(protocol);
        let found = own.load("g", keys()).await.expect("loaded");
        assert!(matches!(&found[..], [Lookup::Found(stored)] if stored.metadata == "a text"), "{found:?}");
        assert_eq!(store.load("g", keys()).await.expect("loaded"), found);
        redis.command(&["DEL", &format!("{protocol}:{{g:t}}:0")]);
        redis.command(&["SET", &format!("{protocol}:{{g:t}}:0"), "no hash"]);
        let shown = format!("{:#}", store.load("g", keys()).await.expect_err("it is of another type"));
        assert!(shown.contains("delete the key if it is of another type") && shown.contains("WRONGTYPE"), "{shown}");
    }
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
