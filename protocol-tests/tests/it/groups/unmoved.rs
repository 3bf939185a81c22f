//! A member joins a group under load: partitions that stay where they are are read on, without a pause.
//!
//! The short form runs in the gate and looks at the partitions that are given up. `OTTLA_GAP_PARTITIONS=900 cargo test -p protocol-tests --test it
//! groups::unmoved -- --nocapture` measures the pauses too, which takes a quiet machine.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::consumer::ConsumerHandle;
use ottla::consumer::GroupProtocol;
use ottla::consumer::HookFuture;
use ottla::consumer::RebalanceListener;
use ottla::types::TopicPartition;
use protocol_tests::rig;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::membership::assignors;
use super::membership::topic;

const PORT: u16 = rig::RELEASES[0].1;
const PATIENCE: Duration = Duration::from_secs(120);
/// The time after which a broker answers a fetch that finds nothing.
const FETCH_WAIT: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_secs(15);
/// Each partition gets a record at least this often, on a machine that keeps up.
const PACE: Duration = Duration::from_millis(100);

/// The partitions of a member, and when it last returned a record of each.
#[derive(Debug, Default)]
struct Member {
    owned: Mutex<BTreeSet<i32>>,
    /// Revoked or lost since this was last emptied.
    given_up: Mutex<BTreeSet<i32>>,
    seen: Mutex<BTreeMap<i32, Instant>>,
    /// The longest pause of each partition.
    pauses: Mutex<BTreeMap<i32, Duration>>,
    is_over: AtomicBool,
}

fn numbers(partitions: Vec<TopicPartition>) -> impl Iterator<Item = i32> {
    partitions.into_iter().map(|key| key.partition)
}

struct Listener(Arc<Member>);

impl RebalanceListener for Listener {
    fn assigned(&self, _: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        self.0.owned.lock().expect("no panic").extend(numbers(partitions));
        Box::pin(async { Ok(()) })
    }

    fn revoked(&self, _: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        for partition in numbers(partitions) {
            self.0.owned.lock().expect("no panic").remove(&partition);
            self.0.given_up.lock().expect("no panic").insert(partition);
        }
        Box::pin(async { Ok(()) })
    }

    fn lost(&self, consumer: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        self.revoked(consumer, partitions)
    }
}

impl Member {
    fn count(&self) -> usize {
        self.owned.lock().expect("no panic").len()
    }

    /// Of the partitions that it has.
    fn longest_pause(&self) -> Duration {
        let (owned, pauses) = (self.owned.lock().expect("no panic"), self.pauses.lock().expect("no panic"));
        owned.iter().filter_map(|partition| pauses.get(partition)).copied().max().unwrap_or_default()
    }

    fn record(&self, partition: i32, now: Instant) {
        let before = self.seen.lock().expect("no panic").insert(partition, now);
        let pause = before.map_or(Duration::ZERO, |before| now - before);
        let mut pauses = self.pauses.lock().expect("no panic");
        let longest = pauses.entry(partition).or_default();
        *longest = pause.max(*longest);
    }

    /// Starts a member that reads until it is stopped.
    async fn start(group: &str, topic: &str, protocol: GroupProtocol) -> (Arc<Self>, JoinHandle<()>) {
        let client = Client::connect([rig::address(PORT)]).await.expect("a broker");
        let member = Arc::new(Self::default());
        let builder = client.consumer().group(group).subscribe([topic]).fetch_wait_max(FETCH_WAIT);
        let builder = match protocol {
            GroupProtocol::Consumer => builder.group_protocol(protocol),
            _ => builder.assignors(assignors("cooperative-sticky")).heartbeat_interval(Duration::from_millis(500)),
        };
        let mut consumer = builder.listener(Listener(Arc::clone(&member))).build().expect("a consumer");
        let task = Arc::clone(&member);
        let reading = tokio::spawn(async move {
            while !task.is_over.load(SeqCst) {
                let Ok(polled) = tokio::time::timeout(PACE, consumer.poll()).await else { continue };
                let now = Instant::now();
                for partition in polled.expect("no error").expect("no end").by_partition() {
                    task.record(partition.partition(), now);
                }
            }
            consumer.close().await.expect("closed");
        });
        (member, reading)
    }
}

/// Writes a record to each partition by turns, for as long as the run takes.
async fn load(topic: String, partitions: i32, is_over: Arc<AtomicBool>) {
    let client = Client::connect([rig::address(PORT)]).await.expect("a broker");
    let producer = client.producer().linger(Duration::from_millis(20)).build().expect("a producer");
    let begun = Instant::now();
    // A busy broker takes its time to hear of a new topic.
    while producer.send(Record::to(topic.as_str()).partition(0).value("x")).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "not written to");
    }
    let mut turn = tokio::time::interval(PACE);
    while !is_over.load(SeqCst) {
        turn.tick().await;
        for partition in 0..partitions {
            drop(producer.enqueue(Record::to(topic.as_str()).partition(partition).value("x")).await.expect("capacity"));
        }
    }
    producer.flush().await;
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn join_under_load(protocol: GroupProtocol, partitions: i32, count: usize) {
    let client = Client::connect([rig::address(PORT)]).await.expect("a broker");
    let (topic, group) = (topic(&client, partitions).await, rig::fresh("unmoved"));
    let is_over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load(topic.clone(), partitions, Arc::clone(&is_over)));
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(Member::start(&group, &topic, protocol).await);
    }
    let all = usize::try_from(partitions).expect("positive");
    let is_shared = |members: &[(Arc<Member>, JoinHandle<()>)]| {
        let counts: Vec<usize> = members.iter().map(|(member, _)| member.count()).collect();
        counts.iter().sum::<usize>() == all && counts.iter().all(|owned| *owned >= all / counts.len())
    };
    until("shared", || is_shared(&members)).await;
    let is_read = |(member, _): &(Arc<Member>, _)| {
        let seen = member.seen.lock().expect("no panic");
        member.owned.lock().expect("no panic").iter().all(|partition| seen.contains_key(partition))
    };
    until("read", || members.iter().all(is_read)).await;
    let begin = || {
        for (member, _) in &members {
            member.given_up.lock().expect("no panic").clear();
            member.pauses.lock().expect("no panic").clear();
        }
    };
    // Without a rebalance, for comparison, once brokers and members are warm.
    let mut usual = Duration::ZERO;
    if is_measured() {
        tokio::time::sleep(WARM_UP).await;
        begin();
        tokio::time::sleep(WARM_UP).await;
        usual = members.iter().map(|(member, _)| member.longest_pause()).max().unwrap_or_default();
    }
    begin();
    let before: Vec<BTreeSet<i32>> =
        members.iter().map(|(member, _)| member.owned.lock().expect("no panic").clone()).collect();
    members.push(Member::start(&group, &topic, protocol).await);
    until("shared with the new member", || is_shared(&members)).await;
    until("read by the new member", || members.iter().all(is_read)).await;
    let mut longest = Duration::ZERO;
    for (before, (member, _)) in before.iter().zip(&members) {
        let (owned, given_up) =
            (member.owned.lock().expect("no panic").clone(), member.given_up.lock().expect("no panic").clone());
        assert!(owned.is_subset(before), "no partition moves to a member that was there");
        let moved: BTreeSet<i32> = before.difference(&owned).copied().collect();
        assert_eq!(given_up, moved, "a partition that stays is not given up");
        longest = longest.max(member.longest_pause());
    }
    println!("{protocol:?}, {partitions} partitions: longest pause {longest:?}, {usual:?} without a rebalance");
    if is_measured() {
        assert!(longest <= FETCH_WAIT * 2, "{longest:?}");
    }
    is_over.store(true, SeqCst);
    for (member, _) in &members {
        member.is_over.store(true, SeqCst);
    }
    for (_, reading) in members {
        reading.await.expect("no panic");
    }
    load.await.expect("no panic");
    // Hundreds of partitions would slow the broker down for other tests.
    let deleted = client.admin().delete_topics([topic.as_str()]).await.expect("a controller");
    assert!(deleted.iter().all(|(_, outcome)| outcome.is_ok()), "{deleted:?}");
}

fn is_measured() -> bool {
    std::env::var_os("OTTLA_GAP_PARTITIONS").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_stay_are_read_on_while_a_member_joins() {
    if !rig::is_up(PORT) {
        return;
    }
    let partitions = std::env::var("OTTLA_GAP_PARTITIONS").map(|text| text.parse().expect("a number of partitions"));
    let (partitions, members) = partitions.map_or((30, 2), |partitions| (partitions, 10));
    for protocol in [GroupProtocol::Consumer, GroupProtocol::Classic] {
        join_under_load(protocol, partitions, members).await;
    }
}
