//! Many random groups, of whose results the golden rows have hashes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla::group::assignor;
use ottla::group::assignor::Assignor;
use ottla::group::assignor::Group;
use ottla::group::assignor::LastAssignment;
use ottla::group::assignor::RebalanceProtocol;
use ottla::internals::wire::consumer_protocol::Assignment;
use ottla::internals::wire::consumer_protocol::Subscription;
use ottla::internals::wire::consumer_protocol::TopicPartitions;
use ottla::types::TopicName;
use ottla::types::TopicPartition;

use super::super::golden::rows;
use super::shape::Lie;
use super::shape::Member;
use super::shape::Shape;

const NAMES: [&str; 4] = ["range", "roundrobin", "sticky", "cooperative-sticky"];

/// A group under one assignor.
#[derive(Debug)]
struct Run {
    assignor: Arc<dyn Assignor>,
    last: HashMap<String, LastAssignment>,
    hash: u64,
}

impl Run {
    fn new(name: &str) -> Self {
        let assignor = assignor::by_name(name).expect("a built-in assignor");
        Self { assignor, last: HashMap::new(), hash: 0xcbf2_9ce4_8422_2325 }
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The bytes with which a member joins.
    fn subscription(&self, member: &Member) -> Bytes {
        let mut last = self.last.get(&member.id).cloned();
        match (&mut last, member.lie) {
            (Some(last), Lie::Older) => last.generation = (last.generation - member.lie_by).max(-1),
            (Some(last), Lie::More) if !last.partitions.contains(&member.lie_about) => {
                last.partitions.push(member.lie_about.clone());
            }
            (_, Lie::Nothing) => last = None,
            _ => {}
        }
        let topics: Vec<TopicName> = member.topics.iter().map(|topic| TopicName::from(&**topic)).collect();
        let mut user_data = self.assignor.user_data(&topics, last.as_ref());
        if member.lie == Lie::Garbage {
            user_data = Some(Bytes::from(vec![0, 0, u8::try_from(member.lie_by).expect("small")]));
        }
        let generation = last.as_ref().map(|last| last.generation);
        let is_cooperative = self.assignor.protocols().contains(&RebalanceProtocol::Cooperative);
        let mut owned = last.filter(|_| is_cooperative).map(|last| last.partitions).unwrap_or_default();
        owned.sort();
        let owned = TopicPartitions::group(&owned);
        let rack = member.rack.as_deref().map(Box::from);
        Subscription { topics, user_data, owned, generation, rack }.encode(member.version)
    }

    fn step(&mut self, shape: &Shape, is_valid: bool) {
        let mut group = Group::default();
        for topic in shape.topics.iter().filter(|topic| !topic.partitions.is_empty()) {
            let racks = |replicas: &Vec<usize>| -> Vec<&str> {
                replicas.iter().filter_map(|broker| shape.brokers[*broker].as_deref()).collect()
            };
            group.topics.insert((&*topic.name).into(), assignor::Topic::with_racks(topic.partitions.iter().map(racks)));
        }
        let sent: Vec<Bytes> = shape.members.iter().map(|member| self.subscription(member)).collect();
        for (member, bytes) in shape.members.iter().zip(&sent) {
            let subscription = Subscription::decode(bytes.clone()).expect("a valid subscription");
            let (id, instance) = (member.id.clone(), member.instance.clone());
            group.members.push(assignor::Member::from_subscription(id, instance, subscription));
        }
        let assignments = self.assignor.assign(&group);
        if std::env::var_os("OTTLA_SHAPE").is_some() {
            show(self.assignor.name(), shape, &group, &assignments);
        }
        if !is_valid {
            assert_eq!(assignor::check(&group, &assignments, RebalanceProtocol::Eager), Ok(()));
            return;
        }
        for ((member, assignment), sent) in shape.members.iter().zip(assignments).zip(sent) {
            self.add(member.id.as_bytes());
            self.add(&sent);
            for TopicPartition { topic, partition } in &assignment.partitions {
                self.add(topic.as_bytes());
                self.add(&[0, partition.to_be_bytes()[3]]);
            }
            let partitions = TopicPartitions::group(&assignment.partitions);
            self.add(&Assignment { partitions, user_data: assignment.user_data }.encode(3));
            if !member.misses {
                let generation = shape.step + 1;
                let last = LastAssignment { partitions: assignment.partitions, generation };
                self.last.insert(member.id.clone(), last);
            }
        }
    }

    fn folded(&self) -> String {
        format!("{:08x}", (self.hash ^ (self.hash >> 32)) & 0xffff_ffff)
    }
}

fn show(name: &str, shape: &Shape, group: &Group, assignments: &[assignor::Assignment]) {
    println!("{name} step {}", shape.step);
    for topic in &shape.topics {
        println!("  topic {} {}", topic.name, topic.partitions.len());
    }
    for ((member, input), assignment) in shape.members.iter().zip(&group.members).zip(assignments) {
        let list = |partitions: &[TopicPartition]| -> Vec<String> {
            partitions.iter().map(|partition| format!("{}-{}", partition.topic, partition.partition)).collect()
        };
        println!(
            "  {} {:?} {:?} {} topics={:?} owned={:?} generation={:?} rack={:?} gets {}",
            member.id,
            member.instance,
            member.lie,
            member.version,
            input.topics,
            list(&input.owned),
            input.generation,
            input.rack,
            list(&assignment.partitions).join(", "),
        );
    }
}

/// The step from which on Java's results are invalid.
fn invalid_from(cell: &str) -> i32 {
    cell.split_once('!').map_or(i32::MAX, |(_, step)| step.parse().expect("a step"))
}

/// Runs a group through all its rebalances, and returns the hash of the results.
fn run(name: &str, number: u64, java: &str) -> String {
    let mut shape = Shape::new(number);
    let mut run = Run::new(name);
    let invalid = invalid_from(java);
    loop {
        run.step(&shape, shape.step < invalid);
        if shape.step == invalid || !shape.next() {
            return run.folded();
        }
    }
}

/// Compares the results with Java's. Where Java's are invalid, ours must be valid.
///
/// One group in ten is compared, and all of them with `OTTLA_GROUPS=all`, as `protocol-tests/run` has it. `OTTLA_SHAPE=17` prints what one group goes through. `docker/assignors.sh show 17` prints it for Java.
fn compare(name: &str) {
    let rows = rows(&format!("#{}", NAMES.join("\t")));
    assert!(rows.len() >= 10_000, "only {} groups", rows.len());
    let column = NAMES.iter().position(|other| *other == name).expect("a column");
    let only: Option<usize> = std::env::var("OTTLA_SHAPE").ok().and_then(|number| number.parse().ok());
    let rows = rows.iter().map(|row| &*row[column]).enumerate();
    let all = std::env::var("OTTLA_GROUPS").is_ok_and(|groups| groups == "all");
    let rows = rows.filter(|(number, _)| only.map_or(all || number % 10 == 0, |only| only == *number));
    let is_different = |(number, java): &(usize, &str)| run(name, *number as u64, java) != java[..8];
    let different: Vec<usize> = rows.filter(is_different).map(|(number, _)| number).collect();
    assert!(different.is_empty(), "the results of these groups differ: {different:?}");
}

#[test]
fn range_returns_what_java_returns() {
    compare("range");
}

#[test]
fn round_robin_returns_what_java_returns() {
    compare("roundrobin");
}

#[test]
fn sticky_returns_what_java_returns() {
    compare("sticky");
}

#[test]
fn cooperative_sticky_returns_what_java_returns() {
    compare("cooperative-sticky");
}
