//! Members of groups of both protocols, under the same faults as the rest of the load. They come and go, leave in order, stall for
//! longer than their session, and die without a word.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Duration;

use fastrand::Rng;
use ottla::Client;
use ottla::Error;

use ottla::consumer::Consumer;
use ottla::consumer::ConsumerHandle;
use ottla::consumer::GroupProtocol;
use ottla::consumer::HookFuture;
use ottla::consumer::RebalanceListener;
use ottla::consumer::Start;
use ottla::group::assignor;
use ottla::types::TopicPartition;
use protocol_tests::history::Body;
use protocol_tests::history::Change;
use protocol_tests::history::CommitOutcome;
use protocol_tests::history::Recorder;
use protocol_tests::history::Role;
use protocol_tests::proxy::Through;
use tokio::sync::watch;

use super::PARTITIONS;
use super::Run;
use super::load::value_of;
use super::site::Site;

/// The groups: by KIP-848, and by the classic protocol, where all partitions are revoked in a rebalance or only those that move.
pub(super) const GROUPS: [(&str, GroupProtocol, Option<&str>); 3] = [
    ("modern", GroupProtocol::Consumer, None),
    ("eager", GroupProtocol::Classic, Some("range")),
    ("cooperative", GroupProtocol::Classic, Some("cooperative-sticky")),
];
/// Members of each group at a time.
const SLOTS: u64 = 2;
/// Brokers of the trio have the same for KIP-848 (`docker/start.sh`).
const SESSION: Duration = Duration::from_secs(10);
const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);

/// Starts the members, each in a thread and runtime of its own. A member that dies takes its connections with it.
pub(super) fn start(run: &Run) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    for (group, number) in GROUPS.into_iter().zip(0..) {
        for slot in 0..SLOTS {
            let mut seat = Seat {
                site: run.site.clone(),
                recorder: run.recorder.clone(),
                topic: run.topic.clone(),
                group,
                rng: Rng::with_seed(run.seed.wrapping_add(100 + 10 * number + slot)),
                stopped: run.stopped.clone(),
                // One of two goes through connections that are cut and tampered with.
                through: (slot == 0).then(|| run.through.clone()),
            };
            threads.push(std::thread::spawn(move || seat.fill()));
        }
    }
    threads
}

/// How a member ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Dies,
    Leaves,
    /// Its whole runtime stands still for longer than its session, and then it leaves.
    Stalls,
}

/// A place in a group, which is filled with one member after the other.
struct Seat {
    site: Site,
    recorder: Recorder,
    topic: String,
    group: (&'static str, GroupProtocol, Option<&'static str>),
    rng: Rng,
    stopped: watch::Receiver<bool>,
    through: Option<Through>,
}

impl Seat {
    fn fill(&mut self) {
        while !*self.stopped.borrow() {
            let fate = match self.rng.u8(..6) {
                0 => Fate::Dies,
                1 => Fate::Stalls,
                _ => Fate::Leaves,
            };
            let life = Duration::from_millis(self.rng.u64(3_000..12_000));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(self.live(fate, life));
        }
    }

    async fn live(&mut self, fate: Fate, life: Duration) {
        let Some(client) = self.connect().await else { return };
        let (process, mut consumer) = member(&self.recorder, &client, &self.topic, self.group);
        let end = self.recorder.now() + life;
        let mut may_stall = fate == Fate::Stalls;
        while self.recorder.now() < end && !*self.stopped.borrow() {
            turn(&self.recorder, process, &mut consumer).await;
            if self.rng.u8(..5) == 0 {
                commit(&self.recorder, process, &consumer.handle()).await;
            }
            if may_stall && self.recorder.now() + life / 2 > end {
                may_stall = false;
                std::thread::sleep(SESSION + Duration::from_secs(3));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if fate == Fate::Dies && !*self.stopped.borrow() {
            // It is forgotten, not dropped: dropping would tell the group.
            std::mem::forget(consumer);
        } else {
            let _ = consumer.close_within(Duration::from_secs(15)).await;
        }
        self.recorder.push(process, Body::Crashed);
    }

    async fn connect(&self) -> Option<Client> {
        while !*self.stopped.borrow() {
            let builder = self.site.builder().request_timeout(Duration::from_secs(5)).client_id("chaos-member");
            let builder = match &self.through {
                Some(through) => builder.connector(through.clone()),
                None => builder,
            };
            match builder.connect().await {
                Ok(client) => return Some(client),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        None
    }
}

fn group_of(topic: &str, group: &str) -> String {
    format!("{topic}-{group}")
}

/// Opens a member, whose rebalances and commits are recorded.
fn member(
    recorder: &Recorder,
    client: &Client,
    topic: &str,
    (group, protocol, assignor): (&str, GroupProtocol, Option<&str>),
) -> (u32, Consumer) {
    let group = group_of(topic, group);
    let process = recorder.open(Role::Consumer { group: Some(group.clone()) });
    recorder.push(process, Body::Subscribed(vec![topic.into()]));
    let builder = client
        .consumer()
        .group(group)
        .subscribe([topic])
        .start(Start::Stored { otherwise: Box::new(Start::Earliest) })
        .timeout(COMMIT_TIMEOUT)
        .auto_commit(None)
        .group_protocol(protocol)
        .listener(Notes { recorder: recorder.clone(), process });
    let builder = match assignor {
        Some(name) => {
            let assignor = assignor::by_name(name).expect("a built-in assignor");
            builder.assignors([assignor]).session_timeout(SESSION).heartbeat_interval(Duration::from_secs(1))
        }
        None => builder,
    };
    (process, builder.build().expect("a consumer"))
}

/// Polls once, and records it.
async fn turn(recorder: &Recorder, process: u32, consumer: &mut Consumer) {
    match tokio::time::timeout(Duration::from_millis(300), consumer.poll()).await {
        Ok(Ok(Some(records))) => recorder.polled(process, &records, value_of),
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(error)) => {
            let error = Some(error.to_string());
            recorder.push(process, Body::Polled { records: Vec::new(), moved: Vec::new(), error });
        }
    }
}

/// Commits everything that was returned, and records it.
async fn commit(recorder: &Recorder, process: u32, handle: &ConsumerHandle) {
    let positions = handle.positions();
    if positions.is_empty() {
        return;
    }
    let offsets = positions.iter().map(|(partition, position)| (partition.clone(), position.offset)).collect();
    recorder.push(process, Body::CommitInvoked(offsets));
    let outcome = match handle.commit_positions(positions).await {
        Ok(()) => CommitOutcome::Done,
        Err(error) if error.code().is_some() => CommitOutcome::Failed(error.to_string()),
        Err(error) => CommitOutcome::InDoubt(error.to_string()),
    };
    recorder.push(process, Body::Committed(outcome));
}

/// Records the rebalances of a member, which commits before it gives partitions up.
struct Notes {
    recorder: Recorder,
    process: u32,
}

impl Notes {
    fn note(&self, handle: &ConsumerHandle, change: Change, partitions: Vec<TopicPartition>) {
        let generation = handle.group_metadata().map_or(-1, |metadata| metadata.generation);
        self.recorder.push(self.process, Body::Rebalanced { change, generation, partitions });
    }
}

impl RebalanceListener for Notes {
    fn assigned(&self, handle: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        self.note(&handle, Change::Assigned, partitions);
        Box::pin(async { Ok::<(), Error>(()) })
    }

    fn revoked(&self, handle: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        Box::pin(async move {
            commit(&self.recorder, self.process, &handle).await;
            self.note(&handle, Change::Revoked, partitions);
            Ok(())
        })
    }

    fn lost(&self, handle: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        self.note(&handle, Change::Lost, partitions);
        Box::pin(async { Ok::<(), Error>(()) })
    }
}

/// Reads the rest by one member of each group, so that a record that no member returned is noticed.
pub(super) async fn drain(Run { recorder, topic, .. }: &Run, client: &Client) {
    let mut draining = tokio::task::JoinSet::new();
    for group in GROUPS {
        let (recorder, client, topic) = (recorder.clone(), client.clone(), topic.clone());
        draining.spawn(async move { drain_one(&recorder, &client, &topic, group).await });
    }
    while let Some(drained) = draining.join_next().await {
        drained.expect("every group reads to the end");
    }
}

async fn drain_one(
    recorder: &Recorder,
    client: &Client,
    topic: &str,
    group: (&'static str, GroupProtocol, Option<&'static str>),
) {
    let (process, mut consumer) = member(recorder, client, topic, group);
    let read = async {
        let mut ends: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        loop {
            turn(recorder, process, &mut consumer).await;
            if ends.len() < usize::try_from(PARTITIONS).expect("few") {
                ends = consumer.end_offsets().await.unwrap_or_default().into_iter().collect();
                continue;
            }
            let at = |partition| consumer.position(partition).map(|position| position.offset);
            if ends.iter().all(|(partition, end)| at(partition) == Some(*end)) {
                return;
            }
        }
    };
    let name = group.0;
    let in_time = tokio::time::timeout(Duration::from_secs(90), read).await.is_ok();
    assert!(in_time, "{name}: it has {:?}", consumer.handle().positions());
    consumer.close().await.expect("all faults are over");
    recorder.push(process, Body::Crashed);
}

/// The number of members of all groups that lived.
pub(super) fn lives(history: &protocol_tests::history::History) -> usize {
    history.events().iter().filter(|event| matches!(event.body, Body::Subscribed(_))).count()
}
