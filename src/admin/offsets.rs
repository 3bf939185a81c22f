//! Offsets of partitions: the first, the last, and that of a timestamp. Requests go to the leaders.

use std::time::Instant;

use super::Admin;
use super::routing::Each;
use crate::error::Error;
use crate::metadata::ByTopic;
use crate::types::LeaderEpoch;
use crate::types::TopicName;
use crate::types::TopicPartition;
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
}

/// An offset that a leader returned for an [`OffsetSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedOffset {
    /// The offset; `None` if no record has the timestamp or a later one.
    pub offset: Option<i64>,
    /// The record's timestamp, for [`OffsetSpec::Timestamp`].
    pub timestamp: Option<i64>,
    /// The leader epoch of the record, if it is known.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Admin {
    /// Looks up an offset of each partition, including records of open transactions. Each partition has an outcome of its own, in
    /// the order of the call.
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
        self.at_leaders(requested, deadline, list_request, listed).await
    }
}

fn list_request(topics: &ByTopic<(i32, OffsetSpec)>, timeout_ms: i32) -> m::ListOffsetsRequest {
    let partition = |(index, spec): &(i32, OffsetSpec)| {
        let timestamp = match spec {
            OffsetSpec::Earliest => -2,
            OffsetSpec::Latest => -1,
            OffsetSpec::Timestamp(timestamp) => (*timestamp).max(0),
        };
        m::ListOffsetsPartition { index: *index, current_leader_epoch: None, timestamp }
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
