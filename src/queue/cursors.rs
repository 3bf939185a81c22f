//! The cursors of a topic in a store: every call has a deadline, and a change is repeated on top of somebody else's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::core::Cursor;
use super::core::Stored;
use crate::consumer::Position;
use crate::consumer::store::Change;
use crate::consumer::store::Expected;
use crate::consumer::store::Lookup;
use crate::consumer::store::OffsetStore;
use crate::consumer::store::Outcome;
use crate::consumer::store::StoreFuture;
use crate::consumer::store::StoredOffset;
use crate::error::Error;
use crate::net::clock;
use crate::net::runtime::Runtime;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// How often a change is decided again. Each time, somebody else has changed the same partition.
const ROUNDS_MAX: u32 = 64;

/// The state of a partition as of its last read or change.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) stored: Stored,
    expected: Expected,
}

impl Entry {
    /// The cursor, expired or not.
    pub(super) fn cursor(&self) -> Option<&Cursor> {
        match &self.stored {
            Stored::Current(cursor) | Stored::Expired(cursor) => Some(cursor),
            Stored::Missing => None,
        }
    }
}

/// The change of a partition, and the report about it.
pub(super) enum Verdict<R> {
    Leave(R),
    Store(Cursor, R),
}

/// The cursors of one topic and group.
#[derive(Clone, Debug)]
pub(super) struct Cursors {
    pub(super) store: Arc<dyn OffsetStore>,
    pub(super) group: String,
    pub(super) topic: TopicName,
    /// The longest time of one call.
    pub(super) timeout: Duration,
    pub(super) runtime: Runtime,
}

impl Cursors {
    /// Reads the cursors of partitions.
    pub(super) async fn load(
        &self,
        partitions: impl IntoIterator<Item = i32>,
        deadline: Instant,
    ) -> Result<BTreeMap<i32, Result<Entry, Error>>, Error> {
        let partitions: Vec<i32> = partitions.into_iter().collect();
        let keys: Vec<TopicPartition> = partitions.iter().map(|partition| self.key(*partition)).collect();
        let count = keys.len();
        let found = self.within(deadline, self.store.load(&self.group, keys)).await?;
        if found.len() != count {
            return Err(self.incomplete());
        }
        let entries = partitions.into_iter().zip(found);
        Ok(entries.map(|(partition, lookup)| (partition, self.entry(partition, &lookup))).collect())
    }

    /// Changes partitions. `decide` gets the state of a partition, and how often it was asked before about this partition; it is asked
    /// again if somebody else has changed the partition meanwhile. Each partition has its own result, with its state afterwards.
    pub(super) async fn update<R>(
        &self,
        entries: BTreeMap<i32, Entry>,
        deadline: Instant,
        mut decide: impl FnMut(i32, &Stored, u32) -> Verdict<R>,
    ) -> BTreeMap<i32, Result<(Entry, R), Error>> {
        let mut results = BTreeMap::new();
        let mut open = entries;
        for round in 0..ROUNDS_MAX {
            let (mut changes, mut made) = (Vec::new(), Vec::new());
            for (partition, entry) in std::mem::take(&mut open) {
                match decide(partition, &entry.stored, round) {
                    Verdict::Leave(report) => drop(results.insert(partition, Ok((entry, report)))),
                    Verdict::Store(cursor, report) => {
                        changes.push(self.change(partition, &cursor, entry.expected));
                        made.push((partition, cursor, report));
                    }
                }
            }
            if made.is_empty() {
                return results;
            }
            let outcomes = match self.within(deadline, self.store.compare_and_set(&self.group, changes)).await {
                Ok(outcomes) if outcomes.len() == made.len() => outcomes,
                Ok(_) => return self.all_failed(results, made, &self.incomplete()),
                Err(error) => return self.all_failed(results, made, &error),
            };
            for ((partition, cursor, report), outcome) in made.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Stored(version) => {
                        let entry = Entry { stored: Stored::Current(cursor), expected: Expected::Version(version) };
                        results.insert(partition, Ok((entry, report)));
                    }
                    Outcome::Conflict(lookup) => match self.entry(partition, &lookup) {
                        Ok(entry) => drop(open.insert(partition, entry)),
                        Err(error) => drop(results.insert(partition, Err(error))),
                    },
                }
            }
        }
        for partition in open.into_keys() {
            let text = format!(
                "others have changed the stored offset {ROUNDS_MAX} times meanwhile, group {}: take more records at once, or use fewer workers",
                self.group
            );
            results.insert(partition, Err(self.named(partition, Error::storage(text))));
        }
        results
    }

    fn all_failed<R>(
        &self,
        mut results: BTreeMap<i32, Result<(Entry, R), Error>>,
        made: Vec<(i32, Cursor, R)>,
        error: &Error,
    ) -> BTreeMap<i32, Result<(Entry, R), Error>> {
        for (partition, ..) in made {
            results.insert(partition, Err(self.named(partition, error.clone())));
        }
        results
    }

    fn key(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition }
    }

    fn named(&self, partition: i32, error: Error) -> Error {
        error.in_partition(&self.topic, partition)
    }

    fn incomplete(&self) -> Error {
        let text =
            format!("the offset store did not answer for each partition, group {}: correct the store", self.group);
        Error::storage(text).in_topic(&self.topic)
    }

    fn change(&self, partition: i32, cursor: &Cursor, expected: Expected) -> Change {
        Change {
            partition: self.key(partition),
            position: Position::from(cursor.base),
            metadata: cursor.metadata(),
            expected,
        }
    }

    fn entry(&self, partition: i32, lookup: &Lookup) -> Result<Entry, Error> {
        let read = |stored: &StoredOffset| {
            Cursor::read(stored.position.offset, &stored.metadata).ok_or_else(|| {
                let text = format!(
                    "the store has an offset that cannot be read, group {}: a later release may have written it; otherwise reset the \
                     partition in the store",
                    self.group
                );
                self.named(partition, Error::storage(text))
            })
        };
        let stored = match lookup {
            Lookup::Missing => Stored::Missing,
            Lookup::Found(stored) => Stored::Current(read(stored)?),
            Lookup::Expired(stored) => Stored::Expired(read(stored)?),
        };
        Ok(Entry { stored, expected: lookup.expected() })
    }

    /// Waits for the store, until `deadline` and no longer than one call may take.
    async fn within<T>(&self, deadline: Instant, call: StoreFuture<'_, T>) -> Result<T, Error> {
        let begun = clock::now();
        let until = deadline.min(begun + self.timeout);
        let answered = self.runtime.timeout_at(until, call).await;
        answered.unwrap_or_else(|_| {
            let text = format!(
                "the offset store did not answer within {:?}, group {}: check that it can be reached and is not overloaded",
                until.saturating_duration_since(begun),
                self.group
            );
            Err(Error::storage(text).in_topic(&self.topic))
        })
    }
}
