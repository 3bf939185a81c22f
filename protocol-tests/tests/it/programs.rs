//! Runs the programs of the README, the guides and the documentation against the mock cluster, and the examples as processes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::InitProducerIdRequest;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::TransactionalId;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::StrBytes;
use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::admin::SaltedPassword;
use ottla::admin::ScramChange;
use ottla::consumer::Consumer;
use ottla::consumer::Records;
use ottla::consumer::Start;
use ottla::mock::Cluster;
use ottla::mock::NewBatch;
use ottla::mock::Outcome as Answer;
use ottla::mock::Server;
use ottla::mock::key;
use ottla::producer::Producer;
use ottla::types::ScramMechanism;
use ottla::types::TopicPartition;
use serde_json::Value;

/// Programs that read until they are stopped.
const ENDLESS: [&str; 9] = [
    "docs/guide/groups.md",
    "docs/migration/java.md",
    "docs/migration/rdkafka.md",
    "src/client/state.rs",
    "src/consumer/acks/consumer.rs",
    "src/consumer/config.rs",
    "src/consumer/mod.rs",
    "src/consumer/streams/mod.rs",
    "src/queue/lag/mod.rs",
];
/// The longest that a program may take, on the paused clock.
const LONGEST: Duration = Duration::from_secs(600);

static SERVERS: OnceLock<String> = OnceLock::new();

/// The address that programs connect to instead of `localhost:9092`.
fn servers() -> &'static str {
    SERVERS.get().expect("the cluster runs")
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;
type Program = fn(&World) -> Running<'_>;

/// The outcome of a program, whatever its type.
struct Outcome(Result<(), String>);

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self(Ok(()))
    }
}

impl<E: Display> From<Result<(), E>> for Outcome {
    fn from(result: Result<(), E>) -> Self {
        Self(result.map_err(|error| format!("{error:#}")))
    }
}

/// Runs a program on a thread of its own.
async fn apart(program: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    // The clock stands still meanwhile. On that thread there is no runtime, which blocking calls demand.
    let run = || std::thread::spawn(program).join().expect("it does not panic");
    tokio::task::spawn_blocking(run).await.expect("it does not panic")
}

/// The values that programs take.
struct World {
    client: Client,
}

impl World {
    fn client(&self) -> Client {
        self.client.clone()
    }

    /// It connects when it is used, since it cannot be waited for here.
    #[expect(clippy::unused_self, reason = "all values of programs are the world's")]
    fn blocking(&self) -> ottla::blocking::Client {
        ottla::blocking::Client::connect_lazy([servers()]).expect("the address is well-formed")
    }

    fn producer(&self) -> Producer {
        self.client.producer().build().expect("the defaults are fine")
    }

    /// A consumer that ends.
    fn consumer(&self) -> Consumer {
        let builder = self.client.consumer().group("readers").assign(["events"]).start(Start::Earliest).until_end();
        builder.build().expect("the settings are fine")
    }

    /// Makes groups, which have committed an offset.
    async fn commit_for(&self, groups: &[&str]) {
        for group in groups {
            let offsets = [(TopicPartition::new("orders", 0), 0)];
            for (_, altered) in self.client.admin().alter_group_offsets(*group, offsets).await {
                altered.expect("the group has no members");
            }
        }
    }

    /// Prepares what the programs of a file expect. Returns the member of a group that one of them removes.
    async fn stage(&self, server: &Server, place: &str) -> Option<Consumer> {
        if place.starts_with("src/admin/records.rs") {
            let batch = NewBatch::of((0..1_000).map(|_| ("user-7", "clicked")));
            server.with(|cluster| cluster.append("events", 0, &batch)).expect("the partition exists");
        }
        if place.starts_with("src/admin/scram_users.rs") {
            let password = || SaltedPassword { salt: "salt".into(), salted: vec![7; 32].into(), iterations: 4_096 };
            let set = |user| ScramChange::salted(user, ScramMechanism::Sha256, password());
            for (_, set) in self.client.admin().alter_scram_users(["alice", "etl"].map(set)).await {
                set.expect("the credential is valid");
            }
        }
        if place.starts_with("src/admin/transactions.rs") {
            server.with(|cluster| begin_transactional(cluster, "billing-1"));
        }
        if !place.starts_with("src/admin/groups/removing.rs") {
            return None;
        }
        let member = self.client.consumer().group("billing").group_instance_id("worker-3").subscribe(["orders"]);
        let mut member = member.build().expect("the settings are fine");
        while member.assignment().is_empty() {
            drop(tokio::time::timeout(Duration::from_secs(1), member.poll()).await);
        }
        Some(member)
    }

    async fn records(&self) -> Records {
        let mut consumer = self.consumer();
        loop {
            let records = consumer.poll().await.expect("the leaders respond").expect("there are records");
            if !records.is_empty() {
                return records;
            }
        }
    }
}

/// Makes a transactional id known to its coordinator, as a producer of another client does.
fn begin_transactional(cluster: &mut Cluster, id: &'static str) {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str(id))))
        .with_transaction_timeout_ms(60_000);
    let header = RequestHeader::default().with_request_api_key(key::INIT_PRODUCER_ID).with_request_api_version(0);
    let mut frame = BytesMut::from(&[0; 4][..]);
    header.encode(&mut frame, 1).expect("an encodable header");
    request.encode(&mut frame, 0).expect("an encodable request");
    let size = i32::try_from(frame.len() - 4).expect("small");
    frame[..4].copy_from_slice(&size.to_be_bytes());
    let coordinator = cluster.coordinator(1, id).expect("a broker runs");
    let now = tokio::time::Instant::now().into_std();
    let outcome = cluster.handle(now, 1, coordinator, u64::MAX, frame.freeze());
    assert!(matches!(outcome, Answer::Reply(_)), "{outcome:?}");
}

#[allow(warnings, clippy::all, clippy::pedantic, clippy::unwrap_used, reason = "their style is rustdoc's business")]
mod generated {
    use super::*;

    include!(concat!(env!("OUT_DIR"), "/programs.rs"));
}

#[tokio::test(start_paused = true)]
async fn programs_of_the_documentation_run_against_the_mock() {
    let cluster = Cluster::builder().brokers(3).topic("events", 6).topic("orders", 2).topic("old-orders", 1).build();
    let server = Server::start(cluster, ([127, 0, 0, 1], 0).into()).await.expect("three ports are free");
    SERVERS.set(server.bootstrap().to_owned()).expect("no other test sets it");
    let client = Client::connect([servers()]).await.expect("the brokers respond");
    let world = World { client };
    let mut failed = BTreeMap::new();
    for (place, program) in generated::ALL {
        for partition in 0..6 {
            let record = Record::to("events").partition(partition).key("user-7").value("clicked");
            world.producer().send(record).await.expect("the leader appends it");
        }
        world.commit_for(&["audit", "billing", "billing-test"]).await;
        let is_endless = ENDLESS.iter().any(|file| place.starts_with(file));
        let staged = world.stage(&server, place).await;
        let ended = tokio::time::timeout(LONGEST, program(&world)).await;
        drop(staged);
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => drop(failed.insert(*place, error)),
            Err(_) if is_endless => {}
            Err(_) => drop(failed.insert(*place, "it does not end".to_owned())),
        }
    }
    println!("{} programs", generated::ALL.len());
    assert!(failed.is_empty(), "{failed:#?}");
    let expected = ["README.md", "src/lib.rs", "src/guide/shutdown.rs", "src/consumer/mod.rs", "src/producer/mod.rs"];
    for file in expected {
        assert!(generated::ALL.iter().any(|(place, _)| place.starts_with(file)), "{file} has no program");
    }
}

/// The code of other clients and of other languages is marked as such.
#[test]
fn every_guide_and_migration_page_has_a_program_that_is_run() {
    for folder in ["docs/guide", "docs/migration"] {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder);
        for page in std::fs::read_dir(path).expect("a readable folder") {
            let page = page.expect("an entry");
            let name = format!("{folder}/{}", page.file_name().to_string_lossy());
            let text = std::fs::read_to_string(page.path()).expect("a readable page");
            let fences: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("```")).step_by(2).collect();
            let programs = generated::ALL.iter().filter(|(place, _)| place.starts_with(&name)).count();
            let rust = fences.iter().filter(|info| **info == "rust,no_run").count();
            let known = fences.iter().all(|info| ["rust,no_run", "sh", "text", "toml"].contains(info));
            // Tuning is a page without code.
            assert!(known && programs == rust && (rust > 0 || name.ends_with("tuning.md")), "{name}: {fences:?}");
        }
    }
}

/// The examples, built from this tree with the features of the test suites.
fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--workspace", "--examples", "--message-format", "json"])
            .args(["--features", "ottla/mock,ottla/cli,ottla/queue,ottla/unstable-internals"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo");
        assert!(built.status.success(), "the examples do not build");
        let messages = built.stdout.lines().map(|line| line.expect("text"));
        let executable =
            |line: String| serde_json::from_str::<Value>(&line).ok()?["executable"].as_str().map(PathBuf::from);
        messages.filter_map(executable).collect()
    });
    built.iter().find(|path| path.ends_with(name)).unwrap_or_else(|| panic!("there is no example {name}")).clone()
}

fn start(name: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(example(name));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// The output of an example that gets this input.
#[track_caller]
fn output(name: &str, arguments: &[&str], input: &str) -> String {
    let mut child = start(name, arguments);
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{name}: {done:?}");
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn examples_run_against_the_example_that_serves_the_mock() {
    let mut mock = start("mock_serve", &[]);
    let mut servers = String::new();
    let mut lines = BufReader::new(mock.stdout.take().expect("a pipe"));
    lines.read_line(&mut servers).expect("a line");
    let servers = servers.trim_end();

    let alerts = output("alerts", &[servers, "events"], "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 3}\n");
    assert_eq!(alerts, "3 acknowledged, 0 not written, 0 in doubt\n");

    let lag = output("lag", &[servers, "nobody", "events"], "");
    let behind: Vec<&str> = lag.lines().filter(|line| line.ends_with("3 in the log")).collect();
    assert_eq!((lag.lines().count(), behind.len()), (6, 1), "{lag}");
    assert!(behind[0].contains("nothing committed"), "{lag}");

    assert_eq!(output("own_tests", &[], ""), "both orders are in the log, once\n");

    create_topic(servers, "copies");
    let copy = start("shutdown", &[servers, "events", "copies"]);
    await_copies(servers);
    // Its standard input ends here, which is its signal to stop.
    let done = copy.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{done:?}");
    let lag = output("lag", &[servers, "shutdown-example", "events"], "");
    assert!(lag.lines().any(|line| line.ends_with(" 0")), "it committed what it copied: {lag}");

    rebuilt_systems_run(servers);

    drop(mock.stdin.take());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("text");
    assert!(mock.wait().expect("it ends").success());
    assert_eq!(rest.lines().filter(|line| line.ends_with(": 0..3")).count(), 1, "{rest}");
}

/// The programs that rebuild the consumers of the monitoring system.
fn rebuilt_systems_run(servers: &str) {
    let newest = output("newest", &[servers, "events", "2"], "");
    assert_eq!(newest.lines().count(), 2, "{newest}");
    assert!(newest.lines().last().is_some_and(|line| line.ends_with("@2: {\"id\": 3}")), "{newest}");

    let drained = output("drain", &[servers, "drain-example", "events"], "");
    assert_eq!(drained, "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 3}\n");
    assert_eq!(output("drain", &[servers, "drain-example", "events"], ""), "", "it continues after its commit");

    let ensure = |partitions: &str| output("topic", &[servers, "queued", partitions, "30"], "");
    assert!(ensure("2").ends_with("queued: Created\n"));
    assert!(ensure("2").ends_with("queued: Unchanged\n"));
    assert!(ensure("1").contains("queued: Conflict"), "it never shrinks");
    assert_eq!(output("queue", &[servers, "queued", "put"], "a\nb\nc\n"), "3 acknowledged\n");
    let folder = tempfile::tempdir().expect("a folder");
    let offsets = folder.path().join("offsets").to_string_lossy().into_owned();
    let take = || output("queue", &[servers, "queued", "take", "9", &offsets], "");
    let mut taken: Vec<String> = take().lines().map(str::to_owned).collect();
    taken.sort();
    assert_eq!(taken, ["a", "b", "c"]);
    assert_eq!(take(), "", "each is taken once");

    create_topic(servers, "alerts");
    create_topic(servers, "envelopes");
    let pair = |name: &str, topic: &str| format!("{name}=kafka://{servers}/{topic}");
    let pushed =
        output("push", &["2", "disk full", &pair("0", "alerts"), &pair("2", "copies"), &pair("3", "copies")], "");
    let acknowledged = |(line, name): (&str, &str)| line.starts_with(&format!("{name}: acknowledged in partition "));
    assert!(pushed.lines().zip(["0", "2"]).all(acknowledged) && pushed.lines().count() == 2, "{pushed}");

    let items: String = (0..1_201).map(|number| format!("key\t{number}\n")).collect();
    let published = output("alarmd_publisher", &[servers, "envelopes"], &items);
    assert_eq!(published, "1201 items acknowledged, 0 failed\n");
    let envelopes = output("drain", &[servers, "drain-example", "envelopes"], "");
    let sizes: Vec<usize> = envelopes.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(sizes, [500, 500, 201], "in order, in one partition");

    let mut poller = start("event_poller", &[servers, "poller-example", "events", "envelopes"]);
    assert_eq!(read_lines(&mut poller, 6).iter().filter(|line| line.starts_with("events ")).count(), 3);
    stop(poller);
    let lag = output("lag", &[servers, "poller-example", "events", "envelopes"], "");
    assert!(lag.lines().filter(|line| line.ends_with(" 0")).count() >= 2, "it committed what it pushed: {lag}");

    let mut queue = start("group_queue", &[servers, "queue-example", "events"]);
    let mut taken = read_lines(&mut queue, 3);
    taken.sort();
    assert_eq!(taken, ["{\"id\": 1}", "{\"id\": 2}", "{\"id\": 3}"]);
    stop(queue);
    let lag = output("lag", &[servers, "queue-example", "events"], "");
    assert!(lag.lines().any(|line| line.ends_with(" 0")), "it committed what it acknowledged: {lag}");

    let mut access = start("realtime_access", &[servers, "access-example"]);
    say(&mut access, "events");
    assert_eq!(read_lines(&mut access, 3).len(), 3);
    say(&mut access, "events envelopes");
    assert!(read_lines(&mut access, 3).iter().all(|line| line.starts_with("envelopes ")));
    stop(access);
    let lag = output("lag", &[servers, "access-example", "envelopes"], "");
    assert!(lag.lines().any(|line| line.ends_with(" 0")), "it committed what it acknowledged: {lag}");
    partition_is_handed_over(servers);
}

/// Two alert builders and their leader, which is this test.
fn partition_is_handed_over(servers: &str) {
    let arguments = [servers, "builder-example", "handed"];
    create_topic(servers, "handed");
    let (mut first, mut second) = (start("alert_builder", &arguments), start("alert_builder", &arguments));
    say(&mut first, "0");
    say(&mut second, "");
    output("alerts", &[servers, "handed"], "1\n2\n3\n");
    assert_eq!(read_lines(&mut first, 3), ["alert 1", "alert 2", "alert 3"]);
    say(&mut first, "");
    assert_eq!(read_lines(&mut first, 1), ["released 0"]);
    say(&mut second, "0");
    output("alerts", &[servers, "handed"], "4\n5\n");
    assert_eq!(read_lines(&mut second, 2), ["alert 4", "alert 5"], "no record is built by both");
    stop(first);
    stop(second);
}

fn say(child: &mut Child, line: &str) {
    writeln!(child.stdin.as_mut().expect("a pipe"), "{line}").expect("it reads");
}

/// Reads so many lines, and no byte after them.
fn read_lines(child: &mut Child, count: usize) -> Vec<String> {
    let out = child.stdout.as_mut().expect("a pipe");
    let mut lines = vec![String::new()];
    loop {
        let mut byte = [0];
        out.read_exact(&mut byte).expect("it prints more");
        match byte[0] {
            b'\n' if lines.len() == count => return lines,
            b'\n' => lines.push(String::new()),
            other => lines.last_mut().expect("there is one").push(char::from(other)),
        }
    }
}

/// Ends the standard input of an example, which is its signal to stop.
fn stop(mut child: Child) {
    drop(child.stdin.take());
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{done:?}");
}

/// Waits until `copies` has three records, and fails after a minute.
fn await_copies(servers: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let read = async {
        let client = Client::connect([servers]).await?;
        let mut consumer = client.consumer().assign(["copies"]).start(Start::Earliest).build()?;
        let mut seen = 0;
        while seen < 3 {
            seen += consumer.poll().await?.expect("the read has no end").count();
        }
        Ok::<(), ottla::Error>(())
    };
    let read = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), read).await });
    read.expect("three records are copied").expect("the brokers respond");
}

fn create_topic(servers: &str, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let created = runtime.block_on(async {
        let client = Client::connect([servers]).await.expect("the brokers respond");
        client.admin().create_topics([NewTopic::new(name).partitions(1)]).await.expect("the controller responds")
    });
    assert!(created.iter().all(|(_, outcome)| outcome.is_ok()), "{created:?}");
}
