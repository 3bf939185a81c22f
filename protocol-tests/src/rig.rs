//! Real brokers, started by `protocol-tests/rig`, and the other clients that verify ours.

pub mod secure;

use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::pki::Identity;

/// One node of each release, by the ports of `compose.yaml`.
pub const RELEASES: [(&str, u16); 3] = [("4.3.1", 29_431), ("3.9.1", 29_391), ("2.8.2", 29_281)];

/// Three nodes of the newest release.
pub const TRIO: [u16; 3] = [29_441, 29_442, 29_443];

/// One node with a small disk, restarted whenever it stops.
pub const SMALL_DISK: u16 = 29_461;

/// The first port of the broker with TLS and SASL: the table of `docker/secure.sh` counts from it.
pub const SECURE: u16 = 29_500;

/// Its plain port, which is the last one that opens.
pub const SECURE_PLAIN: u16 = SECURE + 20;

/// A file of keys or certificates that `rig up` made for it: see `docker/pki.sh`.
pub fn pki(name: &str) -> PathBuf {
    cache().join("pki").join(name)
}

/// Whether a broker listens on this port of 127.0.0.1. Where none does, the test reports that it did not run; with
/// `OTTLA_REQUIRE_REAL=1` it fails.
pub fn is_up(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let up = TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok();
    if !up {
        let required = std::env::var("OTTLA_REQUIRE_REAL").is_ok_and(|value| value == "1");
        assert!(!required, "no broker listens on {address}: run protocol-tests/rig up");
        eprintln!("NOT RUN: no broker listens on {address}; protocol-tests/rig up starts one");
    }
    up
}

/// The address of a broker.
pub fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A topic name that no other run has.
pub fn fresh(name: &str) -> String {
    format!("{name}-{}-{}", std::process::id(), fastrand::u32(..))
}

/// The output of a command, which must succeed.
pub fn output(command: &mut Command) -> Vec<u8> {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// A class of the Java distribution of the newest release, ready to be run.
pub fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(cache().join("jars/4.3.1/*")).arg(class);
    command
}

/// The folder of what the rig keeps.
fn cache() -> PathBuf {
    let default = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/ottla");
    std::env::var_os("OTTLA_CACHE").map_or_else(default, PathBuf::from)
}

/// Every record of a topic as librdkafka's `kcat` reads it: partition, offset and value.
pub fn kcat_records(port: u16, topic: &str) -> Vec<(i32, i64, String)> {
    kcat_records_by(&address(port), &[], topic)
}

/// As [`kcat_records`], with properties of librdkafka.
pub fn kcat_records_by(broker: &str, properties: &[(&str, String)], topic: &str) -> Vec<(i32, i64, String)> {
    let mut kcat = Command::new("kcat");
    kcat.args(["-b", broker, "-C", "-t", topic, "-e", "-q", "-f", "%p %o %s\n"]);
    for (name, value) in properties {
        kcat.args(["-X", &format!("{name}={value}")]);
    }
    let text = String::from_utf8(output(&mut kcat)).expect("text");
    let record = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().expect("three words");
        (word().parse().expect("a partition"), word().parse().expect("an offset"), word().to_owned())
    };
    text.lines().map(record).collect()
}

/// A Redis of its own, on a free port. It stops when it is dropped.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    port: u16,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts Debian's `redis-server`. Where there is none, the test reports that it did not run; with `OTTLA_REQUIRE_REAL=1` it fails.
    pub async fn start() -> Option<Self> {
        let port = free_port();
        Self::start_with(port, &["--port", &port.to_string()]).await
    }

    /// The same with TLS on its port, and with more settings of `redis.conf`.
    pub async fn start_tls(folder: &Path, identity: &Identity, client_ca: &str, settings: &[&str]) -> Option<Self> {
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let (chain, key) = (file("redis.pem", &identity.chain), file("redis.key", &identity.key));
        let (ca, port) = (file("clients.pem", client_ca), free_port());
        let number = port.to_string();
        let of_tls = ["--port", "0", "--tls-port", &number, "--tls-cert-file", &chain, "--tls-key-file", &key];
        let arguments = [&of_tls[..], &["--tls-ca-cert-file", &ca], settings].concat();
        Self::start_with(port, &arguments).await
    }

    async fn start_with(port: u16, settings: &[&str]) -> Option<Self> {
        let arguments = ["--bind", "127.0.0.1", "--save", "", "--dir"].map(str::to_owned).to_vec();
        let folder = std::env::temp_dir().display().to_string();
        let settings = settings.iter().map(|setting| (*setting).to_owned());
        let arguments: Vec<String> = arguments.into_iter().chain([folder]).chain(settings).collect();
        let Some(child) = spawn_redis(&arguments) else {
            let required = std::env::var("OTTLA_REQUIRE_REAL").is_ok_and(|value| value == "1");
            assert!(!required, "there is no redis-server: install it");
            eprintln!("NOT RUN: there is no redis-server");
            return None;
        };
        let redis = Self { child, port, arguments };
        redis.is_ready().await;
        Some(redis)
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again on its port, without its data.
    pub async fn restart(&mut self) {
        self.child = spawn_redis(&self.arguments).expect("it was started before");
        self.is_ready().await;
    }

    /// Redis listens as the last step of its start, so that it need not be asked.
    async fn is_ready(&self) {
        for _ in 0..1_000 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not listen after 10 s");
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, for a `RedisStore`.
    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it has one").port()
}

fn spawn_redis(arguments: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
