//! Returns what was fetched: one chunk of one partition after the other, by turns.

use std::time::Instant;

use super::ConsumerCore;
use super::position::Fetched;
use super::position::Item;
use super::start::Reset;
use crate::error::Error;
use crate::reading::Chunk;
use crate::reading::Unreadable;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// The next thing to return to the caller.
#[derive(Debug)]
pub enum Next {
    /// To be read, and given back with [`ConsumerCore::give_back`] or [`ConsumerCore::unreadable`].
    Chunk(Taken),
    /// The end of a partition was reached, at this offset.
    End(TopicPartition, i64),
    /// Something went wrong.
    Error(Error),
    /// A position was moved.
    Reset(Reset),
}

/// A chunk taken out to be read.
#[derive(Debug)]
pub struct Taken {
    slot: usize,
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The records.
    pub chunk: Chunk,
    end: i64,
    generation: u64,
}

/// Whether the records that were read of a chunk may be returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returned {
    /// They may.
    Delivered {
        /// Where the end of the partition was reached with them.
        end: Option<(TopicPartition, i64)>,
    },
    /// They may not: the partition moved on meanwhile, and the records that still exist are fetched again. The log was cut,
    /// the topic was recreated, or the partition was revoked.
    Overtaken,
}

impl ConsumerCore {
    /// Whether [`ConsumerCore::next`] may have something.
    pub fn has_next(&self) -> bool {
        !self.errors.is_empty() || !self.schedule.ready.is_empty()
    }

    /// Takes what is to be returned next.
    #[allow(clippy::should_implement_trait, reason = "there may be more after `None`: no iterator")]
    pub fn next(&mut self) -> Option<Next> {
        if self.closed {
            return None;
        }
        if let Some(error) = self.errors.pop_front() {
            return Some(Next::Error(error));
        }
        while let Some(slot) = self.schedule.ready.pop_front() {
            self.left_rotation(slot);
            let generation = self.generation();
            let Some(partition) = self.slots.get_mut(slot) else { continue };
            let item = partition.take_next(generation);
            let key = item.is_some().then(|| partition.key().clone());
            self.reindex();
            let (Some(item), Some(key)) = (item, key) else { continue };
            return Some(match item {
                Item::Chunk(fetched) => {
                    let Fetched { chunk, end, generation } = *fetched;
                    let TopicPartition { topic, partition } = key;
                    Next::Chunk(Taken { slot, topic, partition, chunk, end, generation })
                }
                Item::End(offset) => Next::End(key, offset),
                Item::Error(error) => Next::Error(error),
                Item::Reset(reset, _) => {
                    self.counters.resets += 1;
                    Next::Reset(reset)
                }
            });
        }
        None
    }

    /// Takes back a chunk of which something, or all, was read. Only if it says so, the records may be returned.
    pub fn give_back(&mut self, taken: Taken) -> Returned {
        let Taken { slot, chunk, end, generation, .. } = taken;
        let Some(partition) = self.slots.get_mut(slot) else { return Returned::Overtaken };
        let returned = match partition.give_back(Fetched { chunk, end, generation }) {
            Ok(end) => Returned::Delivered { end: end.map(|offset| (partition.key().clone(), offset)) },
            Err(_) => Returned::Overtaken,
        };
        self.reindex();
        returned
    }

    /// Takes back a chunk that cannot be read on. It is fetched again, after a pause; a seek leads past it.
    ///
    /// Returns the error for the caller, unless the partition has moved on meanwhile: then the records that were read of the
    /// chunk before may not be returned either.
    pub fn unreadable(&mut self, now: Instant, taken: Taken, unreadable: Unreadable) -> Option<Error> {
        let generation = self.generation();
        let patience = self.config.patience;
        let partition = self.slots.get_mut(taken.slot)?;
        partition.cannot_read(&taken.chunk, taken.generation, generation).ok()?;
        partition.retry.failed(now, &mut self.rng, patience);
        let error = partition.place(unreadable.error.into()).at_offset(unreadable.offset);
        self.counters.corrupt += 1;
        self.reindex();
        Some(error)
    }

    /// Records that were returned have released capacity.
    pub fn handle_capacity(&mut self, now: Instant) {
        self.plan(now);
    }
}
