//! Guides for running a program that uses this crate: pages to read, without code.
//!
//! | page | answers |
//! |---|---|
//! | [`runtime`] | Which work runs on which runtime? What does a task that blocks do to deliveries? |

pub mod runtime;
