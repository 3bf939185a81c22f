//! Requests and answers of one connection, in order.
//!
//! A broker answers in the order it was asked. A request waits here until it may be written, then until its answer comes.
//! The first answer that does not fit, and the first deadline that passes on a written request, end the connection: what
//! comes after could be taken for something else.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::wire::Api;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::Versions;
use crate::wire::request::correlation;

/// The longest that a broker may silence a client (KIP-219); more is taken for nonsense.
const THROTTLE_MAX: Duration = Duration::from_secs(300);

/// One connection after its versions were agreed on. `R` is whatever the caller wants back with an answer.
#[derive(Debug)]
pub struct Pipeline<R> {
    client_id: String,
    versions: Versions,
    next_correlation: i32,
    waiting: VecDeque<Waiting<R>>,
    in_flight: VecDeque<InFlight<R>>,
    in_flight_max: usize,
    muted_until: Option<Instant>,
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
    deadline: Instant,
    reply: R,
}

/// What [`Pipeline::poll_write`] asks for.
#[derive(Debug)]
pub enum Write<R> {
    /// Write these pieces. If a reply is there, the request is answered by having been written.
    Frame(VecDeque<Bytes>, Option<R>),
    /// The request cannot be sent to this broker; nothing is to be written.
    Refused(R, Error),
}

impl<R> Pipeline<R> {
    pub fn new(client_id: String, versions: Versions, in_flight_max: usize) -> Self {
        Self {
            client_id,
            versions,
            next_correlation: 0,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            in_flight_max: in_flight_max.max(1),
            muted_until: None,
        }
    }

    /// Takes a request that is to be answered by `deadline`; see [`Self::muted_for`].
    pub fn submit(&mut self, request: Request, deadline: Instant, reply: R) {
        self.waiting.push_back(Waiting { request, deadline, reply });
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// The next thing to write, if anything may be written.
    pub fn poll_write(&mut self, now: Instant) -> Option<Write<R>> {
        if self.in_flight.len() >= self.in_flight_max || self.muted_until.is_some_and(|until| now < until) {
            return None;
        }
        self.muted_until = None;
        let Waiting { request, deadline, reply } = self.waiting.pop_front()?;
        let api = request.api();
        if deadline <= now {
            // Written now, it would be overdue at once and take the connection with it.
            let error = Error::new(Kind::Timeout, "the deadline passed before the request could be sent");
            return Some(Write::Refused(reply, error.in_api(api.name()).written(Written::No)));
        }
        let Some(version) = self.versions.pick(api, request.version_max()) else {
            let error = Error::new(Kind::Unsupported, "the broker does not speak a version that this client does");
            return Some(Write::Refused(reply, error.in_api(api.name()).written(Written::No)));
        };
        let correlation = self.next_correlation;
        let parts = match request.encode(version, correlation, &self.client_id) {
            Ok(parts) => parts,
            Err(error) => {
                let error = Error::config("could not encode the request").caused_by(error);
                return Some(Write::Refused(reply, error.in_api(api.name()).written(Written::No)));
            }
        };
        // SASL keeps the last few ids for itself; zero follows long before.
        self.next_correlation = (self.next_correlation + 1) & 0x3fff_ffff;
        if !request.expects_response() {
            return Some(Write::Frame(parts, Some(reply)));
        }
        self.in_flight.push_back(InFlight { correlation, api, version, deadline, reply });
        Some(Write::Frame(parts, None))
    }

    /// Takes a frame: answers whose it is, and what it says. An error ends the connection.
    pub fn handle_frame(&mut self, now: Instant, frame: Bytes) -> Result<(R, Response), (Option<R>, Error)> {
        let id = correlation(&frame).map_err(|error| (None, Error::from(error)))?;
        match self.in_flight.front() {
            Some(oldest) if oldest.correlation == id => {}
            Some(oldest) => {
                let text = format!("answer {id} arrived where {} was due", oldest.correlation);
                return Err((None, Error::protocol(text).in_api(oldest.api.name())));
            }
            None => return Err((None, Error::protocol(format!("answer {id} arrived, and nothing was asked")))),
        }
        let InFlight { api, version, reply, .. } = self.in_flight.pop_front().expect("the oldest was there");
        let response = match Response::decode(api, version, frame) {
            Ok(response) => response,
            Err(error) => return Err((Some(reply), Error::from(error).in_api(api.name()).written(Written::Maybe))),
        };
        self.mute(now, Duration::from_millis(u64::try_from(response.throttle_time_ms()).unwrap_or(0)));
        Ok((reply, response))
    }

    /// Writes nothing for as long as the broker asks to be left alone (KIP-219).
    ///
    /// A broker does not read from a connection that it throttles either, so no deadline counts this time: not of what waits,
    /// and not of what was written before.
    pub fn mute(&mut self, now: Instant, throttle: Duration) {
        let until = now + throttle.min(THROTTLE_MAX);
        let longer = until.saturating_duration_since(now + self.muted_for(now));
        if longer.is_zero() {
            return;
        }
        self.muted_until = Some(until);
        let waiting = self.waiting.iter_mut().map(|waiting| &mut waiting.deadline);
        for deadline in waiting.chain(self.in_flight.iter_mut().map(|in_flight| &mut in_flight.deadline)) {
            *deadline += longer;
        }
    }

    /// How much longer nothing is written.
    pub fn muted_for(&self, now: Instant) -> Duration {
        self.muted_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Where the answers that are due will go.
    pub fn replies(&self) -> impl Iterator<Item = &R> {
        let in_flight = self.in_flight.iter().map(|in_flight| &in_flight.reply);
        in_flight.chain(self.waiting.iter().map(|waiting| &waiting.reply))
    }

    /// Gives up requests whose deadline passed before they were written.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(R, Error)> {
        let mut expired = Vec::new();
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
        expired
    }

    /// Whether a written request was not answered in time, which ends the connection.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.in_flight.iter().any(|in_flight| in_flight.deadline <= now)
    }

    /// When something happens by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|waiting| waiting.deadline).min();
        let in_flight = self.in_flight.iter().map(|in_flight| in_flight.deadline).min();
        let muted = self.muted_until.filter(|_| !self.waiting.is_empty());
        [waiting, in_flight, muted].into_iter().flatten().min()
    }

    /// Ends the connection because it was lost. See [`Self::close`].
    pub fn lost(&mut self) -> Vec<(R, Error)> {
        self.close(&Error::new(Kind::Connect, "the connection was lost"))
    }

    /// Ends the connection: answers everybody. Whether a written request was carried out is not known.
    pub fn close(&mut self, error: &Error) -> Vec<(R, Error)> {
        let sent = self.in_flight.drain(..).map(|sent| {
            let error = error.clone().in_api(sent.api.name()).written(Written::Maybe);
            (sent.reply, error)
        });
        let mut answers: Vec<_> = sent.collect();
        answers.extend(self.waiting.drain(..).map(|waiting| {
            let error = error.clone().in_api(waiting.request.api().name()).written(Written::No);
            (waiting.reply, error)
        }));
        answers
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to start at some time")]

    use super::*;
    use crate::wire::message::ApiVersionsRequest;
    use crate::wire::message::ApiVersionsResponse;
    use crate::wire::message::InitProducerIdRequest;

    fn pipeline() -> Pipeline<u32> {
        let apis = Api::ALL.map(|api| (api.key(), api.versions().0, api.versions().1)).to_vec();
        let versions = Versions::agree(&ApiVersionsResponse { apis, ..ApiVersionsResponse::default() });
        Pipeline::new("test".into(), versions, 2)
    }

    fn answer(id: i32) -> Bytes {
        // An ApiVersions response of version 4 that lists nothing.
        [&id.to_be_bytes()[..], &[0, 0, 1, 0, 0, 0, 0, 0]].concat().into()
    }

    #[test]
    fn no_more_is_written_than_may_be_in_flight() {
        let now = Instant::now();
        let mut pipeline = pipeline();
        for reply in 0..3 {
            pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), reply);
        }
        assert!(pipeline.poll_write(now).is_some());
        assert!(pipeline.poll_write(now).is_some());
        assert!(pipeline.poll_write(now).is_none());
        assert!(matches!(pipeline.handle_frame(now, answer(0)), Ok((0, _))));
        assert!(pipeline.poll_write(now).is_some());
    }

    #[test]
    fn an_answer_out_of_turn_ends_the_connection_and_says_what_may_have_happened() {
        let now = Instant::now();
        let mut pipeline = pipeline();
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), 7);
        assert!(pipeline.poll_write(now).is_some());
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), 8);
        let (_, error) = pipeline.handle_frame(now, answer(5)).expect_err("not the one that was due");
        let answers = pipeline.close(&error);
        let written: Vec<_> = answers.iter().map(|(reply, error)| (*reply, error.is_written())).collect();
        assert_eq!(written, [(7, Some(Written::Maybe)), (8, Some(Written::No))]);
    }

    #[test]
    fn a_request_that_was_not_written_in_time_never_left() {
        let now = Instant::now();
        let mut pipeline = pipeline();
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now, 7);
        let expired = pipeline.handle_timeout(now);
        assert_eq!(expired[0].1.is_written(), Some(Written::No));
        assert!(pipeline.is_idle());
    }

    /// An InitProducerId response of version 1: throttled for so long, an error, no identity.
    fn throttled(id: i32, millis: i32) -> Bytes {
        [&id.to_be_bytes()[..], &millis.to_be_bytes(), &[0, 15], &[0xff; 10]].concat().into()
    }

    #[test]
    fn throttling_silences_the_connection_and_counts_for_no_deadline() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let apis = vec![(Api::InitProducerId.key(), 0, 1), (Api::ApiVersions.key(), 0, 4)];
        let versions = Versions::agree(&ApiVersionsResponse { apis, ..ApiVersionsResponse::default() });
        let mut pipeline = Pipeline::new("test".into(), versions, 2);
        pipeline.submit(Request::InitProducerId(InitProducerIdRequest::default()), now + second, 1);
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + second, 2);
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + second, 3);
        assert!(pipeline.poll_write(now).is_some() && pipeline.poll_write(now).is_some());
        assert!(pipeline.handle_frame(now, throttled(0, 5_000)).is_ok());
        assert_eq!(pipeline.muted_for(now + second), 4 * second);
        assert!(pipeline.poll_write(now + 4 * second).is_none(), "the third waits");
        assert!(!pipeline.is_overdue(now + 5 * second), "the second is not late: the broker did not read it");
        assert!(pipeline.handle_timeout(now + 5 * second).is_empty());
        assert!(pipeline.poll_write(now + 5 * second).is_some());
        assert!(pipeline.is_overdue(now + 6 * second));
    }

    #[test]
    fn throttling_that_overlaps_counts_once() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut pipeline = pipeline();
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + second, 1);
        pipeline.mute(now, 4 * second);
        pipeline.mute(now + second, second);
        pipeline.mute(now + 2 * second, 4 * second);
        assert_eq!(pipeline.muted_for(now), 6 * second);
        assert_eq!(pipeline.poll_timeout(), Some(now + 6 * second));
        assert!(pipeline.handle_timeout(now + 6 * second).is_empty());
        assert_eq!(pipeline.handle_timeout(now + 7 * second).len(), 1);
    }

    #[test]
    fn a_connection_is_idle_when_nothing_waits_and_nothing_is_due() {
        let now = Instant::now();
        let mut pipeline = pipeline();
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), 7);
        assert!(!pipeline.is_idle(), "it waits");
        assert_eq!(pipeline.replies().collect::<Vec<_>>(), [&7]);
        assert!(pipeline.poll_write(now).is_some());
        assert!(!pipeline.is_idle(), "its answer is due");
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), 8);
        assert_eq!(pipeline.replies().collect::<Vec<_>>(), [&7, &8]);
        let lost: Vec<_> = pipeline.lost().into_iter().map(|(reply, error)| (reply, error.kind())).collect();
        assert_eq!(lost, [(7, Kind::Connect), (8, Kind::Connect)]);
        assert!(pipeline.is_idle());
    }

    #[test]
    fn correlation_ids_count_up_and_start_over_before_those_that_sasl_uses() {
        let now = Instant::now();
        let mut pipeline = pipeline();
        pipeline.next_correlation = 0x3fff_ffff;
        for (reply, id) in [(1, 0x3fff_ffff), (2, 0), (3, 1)] {
            pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), reply);
            assert!(pipeline.poll_write(now).is_some());
            assert!(matches!(pipeline.handle_frame(now, answer(id)), Ok((whose, _)) if whose == reply));
        }
    }
}
