//! The request log: the requests that arrived, decoded as far as tests need, within a bound.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Instant;

use crate::types::TopicId;
use crate::types::TopicName;

/// A request that arrived, as tests read it.
///
/// # Examples
///
/// ```
/// use ottla::mock::{Cluster, SeenRequest, key};
///
/// let mut cluster = Cluster::builder().topic("events", 1).build();
/// // … a client fetches …
/// let fetches: Vec<SeenRequest> = cluster.take_requests().into_iter().filter(|seen| seen.api_key == key::FETCH).collect();
/// assert!(fetches.iter().all(|seen| seen.names("events", 0)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// When it arrived.
    pub at: Instant,
    /// The broker it was sent to.
    pub broker: i32,
    /// The connection it came on.
    pub connection: u64,
    /// The API key; [`key`](crate::mock::key) has the numbers.
    pub api_key: i16,
    /// The version.
    pub version: i16,
    /// The correlation id.
    pub correlation_id: i32,
    /// The client id.
    pub client_id: String,
    /// The bytes of its frame, without the size prefix.
    pub size: usize,
    /// The groups, the transactional id or the coordinator keys in it, with a space between; empty where there are none.
    pub name: String,
    /// The acks of a Produce: 0, 1 or −1.
    pub acks: Option<i16>,
    /// The id and the epoch of a Fetch's session.
    pub session: Option<(i32, i32)>,
    /// The topics and partitions in it, in its order. A Fetch in a session has only those that changed.
    pub partitions: Vec<SeenPartition>,
    /// Whether it requests all topics without naming them.
    pub all_topics: bool,
}

impl SeenRequest {
    /// Whether it names this partition, or its whole topic.
    pub fn names(&self, topic: &str, partition: i32) -> bool {
        self.all_topics || self.partitions.iter().any(|seen| seen.is(topic, Some(partition)))
    }
}

/// A partition in a request, or a whole topic.
///
/// # Examples
///
/// ```
/// use ottla::mock::{Cluster, SeenWhat};
///
/// let cluster = Cluster::builder().topic("events", 1).build();
/// let committed = |seen: &ottla::mock::SeenPartition| matches!(seen.what, SeenWhat::Commit { offset: 7 });
/// assert!(!cluster.requests().flat_map(|seen| &seen.partitions).any(committed));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenPartition {
    /// The topic; empty where the request has an unknown id.
    pub topic: TopicName,
    /// The topic's id, where the request has one; zero otherwise.
    pub topic_id: TopicId,
    /// The partition; `None` where the request names the topic as a whole.
    pub partition: Option<i32>,
    /// The content of the request for it.
    pub what: SeenWhat,
}

impl SeenPartition {
    /// Whether this is the partition or its whole topic; with `None`, whether it is of that topic.
    pub(super) fn is(&self, topic: &str, partition: Option<i32>) -> bool {
        let same = self.partition.is_none() || partition.is_none() || self.partition == partition;
        same && *self.topic == *topic
    }
}

/// The content of a request for a partition; see [`SeenPartition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeenWhat {
    /// Produce: a batch to append.
    Append {
        /// The id of its producer; −1 without idempotence.
        producer_id: i64,
        /// The epoch of that producer; −1 without idempotence.
        producer_epoch: i16,
        /// The sequence of its first record; −1 without idempotence.
        sequence: i32,
        /// The number of records in its header.
        records: i32,
        /// Its size in bytes.
        bytes: usize,
    },
    /// OffsetCommit.
    Commit {
        /// The offset.
        offset: i64,
    },
    /// OffsetForLeaderEpoch.
    EpochEnd {
        /// The requested epoch.
        leader_epoch: i32,
    },
    /// Fetch.
    Fetch {
        /// The offset to fetch from.
        offset: i64,
        /// The leader epoch that the client knows; −1 where it sends none.
        leader_epoch: i32,
        /// The limit of bytes of this partition.
        bytes_max: i32,
    },
    /// ListOffsets.
    Offset {
        /// The timestamp; negative ones have special meanings.
        timestamp: i64,
    },
    /// Any other request.
    Other,
}

/// The log of requests.
#[derive(Debug)]
pub(super) struct Journal {
    requests: VecDeque<SeenRequest>,
    /// The number of partitions of all stored requests.
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

/// The number of partitions that the log stores over all its requests: some 20 MB.
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
    fn request_log_keeps_the_newest_and_counts_all() {
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
    fn request_log_is_bounded_by_partitions() {
        let many = vec![("t", 0); PARTITIONS_MAX / 2];
        let mut journal = Journal::new(100);
        for broker in 0..4 {
            journal.add(seen(broker, 0, &many));
        }
        assert_eq!(journal.requests().map(|seen| seen.broker).collect::<Vec<_>>(), [2, 3]);
    }
}
