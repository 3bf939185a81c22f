//! The start of reading, and the reset of a position that is no longer in the log.

use std::time::Duration;

use crate::types::TopicName;

/// Where reading starts.
///
/// ```no_run
/// # async fn read(client: &ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::consumer::Start;
///
/// // The last hundred records of each partition, then all that follow.
/// let consumer = client.consumer().assign(["events"]).start(Start::FromEnd(100)).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first record that is younger than this when reading begins; at the end if there is none.
    Ago(Duration),
    /// With the oldest record there is.
    Earliest,
    /// This many records before the end, or with the oldest if there are fewer.
    FromEnd(i64),
    /// With the first record written from now on.
    Latest,
    /// At an offset. The end is in range. For an offset past it, or before the first record, the reset policy decides: by default
    /// reading starts with the oldest record. See [`Consumer::seek`](crate::consumer::Consumer::seek).
    Offset(i64),
    /// At the offset that the group committed, or elsewhere where it has committed none.
    Stored {
        /// Where to start where none is committed.
        otherwise: Box<Self>,
    },
    /// At the offset that the group committed. Where it has committed none, that is an error of kind
    /// [`NoOffset`](crate::error::Kind::NoOffset), and the partition waits for a seek (`auto.offset.reset=none`).
    StoredOnly,
    /// With the first record of this time (milliseconds since 1970) or later; at the end if there is none.
    Timestamp(i64),
}

/// The policy for a position that the log does not have: retention has deleted its record, it is past the end, the log was
/// truncated below it, or the topic was deleted and created again.
///
/// A reset moves the position of one partition, once:
/// - Records that were fetched from before are returned first.
/// - Then [`Records::resets`](crate::consumer::Records::resets) of one poll reports the move, and a warning is logged
///   (`position reset`).
/// - From then on [`Consumer::position`](crate::consumer::Consumer::position) is the new offset, and
///   [`Consumer::commit`](crate::consumer::Consumer::commit) commits it, although it may be lower than the one committed before.
/// - A bounded read ends at the end that it had, or at the log's current end, if that is lower.
///
/// If the log was truncated and the leader says where, reading continues there with all policies that move: no record that still
/// exists is skipped or repeated.
///
/// ```no_run
/// # async fn read(client: &ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::consumer::ResetPolicy;
///
/// // Report it instead of skipping records.
/// let consumer = client.consumer().assign(["events"]).reset(ResetPolicy::None).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetPolicy {
    /// Go on with the first record that is younger than this, or at the end if there is none (`by_duration:PT1H`, KIP-1106).
    ByDuration(Duration),
    /// Go on with the oldest record there is. Nothing that still exists is skipped.
    #[default]
    Earliest,
    /// Skip to the end: records that were written meanwhile are not read.
    Latest,
    /// Move nothing: [`Consumer::poll`](crate::consumer::Consumer::poll) returns an error of kind
    /// [`Truncated`](crate::error::Kind::Truncated) once, and the partition waits for a
    /// [seek](crate::consumer::Consumer::seek). Other partitions are read meanwhile.
    None,
}

/// A position that was moved by the [reset policy](ResetPolicy).
///
/// ```no_run
/// # async fn read(consumer: &mut ottla::consumer::Consumer) -> Result<(), ottla::Error> {
/// while let Some(records) = consumer.poll().await? {
///     for reset in records.resets() {
///         eprintln!("{}[{}]: {} to {}: {}", reset.topic, reset.partition, reset.from, reset.to, reset.reason);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The position that was given up.
    pub from: i64,
    /// The offset at which reading continues. Below `from` records may be returned again; above it records were skipped.
    pub to: i64,
    /// The reason, in a few words: the position is out of range, the log was truncated, or the topic was recreated.
    pub reason: &'static str,
}
