//! A task for each connection: dials, sets the connection up, then moves bytes both ways until either side is done.
//!
//! ```text
//! resting ──request──→ waiting out the back-off ──→ establishing ──→ linked (link.rs)
//!    ↑                                                 │failed        │idle or lost
//!    └─────────────────────────────────────────────────┴──────────────┘
//! ```
//!
//! The task lives as long as its [`Handle`] is held. It dials when there is something to send, and again, after a
//! pause that grows, when the connection was lost and there is something to send again. Whatever it is doing, it takes
//! requests and completes each by its deadline.
//!
//! A rejection, that is an error of [`Kind::Authentication`] or [`Kind::Tls`], is not retried: wrong credentials and certificates
//! stay wrong. It fails all requests that wait, and every request of the next `reconnect.backoff.max.ms` at once and without
//! dialling. The first request after that dials again.

use std::collections::VecDeque;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;
use tokio::sync::mpsc;

use super::clock;
use super::dial::Stream;
use super::establish::Agreed;
use super::establish::Established;
use super::establish::Progress;
use super::establish::establish;
use super::link::End;
use super::link::Link;
use super::link::TARGET;
use super::meter::Meter;
use super::observer::Observer;
pub use super::outgoing::Outgoing;
pub use super::outgoing::Reply;
pub use super::settings::Settings;
use crate::config::HostPort;
use crate::conn::backoff::Backoff;
use crate::conn::pipeline::Pipeline;
use crate::error::Error;
use crate::error::Kind;

/// Passes requests to a connection's task. When the last handle is dropped, the task completes the requests that it has and ends.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: mpsc::UnboundedSender<Outgoing>,
    health: Arc<AtomicBool>,
}

impl Handle {
    /// Sends a request. If the task has ended, it fails at once.
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

/// Starts the task of one connection, which counts in `meter` for as long as it lives, and notifies `observer` of each attempt.
pub fn spawn(settings: Arc<Settings>, address: HostPort, meter: Meter, observer: Box<dyn Observer>) -> Handle {
    let (sender, receiver) = mpsc::unbounded_channel();
    let backoff = Backoff::new(settings.reconnect_backoff, settings.reconnect_backoff_max);
    let runtime = settings.runtime.clone();
    let peer = address.to_string();
    let queue = Queue {
        receiver,
        waiting: VecDeque::new(),
        peer: peer.clone(),
        meter: meter.clone(),
        wait: Wait::Pause,
        progress: Progress::default(),
        failure: None,
    };
    let health = Arc::new(AtomicBool::new(true));
    let task = Task {
        settings,
        address,
        peer,
        queue,
        backoff,
        rng: Rng::with_seed(clock::seed()),
        not_before: None,
        rejection: None,
        health: Arc::clone(&health),
        meter,
        observer,
    };
    drop(runtime.spawn(task.run()));
    Handle { sender, health }
}

struct Task {
    settings: Arc<Settings>,
    address: HostPort,
    /// The address, for errors and log events.
    peer: String,
    queue: Queue,
    backoff: Backoff,
    rng: Rng,
    /// Not to be dialled again before this.
    not_before: Option<Instant>,
    /// Why the broker rejected this client, and until when requests fail for that without another attempt.
    rejection: Option<(Error, Instant)>,
    /// See [`Handle::is_healthy`].
    health: Arc<AtomicBool>,
    meter: Meter,
    observer: Box<dyn Observer>,
}

impl Task {
    async fn run(mut self) {
        while self.queue.wait().await {
            if let Some((error, _)) = self.rejection.as_ref().filter(|(_, until)| clock::now() < *until) {
                self.queue.refuse(error);
                continue;
            }
            if let Some(until) = self.not_before.take() {
                if self.queue.meanwhile(Wait::Pause, tokio::time::sleep_until(until.into())).await.is_none() {
                    break;
                }
                if self.queue.waiting.is_empty() {
                    continue;
                }
            }
            match self.establish().await {
                Some(Ok(established)) => self.serve(established).await,
                Some(Err(error)) => self.refuse(&error),
                None => break,
            }
        }
        let text = "the connection is not needed any more: the broker moved, or the client is closed";
        self.queue.refuse(&Error::new(Kind::Connect, text).at_broker(self.peer.as_str()));
    }

    /// Sets a connection up, within a timeout that doubles with each failure (KIP-601). `None` when no handle is held any
    /// more.
    async fn establish(&mut self) -> Option<Result<Established, Error>> {
        let doubled = self.settings.setup_timeout.saturating_mul(1 << self.backoff.failures().min(10));
        let timeout = doubled.min(self.settings.setup_timeout_max).mul_f64(0.8 + 0.4 * self.rng.f64());
        let progress = self.queue.progress.clone();
        let establishing = establish(&self.settings, &self.address, &self.meter, &progress);
        let established = self.queue.meanwhile(Wait::SetUp, tokio::time::timeout(timeout, establishing)).await?;
        let silent = |_| {
            let within = format!("within {} ms", timeout.as_millis());
            let text = match progress.awaited() {
                Some(place) => format!("{place} did not answer {within}"),
                None => format!("no Kafka broker responded {within}: check that the port is a Kafka listener"),
            };
            Err(Error::new(Kind::Connect, text))
        };
        Some(established.unwrap_or_else(silent).map_err(|error| error.at_broker(self.peer.as_str())))
    }

    /// Fails all requests that wait for a connection that could not be established.
    fn refuse(&mut self, error: &Error) {
        self.meter.count(|counters| counters.connect_failures += 1);
        self.observer.failed(error);
        let is_first = self.rejection.is_none();
        let pause = self.failed(error);
        let (attempt, pause_ms) = (self.backoff.failures(), pause.as_millis());
        let broker = self.peer.as_str();
        if error.is_rejection() && is_first {
            tracing::warn!(target: TARGET, broker, error = %error.chain(), pause_ms, "connection rejected");
        } else if error.is_rejection() {
            tracing::debug!(target: TARGET, broker, error = %error.chain(), pause_ms, "connection rejected");
        } else {
            tracing::debug!(target: TARGET, broker, error = %error.chain(), attempt, pause_ms, "could not connect");
        }
        self.queue.refuse(error);
        self.queue.failure = Some(error.clone());
    }

    /// Notes a failure: for how long not to dial again, or not even to try.
    fn failed(&mut self, error: &Error) -> Duration {
        self.health.store(false, Ordering::Relaxed);
        if error.is_rejection() {
            let pause = self.settings.reconnect_backoff_max;
            self.rejection = Some((error.clone(), clock::now() + pause));
            return pause;
        }
        let pause = self.backoff.next(&mut self.rng);
        self.not_before = Some(clock::now() + pause);
        pause
    }

    /// Uses a connection until it ends.
    async fn serve(&mut self, established: Established) {
        self.backoff.reset();
        self.rejection = None;
        self.queue.failure = None;
        self.health.store(true, Ordering::Relaxed);
        self.meter.count(|counters| counters.connects += 1);
        self.observer.connected();
        let Established { stream, versions, throttle, session } = established;
        let broker = self.peer.as_str();
        tracing::debug!(target: TARGET, broker, versions = %Agreed(&versions), "connected");
        let Settings { client_id, in_flight_max, request_timeout, sasl, .. } = &*self.settings;
        if let Some(sasl) = sasl {
            let (mechanism, lifetime_ms) = (sasl.name(), session.map(|session| session.lifetime.as_millis()));
            tracing::debug!(target: TARGET, broker, mechanism, lifetime_ms, "authenticated");
        }
        let mut pipeline = Pipeline::new(client_id.clone(), versions, *in_flight_max, *request_timeout);
        // A request whose future was dropped is not sent: no caller expects it to be executed.
        let awaited = self.queue.waiting.drain(..).filter(|outgoing| !outgoing.reply.is_closed());
        for Outgoing { request, deadline, reply, .. } in awaited {
            pipeline.submit(request, deadline, reply);
        }
        pipeline.mute(clock::now(), throttle);
        pipeline.renew_at(session.map(|session| session.renewal(&mut self.rng, Duration::ZERO)));
        let shared = (self.peer.clone(), Arc::clone(&self.health), self.meter.clone());
        let mut link = Link::new(stream, pipeline, (&self.settings, &self.address.host), shared);
        let end = link.run(&mut self.queue.receiver).await;
        self.ended(&end);
        match end {
            End::Failed(_) => {}
            End::Idle | End::IdlePeer => {
                self.queue.meanwhile(Wait::Pause, shut_down(link.stream)).await;
            }
            End::Unused => shut_down(link.stream).await,
        }
    }

    /// Notes why a connection ended.
    fn ended(&mut self, end: &End) {
        let broker = self.peer.as_str();
        match end {
            End::Failed(error) => {
                tracing::info!(target: TARGET, broker, error = %error.chain(), "connection lost");
                self.meter.count(|counters| counters.disconnects += 1);
                self.failed(error);
            }
            End::Idle => tracing::debug!(target: TARGET, broker, "idle connection closed"),
            End::IdlePeer => tracing::debug!(target: TARGET, broker, "idle connection closed by the broker"),
            End::Unused => tracing::debug!(target: TARGET, broker, "unused connection closed"),
        }
    }
}

/// How long shutting a stream down may take.
const SHUT_DOWN_MAX: Duration = Duration::from_millis(500);

/// Ends a stream in order: TLS sends `close_notify`.
async fn shut_down(mut stream: Box<dyn Stream>) {
    let shutting_down = poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx));
    // The connection has ended, whether or not the broker notices.
    let _ = tokio::time::timeout(SHUT_DOWN_MAX, shutting_down).await;
}

/// Requests that have no connection yet.
struct Queue {
    receiver: mpsc::UnboundedReceiver<Outgoing>,
    waiting: VecDeque<Outgoing>,
    /// The broker's address, for errors.
    peer: String,
    meter: Meter,
    wait: Wait,
    /// The state of the set-up of the connection.
    progress: Progress,
    /// Why the last attempt to connect failed, if it did.
    failure: Option<Error>,
}

/// The reason why requests wait.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// A pause between attempts, or before the first one.
    Pause,
    /// A connection is being set up.
    SetUp,
}

impl Wait {
    /// The message of a request that waited for the broker in vain.
    fn expired(self) -> &'static str {
        match self {
            Self::Pause => "no connection could be established by the deadline",
            Self::SetUp => "no Kafka broker responded by the deadline: check that the port is a Kafka listener",
        }
    }
}

impl Queue {
    /// Waits until a request waits here. Returns `false` when there is none and no handle is held any more.
    async fn wait(&mut self) -> bool {
        if self.waiting.is_empty() {
            let Some(first) = self.receiver.recv().await else { return false };
            self.waiting.push_back(first);
        }
        true
    }

    /// Awaits a future, takes requests meanwhile and fails those whose deadline passes. `None` when no handle is held any
    /// more.
    async fn meanwhile<F: Future>(&mut self, wait: Wait, future: F) -> Option<F::Output> {
        self.wait = wait;
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
            while let Some(next) = self.waiting.iter().map(Outgoing::due).min() {
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

    /// Fails the requests that are due at `now` or before.
    fn expire(&mut self, now: Instant) {
        for _ in 0..self.waiting.len() {
            let Some(outgoing) = self.waiting.pop_front() else { return };
            if outgoing.due() <= now {
                self.meter.count(|counters| counters.timeouts += 1);
                let error = Error::new(Kind::Timeout, self.expired()).at_broker(self.peer.as_str());
                outgoing.refuse(match &self.failure {
                    Some(failure) => error.caused_by(failure.clone()),
                    None => error,
                });
            } else {
                self.waiting.push_back(outgoing);
            }
        }
    }

    /// The message of a request that waited in vain.
    fn expired(&self) -> String {
        match (self.wait, self.progress.awaited()) {
            (Wait::SetUp, Some(place)) => format!("{place} did not answer by the deadline"),
            (wait, _) => wait.expired().to_owned(),
        }
    }

    /// Fails all requests that wait, and those that came in since.
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
