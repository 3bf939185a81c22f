//! Workers in two processes whose leases are in Redis, while one process is killed three times.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use ottla::consumer::store::Lookup;
use ottla::consumer::store::OffsetStore;
use ottla::consumer::store::RedisStore;
use ottla::types::TopicPartition;
use protocol_tests::rig;
use protocol_tests::rig::Redis;

use super::SOON;
use super::put;
use super::topic;

const RECORDS: usize = 100_000;
const PARTITIONS: i32 = 8;
const KILLS: usize = 3;
/// As in the worker.
const COUNT: usize = 250;

/// A range of offsets: partition, first and last.
type Range = (i32, i64, i64);

/// A process of two workers, and the file where they write what they do.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(scene: &Scene<'_>, name: &str, mode: &[&str]) -> Self {
        let log = scene.folder.join(name);
        File::create(&log).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_queue_worker"));
        command.args([&rig::address(super::PORT), scene.redis, scene.topic, scene.group, scene.promise]);
        let child = command.arg(&log).args(mode).stdin(Stdio::piped()).spawn().expect("it starts");
        Self { child, log }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log")
    }

    /// Kills it (SIGKILL) once its first worker keeps a batch.
    async fn kill_while_it_works(mut self) -> String {
        until("it keeps a batch", async || {
            assert!(self.child.try_wait().expect("a child").is_none(), "it ended by itself: {}", self.log.display());
            self.text().contains(" H ")
        })
        .await;
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.text()
    }

    /// Ends it in order.
    async fn end(mut self) -> String {
        drop(self.child.stdin.take());
        until("it ends", async || self.child.try_wait().expect("a child").is_some()).await;
        assert!(self.child.wait().expect("it ended").success(), "{}", self.log.display());
        self.text()
    }
}

/// Looks until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("not within {SOON:?}: {what}"));
}

struct Scene<'s> {
    redis: &'s str,
    topic: &'s str,
    group: &'s str,
    promise: &'s str,
    folder: &'s Path,
}

impl Scene<'_> {
    /// One process is killed three times. Returns the logs of the killed ones, and of those that ended in order.
    async fn play(&self, ends: &[i64]) -> (Vec<String>, Vec<String>) {
        // It leaves records to the other one, until that was killed for the last time.
        let mut steady = Process::start(self, "steady", &["pace", "160"]);
        let mut killed = Vec::new();
        for life in 0..KILLS {
            let process = Process::start(self, &format!("killed-{life}"), &["hold", "3"]);
            killed.push(process.kill_while_it_works().await);
        }
        let last = Process::start(self, "last", &["free"]);
        steady.child.stdin.as_mut().expect("a pipe").write_all(b"go on\n").expect("it reads");
        let store = RedisStore::connect(self.redis).expect("an address");
        let keys: Vec<_> = (0..PARTITIONS).map(|partition| TopicPartition::new(self.topic, partition)).collect();
        until("all is processed", async || {
            let found = store.load(self.group, keys.clone()).await.expect("Redis answers");
            let is_done = |(lookup, end): (&Lookup, &i64)| {
                matches!(lookup, Lookup::Found(stored) if stored.position.offset == *end)
            };
            found.iter().zip(ends).all(is_done)
        })
        .await;
        let (steady, last) = tokio::join!(steady.end(), last.end());
        (killed, vec![steady, last])
    }
}

/// The life of one batch in a process.
#[derive(Default)]
struct Batch {
    taken: Vec<Range>,
    processed: Vec<Range>,
    /// It was acknowledged, or its acknowledgement was refused because this machine had stood still.
    acknowledged: bool,
    late: bool,
}

fn batches(log: &str) -> impl Iterator<Item = Batch> {
    let range = |word: &str| -> Option<Range> {
        let (partition, offsets) = word.split_once(':')?;
        let (first, last) = offsets.split_once('-')?;
        Some((partition.parse().ok()?, first.parse().ok()?, last.parse().ok()?))
    };
    let mut batches: BTreeMap<(&str, &str), Batch> = BTreeMap::new();
    // A take that failed has no batch.
    for line in log.lines().filter(|line| !line.contains(" E ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let [worker, event, number, ranges @ ..] = &words[..] else { panic!("{line:?}") };
        let batch = batches.entry((worker, number)).or_default();
        let ranges = ranges.iter().map(|word| range(word).unwrap_or_else(|| panic!("{line:?}")));
        match *event {
            "T" => batch.taken.extend(ranges),
            "P" => batch.processed.extend(ranges),
            "A" => batch.acknowledged = true,
            "L" => batch.late = true,
            _ => {}
        }
    }
    batches.into_values().collect::<Vec<_>>().into_iter()
}

fn places(ranges: &[Range]) -> impl Iterator<Item = (i32, i64)> {
    ranges.iter().flat_map(|(partition, first, last)| (*first..=*last).map(|offset| (*partition, offset)))
}

/// How often each record was processed.
#[derive(Default)]
struct Times {
    all: usize,
    /// By batches that no dead process had at its end.
    settled: usize,
    /// A dead process had it at its end.
    leased_to_dead: bool,
}

fn times(killed: &[String], ended: &[String]) -> BTreeMap<(i32, i64), Times> {
    let mut times: BTreeMap<(i32, i64), Times> = BTreeMap::new();
    let dead = killed.iter().flat_map(|log| batches(log)).map(|batch| (batch, true));
    for (batch, is_dead) in dead.chain(ended.iter().flat_map(|log| batches(log)).map(|batch| (batch, false))) {
        let open = is_dead && !batch.acknowledged || batch.late;
        assert!(open || batch.acknowledged, "a process that ended in order has settled its batches");
        for place in places(&batch.taken).filter(|_| open) {
            times.entry(place).or_default().leased_to_dead = true;
        }
        for place in places(&batch.processed) {
            let times = times.entry(place).or_default();
            times.all += 1;
            times.settled += usize::from(!open);
        }
    }
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_or_repeat_only_their_leases() {
    let Some((client, topic)) = topic("killed", PARTITIONS).await else { return };
    let Some(redis) = Redis::start().await else { return };
    put(&client, &topic, PARTITIONS, RECORDS).await;
    let keys = (0..PARTITIONS).map(|partition| (topic.as_str(), partition));
    let consumer = client.consumer().assign_partitions(keys).build().expect("a consumer");
    let mut ends = consumer.end_offsets().await.expect("offsets");
    ends.sort();
    let ends: Vec<i64> = ends.into_iter().map(|(_, end)| end).collect();
    assert_eq!(ends.iter().sum::<i64>(), i64::try_from(RECORDS).expect("not many"));
    let folder = tempfile::tempdir().expect("a folder");
    for promise in ["again", "once"] {
        let folder = folder.path().join(promise);
        std::fs::create_dir(&folder).expect("a folder");
        let scene = Scene { redis: &redis.address(), topic: &topic, group: promise, promise, folder: &folder };
        let (killed, ended) = scene.play(&ends).await;
        let times = times(&killed, &ended);
        let processed = times.values().filter(|times| times.all > 0).count();
        let repeated = times.values().filter(|times| times.all > 1).count();
        let held = times.values().filter(|times| times.leased_to_dead).count();
        println!("{promise}: {processed} processed, {repeated} of them again, {held} leased to the dead");
        assert!(held >= KILLS * COUNT / 2, "each died with a batch: {held}");
        if promise == "once" {
            assert_eq!(repeated, 0);
            let lost = RECORDS - processed;
            let failed = killed.iter().chain(&ended).map(|log| log.matches(" E ").count()).sum::<usize>();
            assert!(
                lost <= (KILLS * 2 + failed) * COUNT,
                "each worker that died had one batch: {lost}, {failed} takes failed"
            );
        } else {
            assert_eq!(processed, RECORDS, "none is lost");
            let foreign = times.iter().find(|(_, times)| times.all > 1 && !times.leased_to_dead || times.settled > 1);
            assert!(foreign.is_none(), "repeated, and not leased to the dead: {:?}", foreign.map(|(place, _)| place));
            assert!(repeated >= KILLS * COUNT / 4, "what the dead had processed and not acknowledged: {repeated}");
        }
    }
}
