//! Offsets outside Kafka: a small trait to store them by group, topic and partition, a store in memory, one in a file, and one in Redis (feature `redis`).
//!
//! A consumer that assigns its partitions starts from a store and commits to it by [`StoredGroup`]. A file store keeps the offsets of one
//! process across restarts; other stores implement [`OffsetStore`].
//!
//! ```no_run
//! # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
//! use ottla::consumer::store::FileStore;
//! use ottla::consumer::store::StoredGroup;
//!
//! let path = std::env::temp_dir().join(format!("audit-{}.offsets", std::process::id()));
//! let store = FileStore::open(&path).await?;
//! let mut group = StoredGroup::new(store, "audit");
//! let mut consumer = client.consumer().assign_partitions([("events", 0), ("events", 1)]).until_end().build()?;
//! // From where the last run stopped; partitions without an offset start where the consumer was built to.
//! group.resume(&consumer.handle(), consumer.assignment()).await?;
//! while let Some(records) = consumer.poll().await? {
//!     println!("{} records", records.count());
//!     group.commit(consumer.handle().positions()).await?;
//! }
//! # Ok(()) }
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::error::Error;
use crate::reading::Position;
use crate::types::Timestamp;
use crate::types::TopicPartition;

mod file;
mod group;
mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod table;
#[cfg(test)]
mod tests;

pub use self::file::FileStore;
pub use self::group::StoredGroup;
pub use self::memory::MemoryStore;
#[cfg(all(feature = "queue", feature = "redis"))]
pub use self::redis::LegacyCursor;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;

/// The future of a call of an [`OffsetStore`].
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Stores offsets by group, topic and partition, with compare-and-set.
///
/// It is object safe, because a program chooses its store by configuration (`Arc<dyn OffsetStore>`). Its futures are boxed and `Send`: an
/// `async fn` of a trait does not promise `Send`, and a call that writes to a disk or a network does not feel an allocation.
///
/// Each partition of a call is decided by itself: one conflict does not stop the others. A store that fails says so by an error of
/// kind [`Storage`](crate::error::Kind::Storage) ([`Error::storage`]); then any of the changes may have been made, and the next read shows
/// which. Dropping a future does not undo a change.
pub trait OffsetStore: fmt::Debug + Send + Sync + 'static {
    /// Reads the offsets of a group, in the order of `partitions`.
    fn load<'a>(&'a self, group: &'a str, partitions: Vec<TopicPartition>) -> StoreFuture<'a, Vec<Lookup>>;

    /// Changes the offsets of a group whose present state is the expected one. The outcomes are in the order of `changes`.
    ///
    /// When the future is ready, the changes that were made outlast a crash, as far as the store outlasts one.
    fn compare_and_set<'a>(&'a self, group: &'a str, changes: Vec<Change>) -> StoreFuture<'a, Vec<Outcome>>;
}

/// The offset that a store has for a partition, or the reason why there is none to rely upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// An offset that is too old to be relied upon: the store's retention has passed. Starting over with the oldest record would read
    /// much again, and at the end would skip records; so it is distinct from [`Missing`](Self::Missing).
    Expired(StoredOffset),
    /// An offset.
    Found(StoredOffset),
    /// No offset was ever stored.
    Missing,
}

impl Lookup {
    /// The version to [expect](Expected) for a change of this.
    pub fn expected(&self) -> Expected {
        match self {
            Self::Expired(stored) | Self::Found(stored) => Expected::Version(stored.version),
            Self::Missing => Expected::Missing,
        }
    }
}

/// An offset in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOffset {
    /// The offset of the next record to read, and the leader epoch of the record before it.
    pub position: Position,
    /// A text that was stored with it.
    pub metadata: String,
    /// When it was stored, by the clock of the process that did.
    pub stored_at: Timestamp,
    /// Grows with each change of the partition's offset.
    pub version: u64,
}

/// A change of the offset of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset to store.
    pub position: Position,
    /// A text to store with it.
    pub metadata: String,
    /// The change is made only in this state.
    pub expected: Expected,
}

/// The state of a partition's offset in which it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any.
    Any,
    /// No offset was ever stored.
    Missing,
    /// It has this version, expired or not.
    Version(u64),
}

/// The outcome of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not made: this is what the store has instead.
    Conflict(Lookup),
    /// It was made, and this is the version of the offset.
    Stored(u64),
}
