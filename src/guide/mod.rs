//! Guides for running a program that uses this crate: pages to read, without code.
//!
//! | page | answers |
//! |---|---|
//! | [`health`] | What does a health endpoint report, and what is logged of an outage? |
//! | [`runtime`] | Which work runs on which runtime? What does a task that blocks do to deliveries? |
//! | [`shutdown`] | In which order does a program end, and how long does each step take at most? |

pub mod health;
pub mod runtime;
pub mod shutdown;
