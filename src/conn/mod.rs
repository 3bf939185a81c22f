//! Decisions about one connection: which request is written next, whose response arrived, which one took too long.

pub mod backoff;
pub mod pipeline;
