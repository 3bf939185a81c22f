//! Reading by the number of records, for queues: what is read too much waits for the next time.

use super::consumer::AckConsumer;
use super::rest::Portion;
use crate::consumer::config;
use crate::consumer::core::Start;
use crate::error::Error;
use crate::group::member::Member;

/// How much is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) records: usize,
    /// Of keys and values. It is checked batch by batch, so there may be more.
    pub(crate) bytes: usize,
}

impl AckConsumer {
    /// Takes part in the group, and reads until as much waits as is wanted, or as many records are open as may be. `false`: the consumer
    /// was closed.
    ///
    /// Cancel safety: dropping the future before it is ready loses nothing. What was read waits.
    pub(crate) async fn fill(&mut self, wanted: Wanted) -> Result<bool, Error> {
        if std::mem::take(&mut self.consumer.busy) {
            tokio::task::yield_now().await;
        }
        loop {
            self.take_part().await?;
            let (records, bytes) = self.acks.kept();
            let capacity = self.acks.capacity();
            if records >= wanted.records || bytes >= wanted.bytes || capacity == 0 && records > 0 {
                self.consumer.busy = true;
                return Ok(true);
            }
            match self.consumer.poll_now(capacity.min(wanted.records - records)) {
                Some(Ok(None)) => return Ok(false),
                Some(Ok(Some(records))) => {
                    let (partitions, resets) = self.hand_out(records).into_waiting();
                    self.acks.keep_resets(resets);
                    for (records, token) in partitions {
                        self.acks.keep(records, token);
                    }
                    tokio::task::yield_now().await;
                }
                Some(Err(error)) => return Err(error),
                None => self.consumer.wait_for_news(self.acks.report_at()).await,
            }
        }
    }

    /// Takes the first `count` records that were read, or all of them.
    pub(crate) fn take_read(&mut self, count: usize) -> Portion {
        self.acks.take_kept(count)
    }

    /// Whether the group has assigned partitions, or none, and no rebalance is known to be on.
    pub(crate) fn is_settled(&self) -> bool {
        self.consumer.shared.lock().member.as_ref().is_none_or(Member::is_stable)
    }

    /// Moves the positions of all partitions that are assigned.
    pub(crate) fn seek_all(&mut self, start: &Start) -> Result<(), Error> {
        config::check_start(start, true)?;
        let assigned = self.consumer.assignment();
        assigned.iter().try_for_each(|partition| self.seek(partition, start.clone()))
    }
}
