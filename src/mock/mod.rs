//! A Kafka cluster in this process, for tests and demonstrations (feature `mock`).
//!
//! [`Server`] serves it over TCP on this machine, where any Kafka client can connect to it, or in memory to clients of this
//! crate. A test starts one, passes its address to the code under test, and looks at the logs:
//!
//! ```
//! use ottla::{Client, Record};
//! use ottla::mock::{Cluster, Server};
//!
//! /// The code under test.
//! async fn place_order(servers: &str) -> Result<(), ottla::Error> {
//!     let client = Client::connect([servers]).await?;
//!     let producer = client.producer().build()?;
//!     producer.send(Record::to("orders").key("7").value("2 chairs")).await?;
//!     Ok(())
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! // In a #[tokio::test].
//! let cluster = Cluster::builder().brokers(3).topic("orders", 1).build();
//! let server = Server::start(cluster, "127.0.0.1:0".parse()?).await?;
//! place_order(server.bootstrap()).await?;
//!
//! let log = server.with(|cluster| cluster.log("orders", 0));
//! assert_eq!(log[0].value.as_deref(), Some(&b"2 chairs"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Server::with`] also makes it fail: brokers go down and come back, leaders move, and scripts of [`Fault`]s answer requests
//! with errors, late, or not at all.
//!
//! # Time
//!
//! Everything follows tokio's clock. With `#[tokio::test(start_paused = true)]` an outage of ten minutes passes at once:
//! - [`Server::in_memory`] with [`Server::connector`] is made for it. No socket takes part, so the clock moves only when every
//!   task waits for it, and a deadline of 120 s passes after 120 s of it, to the millisecond.
//! - Over TCP it works as well, if client and server run in one current-thread runtime: tokio moves the clock only when no
//!   socket is ready. But on a busy machine the kernel may deliver late, and then the clock moves too far. Test outcomes there,
//!   not durations.
//!
//! Timestamps of records come from the system's clock, which is never paused.
//!
//! # The cluster without a server
//!
//! [`Cluster`] holds several brokers in one value. It owns no socket, task or clock: the caller passes request frames to
//! [`Cluster::handle`] and gets responses back, and [`Cluster::poll`] returns those of long polls. A simulator drives it in
//! virtual time.
//!
//! # Differences from Kafka
//!
//! It answers as Apache Kafka does, down to the order of the checks, with these differences:
//! - the replicas of a partition share one log with one high watermark: records are replicated at once unless a test holds
//!   replication, and every live replica is in sync;
//! - a batch is refused where Kafka would repair or ignore the fault (a wrong maximum timestamp, bytes after the batch, gaps
//!   in the offset deltas of an uncompressed batch), because the cluster has to find the mistakes of an encoder;
//! - groups have members of the classic protocol (JoinGroup); that of KIP-848 is not supported. Transactional ids have epochs;
//!   logs have transactions and markers, which tests write themselves, because the protocol of transactions is not supported;
//! - quotas, SCRAM credentials and entries of access control are stored and have no effect; a broker has one log directory; the first
//!   three brokers are the controllers; a reassignment is complete at once, unless a test holds the replication of the partition.
//!
//! - SASL is announced only where [`Builder::sasl`] asks for it, and its messages always have headers (SaslHandshake 1).
//!
//! It serves clients under test only: a request with a wrong array count may cost as much memory as the count claims.
//!
//! The mock checks batches with code of its own, never with the code of this crate that writes them.
//!
//! ```text
//! frame ─→ handle ─→ AnyRequest ─→ request log ─→ scripts ─→ api::… ─→ State { topics, partitions, logs, … } ─→ Reply
//!                                                    │          │
//!                                                    └──────────┴─ held, delayed, dripping, a fetch without enough bytes,
//!                                                                  a member that waits for the others
//!                                                                  ─→ parked ─→ poll ─→ Reply
//! ```

mod access;
mod api;
mod builder;
mod check;
mod cluster;
mod compact;
mod control;
mod encode;
mod fault;
mod features;
mod frame;
mod group;
pub mod key;
mod log;
mod memory;
mod moving;
mod producers;
mod quotas;
mod release;
mod sasl;
mod seen;
mod serve;
mod session;
mod state;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
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
pub use crate::mock::group::GroupDescription;
pub use crate::mock::group::GroupState;
pub use crate::mock::group::MemberDescription;
pub use crate::mock::group::ModernMember;
pub use crate::mock::log::StoredRecord;
pub use crate::mock::memory::MemoryConnector;
pub use crate::mock::release::Release;
pub use crate::mock::sasl::SaslAnswer;
pub use crate::mock::sasl::SaslUsers;
pub use crate::mock::seen::SeenPartition;
pub use crate::mock::seen::SeenRequest;
pub use crate::mock::seen::SeenWhat;
pub use crate::mock::serve::Server;
#[cfg(feature = "tls")]
pub use crate::mock::tls::ServerTls;
#[cfg(feature = "tls")]
pub use crate::mock::tls::TlsFault;
