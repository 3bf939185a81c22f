//! Decisions about connections: which request is written next, whose response arrived, which one took too long, when a session is
//! renewed, and which brokers can be reached.

pub mod backoff;
pub mod login;
pub mod pipeline;
pub mod reach;
