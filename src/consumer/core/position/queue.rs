//! Returns what is queued, in order, and takes back the records that were not read.

use super::Bound;
use super::Fetched;
use super::Item;
use super::Partition;
use crate::reading::Chunk;
use crate::reading::Position;

impl Item {
    /// Where a move leads.
    pub(super) fn leads_to(&self) -> Option<Position> {
        match self {
            Self::Reset(reset, epoch) => Some(Position { offset: reset.to, epoch: *epoch }),
            Self::Chunk(_) | Self::End(_) | Self::Error(_) => None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Chunk(fetched) => fetched.chunk.bytes(),
            Self::End(_) | Self::Error(_) | Self::Reset(..) => 0,
        }
    }
}

impl Partition {
    /// Whether something can be returned.
    pub(in super::super) fn has_next(&self) -> bool {
        !self.paused && !self.queue.is_empty() && (!matches!(self.bound, Bound::Unknown(_)) || !self.chunk_is_next())
    }

    fn chunk_is_next(&self) -> bool {
        matches!(self.queue.front(), Some(Item::Chunk(_)))
    }

    /// Takes what is returned next. Records past the bound are dropped instead.
    pub(in super::super) fn take_next(&mut self, generation: u64) -> Option<Item> {
        if !self.has_next() {
            return None;
        }
        let mut item = self.queue.pop_front()?;
        if self.is_beyond_bound(&item) {
            self.rewind(generation);
            return None;
        }
        self.buffered -= item.bytes();
        if let (Item::Chunk(fetched), Bound::At(bound)) = (&mut item, self.bound) {
            fetched.chunk.stop_before(bound);
        }
        if let Some(position) = item.leads_to() {
            self.note_returned(position);
        }
        Some(item)
    }

    /// Whether this came from beyond the bound, before that was known: records, or a move of a position further on.
    fn is_beyond_bound(&self, item: &Item) -> bool {
        match (self.bound, item) {
            (Bound::At(bound), Item::Chunk(fetched)) => fetched.chunk.position().offset >= bound,
            (Bound::At(_), Item::Reset(reset, _)) => {
                self.returned.is_some_and(|returned| returned.offset != reset.from)
            }
            _ => false,
        }
    }

    /// Takes back a chunk of which something was read, unless the partition moved on meanwhile. Returns where the end was
    /// reached with it, for the first time.
    pub(in super::super) fn give_back(&mut self, fetched: Fetched) -> Result<Option<i64>, Overtaken> {
        if fetched.generation != self.generation {
            return Err(Overtaken);
        }
        let position = fetched.chunk.position();
        self.note_returned(position);
        if !fetched.chunk.is_finished() {
            self.buffered += fetched.chunk.bytes();
            self.queue.push_front(Item::Chunk(Box::new(fetched)));
            return Ok(None);
        }
        let is_end = self.queue.is_empty() && position.offset >= fetched.end;
        if !is_end || self.end_reported == Some(position.offset) {
            return Ok(None);
        }
        self.end_reported = Some(position.offset);
        Ok(Some(position.offset))
    }

    /// Goes back to where a chunk cannot be read, unless the partition moved on meanwhile.
    pub(in super::super) fn cannot_read(
        &mut self,
        chunk: &Chunk,
        lent_in: u64,
        generation: u64,
    ) -> Result<(), Overtaken> {
        if lent_in != self.generation {
            return Err(Overtaken);
        }
        self.note_returned(chunk.position());
        self.rewind(generation);
        Ok(())
    }

    /// Drops the records that were fetched; responses to requests so far do not count.
    pub(super) fn drop_queue(&mut self, generation: u64) {
        self.generation = generation;
        self.queue.clear();
        self.buffered = 0;
        self.blocked = false;
        self.asking = false;
    }

    /// Stops returning records. They may be queued for long, so they must not keep the whole response in memory.
    pub(in super::super) fn pause(&mut self) {
        if std::mem::replace(&mut self.paused, true) {
            return;
        }
        for item in &mut self.queue {
            if let Item::Chunk(fetched) = item {
                fetched.chunk.copy_out();
            }
        }
    }

    pub(in super::super) fn resume(&mut self) {
        self.paused = false;
    }
}

/// The partition moved on while a chunk was read.
#[derive(Debug)]
pub(in super::super) struct Overtaken;
