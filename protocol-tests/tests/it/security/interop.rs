//! Java's client, librdkafka and ours over each way to log in at a real broker: all read what each has written.
//!
//! Debian's librdkafka cannot log in by SCRAM (CVE-2024-56128). `OTTLA_LIBRDKAFKA` names a program of a newer one, which
//! `benches/peers/rust` builds (`cargo build --release -p peer-interop`); it then takes part in SCRAM as well.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use ottla::Client;
use ottla::Record;
use ottla::admin::Acl;
use ottla::admin::AclFilter;
use ottla::admin::AclOperation;
use ottla::client::ClientBuilder;
use ottla::consumer::Start;
use ottla::sasl::Sasl;
use protocol_tests::rig;
use protocol_tests::rig::secure;

/// The records that each client writes.
const RECORDS: usize = 10;

/// Properties.
type Pairs = Vec<(&'static str, String)>;

/// A way to log in, as each of the clients puts it.
struct Way {
    name: &'static str,
    listener: u16,
    /// In addition to the address and the CA.
    java: Pairs,
    librdkafka: Librdkafka,
}

/// The properties of librdkafka, in addition to the CA.
enum Librdkafka {
    Each(Pairs),
    /// Only a release without CVE-2024-56128.
    Newer(Pairs),
    /// It has no such thing.
    Never,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_clients_read_what_each_wrote_over_every_mechanism() {
    if !secure::is_node_up() {
        return;
    }
    let admin = secure::admin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let mut java = Java::start();
    let by_password = java_properties(secure::TOKEN, &java_scram("SCRAM-SHA-512", "alice", "alice-secret", ""));
    std::fs::write(file("token"), by_password).expect("written");
    let [id, hmac] = java.ask(&format!("token {}", file("token"))).try_into().expect("two lines");
    let librdkafka = std::env::var("OTTLA_LIBRDKAFKA").ok();
    let mut open = Vec::new();
    for (way, ours) in ways(&id, &hmac) {
        let topic = secure::topic(&admin, "interop", 1).await;
        let may = |operation| Acl::allow("User:ANONYMOUS", operation).on_topic(&topic);
        secure::grant(&admin, [AclOperation::Read, AclOperation::Write].map(may)).await;
        std::fs::write(file(way.name), java_properties(way.listener, &way.java)).expect("written");
        let client = ours.connect().await.unwrap_or_else(|error| panic!("{}: {error:#}", way.name));
        secure::eventually(async || client.admin().describe_topics([topic.as_str()]).await).await;
        let mut written = write(&client, &topic).await;
        java.ask(&format!("write {} {topic} java {RECORDS}", file(way.name)));
        written.extend(values("java"));
        let peer = Peer::of(&way, librdkafka.as_deref());
        if let Some(peer) = &peer {
            peer.write(&topic);
            written.extend(values("librdkafka"));
        }
        open.push((way, topic, client, peer, written));
    }
    println!("| way | ours | Java 4.3.1 | librdkafka |\n|---|---|---|---|");
    for (way, topic, client, peer, written) in &open {
        let name = way.name;
        assert_eq!(&read(client, topic).await, written, "{name}: by us");
        let count = written.len();
        assert_eq!(&java.ask(&format!("read {} {topic} {count}", file(name))), written, "{name}: by Java");
        if let Some(peer) = peer {
            assert_eq!(&peer.read(topic), written, "{name}: by librdkafka");
        }
        let librdkafka = match (&way.librdkafka, peer) {
            (_, Some(_)) => "reads and writes",
            (Librdkafka::Newer(_), None) => "not run: Debian's cannot (CVE-2024-56128)",
            (Librdkafka::Each(_) | Librdkafka::Never, None) => "has no such mechanism",
        };
        println!("| {name} | reads and writes | reads and writes | {librdkafka} |");
        admin.admin().delete_topics([&**topic]).await.expect("a controller");
        let filter = AclFilter::all().principal("User:ANONYMOUS").resource(topic);
        admin.admin().delete_acls([filter]).await.into_iter().for_each(|(_, deleted)| drop(deleted.expect("deleted")));
    }
}

fn path(name: &str) -> String {
    rig::pki(name).display().to_string()
}

/// Each way, with a client of ours that goes it.
fn ways(token: &str, hmac: &str) -> Vec<(Way, ClientBuilder)> {
    let mut ways = Vec::from(by_tls());
    ways.extend(by_password());
    ways.extend(by_token(token, hmac));
    ways
}

fn by_tls() -> [(Way, ClientBuilder); 2] {
    let owned =
        |pairs: &[(&'static str, &str)]| pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let (certificate, key, both) = (path("client.crt"), path("client.key"), path("client.pem"));
    let anybody = Way {
        name: "TLS",
        listener: secure::TLS,
        java: owned(&[("security.protocol", "SSL")]),
        librdkafka: Librdkafka::Each(owned(&[("security.protocol", "ssl")])),
    };
    let keystore = [("security.protocol", "SSL"), ("ssl.keystore.type", "PEM"), ("ssl.keystore.location", &*both)];
    let identity =
        [("security.protocol", "ssl"), ("ssl.certificate.location", &*certificate), ("ssl.key.location", &*key)];
    let named = Way {
        name: "TLS-with-a-certificate",
        listener: secure::MTLS,
        java: owned(&keystore),
        librdkafka: Librdkafka::Each(owned(&identity)),
    };
    [
        (anybody, secure::builder(secure::TLS).tls(secure::tls())),
        (named, secure::builder(secure::MTLS).tls(secure::tls_of("client"))),
    ]
}

fn by_password() -> [(Way, ClientBuilder); 3] {
    let way = |name, java, librdkafka| Way { name, listener: secure::SCRAM, java, librdkafka };
    let ours = |sasl| secure::builder(secure::SCRAM).tls(secure::tls()).sasl(sasl);
    let login = |mechanism| librdkafka(mechanism, &[("sasl.username", "alice"), ("sasl.password", "alice-secret")]);
    let plain = java_sasl("PLAIN", "plain.PlainLoginModule", r#"username="alice" password="alice-secret""#);
    let scram = |mechanism: &'static str| {
        let java = java_scram(mechanism, "alice", "alice-secret", "");
        way(mechanism, java, Librdkafka::Newer(login(mechanism)))
    };
    [
        (way("PLAIN", plain, Librdkafka::Each(login("PLAIN"))), ours(Sasl::plain("alice", "alice-secret"))),
        (scram("SCRAM-SHA-256"), ours(Sasl::scram_sha_256("alice", "alice-secret"))),
        (scram("SCRAM-SHA-512"), ours(secure::alice())),
    ]
}

fn by_token(token: &str, hmac: &str) -> [(Way, ClientBuilder); 2] {
    let unsecured = r#"unsecuredLoginStringClaim_sub="alice""#;
    let oauth = [("enable.sasl.oauthbearer.unsecure.jwt", "true"), ("sasl.oauthbearer.config", "principal=alice")];
    let bearer = Way {
        name: "OAUTHBEARER-unsecured",
        listener: secure::OAUTH_UNSECURED,
        java: java_sasl("OAUTHBEARER", "oauthbearer.OAuthBearerLoginModule", unsecured),
        librdkafka: Librdkafka::Each(librdkafka("OAUTHBEARER", &oauth)),
    };
    let delegated = Way {
        name: "delegation-token",
        listener: secure::TOKEN,
        java: java_scram("SCRAM-SHA-512", token, hmac, " tokenauth=true"),
        librdkafka: Librdkafka::Never,
    };
    let ours = |listener, sasl| secure::builder(listener).tls(secure::tls()).sasl(sasl);
    [
        (bearer, ours(secure::OAUTH_UNSECURED, Sasl::unsecured_tokens("alice"))),
        (delegated, ours(secure::TOKEN, Sasl::delegation_token(token, hmac))),
    ]
}

fn java_scram(mechanism: &str, user: &str, password: &str, rest: &str) -> Pairs {
    let credentials = format!(r#"username="{user}" password="{password}"{rest}"#);
    java_sasl(mechanism, "scram.ScramLoginModule", &credentials)
}

fn java_sasl(mechanism: &str, module: &str, rest: &str) -> Pairs {
    vec![
        ("security.protocol", "SASL_SSL".to_owned()),
        ("sasl.mechanism", mechanism.to_owned()),
        ("sasl.jaas.config", format!("org.apache.kafka.common.security.{module} required {rest};")),
    ]
}

fn librdkafka(mechanism: &str, rest: &[(&'static str, &str)]) -> Pairs {
    let common = [("security.protocol", "sasl_ssl"), ("sasl.mechanism", mechanism)];
    common.iter().chain(rest).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// A properties file of Java's client.
fn java_properties(listener: u16, rest: &[(&'static str, String)]) -> String {
    let common = [
        ("bootstrap.servers", format!("localhost:{}", secure::NODE + listener)),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", path("ca.pem")),
    ];
    common.iter().chain(rest).map(|(name, value)| format!("{name}={value}\n")).collect()
}

fn values(name: &str) -> impl Iterator<Item = String> {
    (0..RECORDS).map(move |number| format!("{name}-{number}"))
}

async fn write(client: &Client, topic: &str) -> Vec<String> {
    let producer = client.producer().build().expect("a producer");
    for value in values("ours") {
        producer.send(Record::to(topic).partition(0).value(&value)).await.expect("acknowledged");
    }
    values("ours").collect()
}

async fn read(client: &Client, topic: &str) -> Vec<String> {
    let consumer = client.consumer().assign([topic]).start(Start::Earliest).until_end().build();
    let mut consumer = consumer.expect("a consumer");
    let mut read = Vec::new();
    while let Some(records) = consumer.poll().await.expect("readable") {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        read.extend(records.iter().map(|record| text(record.value)));
    }
    read
}

/// `docker/interop/Interop.java` in a JVM, which ends when it is dropped.
struct Java {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Java {
    fn start() -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/interop/Interop.java");
        let mut java = rig::java(source);
        java.env("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC");
        java.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = java.spawn().expect("there is a JDK");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, questions, answers }
    }

    /// The lines that answer a line.
    fn ask(&mut self, question: &str) -> Vec<String> {
        let questions = self.questions.as_mut().expect("it was not dropped");
        writeln!(questions, "{question}").and_then(|()| questions.flush()).expect("the JVM runs");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).expect("text");
            match line.trim_end() {
                "done" => return lines,
                line if read == 0 || line.starts_with("failed ") => panic!("{question}: {line}"),
                line => lines.push(line.to_owned()),
            }
        }
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}

/// librdkafka with its properties.
struct Peer {
    program: String,
    broker: String,
    properties: Pairs,
}

impl Peer {
    /// The program that speaks for librdkafka: a newer one if there is one, or Debian's `kcat`. Both take the same arguments.
    fn of(way: &Way, newer: Option<&str>) -> Option<Self> {
        let (program, properties) = match (&way.librdkafka, newer) {
            (Librdkafka::Each(properties) | Librdkafka::Newer(properties), Some(newer)) => (newer, properties),
            (Librdkafka::Each(properties), None) => ("kcat", properties),
            (Librdkafka::Newer(_), None) | (Librdkafka::Never, _) => return None,
        };
        let ca = [("ssl.ca.location", path("ca.pem"))];
        let properties = ca.into_iter().chain(properties.iter().cloned()).collect();
        let broker = format!("localhost:{}", secure::NODE + way.listener);
        Some(Self { program: program.to_owned(), broker, properties })
    }

    fn command(&self, topic: &str, mode: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-b", &self.broker, "-t", topic, "-p", "0"]).args(mode);
        for (name, value) in &self.properties {
            command.args(["-X", &format!("{name}={value}")]);
        }
        command
    }

    fn write(&self, topic: &str) {
        let mut command = self.command(topic, &["-P"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text: String = values("librdkafka").map(|value| value + "\n").collect();
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
        assert!(child.wait().expect("an end").success(), "{command:?}");
    }

    fn read(&self, topic: &str) -> Vec<String> {
        let mut command = self.command(topic, &["-C", "-e", "-q", "-o", "beginning"]);
        String::from_utf8(rig::output(&mut command)).expect("text").lines().map(str::to_owned).collect()
    }
}
