//! The start of reading, and the reset of a position that is no longer in the log.

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
    /// With the oldest record there is.
    Earliest,
    /// This many records before the end, or with the oldest if there are fewer.
    FromEnd(i64),
    /// With the first record written from now on.
    Latest,
    /// At an offset. One that is out of range is treated as the reset policy says.
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

/// The policy for a position that is no longer in the log, or never was.
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
    /// Go on with the oldest record there is. Nothing that still exists is skipped.
    #[default]
    Earliest,
    /// Skip to the end.
    Latest,
    /// Report an error of kind `Truncated` and wait for a seek.
    None,
}

/// A position that was moved by the reset policy.
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
    /// The offset at which reading continues.
    pub to: i64,
    /// Why.
    pub reason: &'static str,
}
