//! The hooks by which an application follows a rebalance.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::handle::ConsumerHandle;
use crate::error::Error;
use crate::types::TopicPartition;

/// The future of a hook.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// Hooks that are called when partitions are given to a consumer and taken from it (`ConsumerRebalanceListener`).
///
/// A hook runs in a task of its own while the application is in [`Consumer::poll`](super::Consumer::poll), which waits for it.
/// Heartbeats go on meanwhile. A hook that takes longer than
/// [`poll_interval_max`](super::ConsumerBuilder::poll_interval_max) is stopped. `poll` returns the error of a hook, of a hook that
/// was stopped, and of one that panicked; the rebalance goes on all the same.
///
/// ```
/// use ottla::consumer::ConsumerHandle;
/// use ottla::consumer::HookFuture;
/// use ottla::consumer::RebalanceListener;
/// use ottla::types::TopicPartition;
///
/// /// Writes what it holds in memory to a database before partitions move.
/// struct Flush;
///
/// impl RebalanceListener for Flush {
///     fn revoked(&self, consumer: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
///         Box::pin(async move {
///             // Flush, then commit up to there.
///             let positions = consumer.positions().into_iter().filter(|(key, _)| partitions.contains(key));
///             consumer.commit_positions(positions).await
///         })
///     }
/// }
/// ```
pub trait RebalanceListener: Send + Sync + 'static {
    /// These partitions are read from now on, besides those that are read already. None of their records has been returned.
    /// [`ConsumerHandle::seek`] sets where they are read from.
    fn assigned(&self, consumer: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        let _ = (consumer, partitions);
        Box::pin(async { Ok(()) })
    }

    /// These partitions are given up. Until the hook ends, no other member reads them, so their offsets can be committed. With
    /// auto-commit they are committed already.
    fn revoked(&self, consumer: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        let _ = (consumer, partitions);
        Box::pin(async { Ok(()) })
    }

    /// The group took this member for dead, so other members may read these partitions already. Their offsets cannot be committed.
    fn lost(&self, consumer: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        let _ = (consumer, partitions);
        Box::pin(async { Ok(()) })
    }
}

impl fmt::Debug for dyn RebalanceListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RebalanceListener")
    }
}
