//! A task for each connection: dials, agrees on versions, then moves bytes both ways until either side is done.
//!
//! ```text
//! resting ──request──→ waiting out the back-off ──→ dialling ──→ linked (link.rs)
//!    ↑                                                 │failed      │idle or lost
//!    └─────────────────────────────────────────────────┴────────────┘
//! ```
//!
//! The task lives as long as somebody holds its [`Handle`]. It dials when there is something to send, and again, after a
//! pause that grows, when the connection was lost and there is something to send again. Whatever it is doing, it takes
//! requests and answers each by its deadline.

use std::collections::VecDeque;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::clock;
use super::dial::Connector;
use super::establish::Established;
use super::establish::establish;
use super::link::Link;
use super::meter::Meter;
use crate::config::HostPort;
use crate::conn::backoff::Backoff;
use crate::conn::pipeline::Pipeline;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::wire::Request;
use crate::wire::Response;

/// What every connection of a client goes by.
#[derive(Debug)]
pub struct Settings {
    pub client_id: String,
    pub connector: Box<dyn Connector>,
    /// How long the first attempt to set up a connection may take; it doubles with each failure (KIP-601).
    pub setup_timeout: Duration,
    pub setup_timeout_max: Duration,
    /// How long a broker may leave a request unanswered before the connection ends.
    pub request_timeout: Duration,
    pub reconnect_backoff: Duration,
    pub reconnect_backoff_max: Duration,
    /// After how long without a request a connection is closed; `None` is never.
    pub idle_max: Option<Duration>,
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

    /// Whether nobody is there any more.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Oneshot(sender) => sender.is_closed(),
            Self::Tagged { sink, .. } => sink.is_closed(),
        }
    }
}

/// A request on its way to a connection.
#[derive(Debug)]
pub struct Outgoing {
    pub request: Request,
    /// By when it is answered, whatever the answer. Time for which the broker silences the client comes on top (KIP-219).
    pub deadline: Instant,
    pub reply: Reply,
}

impl Outgoing {
    /// Answers that the request was not sent.
    fn refuse(self, error: Error) {
        self.reply.send(Err(error.in_api(self.request.api().name()).written(Written::No)));
    }
}

/// Hands requests to a connection's task. When the last one is dropped the task answers what it has and ends.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: mpsc::UnboundedSender<Outgoing>,
    health: Arc<AtomicBool>,
}

impl Handle {
    /// Sends a request; without a task any more, it is answered at once.
    pub fn submit(&self, outgoing: Outgoing) {
        if let Err(mpsc::error::SendError(outgoing)) = self.sender.send(outgoing) {
            outgoing.refuse(Error::new(Kind::Closed, "the client is closed"));
        }
    }

    /// Whether nothing failed since the last connection was established, and no response is overdue. A read-only request that any
    /// broker can answer goes elsewhere otherwise.
    pub fn is_healthy(&self) -> bool {
        self.health.load(Ordering::Relaxed)
    }
}

/// Starts the task of one connection, which counts in `meter` for as long as it lives.
pub fn spawn(settings: Arc<Settings>, address: HostPort, meter: Meter) -> Handle {
    let (sender, receiver) = mpsc::unbounded_channel();
    let backoff = Backoff::new(settings.reconnect_backoff, settings.reconnect_backoff_max);
    let queue = Queue { receiver, waiting: VecDeque::new(), peer: address.to_string() };
    let rng = Rng::with_seed(clock::seed());
    let health = Arc::new(AtomicBool::new(true));
    let task = Task { settings, address, queue, backoff, rng, not_before: None, health: Arc::clone(&health), meter };
    tokio::spawn(task.run());
    Handle { sender, health }
}

struct Task {
    settings: Arc<Settings>,
    address: HostPort,
    queue: Queue,
    backoff: Backoff,
    rng: Rng,
    /// Not to be dialled again before this.
    not_before: Option<Instant>,
    /// See [`Handle::is_healthy`].
    health: Arc<AtomicBool>,
    meter: Meter,
}

impl Task {
    async fn run(mut self) {
        while let Some(first) = self.queue.receiver.recv().await {
            self.queue.waiting.push_back(first);
            if let Some(until) = self.not_before.take() {
                if self.queue.meanwhile(tokio::time::sleep_until(until.into())).await.is_none() {
                    break;
                }
                if self.queue.waiting.is_empty() {
                    continue;
                }
            }
            match self.establish().await {
                Some(Ok(made)) => self.serve(made).await,
                Some(Err(error)) => self.refuse(&error),
                None => break,
            }
        }
        let text = "the connection is not wanted any more: the broker moved, or the client is closed";
        self.queue.refuse(&Error::new(Kind::Connect, text).at_broker(self.address.to_string()));
    }

    /// Sets a connection up, within a timeout that doubles with each failure (KIP-601). `None` when nobody wants it any more.
    async fn establish(&mut self) -> Option<Result<Established, Error>> {
        let doubled = self.settings.setup_timeout.saturating_mul(1 << self.backoff.failures().min(10));
        let timeout = doubled.min(self.settings.setup_timeout_max).mul_f64(0.8 + 0.4 * self.rng.f64());
        let establishing = establish(&self.settings, &self.address.host, self.address.port);
        let made = self.queue.meanwhile(tokio::time::timeout(timeout, establishing)).await?;
        let silent = |_| {
            let text = format!(
                "no Kafka broker answered within {} ms: check that the port is a Kafka listener",
                timeout.as_millis()
            );
            Err(Error::new(Kind::Connect, text))
        };
        Some(made.unwrap_or_else(silent).map_err(|error| error.at_broker(self.address.to_string())))
    }

    /// Answers all that waits for a connection that could not be made.
    fn refuse(&mut self, error: &Error) {
        tracing::debug!(%error, "could not connect");
        self.meter.count(|counters| counters.connect_failures += 1);
        self.failed();
        self.queue.refuse(error);
    }

    fn failed(&mut self) {
        self.health.store(false, Ordering::Relaxed);
        self.not_before = Some(clock::now() + self.backoff.next(&mut self.rng));
    }

    /// Uses a connection until it ends.
    async fn serve(&mut self, made: Established) {
        self.backoff.reset();
        self.health.store(true, Ordering::Relaxed);
        self.meter.count(|counters| counters.connects += 1);
        let Established { stream, versions, throttle } = made;
        let Settings { client_id, in_flight_max, request_timeout, .. } = &*self.settings;
        let mut pipeline = Pipeline::new(client_id.clone(), versions, *in_flight_max, *request_timeout);
        // What was given up meanwhile is not sent any more: nobody expects it to happen now.
        let awaited = self.queue.waiting.drain(..).filter(|outgoing| !outgoing.reply.is_closed());
        for Outgoing { request, deadline, reply } in awaited {
            pipeline.submit(request, deadline, reply);
        }
        pipeline.mute(clock::now(), throttle);
        let (health, peer) = (Arc::clone(&self.health), self.address.to_string());
        let mut link = Link::new(stream, pipeline, &self.settings, health, peer);
        let lost = link.run(&mut self.queue.receiver).await;
        if lost {
            self.meter.count(|counters| counters.disconnects += 1);
            self.failed();
        }
    }
}

/// Requests that have no connection yet.
struct Queue {
    receiver: mpsc::UnboundedReceiver<Outgoing>,
    waiting: VecDeque<Outgoing>,
    /// What the broker is called in errors.
    peer: String,
}

impl Queue {
    /// Awaits something, takes requests meanwhile and answers those whose deadline passes. `None` when nobody holds the handle
    /// any more.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut timer = pin!(tokio::time::sleep_until(clock::now().into()));
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            while let Poll::Ready(outgoing) = self.receiver.poll_recv(cx) {
                match outgoing {
                    Some(outgoing) => self.waiting.push_back(outgoing),
                    None => return Poll::Ready(None),
                }
            }
            while let Some(next) = self.waiting.iter().map(|waiting| waiting.deadline).min() {
                timer.as_mut().reset(next.into());
                if timer.as_mut().poll(cx).is_pending() {
                    break;
                }
                self.expire(next);
            }
            Poll::Pending
        })
        .await
    }

    /// Answers the requests whose deadline is at `now` or before.
    fn expire(&mut self, now: Instant) {
        for _ in 0..self.waiting.len() {
            let Some(outgoing) = self.waiting.pop_front() else { return };
            if outgoing.deadline <= now {
                let error = Error::new(Kind::Timeout, "no connection could be made by the deadline");
                outgoing.refuse(error.at_broker(self.peer.as_str()));
            } else {
                self.waiting.push_back(outgoing);
            }
        }
    }

    /// Answers all that waits, and what came in since.
    fn refuse(&mut self, error: &Error) {
        while let Ok(outgoing) = self.receiver.try_recv() {
            self.waiting.push_back(outgoing);
        }
        for outgoing in self.waiting.drain(..) {
            outgoing.refuse(error.clone());
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
