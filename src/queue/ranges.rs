//! Where the logs of a topic begin and end: each leader is asked by itself, so that one that is down does not keep the others back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Instant;

use tokio::task::JoinSet;

use super::core::Log;
use crate::client::Cluster;
use crate::consumer::Isolation;
use crate::consumer::offsets;
use crate::consumer::offsets::OffsetSpec;
use crate::error::Error;
use crate::metadata::by_leader;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// The first offset and the end of a log, and the last mark before they were asked for.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: i64,
    end: i64,
    mark: u64,
}

#[derive(Debug)]
struct Answer {
    partitions: Vec<i32>,
    mark: u64,
    found: Result<BTreeMap<i32, (i64, i64)>, Error>,
}

/// The ranges of the logs of one topic.
#[derive(Debug)]
pub(super) struct Ranges {
    cluster: Cluster,
    topic: TopicName,
    isolation: Isolation,
    known: BTreeMap<i32, Range>,
    failed: BTreeMap<i32, Error>,
    asking: JoinSet<Answer>,
    asked: BTreeSet<i32>,
    marks: u64,
}

impl Ranges {
    pub(super) fn new(cluster: Cluster, topic: TopicName, isolation: Isolation) -> Self {
        Self {
            cluster,
            topic,
            isolation,
            known: BTreeMap::new(),
            failed: BTreeMap::new(),
            asking: JoinSet::new(),
            asked: BTreeSet::new(),
            marks: 0,
        }
    }

    /// A mark in the order of events: ranges that are asked for after it are newer than what was known before.
    pub(super) fn mark(&mut self) -> u64 {
        self.marks += 1;
        self.marks
    }

    /// The range of a log, if it is known. It says whether it was asked for after a mark.
    pub(super) fn of(&self, partition: i32, mark: u64) -> Option<Log> {
        let range = self.known.get(&partition)?;
        Some(Log { start: range.start, end: range.end, is_newer: range.mark >= mark })
    }

    /// Forgets a range that a leader has contradicted.
    pub(super) fn forget(&mut self, partition: i32) {
        self.known.remove(&partition);
    }

    /// The last error of a partition that has no answer since.
    pub(super) fn error(&self) -> Option<Error> {
        self.failed.values().next().cloned()
    }

    /// Asks the leaders of these partitions, except for those that are being asked.
    pub(super) fn ask(&mut self, partitions: impl IntoIterator<Item = i32>) {
        let open: Vec<i32> = partitions.into_iter().filter(|partition| !self.asked.contains(partition)).collect();
        let key = |partition: &i32| TopicPartition { topic: self.topic.clone(), partition: *partition };
        let groups = by_leader(&self.cluster.snapshot(), open.iter().map(|partition| (key(partition), ())));
        let led = groups.leaders.into_iter().map(|(_, topics)| {
            topics.into_iter().flat_map(|(_, partitions)| partitions.into_iter().map(|(index, ())| index)).collect()
        });
        let leaderless: Vec<i32> = groups.leaderless.into_iter().map(|(key, ())| key.partition).collect();
        for partitions in led.chain([leaderless]).filter(|partitions: &Vec<i32>| !partitions.is_empty()) {
            self.asked.extend(&partitions);
            let asking = ask(self.cluster.clone(), self.topic.clone(), self.isolation, (partitions, self.marks));
            self.asking.spawn_on(asking, self.cluster.runtime().handle());
        }
    }

    /// Waits for the answer of a leader. `false`: there was none by then.
    ///
    /// Cancel safety: an answer that was not waited for is there the next time.
    pub(super) async fn answered(&mut self, until: Instant) -> bool {
        let Ok(Some(Ok(answer))) = self.cluster.runtime().timeout_at(until, self.asking.join_next()).await else {
            return false;
        };
        for partition in &answer.partitions {
            self.asked.remove(partition);
        }
        match answer.found {
            Ok(found) => {
                for (partition, (start, end)) in found {
                    self.failed.remove(&partition);
                    self.known.insert(partition, Range { start, end, mark: answer.mark });
                }
            }
            Err(error) => self.failed.extend(answer.partitions.iter().map(|partition| (*partition, error.clone()))),
        }
        true
    }
}

async fn ask(cluster: Cluster, topic: TopicName, isolation: Isolation, (partitions, mark): (Vec<i32>, u64)) -> Answer {
    let deadline = clock::now() + cluster.settings().api_timeout;
    let keys: Vec<TopicPartition> =
        partitions.iter().map(|partition| TopicPartition { topic: topic.clone(), partition: *partition }).collect();
    let list = async |spec| offsets::list_offsets(&cluster, &keys, spec, isolation, deadline).await;
    let found = async {
        let starts: BTreeMap<TopicPartition, i64> = list(OffsetSpec::Earliest).await?.into_iter().collect();
        let ends = list(OffsetSpec::Latest).await?;
        let range = |(key, end): (TopicPartition, i64)| {
            let start = starts.get(&key).copied().unwrap_or(end);
            (key.partition, (start.min(end), end))
        };
        Ok(ends.into_iter().map(range).collect())
    };
    let found = found.await;
    Answer { partitions, mark, found }
}
