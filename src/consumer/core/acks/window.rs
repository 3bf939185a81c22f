//! One partition's acknowledgements: which spans of records are open, and how far everything is acknowledged.
//!
//! ```text
//!   prefix ──────────────┐                      head ──┐
//!   acknowledged ........│ open │ acknowledged │ open │
//!                        └── spans, by their first offset ──┘
//! ```
//!
//! The first span is never an acknowledged one, and neighbouring acknowledged spans are one span, so memory is bounded by the
//! spans that are open. Gaps between offsets belong to no span: they stop nothing.

use std::collections::BTreeMap;

use super::Refusal;
use crate::reading::Position;

#[derive(Debug)]
struct Span {
    /// The position after its last record.
    next: Position,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A token exists, for this many records.
    Live(usize),
    /// The token of this many records was dropped without an acknowledgement.
    Dropped(usize),
    Acknowledged,
}

/// Records whose token was dropped without an acknowledgement, and which nobody was notified of yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreported {
    pub(super) first: i64,
    pub(super) records: usize,
}

/// The records of one partition that were handed out since it was assigned, or its position moved back.
#[derive(Debug)]
pub(super) struct Window {
    spans: BTreeMap<i64, Span>,
    /// The position after the records that were handed out, and after the gap behind them.
    head: Position,
    /// The end of the acknowledged prefix, while a span is open.
    prefix: Position,
    /// Records of open spans.
    pub(super) open: usize,
    /// Those that a token exists for.
    pub(super) live: usize,
    /// Tokens that exist.
    pub(super) tokens: usize,
    pub(super) unreported: Option<Unreported>,
    /// Why acknowledgements are refused, once they are.
    pub(super) refusal: Option<Refusal>,
}

impl Window {
    /// A window of a partition that is read from `start` on.
    pub(super) fn new(start: Position) -> Self {
        Self {
            spans: BTreeMap::new(),
            head: start,
            prefix: start,
            open: 0,
            live: 0,
            tokens: 0,
            unreported: None,
            refusal: None,
        }
    }

    /// The position after the records that were handed out.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// The position before which everything is acknowledged: the one to commit.
    pub(super) fn prefix(&self) -> Position {
        if self.spans.is_empty() { self.head } else { self.prefix }
    }

    /// Opens a span of `records` records, for one token. It begins at the head or after it.
    pub(super) fn hand_out(&mut self, from: i64, next: Position, records: usize) {
        debug_assert!(from >= self.head.offset && next.offset > from, "spans are handed out in order");
        if self.spans.is_empty() {
            self.prefix = self.head;
        }
        self.spans.insert(from, Span { next, state: State::Live(records) });
        self.head = next;
        self.open += records;
        self.live += records;
        self.tokens += 1;
    }

    /// The reader has passed offsets without a record: markers of transactions, or records that compaction has removed.
    pub(super) fn pass(&mut self, position: Position) {
        debug_assert!(position.offset >= self.head.offset, "a position that moved back has a window of its own");
        self.head = position;
    }

    /// Replaces a live span by one span for each of its records, given by their positions after it. Each has a token of its own.
    pub(super) fn split(&mut self, from: i64, records: impl Iterator<Item = (i64, Position)>) {
        let Some(Span { next: end, state: State::Live(count) }) = self.spans.remove(&from) else { return };
        self.open -= count;
        self.live -= count;
        self.tokens -= 1;
        let mut last = None;
        for (offset, next) in records {
            let key = if last.is_none() { from } else { offset };
            self.spans.insert(key, Span { next, state: State::Live(1) });
            self.open += 1;
            self.live += 1;
            self.tokens += 1;
            last = Some(key);
        }
        // Offsets without a record after the last one belong to it.
        if let Some(span) = last.and_then(|last| self.spans.get_mut(&last)) {
            span.next = end;
        }
    }

    /// Leaves the first `records` records of a live span to its token. The others begin at `rest`, and have a token of their own from now
    /// on. `next` is the position after the first ones.
    pub(super) fn divide(&mut self, from: i64, records: usize, next: Position, rest: i64) {
        let Some(span) = self.spans.get_mut(&from) else { return };
        let State::Live(count) = span.state else { return };
        debug_assert!(0 < records && records < count && from < rest, "both parts have records");
        let end = std::mem::replace(&mut span.next, next);
        span.state = State::Live(records);
        self.spans.insert(rest, Span { next: end, state: State::Live(count.saturating_sub(records)) });
        self.tokens += 1;
    }

    /// Closes the span that begins at `from`. Returns the number of its records, or the reason of a refusal.
    pub(super) fn acknowledge(&mut self, from: i64) -> Result<usize, Refusal> {
        self.tokens -= 1;
        let Some(span) = self.spans.get_mut(&from) else { return Ok(0) };
        let State::Live(records) = span.state else { return Ok(0) };
        self.live -= records;
        if let Some(refusal) = self.refusal {
            span.state = State::Dropped(records);
            return Err(refusal);
        }
        span.state = State::Acknowledged;
        self.open -= records;
        self.merge(from);
        Ok(records)
    }

    /// The token of a span was dropped without an acknowledgement: the span stays open. Returns the number of its records.
    pub(super) fn drop_token(&mut self, from: i64, report: bool) -> usize {
        self.tokens -= 1;
        let Some(span) = self.spans.get_mut(&from) else { return 0 };
        let State::Live(records) = span.state else { return 0 };
        span.state = State::Dropped(records);
        self.live -= records;
        if report && self.refusal.is_none() {
            let known = self.unreported.unwrap_or(Unreported { first: from, records: 0 });
            self.unreported = Some(Unreported { first: known.first.min(from), records: known.records + records });
        }
        records
    }

    /// The number of spans that are remembered.
    #[cfg(test)]
    pub(super) fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// Joins an acknowledged span with acknowledged neighbours, and with the prefix.
    fn merge(&mut self, from: i64) {
        let is_acknowledged = |(_, span): &(&i64, &Span)| span.state == State::Acknowledged;
        let after = self.spans.range(from..).nth(1).filter(is_acknowledged).map(|(key, _)| *key);
        let before = self.spans.range(..from).next_back().filter(is_acknowledged).map(|(key, _)| *key);
        if let Some(next) = after.and_then(|after| self.spans.remove(&after)).map(|span| span.next)
            && let Some(span) = self.spans.get_mut(&from)
        {
            span.next = next;
        }
        if let Some(before) = before
            && let Some(Span { next, .. }) = self.spans.remove(&from)
            && let Some(span) = self.spans.get_mut(&before)
        {
            span.next = next;
        }
        if let Some(first) = self.spans.first_entry().filter(|first| first.get().state == State::Acknowledged) {
            self.prefix = first.remove().next;
        }
    }
}
