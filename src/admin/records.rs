//! Deletes the oldest records of partitions. Requests go to the leaders.

use super::Admin;
use super::routing::Each;
use crate::error::Error;
use crate::metadata::ByTopic;
use crate::types::TopicPartition;
use crate::wire::message as m;

/// Which records [`Admin::delete_records`] deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteBefore {
    /// All records before the high watermark: every record that a consumer can read now.
    End,
    /// The records before this offset. It may be the end of the log, and not more.
    Offset(i64),
}

impl Admin {
    /// Deletes the records of each partition before an offset, for good. Each partition has an outcome of its own, in the order of
    /// the call: its first offset afterwards.
    ///
    /// An offset that the log does not have is refused with [`OFFSET_OUT_OF_RANGE`](crate::error::Code::OffsetOutOfRange), a topic
    /// that is only compacted with [`POLICY_VIOLATION`](crate::error::Code::PolicyViolation). A request whose response was lost is
    /// repeated: a second deletion changes nothing. With [`DeleteBefore::End`], it may delete records that came meanwhile.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::DeleteBefore;
    /// use ottla::types::TopicPartition;
    ///
    /// let partition = TopicPartition::new("events", 0);
    /// for (partition, start) in admin.delete_records([(partition, DeleteBefore::Offset(1_000))]).await {
    ///     println!("{partition} begins at {}", start?);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn delete_records(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, DeleteBefore)>,
    ) -> Vec<(TopicPartition, Result<i64, Error>)> {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let is_valid = |before: &DeleteBefore| !matches!(before, DeleteBefore::Offset(..0));
        let valid = partitions.iter().filter(|(_, before)| is_valid(before)).cloned().collect();
        let mut deleted = self.at_leaders(valid, self.deadline(), request, outcomes).await.into_iter();
        let outcome = |(key, before): (TopicPartition, DeleteBefore)| {
            if is_valid(&before) {
                return deleted.next().expect("each valid partition has an outcome");
            }
            let error = Error::config("an offset below zero: give the first offset that is to stay");
            let error = error.in_partition(&key.topic, key.partition);
            (key, Err(error))
        };
        partitions.into_iter().map(outcome).collect()
    }
}

fn request(topics: &ByTopic<(i32, DeleteBefore)>, timeout_ms: i32) -> m::DeleteRecordsRequest {
    let partition = |(index, before): &(i32, DeleteBefore)| match before {
        DeleteBefore::End => (*index, -1),
        DeleteBefore::Offset(offset) => (*index, *offset),
    };
    let topics = topics.iter().map(|(name, partitions)| m::DeleteRecordsTopic {
        name: name.clone(),
        partitions: partitions.iter().map(partition).collect(),
    });
    m::DeleteRecordsRequest { topics: topics.collect(), timeout_ms }
}

fn outcomes(response: m::DeleteRecordsResponse) -> Each<TopicPartition, i64> {
    let mut outcomes = Vec::new();
    for topic in response.topics {
        for (partition, start, error) in topic.partitions {
            let outcome = error.map_or(Ok(start), |code| Err(Error::broker(code, "could not delete records")));
            outcomes.push((TopicPartition { topic: topic.name.clone(), partition }, outcome));
        }
    }
    outcomes
}
