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

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::consumer::Consumer;
use ottla::consumer::Records;
use ottla::consumer::Start;
use ottla::mock::Cluster;
use ottla::mock::Server;
use ottla::producer::Producer;
use ottla::types::TopicPartition;
use serde_json::Value;

/// Programs that read until they are stopped.
const ENDLESS: [&str; 5] = [
    "src/client/state.rs",
    "src/consumer/acks/consumer.rs",
    "src/consumer/config.rs",
    "src/consumer/mod.rs",
    "src/consumer/streams/mod.rs",
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
        match tokio::time::timeout(LONGEST, program(&world)).await {
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

/// The examples, built from this tree with the features of the test suites.
fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--workspace", "--examples", "--message-format", "json"])
            .args(["--features", "ottla/mock,ottla/cli,ottla/unstable-internals"])
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

    drop(mock.stdin.take());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("text");
    assert!(mock.wait().expect("it ends").success());
    assert_eq!(rest.lines().filter(|line| line.ends_with(": 0..3")).count(), 1, "{rest}");
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
        client.admin().create_topics([NewTopic::new(name)]).await.expect("the controller responds")
    });
    assert!(created.iter().all(|(_, outcome)| outcome.is_ok()), "{created:?}");
}
