//! Health: what a program can tell its supervisor and its operators about its connection to Kafka.
//!
//! # The state
//!
//! [`Client::state`] is a watch of one of four states. [`State`] says when each holds.
//!
//! | state | readiness | liveness |
//! |---|---|---|
//! | [`Connecting`](crate::client::State::Connecting) | not ready | alive |
//! | [`Connected`](crate::client::State::Connected) | ready | alive |
//! | [`Degraded`](crate::client::State::Degraded) | ready: partitions on the other brokers go on | alive |
//! | [`Unreachable`](crate::client::State::Unreachable) | not ready, if the program can do nothing without Kafka | alive |
//!
//! No state is a reason to restart the program: the client tries again by itself, and a restart gives up the records in its buffer.
//!
//! ```
//! use ottla::Client;
//! use ottla::client::State;
//!
//! /// The status of an HTTP response and its text.
//! fn readiness(client: &Client) -> (u16, String) {
//!     match client.state().current() {
//!         State::Connected => (200, "connected".to_owned()),
//!         State::Degraded { brokers } => (200, format!("brokers {brokers:?} cannot be reached")),
//!         State::Unreachable { since, error } => {
//!             (503, format!("Kafka cannot be reached for {} s: {error}", since.elapsed().as_secs()))
//!         }
//!         State::Connecting => (503, "connecting".to_owned()),
//!         // States may be added.
//!         other => (200, format!("{other:?}")),
//!     }
//! }
//! # let _ = readiness;
//! ```
//!
//! The program `docs/examples/health.rs` of the repository serves it over HTTP.
//!
//! A state says whether connections can be had, and not whether records flow: a partition without a leader, or a producer without a
//! permission, is an error of the records concerned. For these, watch the counters of [`Client::metrics`]: of a producer,
//! `queued_records`, `expired`, `not_written` and `maybe_written`; of a consumer, `records`, and its
//! [lag](crate::consumer::Consumer::lag).
//!
//! # Log events
//!
//! Each outage is logged once when it begins and once when it ends, by target `ottla::connection`:
//!
//! | level | message | fields |
//! |---|---|---|
//! | warn | broker unreachable | `broker` `address` `error` |
//! | info | broker reachable again | `broker` `address` `outage_ms` |
//! | warn | cluster unreachable | `error` |
//! | info | cluster reachable again | `outage_ms` |
//!
//! The outage of a broker or of the cluster is logged once a minute at most: of shorter ones that follow each other, the first, and the one
//! that lasts. Single attempts are events of level debug. `docs/LOGS.md` of the repository lists all events.
//!
//! [`Client::metrics`]: crate::Client::metrics
//! [`Client::state`]: crate::Client::state
//! [`State`]: crate::client::State
