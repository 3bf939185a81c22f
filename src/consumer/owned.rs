//! Records of one partition that outlive the poll that returned them, without a copy.

use super::core::OffsetToCommit;
use crate::reading::ConsumedRecord;
use crate::reading::Iter;
use crate::reading::OwnedRecord;
use crate::reading::PartitionRecords;
use crate::reading::Position;
use crate::reading::ReadBatches;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// Records of one partition, for another task: they can be sent and kept, and nothing was copied. Dropping them returns their
/// buffers to the consumer.
///
/// ```no_run
/// # async fn run(mut consumer: ottla::consumer::Consumer) -> Result<(), ottla::Error> {
/// if let Some(records) = consumer.poll().await? {
///     for partition in records.into_partitions() {
///         tokio::spawn(async move {
///             for record in &partition {
///                 println!("{}[{}]@{}", record.topic, record.partition, record.offset);
///             }
///         });
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct OwnedRecords {
    /// At least one batch, all of one partition.
    batches: ReadBatches,
}

impl OwnedRecords {
    pub(super) fn split(batches: ReadBatches) -> Vec<Self> {
        batches.into_partitions().into_iter().map(|batches| Self { batches }).collect()
    }

    /// The same records, borrowed.
    pub fn as_partition(&self) -> PartitionRecords<'_> {
        self.batches.by_partition().next().expect("there is at least one batch")
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        self.as_partition().topic()
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.as_partition().partition()
    }

    /// The topic and the partition.
    pub fn topic_partition(&self) -> TopicPartition {
        self.as_partition().topic_partition()
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.batches.record_count()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position after all of these records: the one to commit once they are processed.
    pub fn next_position(&self) -> Position {
        self.as_partition().next_position()
    }

    /// The records, in order.
    pub fn iter(&self) -> Iter<'_> {
        self.batches.iter()
    }

    /// Copies of the records, in order.
    pub fn to_records(&self) -> Vec<OwnedRecord> {
        self.iter().map(|record| record.to_owned()).collect()
    }
}

impl<'a> IntoIterator for &'a OwnedRecords {
    type Item = ConsumedRecord<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl From<&OwnedRecords> for OffsetToCommit {
    fn from(records: &OwnedRecords) -> Self {
        Self::from(records.as_partition())
    }
}
