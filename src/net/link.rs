//! An established connection: moves bytes both ways until either side is done.

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

use bytes::BytesMut;
use fastrand::Rng;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::clock;
use super::dial::Stream;
use super::establish::lost;
use super::meter::Meter;
use super::outbox::Outbox;
use super::outgoing::Outgoing;
use super::outgoing::Reply;
use super::renewal::Renewal;
use super::settings::Settings;
use crate::conn::login::RENEWALS_APART;
use crate::conn::pipeline::Pipeline;
use crate::conn::pipeline::Write;
use crate::error::Error;
use crate::error::Kind;
use crate::wire::FrameReader;
use crate::wire::Response;
use crate::wire::message::ProduceResponse;

/// Why a connection ended.
pub(super) enum End {
    Failed(Error),
    /// No request was sent for a long time.
    Idle,
    /// The broker closed it while it had nothing to do, as brokers do with idle connections.
    IdlePeer,
    /// No handle is held any more, and no caller waits for a response.
    Unused,
}

/// An established connection.
pub(super) struct Link {
    pub(super) stream: Box<dyn Stream>,
    pipeline: Pipeline<Reply>,
    frames: FrameReader,
    arrived: BytesMut,
    unwritten: Outbox<Reply>,
    /// Something was written since the stream was last flushed.
    unflushed: bool,
    idle_max: Option<Duration>,
    used: Instant,
    /// Set once no handle is held any more: the time of the next check whether a caller still waits for a response.
    closing: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// Whether no response is overdue.
    health: Arc<AtomicBool>,
    /// The broker's address, for errors and log events.
    peer: String,
    meter: Meter,
    /// Bytes read and written that the meter does not know yet.
    moved: (u64, u64),
    /// Whether a response ever arrived.
    served: bool,
    /// The authentication that goes on beside the requests in flight.
    renewal: Option<Renewal>,
    /// The name of the broker, for another authentication.
    host: String,
    settings: Arc<Settings>,
}

/// The target of log events about connections.
pub(super) const TARGET: &str = "ottla::connection";
/// Pieces in one write.
const SLICES_MAX: usize = 64;
/// Capacity for bytes that may arrive.
const READ_AHEAD: usize = 64 * 1024;
/// Frames taken in one turn before writing gets its own.
const TURN: usize = 32;
/// Requests are encoded only while less than this is unwritten, so that a slow peer does not pile up copies.
const UNWRITTEN_MAX: usize = 256;
/// How long writing the rest may take once no handle is held.
const CLOSING: Duration = Duration::from_millis(500);
/// How often the timer wakes an idle connection that has no idle limit.
const NEVER: Duration = Duration::from_secs(86_400);

impl Link {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        pipeline: Pipeline<Reply>,
        (settings, host): (&Arc<Settings>, &str),
        (peer, health, meter): (String, Arc<AtomicBool>, Meter),
    ) -> Self {
        Self {
            stream,
            pipeline,
            frames: FrameReader::new(settings.response_bytes_max),
            arrived: BytesMut::with_capacity(READ_AHEAD),
            unwritten: Outbox::new(),
            unflushed: false,
            idle_max: settings.idle_max,
            used: clock::now(),
            closing: None,
            timer: Box::pin(tokio::time::sleep(NEVER)),
            health,
            peer,
            meter,
            moved: (0, 0),
            served: false,
            renewal: None,
            host: host.to_owned(),
            settings: Arc::clone(settings),
        }
    }

    /// Moves bytes until the connection ends, then fails the requests that are left.
    pub(super) async fn run(&mut self, receiver: &mut mpsc::UnboundedReceiver<Outgoing>) -> End {
        let end = poll_fn(|cx| {
            let turn = self.poll(receiver, cx);
            self.count();
            match turn {
                Ok(()) => Poll::Pending,
                Err(end) => Poll::Ready(end),
            }
        })
        .await;
        self.end(&end);
        end
    }

    /// Tells the meter what happened in this turn.
    fn count(&mut self) {
        let counted = self.pipeline.take_counters();
        let (received, sent) = std::mem::take(&mut self.moved);
        let in_flight = self.pipeline.in_flight() as u64;
        self.meter.count(|counters| {
            counters.add(&counted);
            counters.received_bytes += received;
            counters.sent_bytes += sent;
            counters.in_flight = in_flight;
        });
    }

    /// Does all that can be done without waiting; an error is the end.
    fn poll(&mut self, receiver: &mut mpsc::UnboundedReceiver<Outgoing>, cx: &mut Context<'_>) -> Result<(), End> {
        let now = clock::now();
        self.poll_read(now, cx)?;
        while self.closing.is_none()
            && let Poll::Ready(outgoing) = receiver.poll_recv(cx)
        {
            match outgoing {
                Some(Outgoing { request, deadline, reply, .. }) => {
                    self.pipeline.submit(request, deadline + self.pipeline.muted_for(now), reply);
                }
                None => self.closing = Some(now + CLOSING),
            }
        }
        self.poll_renewal(cx)?;
        self.poll_write(now, cx)?;
        self.poll_closing(now)?;
        self.poll_timer(now, cx)?;
        self.note_health();
        Ok(())
    }

    fn note_health(&self) {
        let overdue = self.pipeline.overdue();
        let is_healthy = overdue.is_none();
        if self.health.load(Ordering::Relaxed) != is_healthy {
            self.health.store(is_healthy, Ordering::Relaxed);
            match overdue {
                None => tracing::debug!(target: TARGET, broker = self.peer, "overdue responses arrived"),
                Some(api) => tracing::info!(target: TARGET, broker = self.peer, api = api.name(), "response overdue"),
            }
        }
    }

    /// Without a handle, ends as soon as all requests are written and no caller waits for a response.
    fn poll_closing(&mut self, now: Instant) -> Result<(), End> {
        let Some(look_again) = self.closing else { return Ok(()) };
        let awaited = self.pipeline.replies().chain(self.unwritten.replies()).any(|reply| !reply.is_closed());
        if !awaited && (self.unwritten.is_empty() || look_again <= now) {
            return Err(End::Unused);
        }
        if look_again <= now {
            self.closing = Some(now + CLOSING);
        }
        Ok(())
    }

    fn poll_read(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..TURN {
            while let Some(frame) = self.frames.next(&mut self.arrived).map_err(|error| End::Failed(error.into()))? {
                self.used = now;
                self.served = true;
                match self.pipeline.handle_frame(now, frame) {
                    Ok(Some((reply, response))) => reply.send(Ok(response)),
                    Ok(None) => {}
                    Err((reply, error)) => {
                        let error = error.at_broker(self.peer.as_str());
                        if let Some(reply) = reply {
                            reply.send(Err(error.clone()));
                        }
                        return Err(End::Failed(error));
                    }
                }
            }
            // A large frame that arrived in part has its capacity already; to reserve more would copy all of it.
            if self.arrived.len() < READ_AHEAD {
                self.arrived.reserve(READ_AHEAD);
            }
            let read = pin!(self.stream.read_buf(&mut self.arrived)).poll(cx);
            match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(self.closed_by_peer(None)),
                Poll::Ready(Ok(count)) => self.moved.0 += count as u64,
                Poll::Ready(Err(error)) => return Err(self.closed_by_peer(Some(error))),
            }
        }
        // There may be more to read: come back after other tasks had their turn.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// The broker closed the connection, which is no failure if it had nothing to do. One that never served a response is a failure:
    /// it would be dialled again without a pause.
    fn closed_by_peer(&self, error: Option<io::Error>) -> End {
        // A stream over TLS that ends without `close_notify` has an unexpected end.
        let ends = [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof];
        let gone = error.as_ref().is_none_or(|error| ends.contains(&error.kind()));
        if gone && self.served && self.pipeline.is_idle() && self.unwritten.is_empty() {
            End::IdlePeer
        } else if gone && !self.served && self.settings.sasl.is_none() {
            let text = "the broker closed the connection before it responded to anything: it may require SASL, or TLS";
            End::Failed(Error::new(Kind::Connect, text))
        } else {
            End::Failed(lost(error))
        }
    }

    fn poll_write(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            while self.unwritten.len() < UNWRITTEN_MAX {
                match self.pipeline.poll_write(now) {
                    Some(Write::Frame(parts, written)) => {
                        self.used = now;
                        self.unwritten.push(parts, written);
                    }
                    Some(Write::Refused(reply, error)) => reply.send(Err(error.at_broker(self.peer.as_str()))),
                    Some(Write::Renew) => {
                        self.renewal = Some(Renewal::start(Arc::clone(&self.settings), self.host.clone()));
                        self.poll_renewal(cx)?;
                    }
                    None => break,
                }
            }
            if self.unwritten.is_empty() {
                return self.poll_flush(cx);
            }
            match self.poll_write_some(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(written)) => {
                    self.unflushed = true;
                    self.moved.1 += written as u64;
                    self.unwritten.wrote(written);
                    // A request without a response is acknowledged when it was written.
                    while let Some(reply) = self.unwritten.poll_written() {
                        reply.send(Ok(Response::Produce(ProduceResponse::default())));
                    }
                }
                Poll::Ready(Err(error)) => return Err(End::Failed(lost(Some(error)))),
            }
        }
    }

    /// Goes on with another authentication, if one has begun. If it fails, the connection ends.
    fn poll_renewal(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(renewal) = &mut self.renewal else { return Ok(()) };
        let Poll::Ready(outcome) = renewal.poll(cx, &mut self.pipeline) else { return Ok(()) };
        self.renewal = None;
        let broker = self.peer.as_str();
        match outcome {
            Ok(session) => {
                let lifetime_ms = session.map(|session| session.lifetime.as_millis());
                tracing::debug!(target: TARGET, broker, lifetime_ms, "authenticated again");
                let mut rng = Rng::with_seed(clock::seed());
                self.pipeline.renew_at(session.map(|session| session.renewal(&mut rng, RENEWALS_APART)));
                self.meter.count(|counters| counters.reauthentications += 1);
                Ok(())
            }
            Err(error) => {
                let error = error.at_broker(broker);
                tracing::warn!(target: TARGET, broker, error = %error.chain(), "could not authenticate again");
                Err(End::Failed(error))
            }
        }
    }

    /// Once everything is written, a stream that buffers must send it.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut *self.stream).poll_flush(cx)
        {
            flushed.map_err(|error| End::Failed(lost(Some(error))))?;
            self.unflushed = false;
        }
        Ok(())
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
            let idle = self.used + self.idle_max.unwrap_or(NEVER);
            let next = if self.pipeline.is_idle() { Some(idle) } else { self.pipeline.poll_timeout() };
            let next = [next, self.closing].into_iter().flatten().min().unwrap_or(now + NEVER);
            if self.timer.deadline().into_std() != next {
                self.timer.as_mut().reset(next.into());
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            let now = now.max(next);
            for (reply, error) in self.pipeline.handle_timeout(now) {
                reply.send(Err(error.at_broker(self.peer.as_str())));
            }
            if let Some(error) = self.pipeline.poll_end(now) {
                return Err(End::Failed(error));
            }
            if self.pipeline.is_idle() && idle <= now {
                if self.idle_max.is_some() {
                    return Err(End::Idle);
                }
                self.used = now;
            }
            // The mute may be over.
            self.poll_write(now, cx)?;
            self.poll_closing(now)?;
            if self.pipeline.poll_timeout() == Some(next) {
                return Ok(());
            }
        }
    }

    /// Fails the requests that are left.
    fn end(&mut self, end: &End) {
        let error = match end {
            End::Failed(error) => error.clone(),
            End::Idle => Error::new(Kind::Connect, "the connection was idle and was closed"),
            End::IdlePeer => Error::new(Kind::Connect, "the broker closed the idle connection"),
            End::Unused => Error::new(Kind::Connect, "the connection is not needed any more"),
        };
        let error = error.at_broker(self.peer.as_str());
        let (without_response, unsent) = self.unwritten.close();
        for (reply, written) in without_response {
            reply.send(Err(error.clone().in_api("Produce").written(written)));
        }
        for (reply, error) in self.pipeline.close_unsent(&error, unsent) {
            reply.send(Err(error));
        }
        self.count();
    }
}
