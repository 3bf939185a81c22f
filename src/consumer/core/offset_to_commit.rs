//! An offset to commit: of a partition, with its leader epoch and a text of the caller's.

use crate::reading::ConsumedRecord;
use crate::reading::OwnedRecord;
use crate::reading::PartitionRecords;
use crate::reading::Position;
use crate::types::TopicPartition;

/// An offset to commit (Java's `OffsetAndMetadata`). Whatever converts into it can be committed: a record, the records of a
/// partition, or a partition with a position.
///
/// ```no_run
/// # async fn run(consumer: &mut ottla::consumer::Consumer) -> Result<(), ottla::Error> {
/// use ottla::consumer::OffsetToCommit;
///
/// if let Some(records) = consumer.poll().await? {
///     for record in &records {
///         println!("{:?}", record.value);
///         // Up to this record.
///         consumer.commit_positions([record]).await?;
///     }
///     for partition in records.by_partition() {
///         let offset = OffsetToCommit::from(partition).with_metadata("node-7");
///         consumer.commit_positions([offset]).await?;
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset of the next record to read, and the leader epoch of the record before it.
    pub position: Position,
    /// A text that is stored with the offset; empty by default. A broker takes up to 4,096 bytes
    /// (`offset.metadata.max.bytes`), and a request up to 32,767.
    pub metadata: String,
}

impl OffsetToCommit {
    /// The longest text that a request carries.
    pub(crate) const METADATA_BYTES_MAX: usize = 0x7fff;

    /// The same offset with a text.
    pub fn with_metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }
}

impl From<(TopicPartition, Position)> for OffsetToCommit {
    fn from((partition, position): (TopicPartition, Position)) -> Self {
        Self { partition, position, metadata: String::new() }
    }
}

impl From<ConsumedRecord<'_>> for OffsetToCommit {
    fn from(record: ConsumedRecord<'_>) -> Self {
        Self::from((record.topic_partition(), record.next_position()))
    }
}

impl From<&OwnedRecord> for OffsetToCommit {
    fn from(record: &OwnedRecord) -> Self {
        Self::from((record.topic_partition(), record.next_position()))
    }
}

impl From<PartitionRecords<'_>> for OffsetToCommit {
    fn from(records: PartitionRecords<'_>) -> Self {
        Self::from((records.topic_partition(), records.next_position()))
    }
}
