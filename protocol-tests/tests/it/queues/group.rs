//! A queue of a group, on a real broker.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla::Client;
use ottla::consumer::ResetPolicy;
use ottla::consumer::Start;
use ottla::error::Kind;
use ottla::queue::GroupQueue;
use protocol_tests::rig;

use super::SOON;
use super::put;
use super::topic;

const COUNT: usize = 2_000;
const TURN: Duration = Duration::from_millis(100);

type Seen = BTreeMap<(i32, i64), usize>;

fn queue(client: &Client, topic: &str, group: &str) -> GroupQueue {
    let builder = GroupQueue::original(client, topic, group);
    let quick =
        |consumer: ottla::consumer::ConsumerBuilder| consumer.reset(ResetPolicy::Earliest).heartbeat_interval(TURN * 2);
    builder.consumer(quick).build().expect("settings are fine")
}

/// Takes a few records, and acknowledges them.
async fn turn(queue: &mut GroupQueue, seen: &mut Seen) {
    match queue.take(50, TURN).await {
        Ok(batch) => {
            let places: Vec<(i32, i64)> = batch.iter().map(|record| (record.partition, record.offset)).collect();
            // Batches are acknowledged before the next take, so no partition can be gone.
            batch.ack().expect("its partitions are assigned");
            for place in places {
                *seen.entry(place).or_default() += 1;
            }
        }
        Err(error) => assert_eq!(error.kind(), Kind::Timeout, "it has not joined yet: {error:#}"),
    }
}

/// Three members come, one leaves in order, and one dies with a batch in its hands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_repeats_only_what_a_killed_member_had() {
    let Some((client, topic)) = topic("group-queue", 6).await else { return };
    put(&client, &topic, 6, COUNT).await;
    let group = rig::fresh("group-queue");
    let done = async {
        let mut seen = Seen::new();
        let (mut first, mut second) = (queue(&client, &topic, &group), queue(&client, &topic, &group));
        while first.assignment().len() != 3 || second.assignment().len() != 3 {
            turn(&mut first, &mut seen).await;
            turn(&mut second, &mut seen).await;
        }
        assert!(first.has_reassigned() || first.generation() > 0);
        first.close(SOON).await.expect("closed");
        while second.assignment().len() != 6 {
            turn(&mut second, &mut seen).await;
        }
        // It dies: what it had acknowledged and committed is not repeated.
        second.reset(Start::Earliest).expect("moved");
        let held = second.take(30, SOON).await.expect("taken");
        let dead: Vec<(i32, i64)> = held.iter().map(|record| (record.partition, record.offset)).collect();
        drop((held, second));
        let mut third = queue(&client, &topic, &group);
        third.reset(Start::Earliest).expect("it waits for the assignment");
        let mut again = Seen::new();
        while again.len() < COUNT {
            turn(&mut third, &mut again).await;
        }
        assert!(again.values().all(|times| *times == 1), "each once after a reset");
        assert!(dead.iter().all(|place| again.contains_key(place)));
        third.commit(SOON).await.expect("committed");
        third.close(SOON).await.expect("closed");
        seen
    };
    let seen = tokio::time::timeout(SOON, done).await.expect("in time");
    let repeated = seen.values().filter(|times| **times > 1).count();
    assert_eq!(repeated, 0, "members that only come and go in order repeat nothing");
    // All is committed: a member that comes now has nothing to take.
    let mut last = queue(&client, &topic, &group);
    last.wait_for_assignment(SOON).await.expect("assigned");
    assert!(last.take(1, TURN * 5).await.expect("no error").is_empty());
    last.close(SOON).await.expect("closed");
}
