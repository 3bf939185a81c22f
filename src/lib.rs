//! An Apache Kafka client in pure Rust: a producer, a consumer and an admin, without a C compiler.
//!
//! - **Nothing is lost silently.** Every record that a [`Producer`] accepts is acknowledged, or fails with an error that says
//!   whether it may be in the log: [`Error::is_written`]. By default a retry writes no record twice and keeps order.
//! - **Little CPU.** Records are written once into their batch, sent by vectored writes, and read in place.
//! - **No surprises.** Every queue, buffer, retry and wait has a limit with a documented default. Responses of brokers are
//!   checked before they are used. `unsafe` is forbidden.
//!
//! It works with brokers from 2.1 on and is tested with 2.8, 3.9 and 4.3. Transactions are not there yet.
//!
//! # The first program
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ottla::Client;
//! use ottla::Record;
//! use ottla::consumer::Start;
//!
//! # async fn run() -> Result<(), ottla::Error> {
//! let client = Client::connect(["localhost:9092"]).await?;
//!
//! let producer = client.producer().build()?;
//! let receipt = producer.send(Record::to("events").key("user-7").value("clicked")).await?;
//! println!("partition {}, offset {:?}", receipt.partition, receipt.offset);
//! producer.close(Duration::from_secs(10)).await?;
//!
//! let mut consumer = client.consumer().assign(["events"]).start(Start::Earliest).until_end().build()?;
//! while let Some(records) = consumer.poll().await? {
//!     for record in &records {
//!         println!("{}[{}] {}: {:?}", record.topic, record.partition, record.offset, record.value);
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! Everything runs on [tokio](https://docs.rs/tokio). Handles are cheap to clone, and the tasks behind them end with the last handle.
//!
//! # Where to go
//!
//! | to | start at |
//! |---|---|
//! | connect, and set timeouts and back-offs | [`Client::builder`], [`client::ClientBuilder`] |
//! | start before Kafka does, and be ready at the first record | [`Client::connect_lazy`], [`producer::Producer::warm`] |
//! | configure by Java's or librdkafka's property names, or by a DSN | [`config`], [`Client::from_properties`] |
//! | send records and await each one | [`producer::Producer::send`] |
//! | send many records, await them later | [`producer::Producer::enqueue`], [`producer::Delivery`] |
//! | choose between durability and speed | [`producer::Guarantee`] |
//! | choose partitions by your own rule | [`partitioner`] |
//! | read records, and go on after errors | [`consumer::Consumer::poll`], [`consumer::ConsumerBuilder`] |
//! | share partitions with other processes | [`consumer::ConsumerBuilder::subscribe`] |
//! | start, seek or end at an offset, a timestamp or the end | [`consumer::Start`], [`consumer::Consumer::seek`] |
//! | commit offsets for a group | [`consumer::Consumer::commit`], [`consumer::Consumer::commit_positions`] |
//! | let workers finish out of order, and commit only what is done | [`consumer::AckConsumer`] |
//! | read each partition in a task of its own | [`consumer::AckConsumer::into_streams`], [`consumer::PartitionStreams`] |
//! | keep offsets outside Kafka | [`consumer::store`] |
//! | find out why something failed | [`error::Kind`], [`Error::code`], [`Error::is_written`]; `{:#}` prints an error with its causes |
//! | report health, watch for outages | [`Client::state`], [`guide::health`] |
//! | shut down in a bounded time | [`guide::shutdown`] |
//! | choose the runtime that the work runs on | [`guide::runtime`] |
//! | create, describe and delete topics, look up offsets | [`Client::admin`], [`admin::Admin`] |
//! | test your own program without a broker, on a paused clock | [`mock`] (feature `mock`) |
//! | bring your own codec | [`codec::Codec`], [`codec::Codecs`] |
//! | encrypt connections, show a certificate | `ottla::tls` (feature `tls`) |
//! | bring your own transport, for a tunnel or a proxy | [`client::Connector`] |
//! | see counters | [`Client::metrics`], [`metrics`], `ottla::export` |
//! | begin, tune, operate, test | [`guide`] |
//! | see what happens | the [`tracing`](https://docs.rs/tracing) events of target `ottla`, listed in `docs/LOGS.md` |
//!
//! # Features
//!
//! | feature | default | gives |
//! |---|---|---|
//! | `gzip`, `snappy`, `lz4`, `zstd` | yes | the codecs, each in pure Rust |
//! | `zstd-c` | no | zstd by the C library instead, which needs a C compiler |
//! | `redis` | no | `ottla::consumer::store::RedisStore`: offsets in Redis; over TLS with the feature `tls` |
//! | `redis-1` | no | connections of the crate `redis` 1 for it, to clusters and by sentinels; brings that crate |
//! | `queue` | no | `ottla::queue`: queues on top of the clients, with offsets kept inside or outside Kafka |
//! | `blocking` | no | `ottla::blocking`: calls that block their thread, for programs without async |
//! | `json` | no | `ottla::json`: values that are `Serialize` and `Deserialize`, as JSON |
//! | `metrics` | no | `ottla::export`: counters through the facade crate `metrics` |
//! | `opentelemetry` | no | `ottla::spans`, and metrics, by the names of OpenTelemetry's messaging conventions |
//! | `scram` | no | SASL by SCRAM, and hashed passwords of SCRAM users for the admin |
//! | `aws-msk-iam` | no | SASL for Amazon MSK by the keys of AWS |
//! | `sasl-oauth` | no | tokens for OAUTHBEARER from a token endpoint over https, or from a file; brings `tls` |
//! | `tls` | no | `ottla::tls`: TLS without a C compiler |
//! | `rustls-023` | no | configurations of rustls 0.23 for TLS |
//! | `tls-ring`, `tls-aws-lc` | no | other cryptography for TLS, where the processor or a rule demands it; both need a C compiler |
//! | `webpki-roots` | no | Mozilla's list of CAs, for containers without one |
//! | `trace-context` | no | `ottla::trace`: W3C trace context in headers |
//! | `mock` | no | `ottla::mock`: a cluster in this process, which can also be served over TCP |
//! | `cli` | no | the command-line tool `ottla` |
//! | `unstable-internals` | no | the modules behind the API, for this repository's tests, without any promise of stability |
//!
//! # Guarantees
//!
//! - An idempotent producer, the default, writes each acknowledged record exactly once per partition and in order, on all in-sync
//!   replicas, whatever connections and leaders do meanwhile.
//! - Every delivery is decided by its delivery timeout. `Written::No` means that the record is in no log; `Written::Maybe` that
//!   it may be in one.
//! - A consumer returns each record of its partitions once and in order from its position on. A position moves by itself only under
//!   the reset policy, and a reset is reported with the records.
//! - Futures say in their documentation what dropping them does.
//! - Bytes from a broker lead to records or to an error, never to a panic, and never size an allocation before they have been
//!   checked.
//!
//! The repository's `docs/PROMISES.md` lists them all, each with the tests that hold it.
//!
//! [`Producer`]: producer::Producer
#![cfg_attr(feature = "mock", doc = "[`mock`]: crate::mock")]
#![cfg_attr(not(feature = "mock"), doc = "[`mock`]: https://docs.rs/ottla/latest/ottla/mock")]
#![forbid(unsafe_code)]
// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Items that only `internals` reaches are public and unused without its feature; with it, all of them are held to the lints.
#![cfg_attr(not(feature = "unstable-internals"), allow(dead_code, unreachable_pub, unused_imports))]
// Without it, the public API is held to its documentation.
#![cfg_attr(feature = "unstable-internals", allow(missing_docs, missing_debug_implementations))]

pub mod admin;
#[cfg(feature = "blocking")]
pub mod blocking;
pub mod client;
pub mod codec;
pub mod config;
mod conn;
pub mod consumer;
pub mod error;
#[cfg(feature = "metrics")]
pub mod export;
pub mod group;
pub mod guide;
#[cfg(feature = "unstable-internals")]
#[doc(hidden)]
pub mod internals;
#[cfg(feature = "json")]
pub mod json;
mod metadata;
pub mod metrics;
#[cfg(feature = "mock")]
pub mod mock;
mod net;
pub mod partitioner;
pub mod producer;
#[cfg(feature = "queue")]
pub mod queue;
mod reading;
mod record;
pub mod sasl;
mod secret;
#[cfg(feature = "opentelemetry")]
pub mod spans;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "trace-context")]
pub mod trace;
pub mod types;
mod wire;

pub use crate::client::Client;
pub use crate::error::Error;
pub use crate::producer::Record;
pub use crate::secret::Secret;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
