//! A consumer as one stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use futures_core::Stream;

use super::polls::Polls;
use crate::consumer::Consumer;
use crate::consumer::ConsumerHandle;
use crate::consumer::core::Start;
use crate::consumer::owned::OwnedRecords;
use crate::error::Error;

/// A consumer as a stream of the records of its partitions. Made by [`Consumer::into_stream`].
#[derive(Debug)]
pub struct ConsumerStream {
    polls: Polls<Consumer>,
    handle: ConsumerHandle,
    waiting: VecDeque<OwnedRecords>,
}

impl Consumer {
    /// Makes a stream ([`futures_core::Stream`]) of this consumer. Each item has records of one partition.
    ///
    /// It polls when everything that the last poll returned was taken out. So it takes part in the group as polls do, and what was taken
    /// out counts as processed then ([`auto_commit`](super::super::ConsumerBuilder::auto_commit)). It ends where polls return `None`; an error
    /// ends nothing. Ends and resets are not in it; they are logged.
    ///
    /// Cancel safety: dropping a call of `next` loses nothing.
    ///
    /// ```no_run
    /// # async fn run(consumer: ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// let mut stream = consumer.into_stream();
    /// while let Some(records) = stream.next().await {
    ///     for record in &records? {
    ///         println!("{}[{}]@{}", record.topic, record.partition, record.offset);
    ///     }
    /// }
    /// stream.into_consumer().close().await
    /// # }
    /// ```
    pub fn into_stream(self) -> ConsumerStream {
        ConsumerStream { handle: self.handle(), polls: Polls::new(self), waiting: VecDeque::new() }
    }
}

impl ConsumerStream {
    /// Waits for the next records; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<OwnedRecords, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// A handle for commits, pauses and seeks. Its [`positions`](ConsumerHandle::positions) are after all records of the last poll, also
    /// those that were not taken out: commit the records that were (`commit_positions([&records])`).
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }

    /// The consumer. It reads and returns again the records that were not taken out.
    pub fn into_consumer(self) -> Consumer {
        // The first of each partition is sought last.
        for records in self.waiting.into_iter().rev() {
            let from = records.as_partition().first_offset();
            // A partition that is not assigned any more has no position.
            let _ = self.handle.seek(&records.topic_partition(), Start::Offset(from));
        }
        self.polls.into_consumer()
    }
}

impl Stream for ConsumerStream {
    type Item = Result<OwnedRecords, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(records) = self.waiting.pop_front() {
                return Poll::Ready(Some(Ok(records)));
            }
            match ready!(self.polls.poll_next(cx)) {
                Some(Ok(records)) => self.waiting.extend(records.into_partitions()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}
