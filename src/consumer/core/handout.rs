//! Handing out what was fetched: one chunk of one partition after the other, by turns.

use std::time::Instant;

use super::ConsumerCore;
use super::position::Bound;
use super::position::Fetched;
use super::position::Item;
use super::position::Reset;
use crate::error::Error;
use crate::error::Kind;
use crate::reading::Chunk;
use crate::reading::Position;
use crate::reading::Unreadable;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// What is handed out next.
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
    /// What was fetched of it.
    pub chunk: Chunk,
    end: i64,
    generation: u64,
}

/// What becomes of what was read of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returned {
    /// It is to be handed out.
    Handed {
        /// Where the end of the partition was reached with it.
        end: Option<(TopicPartition, i64)>,
    },
    /// It is not: the partition moved on meanwhile, and what still exists of it is fetched again. The log was cut, or the
    /// topic was created anew.
    Overtaken,
}

impl ConsumerCore {
    /// Whether [`ConsumerCore::next`] may have something.
    pub fn has_next(&self) -> bool {
        !self.errors.is_empty() || !self.ready.is_empty()
    }

    /// Takes what is to be handed out next.
    #[allow(clippy::should_implement_trait, reason = "what comes after `None` may be more: no iterator")]
    pub fn next(&mut self) -> Option<Next> {
        if self.closed {
            return None;
        }
        if let Some(error) = self.errors.pop_front() {
            return Some(Next::Error(error));
        }
        while let Some(slot) = self.ready.pop_front() {
            let Some(partition) = &mut self.partitions[slot] else { continue };
            partition.is_ready = false;
            if !partition.has_next() {
                continue;
            }
            let Some(item) = partition.queue.pop_front() else { continue };
            if partition.is_beyond_bound(&item) {
                let generation = self.generation();
                if let Some(partition) = &mut self.partitions[slot] {
                    partition.rewind(generation);
                }
                continue;
            }
            let next = match item {
                Item::Chunk(fetched) => {
                    let Fetched { mut chunk, end, generation } = *fetched;
                    partition.buffered -= chunk.bytes();
                    if let Bound::At(bound) = partition.bound {
                        chunk.stop_before(bound);
                    }
                    let TopicPartition { topic, partition } = partition.key.clone();
                    return Some(Next::Chunk(Taken { slot, topic, partition, chunk, end, generation }));
                }
                Item::End(offset) => Next::End(partition.key.clone(), offset),
                Item::Error(error) => Next::Error(error),
                Item::Reset(reset, epoch) => {
                    partition.handed = Some(Position { offset: reset.to, epoch });
                    Next::Reset(reset)
                }
            };
            self.make_ready(slot);
            return Some(next);
        }
        None
    }

    /// Takes back a chunk of which something, or all, was read. Only if it says so, what was read is to be handed out.
    pub fn give_back(&mut self, taken: Taken) -> Returned {
        let Taken { slot, chunk, end: log_end, generation, .. } = taken;
        let lent = self.partitions[slot].as_mut().filter(|partition| partition.generation == generation);
        let Some(partition) = lent else { return Returned::Overtaken };
        let position = chunk.position();
        partition.handed = Some(position);
        let mut end = None;
        if chunk.is_finished() {
            if partition.queue.is_empty() && position.offset >= log_end && partition.end_told != Some(position.offset) {
                partition.end_told = Some(position.offset);
                end = Some((partition.key.clone(), position.offset));
            }
        } else {
            partition.buffered += chunk.bytes();
            let fetched = Fetched { chunk, end: log_end, generation };
            partition.queue.push_front(Item::Chunk(Box::new(fetched)));
        }
        self.make_ready(slot);
        Returned::Handed { end }
    }

    /// Takes back a chunk that cannot be read on. It is fetched again, after a pause; a seek leads past it.
    ///
    /// Answers the error for the caller, unless the partition has moved on meanwhile: then what was read of the chunk before
    /// is not to be handed out either.
    pub fn unreadable(&mut self, now: Instant, taken: Taken, unreadable: Unreadable) -> Option<Error> {
        let generation = self.generation();
        let patience = self.config.patience;
        let partition = self.partitions[taken.slot].as_mut()?;
        if partition.generation != taken.generation {
            return None;
        }
        partition.handed = Some(taken.chunk.position());
        partition.rewind(generation);
        partition.trouble.failed(now, &mut self.rng, patience);
        let error = Error::new(Kind::Corrupt, "could not read a record batch").caused_by(unreadable.error);
        Some(partition.place(error).at_offset(unreadable.offset))
    }

    /// What was handed out has made room.
    pub fn handle_room(&mut self, now: Instant) {
        self.plan(now);
    }

    /// Puts a partition into the rotation if it has something to hand out.
    pub(super) fn make_ready(&mut self, slot: usize) {
        let Some(partition) = &mut self.partitions[slot] else { return };
        if !partition.is_ready && partition.has_next() {
            partition.is_ready = true;
            self.ready.push_back(slot);
        }
    }
}
