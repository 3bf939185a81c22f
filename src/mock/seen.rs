//! The requests that arrived, decoded as far as tests care, in a log of bounded size.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Instant;

use crate::types::TopicId;
use crate::types::TopicName;

/// A request that arrived, for tests to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// When it arrived.
    pub at: Instant,
    /// The broker it was sent to.
    pub broker: i32,
    /// The connection it came on.
    pub connection: u64,
    /// Which API it asks; [`key`](crate::mock::key) has the numbers.
    pub api_key: i16,
    /// In which version.
    pub version: i16,
    /// What the client calls it.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: String,
    /// The bytes of its frame, without the size prefix.
    pub size: usize,
    /// The first group, transactional id or coordinator key it names; empty where it names none.
    pub name: String,
    /// The acknowledgements a Produce asks for: 0, 1 or −1.
    pub acks: Option<i16>,
    /// The id and the epoch of a Fetch's session.
    pub session: Option<(i32, i32)>,
    /// The topics and partitions it names, in its order. A Fetch within a session names only what has changed.
    pub partitions: Vec<SeenPartition>,
    /// Whether it asks for every topic there is, naming none.
    pub all_topics: bool,
}

impl SeenRequest {
    /// Whether it names this partition, or its whole topic.
    pub fn names(&self, topic: &str, partition: i32) -> bool {
        self.all_topics || self.partitions.iter().any(|seen| seen.is(topic, Some(partition)))
    }
}

/// A partition that a request names, or a whole topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenPartition {
    /// The topic; empty where the request has an id that nobody knows.
    pub topic: TopicName,
    /// The topic's id, where the request has one; zero otherwise.
    pub topic_id: TopicId,
    /// The partition; `None` where the request names the topic as a whole.
    pub partition: Option<i32>,
    /// What the request wants there.
    pub what: SeenWhat,
}

impl SeenPartition {
    /// Whether this is the partition, or names its topic as a whole; with `None`, whether it is of that topic.
    pub(super) fn is(&self, topic: &str, partition: Option<i32>) -> bool {
        let same = self.partition.is_none() || partition.is_none() || self.partition == partition;
        same && *self.topic == *topic
    }
}

/// What a request wants of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeenWhat {
    /// To append this batch.
    Append {
        /// The id of its producer; −1 without idempotence.
        producer_id: i64,
        /// The epoch of that producer; −1 without idempotence.
        producer_epoch: i16,
        /// The sequence of its first record; −1 without idempotence.
        sequence: i32,
        /// How many records its header claims.
        records: i32,
        /// Its size in bytes.
        bytes: usize,
    },
    /// To commit this offset, or to mark it committed.
    Commit {
        /// The offset.
        offset: i64,
    },
    /// Where this leader epoch ends.
    EpochEnd {
        /// The epoch asked about.
        leader_epoch: i32,
    },
    /// Records from an offset on.
    Fetch {
        /// The offset of the first one wanted.
        offset: i64,
        /// What the client takes for the current leader epoch; −1 where it does not say.
        leader_epoch: i32,
        /// The most bytes it takes of this partition.
        bytes_max: i32,
    },
    /// The offset that belongs to a timestamp; −1 and below have meanings of their own.
    Offset {
        /// The timestamp.
        timestamp: i64,
    },
    /// Nothing that the log tells more of.
    Other,
}

/// The log of requests.
#[derive(Debug)]
pub(super) struct Journal {
    requests: VecDeque<SeenRequest>,
    /// The partitions of all requests kept.
    partitions: usize,
    limit: usize,
    counts: HashMap<i16, u64>,
}

impl Journal {
    pub(super) fn new(limit: usize) -> Self {
        Self { requests: VecDeque::new(), partitions: 0, limit, counts: HashMap::new() }
    }

    pub(super) fn add(&mut self, seen: SeenRequest) {
        *self.counts.entry(seen.api_key).or_default() += 1;
        if self.limit == 0 {
            return;
        }
        self.partitions += seen.partitions.len();
        self.requests.push_back(seen);
        while self.requests.len() > self.limit || (self.partitions > PARTITIONS_MAX && self.requests.len() > 1) {
            let oldest = self.requests.pop_front().expect("there are more than none");
            self.partitions -= oldest.partitions.len();
        }
    }

    pub(super) fn requests(&self) -> impl DoubleEndedIterator<Item = &SeenRequest> + ExactSizeIterator {
        self.requests.iter()
    }

    pub(super) fn take(&mut self) -> Vec<SeenRequest> {
        self.partitions = 0;
        std::mem::take(&mut self.requests).into()
    }

    pub(super) fn count(&self, api_key: i16) -> u64 {
        self.counts.get(&api_key).copied().unwrap_or_default()
    }
}

/// How many partitions the log remembers over all its requests: some 20 MB.
const PARTITIONS_MAX: usize = 262_144;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any time will do")]
    pub(in crate::mock) fn seen(broker: i32, api_key: i16, partitions: &[(&str, i32)]) -> SeenRequest {
        let partition = |(topic, partition): &(&str, i32)| SeenPartition {
            topic: TopicName::from(*topic),
            topic_id: TopicId::ZERO,
            partition: Some(*partition),
            what: SeenWhat::Other,
        };
        SeenRequest {
            at: (Instant::now)(),
            broker,
            connection: 1,
            api_key,
            version: 0,
            correlation_id: 0,
            client_id: "c".to_owned(),
            size: 0,
            name: String::new(),
            acks: None,
            session: None,
            partitions: partitions.iter().map(partition).collect(),
            all_topics: false,
        }
    }

    #[test]
    fn the_log_keeps_the_newest_and_counts_all() {
        let mut journal = Journal::new(3);
        for broker in 0..5 {
            journal.add(seen(broker, 3, &[]));
        }
        assert_eq!(journal.requests().map(|seen| seen.broker).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!((journal.count(3), journal.count(0)), (5, 0));
        assert_eq!(journal.take().len(), 3);
        assert_eq!(journal.requests().len(), 0);
    }

    #[test]
    fn a_few_requests_of_many_partitions_do_not_grow_the_log_without_bound() {
        let many = vec![("t", 0); PARTITIONS_MAX / 2];
        let mut journal = Journal::new(100);
        for broker in 0..4 {
            journal.add(seen(broker, 0, &many));
        }
        assert_eq!(journal.requests().map(|seen| seen.broker).collect::<Vec<_>>(), [2, 3]);
    }
}
