//! Offsets of partitions: the first, the last, and that of a timestamp. Requests go to the leaders.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Admin;
use super::routing::Each;
use crate::error::Error;
use crate::metadata::ByTopic;
use crate::types::LeaderEpoch;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;
use crate::wire::message as m;

/// An offset of a partition to look up.
///
/// ```no_run
/// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
/// use ottla::admin::OffsetSpec;
/// use ottla::types::TopicPartition;
///
/// let ends = [0, 1].map(|partition| (TopicPartition::new("events", partition), OffsetSpec::Latest));
/// for (partition, listed) in admin.list_offsets(ends).await {
///     println!("{partition}: {:?}", listed?.offset);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The offset of the oldest record.
    Earliest,
    /// The offset after the newest record.
    Latest,
    /// The offset of the first record with this timestamp or a later one, in milliseconds since 1970.
    Timestamp(i64),
    /// The offset of the first record with the largest timestamp. Needs Kafka 3.0 (KIP-734).
    MaxTimestamp,
    /// The first offset of the leader's own log, which differs from `Earliest` with remote storage. Needs Kafka 3.4 (KIP-405).
    EarliestLocal,
    /// The last offset in remote storage; none if nothing is there. Needs Kafka 3.9 (KIP-1005).
    LatestTiered,
}

impl OffsetSpec {
    fn to_wire(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
            Self::Timestamp(timestamp) => timestamp.max(0),
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
        }
    }

    /// Specs of one class need the same version, so that a leader that is too old for one fails no other.
    fn class(self) -> i64 {
        self.to_wire().min(-2)
    }
}

/// An offset that a leader returned for an [`OffsetSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedOffset {
    /// The offset; `None` if there is no such record.
    pub offset: Option<i64>,
    /// The record's timestamp, for [`OffsetSpec::Timestamp`] and [`OffsetSpec::MaxTimestamp`].
    pub timestamp: Option<i64>,
    /// The leader epoch of the record, if it is known.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Admin {
    /// Looks up an offset of each partition, including records of open transactions. Each partition has an outcome of its own, in
    /// the order of the call: [`Kind::UnknownTopic`](crate::error::Kind::UnknownTopic) if it does not exist,
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) if its leader is too old for an [`OffsetSpec`].
    pub async fn list_offsets(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
    ) -> Vec<(TopicPartition, Result<ListedOffset, Error>)> {
        self.list_offsets_by(partitions.into_iter().collect(), self.deadline()).await
    }

    /// As [`Self::list_offsets`], until `deadline`.
    pub(super) async fn list_offsets_by(
        &self,
        requested: Vec<(TopicPartition, OffsetSpec)>,
        deadline: Instant,
    ) -> Each<TopicPartition, ListedOffset> {
        let mut outcomes: Vec<Option<Result<ListedOffset, Error>>> = vec![None; requested.len()];
        let classes: BTreeSet<i64> = inserted(requested.iter().map(|(_, spec)| spec.class()));
        for class in classes {
            let of_class = |at: &usize| requested[*at].1.class() == class;
            let places: Vec<usize> = (0..requested.len()).filter(of_class).collect();
            let items = places.iter().map(|at| requested[*at].clone()).collect();
            let listed = self.at_leaders(items, deadline, list_request, listed).await;
            for (at, (_, outcome)) in places.into_iter().zip(listed) {
                outcomes[at] = Some(outcome);
            }
        }
        let outcome = |outcome: Option<_>| outcome.expect("each item has a class");
        requested.into_iter().zip(outcomes).map(|((key, _), listed)| (key, outcome(listed))).collect()
    }
}

fn list_request(topics: &ByTopic<(i32, OffsetSpec)>, timeout_ms: i32) -> m::ListOffsetsRequest {
    let partition = |(index, spec): &(i32, OffsetSpec)| m::ListOffsetsPartition {
        index: *index,
        current_leader_epoch: None,
        timestamp: spec.to_wire(),
    };
    let topic = |(name, partitions): &(TopicName, Vec<_>)| m::ListOffsetsTopic {
        name: name.clone(),
        partitions: partitions.iter().map(partition).collect(),
    };
    let topics = topics.iter().map(topic).collect();
    m::ListOffsetsRequest { isolation: 0, timeout_ms, topics }
}

fn listed(response: m::ListOffsetsResponse) -> Each<TopicPartition, ListedOffset> {
    let outcome = |topic: &TopicName, partition: m::ListedPartition| {
        let outcome = match partition.error {
            Some(code) => Err(Error::broker(code, "could not list offsets")),
            None => Ok(ListedOffset {
                offset: Some(partition.offset).filter(|offset| *offset >= 0),
                timestamp: Some(partition.timestamp).filter(|timestamp| *timestamp >= 0),
                leader_epoch: partition.leader_epoch,
            }),
        };
        (TopicPartition { topic: topic.clone(), partition: partition.index }, outcome)
    };
    let of_topic = |topic: m::ListedTopic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |partition| outcome(&name, partition))
    };
    response.topics.into_iter().flat_map(of_topic).collect()
}
