//! The parts that all Rust peers share: arguments, values, the meter and the line that is printed.
//!
//! `peer produce|consume BROKER TOPIC RECORDS SIZE PARTITIONS equal|defaults [MODE]`. With `PEER_CA=FILE` in the environment, over TLS
//! to a broker whose certificate this CA has signed: a peer needs its feature `secure` for that.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;
use std::time::Instant;

use nix::sys::resource::Usage;
use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeValLike;

#[path = "../../../../values.rs"]
mod drawn;

/// The result of a peer's program.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Batches of at most this many bytes, where settings are equal.
pub const BATCH_BYTES: usize = 256 << 10;
/// Memory for records not yet acknowledged, where settings are equal.
pub const BUFFER_BYTES: usize = 64 << 20;
/// Waiting for more records, where settings are equal.
pub const LINGER: Duration = Duration::from_millis(5);
/// A fetch answers with at most this many bytes of a partition, where settings are equal.
pub const PARTITION_FETCH_BYTES: i32 = 1 << 20;
/// A fetch waits for records this long.
pub const FETCH_WAIT: Duration = Duration::from_millis(500);
/// Deliveries awaited behind the newest record.
pub const WINDOW: usize = 100_000;
/// Acknowledged before the clock starts.
pub const WARM_UP: u64 = 20_000;

/// The command line.
pub struct Args {
    pub produce: bool,
    pub broker: String,
    pub topic: String,
    pub records: u64,
    pub size: usize,
    pub partitions: i32,
    /// Settings equal for all, or the peer's own.
    pub equal: bool,
    /// One of several APIs of the same client.
    pub mode: String,
    /// The file of the CA where the connection is one over TLS.
    pub ca: Option<String>,
}

impl Args {
    /// Reads the command line.
    pub fn read() -> Outcome<Self> {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let [what, broker, topic, records, size, partitions, settings, mode @ ..] = &given[..] else {
            return Err("peer produce|consume BROKER TOPIC RECORDS SIZE PARTITIONS equal|defaults [MODE]".into());
        };
        Ok(Self {
            produce: match what.as_str() {
                "produce" => true,
                "consume" => false,
                other => return Err(format!("produce or consume, not {other}").into()),
            },
            broker: broker.clone(),
            topic: topic.clone(),
            records: records.parse()?,
            size: size.parse()?,
            partitions: partitions.parse()?,
            equal: settings == "equal",
            mode: mode.first().cloned().unwrap_or_default(),
            ca: std::env::var("PEER_CA").ok().filter(|ca| !ca.is_empty()),
        })
    }

    /// Refuses TLS where the peer was built without it, so that no plaintext run passes for another.
    pub fn no_tls(&self) -> Outcome {
        if self.ca.is_some() { Err("PEER_CA needs a peer with the feature `secure`".into()) } else { Ok(()) }
    }
}

/// Values that differ, at most 16 MB of them, so that they do not all stay in the innermost cache.
pub fn values(size: usize) -> Vec<Vec<u8>> {
    drawn::values((16_000_000 / size.max(1)).clamp(1, 65_536), size)
}

/// The wall-clock and CPU seconds since the meter was made.
pub struct Spent {
    pub wall: f64,
    pub user: f64,
    pub system: f64,
    pub max_rss_mb: f64,
}

/// The clock and the process's CPU time, from its making on.
pub struct Meter {
    started: Instant,
    before: Usage,
}

impl Meter {
    pub fn start() -> Outcome<Self> {
        Ok(Self { started: Instant::now(), before: getrusage(UsageWho::RUSAGE_SELF)? })
    }

    pub fn spent(&self) -> Outcome<Spent> {
        let wall = self.started.elapsed().as_secs_f64();
        let now = getrusage(UsageWho::RUSAGE_SELF)?;
        let seconds = |micros: i64| micros as f64 / 1e6;
        Ok(Spent {
            wall,
            user: seconds(now.user_time().num_microseconds() - self.before.user_time().num_microseconds()),
            system: seconds(now.system_time().num_microseconds() - self.before.system_time().num_microseconds()),
            max_rss_mb: now.max_rss() as f64 / 1024.0,
        })
    }

    /// Prints the line. `done` records were acknowledged or read, in `bytes` of values.
    pub fn report(&self, name: &str, version: &str, args: &Args, done: u64, bytes: u64) -> Outcome {
        let Spent { wall, user, system, max_rss_mb } = self.spent()?;
        if done != args.records || bytes != args.records * args.size as u64 {
            return Err(format!("{done} records of {bytes} bytes, not {} of {}", args.records, args.size).into());
        }
        println!(
            "{{\"client\":\"{name}\",\"version\":\"{version}\",\"records\":{},\"size\":{},\"wall_s\":{wall:.3},\"user_s\":{user:.3},\
             \"sys_s\":{system:.3},\"cpu_s_per_million\":{:.4},\"max_rss_mb\":{max_rss_mb:.1},\"acked\":{done}}}",
            args.records,
            args.size,
            (user + system) * 1e6 / done as f64,
        );
        Ok(())
    }
}

/// A runtime as all asynchronous peers get it.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the machine lets this process have threads").block_on(future)
}

/// Deliveries that are awaited in order, at most [`WINDOW`] behind the newest record.
pub struct Window<F> {
    pending: VecDeque<F>,
    acked: u64,
}

impl<F> Default for Window<F> {
    fn default() -> Self {
        Self { pending: VecDeque::with_capacity(WINDOW + 1), acked: 0 }
    }
}

impl<F, T, E> Window<F>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: Display,
{
    /// Adds a delivery, and awaits the oldest if there are too many.
    pub async fn push(&mut self, delivery: F) -> Outcome {
        self.pending.push_back(delivery);
        if self.pending.len() > WINDOW { self.oldest().await } else { Ok(()) }
    }

    /// Awaits the oldest delivery, if there is one.
    pub async fn oldest(&mut self) -> Outcome {
        if let Some(delivery) = self.pending.pop_front() {
            delivery.await.map_err(|error| error.to_string())?;
            self.acked += 1;
        }
        Ok(())
    }

    /// Awaits all of them, and tells how many there were since the beginning.
    pub async fn finish(mut self) -> Outcome<u64> {
        while !self.pending.is_empty() {
            self.oldest().await?;
        }
        Ok(self.acked)
    }
}
