//! Requests and responses of one connection, in order.
//!
//! ```text
//! waiting ──written──→ in flight ──response──→ done
//!    │                     │ deadline
//!    │ deadline            ↓
//!    ↓                 abandoned ──response──→ dropped
//! not written              │ limit
//!                          ↓
//!                  the connection ends
//! ```
//!
//! A broker executes the requests of a connection one after another and responds in that order. A response that does not fit ends
//! the connection, because the next one could be taken for the response to another request.
//!
//! When the deadline of a written request passes, its caller gets an error and the response is abandoned: it is still due, and is
//! dropped when it arrives. The connection lives on for the requests of other callers. It ends when the broker has left a request
//! without a response for the whole request timeout since it was written, or until the caller's own deadline where that is later (a
//! long poll). While an abandoned response is due nothing more is written: the broker would not execute it yet, and a request that
//! stays here expires as *not written*.
//!
//! The session of an authenticated connection may end (KIP-368). From some time before that on, the next request is not written but
//! asks for another authentication ([`Write::Renew`]), and waits with all that come after it. The requests of the authentication go
//! ahead of them, behind those in flight, whose responses arrive first. Deadlines hold meanwhile. A broker refuses renewals that follow
//! each other too closely, and accepts one after the session has ended: after a very short session, requests wait for their renewal.
//!
//! A Produce request is never abandoned: its deadline ends the connection. Its bytes are part of the producer's buffer, which
//! takes them back when the request fails, and an ended connection is what guarantees that no copy of them waits to be written.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use super::login::Due;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::metrics::ConnectionCounters;
use crate::wire::Api;
use crate::wire::DecodeError;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::Versions;
use crate::wire::request::correlation;

/// The longest throttle time that is respected (KIP-219); a longer one makes no sense.
const THROTTLE_MAX: Duration = Duration::from_secs(300);

/// The ids of requests are below this; those of set-up and authentication, of which no response must be taken for another's, are above.
const AHEAD_FIRST: i32 = 0x4000_0000;
const CORRELATION_MASK: i32 = AHEAD_FIRST - 1;

/// One connection on which versions are agreed. `R` is returned with each response.
#[derive(Debug)]
pub struct Pipeline<R> {
    client_id: String,
    versions: Versions,
    next_correlation: i32,
    waiting: VecDeque<Waiting<R>>,
    in_flight: VecDeque<InFlight<R>>,
    in_flight_max: usize,
    /// How many of those in flight are abandoned.
    abandoned: usize,
    request_timeout: Duration,
    muted_until: Option<Instant>,
    /// `None` if the session never ends.
    renewal: Option<Renewal<R>>,
    next_ahead: i32,
    /// Counts since [`Pipeline::take_counters`].
    counters: ConnectionCounters,
}

/// A session that ends.
#[derive(Debug)]
enum Renewal<R> {
    /// Requests are written until it is due.
    Due(Due),
    /// Requests wait for the end of another authentication, which may have a request of its own to send.
    Parked(Option<(Request, R)>),
}

#[derive(Debug)]
struct Waiting<R> {
    request: Request,
    deadline: Instant,
    reply: R,
}

#[derive(Debug)]
struct InFlight<R> {
    correlation: i32,
    api: Api,
    version: i16,
    written: Instant,
    deadline: Instant,
    /// The connection ends when there is no response by then. Not before the deadline.
    limit: Instant,
    /// `None` once the response is abandoned.
    reply: Option<R>,
}

impl<R> InFlight<R> {
    /// When something happens to this request if no response arrives.
    fn timeout(&self) -> Instant {
        if self.reply.is_some() { self.deadline } else { self.limit }
    }
}

/// The result of [`Pipeline::poll_write`].
#[derive(Debug)]
pub enum Write<R> {
    /// Write these pieces. With a reply, the request has no response: it is acknowledged once it is written.
    Frame(VecDeque<Bytes>, Option<R>),
    /// The request cannot be sent to this broker; nothing is to be written.
    Refused(R, Error),
    /// Nothing is to be written: authenticate again, by [`Pipeline::submit_ahead`], then call [`Pipeline::renew_at`].
    Renew,
}

/// A frame that is not the response that was due: why, and whose response it should have been if that is known.
pub type Misfit<R> = (Option<R>, Error);

impl<R> Pipeline<R> {
    /// `request_timeout` is how long the broker has to respond before the connection ends.
    pub fn new(client_id: String, versions: Versions, in_flight_max: usize, request_timeout: Duration) -> Self {
        Self {
            client_id,
            versions,
            next_correlation: 0,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            in_flight_max: in_flight_max.max(1),
            abandoned: 0,
            request_timeout,
            muted_until: None,
            renewal: None,
            next_ahead: AHEAD_FIRST,
            counters: ConnectionCounters::default(),
        }
    }

    /// Takes a request that fails when there is no response by `deadline`. The caller adds [`Self::muted_for`].
    pub fn submit(&mut self, request: Request, deadline: Instant, reply: R) {
        self.waiting.push_back(Waiting { request, deadline, reply });
    }

    /// Notes when the session that has just begun is to be renewed; `None` is never. Requests that were parked go on.
    pub fn renew_at(&mut self, due: Option<Due>) {
        self.renewal = due.map(Renewal::Due);
    }

    /// Takes a request of an authentication, while the others are parked.
    pub fn submit_ahead(&mut self, request: Request, reply: R) {
        self.renewal = Some(Renewal::Parked(Some((request, reply))));
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// The next request to write, if one may be written.
    pub fn poll_write(&mut self, now: Instant) -> Option<Write<R>> {
        if self.muted_until.is_some_and(|until| now < until) {
            return None;
        }
        self.muted_until = None;
        if self.renewal.is_some()
            && let ControlFlow::Break(write) = self.poll_renewal(now)
        {
            return write;
        }
        if self.in_flight.len() >= self.in_flight_max || self.abandoned > 0 {
            return None;
        }
        let Waiting { request, deadline, reply } = self.waiting.pop_front()?;
        let api = request.api();
        if deadline <= now {
            self.counters.timeouts += 1;
            let error = Error::new(Kind::Timeout, "the deadline passed before the request could be sent");
            return Some(Write::Refused(reply, error.in_api(api.name()).written(Written::No)));
        }
        let Some(version) = self.versions.pick(api, request.version_max()) else {
            let error = unsupported(api, self.versions.theirs(api));
            return Some(Write::Refused(reply, error.in_api(api.name()).written(Written::No)));
        };
        let correlation = self.next_correlation;
        let parts = match request.encode(version, correlation, &self.client_id) {
            Ok(parts) => parts,
            Err(error) => return Some(Write::Refused(reply, not_encoded(error, api))),
        };
        self.counters.requests += 1;
        // Higher ids are those of set-up and authentication; zero follows before them.
        self.next_correlation = (self.next_correlation + 1) & CORRELATION_MASK;
        if !request.expects_response() {
            return Some(Write::Frame(parts, Some(reply)));
        }
        let limit = if api == Api::Produce { deadline } else { deadline.max(now + self.request_timeout) };
        self.in_flight.push_back(InFlight {
            correlation,
            api,
            version,
            written: now,
            deadline,
            limit,
            reply: Some(reply),
        });
        Some(Write::Frame(parts, None))
    }

    /// Parks requests once the session is to be renewed, and lets those of the authentication go ahead. Continues with
    /// the others where there is nothing to renew.
    fn poll_renewal(&mut self, now: Instant) -> ControlFlow<Option<Write<R>>> {
        match &mut self.renewal {
            None => ControlFlow::Continue(()),
            Some(Renewal::Due(due)) if due.from > now || self.waiting.is_empty() => ControlFlow::Continue(()),
            Some(Renewal::Due(due)) if due.handshake > now => ControlFlow::Break(None),
            Some(Renewal::Due(_)) => {
                self.renewal = Some(Renewal::Parked(None));
                ControlFlow::Break(Some(Write::Renew))
            }
            Some(Renewal::Parked(ahead)) => {
                let ahead = ahead.take();
                ControlFlow::Break(ahead.map(|(request, reply)| self.write_ahead(now, request, reply)))
            }
        }
    }

    /// Writes a request of an authentication. The broker looks at it after those in flight, some of which it may hold for long.
    fn write_ahead(&mut self, now: Instant, request: Request, reply: R) -> Write<R> {
        let api = request.api();
        let correlation = self.next_ahead;
        let version = self.versions.pick(api, request.version_max()).unwrap_or(0);
        let parts = match request.encode(version, correlation, &self.client_id) {
            Ok(parts) => parts,
            Err(error) => return Write::Refused(reply, not_encoded(error, api)),
        };
        self.counters.requests += 1;
        self.next_ahead = AHEAD_FIRST | (self.next_ahead + 1) & CORRELATION_MASK;
        let seen = self.in_flight.iter().map(|in_flight| in_flight.limit).max().unwrap_or(now).max(now);
        let limit = seen + self.request_timeout;
        let reply = Some(reply);
        self.in_flight.push_back(InFlight { correlation, api, version, written: now, deadline: limit, limit, reply });
        Write::Frame(parts, None)
    }

    /// Takes a frame: returns the response and whose it is, or `None` if it was abandoned. An error ends the connection.
    pub fn handle_frame(&mut self, now: Instant, frame: Bytes) -> Result<Option<(R, Response)>, Misfit<R>> {
        let id = correlation(&frame).map_err(|error| (None, Error::from(error)))?;
        match self.in_flight.front() {
            Some(oldest) if oldest.correlation == id => {}
            Some(oldest) => {
                let text = format!("response {id} arrived where {} was due", oldest.correlation);
                return Err((None, Error::protocol(text).in_api(oldest.api.name())));
            }
            None => return Err((None, Error::protocol(format!("response {id} arrived, and no request was sent")))),
        }
        let InFlight { api, version, written, reply, .. } = self.in_flight.pop_front().expect("the oldest was there");
        if reply.is_none() {
            self.abandoned -= 1;
        }
        let mut response = match Response::decode(api, version, frame) {
            Ok(response) => response,
            Err(error) => return Err((reply, Error::from(error).in_api(api.name()).written(Written::Maybe))),
        };
        if let Response::Metadata(metadata) = &mut response {
            metadata.keep_reliable_epochs(version);
        }
        self.counters.responses += 1;
        self.counters.latency.record(now.saturating_duration_since(written));
        self.mute(now, Duration::from_millis(u64::try_from(response.throttle_time_ms()).unwrap_or(0)));
        Ok(reply.map(|reply| (reply, response)))
    }

    /// Writes nothing for as long as the broker throttles the client (KIP-219).
    ///
    /// A broker does not read from a connection that it throttles either, so this time counts for no deadline, neither of requests
    /// that wait nor of those that were written before.
    pub fn mute(&mut self, now: Instant, throttle: Duration) {
        if throttle.is_zero() {
            return;
        }
        let throttle = throttle.min(THROTTLE_MAX);
        self.counters.throttles += 1;
        self.counters.throttled_ms += u64::try_from(throttle.as_millis()).expect("five minutes fit");
        let until = now + throttle;
        let longer = until.saturating_duration_since(now + self.muted_for(now));
        if longer.is_zero() {
            return;
        }
        self.muted_until = Some(until);
        for waiting in &mut self.waiting {
            waiting.deadline += longer;
        }
        for in_flight in &mut self.in_flight {
            in_flight.deadline += longer;
            in_flight.limit += longer;
        }
    }

    /// For how much longer nothing is written.
    pub fn muted_for(&self, now: Instant) -> Duration {
        self.muted_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// The destinations of the responses that callers wait for.
    pub fn replies(&self) -> impl Iterator<Item = &R> {
        let in_flight = self.in_flight.iter().filter_map(|in_flight| in_flight.reply.as_ref());
        in_flight.chain(self.waiting.iter().map(|waiting| &waiting.reply))
    }

    /// Gives up the requests whose deadline passed. Those that were written leave an abandoned response behind.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(R, Error)> {
        let mut expired = Vec::new();
        for in_flight in self.in_flight.iter_mut().filter(|in_flight| in_flight.deadline <= now) {
            let Some(reply) = in_flight.reply.take() else { continue };
            self.abandoned += 1;
            expired.push((reply, response_overdue().in_api(in_flight.api.name()).written(Written::Maybe)));
        }
        let mut left = VecDeque::with_capacity(self.waiting.len());
        for waiting in self.waiting.drain(..) {
            if waiting.deadline <= now {
                let error = Error::new(Kind::Timeout, "the deadline passed before the request could be sent");
                expired.push((waiting.reply, error.in_api(waiting.request.api().name()).written(Written::No)));
            } else {
                left.push_back(waiting);
            }
        }
        self.waiting = left;
        self.counters.timeouts += expired.len() as u64;
        expired
    }

    /// How many responses are due, abandoned ones included.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Takes the counts since the last call: requests, responses, timeouts and latencies.
    pub fn take_counters(&mut self) -> ConnectionCounters {
        std::mem::take(&mut self.counters)
    }

    /// The API of the oldest request whose response is overdue: its caller gave up, and it is still due.
    pub fn overdue(&self) -> Option<Api> {
        if self.abandoned == 0 {
            return None;
        }
        self.in_flight.iter().find(|in_flight| in_flight.reply.is_none()).map(|in_flight| in_flight.api)
    }

    /// Why the connection must end, if a response has been overdue for too long.
    pub fn poll_end(&self, now: Instant) -> Option<Error> {
        let silent = self.in_flight.iter().find(|in_flight| in_flight.limit <= now)?;
        Some(response_overdue().in_api(silent.api.name()))
    }

    /// When something happens without a further event.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|waiting| waiting.deadline).min();
        let in_flight = self.in_flight.iter().map(InFlight::timeout).min();
        let muted = self.muted_until.filter(|_| !self.waiting.is_empty());
        [waiting, in_flight, muted, self.handshake()].into_iter().flatten().min()
    }

    /// When the session may be renewed for the requests that wait.
    fn handshake(&self) -> Option<Instant> {
        let Some(Renewal::Due(Due { handshake, .. })) = self.renewal else { return None };
        let handshake = self.muted_until.map_or(handshake, |until| until.max(handshake));
        (!self.waiting.is_empty()).then_some(handshake)
    }

    /// Ends the connection because it was lost. See [`Self::close`].
    pub fn lost(&mut self) -> Vec<(R, Error)> {
        self.close(&Error::new(Kind::Connect, "the connection was lost"))
    }

    /// Ends the connection: fails every request. Whether a written one was executed is not known.
    pub fn close(&mut self, error: &Error) -> Vec<(R, Error)> {
        self.close_unsent(error, 0)
    }

    /// As [`Self::close`], where no byte of the last `unsent` requests in flight left this process: the broker never saw them.
    pub fn close_unsent(&mut self, error: &Error, unsent: usize) -> Vec<(R, Error)> {
        self.abandoned = 0;
        let sent = self.in_flight.len().saturating_sub(unsent);
        let in_flight = self.in_flight.drain(..).enumerate().filter_map(|(index, in_flight)| {
            let written = if index < sent { Written::Maybe } else { Written::No };
            let error = error.clone().in_api(in_flight.api.name()).written(written);
            Some((in_flight.reply?, error))
        });
        let mut answers: Vec<_> = in_flight.collect();
        answers.extend(self.waiting.drain(..).map(|waiting| {
            let error = error.clone().in_api(waiting.request.api().name()).written(Written::No);
            (waiting.reply, error)
        }));
        answers
    }
}

fn not_encoded(error: DecodeError, api: Api) -> Error {
    let kind = if matches!(error, DecodeError::TooOld(_)) { Kind::Unsupported } else { Kind::Config };
    Error::new(kind, "could not encode the request").caused_by(error).in_api(api.name()).written(Written::No)
}

fn response_overdue() -> Error {
    Error::new(Kind::Timeout, "the broker did not respond in time")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

/// The error of a request that the broker does not support, in `theirs` of its versions.
fn unsupported(api: Api, theirs: Option<(i16, i16)>) -> Error {
    let (low, high) = api.versions();
    let text = match theirs {
        // Every broker serves metadata. A controller serves fetches, and accepts connections like a broker.
        None if api == Api::Metadata => {
            "this is the port of a controller, not of a broker: name a listener of a broker".to_owned()
        }
        None => "the broker does not support this request: it needs a newer Kafka".to_owned(),
        Some((first, last)) => format!(
            "the broker supports versions {first} to {last} of this request, and this client {low} to {high}: one of them is too old"
        ),
    };
    Error::new(Kind::Unsupported, text)
}
