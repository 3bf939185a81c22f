//! The settings of a consumer's core.

use std::time::Duration;

use super::start::ResetPolicy;
use super::start::Start;
use crate::reading::Isolation;

/// The settings of a consumer's core.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose committed offsets are read.
    pub group: Option<String>,
    /// Where a partition starts.
    pub start: Start,
    /// The policy for a position that is no longer in the log.
    pub reset: ResetPolicy,
    /// Which records of transactions are returned.
    pub isolation: Isolation,
    /// Where this consumer is, for the choice of a replica near it.
    pub rack: String,
    /// Bytes of one fetch response.
    pub fetch_bytes_max: i32,
    /// Bytes a broker waits for.
    pub fetch_bytes_min: i32,
    /// How long a broker waits for them.
    pub fetch_wait_max: Duration,
    /// Bytes of one partition in one fetch response.
    pub partition_fetch_bytes_max: i32,
    /// Bytes fetched and not returned yet, over all brokers.
    pub prefetch_bytes: usize,
    /// Whether to stop at what was the end when reading began.
    pub until_end: bool,
    /// The first pause after a failure.
    pub retry_backoff: Duration,
    /// The longest pause after a failure.
    pub retry_backoff_max: Duration,
    /// How long something may fail before the caller is notified.
    pub patience: Duration,
    /// How long a topic may be unknown before the caller is notified.
    pub topic_patience: Duration,
    /// How long to read from a replica before fetching from the leader again.
    pub replica_lease: Duration,
    /// Where jitter comes from.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: None,
            start: Start::Earliest,
            reset: ResetPolicy::default(),
            isolation: Isolation::default(),
            rack: String::new(),
            fetch_bytes_max: 8 << 20,
            fetch_bytes_min: 1,
            fetch_wait_max: Duration::from_millis(500),
            partition_fetch_bytes_max: 1 << 20,
            prefetch_bytes: 32 << 20,
            until_end: false,
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            topic_patience: Duration::from_secs(5),
            replica_lease: Duration::from_secs(300),
            seed: 0,
        }
    }
}
