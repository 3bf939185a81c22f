//! Pumps the core: does what it asks for, and tells it what came of it.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::watch;

use super::core::Action;
use super::core::BatchId;
use super::core::Entry;
use super::core::Key;
use super::delivery::Ticket;
use super::shared::Shared;
use crate::client::Target;
use crate::codec::Codec;
use crate::codec::Codecs;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::net::clock;
use crate::net::connection::Reply;
use crate::record::ClosedBatch;
use crate::record::SealedBatch;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::message as m;

/// Batches from this size on are compressed on a thread of their own, several at a time.
const COMPRESS_APART_FROM: usize = 16 * 1024;

/// The tag of the request for an identity; Produce requests have the core's numbers, which start above.
const IDENTITY: u64 = 0;

type Answer = (u64, Result<Response, Error>);
type Sealed = (Key, BatchId, Result<(SealedBatch, Option<Vec<u8>>), Error>);

pub(super) struct Driver {
    shared: Arc<Shared>,
    codec: Option<Arc<dyn Codec>>,
    codecs: Codecs,
    answers: mpsc::UnboundedReceiver<Answer>,
    answer_sink: mpsc::UnboundedSender<Answer>,
    sealed: mpsc::UnboundedReceiver<Sealed>,
    sealed_sink: mpsc::UnboundedSender<Sealed>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What the core was told last.
    known: Arc<Snapshot>,
    acks: i16,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, codec: Option<Arc<dyn Codec>>, codecs: Codecs) -> Self {
        let (answer_sink, answers) = mpsc::unbounded_channel();
        let (sealed_sink, sealed) = mpsc::unbounded_channel();
        let snapshots = shared.cluster().subscribe();
        let acks = shared.lock().core.acks();
        let known = Arc::default();
        Self { shared, codec, codecs, answers, answer_sink, sealed, sealed_sink, snapshots, known, acks }
    }

    pub(super) async fn run(mut self) {
        loop {
            let stopped = self.turn();
            while self.act() {}
            if stopped {
                return;
            }
            let timeout = self.shared.lock().core.poll_timeout();
            self.wait(timeout).await;
        }
    }

    /// Tells the core what happened since the last turn. Answers whether the producer is to end.
    fn turn(&mut self) -> bool {
        let now = clock::now();
        // Compared by itself: waiting for a change marks it as seen.
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        let news = !Arc::ptr_eq(&snapshot, &self.known);
        let mut state = self.shared.lock();
        if news {
            state.core.handle_metadata(now, &snapshot);
            self.known = snapshot;
        }
        while let Ok((key, id, sealed)) = self.sealed.try_recv() {
            let sealed = sealed.map(|(sealed, buffer)| {
                buffer.into_iter().for_each(|buffer| state.core.recycle(buffer));
                sealed
            });
            state.core.handle_sealed(now, key, id, sealed);
        }
        while let Ok((tag, answer)) = self.answers.try_recv() {
            handle_answer(&mut state.core, now, tag, answer);
        }
        state.core.handle_timeout(now);
        if state.stopped {
            state.core.abort(&Error::new(Kind::Closed, "the producer was closed"));
        }
        state.stopped
    }

    /// Does what the core asks for; answers whether that may have given it more to ask.
    fn act(&mut self) -> bool {
        let mut actions = Vec::new();
        {
            let mut state = self.shared.lock();
            while let Some(action) = state.core.poll_action() {
                if let Action::Complete { bytes, .. } = &action {
                    state.release(*bytes);
                }
                actions.push(action);
            }
        }
        let mut more = false;
        let mut decided = false;
        for action in actions {
            match action {
                Action::Complete { ticket, first, count, whole, outcome, .. } => {
                    ticket.resolve(first, count, outcome, whole);
                    decided = true;
                }
                Action::InitProducerId => self.init_producer_id(),
                Action::RefreshMetadata(topic) => self.shared.cluster().refresh(std::slice::from_ref(&topic)),
                Action::Seal { key, id, closed } => more |= self.seal(key, id, closed),
                Action::Send { broker, request, entries } => self.send(broker, request, entries),
                Action::Split { key, id, sealed } => {
                    let parts = sealed.split(&self.codecs, 2).map_err(Error::from);
                    self.shared.lock().core.handle_split(clock::now(), key, id, parts);
                    more = true;
                }
            }
        }
        if decided {
            self.shared.decided.notify_waiters();
        }
        more
    }

    /// Seals a batch here or, if it is worth it, apart. Answers whether it was done here.
    fn seal(&self, key: Key, id: BatchId, closed: ClosedBatch) -> bool {
        let Some(codec) = self.codec.clone() else {
            let sealed = closed.seal(None).map_err(seal_failed).map(|(sealed, _)| sealed);
            self.shared.lock().core.handle_sealed(clock::now(), key, id, sealed);
            return true;
        };
        let sink = self.sealed_sink.clone();
        let apart = closed.records.len() >= COMPRESS_APART_FROM;
        let work = move || {
            let sealed = closed.seal(Some(&*codec)).map_err(seal_failed);
            // The driver may have ended, and then nobody needs the batch.
            let _ = sink.send((key, id, sealed));
        };
        if apart {
            drop(tokio::task::spawn_blocking(work));
        } else {
            work();
        }
        false
    }

    fn init_producer_id(&self) {
        let request = m::InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: -1, current: None };
        let cluster = self.shared.cluster();
        let deadline = cluster.patience(clock::now() + cluster.settings().request_timeout);
        let reply = Reply::Tagged { tag: IDENTITY, sink: self.answer_sink.clone() };
        cluster.submit(Target::Any, Request::InitProducerId(request), deadline, reply);
    }

    fn send(&self, broker: i32, tag: u64, entries: Vec<Entry>) {
        let timeout = self.shared.cluster().settings().request_timeout;
        let request = self.request(timeout, entries);
        let reply = Reply::Tagged { tag, sink: self.answer_sink.clone() };
        self.shared.cluster().submit(Target::Broker(broker), request, clock::now() + timeout, reply);
    }

    fn request(&self, timeout: Duration, entries: Vec<Entry>) -> Request {
        let mut topics: Vec<m::ProduceTopic> = Vec::new();
        for Entry { topic, id, partition, batch, stamp } in entries {
            let head = Bytes::copy_from_slice(&batch.header(&stamp));
            let records = Some(m::Payload { head, body: batch.into_body() });
            let entry = m::ProducePartition { index: partition, records };
            match topics.iter_mut().find(|known| known.name == topic) {
                Some(known) => known.partitions.push(entry),
                None => topics.push(m::ProduceTopic { name: topic, id, partitions: vec![entry] }),
            }
        }
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        Request::Produce(m::ProduceRequest { transactional_id: None, acks: self.acks, timeout_ms, topics })
    }

    /// Waits until something happens.
    async fn wait(&mut self, timeout: Option<Instant>) {
        let mut work = pin!(self.shared.work.notified());
        let mut news = pin!(self.snapshots.changed());
        let mut timer = pin!(timeout.map(|at| tokio::time::sleep_until(at.into())));
        let (answers, sealed) = (&mut self.answers, &mut self.sealed);
        let (mut answer, mut batch) = (None, None);
        poll_fn(|cx| {
            let mut ready = work.as_mut().poll(cx).is_ready() | news.as_mut().poll(cx).is_ready();
            if let Poll::Ready(received) = answers.poll_recv(cx) {
                answer = received;
                return Poll::Ready(());
            }
            if let Poll::Ready(received) = sealed.poll_recv(cx) {
                batch = received;
                return Poll::Ready(());
            }
            if let Some(timer) = timer.as_mut().as_pin_mut() {
                ready |= timer.poll(cx).is_ready();
            }
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        // What was received is handled with the rest, in the next turn.
        let now = clock::now();
        let mut state = self.shared.lock();
        if let Some((tag, answer)) = answer {
            handle_answer(&mut state.core, now, tag, answer);
        }
        if let Some((key, id, sealed)) = batch {
            let sealed = sealed.map(|(sealed, buffer)| {
                buffer.into_iter().for_each(|buffer| state.core.recycle(buffer));
                sealed
            });
            state.core.handle_sealed(now, key, id, sealed);
        }
    }
}

fn seal_failed(error: crate::codec::CodecError) -> Error {
    Error::new(Kind::Config, "could not compress a batch").caused_by(error)
}

fn handle_answer(
    core: &mut super::core::ProducerCore<Arc<Ticket>>,
    now: Instant,
    tag: u64,
    answer: Result<Response, Error>,
) {
    let mixed_up = || Error::protocol("the answer is to another question");
    if tag == IDENTITY {
        let identity = answer.and_then(|response| match response {
            Response::InitProducerId(m::InitProducerIdResponse { error: Some(code), .. }) => {
                Err(Error::broker(code, "could not get a producer identity"))
            }
            Response::InitProducerId(response) => response.identity.ok_or_else(mixed_up),
            _ => Err(mixed_up()),
        });
        return core.handle_identity(now, identity);
    }
    let produced = answer.and_then(|response| match response {
        Response::Produce(response) => Ok(response),
        _ => Err(mixed_up()),
    });
    core.handle_response(now, tag, &produced);
}
