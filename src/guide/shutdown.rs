//! Shutting down: the order in which a program ends, and the longest time that each step takes.
//!
//! # Bounds
//!
//! | step | takes at most | afterwards |
//! |---|---|---|
//! | [`Producer::close(patience)`] | `patience` | Every delivery is decided. Records that were not acknowledged have failed, and [`Error::is_written`] says whether they may be in the log. |
//! | [`Consumer::commit_within(timeout)`] | `timeout` | The offsets are committed, or may be: records after the last commit that succeeded are read again. |
//! | [`Consumer::commit`] | [`ConsumerBuilder::timeout`], 60 s | As above. It is too long for a program that ends. |
//! | [`Consumer::close`] | 5 s | The brokers have forgotten the fetch sessions. It commits nothing. |
//! | [`Producer::flush`] | [`ProducerBuilder::delivery_timeout`], 120 s | Every record that was accepted before is decided. It is too long for a program that ends. |
//! | dropping a producer | no time | Records that were not acknowledged have failed, as by `close` without patience. |
//! | dropping a consumer, an admin or a client | no time | Tasks end in the background, and connections within half a second. |
//!
//! All bounds hold whether brokers respond or not. They presume that the [runtime](super::runtime) of the client runs: a thread that is
//! held delays what runs on it.
//!
//! # The order
//!
//! 1. Stop accepting work: drop the futures of [`poll`](crate::consumer::Consumer::poll) and of calls that wait. They may be dropped
//!    at any time, and their documentation says what that does.
//! 2. Close producers. Of the records that were consumed, some may depend on these deliveries.
//! 3. Commit what was processed.
//! 4. Drop or close the consumers, then the clients, then the runtime.
//!
//! A supervisor that kills a program after 30 s (Kubernetes) or 90 s (systemd) leaves enough time for all of it. Divide it from the
//! end: the last commit needs a few seconds, and the producer may use what is left.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ottla::consumer::Consumer;
//! use ottla::producer::Producer;
//!
//! /// Ends within thirteen seconds.
//! async fn end(producer: Producer, mut consumer: Consumer) -> Result<(), ottla::Error> {
//!     let written = producer.close(Duration::from_secs(10)).await;
//!     if let Err(error) = &written {
//!         // Their deliveries say which records, and whether they may be in the log.
//!         eprintln!("{error}");
//!     } else {
//!         // Everything that was read has been processed.
//!         consumer.commit_within(Duration::from_secs(3)).await?;
//!     }
//!     drop(consumer);
//!     written
//! }
//! ```
//!
//! The program `docs/examples/shutdown.rs` of the repository copies a topic, and commits even after a failure as much as was copied.
//!
//! # Signals
//!
//! The crate installs no handler of signals. With tokio's feature `signal`, a program selects between its work and
//! `tokio::signal::ctrl_c()`, or `SIGTERM` by `tokio::signal::unix::signal`, and then ends as above.
//!
//! [`Consumer::close`]: crate::consumer::Consumer::close
//! [`Consumer::commit`]: crate::consumer::Consumer::commit
//! [`Consumer::commit_within(timeout)`]: crate::consumer::Consumer::commit_within
//! [`ConsumerBuilder::timeout`]: crate::consumer::ConsumerBuilder::timeout
//! [`Error::is_written`]: crate::Error::is_written
//! [`Producer::close(patience)`]: crate::producer::Producer::close
//! [`Producer::flush`]: crate::producer::Producer::flush
//! [`ProducerBuilder::delivery_timeout`]: crate::producer::ProducerBuilder::delivery_timeout
