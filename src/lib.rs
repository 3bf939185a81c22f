//! Apache Kafka client that needs no C compiler, loses nothing and costs little CPU.
#![forbid(unsafe_code)]

/// Declares modules that tests, benches and fuzzers of this repository may reach through `unstable-internals`.
macro_rules! internal {
    ($($name:ident),* $(,)?) => {
        $(
            #[cfg(feature = "unstable-internals")]
            #[doc(hidden)]
            #[allow(missing_docs, missing_debug_implementations)]
            pub mod $name;
            #[cfg(not(feature = "unstable-internals"))]
            #[allow(dead_code, unreachable_pub, unused_imports, missing_docs, missing_debug_implementations)]
            mod $name;
        )*
    };
}

internal! { conn, metadata, net, record, wire }

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
