//! The front of the mock: request frames in, responses out, and the requests that wait in between.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::mock::api;
use crate::mock::api::Answer;
use crate::mock::api::Call;
use crate::mock::api::Pending;
use crate::mock::api::request::AnyRequest;
use crate::mock::builder::Builder;
use crate::mock::fault::End;
use crate::mock::fault::Scripts;
use crate::mock::fault::Strike;
use crate::mock::frame;
use crate::mock::frame::Envelope;
use crate::mock::seen::Journal;
use crate::mock::seen::SeenRequest;
use crate::mock::state::Broker;
use crate::mock::state::State;

/// The outcome of a request.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use bytes::Bytes;
/// use ottla::mock::{Cluster, Outcome};
///
/// let mut cluster = Cluster::builder().build();
/// let noise = Bytes::from_static(b"\0\0\0\x03GET");
/// assert_eq!(cluster.handle(Instant::now(), 0, 1, 1, noise), Outcome::Close);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection is closed: the request is malformed or of an unsupported version, or a fault closes it.
    Close,
    /// These bytes are sent: a whole frame with its size prefix, or a part of one after
    /// [`Fault::CutReply`](crate::mock::Fault::CutReply) or [`Fault::Drip`](crate::mock::Fault::Drip). [`Cluster::poll`]
    /// returns the rest.
    Reply(Bytes),
    /// There is no response: `acks` is 0, or a fault suppresses it.
    Silent,
    /// [`Cluster::poll`] will return the response.
    Wait,
}

/// Several brokers in one value, without socket, task or clock.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
///
/// use bytes::Bytes;
/// use ottla::mock::{Cluster, Outcome};
///
/// let mut cluster = Cluster::builder().brokers(3).topic("events", 6).build();
/// // ApiVersions, version 0, correlation id 7, no client id.
/// let request = Bytes::from_static(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]);
/// let outcome = cluster.handle(Instant::now(), 0, 1, 1, request);
/// let Outcome::Reply(reply) = outcome else { panic!("{outcome:?}") };
/// assert_eq!(reply[4..8], [0, 0, 0, 7]);
/// ```
#[derive(Debug)]
pub struct Cluster {
    pub(super) state: State,
    pub(super) scripts: Scripts,
    pub(super) journal: Journal,
    /// Connections whose oldest request waits, with the requests behind it.
    parked: HashMap<u64, Parked>,
    ready: VecDeque<(u64, Outcome)>,
    /// The last wall-clock time that the caller passed, and when.
    pub(super) unix: Option<(Instant, i64)>,
    /// The number of changes of the state when the waiting requests were last checked.
    looked_at: u64,
}

#[derive(Debug)]
struct Parked {
    broker: i32,
    /// When it is served at the latest; `None` where only a change of the cluster ends its wait.
    until: Option<Instant>,
    waiting: Waiting,
    behind: VecDeque<(i32, Bytes)>,
}

#[derive(Debug)]
enum Waiting {
    /// The outcome that is due at `until`, and those after it, each after a pause.
    Emission(Outcome, VecDeque<(Duration, Outcome)>),
    /// A request that waits for the cluster to change: a long poll, say.
    Pending(Box<Pending>, Box<Strike>),
    /// A request that is not read before its time.
    Held(Box<(Call, AnyRequest, Strike)>),
}

impl Cluster {
    /// Builds a cluster, which has one broker and no topic by default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn new(state: State) -> Self {
        let journal = Journal::new(state.settings.requests_kept);
        Self {
            state,
            scripts: Scripts::default(),
            journal,
            parked: HashMap::new(),
            ready: VecDeque::new(),
            unix: None,
            looked_at: 0,
        }
    }

    /// Takes one request frame, with its size prefix, that arrived at `broker` on `connection`.
    ///
    /// The caller numbers the connections; no two live connections may share a number, even at different brokers.
    /// A broker answers the requests of a connection one after the other: a request waits behind one that waits.
    pub fn handle(&mut self, now: Instant, unix_ms: i64, broker: i32, connection: u64, frame: Bytes) -> Outcome {
        self.unix = Some((now, unix_ms));
        self.state.advance(now);
        if let Some(parked) = self.parked.get_mut(&connection) {
            parked.behind.push_back((broker, frame));
            return Outcome::Wait;
        }
        let outcome = self.begin(now, unix_ms, broker, connection, frame);
        // A response must not overtake an earlier one that was not polled yet.
        let overtakes = self.ready.iter().any(|(other, _)| *other == connection);
        if overtakes && matches!(outcome, Outcome::Reply(_) | Outcome::Close) {
            self.ready.push_back((connection, outcome));
            return Outcome::Wait;
        }
        outcome
    }

    /// Returns the next response that had to wait, with its connection: a [`Outcome::Reply`] or a [`Outcome::Close`].
    pub fn poll(&mut self, now: Instant) -> Option<(u64, Outcome)> {
        if self.ready.is_empty() {
            self.state.advance(now);
            self.finish_parked(now);
        }
        self.ready.pop_front()
    }

    /// When [`Cluster::poll`] has something to do if nothing else happens first: a response is due, or the session of a member
    /// ends.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let parked = self.parked.values().filter_map(|parked| parked.until).min();
        [parked, self.state.poll_timeout()].into_iter().flatten().min()
    }

    /// Takes the time before a command of a test.
    pub(super) fn advance(&mut self, now: Instant) {
        self.state.advance(now);
    }

    /// When something is due in a group.
    pub(super) fn groups_timeout(&self) -> Option<Instant> {
        self.state.poll_timeout()
    }

    /// Whether a connection has a request whose response is not complete.
    pub(super) fn is_waiting(&self, connection: u64) -> bool {
        self.parked.contains_key(&connection)
    }

    /// Forgets the waiting requests of a connection that was closed. Those behind them are never served.
    pub fn disconnect(&mut self, connection: u64) {
        self.parked.remove(&connection);
        self.ready.retain(|(other, _)| *other != connection);
        self.state.sasl.forget(connection);
    }

    /// Sets the address under which clients reach a broker.
    pub fn advertise(&mut self, broker: i32, host: &str, port: u16) {
        if let Some(known) = self.state.brokers.get_mut(&broker) {
            host.clone_into(&mut known.host);
            known.port = port;
        }
    }

    /// The live broker that clients find at this port.
    pub(super) fn advertised_at(&self, port: u16) -> Option<i32> {
        let at = |(id, broker): (&i32, &Broker)| (broker.up && broker.port == port).then_some(*id);
        self.state.brokers.iter().find_map(at)
    }

    /// The ids of all brokers, ascending.
    pub fn brokers(&self) -> Vec<i32> {
        self.state.brokers.keys().copied().collect()
    }

    /// The advertised addresses of all live brokers, in the form of `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        let live = self.state.brokers.values().filter(|broker| broker.up);
        live.map(|broker| format!("{}:{}", broker.host, broker.port)).collect::<Vec<_>>().join(",")
    }

    /// Reads a request, logs it, and answers it unless it has to wait.
    fn begin(&mut self, now: Instant, unix_ms: i64, broker: i32, connection: u64, mut body: Bytes) -> Outcome {
        let size = body.len().saturating_sub(4);
        if !self.state.is_up(broker) {
            return Outcome::Close;
        }
        let Some(envelope) = frame::read_header(&mut body) else { return Outcome::Close };
        let Envelope { api_key, version, correlation_id, client_id } = envelope;
        let client = client_id.clone();
        let request = AnyRequest::read(&self.state, api_key, version, body);
        let mut seen = SeenRequest {
            at: now,
            broker,
            connection,
            api_key,
            version,
            correlation_id,
            client_id,
            size,
            name: String::new(),
            acks: None,
            session: None,
            partitions: Vec::new(),
            all_topics: false,
        };
        let mut strike = Strike::default();
        if let Some(request) = &request {
            request.describe(&self.state, &mut seen);
            if !self.scripts.is_empty() {
                strike = self.scripts.strike(&seen, &request.fetched(&self.state, broker));
            }
        }
        self.journal.add(seen);
        let Some(request) = request else { return Outcome::Close };
        if !self.state.admits(now, connection, api_key) {
            return Outcome::Close;
        }
        let throttle_ms = strike.throttle_ms.unwrap_or(self.state.throttle_ms);
        let (mut errors, mut late_errors) = (strike.errors.clone(), strike.late_errors.clone());
        if !request.has_effect() {
            errors.extend(&std::mem::take(&mut late_errors));
        }
        let call = Call {
            now,
            unix_ms,
            broker,
            connection,
            version,
            correlation_id,
            client_id: client,
            throttle_ms,
            errors,
            late_errors,
            corrupt: strike.corrupt,
        };
        if strike.hold.is_zero() {
            return self.apply(connection, &call, request, strike);
        }
        let until = now + strike.hold;
        self.park(connection, broker, Some(until), Waiting::Held(Box::new((call, request, strike))));
        Outcome::Wait
    }

    /// Applies a request, unless a fault ends it first.
    fn apply(&mut self, connection: u64, call: &Call, request: AnyRequest, strike: Strike) -> Outcome {
        let (now, broker) = (call.now, call.broker);
        let early = match strike.end {
            Some(End::CloseBefore) => Some(Outcome::Close),
            Some(End::Swallowed) => Some(Outcome::Silent),
            _ => None,
        };
        if let Some(outcome) = early {
            return self.emit(now, broker, connection, outcome, &strike);
        }
        let outcome = match api::dispatch(&mut self.state, call, request) {
            Answer::Close => Outcome::Close,
            Answer::Reply(frame) => Outcome::Reply(frame),
            Answer::Silent => Outcome::Silent,
            // No client would see the response. That of a member is lost when it is due: until then the others see it wait.
            Answer::Park(pending)
                if !pending.is_of_group() && matches!(strike.end, Some(End::CloseAfter | End::Lost)) =>
            {
                Outcome::Silent
            }
            Answer::Park(pending) => {
                self.park(connection, broker, pending.until(), Waiting::Pending(pending, Box::new(strike)));
                return Outcome::Wait;
            }
        };
        self.emit(now, broker, connection, outcome, &strike)
    }

    /// Applies the faults to an outcome, and returns the part of it that is due.
    fn emit(&mut self, now: Instant, broker: i32, connection: u64, outcome: Outcome, strike: &Strike) -> Outcome {
        let mut parts = strike.shape(outcome);
        let (delay, first) = parts.pop_front().unwrap_or((Duration::ZERO, Outcome::Silent));
        if !delay.is_zero() {
            self.park(connection, broker, Some(now + delay), Waiting::Emission(first, parts));
            return Outcome::Wait;
        }
        self.go_on(now, broker, connection, parts);
        first
    }

    fn go_on(&mut self, now: Instant, broker: i32, connection: u64, mut parts: VecDeque<(Duration, Outcome)>) {
        if let Some((pause, next)) = parts.pop_front() {
            self.park(connection, broker, Some(now + pause), Waiting::Emission(next, parts));
        }
    }

    fn park(&mut self, connection: u64, broker: i32, until: Option<Instant>, waiting: Waiting) {
        self.parked.insert(connection, Parked { broker, until, waiting, behind: VecDeque::new() });
    }

    /// Moves to `ready` the requests whose wait is over, and those behind them.
    fn finish_parked(&mut self, now: Instant) {
        let changed = self.looked_at != self.state.changes;
        self.looked_at = self.state.changes;
        let state = &self.state;
        let done = |parked: &Parked| {
            parked.until.is_some_and(|until| until <= now)
                || changed
                    && match &parked.waiting {
                        _ if !state.is_up(parked.broker) => true,
                        Waiting::Pending(pending, _) => pending.is_ready(state),
                        Waiting::Emission(..) | Waiting::Held(_) => false,
                    }
        };
        let mut due: Vec<u64> = self.parked.iter().filter(|(_, parked)| done(parked)).map(|(id, _)| *id).collect();
        // The order of the map differs between runs.
        due.sort_unstable();
        for connection in due {
            self.finish(now, connection);
        }
    }

    fn finish(&mut self, now: Instant, connection: u64) {
        let Some(Parked { broker, waiting, mut behind, .. }) = self.parked.remove(&connection) else { return };
        let unix_ms = self.unix_ms(now);
        let mut outcome = match waiting {
            _ if !self.state.is_up(broker) => Outcome::Close,
            Waiting::Emission(outcome, rest) => {
                self.go_on(now, broker, connection, rest);
                outcome
            }
            Waiting::Pending(pending, strike) => {
                let outcome = pending.finish(&mut self.state).map_or(Outcome::Close, Outcome::Reply);
                self.emit(now, broker, connection, outcome, &strike)
            }
            Waiting::Held(held) => {
                let (call, request, strike) = *held;
                self.apply(connection, &Call { now, unix_ms, ..call }, request, strike)
            }
        };
        loop {
            match outcome {
                Outcome::Close => {
                    self.parked.remove(&connection);
                    return self.ready.push_back((connection, outcome));
                }
                Outcome::Reply(_) => self.ready.push_back((connection, outcome)),
                Outcome::Silent | Outcome::Wait => {}
            }
            if let Some(parked) = self.parked.get_mut(&connection) {
                parked.behind = behind;
                return;
            }
            let Some((broker, frame)) = behind.pop_front() else { return };
            outcome = self.begin(now, unix_ms, broker, connection, frame);
        }
    }

    /// The wall-clock time, counted on from the last that the caller passed.
    pub(super) fn unix_ms(&self, now: Instant) -> i64 {
        self.unix.map_or(0, |(then, unix_ms)| {
            let passed = now.saturating_duration_since(then).as_millis();
            unix_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
        })
    }
}

impl Strike {
    /// The parts that are sent instead of an outcome, each after a pause.
    fn shape(&self, outcome: Outcome) -> VecDeque<(Duration, Outcome)> {
        let frame = match (outcome, self.end) {
            (_, Some(End::CloseAfter | End::CloseBefore)) | (Outcome::Close, _) => {
                return VecDeque::from([(self.delay, Outcome::Close)]);
            }
            (_, Some(End::Lost | End::Swallowed)) | (Outcome::Silent | Outcome::Wait, _) => return VecDeque::new(),
            (Outcome::Reply(frame), _) => self.with_correlation_id(frame),
        };
        let cut = match self.end {
            Some(End::CutReply(bytes)) => Some(bytes.min(frame.len() - 1)),
            _ => None,
        };
        let mut rest = frame.slice(..cut.unwrap_or(frame.len()));
        let (piece, pause) = self.drip.unwrap_or((rest.len(), Duration::ZERO));
        let mut parts = VecDeque::new();
        while !rest.is_empty() {
            let wait = if parts.is_empty() { self.delay } else { pause };
            parts.push_back((wait, Outcome::Reply(rest.split_to(piece.min(rest.len())))));
        }
        if cut.is_some() {
            let wait = if parts.is_empty() { self.delay } else { Duration::ZERO };
            parts.push_back((wait, Outcome::Close));
        }
        parts
    }

    fn with_correlation_id(&self, frame: Bytes) -> Bytes {
        let Some(id) = self.correlation_id else { return frame };
        Bytes::from([&frame[..4], &id.to_be_bytes(), &frame[8..]].concat())
    }
}
