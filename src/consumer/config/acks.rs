//! Settings of a consumer whose records are acknowledged.

use std::sync::Arc;
use std::time::Duration;

use super::ConsumerBuilder;
use crate::consumer::acks::AckConsumer;
use crate::error::Error;
use crate::types::bounded;

impl ConsumerBuilder {
    /// For [`Self::build_acked`]: the records that may be handed out and not acknowledged before polls wait for acknowledgements. The
    /// default is 10,000, and 1 the least. It is checked batch by batch, so one batch more may be open. No property sets it.
    pub fn ack_open_max(mut self, records: usize) -> Self {
        self.acks.open_max = records;
        self
    }

    /// For [`Self::build_acked`]: how long partitions that are given up, in a rebalance or by closing, wait for their open records
    /// before the last commit. The default is 5 s. It ends at half of [`poll_interval_max`](Self::poll_interval_max), the time
    /// of a rebalance. The other members wait meanwhile. No property sets it.
    pub fn ack_wait(mut self, wait: Duration) -> Self {
        self.acks.wait = bounded(wait);
        self
    }

    /// Starts a consumer for workers that finish out of order: its records are acknowledged, and only what is acknowledged is
    /// committed, every [`auto_commit`](Self::auto_commit) interval. The default of that is 5 s here, also where partitions are assigned.
    ///
    /// Without a [group](Self::group) nothing is committed: [`AckConsumer::acknowledged`] has the positions for a store elsewhere.
    ///
    /// # Errors
    ///
    /// Those of [`Self::build`], and [`Kind::Config`](crate::error::Kind::Config) if [`ack_open_max`](Self::ack_open_max) is 0.
    pub fn build_acked(mut self) -> Result<AckConsumer, Error> {
        if self.acks.open_max == 0 {
            return Err(Error::config("`ack_open_max` is 0, so that nothing could be read: raise it"));
        }
        self.membership.auto_commit.get_or_insert(true);
        let settings = self.acks;
        let consumer = self.start_with(Some(settings))?;
        let acks = consumer.shared.acks.clone();
        let acks = acks.expect("it was started with acknowledgements");
        Ok(AckConsumer::new(consumer, Arc::clone(&acks)))
    }
}
