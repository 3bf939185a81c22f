//! Moves the stored offsets of a group, for every worker of it.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use super::core::Cursor;
use super::core::Log;
use super::core::Stored;
use super::cursors::Entry;
use super::cursors::Verdict;
use super::reader::Reader;
use crate::error::Error;
use crate::net::clock;
use crate::types::TopicPartition;
use crate::types::bounded;

/// Where a [reset](super::Queue::reset) goes. Each offset is moved into the log's range, from its first record to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The oldest record.
    Earliest,
    /// The end: records from now on.
    Latest,
    /// So many records of each partition, or as many as there are since the stored offset: nothing that was processed is repeated.
    /// A partition without a stored offset gets them all. The original's automatic reset was this with 5.
    LastButNotBeforeStored(u64),
    /// So many records of all partitions together, in equal shares as far as they have them.
    LastOfAll(u64),
    /// So many records of each partition.
    LastOfEach(u64),
    /// This offset in each partition.
    Offset(u64),
}

/// The outcome of each partition: the offset where reading goes on.
pub type ResetOutcomes = Vec<(TopicPartition, Result<i64, Error>)>;

impl Reader {
    pub(super) async fn reset(&mut self, to: Reset, timeout: Duration) -> Result<ResetOutcomes, Error> {
        self.change(
            timeout,
            |log, stored, last| {
                let back = |n: u64| log.end.saturating_sub(i64::try_from(n).unwrap_or(i64::MAX));
                let base = match stored {
                    Stored::Current(cursor) | Stored::Expired(cursor) => cursor.base,
                    Stored::Missing => i64::MIN,
                };
                let target = match to {
                    Reset::Earliest => log.start,
                    Reset::Latest => log.end,
                    Reset::LastButNotBeforeStored(n) => back(n).max(base),
                    Reset::LastOfAll(_) => last.unwrap_or(log.end),
                    Reset::LastOfEach(n) => back(n),
                    Reset::Offset(offset) => i64::try_from(offset).unwrap_or(i64::MAX),
                };
                Some(target)
            },
            to,
        )
        .await
    }

    /// Stores an offset where there is none.
    pub(super) async fn adopt(&mut self, offset: u64, timeout: Duration) -> Result<ResetOutcomes, Error> {
        let adopted = i64::try_from(offset).unwrap_or(i64::MAX);
        let target = |_: Log, stored: &Stored, _: Option<i64>| (*stored == Stored::Missing).then_some(adopted);
        self.change(timeout, target, Reset::Offset(offset)).await
    }

    async fn change(
        &mut self,
        timeout: Duration,
        target: impl Fn(Log, &Stored, Option<i64>) -> Option<i64>,
        to: Reset,
    ) -> Result<ResetOutcomes, Error> {
        let deadline = clock::now() + bounded(timeout);
        let partitions = self.partitions(deadline).await?;
        let mut results: BTreeMap<i32, Result<i64, Error>> = BTreeMap::new();
        let mut entries = BTreeMap::new();
        for (partition, entry) in self.cursors.load(partitions.iter().copied(), deadline).await? {
            match entry {
                Ok(entry) => drop(entries.insert(partition, entry)),
                Err(error) => drop(results.insert(partition, Err(error))),
            }
        }
        let logs = self.newest_ranges(&partitions, deadline).await;
        let last = match to {
            Reset::LastOfAll(n) => self.last_of_all(n),
            _ => None,
        };
        for partition in &partitions {
            let unknown = !logs.contains_key(partition) || matches!(to, Reset::LastOfAll(_)) && last.is_none();
            if unknown && entries.remove(partition).is_some() {
                let late = || {
                    Error::new(
                        crate::error::Kind::Timeout,
                        "the range of the log was not known in time, so nothing was reset",
                    )
                };
                let error = self.ranges.error().unwrap_or_else(late).in_partition(&self.topic, *partition);
                results.insert(*partition, Err(error));
            }
        }
        let changed = self.cursors.update(entries, deadline, |partition, stored, _| {
            let log = logs[&partition];
            let share = last.as_ref().and_then(|last| last.get(&partition).copied());
            moved(stored, log, target(log, stored, share))
        });
        for (partition, result) in changed.await {
            self.source.drop_buffer(partition);
            self.reported.remove(&partition);
            results.insert(partition, result.map(|(_, at): (Entry, i64)| at));
        }
        let moved = results.values().filter(|result| result.is_ok()).count();
        tracing::info!(target: "ottla::queue", group = %self.cursors.group, topic = %self.topic, moved, failed = results.len() - moved, "stored offsets moved");
        let key = |partition| TopicPartition { topic: self.topic.clone(), partition };
        Ok(results.into_iter().map(|(partition, result)| (key(partition), result)).collect())
    }

    /// The ranges of these logs, asked for now, as far as their leaders answer.
    async fn newest_ranges(&mut self, partitions: &[i32], deadline: Instant) -> BTreeMap<i32, Log> {
        let mark = self.ranges.mark();
        // Some time is left for the store.
        let now = clock::now();
        let until = now + deadline.saturating_duration_since(now) * 3 / 4;
        loop {
            let newer =
                |partition: &i32| Some((*partition, self.ranges.of(*partition, mark)?)).filter(|(_, log)| log.is_newer);
            let logs: BTreeMap<i32, Log> = partitions.iter().filter_map(newer).collect();
            if logs.len() == partitions.len() {
                return logs;
            }
            self.ranges.ask(partitions.iter().copied().filter(|partition| !logs.contains_key(partition)));
            if !self.ranges.answered(until).await {
                return logs;
            }
        }
    }
}

fn moved(stored: &Stored, log: Log, target: Option<i64>) -> Verdict<i64> {
    let (Stored::Current(before) | Stored::Expired(before)) = stored else {
        let at = target.unwrap_or(log.end).clamp(log.start, log.end);
        return Verdict::Store(Cursor::at(at), at);
    };
    let Some(target) = target else { return Verdict::Leave(before.base) };
    let mut cursor = before.clone();
    cursor.reset(target.clamp(log.start, log.end));
    let at = cursor.base;
    Verdict::Store(cursor, at)
}
