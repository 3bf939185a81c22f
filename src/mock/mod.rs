//! A Kafka cluster in this process, for tests and demonstrations (feature `mock`).
//!
//! [`Cluster`] is several brokers in one value. It owns no socket, task or clock: request frames go in through
//! [`Cluster::handle`], replies come back, long polls wait until [`Cluster::poll`] finds them done. A simulator drives it in
//! virtual time; [`Server`] puts it behind TCP on this machine, where any Kafka client can talk to it.
//!
//! It answers as Apache Kafka does, down to the order of the checks, with these liberties:
//! - a topic's replicas share one log with one high watermark: everything is replicated at once unless a test holds that
//!   back, and every live replica is in sync;
//! - a batch is refused where Kafka would repair it or look away (a wrong maximum timestamp, bytes after the batch, gaps in
//!   the offset deltas of an uncompressed batch): the cluster is there to find an encoder's mistakes;
//! - groups have offsets and coordinators, but no members; transactional ids have epochs, and logs have transactions and
//!   their markers, which tests write themselves: the protocol of transactions is not spoken.
//!
//! It is for clients under test: a request whose array counts lie about its size may cost as much memory as they say.
//!
//! Batches are judged by a checker of the mock's own, never by the code of this crate that writes them.
//!
//! ```text
//! frame ─→ handle ─→ Question ─→ log of requests ─→ scripts ─→ api::… ─→ State { topics, partitions, logs, … } ─→ Reply
//!                                                     │          │
//!                                                     └──────────┴─ held, delayed, dripping, fetch with too little to say
//!                                                                   ─→ parked ─→ poll ─→ Reply
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
