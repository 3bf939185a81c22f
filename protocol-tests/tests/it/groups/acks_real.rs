//! Acknowledged records across rebalances of a real group: nothing is lost, and only open records are read again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::consumer::AckConsumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::GroupProtocol;
use ottla::consumer::OwnedRecord;
use ottla::consumer::Unacked;
use protocol_tests::rig;

use super::membership::assignors;
use super::membership::topic;

const PORT: u16 = 29431;
const PARTITIONS: i32 = 6;
const RECORDS: i32 = 1_800;
const SOON: Duration = Duration::from_secs(60);

/// The records that workers have processed, and those whose acknowledgement was refused.
#[derive(Clone, Default)]
struct Done(Arc<Mutex<(Processed, BTreeSet<Place>)>>);

/// A partition and an offset.
type Place = (i32, i64);
type Processed = BTreeMap<Place, u32>;

impl Done {
    /// Works on a record: a few milliseconds, or longer than any rebalance waits for one of a hundred.
    async fn work(self, work: Unacked<OwnedRecord>, is_slow: bool) {
        let place = (work.partition, work.offset);
        let slow = is_slow && work.offset % 100 == 37;
        let time = if slow { 3_000 } else { u64::try_from(work.offset * 7 % 40).expect("not negative") };
        tokio::time::sleep(Duration::from_millis(time)).await;
        let result = work.ack();
        let mut done = self.0.lock().expect("no panic");
        *done.0.entry(place).or_default() += 1;
        if result.is_err() {
            done.1.insert(place);
        }
    }

    fn count(&self) -> usize {
        self.0.lock().expect("no panic").0.len()
    }
}

/// Polls until `until` holds, and gives every record to a worker of its own.
async fn serve(consumer: &mut AckConsumer, done: &Done, is_slow: bool, until: impl Fn(&AckConsumer) -> bool) {
    let served = async {
        while !until(consumer) {
            let Ok(polled) = tokio::time::timeout(Duration::from_millis(50), consumer.poll()).await else { continue };
            for work in polled.expect("no error").expect("no end").into_records() {
                tokio::spawn(done.clone().work(work, is_slow));
            }
        }
    };
    tokio::time::timeout(SOON, served).await.expect("in time");
}

async fn write(client: &Client, topic: &str) {
    let producer = client.producer().build().expect("a producer");
    for number in 0..RECORDS {
        let record = Record::to(topic).partition(number % PARTITIONS).value("x");
        drop(producer.enqueue(record).await.expect("there is capacity"));
    }
    producer.flush().await;
}

/// One member reads; a second joins; the first leaves.
async fn hand_over(build: impl Fn() -> ConsumerBuilder, is_slow: bool) -> Done {
    let done = Done::default();
    let wait = if is_slow { Duration::from_millis(100) } else { Duration::from_secs(5) };
    let build = || build().ack_wait(wait).poll_bytes_max(1_000).ack_open_max(100);
    let some = usize::try_from(RECORDS / 6).expect("few");
    let mut first = build().build_acked().expect("a consumer");
    serve(&mut first, &done, is_slow, |_| done.count() > some).await;
    let mut second = build().build_acked().expect("a consumer");
    let shared = |member: &AckConsumer| member.as_consumer().assignment().len() == 3;
    let both = async {
        tokio::join!(
            serve(&mut first, &done, is_slow, |member| done.count() > 3 * some && shared(member)),
            serve(&mut second, &done, is_slow, |member| done.count() > 3 * some && shared(member)),
        )
    };
    both.await;
    let (closed, ()) = tokio::join!(
        first.close(),
        serve(&mut second, &done, is_slow, |_| done.count() == usize::try_from(RECORDS).expect("few")),
    );
    closed.expect("closed");
    serve(&mut second, &done, is_slow, |member| member.open_records() == 0).await;
    second.commit().await.expect("committed");
    for (partition, committed) in second.as_consumer().committed().await.expect("offsets") {
        let end = i64::from(RECORDS / PARTITIONS);
        assert_eq!(committed.expect("it was committed").offset, end, "{partition}");
    }
    second.close().await.expect("closed");
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_out_of_order_lose_nothing_across_rebalances() {
    if !rig::is_up(PORT) {
        return;
    }
    let client = Client::connect([rig::address(PORT)]).await.expect("a broker");
    for name in ["range", "cooperative-sticky", "consumer"] {
        for is_slow in [false, true] {
            let (topic, group) = (topic(&client, PARTITIONS).await, rig::fresh("acks"));
            write(&client, &topic).await;
            let build = || {
                let builder = client.consumer().group(&group).subscribe([topic.as_str()]);
                match name {
                    "consumer" => builder.group_protocol(GroupProtocol::Consumer),
                    _ => builder.assignors(assignors(name)).heartbeat_interval(Duration::from_millis(200)),
                }
            };
            let done = hand_over(build, is_slow).await;
            let (processed, refused) = &*done.0.lock().expect("no panic");
            let expected = (0..RECORDS).map(|number| (number % PARTITIONS, i64::from(number / PARTITIONS)));
            assert!(expected.clone().all(|place| processed.contains_key(&place)), "{name}: a record is missing");
            let repeated: Vec<&Place> =
                processed.iter().filter(|(_, times)| **times > 1).map(|(place, _)| place).collect();
            assert!(is_slow || repeated.is_empty() && refused.is_empty(), "{name}: {repeated:?} again, {refused:?}");
            for (partition, offset) in &repeated {
                let open = refused.iter().any(|(other, first)| other == partition && first <= offset);
                assert!(open, "{name}: {partition} at {offset} was read again, and nothing before it was open");
            }
            println!("{name}, slow: {is_slow}: {} refused, {} read again", refused.len(), repeated.len());
        }
    }
}
