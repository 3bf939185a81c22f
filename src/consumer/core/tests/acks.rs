//! Acknowledgements against a naive model, which remembers every record.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use fastrand::Rng;

use crate::consumer::core::acks::Dropped;
use crate::consumer::core::acks::Ledger;
use crate::consumer::core::acks::Refusal;
use crate::consumer::core::acks::SpanId;
use crate::reading::Position;
use crate::types::TopicPartition;

fn key(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn position(offset: i64) -> Position {
    Position::from(offset)
}

/// Hands out records one by one, each with a token.
fn hand_out(ledger: &mut Ledger, partition: i32, offsets: impl IntoIterator<Item = i64>) -> Vec<SpanId> {
    let each = |offset| ledger.hand_out(&key(partition), offset, position(offset + 1), 1);
    offsets.into_iter().map(each).collect()
}

fn prefix(ledger: &Ledger) -> i64 {
    ledger.prefixes()[0].1.offset
}

#[test]
fn prefix_ends_before_the_first_open_record() {
    let mut ledger = Ledger::default();
    let tokens = hand_out(&mut ledger, 0, 10..15);
    for (at, expected) in [(2, 10), (1, 10), (4, 10), (0, 13), (3, 15)] {
        assert_eq!(ledger.acknowledge(tokens[at]), Ok(()));
        assert_eq!(prefix(&ledger), expected, "after {at}");
    }
    assert_eq!((ledger.open(), ledger.live(), ledger.remembered()), (0, 0, 0));
}

#[test]
fn gaps_of_offsets_do_not_stop_the_prefix() {
    let mut ledger = Ledger::default();
    let tokens = hand_out(&mut ledger, 0, [3, 10, 90]);
    ledger.acknowledge(tokens[1]).expect("its partition is assigned");
    assert_eq!(prefix(&ledger), 3);
    ledger.acknowledge(tokens[0]).expect("its partition is assigned");
    assert_eq!(prefix(&ledger), 11);
    ledger.acknowledge(tokens[2]).expect("its partition is assigned");
    assert_eq!(ledger.acknowledged_at(&key(0), position(97)), position(97), "behind markers of transactions");
    let next = hand_out(&mut ledger, 0, [120]);
    assert_eq!(prefix(&ledger), 97);
    ledger.acknowledge(next[0]).expect("its partition is assigned");
    assert_eq!(prefix(&ledger), 121);
}

#[test]
fn dropped_token_blocks_the_prefix_and_is_reported_once() {
    let mut ledger = Ledger::default();
    let tokens = hand_out(&mut ledger, 0, 0..6);
    ledger.drop_token(tokens[3], true);
    ledger.drop_token(tokens[2], true);
    for at in [0, 1, 4, 5] {
        ledger.acknowledge(tokens[at]).expect("its partition is assigned");
    }
    assert_eq!((prefix(&ledger), ledger.open(), ledger.live()), (2, 2, 0));
    assert_eq!(ledger.poll_dropped(), Some(Dropped { partition: key(0), first: 2, records: 2 }));
    assert_eq!(ledger.poll_dropped(), None);
    ledger.end([&key(0)], Refusal::Moved);
    assert_eq!((ledger.open(), ledger.remembered()), (0, 0));
}

#[test]
fn token_of_an_ended_window_is_refused_with_the_reason() {
    let mut ledger = Ledger::default();
    let old = hand_out(&mut ledger, 0, 0..4);
    assert_eq!(ledger.acknowledge(old[0]), Ok(()));
    ledger.fence([&key(0)], Refusal::Revoked);
    assert_eq!(ledger.acknowledge(old[1]), Err(Refusal::Revoked));
    assert_eq!(prefix(&ledger), 1, "what was acknowledged before is still to be committed");
    ledger.end([&key(0)], Refusal::Lost);
    // The same partition comes back and is read from the committed offset on.
    let new = hand_out(&mut ledger, 0, 1..4);
    assert_eq!(ledger.acknowledge(old[2]), Err(Refusal::Revoked), "the first reason counts");
    ledger.drop_token(old[3], true);
    assert_eq!((prefix(&ledger), ledger.poll_dropped()), (1, None));
    ledger.acknowledge(new[0]).expect("its partition is assigned");
    assert_eq!(prefix(&ledger), 2);
    ledger.close();
    assert_eq!(ledger.acknowledge(new[1]), Err(Refusal::Closed));
    ledger.drop_token(new[2], true);
    assert_eq!(ledger.remembered(), 0);
}

#[test]
fn position_that_moves_back_refuses_older_tokens() {
    for by_reading in [true, false] {
        let mut ledger = Ledger::default();
        let old = hand_out(&mut ledger, 0, 5..9);
        ledger.acknowledge(old[0]).expect("its partition is assigned");
        if by_reading {
            hand_out(&mut ledger, 0, [6]);
        } else {
            assert_eq!(ledger.acknowledged_at(&key(0), position(6)), position(6));
        }
        assert_eq!(prefix(&ledger), 6);
        assert_eq!(ledger.acknowledge(old[1]), Err(Refusal::Moved));
    }
}

#[test]
fn split_span_is_acknowledged_record_by_record() {
    let mut ledger = Ledger::default();
    let whole = ledger.hand_out(&key(0), 4, position(20), 3);
    let records: Vec<_> = [5, 8, 13].into_iter().map(|offset| (offset, position(offset + 1))).collect();
    let tokens = ledger.split(whole, &records);
    assert_eq!(ledger.live(), 3);
    ledger.acknowledge(tokens[0]).expect("its partition is assigned");
    assert_eq!(prefix(&ledger), 6);
    ledger.acknowledge(tokens[2]).expect("its partition is assigned");
    ledger.acknowledge(tokens[1]).expect("its partition is assigned");
    assert_eq!((prefix(&ledger), ledger.open()), (20, 0), "offsets after the last record belong to it");
    // A span that was split after its partition was given up.
    let whole = ledger.hand_out(&key(0), 20, position(23), 3);
    ledger.end([&key(0)], Refusal::Revoked);
    let late = ledger.split(whole, &[(20, position(21)), (21, position(22)), (22, position(23))]);
    assert!(late.into_iter().all(|token| ledger.acknowledge(token) == Err(Refusal::Revoked)));
    assert_eq!(ledger.remembered(), 0);
}

/// Remembers every record that was handed out since the partition was assigned.
#[derive(Default)]
struct Naive {
    /// Offset → whether it is acknowledged.
    records: BTreeMap<i64, bool>,
    /// Tokens, with the records of each.
    tokens: Vec<(SpanId, Vec<i64>)>,
    head: i64,
    open: usize,
}

impl Naive {
    /// Nothing at or after the first open record is committed, and everything before it is.
    fn check(&self, prefix: i64) {
        match self.records.iter().find(|(_, acknowledged)| !**acknowledged) {
            None => assert_eq!(prefix, self.head, "all is acknowledged"),
            Some((open, _)) => {
                assert!(prefix <= *open, "{prefix} is ahead of {open}");
                let before = self.records.range(..open).next_back();
                assert!(before.is_none_or(|(last, _)| prefix > *last), "{prefix} leaves out what precedes {open}");
            }
        }
    }

    fn hand_out(&mut self, rng: &mut Rng, ledger: &mut Ledger, key: &TopicPartition) {
        let from = self.head + rng.i64(0..3);
        let count = rng.usize(1..5);
        let mut offsets = vec![from + rng.i64(0..2)];
        while offsets.len() < count {
            offsets.push(offsets[offsets.len() - 1] + rng.i64(1..3));
        }
        self.head = offsets[offsets.len() - 1] + rng.i64(1..3);
        self.records.extend(offsets.iter().map(|offset| (*offset, false)));
        self.open += count;
        let token = ledger.hand_out(key, from, position(self.head), count);
        self.tokens.push((token, offsets));
    }

    fn split(&mut self, at: usize, ledger: &mut Ledger) {
        let (token, offsets) = self.tokens.swap_remove(at);
        let records: Vec<_> = offsets.iter().map(|offset| (*offset, position(offset + 1))).collect();
        let parts = ledger.split(token, &records);
        self.tokens.extend(parts.into_iter().zip(offsets.into_iter().map(|offset| vec![offset])));
    }

    fn divide(&mut self, at: usize, rng: &mut Rng, ledger: &mut Ledger) {
        let (token, offsets) = &mut self.tokens[at];
        if offsets.len() < 2 {
            return;
        }
        let rest = offsets.split_off(rng.usize(1..offsets.len()));
        let next = position(offsets[offsets.len() - 1] + 1);
        let other = ledger.divide(*token, offsets.len(), next, rest[0]);
        self.tokens.push((other, rest));
    }

    fn acknowledge(&mut self, at: usize, ledger: &mut Ledger) {
        let (token, offsets) = self.tokens.swap_remove(at);
        ledger.acknowledge(token).expect("its partition is assigned");
        self.open -= offsets.len();
        self.records.extend(offsets.into_iter().map(|offset| (offset, true)));
    }
}

/// Partitions that are read, and the tokens of those that were given up.
struct Play {
    ledger: Ledger,
    naive: BTreeMap<i32, Naive>,
    stale: Vec<SpanId>,
}

impl Play {
    fn step(&mut self, rng: &mut Rng) {
        let partition = rng.i32(0..3);
        let naive = self.naive.entry(partition).or_default();
        let at = (!naive.tokens.is_empty()).then(|| rng.usize(..naive.tokens.len()));
        match (rng.u8(..20), at) {
            (0..6, _) => naive.hand_out(rng, &mut self.ledger, &key(partition)),
            (6, Some(at)) => naive.split(at, &mut self.ledger),
            (7, Some(at)) => naive.divide(at, rng, &mut self.ledger),
            (8..16, Some(at)) => naive.acknowledge(at, &mut self.ledger),
            (16, Some(at)) if rng.u8(..8) == 0 => {
                let (token, _) = naive.tokens.swap_remove(at);
                self.ledger.drop_token(token, true);
            }
            (17, _) => {
                naive.head += rng.i64(0..4);
                let prefix = self.ledger.acknowledged_at(&key(partition), position(naive.head));
                naive.check(prefix.offset);
            }
            (18, _) if rng.u8(..10) == 0 => {
                let old = std::mem::take(naive);
                naive.head = old.head.saturating_sub(rng.i64(0..9));
                self.stale.extend(old.tokens.into_iter().map(|(token, _)| token));
                self.ledger.end([&key(partition)], Refusal::Revoked);
            }
            _ if !self.stale.is_empty() => {
                let token = self.stale.swap_remove(rng.usize(..self.stale.len()));
                assert_eq!(self.ledger.acknowledge(token), Err(Refusal::Revoked));
            }
            _ => {}
        }
    }

    fn check(&self) {
        for (key, prefix) in self.ledger.prefixes() {
            self.naive[&key.partition].check(prefix.offset);
        }
        assert_eq!(self.ledger.open(), self.naive.values().map(|naive| naive.open).sum::<usize>());
        let stale: BTreeSet<SpanId> = self.stale.iter().copied().collect();
        let bound = 2 * self.ledger.open() + stale.len();
        assert!(self.ledger.remembered() <= bound, "{} is remembered, of {bound}", self.ledger.remembered());
    }
}

#[test]
fn random_acknowledgements_agree_with_a_naive_model() {
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let mut play = Play { ledger: Ledger::default(), naive: BTreeMap::new(), stale: Vec::new() };
        for _ in 0..300 {
            play.step(&mut rng);
            play.check();
        }
        // Once all tokens are used up, only the records whose tokens were dropped are open.
        for naive in play.naive.values_mut() {
            while !naive.tokens.is_empty() {
                let at = rng.usize(..naive.tokens.len());
                naive.acknowledge(at, &mut play.ledger);
            }
        }
        play.check();
        assert_eq!(play.ledger.live(), 0, "seed {seed}");
    }
}
