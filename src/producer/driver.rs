//! Drives the core: carries out its actions and feeds their results back.
//!
//! One turn takes the lock once: it hands the core everything that happened and collects its actions. Carrying them out
//! (resolving deliveries, stamping and hashing, compressing) needs no lock.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use bytes::BytesMut;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::core::Action;
use super::core::BatchId;
use super::core::Entry;
use super::core::Key;
use super::core::Outcome;
use super::delivery::Ticket;
use super::shared::Shared;
use crate::client::Hint;
use crate::codec::Codec;
use crate::codec::CodecError;
use crate::codec::Codecs;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::net::clock;
use crate::net::connection::Reply;
use crate::record::ClosedBatch;
use crate::record::HEADER_LEN;
use crate::record::RecordError;
use crate::record::SealedBatch;
use crate::types::ProducerIdentity;
use crate::types::TopicName;
use crate::wire::Call;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::message as m;

/// Batches from this size on are compressed on the blocking pool, several at a time.
const COMPRESS_APART_FROM: usize = 16 * 1024;

/// The tag of the request for an identity. Produce requests are tagged with the core's numbers, which start above it.
const IDENTITY: u64 = 0;

/// How long before a batch expires its request is withdrawn if it has no connection, so that the core knows it as *not written*.
const NOTICE: Duration = Duration::from_millis(20);

/// The least time between two renewals of the interest in topics that are written to.
const RENEW: Duration = Duration::from_secs(60);

type Answer = (u64, Result<Response, Error>);
/// A compressed batch, and the buffer that it was compressed from.
type Compressed = Result<(SealedBatch, Option<Vec<u8>>), CodecError>;
type Sealed = (Key, BatchId, Compressed);
type Parts = (Key, BatchId, Result<Vec<ClosedBatch>, RecordError>);

pub(super) struct Driver {
    shared: Arc<Shared>,
    codec: Option<Arc<dyn Codec>>,
    codecs: Codecs,
    answers: mpsc::UnboundedReceiver<Answer>,
    answer_sink: mpsc::UnboundedSender<Answer>,
    sealed: mpsc::UnboundedReceiver<Sealed>,
    sealed_sink: mpsc::UnboundedSender<Sealed>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The metadata that the core was given last.
    known: Arc<Snapshot>,
    acks: i16,
    /// The topics written to since the last renewal of that interest, and the time of that.
    used: BTreeSet<TopicName>,
    renewed: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    news: News,
    /// Batches that are being compressed on other threads, and batches that wait for a thread.
    compressing: usize,
    uncompressed: VecDeque<(Key, BatchId, ClosedBatch)>,
    compressing_max: usize,
    actions: Vec<Action<Arc<Ticket>>>,
}

/// Everything that happened since the last turn.
#[derive(Default)]
struct News {
    answers: Vec<Answer>,
    sealed: Vec<Sealed>,
    parts: Vec<Parts>,
}

/// The result of a turn.
struct Turn {
    stopped: bool,
    timeout: Option<Instant>,
    oldest: BatchId,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, codec: Option<Arc<dyn Codec>>, codecs: Codecs) -> Self {
        let (answer_sink, answers) = mpsc::unbounded_channel();
        let (sealed_sink, sealed) = mpsc::unbounded_channel();
        let snapshots = shared.cluster().subscribe();
        let acks = shared.lock().core.acks();
        Self {
            shared,
            codec,
            codecs,
            answers,
            answer_sink,
            sealed,
            sealed_sink,
            snapshots,
            known: Arc::default(),
            acks,
            used: BTreeSet::new(),
            renewed: clock::now(),
            timer: None,
            news: News::default(),
            compressing: 0,
            uncompressed: VecDeque::new(),
            compressing_max: std::thread::available_parallelism().map_or(1, usize::from),
            actions: Vec::new(),
        }
    }

    /// Runs until the producer is stopped. Dropping the driver resolves the deliveries that are left.
    pub(super) async fn run(mut self) {
        loop {
            let Turn { stopped, timeout, oldest } = self.turn();
            if stopped {
                return;
            }
            self.act();
            self.shared.settle(oldest);
            // Batches that were sealed or split here go to the core in another turn, before anything is waited for.
            if self.news.sealed.is_empty() && self.news.parts.is_empty() {
                self.wait(timeout).await;
            }
        }
    }

    /// Hands the core everything that happened since the last turn, and takes its actions.
    fn turn(&mut self) -> Turn {
        let now = clock::now();
        // The driver compares snapshots itself: waiting for a change marks it as seen.
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        let mut news = std::mem::take(&mut self.news);
        while let Ok(answer) = self.answers.try_recv() {
            news.answers.push(answer);
        }
        while let Ok(sealed) = self.sealed.try_recv() {
            self.compressing -= 1;
            news.sealed.push(sealed);
        }
        let heard: Vec<_> = news.answers.drain(..).map(|(tag, answer)| (tag, understand(tag, answer))).collect();
        let is_identified = heard.iter().any(|(_, heard)| matches!(heard, Heard::Identity(_)));
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        if !Arc::ptr_eq(&snapshot, &self.known) {
            state.core.handle_metadata(now, &snapshot);
            self.known = snapshot;
        }
        for (key, id, sealed) in news.sealed.drain(..) {
            let sealed = sealed.map(|(sealed, buffer)| {
                if let Some(buffer) = buffer {
                    state.core.recycle(buffer);
                }
                sealed
            });
            state.core.handle_sealed(now, key, id, sealed.map_err(seal_failed));
        }
        for (key, id, parts) in news.parts.drain(..) {
            state.core.handle_split(now, key, id, parts.map_err(Error::from));
        }
        for (tag, heard) in &heard {
            match heard {
                Heard::Identity(identity) => state.core.handle_identity(now, identity.clone()),
                Heard::Produced(response) => state.core.handle_response(now, *tag, response),
            }
        }
        state.core.handle_timeout(now);
        while let Some(action) = state.core.poll_action() {
            if let Action::Complete { bytes, .. } | Action::Release { bytes } = &action {
                state.release(*bytes);
            }
            self.actions.push(action);
        }
        let timeout = state.core.poll_timeout();
        let timeout = state.times.watch(now, timeout);
        let turn = Turn { stopped: state.stopped, timeout, oldest: state.core.oldest() };
        let granted = state.take_granted();
        drop(guard);
        granted.wake();
        if is_identified {
            self.shared.news.notify_waiters();
        }
        // Its buffers are reused.
        self.news = news;
        turn
    }

    /// Carries out the core's actions.
    fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        let mut hints = Vec::new();
        for action in actions.drain(..) {
            match action {
                Action::Complete { ticket, first, count, whole, outcome, .. } => {
                    ticket.resolve(first, count, outcome, whole);
                }
                Action::Hint { topic, partition, leader, nodes } => {
                    hints.push(Hint { topic, partition, leader, nodes });
                }
                Action::InitProducerId => self.init_producer_id(),
                Action::RefreshMetadata(topic) => self.shared.cluster().refresh(std::slice::from_ref(&topic)),
                Action::Release { .. } => {}
                Action::Seal { key, id, closed } => self.seal(key, id, closed),
                Action::Send { broker, request, entries, expiry } => self.send(broker, request, entries, expiry),
                Action::Split { key, id, sealed, parts } => {
                    let parts = sealed.split(&self.codecs, parts);
                    self.news.parts.push((key, id, parts));
                }
            }
        }
        self.actions = actions;
        self.shared.cluster().take_hints(&hints);
        self.compress();
    }

    /// Compresses a batch here or, if it is large enough, on another thread.
    fn seal(&mut self, key: Key, id: BatchId, closed: ClosedBatch) {
        if self.codec.is_some() && closed.records.len() >= COMPRESS_APART_FROM {
            return self.uncompressed.push_back((key, id, closed));
        }
        let sealed = closed.seal(self.codec.as_deref());
        self.news.sealed.push((key, id, sealed));
    }

    /// Starts to compress the batches that wait, on as many threads as there are processors.
    fn compress(&mut self) {
        while self.compressing < self.compressing_max {
            let (Some(codec), Some((key, id, closed))) = (self.codec.clone(), self.uncompressed.pop_front()) else {
                return;
            };
            self.compressing += 1;
            let job = Job { key, id, sink: self.sealed_sink.clone(), sealed: None };
            self.shared.cluster().runtime().spawn_blocking(move || {
                let mut job = job;
                job.sealed = Some(closed.seal(Some(&*codec)));
            });
        }
    }

    fn init_producer_id(&self) {
        let request = m::InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: -1, current: None };
        let (cluster, sink) = (self.shared.cluster().clone(), self.answer_sink.clone());
        let deadline = clock::now() + cluster.settings().request_timeout;
        let runtime = cluster.runtime().clone();
        drop(runtime.spawn(async move {
            let (mut asked, mut ended) = (pin!(cluster.call_any_once(&request, deadline)), pin!(sink.closed()));
            let answer = poll_fn(|cx| match asked.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                // The driver may end meanwhile, and then the response is not needed.
                Poll::Pending => ended.as_mut().poll(cx).map(|()| None),
            });
            if let Some(answer) = answer.await {
                let _ = sink.send((IDENTITY, answer.map(Response::InitProducerId)));
            }
        }));
    }

    fn send(&mut self, broker: i32, tag: u64, entries: Vec<Entry>, expiry: Instant) {
        self.note_use(&entries);
        let timeout = self.shared.cluster().settings().request_timeout;
        let request = self.request(timeout, entries);
        let reply = Reply::Tagged { tag, sink: self.answer_sink.clone() };
        let now = clock::now();
        let connect_by = expiry.checked_sub(NOTICE).unwrap_or(now);
        self.shared.cluster().submit_produce(broker, request, (now + timeout, connect_by), reply);
    }

    /// Keeps the metadata of the topics of these batches fresh.
    fn note_use(&mut self, entries: &[Entry]) {
        let mut last = None;
        for Entry { topic, .. } in entries {
            // Most neighbours are partitions of one topic.
            if last != Some(topic) && !self.used.contains(topic) {
                self.used.insert(topic.clone());
            }
            last = Some(topic);
        }
        let now = clock::now();
        let cluster = self.shared.cluster();
        if now.saturating_duration_since(self.renewed) > RENEW.min(cluster.settings().metadata_idle_max / 4) {
            self.renewed = now;
            let used: Vec<TopicName> = std::mem::take(&mut self.used).into_iter().collect();
            cluster.track(&used, self.shared.auto_create());
        }
    }

    fn request(&self, timeout: Duration, entries: Vec<Entry>) -> Request {
        let mut topics: Vec<m::ProduceTopic> = Vec::new();
        // Headers are pieces of one allocation.
        let mut heads = BytesMut::with_capacity(entries.len() * HEADER_LEN);
        for Entry { topic, id, partition, batch, stamp } in entries {
            heads.extend_from_slice(&batch.header(&stamp));
            let head = heads.split().freeze();
            let records = Some(m::Payload { head, body: batch.into_body() });
            let entry = m::ProducePartition { index: partition, records };
            // Partitions of one topic are most often neighbours.
            match topics.iter_mut().rev().find(|known| known.name == topic) {
                Some(known) => known.partitions.push(entry),
                None => topics.push(m::ProduceTopic { name: topic, id, partitions: vec![entry] }),
            }
        }
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        Request::Produce(m::ProduceRequest { transactional_id: None, acks: self.acks, timeout_ms, topics })
    }

    /// Waits until something happens. A whole turn follows, so that nothing that is ready at the same time is missed.
    async fn wait(&mut self, timeout: Option<Instant>) {
        let Self { shared, snapshots, answers, sealed, timer, news, compressing, .. } = self;
        let mut work = pin!(shared.work.notified());
        let mut changed = pin!(snapshots.changed());
        if let Some(at) = timeout {
            let at = tokio::time::Instant::from_std(at);
            match timer {
                Some(timer) if timer.deadline() == at && !timer.is_elapsed() => {}
                Some(timer) => timer.as_mut().reset(at),
                None => *timer = Some(Box::pin(tokio::time::sleep_until(at))),
            }
        }
        poll_fn(|cx| {
            let mut ready = work.as_mut().poll(cx).is_ready() | changed.as_mut().poll(cx).is_ready();
            if let Poll::Ready(Some(answer)) = answers.poll_recv(cx) {
                news.answers.push(answer);
                ready = true;
            }
            if let Poll::Ready(Some(batch)) = sealed.poll_recv(cx) {
                *compressing -= 1;
                news.sealed.push(batch);
                ready = true;
            }
            ready |= timeout.is_some() && timer.as_mut().is_some_and(|timer| elapsed(timer, cx));
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Driver {
    /// Resolves every delivery that is left, also where the runtime ends before the producer does. It does not wait.
    fn drop(&mut self) {
        // Actions that were not carried out are dropped, except for outcomes: nothing is sent any more.
        let mut left = std::mem::take(&mut self.actions);
        let granted = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            state.core.abort(&Error::new(Kind::Closed, "the producer was closed"));
            while let Some(action) = state.core.poll_action() {
                if let Action::Complete { bytes, .. } | Action::Release { bytes } = &action {
                    state.release(*bytes);
                }
                left.push(action);
            }
            let mut granted = state.take_granted();
            granted.add(state.end());
            granted
        };
        let mut given_up = 0;
        for action in left {
            if let Action::Complete { ticket, first, count, whole, outcome, .. } = action {
                given_up +=
                    if matches!(&outcome, Outcome::Failed(error) if error.kind() == Kind::Closed) { count } else { 0 };
                ticket.resolve(first, count, outcome, whole);
            }
        }
        if given_up > 0 {
            tracing::warn!(target: "ottla::producer", records = given_up, "records given up at close");
        }
        granted.wake();
        self.shared.settle(BatchId::MAX);
    }
}

/// A batch that is compressed on another thread. Its result comes back also where the codec panics or the runtime ends.
struct Job {
    key: Key,
    id: BatchId,
    sink: mpsc::UnboundedSender<Sealed>,
    sealed: Option<Compressed>,
}

impl Drop for Job {
    fn drop(&mut self) {
        let sealed = self.sealed.take().unwrap_or_else(|| Err(CodecError::Corrupt("the codec panicked".into())));
        // If the driver has ended, the batch is not needed.
        let _ = self.sink.send((self.key, self.id, sealed));
    }
}

fn elapsed(timer: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> bool {
    timer.as_mut().poll(cx).is_ready()
}

fn seal_failed(error: CodecError) -> Error {
    match error {
        CodecError::Missing(_) => error.into(),
        error => Error::new(Kind::Config, "could not compress a batch").caused_by(error),
    }
}

/// A response, by its request.
enum Heard {
    Identity(Result<ProducerIdentity, Error>),
    Produced(Result<m::ProduceResponse, Error>),
}

fn understand(tag: u64, answer: Result<Response, Error>) -> Heard {
    if tag == IDENTITY {
        return Heard::Identity(answer.and_then(m::InitProducerIdRequest::response).and_then(identity));
    }
    Heard::Produced(answer.and_then(m::ProduceRequest::response))
}

fn identity(response: m::InitProducerIdResponse) -> Result<ProducerIdentity, Error> {
    if let Some(code) = response.error {
        return Err(Error::broker(code, "could not get a producer identity"));
    }
    response.identity.ok_or_else(|| Error::protocol("the response has no producer identity"))
}
