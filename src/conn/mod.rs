//! Decisions about one connection: what is written next, whose answer arrived, what took too long.

pub mod backoff;
pub mod pipeline;
