//! A task for each connection: dials, agrees on versions, then moves bytes both ways until either side is done.
//!
//! The task lives as long as somebody holds its [`Handle`]. It dials when there is something to send, and again, after a
//! pause that grows, when the connection was lost and there is something to send again.

use std::collections::VecDeque;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use bytes::BytesMut;
use fastrand::Rng;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::clock;
use super::dial::Connector;
use super::dial::Stream;
use super::outbox::Outbox;
use crate::conn::backoff::Backoff;
use crate::conn::pipeline::Pipeline;
use crate::conn::pipeline::Write;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::wire::Api;
use crate::wire::FrameReader;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::Versions;
use crate::wire::message::ProduceResponse;

/// What every connection of a client goes by.
#[derive(Debug)]
pub struct Settings {
    pub client_id: String,
    pub connector: Box<dyn Connector>,
    pub setup_timeout: Duration,
    pub setup_timeout_max: Duration,
    pub reconnect_backoff: Duration,
    pub reconnect_backoff_max: Duration,
    pub idle_max: Duration,
    pub response_bytes_max: usize,
    pub in_flight_max: usize,
}

/// Where an answer goes.
#[derive(Debug)]
pub enum Reply {
    /// To one who waits for it.
    Oneshot(oneshot::Sender<Result<Response, Error>>),
    /// To a driver that waits for many.
    Tagged {
        /// Tells the driver's requests apart.
        tag: u64,
        /// Where it listens.
        sink: mpsc::UnboundedSender<(u64, Result<Response, Error>)>,
    },
}

impl Reply {
    /// Answers. Nobody may be there any more, which is no concern of the connection.
    pub fn send(self, answer: Result<Response, Error>) {
        match self {
            Self::Oneshot(sender) => drop(sender.send(answer)),
            Self::Tagged { tag, sink } => drop(sink.send((tag, answer))),
        }
    }
}

/// A request on its way to a connection.
#[derive(Debug)]
pub struct Outgoing {
    pub request: Request,
    pub deadline: Instant,
    pub reply: Reply,
}

/// Hands requests to a connection's task.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: mpsc::UnboundedSender<Outgoing>,
    health: Arc<AtomicBool>,
}

impl Handle {
    /// Sends a request; without a task any more, it is answered at once.
    pub fn submit(&self, outgoing: Outgoing) {
        if let Err(mpsc::error::SendError(outgoing)) = self.sender.send(outgoing) {
            outgoing.reply.send(Err(Error::new(Kind::Closed, "the client is closed").written(Written::No)));
        }
    }

    /// Whether nothing failed since a connection was last made. A question that any broker can answer goes elsewhere.
    pub fn is_healthy(&self) -> bool {
        self.health.load(Ordering::Relaxed)
    }
}

/// Tells where to dial, or why nowhere.
pub type Address = Box<dyn Fn() -> Result<(String, u16), Error> + Send>;

/// Starts the task of one connection.
pub fn spawn(settings: Arc<Settings>, address: Address) -> Handle {
    let (sender, receiver) = mpsc::unbounded_channel();
    let health = Arc::new(AtomicBool::new(true));
    let mut rng = Rng::with_seed(clock::seed());
    let backoff = Backoff::new(settings.reconnect_backoff, settings.reconnect_backoff_max);
    rng.u64(..);
    let queue = Queue { receiver, waiting: VecDeque::new(), timer: None };
    let task = Task { settings, address, queue, backoff, rng, not_before: None, health: Arc::clone(&health) };
    tokio::spawn(task.run());
    Handle { sender, health }
}

/// Requests for a connection that is still to be made.
struct Queue {
    receiver: mpsc::UnboundedReceiver<Outgoing>,
    waiting: VecDeque<Outgoing>,
    /// Set to the first of their deadlines.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Queue {
    /// Waits for something to send. `false` says that nobody holds the handle any more.
    async fn wait(&mut self) -> bool {
        let first = self.receiver.recv().await;
        let came = first.is_some();
        self.waiting.extend(first);
        came
    }

    /// Does something while requests go on to arrive, and answers those for which it takes too long. `None` says that
    /// nobody holds the handle any more: what was begun is given up.
    async fn during<F: Future>(&mut self, peer: &str, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match self.poll(peer, cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => future.as_mut().poll(cx).map(Some),
        })
        .await
    }

    /// Ready when nobody holds the handle any more.
    fn poll(&mut self, peer: &str, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(came) = self.receiver.poll_recv(cx) {
            let Some(outgoing) = came else {
                self.refuse(&Error::new(Kind::Closed, "the client is closed"));
                return Poll::Ready(());
            };
            self.waiting.push_back(outgoing);
        }
        while let Some(next) = self.waiting.iter().map(|outgoing| outgoing.deadline).min() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next.into())));
            if timer.deadline().into_std() != next {
                timer.as_mut().reset(next.into());
            }
            if timer.as_mut().poll(cx).is_pending() {
                break;
            }
            let overdue = |outgoing: &Outgoing| outgoing.deadline <= next;
            let (late, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(overdue);
            self.waiting = late;
            let text = "no connection could be made by the deadline";
            self.refuse(&Error::new(Kind::Timeout, text).at_broker(peer));
            self.waiting = waiting;
        }
        Poll::Pending
    }

    /// Answers all that waits.
    fn refuse(&mut self, error: &Error) {
        for Outgoing { request, reply, .. } in self.waiting.drain(..) {
            reply.send(Err(error.clone().in_api(request.api().name()).written(Written::No)));
        }
    }
}

struct Task {
    settings: Arc<Settings>,
    address: Address,
    queue: Queue,
    backoff: Backoff,
    rng: Rng,
    /// Not to be dialled again before this.
    not_before: Option<Instant>,
    /// See [`Handle::is_healthy`].
    health: Arc<AtomicBool>,
}

impl Task {
    async fn run(mut self) {
        while self.queue.wait().await {
            let Some(made) = self.establish().await else { return };
            let (stream, versions, peer) = match made {
                Ok(made) => made,
                Err(error) => {
                    tracing::debug!(%error, "could not connect");
                    self.failed();
                    self.queue.refuse(&error);
                    continue;
                }
            };
            self.backoff.reset();
            self.health.store(true, Ordering::Relaxed);
            let mut pipeline = Pipeline::new(self.settings.client_id.clone(), versions, self.settings.in_flight_max);
            for Outgoing { request, deadline, reply } in self.queue.waiting.drain(..) {
                pipeline.submit(request, deadline, reply);
            }
            let mut link = Link::new(stream, pipeline, &self.settings);
            let ended = link.run(&mut self.queue.receiver).await;
            if matches!(ended, End::Failed(_)) {
                self.failed();
            }
            link.end(&ended, &peer);
        }
    }

    fn failed(&mut self) {
        self.health.store(false, Ordering::Relaxed);
        self.not_before = Some(clock::now() + self.backoff.next(&mut self.rng));
    }

    /// Dials and agrees on versions, within the set-up timeout, which doubles with each failure (KIP-601). `None` says that
    /// nobody holds the handle any more.
    async fn establish(&mut self) -> Option<Result<(Box<dyn Stream>, Versions, String), Error>> {
        if let Some(wait) = self.not_before.take() {
            let peer = (self.address)().map_or_else(|_| "unknown".to_owned(), |(host, port)| name(&host, port));
            self.queue.during(&peer, tokio::time::sleep_until(wait.into())).await?;
        }
        let (host, port) = match (self.address)() {
            Ok(address) => address,
            Err(error) => return Some(Err(error)),
        };
        let peer = name(&host, port);
        let settings = &self.settings;
        let doubled = settings.setup_timeout.saturating_mul(1 << self.backoff.failures().min(10));
        let timeout = doubled.min(settings.setup_timeout_max).mul_f64(0.8 + 0.4 * self.rng.f64());
        let making = tokio::time::timeout(timeout, async {
            let dialled = settings.connector.connect(&host, port).await;
            let mut stream =
                dialled.map_err(|error| Error::new(Kind::Connect, "could not connect").caused_by(error))?;
            let versions = agree(&mut *stream, settings).await?;
            Ok((stream, versions))
        });
        Some(match self.queue.during(&peer, making).await? {
            Ok(Ok((stream, versions))) => Ok((stream, versions, peer)),
            Ok(Err(error)) => Err(Error::at_broker(error, peer)),
            Err(_) => {
                let text = format!("no Kafka broker answered within {} ms", timeout.as_millis());
                Err(Error::new(Kind::Connect, text).at_broker(peer))
            }
        })
    }
}

/// What a broker is called in errors.
pub fn name(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Asks which versions the broker speaks; one that does not speak this version of the question says which it does.
async fn agree(stream: &mut dyn Stream, settings: &Settings) -> Result<Versions, Error> {
    let mut version = Api::ApiVersions.versions().1;
    // The second try is at a version that the broker named, so there is no third.
    for _ in 0..2 {
        let request = Request::ApiVersions.encode(version, 0, &settings.client_id).map_err(Error::from)?;
        for part in request {
            stream.write_all(&part).await.map_err(|error| lost(Some(error)))?;
        }
        let frame = read_frame(stream, settings.response_bytes_max).await?;
        let Response::ApiVersions(response) = Response::decode(Api::ApiVersions, version, frame).map_err(Error::from)?
        else {
            return Err(Error::protocol("the answer is to another question"));
        };
        match response.error {
            None => return Ok(Versions::agree(&response)),
            Some(Code::UnsupportedVersion) => {
                let spoken = response.apis.iter().find(|(key, _, _)| *key == Api::ApiVersions.key());
                version = spoken.map_or(0, |(_, _, last)| *last).min(version - 1).max(0);
            }
            Some(code) => return Err(Error::broker(code, "could not agree on versions").in_api("ApiVersions")),
        }
    }
    Err(Error::broker(Code::UnsupportedVersion, "could not agree on versions").in_api("ApiVersions"))
}

async fn read_frame(stream: &mut dyn Stream, limit: usize) -> Result<Bytes, Error> {
    let mut frames = FrameReader::new(limit);
    let mut arrived = BytesMut::with_capacity(4096);
    loop {
        if let Some(frame) = frames.next(&mut arrived).map_err(Error::from)? {
            return Ok(frame);
        }
        if stream.read_buf(&mut arrived).await.map_err(|error| lost(Some(error)))? == 0 {
            return Err(lost(None));
        }
    }
}

fn lost(error: Option<io::Error>) -> Error {
    match error {
        Some(error) => Error::new(Kind::Connect, "the connection was lost").caused_by(error),
        None => Error::new(Kind::Connect, "the broker closed the connection"),
    }
}

/// Why a connection ended.
enum End {
    Failed(Error),
    /// Nothing was asked for a long time.
    Idle,
    /// Nobody holds the handle any more.
    Unused,
}

/// An established connection.
struct Link {
    stream: Box<dyn Stream>,
    pipeline: Pipeline<Reply>,
    frames: FrameReader,
    arrived: BytesMut,
    unwritten: Outbox<Reply>,
    idle_max: Duration,
    used: Instant,
    /// Since when nobody holds the handle any more.
    unused: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

/// Pieces in one write.
const SLICES_MAX: usize = 64;
/// Room made for what may arrive.
const READ_AHEAD: usize = 64 * 1024;
/// Frames taken in one turn before writing gets its own.
const TURN: usize = 32;
/// How long a connection that nobody holds any more goes on writing what it had begun to.
const LEAVE_MAX: Duration = Duration::from_millis(500);
/// Requests are encoded only while less than this is unwritten, so that a slow peer does not pile up copies.
const UNWRITTEN_MAX: usize = 256;

impl Link {
    fn new(stream: Box<dyn Stream>, pipeline: Pipeline<Reply>, settings: &Settings) -> Self {
        Self {
            stream,
            pipeline,
            frames: FrameReader::new(settings.response_bytes_max),
            arrived: BytesMut::with_capacity(READ_AHEAD),
            unwritten: Outbox::new(),
            idle_max: settings.idle_max,
            used: clock::now(),
            unused: None,
            timer: Box::pin(tokio::time::sleep(settings.idle_max)),
        }
    }

    async fn run(&mut self, receiver: &mut mpsc::UnboundedReceiver<Outgoing>) -> End {
        poll_fn(|cx| match self.poll(receiver, cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        })
        .await
    }

    /// Does all that can be done without waiting; an error is the end.
    fn poll(&mut self, receiver: &mut mpsc::UnboundedReceiver<Outgoing>, cx: &mut Context<'_>) -> Result<(), End> {
        let now = clock::now();
        self.poll_read(now, cx)?;
        while let Poll::Ready(outgoing) = receiver.poll_recv(cx) {
            let Some(Outgoing { request, deadline, reply }) = outgoing else {
                self.unused.get_or_insert(now);
                break;
            };
            self.pipeline.submit(request, deadline, reply);
        }
        self.poll_write(now, cx)?;
        if self.unused.is_some() && self.unwritten.is_empty() {
            return Err(End::Unused);
        }
        self.poll_timer(now, cx)
    }

    fn poll_read(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..TURN {
            while let Some(frame) = self.frames.next(&mut self.arrived).map_err(|error| End::Failed(error.into()))? {
                self.used = now;
                match self.pipeline.handle_frame(now, frame) {
                    Ok((reply, response)) => reply.send(Ok(response)),
                    Err((reply, error)) => {
                        if let Some(reply) = reply {
                            reply.send(Err(error.clone()));
                        }
                        return Err(End::Failed(error));
                    }
                }
            }
            // What has arrived of a large frame has its room already; more room would mean to copy all of it.
            if self.arrived.len() < READ_AHEAD {
                self.arrived.reserve(READ_AHEAD);
            }
            let read = pin!(self.stream.read_buf(&mut self.arrived)).poll(cx);
            match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(End::Failed(lost(None))),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(End::Failed(lost(Some(error)))),
            }
        }
        // There may be more: come back after the others had their turn.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn poll_write(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            while self.unwritten.len() < UNWRITTEN_MAX {
                match self.pipeline.poll_write(now) {
                    Some(Write::Frame(parts, written)) => {
                        self.used = now;
                        self.unwritten.push(parts, written);
                    }
                    Some(Write::Refused(reply, error)) => reply.send(Err(error)),
                    None => break,
                }
            }
            if self.unwritten.is_empty() {
                return Ok(());
            }
            match self.poll_write_some(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(written)) => {
                    self.unwritten.wrote(written);
                    // A request without an answer is answered by having been written.
                    while let Some(reply) = self.unwritten.poll_written() {
                        reply.send(Ok(Response::Produce(ProduceResponse::default())));
                    }
                }
                Poll::Ready(Err(error)) => return Err(End::Failed(lost(Some(error)))),
            }
        }
    }

    fn poll_write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let slices = self.unwritten.slices(SLICES_MAX);
        match Pin::new(&mut *self.stream).poll_write_vectored(cx, &slices) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            other => other,
        }
    }

    fn poll_timer(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let idle = self.used + self.idle_max;
            let next = self.pipeline.poll_timeout().map_or(idle, |next| if self.pipeline.is_idle() { idle } else { next });
            let leave = self.unused.map(|since| since + LEAVE_MAX);
            let next = leave.map_or(next, |leave| leave.min(next));
            if self.timer.deadline().into_std() != next {
                self.timer.as_mut().reset(next.into());
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            let now = now.max(next);
            if leave.is_some_and(|leave| leave <= now) {
                return Err(End::Unused);
            }
            for (reply, error) in self.pipeline.handle_timeout(now) {
                reply.send(Err(error));
            }
            if self.pipeline.is_overdue(now) {
                let text = "the broker did not answer in time";
                return Err(End::Failed(Error::new(Kind::Timeout, text)));
            }
            if self.pipeline.is_idle() && idle <= now {
                return Err(End::Idle);
            }
            // The mute is over, perhaps.
            self.poll_write(now, cx)?;
            if self.pipeline.poll_timeout() == Some(next) {
                return Ok(());
            }
        }
    }

    /// Answers everybody who still waits.
    fn end(&mut self, end: &End, peer: &str) {
        let error = match end {
            End::Failed(error) => {
                tracing::debug!(%error, peer, "connection ended");
                error.clone()
            }
            End::Idle => Error::new(Kind::Connect, "the connection was idle and was closed"),
            End::Unused => Error::new(Kind::Closed, "the client is closed"),
        };
        let error = error.at_broker(peer);
        for (reply, written) in self.unwritten.close() {
            reply.send(Err(error.clone().in_api("Produce").written(written)));
        }
        for (reply, error) in self.pipeline.close(&error) {
            reply.send(Err(error));
        }
    }
}
