//! Apache Kafka client that needs no C compiler, loses nothing and costs little CPU.
#![forbid(unsafe_code)]
// Items that only `internals` reaches are public and unused without its feature; with it, all of them are held to the lints.
#![cfg_attr(not(feature = "unstable-internals"), allow(dead_code, unreachable_pub, unused_imports))]
// Without it, the public API is held to its documentation.
#![cfg_attr(feature = "unstable-internals", allow(missing_docs, missing_debug_implementations))]

pub mod admin;
pub mod client;
pub mod codec;
pub mod config;
mod conn;
pub mod consumer;
pub mod error;
#[cfg(feature = "unstable-internals")]
#[doc(hidden)]
pub mod internals;
mod metadata;
pub mod metrics;
#[cfg(feature = "mock")]
pub mod mock;
mod net;
pub mod partitioner;
pub mod producer;
mod reading;
mod record;
pub mod types;
mod wire;

pub use crate::client::Client;
pub use crate::error::Error;
pub use crate::producer::Record;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
