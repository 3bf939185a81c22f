//! Takes what a fetch brought, and says what to fetch next.

use super::Bound;
use super::Fetched;
use super::Item;
use super::Partition;
use super::State;
use crate::consumer::core::session::Entry;
use crate::error::Error;
use crate::error::Kind;
use crate::reading::Chunk;
use crate::reading::Isolation;
use crate::reading::Position;
use crate::reading::Scan;
use crate::wire::message::FetchedPartition;

/// No batch is larger; `partition_fetch_bytes_max` is not raised beyond this.
const BATCH_BYTES_MAX: i32 = 1 << 30;

impl Partition {
    /// Whether it is to be fetched.
    pub(in super::super) fn wants_fetch(&self) -> bool {
        self.state == State::Fetching
            && !self.paused
            && !self.blocked
            && !self.retry.is_waiting()
            && !matches!(self.bound, Bound::At(bound) if self.fetch.offset >= bound)
    }

    /// Its entry in a fetch request.
    pub(in super::super) fn entry(&self) -> Entry {
        Entry {
            topic_id: self.topic_id,
            offset: self.fetch.offset,
            leader_epoch: self.leader_epoch,
            bytes_max: self.bytes_max,
        }
    }

    /// Whether a response to this request says something about it as it is now.
    ///
    /// One leader's log may have records that the next one's does not have, so the epoch has to be the same. A seek back to
    /// the same offset needs no further fence: the same offset of the same log in the same epoch has the same records.
    pub(in super::super) fn is_current_for(&self, sent: &Entry) -> bool {
        self.state == State::Fetching
            && self.fetch.offset == sent.offset
            && self.log_epoch() == (sent.topic_id, sent.leader_epoch)
    }

    /// Queues what was fetched. Returns whether anything came, or an error that is to be reported.
    pub(in super::super) fn take_in(
        &mut self,
        response: FetchedPartition,
        isolation: Isolation,
    ) -> Result<bool, Error> {
        if response.diverging.is_some() {
            self.must_validate();
            return Ok(true);
        }
        self.contradicted = None;
        let end = match isolation {
            Isolation::ReadCommitted if response.last_stable_offset >= 0 => response.last_stable_offset,
            _ => response.high_watermark,
        };
        // Below zero it is not known, and nothing is at it.
        self.end = Some(end).filter(|end| *end >= 0);
        let end = self.end.unwrap_or(i64::MAX);
        let Some(records) = response.records.filter(|records| !records.is_empty()) else {
            return Ok(self.reached(end));
        };
        let start = self.fetch;
        let scan = Scan::new(&records);
        self.advance(&scan, records.len())?;
        if scan.last.is_some() || scan.is_broken {
            self.buffered += records.len();
            let mut chunk = Chunk::new(records, start);
            if isolation == Isolation::ReadCommitted {
                chunk = chunk.without(response.aborted.unwrap_or_default());
            }
            if self.paused {
                chunk.copy_out();
            }
            let fetched = Fetched { chunk, end, generation: self.generation };
            self.queue.push_back(Item::Chunk(Box::new(fetched)));
        }
        Ok(true)
    }

    /// Nothing came. Reports the end once, where that is because there is no more.
    fn reached(&mut self, end: i64) -> bool {
        let offset = self.fetch.offset;
        let is_news = offset >= end && self.queue.is_empty() && self.end_reported != Some(offset);
        if is_news && self.returned.is_some_and(|returned| returned.offset == offset) {
            self.end_reported = Some(offset);
            self.queue.push_back(Item::End(offset));
        }
        is_news
    }

    /// Moves the fetch position past the records that came, or raises the byte limit if a batch did not fit.
    fn advance(&mut self, scan: &Scan, came: usize) -> Result<(), Error> {
        let offset = self.fetch.offset;
        self.blocked = scan.is_broken;
        match (scan.last, scan.cut) {
            (Some((last, epoch)), _) if last >= offset => {
                self.fetch = Position { offset: last + 1, epoch: epoch.or(self.fetch.epoch) };
                Ok(())
            }
            _ if scan.is_broken => Ok(()),
            (None, Some(needed)) => self.fetch_more(needed, came),
            _ => {
                let error = Error::protocol("a fetch brought only batches from before the position");
                Err(self.place(error).at_offset(offset))
            }
        }
    }

    /// A batch did not fit: fetches more bytes at a time from now on.
    fn fetch_more(&mut self, needed: i64, came: usize) -> Result<(), Error> {
        let offset = self.fetch.offset;
        let bytes_max = i64::from(self.bytes_max).saturating_mul(2).max(needed).min(i64::from(BATCH_BYTES_MAX));
        let bytes_max = i32::try_from(bytes_max).unwrap_or(BATCH_BYTES_MAX);
        if needed > i64::from(BATCH_BYTES_MAX) || bytes_max == self.bytes_max {
            let error = Error::new(Kind::RecordTooLarge, "a record batch is larger than a fetch can bring");
            return Err(self.place(error).at_offset(offset));
        }
        let (topic, partition) = (&self.key.topic, self.key.partition);
        tracing::debug!(target: "ottla::consumer", %topic, partition, offset, came, bytes_max, "batch did not fit");
        self.bytes_max = bytes_max;
        Ok(())
    }
}
