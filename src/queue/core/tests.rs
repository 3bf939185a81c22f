//! Leases against a naive model that knows each offset by itself.

use std::time::Duration;
use std::time::Instant;

use proptest::prelude::*;

use super::cursor::Lease;
use super::cursor::State;
use super::cursor::WINDOWS_MAX;
use super::*;
use crate::net::clock;

const LASTS_MS: u64 = 100;
const RULES: Rules = Rules { on_ahead: OnAhead::Refuse, on_expired: OnExpired::Resume };

fn lease(worker: u64, number: u64) -> Lease {
    Lease { id: LeaseId { worker, number }, beat: 0, lasts_ms: LASTS_MS }
}

fn log(start: i64, end: i64) -> Log {
    Log { start, end, is_newer: true }
}

fn asked(lease: Lease, count: u64) -> Asked {
    Asked { lease, count, start: 0 }
}

fn never(_: &Lease) -> bool {
    false
}

fn leased(decision: Decision) -> (Cursor, Span) {
    match decision {
        Decision::Lease { cursor, span, .. } => (cursor, span),
        other => panic!("{other:?}"),
    }
}

/// A lease as its holder knows it.
#[derive(Clone, Debug)]
struct Held {
    id: LeaseId,
    span: Span,
    until: Instant,
}

/// A worker, which is replaced by another when it dies.
#[derive(Debug, Default)]
struct Worker {
    id: u64,
    watch: Watch,
    held: Vec<Held>,
}

/// The store, the workers, and what each offset has gone through.
struct Model {
    now: Instant,
    end: i64,
    stored: Stored,
    workers: Vec<Worker>,
    names: u64,
    /// How often each offset was finished, and how often it was leased.
    finished: Vec<u32>,
    handed_out: Vec<u32>,
    /// How often a lease of an offset ended without being finished.
    given_up: Vec<u32>,
}

impl Model {
    fn new() -> Self {
        let workers = (0..4).map(|id| Worker { id, ..Worker::default() }).collect();
        let zeros = || vec![0; 4_000];
        Self {
            now: clock::now(),
            end: 0,
            stored: Stored::Missing,
            workers,
            names: 4,
            finished: zeros(),
            handed_out: zeros(),
            given_up: zeros(),
        }
    }

    fn cursor(&mut self) -> &mut Cursor {
        if self.stored == Stored::Missing {
            self.stored = Stored::Current(Cursor::at(0));
        }
        match &mut self.stored {
            Stored::Current(cursor) => cursor,
            other => panic!("{other:?}"),
        }
    }

    fn each(counts: &mut [u32], span: Span) {
        for offset in span.from..span.to {
            counts[usize::try_from(offset).expect("small")] += 1;
        }
    }

    /// Reads the store, decides, and writes after `latency`. Nobody else writes meanwhile, or the write is refused.
    fn take(&mut self, worker: usize, count: u64, latency: u64) -> bool {
        let begun = self.now;
        self.cursor();
        self.names += 1;
        let id = self.names;
        let worker = &mut self.workers[worker];
        let Stored::Current(cursor) = &self.stored else { return false };
        worker.watch.see(begun, cursor);
        let watch = worker.watch.clone();
        let asked = asked(lease(worker.id, id), count);
        let has_expired = |lease: &Lease| watch.has_expired(begun, lease);
        let decision = decide(&self.stored, log(0, self.end), RULES, asked, has_expired);
        let Decision::Lease { cursor, span, .. } = decision else { return false };
        self.now += Duration::from_millis(latency);
        self.stored = Stored::Current(cursor);
        let held = Held { id: asked.lease.id, span, until: begun + Duration::from_millis(LASTS_MS) };
        self.check_granted(&held);
        Self::each(&mut self.handed_out, span);
        self.workers.iter_mut().find(|other| other.id == held.id.worker).expect("alive").held.push(held);
        true
    }

    /// Nobody else holds any of it by his own clock, and none of it is finished.
    fn check_granted(&self, granted: &Held) {
        for other in self.workers.iter().flat_map(|worker| &worker.held).filter(|held| held.until > self.now) {
            let apart = other.span.to <= granted.span.from || granted.span.to <= other.span.from;
            assert!(apart, "{granted:?} overlaps {other:?}");
        }
        for offset in granted.span.from..granted.span.to {
            assert_eq!(self.finished[usize::try_from(offset).expect("small")], 0, "{offset} was finished: {granted:?}");
        }
    }

    /// Finishes the first part of a lease, or all of it. A stale holder is refused.
    fn finish(&mut self, worker: usize, part: i64) {
        if self.workers[worker].held.is_empty() {
            return;
        }
        let held = self.workers[worker].held.remove(0);
        let to = held.span.to.min(held.span.from + part);
        let done = Span { from: held.span.from, to };
        match self.cursor().finish(held.id, held.span, to) {
            Ok(()) => {
                Self::each(&mut self.finished, done);
                Self::each(&mut self.given_up, Span { from: to, to: held.span.to });
            }
            Err(_) => Self::each(&mut self.given_up, held.span),
        }
    }

    fn die(&mut self, worker: usize) {
        self.names += 1;
        let dead = std::mem::replace(&mut self.workers[worker], Worker { id: self.names, ..Worker::default() });
        for held in &dead.held {
            Self::each(&mut self.given_up, held.span);
        }
    }

    fn act(&mut self, (action, worker, number): (u8, usize, u16)) {
        let number = u64::from(number);
        match action % 12 {
            0..=3 => drop(self.take(worker, 1 + number % 40, number % 7)),
            4..=6 => self.finish(worker, i64::MAX / 2),
            7 => self.finish(worker, i64::try_from(number % 20).expect("small")),
            8 => self.now += Duration::from_millis(number % 150),
            9 => self.end = (self.end + i64::try_from(number % 50).expect("small")).min(3_000),
            10 => self.die(worker),
            _ => {
                let renewed = self.workers[worker].held.first().cloned();
                if let Some(held) = renewed
                    && self.cursor().renew(held.id, held.span).is_ok()
                {
                    self.workers[worker].held[0].until = self.now + Duration::from_millis(LASTS_MS);
                }
            }
        }
    }

    /// Everybody dies, and one worker does the rest.
    fn drain(&mut self) {
        for worker in 0..self.workers.len() {
            self.die(worker);
        }
        for _ in 0..20_000 {
            if !self.take(0, 100, 0) {
                self.now += Duration::from_millis(LASTS_MS);
                if !self.take(0, 100, 0) && self.cursor().next() == self.end && self.cursor().windows.is_empty() {
                    return;
                }
            }
            self.finish(0, i64::MAX / 2);
        }
        panic!("it does not end: {:?}", self.stored);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn leases_lose_and_repeat_nothing_and_never_overlap(
        actions in prop::collection::vec((any::<u8>(), 0_usize..4, any::<u16>()), 0..200),
    ) {
        let mut model = Model::new();
        for action in actions {
            model.act(action);
        }
        model.drain();
        for offset in 0..usize::try_from(model.end).expect("small") {
            // Who acknowledges after processing loses nothing; who does so before hands nothing out twice.
            prop_assert_eq!(model.finished[offset], 1, "offset {}", offset);
            // A record is repeated only if somebody had it, and did not finish it.
            prop_assert!(model.handed_out[offset] <= 1 + model.given_up[offset], "offset {}", offset);
        }
    }

    #[test]
    fn cursor_survives_being_written_and_read(
        actions in prop::collection::vec((any::<u8>(), 0_usize..4, any::<u16>()), 0..100),
    ) {
        let mut model = Model::new();
        for action in actions {
            model.act(action);
        }
        let cursor = model.cursor().clone();
        prop_assert!(cursor.windows.len() <= 4 * WINDOWS_MAX);
        prop_assert_eq!(Cursor::read(cursor.base, &cursor.metadata()), Some(cursor));
    }

    #[test]
    fn damaged_cursor_is_no_panic(base in any::<i64>(), text in "(ottla-leases )?[0-9dlf: x-]{0,60}") {
        if let Some(cursor) = Cursor::read(base, &text) {
            prop_assert!(cursor.next() >= cursor.base);
        }
    }
}

#[test]
fn text_of_others_is_no_obstacle_and_a_damaged_cursor_is_found() {
    assert_eq!(Cursor::read(7, "a text of the user"), Some(Cursor::at(7)));
    assert_eq!(Cursor::read(7, ""), Some(Cursor::at(7)));
    for damaged in
        ["", "2 0", "1", "1 x", "1 0 9:q", "1 0 9:l", "1 0 9:l:zz:0:0:0", "1 0 7:d", "1 0 9:d 8:d", "1 0 9:d:1"]
    {
        assert_eq!(Cursor::read(7, &format!("ottla-leases {damaged}")), None, "{damaged}");
    }
    assert_eq!(Cursor::read(-1, ""), None);
}

#[test]
fn base_waits_for_the_first_window_whoever_finishes_first() {
    let mut cursor = Cursor::at(10);
    let (a, b) = (lease(1, 1), lease(2, 1));
    let (first, _) = cursor.lease(a, 5, 100, never).expect("free");
    let (second, _) = cursor.lease(b, 5, 100, never).expect("free");
    assert_eq!((first, second), (Span { from: 10, to: 15 }, Span { from: 15, to: 20 }));
    cursor.finish(b.id, second, 20).expect("held");
    assert_eq!((cursor.base, cursor.next()), (10, 20));
    cursor.finish(a.id, first, 15).expect("held");
    assert_eq!(cursor, Cursor::at(20));
}

#[test]
fn short_read_frees_the_rest_for_others() {
    let mut cursor = Cursor::at(0);
    let (a, b, c) = (lease(1, 1), lease(2, 1), lease(3, 1));
    let (first, _) = cursor.lease(a, 10, 100, never).expect("free");
    let (second, _) = cursor.lease(b, 10, 100, never).expect("free");
    cursor.shorten(a.id, first, 4).expect("held");
    let (third, _) = cursor.lease(c, 50, 100, never).expect("free");
    assert_eq!((second, third), (Span { from: 10, to: 20 }, Span { from: 4, to: 10 }));
    // The last window is not kept as a free one.
    cursor.finish(b.id, second, 12).expect("held");
    assert_eq!(cursor.next(), 12);
}

#[test]
fn reset_ends_all_leases() {
    let mut cursor = Cursor::at(50);
    let a = lease(1, 1);
    let (span, _) = cursor.lease(a, 10, 100, never).expect("free");
    cursor.reset(0);
    assert_eq!((cursor.base, cursor.next(), cursor.resets), (0, 0, 1));
    assert_eq!(cursor.finish(a.id, span, span.to), Err(Lost { is_done: false }));
    assert_eq!(cursor.renew(a.id, span), Err(Lost { is_done: false }));
    cursor.reset(100);
    assert_eq!(cursor.finish(a.id, span, span.to), Err(Lost { is_done: true }));
}

#[test]
fn windows_of_a_partition_are_bounded() {
    let mut cursor = Cursor::at(0);
    let taken = (0..1_000).take_while(|number| cursor.lease(lease(1, *number), 1, 1_000, never).is_some()).count();
    assert_eq!(taken, WINDOWS_MAX);
    cursor.finish(LeaseId { worker: 1, number: 0 }, Span { from: 0, to: 1 }, 1).expect("held");
    assert!(cursor.lease(lease(1, 999), 1, 1_000, never).is_some());
}

#[test]
fn offset_beyond_the_end_is_refused_or_moved_by_name_and_only_if_the_end_is_known() {
    let stored = Stored::Current(Cursor::at(50));
    let with = |on_ahead, log| decide(&stored, log, Rules { on_ahead, ..RULES }, asked(lease(1, 1), 5), never);
    assert_eq!(with(OnAhead::Refuse, Log { is_newer: false, ..log(3, 20) }), Decision::Outdated);
    let refused = Refused::Ahead { stored: 50, end: 20 };
    assert_eq!(with(OnAhead::Refuse, log(3, 20)), Decision::Refuse(refused));
    let (cursor, span) = leased(with(OnAhead::Earliest, log(3, 20)));
    assert_eq!((cursor.resets, span), (1, Span { from: 3, to: 8 }));
    let Decision::Store { cursor, notices } = with(OnAhead::Latest, log(3, 20)) else {
        panic!("nothing is there to lease")
    };
    assert_eq!((cursor.base, notices), (20, vec![Notice::Ahead { stored: 50, end: 20, at: 20 }]));
}

#[test]
fn expired_offset_is_resumed_refused_or_replaced_by_name() {
    let stored = Stored::Expired(Cursor::at(5));
    let with = |on_expired| {
        let asked = Asked { start: 18, ..asked(lease(1, 1), 1) };
        decide(&stored, log(0, 20), Rules { on_expired, ..RULES }, asked, never)
    };
    let Decision::Lease { span, notices, .. } = with(OnExpired::Resume) else { panic!("there are records") };
    assert_eq!((span.from, notices), (5, vec![Notice::Expired { stored: 5, at: 5 }]));
    let Decision::Lease { span, notices, .. } = with(OnExpired::StartOver) else { panic!("there are records") };
    assert_eq!((span.from, notices), (18, vec![Notice::Expired { stored: 5, at: 18 }]));
    assert_eq!(with(OnExpired::Refuse), Decision::Refuse(Refused::Expired { stored: 5 }));
}

#[test]
fn first_start_is_clamped_to_the_log_and_stored_although_nothing_is_there() {
    let with = |start, log| decide(&Stored::Missing, log, RULES, Asked { start, ..asked(lease(1, 1), 5) }, never);
    assert_eq!(leased(with(-3, log(0, 2))).1, Span { from: 0, to: 2 });
    assert_eq!(leased(with(1, log(7, 9))).1, Span { from: 7, to: 9 });
    let stored = Decision::Store { cursor: Cursor::at(9), notices: vec![Notice::Started { at: 9 }] };
    assert_eq!(with(9, log(7, 9)), stored);
}

#[test]
fn deleted_records_are_given_up_and_reported_but_not_those_of_a_live_lease() {
    let mut cursor = Cursor::at(0);
    let a = lease(1, 1);
    cursor.lease(a, 10, 100, never).expect("free");
    let stored = Stored::Current(cursor);
    let taken = decide(&stored, log(30, 100), RULES, asked(lease(2, 1), 5), never);
    let Decision::Lease { cursor, span, notices } = taken else { panic!("{taken:?}") };
    assert_eq!(span, Span { from: 30, to: 35 });
    assert_eq!(notices, [Notice::Deleted { from: 10, to: 30 }]);
    assert_eq!(cursor.base, 0);
    // Its holder is dead, and its records are deleted.
    let taken = decide(&stored, log(30, 100), RULES, asked(lease(2, 1), 5), |lease| lease.id == a.id);
    let Decision::Lease { cursor, notices, .. } = taken else { panic!("{taken:?}") };
    assert_eq!(notices, [Notice::Deleted { from: 0, to: 30 }]);
    assert_eq!(cursor.base, 30);
    assert!(matches!(cursor.windows[0].state, State::Leased(lease) if lease.id.worker == 2));
}

#[test]
fn lease_that_is_renewed_does_not_expire() {
    let begun = clock::now();
    let mut cursor = Cursor::at(0);
    let (span, _) = cursor.lease(lease(1, 1), 10, 100, never).expect("free");
    let mut watch = Watch::default();
    watch.see(begun, &cursor);
    let expired = |watch: &Watch, cursor: &Cursor, ms| {
        let lease = cursor.leases().next().expect("one").1;
        watch.has_expired(begun + Duration::from_millis(ms), &lease)
    };
    assert!(!expired(&watch, &cursor, LASTS_MS - 1));
    assert!(expired(&watch, &cursor, LASTS_MS));
    cursor.renew(LeaseId { worker: 1, number: 1 }, span).expect("held");
    assert!(!expired(&watch, &cursor, LASTS_MS), "not seen since it was renewed");
    watch.see(begun + Duration::from_millis(90), &cursor);
    assert!(!expired(&watch, &cursor, LASTS_MS + 89));
    assert!(expired(&watch, &cursor, LASTS_MS + 90));
}

#[test]
fn largest_numbers_overflow_nothing() {
    let huge = Lease { lasts_ms: u64::MAX, ..lease(1, 1) };
    let mut cursor = Cursor::at(i64::MAX - 1);
    let (span, _) = cursor.lease(huge, u64::MAX, i64::MAX, never).expect("free");
    assert_eq!(span, Span { from: i64::MAX - 1, to: i64::MAX });
    let mut watch = Watch::default();
    watch.see(clock::now(), &cursor);
    assert!(!watch.has_expired(clock::now(), &huge));
    cursor.finish(huge.id, span, i64::MAX).expect("held");
    assert_eq!(cursor, Cursor::at(i64::MAX));
}
