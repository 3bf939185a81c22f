//! Acknowledgements of records that workers finish out of order: what may be committed, and how much is open.
//!
//! ```text
//! hand_out ──> live ──acknowledge──> acknowledged ──> the prefix grows over it
//!                └────drop_token───> dropped: open until the partition is given up, or its position moves
//! ```
//!
//! Each partition has a window for as long as it is assigned and its position does not move back. A window has an epoch, and
//! so has every token: a token of an ended window is refused, with the reason. It knows no fetching, no group and no clock.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;

use crate::reading::Position;
use crate::types::TopicPartition;

mod window;

use self::window::Window;

/// The reason why an acknowledgement counts for nothing. The records are read again, by whoever reads the partition then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The consumer was closed or dropped.
    Closed,
    /// The group took the member for dead, so others may read the partition already.
    Lost,
    /// The position of the partition was moved after the records were handed out: by a seek, or by the reset policy.
    Moved,
    /// The partition was given up: the group assigned it again, or it was unassigned.
    Revoked,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the consumer was closed",
            Self::Lost => "the group took this member for dead",
            Self::Moved => "the position of the partition was moved",
            Self::Revoked => "the partition was given up",
        })
    }
}

/// Names a span of records that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanId {
    epoch: u64,
    from: i64,
}

impl SpanId {
    /// The offset at which the span begins. Its first record may come later.
    pub fn from(self) -> i64 {
        self.from
    }
}

/// Records whose token was dropped without an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset of the first of them, or one before it that has no record.
    pub first: i64,
    /// Their number.
    pub records: usize,
}

/// A window that ended, of which tokens still exist.
#[derive(Debug)]
struct Ended {
    refusal: Refusal,
    tokens: usize,
}

/// The acknowledgements of all partitions of a consumer.
#[derive(Debug, Default)]
pub struct Ledger {
    epochs: u64,
    current: BTreeMap<TopicPartition, u64>,
    windows: BTreeMap<u64, Window>,
    ended: HashMap<u64, Ended>,
    open: usize,
    live: usize,
    closed: bool,
}

impl Ledger {
    /// Hands out `records` records of a partition under one token. They begin at `from` or after it; `next` is the position after
    /// them.
    pub fn hand_out(&mut self, key: &TopicPartition, from: i64, next: Position, records: usize) -> SpanId {
        let epoch = self.epoch_of(key, Position { offset: from, epoch: None });
        if let Some(window) = self.windows.get_mut(&epoch) {
            window.hand_out(from, next, records);
            self.open += records;
            self.live += records;
        }
        SpanId { epoch, from }
    }

    /// Gives each record of a span a token of its own. `records` are their offsets, and the positions after them.
    pub fn split(&mut self, span: SpanId, records: &[(i64, Position)]) -> Vec<SpanId> {
        if let Some(window) = self.windows.get_mut(&span.epoch) {
            let (open, live) = (window.open, window.live);
            window.split(span.from, records.iter().copied());
            self.open = self.open - open + window.open;
            self.live = self.live - live + window.live;
        } else if let Some(ended) = self.ended.get_mut(&span.epoch) {
            ended.tokens = ended.tokens - 1 + records.len();
        }
        let from = |(at, (offset, _)): (usize, &(i64, Position))| if at == 0 { span.from } else { *offset };
        records.iter().enumerate().map(from).map(|from| SpanId { from, ..span }).collect()
    }

    /// Leaves the first `records` records of a span to its token, and returns one for the others, which begin at offset `rest`. `next` is
    /// the position after the first ones.
    pub fn divide(&mut self, span: SpanId, records: usize, next: Position, rest: i64) -> SpanId {
        if let Some(window) = self.windows.get_mut(&span.epoch) {
            window.divide(span.from, records, next, rest);
        } else if let Some(ended) = self.ended.get_mut(&span.epoch) {
            ended.tokens += 1;
        }
        SpanId { from: rest, ..span }
    }

    /// Acknowledges a span. Its token is used up.
    pub fn acknowledge(&mut self, span: SpanId) -> Result<(), Refusal> {
        let Some(window) = self.windows.get_mut(&span.epoch) else { return self.refused(span) };
        let live = window.live;
        let result = window.acknowledge(span.from);
        self.live = self.live - live + window.live;
        self.open -= result?;
        Ok(())
    }

    /// The token of a span was dropped without an acknowledgement: the span stays open, and nothing after it is committed. With
    /// `report` it is something that [`Self::poll_dropped`] returns.
    pub fn drop_token(&mut self, span: SpanId, report: bool) {
        match self.windows.get_mut(&span.epoch) {
            Some(window) => self.live -= window.drop_token(span.from, report),
            None => drop(self.refused(span)),
        }
    }

    /// The reader is at `position` of a partition, and everything before it was handed out. Returns the position to commit.
    pub fn acknowledged_at(&mut self, key: &TopicPartition, position: Position) -> Position {
        let epoch = self.epoch_of(key, position);
        let Some(window) = self.windows.get_mut(&epoch) else { return position };
        window.pass(position);
        window.prefix()
    }

    /// The position before which everything is acknowledged, of each partition that something was handed out of.
    pub fn prefixes(&self) -> Vec<(TopicPartition, Position)> {
        let prefix = |(key, epoch): (&TopicPartition, &u64)| Some((key.clone(), self.windows.get(epoch)?.prefix()));
        self.current.iter().filter_map(prefix).collect()
    }

    /// Refuses acknowledgements of these partitions from now on. What was acknowledged before can still be committed.
    pub fn fence<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>, refusal: Refusal) {
        for key in partitions {
            let epoch = self.current.get(key);
            if let Some(window) = epoch.and_then(|epoch| self.windows.get_mut(epoch)) {
                window.refusal.get_or_insert(refusal);
                window.unreported = None;
            }
        }
    }

    /// Forgets these partitions. Their tokens are refused.
    pub fn end<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>, refusal: Refusal) {
        for key in partitions {
            let Some(epoch) = self.current.remove(key) else { continue };
            let Some(window) = self.windows.remove(&epoch) else { continue };
            self.open -= window.open;
            self.live -= window.live;
            if window.tokens > 0 {
                let refusal = window.refusal.unwrap_or(refusal);
                self.ended.insert(epoch, Ended { refusal, tokens: window.tokens });
            }
        }
    }

    /// Refuses everything from now on: the consumer ends.
    pub fn close(&mut self) {
        self.closed = true;
        let all: Vec<TopicPartition> = self.current.keys().cloned().collect();
        self.end(&all, Refusal::Closed);
    }

    /// The number of records that were handed out and not acknowledged.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Those of them that are of this partition.
    pub fn open_of(&self, key: &TopicPartition) -> usize {
        self.current.get(key).and_then(|epoch| self.windows.get(epoch)).map_or(0, |window| window.open)
    }

    /// The partitions that something was handed out of.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.current.keys()
    }

    /// Those of them that a token exists for.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Those of them that are of these partitions.
    pub fn live_of<'p>(&self, partitions: impl IntoIterator<Item = &'p TopicPartition>) -> usize {
        let windows = partitions.into_iter().filter_map(|key| self.windows.get(self.current.get(key)?));
        windows.map(|window| window.live).sum()
    }

    /// Takes the records of one partition whose tokens were dropped without an acknowledgement since the last time.
    pub fn poll_dropped(&mut self) -> Option<Dropped> {
        self.current.iter().find_map(|(key, epoch)| {
            let dropped = self.windows.get_mut(epoch)?.unreported.take()?;
            Some(Dropped { partition: key.clone(), first: dropped.first, records: dropped.records })
        })
    }

    /// The epoch of a partition's window, after a new one has begun if there was none, or if the position moved back.
    fn epoch_of(&mut self, key: &TopicPartition, position: Position) -> u64 {
        if let Some(epoch) = self.current.get(key) {
            if self.windows.get(epoch).is_some_and(|window| window.head().offset <= position.offset) {
                return *epoch;
            }
            self.end([key], Refusal::Moved);
        }
        self.epochs += 1;
        let mut window = Window::new(position);
        window.refusal = self.closed.then_some(Refusal::Closed);
        self.current.insert(key.clone(), self.epochs);
        self.windows.insert(self.epochs, window);
        self.epochs
    }

    /// Uses up a token of a window that has ended.
    fn refused(&mut self, span: SpanId) -> Result<(), Refusal> {
        let Some(ended) = self.ended.get_mut(&span.epoch) else { return Err(Refusal::Closed) };
        let refusal = ended.refusal;
        ended.tokens -= 1;
        if ended.tokens == 0 {
            self.ended.remove(&span.epoch);
        }
        Err(refusal)
    }
}

#[cfg(test)]
impl Ledger {
    /// Spans and ended windows that are remembered.
    pub(super) fn remembered(&self) -> usize {
        self.windows.values().map(Window::span_count).sum::<usize>() + self.ended.len()
    }
}
