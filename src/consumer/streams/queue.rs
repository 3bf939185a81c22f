//! The records of one partition on their way from the task that polls to the task that reads them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use futures_core::Stream;

use crate::consumer::acks::AckToken;
use crate::consumer::acks::Unacked;
use crate::consumer::owned::OwnedRecords;
use crate::types::TopicPartition;

type Work = Unacked<OwnedRecords>;

/// A queue with one writer and one reader. Its size is bounded by the open records of the partition.
#[derive(Debug, Default)]
pub(in crate::consumer) struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Work>,
    /// Nothing more will come.
    ended: bool,
    /// The reader was dropped.
    abandoned: bool,
    reader: Option<Waker>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before the lock is released, so a panic elsewhere leaves it consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody reads it.
    pub(in crate::consumer) fn is_read(&self) -> bool {
        let state = self.lock();
        !state.ended && !state.abandoned
    }

    pub(super) fn push(&self, work: Work) {
        let mut state = self.lock();
        state.waiting.push_back(work);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Ends it behind the records that wait.
    pub(in crate::consumer) fn finish(&self) {
        let mut state = self.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Takes out the records that wait: their partition is given up, or its position was moved. No lock may be held when they are
    /// dropped.
    pub(in crate::consumer) fn take_waiting(&self) -> Vec<AckToken> {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().map(|work| work.into_parts().1).collect()
    }

    /// Ends it at once. Returns the tokens of the records that were waiting.
    pub(in crate::consumer) fn cut(&self) -> Vec<AckToken> {
        self.finish();
        self.take_waiting()
    }
}

/// The records of one partition, for a task of its own. Yielded by [`PartitionStreams`](super::PartitionStreams).
///
/// Its items are what one poll returned of the partition, with a [token](AckToken); [`auto_ack`](Self::auto_ack) acknowledges by itself.
/// It ends when the partition is given up or lost: records that were not taken out by then are not returned, and their next owner
/// reads them. It also ends with the consumer, and when a bounded read is over.
///
/// Dropping it drops the tokens of the records that wait in it. [`PartitionStreams`](super::PartitionStreams) yields an error then,
/// and another stream with the records that follow.
///
/// Cancel safety: an item is taken out only when it is returned.
#[derive(Debug)]
pub struct PartitionStream {
    partition: TopicPartition,
    queue: Arc<Queue>,
}

impl PartitionStream {
    pub(super) fn new(partition: TopicPartition, queue: Arc<Queue>) -> Self {
        Self { partition, queue }
    }

    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Waits for the next records; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Unacked<OwnedRecords>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The same stream, whose items are acknowledged when the next one is asked for.
    pub fn auto_ack(self) -> AutoAckStream {
        AutoAckStream { stream: self, returned: None }
    }
}

impl Stream for PartitionStream {
    type Item = Unacked<OwnedRecords>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.queue.lock();
        if let Some(work) = state.waiting.pop_front() {
            return Poll::Ready(Some(work));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for PartitionStream {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.abandoned = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }
}

/// The records of one partition, acknowledged as the reader goes on. Made by [`PartitionStream::auto_ack`].
///
/// Records count as processed once the next ones are asked for, as with [`Consumer::poll`](crate::consumer::Consumer::poll). Dropping
/// the stream leaves the last ones open: see [`AckToken`].
///
/// Cancel safety: as [`PartitionStream`].
#[derive(Debug)]
pub struct AutoAckStream {
    stream: PartitionStream,
    /// The token of the records that were returned last.
    returned: Option<AckToken>,
}

impl AutoAckStream {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        self.stream.partition()
    }

    /// Acknowledges the records before, and waits for the next ones; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<OwnedRecords> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for AutoAckStream {
    type Item = OwnedRecords;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<OwnedRecords>> {
        if let Some(token) = self.returned.take() {
            // A refusal means that the partition has moved: its next owner reads the records again.
            let _ = token.ack();
        }
        let next = Pin::new(&mut self.stream).poll_next(cx);
        next.map(|work| {
            let (records, token) = work?.into_parts();
            self.returned = Some(token);
            Some(records)
        })
    }
}
