//! A Kafka cluster in this process, for tests and demonstrations (feature `mock`).
//!
//! [`Cluster`] holds several brokers in one value. It owns no socket, task or clock: the caller passes request frames to
//! [`Cluster::handle`] and gets responses back, and [`Cluster::poll`] returns those of long polls. A simulator drives it in
//! virtual time. [`Server`] serves it over TCP on this machine, where any Kafka client can connect to it.
//!
//! It answers as Apache Kafka does, down to the order of the checks, with these differences:
//! - the replicas of a partition share one log with one high watermark: records are replicated at once unless a test holds
//!   replication, and every live replica is in sync;
//! - a batch is refused where Kafka would repair or ignore the fault (a wrong maximum timestamp, bytes after the batch, gaps
//!   in the offset deltas of an uncompressed batch), because the cluster has to find the mistakes of an encoder;
//! - groups have offsets and coordinators, but no members; transactional ids have epochs; logs have transactions and markers,
//!   which tests write themselves, because the protocol of transactions is not supported.
//!
//! It serves clients under test only: a request with a wrong array count may cost as much memory as the count claims.
//!
//! The mock checks batches with code of its own, never with the code of this crate that writes them.
//!
//! ```text
//! frame ─→ handle ─→ AnyRequest ─→ request log ─→ scripts ─→ api::… ─→ State { topics, partitions, logs, … } ─→ Reply
//!                                                    │          │
//!                                                    └──────────┴─ held, delayed, dripping, a fetch without enough bytes
//!                                                                  ─→ parked ─→ poll ─→ Reply
//! ```

mod api;
mod builder;
mod check;
mod cluster;
mod compact;
mod control;
mod encode;
mod fault;
mod frame;
pub mod key;
mod log;
mod producers;
mod release;
mod seen;
mod serve;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod transactions;
mod walk;

pub use crate::mock::builder::Builder;
pub use crate::mock::cluster::Cluster;
pub use crate::mock::cluster::Outcome;
pub use crate::mock::encode::NewBatch;
pub use crate::mock::fault::Fault;
pub use crate::mock::fault::On;
pub use crate::mock::fault::Script;
pub use crate::mock::fault::ScriptId;
pub use crate::mock::frame::FrameError;
pub use crate::mock::frame::take_frame;
pub use crate::mock::log::StoredRecord;
pub use crate::mock::release::Release;
pub use crate::mock::seen::SeenPartition;
pub use crate::mock::seen::SeenRequest;
pub use crate::mock::seen::SeenWhat;
pub use crate::mock::serve::Server;
