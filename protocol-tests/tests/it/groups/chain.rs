//! Records through three groups in a row, while members join, leave, stall and die at random.
//!
//! Each member forwards what it reads to the next topic and awaits that before it polls again, so that the offsets it commits are of
//! records that arrived. At the end every record must be in the last topic, first seen in order within its partition. Repeats are
//! allowed only after a death or a stall.
//!
//! The short form runs in the gate. `OTTLA_CHAIN_RECORDS=500000 cargo test -p protocol-tests --test it groups::chain -- --nocapture`
//! is the long one: every assignor, and the protocol `consumer` where the release has it, dynamic and static, on each release.
//! `OTTLA_CHAIN_ONLY=3.9.1` or `OTTLA_CHAIN_ONLY="4.3.1 consumer"` runs a part of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::consumer::Consumer;
use ottla::consumer::GroupProtocol;
use ottla::consumer::Records;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::error::Error;
use ottla::error::Kind;
use ottla::producer::Producer;
use protocol_tests::rig;
use tokio::time::Instant;

use super::membership::ASSIGNORS;
use super::membership::assignors;
use super::membership::topic;

const PARTITIONS: i32 = 6;
const STAGES: usize = 3;
const SLOTS: usize = 3;
/// The shortest that brokers allow by default.
const SESSION: Duration = Duration::from_secs(6);
const POLL_INTERVAL: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(150);
/// Records come in so many chunks, with a pause after each.
const CHUNKS: u64 = 100;
const PACE: Duration = Duration::from_millis(120);

/// Stands for an assignor where the coordinator assigns (KIP-848).
const BY_COORDINATOR: &str = "consumer";

/// One run.
#[derive(Clone)]
struct Setting {
    port: u16,
    /// One of [`ASSIGNORS`], or [`BY_COORDINATOR`].
    assignor: &'static str,
    is_static: bool,
    /// Whether members stall and die too, or only join and leave.
    is_rough: bool,
    records: u64,
    seed: u64,
}

/// Everything that the members of a run share.
struct Run {
    setting: Setting,
    /// The first topic, and one after each stage.
    topics: Vec<String>,
    groups: Vec<String>,
    is_over: AtomicBool,
    deaths: AtomicU32,
    lives: AtomicU32,
}

/// How a member ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Leaves,
    /// Does not poll for longer than allowed, then goes on and leaves later.
    Stalls,
    /// Disappears without a word.
    Dies,
}

impl Run {
    /// Keeps a place in a group filled with one member after the other.
    fn fill(&self, stage: usize, slot: usize) {
        let mut rng = fastrand::Rng::with_seed(self.setting.seed ^ (stage * SLOTS + slot) as u64);
        while !self.is_over.load(SeqCst) {
            let fate = match rng.u8(..10) {
                0 | 1 if self.setting.is_rough => Fate::Dies,
                2 if self.setting.is_rough => Fate::Stalls,
                _ => Fate::Leaves,
            };
            self.deaths.fetch_add(u32::from(fate != Fate::Leaves), SeqCst);
            self.lives.fetch_add(1, SeqCst);
            let until = Instant::now() + Duration::from_millis(rng.u64(1_500..6_000));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            // With the runtime, every connection of a member that died is gone.
            runtime.block_on(self.live(stage, slot, fate, until));
        }
    }

    async fn live(&self, stage: usize, slot: usize, fate: Fate, until: Instant) {
        let client = Client::connect([rig::address(self.setting.port)]).await.expect("a broker");
        let producer = client.producer().build().expect("a producer");
        let mut consumer = self.member(&client, stage, slot);
        let mut may_stall = fate == Fate::Stalls;
        while Instant::now() < until && !self.is_over.load(SeqCst) {
            self.forward_once(&mut consumer, &producer, stage).await;
            if may_stall && Instant::now() + Duration::from_secs(1) > until {
                may_stall = false;
                tokio::time::sleep(POLL_INTERVAL + Duration::from_secs(1)).await;
                self.forward_once(&mut consumer, &producer, stage).await;
            }
        }
        match fate {
            Fate::Dies => std::mem::forget(consumer),
            // The partitions may be lost by now, and then the last commit is refused.
            Fate::Stalls => drop(consumer.close().await),
            Fate::Leaves => match consumer.close().await {
                // It was late, and others have its partitions.
                Err(_) if self.setting.is_rough => {
                    self.deaths.fetch_add(1, SeqCst);
                }
                closed => closed.expect("committed"),
            },
        }
    }

    fn member(&self, client: &Client, stage: usize, slot: usize) -> Consumer {
        let builder = client.consumer().group(&self.groups[stage]).subscribe([self.topics[stage].as_str()]);
        let builder = match self.setting.assignor {
            BY_COORDINATOR => builder.group_protocol(GroupProtocol::Consumer),
            assignor => builder
                .assignors(assignors(assignor))
                .session_timeout(SESSION * self.patience())
                .heartbeat_interval(Duration::from_millis(500)),
        };
        let mut builder = builder
            .poll_interval_max(POLL_INTERVAL * self.patience())
            .poll_bytes_max(16 * 1024)
            .auto_commit(Some(Duration::from_millis(200)));
        if self.setting.is_static {
            builder = builder.group_instance_id(format!("slot-{slot}"));
        }
        builder.build().expect("a consumer")
    }

    /// Members that only join and leave must not be taken for dead on a busy machine.
    fn patience(&self) -> u32 {
        if self.setting.is_rough { 1 } else { 8 }
    }

    /// Polls once, for a while, and forwards what comes.
    async fn forward_once(&self, consumer: &mut Consumer, producer: &Producer, stage: usize) {
        match tokio::time::timeout(Duration::from_millis(300), consumer.poll()).await {
            Err(_) => {}
            Ok(Ok(records)) => self.forward(&records.expect("no end"), producer, stage).await,
            Ok(Err(error)) if self.may_happen(&error) => tokio::time::sleep(Duration::from_millis(300)).await,
            Ok(Err(error)) => panic!("stage {stage}: {error:?}"),
        }
    }

    /// Errors of a member that was late, which counts as a stall: a busy machine is late by itself. A coordinator that assigns keeps the
    /// name of a static member that died until its session ends.
    fn may_happen(&self, error: &Error) -> bool {
        if self.setting.assignor == BY_COORDINATOR && error.code() == Some(Code::UnreleasedInstanceId) {
            return self.deaths.load(SeqCst) > 0;
        }
        let is_late = self.setting.is_rough && error.kind() == Kind::Timeout;
        self.deaths.fetch_add(u32::from(is_late), SeqCst);
        is_late
    }

    async fn forward(&self, records: &Records, producer: &Producer, stage: usize) {
        let next = self.topics[stage + 1].as_str();
        let mut deliveries = Vec::new();
        for record in records {
            let value = record.value.expect("a value");
            let forwarded = Record::to(next).partition(record.partition).value(value);
            deliveries.push(producer.enqueue(forwarded).await.expect("there is capacity"));
        }
        for delivery in deliveries {
            let _ = delivery.await.expect("acknowledged");
        }
    }
}

/// Feeds a run for long enough that members come and go meanwhile.
async fn feed(client: &Client, topic: &str, records: u64) {
    let producer = client.producer().build().expect("a producer");
    let chunk = usize::try_from(records.div_ceil(CHUNKS)).expect("a chunk in memory");
    let mut deliveries = Vec::new();
    for number in 0..records {
        let partition = i32::try_from(number % u64::from(PARTITIONS.unsigned_abs())).expect("small");
        let value = number.to_string();
        let record = Record::to(topic).partition(partition).value(&value);
        deliveries.push(producer.enqueue(record).await.expect("there is capacity"));
        if deliveries.len() == chunk {
            for delivery in deliveries.drain(..) {
                let _ = delivery.await.expect("acknowledged");
            }
            tokio::time::sleep(PACE).await;
        }
    }
    for delivery in deliveries {
        let _ = delivery.await.expect("acknowledged");
    }
}

/// Reads the last topic until every record was seen. Returns the number of repeats.
async fn watch(client: &Client, run: &Run) -> u64 {
    let last = run.topics[STAGES].as_str();
    let mut consumer = client.consumer().assign([last]).start(Start::Earliest).build().expect("a consumer");
    let (mut seen, mut repeats) = (0, 0);
    let mut newest: BTreeMap<i32, u64> = BTreeMap::new();
    let deadline = Instant::now() + PATIENCE.max(Duration::from_millis(run.setting.records));
    while seen < run.setting.records {
        let polled = tokio::time::timeout_at(deadline, consumer.poll()).await;
        let polled = polled.unwrap_or_else(|_| panic!("{seen} of {} records arrived", run.setting.records));
        for record in &polled.expect("no error").expect("no end") {
            let number: u64 =
                std::str::from_utf8(record.value.expect("a value")).expect("text").parse().expect("a number");
            let step = u64::from(PARTITIONS.unsigned_abs());
            let next = newest.get(&record.partition).map_or(record.partition.unsigned_abs().into(), |last| last + step);
            // A number is either the next one of its partition, or one that was there before.
            assert!(number <= next, "partition {}: {number} came before {next}", record.partition);
            if number == next {
                newest.insert(record.partition, number);
                seen += 1;
            } else {
                repeats += 1;
            }
        }
    }
    repeats
}

async fn chain(setting: Setting) {
    if !rig::is_up(setting.port) {
        return;
    }
    let client = Client::connect([rig::address(setting.port)]).await.expect("a broker");
    let mut topics = Vec::new();
    for _ in 0..=STAGES {
        topics.push(topic(&client, PARTITIONS).await);
    }
    let run = Arc::new(Run {
        groups: (0..STAGES).map(|_| rig::fresh("chain")).collect(),
        topics,
        is_over: AtomicBool::new(false),
        deaths: AtomicU32::new(0),
        lives: AtomicU32::new(0),
        setting: setting.clone(),
    });
    let places = (0..STAGES).flat_map(|stage| (0..SLOTS).map(move |slot| (stage, slot)));
    let fill = |(stage, slot)| {
        let run = Arc::clone(&run);
        std::thread::spawn(move || run.fill(stage, slot))
    };
    let places: Vec<_> = places.map(fill).collect();
    let ((), repeats) = tokio::join!(feed(&client, &run.topics[0], setting.records), watch(&client, &run));
    run.is_over.store(true, SeqCst);
    for place in places {
        place.join().expect("no member panicked");
    }
    let (lives, deaths) = (run.lives.load(SeqCst), run.deaths.load(SeqCst));
    let Setting { port, assignor, is_static, .. } = setting;
    println!(
        "{assignor} static={is_static} port {port}: {} records, {lives} lives, {deaths} deaths and stalls, {repeats} repeats",
        setting.records
    );
    assert!(repeats == 0 || deaths > 0, "{assignor} static={is_static}: {repeats} repeats though nobody died");
}

fn records(short: u64) -> u64 {
    std::env::var("OTTLA_CHAIN_RECORDS").ok().map_or(short, |text| text.parse().expect("a number of records"))
}

fn is_long() -> bool {
    std::env::var_os("OTTLA_CHAIN_RECORDS").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_pass_three_groups_whose_members_leave_stall_and_die() {
    let only = std::env::var("OTTLA_CHAIN_ONLY").ok();
    for (at, (release, port)) in rig::RELEASES.into_iter().enumerate() {
        for (index, assignor) in ASSIGNORS.into_iter().chain([BY_COORDINATOR]).enumerate() {
            let is_left_out =
                only.as_ref().is_some_and(|only| !format!("{release} {assignor}").starts_with(only.as_str()));
            if is_left_out {
                continue;
            }
            for is_static in [false, true] {
                // In the gate each assignor runs once, on one release, as one kind of member. Deaths take too long for it where the
                // coordinator assigns: sessions of 45 s, by the broker's settings.
                let is_of_gate = assignor != BY_COORDINATOR && index % 3 == at && is_static == (index % 2 == 1);
                let is_known = assignor != BY_COORDINATOR || at == 0;
                if !is_known || !(is_long() || is_of_gate) {
                    continue;
                }
                let seed = fastrand::u64(..);
                chain(Setting { port, assignor, is_static, is_rough: true, records: records(6_000), seed }).await;
            }
        }
    }
}

/// Processed records are committed before a partition moves, so without deaths nothing is repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_repeated_while_members_only_join_and_leave() {
    let port = rig::RELEASES[0].1;
    for assignor in ["range", "cooperative-sticky"] {
        let (is_static, seed) = (false, fastrand::u64(..));
        chain(Setting { port, assignor, is_static, is_rough: false, records: records(6_000), seed }).await;
    }
}
