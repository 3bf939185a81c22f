//! An established connection: bytes both ways, until either side is done.

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
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::clock;
use super::connection::Outgoing;
use super::connection::Reply;
use super::connection::Settings;
use super::dial::Stream;
use super::establish::lost;
use super::outbox::Outbox;
use crate::conn::pipeline::Pipeline;
use crate::conn::pipeline::Write;
use crate::error::Error;
use crate::error::Kind;
use crate::wire::FrameReader;
use crate::wire::Response;
use crate::wire::message::ProduceResponse;

/// Why a connection ended.
enum End {
    Failed(Error),
    /// Nothing was asked for a long time.
    Idle,
    /// Nobody holds the handle any more, and nobody waits for an answer.
    Unused,
}

/// An established connection.
pub(super) struct Link {
    stream: Box<dyn Stream>,
    pipeline: Pipeline<Reply>,
    frames: FrameReader,
    arrived: BytesMut,
    unwritten: Outbox<Reply>,
    idle_max: Option<Duration>,
    used: Instant,
    /// Nobody holds the handle any more; when to look again whether somebody still waits for an answer.
    closing: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// Whether no response is overdue.
    health: Arc<AtomicBool>,
    /// The broker's name in errors.
    peer: String,
}

/// Pieces in one write.
const SLICES_MAX: usize = 64;
/// Room made for what may arrive.
const READ_AHEAD: usize = 64 * 1024;
/// Frames taken in one turn before writing gets its own.
const TURN: usize = 32;
/// Requests are encoded only while less than this is unwritten, so that a slow peer does not pile up copies.
const UNWRITTEN_MAX: usize = 256;
/// How long what is not written may take once nobody holds the handle.
const CLOSING: Duration = Duration::from_millis(500);
/// Looked at this often, a connection that never closes for being idle is as good as one that has no timer.
const NEVER: Duration = Duration::from_secs(86_400);

impl Link {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        pipeline: Pipeline<Reply>,
        settings: &Settings,
        health: Arc<AtomicBool>,
        peer: String,
    ) -> Self {
        Self {
            stream,
            pipeline,
            frames: FrameReader::new(settings.response_bytes_max),
            arrived: BytesMut::with_capacity(READ_AHEAD),
            unwritten: Outbox::new(),
            idle_max: settings.idle_max,
            used: clock::now(),
            closing: None,
            timer: Box::pin(tokio::time::sleep(NEVER)),
            health,
            peer,
        }
    }

    /// Moves bytes until the connection ends, then answers everybody who still waits. Whether it was lost, and not given up.
    pub(super) async fn run(&mut self, receiver: &mut mpsc::UnboundedReceiver<Outgoing>) -> bool {
        let end = poll_fn(|cx| match self.poll(receiver, cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        })
        .await;
        self.end(&end);
        matches!(end, End::Failed(_))
    }

    /// Does all that can be done without waiting; an error is the end.
    fn poll(&mut self, receiver: &mut mpsc::UnboundedReceiver<Outgoing>, cx: &mut Context<'_>) -> Result<(), End> {
        let now = clock::now();
        self.poll_read(now, cx)?;
        while self.closing.is_none()
            && let Poll::Ready(outgoing) = receiver.poll_recv(cx)
        {
            match outgoing {
                Some(Outgoing { request, deadline, reply }) => {
                    self.pipeline.submit(request, deadline + self.pipeline.muted_for(now), reply);
                }
                None => self.closing = Some(now + CLOSING),
            }
        }
        self.poll_write(now, cx)?;
        self.poll_closing(now)?;
        self.poll_timer(now, cx)?;
        self.health.store(!self.pipeline.is_overdue(), Ordering::Relaxed);
        Ok(())
    }

    /// Without a handle, ends as soon as what was handed over is written and nobody waits for an answer.
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
                    Some(Write::Refused(reply, error)) => reply.send(Err(error.at_broker(self.peer.as_str()))),
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
            // The mute is over, perhaps.
            self.poll_write(now, cx)?;
            self.poll_closing(now)?;
            if self.pipeline.poll_timeout() == Some(next) {
                return Ok(());
            }
        }
    }

    /// Answers everybody who still waits.
    fn end(&mut self, end: &End) {
        let error = match end {
            End::Failed(error) => {
                tracing::debug!(%error, peer = self.peer, "connection ended");
                error.clone()
            }
            End::Idle => Error::new(Kind::Connect, "the connection was idle and was closed"),
            End::Unused => Error::new(Kind::Connect, "the connection is not wanted any more"),
        };
        let error = error.at_broker(self.peer.as_str());
        for (reply, written) in self.unwritten.close() {
            reply.send(Err(error.clone().in_api("Produce").written(written)));
        }
        for (reply, error) in self.pipeline.close(&error) {
            reply.send(Err(error));
        }
    }
}
