//! The producer: handle and driver over its core.
pub mod core;
