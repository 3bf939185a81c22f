//! Guides: pages to read, without code of their own.
//!
//! | page | answers |
//! |---|---|
//! | [`first_program`] | How does a program write and read records? |
//! | [`delivery`] | What is guaranteed of records that are written and read? What does an error say? |
//! | [`groups`] | How do processes share partitions, and what must a member do? |
//! | [`offsets`] | How are offsets kept outside Kafka? |
//! | [`tuning`] | Which settings matter, and what do they cost? |
//! | [`operating`] | Which logs, metrics and lag does an operator watch? |
//! | [`security`] | How are connections encrypted, and what does an error about a certificate ask for? |
//! | [`testing`] | How is a program tested without a broker? |
//! | [`health`] | What does a health endpoint report, and what is logged of an outage? |
//! | [`runtime`] | Which work runs on which runtime? What does a task that blocks do to deliveries? |
//! | [`shutdown`] | In which order does a program end, and how long does each step take at most? |
//!
//! The repository's `docs/migration` has the same program in this crate and in rdkafka, rskafka, kafka-python and the Java client.

pub mod health;
pub mod runtime;
pub mod shutdown;

#[doc = include_str!("../../docs/guide/delivery.md")]
pub mod delivery {}

#[doc = include_str!("../../docs/guide/first-program.md")]
pub mod first_program {}

#[doc = include_str!("../../docs/guide/groups.md")]
pub mod groups {}

#[doc = include_str!("../../docs/guide/offsets.md")]
pub mod offsets {}

// Its programs need the feature.
#[cfg_attr(any(not(doctest), feature = "metrics"), doc = include_str!("../../docs/guide/operating.md"))]
pub mod operating {}

// Its programs need the features.
#[cfg_attr(any(not(doctest), all(feature = "tls", feature = "mock", feature = "sasl-oauth", feature = "aws-msk-iam")), doc = include_str!("../../docs/guide/security.md"))]
pub mod security {}

// Its programs need the feature.
#[cfg_attr(any(not(doctest), feature = "mock"), doc = include_str!("../../docs/guide/testing.md"))]
pub mod testing {}

#[doc = include_str!("../../docs/guide/tuning.md")]
pub mod tuning {}
