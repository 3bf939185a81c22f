//! Streams: the whole consumer as one, or each partition as one that ends when the partition is given up.
//!
//! ```text
//! AckConsumer::poll ──> PartitionStreams ──by partition──> Queue ──> PartitionStream ──> a task of the user
//!        ^                 pause at the limit                               │
//!        └────────────── resume, commit of the prefix <──── AckToken <──────┘
//! ```

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use futures_core::Stream;

mod polls;
mod queue;
mod whole;

pub use self::queue::AutoAckStream;
pub use self::queue::PartitionStream;
pub(super) use self::queue::Queue;
pub use self::whole::ConsumerStream;

use self::polls::Polls;
use super::CloseOptions;
use super::acks::AckConsumer;
use super::acks::Acks;
use super::acks::UnackedRecords;
use super::handle::ConsumerHandle;
use crate::error::Error;

/// A stream of streams, one for each partition as it is assigned and has records. Made by [`AckConsumer::into_streams`].
///
/// **This stream drives everything**: it polls, takes part in rebalances, commits what is acknowledged, and distributes records. One task
/// must go on polling it while others read the partitions. If it is not polled for
/// [`poll_interval_max`](super::ConsumerBuilder::poll_interval_max), the member leaves the group, as a consumer does whose polls stop. A
/// task that does not read its partition affects only that partition: it is paused once it has
/// [`ack_open_max`](super::ConsumerBuilder::ack_open_max) open records (waiting, or not acknowledged, or of dropped tokens; checked after each poll),
/// and resumed at half of that. Java's way for the same is `pause` and `resume` around `poll`.
///
/// When a partition is given up, its stream ends, records that it has not returned are left to the next owner, and those that it
/// has are waited for: see [`AckConsumer`]. A partition that comes back gets a new stream.
///
/// An error is one of [`AckConsumer::poll`], and ends nothing, unless it is of kind [`Closed`](crate::error::Kind::Closed). Ends and resets of
/// partitions are not in it; resets are logged. It ends when a bounded read is over: the streams of its partitions end behind
/// their last record.
///
/// Cancel safety: dropping a call of `next` loses nothing. Dropping this closes the consumer without a commit.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// let consumer = client.consumer().group("audit").subscribe(["events"]).build_acked()?;
/// let mut streams = consumer.into_streams();
/// while let Some(stream) = streams.next().await {
///     match stream {
///         Ok(stream) => {
///             let mut stream = stream.auto_ack();
///             tokio::spawn(async move {
///                 while let Some(records) = stream.next().await {
///                     println!("{}: {} records", stream.partition(), records.len());
///                 }
///             });
///         }
///         Err(error) => eprintln!("{error:#}"),
///     }
/// }
/// streams.close().await
/// # }
/// ```
#[derive(Debug)]
pub struct PartitionStreams {
    polls: Polls<AckConsumer>,
    acks: Arc<Acks>,
    handle: ConsumerHandle,
    begun: VecDeque<PartitionStream>,
}

impl PartitionStreams {
    pub(super) fn new(consumer: AckConsumer, acks: Arc<Acks>) -> Self {
        let handle = consumer.handle();
        Self { polls: Polls::new(consumer), acks, handle, begun: VecDeque::new() }
    }

    /// Drives the consumer until a partition has its first records; `None` when a bounded read is over, or the consumer was closed.
    pub async fn next(&mut self) -> Option<Result<PartitionStream, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// A handle for commits, pauses, seeks and [rewinds](ConsumerHandle::rewind).
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }

    /// Ends all streams, waits for records that they have returned, commits, and closes, within 5 s.
    pub async fn close(self) -> Result<(), Error> {
        self.close_with(CloseOptions::new()).await
    }

    /// As [`Self::close`], by the options' deadline: see [`AckConsumer::close_with`].
    pub async fn close_with(self, options: CloseOptions) -> Result<(), Error> {
        self.polls.into_consumer().close_with(options).await
    }

    /// Queues records with their partitions, and pauses those that have enough.
    fn distribute(&mut self, records: UnackedRecords) {
        for work in records.into_partitions() {
            let key = work.topic_partition();
            let (queue, is_new) = self.acks.queue_of(&key);
            if is_new {
                self.begun.push_back(PartitionStream::new(key.clone(), Arc::clone(&queue)));
            }
            queue.push(work);
            if self.acks.is_full(&key) {
                // A partition that was unassigned meanwhile needs no pause.
                let _ = self.handle.pause([&key]);
            }
        }
    }
}

impl Stream for PartitionStreams {
    type Item = Result<PartitionStream, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(stream) = self.begun.pop_front() {
                return Poll::Ready(Some(Ok(stream)));
            }
            match ready!(self.polls.poll_next(cx)) {
                Some(Ok(records)) => self.distribute(records),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.acks.finish_queues();
                    return Poll::Ready(None);
                }
            }
        }
    }
}
