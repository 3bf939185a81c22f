//! A cluster of three under load, by producers, by consumers, and by members of groups of both protocols. Its nodes are killed and paused, and connections to them are cut, slowed and tampered with, all
//! drawn from one seed. The judge of histories decides whether a promise was broken. The secured cluster, whose sessions end every 2 s,
//! takes the same load and the same faults; it runs only where it was started by hand (`rig up securetrio`).
//!
//! `OTTLA_CHAOS_SECONDS` sets the duration (20 if not set), `OTTLA_CHAOS_SEED` the seed. A failed run leaves its history, one JSON
//! line for each event, and the frames that passed the proxies, and prints their path. With `OTTLA_CHAOS_KEEP=1` every run does.
//! With `OTTLA_CHAOS_KILLS=1` leaders are killed and nothing else is done.

mod disk;
mod faults;
mod load;
mod members;
mod nodes;
mod site;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla::types::TopicPartition;
use protocol_tests::history::Anomaly;
use protocol_tests::history::Body;
use protocol_tests::history::Event;
use protocol_tests::history::History;
use protocol_tests::history::Recorder;
use protocol_tests::history::Role;
use protocol_tests::history::Seen;
use protocol_tests::history::Summary;
use protocol_tests::history::check;
use protocol_tests::proxy::Proxy;
use protocol_tests::proxy::Through;
use protocol_tests::rig;
use protocol_tests::rig::secure;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::site::Site;

const PARTITIONS: i32 = 6;

/// Reasons that are printed.
const REASONS_MAX: usize = 20;

/// The lateness that a decision may have beyond the measured lateness of the machine.
const SLACK: Duration = Duration::from_secs(2);

/// All parts of a run share this.
#[derive(Clone, Debug)]
struct Run {
    site: Site,
    recorder: Recorder,
    topic: String,
    /// Leads through the proxies.
    through: Through,
    seed: u64,
    stopped: watch::Receiver<bool>,
    /// The sessions that producers renewed.
    renewed: Arc<AtomicU64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_paused_and_cut_off_nodes_break_no_promise() {
    let site = Site::plain();
    if rig::TRIO.iter().all(|port| rig::is_up(*port)) && nodes::are_containers(&site) {
        disturb(site).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secured_cluster_breaks_no_promise_under_the_same_faults() {
    if secure::is_trio_up() {
        let site = Site::secured();
        assert!(nodes::are_containers(&site), "its nodes run in no containers");
        disturb(site).await;
    }
}

async fn disturb(site: Site) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("OTTLA_CHAOS_SECONDS").unwrap_or(20);
    let seed = number("OTTLA_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("chaos: {seconds} s with OTTLA_CHAOS_SEED={seed}");

    let _healed = nodes::Healed(site.clone());
    let client = site.connect().await;
    let topic = secure::topic(&client, "chaos", PARTITIONS).await;
    let proxies = site.proxies().await;
    let through = Through::proxies(&proxies);
    let (stop, stopped) = watch::channel(false);
    let run = Run { site, recorder: Recorder::new(), topic, through, seed, stopped, renewed: Arc::default() };
    let mut load = JoinSet::new();
    load::start(&mut load, &run);
    let members = members::start(&run);

    let lag = tokio::spawn(lag(run.recorder.clone(), run.stopped.clone()));
    let until = Duration::from_secs(seconds);
    let (kills, pauses) = if std::env::var_os("OTTLA_CHAOS_KILLS").is_some() {
        (faults::kill_leaders(&run, &client, until).await, 0)
    } else {
        faults::strike(&run, &client, &proxies, until).await
    };
    proxies.iter().for_each(Proxy::calm);
    nodes::settle(&client, &run.topic).await;
    stop.send_replace(true);
    while let Some(ended) = load.join_next().await {
        ended.expect("the load itself does not fail");
    }
    let joined = tokio::task::spawn_blocking(|| members.into_iter().for_each(|member| member.join().expect("it ends")));
    joined.await.expect("members do not fail");
    members::drain(&run, &client).await;
    load::read_as_group(&run).await;
    read_all(&run).await;
    read_all_by_kcat(&run);

    let lag = lag.await.expect("it only sleeps");
    let history = run.recorder.take();
    let anomalies = check(&history, SLACK + lag);
    let summary = Summary::of(history.events().iter());
    println!("chaos: {kills} kills, {pauses} pauses, {} anomalies: {summary}", anomalies.len());
    println!("chaos: of the producers with {:?}: {}", load::PATIENCE, patient(&history));
    println!("chaos: {} members lived", members::lives(&history));
    println!("chaos: the machine woke tasks up to {lag:.1?} late; {}", reasons(&history));
    println!("chaos: producers renewed {} sessions", run.renewed.load(Ordering::Relaxed));
    client.admin().delete_topics([run.topic.as_str()]).await.expect("a controller");
    if std::env::var_os("OTTLA_CHAOS_KEEP").is_some() || !anomalies.is_empty() {
        keep(seed, &history, &proxies, &anomalies);
    }
    if let Some(first) = anomalies.first() {
        panic!("{} anomalies with OTTLA_CHAOS_SEED={seed}; the first: {first}", anomalies.len());
    }
    assert!(summary.acknowledged > 0 && summary.returned > 0 && kills > 0, "nothing happened");
    assert!(members::lives(&history) > members::GROUPS.len() && summary.rebalances > 0, "no member did anything");
}

/// Measures by how much sleeps are too long: a busy machine delays every decision as well.
async fn lag(recorder: Recorder, stopped: watch::Receiver<bool>) -> Duration {
    const NAP: Duration = Duration::from_millis(20);
    let mut worst = Duration::ZERO;
    while !*stopped.borrow() {
        let before = recorder.now();
        tokio::time::sleep(NAP).await;
        worst = worst.max(recorder.now().saturating_sub(before + NAP));
    }
    worst
}

fn partitions(topic: &str) -> impl Iterator<Item = TopicPartition> {
    (0..PARTITIONS).map(move |index| TopicPartition::new(topic, index))
}

/// Reads everything from the beginning by a client that took no part.
async fn read_all(Run { site, recorder, topic, .. }: &Run) {
    let client = site.connect().await;
    let process = recorder.open(Role::Consumer { group: None });
    let mut consumer = load::from_the_beginning(&client, topic).until_end().build().expect("a consumer");
    for partition in partitions(topic) {
        recorder.push(process, Body::Moved { partition, to: Some(0) });
    }
    while let Some(records) = consumer.poll().await.expect("all faults are over") {
        recorder.polled(process, &records, load::value_of);
    }
    let begins: BTreeMap<_, _> = consumer.beginning_offsets().await.expect("offsets").into_iter().collect();
    for (partition, to) in consumer.end_offsets().await.expect("offsets") {
        let from = begins[&partition];
        assert_eq!(consumer.position(&partition).map(|position| position.offset), Some(to), "{partition} was read");
        recorder.push(process, Body::ReadToEnd { partition, from, to });
    }
}

/// Reads everything by librdkafka, which shares no mistake with us.
fn read_all_by_kcat(Run { site, recorder, topic, .. }: &Run) {
    let process = recorder.open(Role::Consumer { group: None });
    let mut ends: BTreeMap<i32, i64> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    let mut records = Vec::new();
    for (index, offset, text) in site.records_by_kcat(topic) {
        ends.insert(index, offset + 1);
        let partition = TopicPartition::new(topic.as_str(), index);
        records.push(Seen { partition, offset, value: load::value_of(text.as_bytes()) });
    }
    recorder.push(process, Body::Polled { records, moved: Vec::new(), error: None });
    for (index, to) in ends {
        recorder.push(process, Body::ReadToEnd { partition: TopicPartition::new(topic.as_str(), index), from: 0, to });
    }
}

/// The outcomes of the producers whose timeout outlasts every fault.
fn patient(history: &History) -> Summary {
    let is_patient = |event: &Event| matches!(&event.body, Body::Invoked { deadline, .. } if *deadline >= event.at + load::PATIENCE / 2);
    let patient: BTreeSet<u32> =
        history.events().iter().filter(|event| is_patient(event)).map(|event| event.process).collect();
    // Readers are kept, because they count doubtful records that were read.
    let counts = |event: &&Event| !matches!(&event.body, Body::Decided { .. }) || patient.contains(&event.process);
    Summary::of(history.events().iter().filter(counts))
}

/// The errors of unacknowledged records and of failed polls and commits, with their number.
fn reasons(history: &History) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for event in history.events() {
        let json = event.to_json();
        let (Some(error), Some(what)) = (json["err"].as_str(), json["f"].as_str()) else { continue };
        // Equal reasons differ only by the broker and partition, which are left out.
        let reason = error.split(", ").next().unwrap_or_default();
        let code = error.rsplit(": ").next().filter(|code| code.starts_with(char::is_uppercase)).unwrap_or_default();
        *counts.entry(format!("{what}: {reason} {code}").trim_end().to_owned()).or_default() += 1;
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(REASONS_MAX);
    let text: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    if text.is_empty() { "nothing failed".to_owned() } else { text.join("; ") }
}

/// Writes the files that explain an anomaly.
fn keep(seed: u64, history: &History, proxies: &[Proxy], anomalies: &[Anomaly]) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = |name: &str| {
        let path = folder.join(format!("chaos-{seed}.{name}"));
        println!("chaos: see {}", path.display());
        BufWriter::new(File::create(path).expect("a file"))
    };
    history.write(&mut file("history.jsonl")).expect("the disk has space");
    let mut out = file("anomalies.txt");
    for anomaly in anomalies {
        writeln!(out, "{anomaly}").expect("the disk has space");
    }
    let mut out = file("frames.txt");
    for proxy in proxies {
        for frame in proxy.frames() {
            writeln!(out, "{} {frame:?}", proxy.broker().port()).expect("the disk has space");
        }
    }
}
