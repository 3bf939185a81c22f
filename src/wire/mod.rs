//! The only door to `kafka-protocol`: frames, versions, and what is asked and answered.

pub mod message;
