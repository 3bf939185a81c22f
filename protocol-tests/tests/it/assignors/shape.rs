//! Random groups that go through several rebalances, the same as those of the Java program `docker/assignors/Assignors.java`.
//!
//! Every random number is drawn in the same order there. A change here needs the same one there, and new golden rows.

use std::collections::BTreeSet;

use ottla::types::TopicPartition;

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from((self.next() >> 33) % limit as u64).expect("31 bits")
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn hex(&mut self, digits: usize) -> String {
        format!("{:016x}", self.next())[..digits].to_owned()
    }
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    /// The brokers of each partition's replicas.
    pub(super) partitions: Vec<Vec<usize>>,
}

/// A false claim in a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    None,
    Older,
    More,
    Nothing,
    Garbage,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) rack: Option<String>,
    pub(super) version: i16,
    pub(super) topics: BTreeSet<String>,
    pub(super) lie: Lie,
    pub(super) lie_by: i32,
    pub(super) lie_about: TopicPartition,
    /// Whether it does not get the assignment of this step.
    pub(super) misses: bool,
}

/// A group and how it changes.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent properties of a random group")]
pub(super) struct Shape {
    random: Random,
    style: usize,
    is_static: bool,
    is_equal: bool,
    is_old: bool,
    lies: bool,
    has_missing: bool,
    racks: usize,
    /// The rack of each broker.
    pub(super) brokers: Vec<Option<String>>,
    pub(super) topics: Vec<Topic>,
    pub(super) members: Vec<Member>,
    named: usize,
    pub(super) step: i32,
    steps: i32,
}

const LETTERS: [&str; 7] = ["\u{e9}", "\u{1f600}", "\u{fffd}", "\u{e000}", "z", "\u{10ffff}", "ab"];

impl Shape {
    pub(super) fn new(number: u64) -> Self {
        let mut random = Random(number);
        let style = random.below(5);
        let (is_static, is_equal) = (random.one_in(3), random.one_in(2));
        let (is_old, lies) = (random.one_in(4), random.one_in(3));
        let racks = if random.one_in(3) { 1 + random.below(4) } else { 0 };
        let mut shape = Self {
            random,
            style,
            is_static,
            is_equal,
            is_old,
            lies,
            has_missing: false,
            racks,
            brokers: Vec::new(),
            topics: Vec::new(),
            members: Vec::new(),
            named: 0,
            step: 0,
            steps: 0,
        };
        shape.populate();
        shape
    }

    fn populate(&mut self) {
        for _ in 0..=self.random.below(5) {
            let has_rack = self.racks > 0 && !self.random.one_in(8);
            let rack = has_rack.then(|| format!("r{}", self.random.below(self.racks)));
            self.brokers.push(rack);
        }
        let topics = 1 + self.random.below(8);
        let style = self.random.below(3);
        for index in 0..topics {
            let name = match style {
                0 => format!("t{index}"),
                1 => self.random.hex(8),
                _ => format!("topic-{}", index * 7),
            };
            self.topics.push(Topic { name, partitions: Vec::new() });
            let partitions = self.random.below(21);
            self.grow(index, partitions);
        }
        self.has_missing = self.random.one_in(8);
        let mut members = if self.random.one_in(10) { 13 + self.random.below(28) } else { 1 + self.random.below(12) };
        if self.style == 3 {
            members = members.min(6);
        }
        for _ in 0..members {
            self.join();
        }
        self.steps = 1 + i32::try_from(self.random.below(5)).expect("small");
        self.decide();
    }

    fn grow(&mut self, topic: usize, by: usize) {
        let brokers = self.brokers.len();
        for _ in 0..by {
            let replicas = 1 + self.random.below(brokers.min(3));
            let first = self.random.below(brokers);
            self.topics[topic].partitions.push((0..replicas).map(|index| (first + index) % brokers).collect());
        }
    }

    fn name(&mut self) -> String {
        let index = self.named;
        self.named += 1;
        match self.style {
            0 => format!("c{index}"),
            1 => format!("consumer-{}", self.random.hex(16)),
            2 => format!("m{index:03}-{}", self.random.hex(8)),
            3 => {
                let bits = (0..4).map(|bit| if index >> bit & 1 == 0 { "Aa" } else { "BB" });
                bits.collect::<String>() + &(index / 16).to_string()
            }
            _ => format!("{}{index}", LETTERS[self.random.below(LETTERS.len())]),
        }
    }

    fn join(&mut self) {
        let id = self.name();
        let is_static = self.is_static && self.random.one_in(2);
        let instance = is_static.then(|| format!("i{}-{}", self.random.below(1000), self.named));
        let has_rack = self.racks > 0 && !self.random.one_in(4);
        let is_empty = has_rack && self.random.one_in(16);
        let rack = if is_empty {
            Some(String::new())
        } else {
            has_rack.then(|| format!("r{}", self.random.below(self.racks + 1)))
        };
        let version = if self.is_old { i16::try_from(self.random.below(4)).expect("small") } else { 3 };
        let topics = self.subscription();
        let (lie, lie_by, lie_about) = (Lie::None, 0, TopicPartition::new("", 0));
        let member = Member { id, instance, rack, version, topics, lie, lie_by, lie_about, misses: false };
        let place = self.random.below(self.members.len() + 1);
        self.members.insert(place, member);
    }

    fn subscription(&mut self) -> BTreeSet<String> {
        if self.is_equal {
            let missing = self.has_missing.then(|| "missing".to_owned());
            return self.topics.iter().map(|topic| topic.name.clone()).chain(missing).collect();
        }
        let chances = 2 + self.random.below(3);
        let random = &mut self.random;
        let chosen = self.topics.iter().filter(|_| !random.one_in(chances));
        let mut topics: BTreeSet<String> = chosen.map(|topic| topic.name.clone()).collect();
        if topics.is_empty() && !self.random.one_in(4) {
            topics.insert(self.topics[self.random.below(self.topics.len())].name.clone());
        }
        topics
    }

    fn decide(&mut self) {
        for member in &mut self.members {
            member.lie = Lie::None;
            member.misses = self.lies && self.random.one_in(16);
            if self.lies && self.random.one_in(6) {
                member.lie = [Lie::Older, Lie::More, Lie::Nothing, Lie::Garbage][self.random.below(4)];
                member.lie_by = 1 + i32::try_from(self.random.below(2)).expect("small");
                let topic = &self.topics[self.random.below(self.topics.len())];
                let partition = self.random.below(topic.partitions.len().max(1));
                member.lie_about = TopicPartition::new(&*topic.name, i32::try_from(partition).expect("small"));
            }
        }
    }

    /// Changes the group; false if this was its last rebalance.
    pub(super) fn next(&mut self) -> bool {
        self.step += 1;
        if self.step == self.steps {
            return false;
        }
        match self.random.below(8) {
            0 | 1 if self.style != 3 || self.members.len() < 8 => self.join(),
            0 | 1 | 6 => {}
            2 => self.leave(),
            3 => {
                let member = self.random.below(self.members.len());
                self.members[member].topics = self.subscription();
            }
            4 => {
                let topic = self.random.below(self.topics.len());
                let by = 1 + self.random.below(4);
                self.grow(topic, by);
            }
            5 => {
                let topic = self.random.below(self.topics.len());
                if self.topics[topic].partitions.is_empty() {
                    let by = 1 + self.random.below(20);
                    self.grow(topic, by);
                } else {
                    self.topics[topic].partitions.clear();
                }
            }
            _ => {
                self.leave();
                self.join();
            }
        }
        if self.random.one_in(4) {
            let by = self.random.below(self.members.len());
            self.members.rotate_right(by);
        }
        self.decide();
        true
    }

    fn leave(&mut self) {
        if self.members.len() > 1 {
            let member = self.random.below(self.members.len());
            self.members.remove(member);
        }
    }
}
