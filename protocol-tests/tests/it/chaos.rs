//! Leaders of a cluster of three killed under load. `OTTLA_CHAOS_SECONDS` says for how long (20 if not set).

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::error::Written;
use ottla::producer::Receipt;
use protocol_tests::rig;

const PARTITIONS: i32 = 6;
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

type Outcomes = Arc<Mutex<HashMap<u64, (Duration, Result<Receipt, ottla::Error>)>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_leaders_lose_no_acknowledged_record() {
    if !rig::TRIO.iter().all(|port| rig::is_up(*port)) || !rig_is_docker() {
        return;
    }
    let seconds = std::env::var("OTTLA_CHAOS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let topic = rig::fresh("chaos");
    let client = Client::connect(rig::TRIO.map(rig::address)).await.expect("a cluster");
    for (_, made) in client
        .admin()
        .create_topics([NewTopic::new(topic.as_str()).partitions(PARTITIONS)])
        .await
        .expect("a controller")
    {
        made.expect("a topic");
    }
    let killer = tokio::spawn(kill_leaders(client.clone(), topic.clone(), Duration::from_secs(seconds)));
    let outcomes = load(&client, &topic, Duration::from_secs(seconds)).await;
    let kills = killer.await.expect("the killer");
    let outcomes = outcomes.lock().expect("a lock");
    judge(&topic, &outcomes, kills);
}

/// Killing needs the containers; the jars started directly are not killed here.
fn rig_is_docker() -> bool {
    let docker = Command::new("docker").args(["inspect", "ottla_trio1_1"]).output();
    let there = docker.is_ok_and(|done| done.status.success());
    if !there {
        eprintln!("NOT RUN: the cluster of three does not run in containers");
    }
    there
}

async fn kill_leaders(client: Client, topic: String, duration: Duration) -> u32 {
    #[allow(clippy::disallowed_methods)]
    let end = Instant::now() + duration;
    let mut kills = 0;
    #[allow(clippy::disallowed_methods)]
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let Ok(described) = client.admin().describe_topics([topic.as_str()]).await else { continue };
        let leaders = described.iter().flat_map(|topic| &topic.partitions).filter_map(|partition| partition.leader);
        let leaders: Vec<i32> = leaders.collect();
        let Some(leader) = fastrand::choice(&leaders) else { continue };
        let container = format!("ottla_trio{leader}_1");
        rig::output(Command::new("docker").args(["kill", "-s", "KILL", &container]));
        kills += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
        rig::output(Command::new("docker").args(["start", &container]));
        // The next one must not be killed before this one is back: two of three would be gone.
        let port = rig::TRIO[usize::try_from(*leader - 1).expect("ids start at one")];
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    kills
}

/// Sends numbered records, some thousand a second, and notes what each was told and when.
async fn load(client: &Client, topic: &str, duration: Duration) -> Outcomes {
    let producer = client.producer().delivery_timeout(DELIVERY_TIMEOUT).build().expect("a producer");
    let outcomes = Outcomes::default();
    let mut tasks = tokio::task::JoinSet::new();
    #[allow(clippy::disallowed_methods)]
    let started = Instant::now();
    let mut number = 0_u64;
    while started.elapsed() < duration {
        for _ in 0..20 {
            let value = number.to_string();
            #[allow(clippy::disallowed_methods)]
            let sent = Instant::now();
            let delivery = producer.enqueue(Record::to(topic).value(&value)).await.expect("room");
            let outcomes = Arc::clone(&outcomes);
            tasks.spawn(async move {
                let outcome = delivery.await;
                outcomes.lock().expect("a lock").insert(number, (sent.elapsed(), outcome));
            });
            number += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while tasks.join_next().await.is_some() {}
    producer.close(Duration::from_secs(5)).await.expect("all is decided");
    outcomes
}

fn judge(topic: &str, outcomes: &HashMap<u64, (Duration, Result<Receipt, ottla::Error>)>, kills: u32) {
    let mut places: HashMap<u64, (i32, i64)> = HashMap::new();
    let mut last: HashMap<i32, u64> = HashMap::new();
    let any = rig::TRIO.into_iter().find(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok());
    for (partition, offset, value) in rig::kcat_records(any.expect("a broker"), topic) {
        let number: u64 = value.parse().expect("a number");
        assert_eq!(places.insert(number, (partition, offset)), None, "record {number} is there twice");
        let before = last.insert(partition, number);
        assert!(
            before.is_none_or(|before| before < number),
            "record {number} is out of order in partition {partition}"
        );
    }
    let (mut acknowledged, mut refused, mut doubtful, mut slowest) = (0, 0, 0, Duration::ZERO);
    for (number, (taken, outcome)) in outcomes {
        slowest = slowest.max(*taken);
        let place = places.get(number);
        match outcome {
            Ok(receipt) => {
                acknowledged += 1;
                let there = place.unwrap_or_else(|| panic!("record {number} was acknowledged and is not there"));
                assert_eq!(there.0, receipt.partition);
                assert!(receipt.offset.is_none_or(|offset| offset == there.1), "record {number} is elsewhere");
            }
            Err(error) if error.is_written() == Some(Written::No) => {
                refused += 1;
                assert_eq!(place, None, "record {number} was said not to be written");
            }
            Err(_) => doubtful += 1,
        }
    }
    println!(
        "{kills} kills: {acknowledged} acknowledged, {refused} not written, {doubtful} in doubt; slowest {slowest:?}"
    );
    assert!(acknowledged > 0 && kills > 0);
    assert!(slowest < DELIVERY_TIMEOUT + Duration::from_secs(2), "a record was decided after {slowest:?}");
}
