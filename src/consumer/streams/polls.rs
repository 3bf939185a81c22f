//! Polls as a stream: a consumer that is polled by a future of its own, which is kept until it is ready.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::sync::Mutex;

use crate::consumer::Consumer;
use crate::consumer::Records;
use crate::consumer::acks::AckConsumer;
use crate::consumer::acks::UnackedRecords;
use crate::error::Error;
use crate::error::Kind;

type Polled<R> = Result<Option<R>, Error>;
type Polling<R> = Pin<Box<dyn Future<Output = Polled<R>> + Send>>;

/// A consumer that can be polled.
pub(super) trait Pollable: Send + 'static {
    type Records: Send;

    fn poll(&mut self) -> impl Future<Output = Polled<Self::Records>> + Send;
}

impl Pollable for Consumer {
    type Records = Records;

    fn poll(&mut self) -> impl Future<Output = Polled<Records>> + Send {
        Self::poll(self)
    }
}

impl Pollable for AckConsumer {
    type Records = UnackedRecords;

    fn poll(&mut self) -> impl Future<Output = Polled<UnackedRecords>> + Send {
        Self::poll(self)
    }
}

/// A consumer, and the poll that is on. The consumer is given back whole, because a poll that is dropped loses nothing.
pub(super) struct Polls<C: Pollable> {
    consumer: Arc<Mutex<C>>,
    polling: Option<Polling<C::Records>>,
    /// A bounded read is over, or the consumer was closed.
    ended: bool,
}

impl<C: Pollable> Polls<C> {
    pub(super) fn new(consumer: C) -> Self {
        Self { consumer: Arc::new(Mutex::new(consumer)), polling: None, ended: false }
    }

    /// Drives the poll that is on, or begins one. `None` at the end, which an error of kind [`Closed`](Kind::Closed) also announces.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<C::Records, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let consumer = &self.consumer;
        let polling = self.polling.get_or_insert_with(|| {
            let consumer = Arc::clone(consumer);
            Box::pin(async move { consumer.lock_owned().await.poll().await })
        });
        let polled = ready!(polling.as_mut().poll(cx));
        self.polling = None;
        self.ended = match &polled {
            Ok(records) => records.is_none(),
            Err(error) => error.kind() == Kind::Closed,
        };
        Poll::Ready(polled.transpose())
    }

    /// The consumer. A poll that is on is dropped.
    pub(super) fn into_consumer(self) -> C {
        drop(self.polling);
        let consumer = Arc::try_unwrap(self.consumer).ok();
        consumer.expect("only the poll that was dropped had another reference").into_inner()
    }
}

impl<C: Pollable> fmt::Debug for Polls<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polls").field("is_polling", &self.polling.is_some()).finish_non_exhaustive()
    }
}
