//! Requests, responses and time at one connection, by scripts.

#![expect(clippy::disallowed_methods, reason = "a test has to start at some time")]

use super::*;
use crate::wire::message::ApiVersionsRequest;
use crate::wire::message::ApiVersionsResponse;
use crate::wire::message::InitProducerIdRequest;
use crate::wire::message::ProduceRequest;

const SECOND: Duration = Duration::from_secs(1);

fn pipeline() -> Pipeline<u32> {
    let apis = Api::ALL.map(|api| (api.key(), api.versions().0, api.versions().1)).to_vec();
    let versions = Versions::agree(&ApiVersionsResponse { apis, ..ApiVersionsResponse::default() });
    Pipeline::new("test".into(), versions, 2, 30 * SECOND)
}

/// Plays a script against a pipeline with two requests in flight at most and a request timeout of 30 s, and compares what it does.
///
/// `ask N by S` and `produce N by S` submit request N with a deadline S seconds after the start, `at S` lets the clock reach S,
/// `respond ID` lets the response with that correlation id arrive, `mute S` is a throttle time of S seconds, `cut` and
/// `cut unsent N` lose the connection. `renew from S at T` parks requests S seconds after the start, for a handshake at T.
fn check(script: &str, expected: &str) {
    let start = Instant::now();
    let mut bench = Bench { start, now: start, pipeline: pipeline(), overdue: false, log: Vec::new() };
    for step in script.split('|') {
        bench.step(&step.split_whitespace().collect::<Vec<_>>());
    }
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    assert_eq!(bench.log, expected, "{script}");
}

struct Bench {
    start: Instant,
    now: Instant,
    pipeline: Pipeline<u32>,
    overdue: bool,
    log: Vec<String>,
}

impl Bench {
    fn step(&mut self, words: &[&str]) {
        let number = |word: &str| word.parse::<u32>().expect("a number");
        match words {
            ["ask", n, "by", s] => {
                self.pipeline.submit(
                    Request::ApiVersions(ApiVersionsRequest),
                    self.start + number(s) * SECOND,
                    number(n),
                );
            }
            ["produce", n, "by", s] => {
                let request = Request::Produce(ProduceRequest { acks: -1, ..ProduceRequest::default() });
                self.pipeline.submit(request, self.start + number(s) * SECOND, number(n));
            }
            ["at", s] => {
                let until = self.start + number(s) * SECOND;
                while let Some(due) = self.pipeline.poll_timeout().filter(|due| *due <= until) {
                    assert!(due > self.now, "a deadline that has passed is still waited for");
                    self.now = due;
                    self.timeout();
                }
                self.now = until;
            }
            ["renew", "at", s] => self.renew(number(s), number(s)),
            ["renew", "from", s, "at", later] => self.renew(number(s), number(later)),
            ["renewed"] => self.pipeline.renew_at(None),
            ["ahead", n] => {
                self.pipeline.submit_ahead(Request::ApiVersions(ApiVersionsRequest), number(n));
            }
            ["mute", s] => self.pipeline.mute(self.now, number(s) * SECOND),
            ["respond", id] => {
                let id = i32::try_from(number(id)).expect("small");
                match self.pipeline.handle_frame(self.now, response(id)) {
                    Ok(Some((n, _))) => self.log.push(format!("answered {n}")),
                    Ok(None) => self.log.push("dropped".to_owned()),
                    Err((_, error)) => self.log.push(format!("end: {error}")),
                }
            }
            ["cut"] => self.close(0),
            ["cut", "unsent", n] => self.close(number(n) as usize),
            _ => panic!("{words:?} is not a step"),
        }
        self.write();
    }

    fn renew(&mut self, from: u32, handshake: u32) {
        let due = Due { from: self.start + from * SECOND, handshake: self.start + handshake * SECOND };
        self.pipeline.renew_at(Some(due));
    }

    fn seconds(&self) -> u64 {
        (self.now - self.start).as_secs()
    }

    fn timeout(&mut self) {
        let failed = self.pipeline.handle_timeout(self.now);
        self.failed(failed);
        if let Some(error) = self.pipeline.poll_end(self.now) {
            self.log.push(format!("at {} end", self.seconds()));
            let failed = self.pipeline.close(&error);
            self.failed(failed);
        }
        self.write();
    }

    fn close(&mut self, unsent: usize) {
        let failed = self.pipeline.close_unsent(&Error::new(Kind::Connect, "the connection was lost"), unsent);
        self.failed(failed);
    }

    fn failed(&mut self, failed: Vec<(u32, Error)>) {
        for (n, error) in failed {
            let written = error.is_written().expect("it says so");
            self.log.push(format!("at {} fail {n} {:?} {written:?}", self.seconds(), error.kind()));
        }
    }

    fn write(&mut self) {
        while let Some(write) = self.pipeline.poll_write(self.now) {
            match write {
                Write::Frame(parts, None) => {
                    let head = parts[0].get(8..12).expect("a header").try_into().expect("four bytes");
                    self.log.push(format!("write #{}", i32::from_be_bytes(head)));
                }
                Write::Frame(_, Some(_)) => panic!("all requests here expect a response"),
                Write::Refused(n, error) => self.failed(vec![(n, error)]),
                Write::Renew => self.log.push(format!("at {} renew", self.seconds())),
            }
        }
        if self.pipeline.overdue().is_some() != self.overdue {
            self.overdue = !self.overdue;
            self.log.push(if self.overdue { "overdue" } else { "caught up" }.to_owned());
        }
    }
}

#[test]
fn requests_are_parked_in_order_while_the_session_is_renewed() {
    // The handshake goes behind the requests in flight, though these are as many as may be; the parked ones follow in their order.
    check(
        "renew at 5 | ask 1 by 60 | ask 2 by 60 | at 5 | ask 3 by 60 | ask 4 by 60 | ahead 10 | respond 0 | respond 1 | \
         respond 1073741824 | ahead 11 | respond 1073741825 | renewed | respond 2 | respond 3",
        "write #0
         write #1
         at 5 renew
         write #1073741824
         answered 1
         answered 2
         answered 10
         write #1073741825
         answered 11
         write #2
         write #3
         answered 3
         answered 4",
    );
}

#[test]
fn parked_requests_expire_by_their_deadlines() {
    check(
        "renew at 5 | ask 1 by 60 | at 5 | ask 2 by 8 | ask 3 by 60 | ahead 10 | at 9 | respond 0 | respond 1073741824 | renewed",
        "write #0
         at 5 renew
         write #1073741824
         at 8 fail 2 Timeout No
         answered 1
         answered 10
         write #1",
    );
}

#[test]
fn session_is_renewed_only_when_something_is_to_be_sent() {
    check(
        "renew at 5 | ask 1 by 60 | respond 0 | at 50 | ask 2 by 60 | ahead 10 | cut",
        "write #0
         answered 1
         at 50 renew
         write #1073741824
         at 50 fail 10 Connect Maybe
         at 50 fail 2 Connect No",
    );
}

#[test]
fn requests_wait_for_a_renewal_that_would_come_too_soon() {
    check(
        "renew from 5 at 9 | ask 1 by 60 | at 6 | ask 2 by 60 | ask 3 by 8 | respond 0 | at 20 | ahead 10 | respond 1073741824 | renewed",
        "write #0
         answered 1
         at 8 fail 3 Timeout No
         at 9 renew
         write #1073741824
         answered 10
         write #1",
    );
}

#[test]
fn throttle_delays_a_renewal() {
    check(
        "renew from 5 at 9 | at 6 | ask 1 by 60 | mute 20 | at 30 | ahead 10 | respond 1073741824 | renewed",
        "at 26 renew
         write #1073741824
         answered 10
         write #0",
    );
}

#[test]
fn silence_after_the_handshake_counts_from_the_responses_before_it() {
    check(
        "renew at 5 | ask 1 by 50 | at 5 | ask 2 by 300 | ahead 10 | at 100",
        "write #0
         at 5 renew
         write #1073741824
         at 50 fail 1 Timeout Maybe
         at 50 end
         at 50 fail 10 Timeout Maybe
         at 50 fail 2 Timeout No",
    );
}

#[test]
fn deadline_of_one_request_leaves_the_connection_to_others() {
    check(
        "ask 1 by 5 | ask 2 by 30 | at 8 | respond 0 | respond 1",
        "write #0
         write #1
         at 5 fail 1 Timeout Maybe
         overdue
         dropped
         caught up
         answered 2",
    );
}

#[test]
fn silence_for_the_request_timeout_ends_the_connection() {
    check(
        "ask 1 by 5 | ask 2 by 60 | at 60 | cut",
        "write #0
         write #1
         at 5 fail 1 Timeout Maybe
         overdue
         at 30 end
         at 30 fail 2 Timeout Maybe
         caught up",
    );
}

#[test]
fn request_timeout_counts_from_the_write() {
    check(
        "ask 1 by 60 | ask 2 by 60 | ask 3 by 25 | at 20 | respond 0 | respond 1 | at 60",
        "write #0
         write #1
         answered 1
         write #2
         answered 2
         at 25 fail 3 Timeout Maybe
         overdue
         at 50 end
         caught up",
    );
}

#[test]
fn later_deadline_of_a_long_poll_postpones_the_end() {
    check(
        "ask 1 by 40 | at 20 | ask 2 by 31 | at 39 | respond 0 | respond 1",
        "write #0
         write #1
         at 31 fail 2 Timeout Maybe
         overdue
         answered 1
         dropped
         caught up",
    );
    check("ask 1 by 40 | at 60", "write #0\n at 40 fail 1 Timeout Maybe\n at 40 end");
}

#[test]
fn request_behind_an_overdue_response_expires_as_not_written() {
    check(
        "ask 1 by 5 | at 6 | ask 2 by 8 | ask 3 by 20 | at 10 | respond 0 | respond 1",
        "write #0
         at 5 fail 1 Timeout Maybe
         overdue
         at 8 fail 2 Timeout No
         dropped
         write #1
         caught up
         answered 3",
    );
}

#[test]
fn overdue_produce_request_ends_the_connection() {
    check(
        "produce 1 by 5 | produce 2 by 20 | produce 3 by 20 | at 6",
        "write #0
         write #1
         at 5 fail 1 Timeout Maybe
         at 5 end
         at 5 fail 2 Timeout Maybe
         at 5 fail 3 Timeout No",
    );
}

#[test]
fn mute_time_counts_for_no_deadline_and_not_for_the_end() {
    check(
        "ask 1 by 5 | mute 10 | at 60",
        "write #0
         at 15 fail 1 Timeout Maybe
         overdue
         at 40 end
         caught up",
    );
}

#[test]
fn mute_that_ends_under_a_full_pipeline_is_not_waited_for_again() {
    check(
        "ask 1 by 20 | ask 2 by 20 | ask 3 by 9 | mute 2 | at 12 | respond 0 | respond 1",
        "write #0
         write #1
         at 11 fail 3 Timeout No
         answered 1
         answered 2",
    );
}

#[test]
fn lost_connection_tells_sent_requests_from_unsent_ones() {
    check(
        "ask 1 by 9 | ask 2 by 9 | ask 3 by 9 | cut",
        "write #0\n write #1\n at 0 fail 1 Connect Maybe\n at 0 fail 2 Connect Maybe\n at 0 fail 3 Connect No",
    );
    check(
        "ask 1 by 9 | ask 2 by 9 | cut unsent 1",
        "write #0\n write #1\n at 0 fail 1 Connect Maybe\n at 0 fail 2 Connect No",
    );
}

#[test]
fn response_out_of_order_ends_the_connection_while_another_is_overdue() {
    check(
        "ask 1 by 5 | ask 2 by 30 | at 8 | respond 1",
        "write #0
         write #1
         at 5 fail 1 Timeout Maybe
         overdue
         end: response 1 arrived where 0 was due, ApiVersions",
    );
}

fn response(id: i32) -> Bytes {
    // An ApiVersions response of version 4 that lists nothing.
    [&id.to_be_bytes()[..], &[0, 0, 1, 0, 0, 0, 0, 0]].concat().into()
}

#[test]
fn requests_in_flight_are_limited() {
    let now = Instant::now();
    let mut pipeline = pipeline();
    for reply in 0..3 {
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), reply);
    }
    assert!(pipeline.poll_write(now).is_some());
    assert!(pipeline.poll_write(now).is_some());
    assert!(pipeline.poll_write(now).is_none());
    assert!(matches!(pipeline.handle_frame(now, response(0)), Ok(Some((0, _)))));
    assert!(pipeline.poll_write(now).is_some());
}

#[test]
fn response_out_of_order_ends_the_connection_with_known_outcomes() {
    let now = Instant::now();
    let mut pipeline = pipeline();
    pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), 7);
    assert!(pipeline.poll_write(now).is_some());
    pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), 8);
    let (_, error) = pipeline.handle_frame(now, response(5)).expect_err("not the one that was due");
    let failed = pipeline.close(&error);
    let written: Vec<_> = failed.iter().map(|(reply, error)| (*reply, error.is_written())).collect();
    assert_eq!(written, [(7, Some(Written::Maybe)), (8, Some(Written::No))]);
}

#[test]
fn request_that_expires_before_the_write_is_not_written() {
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
fn throttle_mutes_the_connection_and_extends_deadlines() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let apis = vec![(Api::InitProducerId.key(), 0, 1), (Api::ApiVersions.key(), 0, 4)];
    let versions = Versions::agree(&ApiVersionsResponse { apis, ..ApiVersionsResponse::default() });
    let mut pipeline = Pipeline::new("test".into(), versions, 2, second);
    pipeline.submit(Request::InitProducerId(InitProducerIdRequest::default()), now + second, 1);
    pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + second, 2);
    pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + second, 3);
    assert!(pipeline.poll_write(now).is_some() && pipeline.poll_write(now).is_some());
    assert!(pipeline.handle_frame(now, throttled(0, 5_000)).is_ok());
    assert_eq!(pipeline.muted_for(now + second), 4 * second);
    let counters = pipeline.take_counters();
    assert_eq!((counters.throttles, counters.throttled_ms), (1, 5_000));
    assert!(pipeline.poll_write(now + 4 * second).is_none(), "the third waits");
    assert!(pipeline.poll_end(now + 5 * second).is_none(), "the second is not overdue: the broker did not read it");
    assert!(pipeline.handle_timeout(now + 5 * second).is_empty());
    assert!(pipeline.poll_write(now + 5 * second).is_some());
    assert_eq!(pipeline.handle_timeout(now + 6 * second).len(), 2);
    assert!(pipeline.poll_end(now + 6 * second).is_some());
}

#[test]
fn overlapping_throttles_extend_deadlines_once() {
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
fn connection_is_idle_without_waiting_and_written_requests() {
    let now = Instant::now();
    let mut pipeline = pipeline();
    pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), 7);
    assert!(!pipeline.is_idle(), "it waits");
    assert_eq!(pipeline.replies().collect::<Vec<_>>(), [&7]);
    assert!(pipeline.poll_write(now).is_some());
    assert!(!pipeline.is_idle(), "its response is due");
    pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), 8);
    assert_eq!(pipeline.replies().collect::<Vec<_>>(), [&7, &8]);
    let lost: Vec<_> = pipeline.lost().into_iter().map(|(reply, error)| (reply, error.kind())).collect();
    assert_eq!(lost, [(7, Kind::Connect), (8, Kind::Connect)]);
    assert!(pipeline.is_idle());
}

#[test]
fn correlation_ids_wrap_below_those_of_the_setup() {
    let now = Instant::now();
    let mut pipeline = pipeline();
    pipeline.next_correlation = 0x3fff_ffff;
    for (reply, id) in [(1, 0x3fff_ffff), (2, 0), (3, 1)] {
        pipeline.submit(Request::ApiVersions(ApiVersionsRequest), now + Duration::from_secs(1), reply);
        assert!(pipeline.poll_write(now).is_some());
        assert!(matches!(pipeline.handle_frame(now, response(id)), Ok(Some((whose, _))) if whose == reply));
    }
}
