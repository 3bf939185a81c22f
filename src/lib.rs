//! Apache Kafka client that needs no C compiler, loses nothing and costs little CPU.
#![forbid(unsafe_code)]
// What only tests reach is public and unused without their feature; with it, all of it is held to the lints.
#![cfg_attr(not(feature = "unstable-internals"), allow(dead_code, unreachable_pub, unused_imports))]

/// Opens modules to the tests, benches and fuzzers of this repository, by the feature `unstable-internals`.
///
/// A visibility cannot depend on a feature, so that each is declared twice: here, and by a plain `mod` for everybody else.
/// That one also shows it to tools that expand no macros: `cargo fmt`, `cargo mutants`.
macro_rules! internal {
    ($($name:ident),* $(,)?) => {
        $(
            #[cfg(feature = "unstable-internals")]
            #[doc(hidden)]
            #[allow(missing_docs, missing_debug_implementations)]
            pub mod $name;
        )*
    };
}

internal! { conn, metadata, net, record, wire }
#[cfg(not(feature = "unstable-internals"))]
mod conn;
#[cfg(not(feature = "unstable-internals"))]
mod metadata;
#[cfg(not(feature = "unstable-internals"))]
mod net;
#[cfg(not(feature = "unstable-internals"))]
mod record;
#[cfg(not(feature = "unstable-internals"))]
mod wire;

pub mod admin;
pub mod client;
pub mod codec;
pub mod config;
pub mod consumer;
pub mod error;
#[cfg(feature = "mock")]
pub mod mock;
pub mod partitioner;
pub mod producer;
pub mod types;

pub use crate::client::Client;
pub use crate::error::Error;
pub use crate::producer::Record;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
