//! Foreign producers: they write transactions, several at a time into one partition, and commit or abort them.

use ottla::mock::NewBatch;

use super::Context;
use super::ghost::Place;

/// The number of foreign producers. Their ids are below those that the mock assigns.
const PRODUCERS: i64 = 3;
const FIRST_ID: i64 = 500;

impl Context {
    /// A foreign producer writes or ends a transaction. Returns whether the partition has a leader.
    pub(super) fn transact(&mut self, place: Place) -> bool {
        if self.mock.leader(&self.topics[place.0], place.1).is_none() {
            return false;
        }
        let open = self.mock.open_transactions(&self.topics[place.0], place.1);
        match self.rng.choice(&open).copied() {
            Some(producer) if self.rng.u8(..5) < 2 => self.end_transaction(place, producer),
            _ => self.write_transaction(place),
        }
        true
    }

    fn write_transaction(&mut self, place: Place) {
        let producer = FIRST_ID + self.rng.i64(0..PRODUCERS);
        let values: Vec<u64> = (0..self.rng.u8(1..4)).map(|_| self.ghost.foreign(place, producer)).collect();
        self.trace.say(self.now, || format!("* foreign producer {producer} writes {values:?} to {place:?}"));
        let records = values.iter().map(|value| (None::<String>, Some(format!("{value}.foreign"))));
        // The mock accepts any sequence from a test. Each is different, so that no batch looks like a duplicate.
        let sequence = i32::try_from(values[0]).expect("a run has few records");
        let batch = NewBatch::of_nullable(records).by(producer, 0, sequence).transactional();
        self.mock.append(&self.topics[place.0], place.1, &batch);
        self.trace.count("foreign batch");
    }

    fn end_transaction(&mut self, place: Place, producer: i64) {
        let commit = self.rng.u8(..3) == 0;
        // The records of the transaction have to be known before its end is.
        self.observe();
        let Some(marker) = self.mock.end_transaction(&self.topics[place.0], place.1, producer, commit) else { return };
        self.trace
            .say(self.now, || format!("* foreign producer {producer} ends in {place:?}@{marker}, commit {commit}"));
        self.ghost.transaction_ended(place, producer, commit, marker);
        self.trace.count(if commit { "foreign commit" } else { "foreign abort" });
    }

    /// Every open transaction ends.
    pub(super) fn end_transactions(&mut self) {
        for place in self.places() {
            for producer in self.mock.open_transactions(&self.topics[place.0], place.1) {
                self.end_transaction(place, producer);
            }
        }
    }
}
