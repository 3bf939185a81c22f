//! Targets in which the bytes are a user's configuration: a list of properties, a DSN.
//!
//! An error names its property in one line, and never shows a secret. An accepted value has one normal form, which is accepted
//! again: alone, in another order, or in a DSN.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt::Write;
use std::sync::LazyLock;

use ottla::Client;
use ottla::Error;
use ottla::config::BootstrapServers;
use ottla::config::Config;
use ottla::config::Properties;
use ottla::config::families;
use ottla::config::keys;
use ottla::consumer::ConsumerBuilder;
use ottla::mock::Cluster;
use ottla::mock::Server;
use ottla::producer::ProducerBuilder;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

/// A secret value: nothing that is printed may contain it.
const SECRET: &str = "hunter2";
/// Longer than any message with any name.
const ERROR_LEN_MAX: usize = 600;

/// Every known name.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let of_keys = keys().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
    of_keys.chain(families().flat_map(|family| family.names.iter().copied())).collect()
});

/// Values that a fuzzer would guess slowly.
const VALUES: [&str; 32] = [
    "true",
    "false",
    "all",
    "-1",
    "0",
    "1",
    "2",
    "5",
    "9",
    "10",
    "12",
    "4096",
    "65536",
    "2097151",
    "4294967295",
    "4294967296",
    "0.5",
    "1e3",
    "-0",
    "NaN",
    "inf",
    "none",
    "gzip",
    "snappy",
    "lz4",
    "zstd",
    "latest",
    "read_committed",
    "round_robin",
    "plaintext",
    "a:1,[::1]:2",
    "a:1, b",
];

struct World {
    runtime: Runtime,
    client: Client,
    _server: Server,
}

thread_local! {
    /// Builders need a client, and a client needs a cluster.
    static WORLD: World = {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
        let (server, client) = runtime.block_on(async {
            let cluster = Cluster::builder().brokers(1).build();
            let server = Server::start(cluster, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
            let client = Client::connect([server.bootstrap()]).await.expect("the mock cluster answers");
            (server, client)
        });
        World { runtime, client, _server: server }
    };
}

/// Properties, one a line: `NAME=VALUE`, or a byte of 128 or more and another, which choose a name that is known, then the
/// value. A value that begins with such a byte begins with a likely one.
pub fn config(data: &[u8]) {
    if data.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
        return;
    }
    let pairs: Vec<(String, String)> = data.split(|byte| *byte == b'\n').filter_map(pair).collect();
    let (properties, outcomes) = apply(pairs.iter());
    for ((name, value), outcome) in pairs.iter().zip(&outcomes) {
        if let Err(error) = outcome {
            assert!(error.contains(shown(secret_name(name).unwrap_or(name))), "{name:?}: {error}");
        }
        // Without a valid separator the name may contain the value.
        let separator = [":", " ", "\t", ";"][value.len() % 4];
        let outcome = Properties::new().set(&format!("{name}{separator}{SECRET}"), value);
        discreet(&outcome.expect_err("no name has a separator"));
    }

    let (backwards, reversed) = apply(pairs.iter().rev());
    assert!(outcomes.iter().eq(reversed.iter().rev()), "{outcomes:?} {reversed:?}");
    let slots: Vec<&str> = pairs.iter().filter_map(|(name, _)| slot(name)).collect();
    if slots.iter().collect::<BTreeSet<_>>().len() == slots.len() {
        assert_eq!(dump(&backwards), dump(&properties), "order matters");
    }

    let (again, outcomes) = apply(dump(&properties).iter());
    assert!(outcomes.iter().all(Result::is_ok), "an accepted value is refused: {outcomes:?}");
    assert_eq!(dump(&again), dump(&properties), "an accepted value changes");
    let set: BTreeSet<&str> = dump(&properties).into_keys().collect();
    assert_eq!(format!("{properties:?}"), format!("Properties {set:?}"), "names and nothing else");
    in_a_dsn(&pairs);
    build(&properties);
}

/// A line of [`config`]. The value of an unknown name is a secret.
fn pair(line: &[u8]) -> Option<(String, String)> {
    let (name, value) = match line {
        [] => return None,
        [high @ 0x80..=0xff, low, value @ ..] => {
            let index = usize::from(high & 0x7f) << 8 | usize::from(*low);
            (NAMES[index % NAMES.len()].to_owned(), value)
        }
        _ => {
            let end = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
            (String::from_utf8_lossy(&line[..end]).into_owned(), line.get(end + 1..).unwrap_or_default())
        }
    };
    let mut value = match value {
        [first @ 0x80..=0xff, rest @ ..] => {
            VALUES[usize::from(first & 0x7f) % VALUES.len()].to_owned() + &String::from_utf8_lossy(rest)
        }
        _ => String::from_utf8_lossy(value).into_owned(),
    };
    if slot(&name).is_none() {
        value += SECRET;
    }
    Some((name, value))
}

/// The setting of a name. Names whose settings overlap have one slot. `None` if the name sets nothing.
fn slot(name: &str) -> Option<&'static str> {
    let key = keys().find(|key| key.name == name || key.aliases.contains(&name))?;
    Some(match key.name {
        "queue.buffering.max.kbytes" => "buffer.memory",
        name if name.starts_with("compression.") && name.ends_with("level") => "compression.level",
        name => name,
    })
}

/// The name of a secret that a name begins with. Errors show no more of it.
fn secret_name(name: &str) -> Option<&'static str> {
    let secrets = keys().filter(|key| key.is_secret());
    let names = secrets.flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
    names.filter(|secret| name.starts_with(secret)).max_by_key(|secret| secret.len())
}

/// The part of a name that errors must show: characters that a name can have.
fn shown(name: &str) -> &str {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let end = name.find(|c| !legal(c)).unwrap_or(name.len());
    &name[..end.min(40)]
}

type Outcome = Result<(), String>;

/// Sets each property, also after errors.
fn apply<'a, N: AsRef<str> + 'a, V: AsRef<str> + 'a>(
    pairs: impl Iterator<Item = impl Into<Pair<'a, N, V>>>,
) -> (Properties, Vec<Outcome>) {
    let mut properties = Properties::new();
    let set = |pair: Pair<'a, N, V>| properties.set(pair.0.as_ref(), pair.1.as_ref()).map_err(|error| discreet(&error));
    let outcomes = pairs.map(Into::into).map(set).collect();
    (properties, outcomes)
}

/// A name and a value, of a list or of a map.
struct Pair<'a, N, V>(&'a N, &'a V);

impl<'a, N, V> From<&'a (N, V)> for Pair<'a, N, V> {
    fn from((name, value): &'a (N, V)) -> Self {
        Self(name, value)
    }
}

impl<'a, N, V> From<(&'a N, &'a V)> for Pair<'a, N, V> {
    fn from((name, value): (&'a N, &'a V)) -> Self {
        Self(name, value)
    }
}

fn dump(properties: &Properties) -> BTreeMap<&'static str, String> {
    keys().filter_map(|key| Some((key.name, properties.get(key.name)?.to_owned()))).collect()
}

/// Checks that an error is one line of limited length without a secret, however it is printed. Returns its text.
fn discreet(error: &Error) -> String {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
    assert!(error.source().is_none(), "a configuration is wrong by itself: {error:?}");
    for printed in [&text, &format!("{error:?}"), &format!("{error:#?}")] {
        assert!(!printed.contains(SECRET), "{printed}");
    }
    text
}

/// Checks that a DSN of these properties has the same settings as their list.
fn in_a_dsn(pairs: &[(String, String)]) {
    let listed = Config::from_properties(pairs.iter().map(|(name, value)| (name, value)));
    // A DSN has its brokers in another place, and cannot carry an empty name.
    if pairs.iter().any(|(name, _)| slot(name) == Some("bootstrap.servers") || name.is_empty()) {
        return;
    }
    let read = Config::from_dsn(&dsn_of("b:1", "", pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    match (listed, read) {
        (Ok(listed), Ok(read)) => {
            let mut expected = dump(listed.properties());
            expected.insert("bootstrap.servers", "b:1".to_owned());
            assert_eq!(dump(read.properties()), expected);
        }
        (Err(listed), Err(read)) => {
            let errors = (discreet(&listed), discreet(&read));
            // After a secret a DSN shows no name that is not known.
            assert!(errors.0 == errors.1 || pairs.iter().any(|(name, _)| secret_name(name).is_some()), "{errors:?}");
        }
        (listed, read) => panic!("{listed:?} {read:?}"),
    }
}

/// Writes a DSN with every byte escaped that may be.
fn dsn_of<'a>(servers: &str, topic: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => out.push(char::from(byte)),
                _ => write!(out, "%{byte:02X}").expect("a string takes it"),
            }
            out
        })
    };
    let keys: Vec<String> = pairs.map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    format!("kafka://{servers}/{}?{}", escape(topic), keys.join("&"))
}

/// Builds a client, a producer and a consumer with the properties. Every error names a property.
fn build(properties: &Properties) {
    let named = |error: Error| {
        let text = discreet(&error);
        assert!(keys().any(|key| text.contains(key.name)), "names no property: {text}");
    };
    let client = Client::builder(["a"]).expect("a broker").properties(properties);
    assert!(!format!("{client:?}").contains(SECRET));
    WORLD.with(|World { runtime, client, .. }| {
        let _inside = runtime.enter();
        let producer = client.producer().properties(properties).and_then(ProducerBuilder::build);
        let consumer = client.consumer().assign(["t"]).properties(properties).and_then(ConsumerBuilder::build);
        producer.map_or_else(named, drop);
        consumer.map_or_else(named, drop);
        // Their tasks end.
        runtime.block_on(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
    });
}

/// A DSN, with or without its scheme, and a list of brokers; or, in four lines, a user, the text before and after the secret in a
/// password, and the rest.
pub fn dsn(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains(SECRET) {
        return;
    }
    brokers(text);
    for dsn in [text, &format!("kafka://{text}"), &format!("kafka://a/t?{text}")] {
        reread(dsn);
    }
    let mut lines = text.splitn(4, '\n');
    let [user, before, after, rest] = [(); 4].map(|()| lines.next().unwrap_or_default());
    let login = format!("{user}:{before}{SECRET}{after}");
    for scheme in ["", "kafka:/", "kafka://", "kafka://a,", "kafka+ssl://"] {
        // The grammar also allows a DSN without a user.
        if let Err(error) = Config::from_dsn(&format!("{scheme}{login}@{rest}")) {
            discreet(&error);
        }
    }
    if let Err(error) = BootstrapServers::parse([format!("{login}@{rest}")]) {
        discreet(&error);
    }
    // Without a host, a comma begins another broker.
    let alone = format!("user:{}", login.replace([',', '@', '?', '/'], ""));
    for scheme in ["", "kafka://"] {
        discreet(&Config::from_dsn(&format!("{scheme}{alone}")).expect_err("a secret is no port"));
    }
    discreet(&BootstrapServers::parse([alone]).expect_err("a secret is no port"));
}

/// Parses a list of brokers. Each parses again from its printed form.
fn brokers(text: &str) {
    let servers = match BootstrapServers::parse([text]) {
        Ok(servers) => servers,
        Err(error) => return drop(discreet(&error)),
    };
    let list = servers.to_string();
    assert_eq!(list.parse::<BootstrapServers>().expect("a printed list"), servers);
    let config = Config::from_dsn(&format!("kafka://{list}")).expect("brokers alone");
    assert_eq!(config.properties().get("bootstrap.servers"), Some(list.as_str()));
}

/// Parses a DSN. Its settings, written as a DSN, parse to the same settings.
fn reread(dsn: &str) {
    let config = match Config::from_dsn(dsn) {
        Ok(config) => config,
        Err(error) => {
            let text = discreet(&error);
            assert!(text.len() <= ERROR_LEN_MAX + 6 * dsn.len(), "{text}");
            return;
        }
    };
    let set = dump(config.properties());
    let others = set.iter().filter(|(name, _)| **name != "bootstrap.servers");
    let others = others.map(|(name, value)| (*name, value.as_str()));
    let written = dsn_of(&set["bootstrap.servers"], config.topic().unwrap_or_default(), others);
    let own = config.to_dsn().expect("brokers");
    for written in [written.as_str(), own.expose_text().expect("text")] {
        let again = Config::from_dsn(written).expect("a valid DSN");
        assert_eq!(dump(again.properties()), set, "{written}");
        assert_eq!(again, config, "{written}");
    }
    let pairs = config.properties().pairs();
    assert_eq!(Config::from_properties(pairs).expect("its own settings").properties(), config.properties());
}
