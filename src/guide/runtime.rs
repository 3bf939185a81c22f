//! Runtimes: where the work of a client runs, what a blocked thread does to it, and what works on one thread.
//!
//! # What runs where
//!
//! A client spawns all its tasks on one tokio runtime: the one that [`ClientBuilder::runtime`] was given, or else the one on which
//! [`Client::connect`] was awaited or [`Client::connect_lazy`] called. Producers and consumers that are built later use the same one,
//! wherever [`build`](crate::producer::ProducerBuilder::build) is called. The runtime needs `enable_all`, or `enable_io` and
//! `enable_time`.
//!
//! | work | runs |
//! |---|---|
//! | dialling, reading and writing sockets, all timers | in a task for each connection |
//! | refreshing metadata | in a task for each client |
//! | sealing batches, retries, deadlines of deliveries | in a task for each producer |
//! | compressing batches of 16 KiB and more | on the runtime's pool for blocking work |
//! | fetching ahead, finding positions, commits | in a task for each consumer |
//! | [`enqueue`] and [`send`]: choosing the partition, copying the record into its batch | in the caller's task |
//! | [`poll`]: checksums, decompression, checking the records | in the caller's task |
//! | a custom partitioner | in the caller's task |
//!
//! The caller's task may run on another runtime, or on no tokio runtime at all: the timers of a call belong to the client's runtime.
//!
//! # A blocked thread
//!
//! A task that computes for long, sleeps by [`std::thread::sleep`] or waits for a lock or a file holds its thread. If that is the only
//! thread of the client's runtime, or if all its threads are held, the client stands still: nothing is sent or read, requests are not
//! answered, and deadlines pass unnoticed. Afterwards, records whose delivery timeout has passed fail; those that were on their way
//! are reported as [`Written::Maybe`](crate::error::Written::Maybe).
//!
//! Two remedies:
//! - Move the blocking work away, by [`tokio::task::spawn_blocking`].
//! - Give the client a runtime of its own. Deliveries and fetches go on there, whatever the threads of the program do:
//!
//! ```
//! # #[cfg(feature = "mock")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ottla::Client;
//! use ottla::Record;
//!
//! let background = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
//! # let cluster = ottla::mock::Cluster::builder().topic("events", 1).build();
//! # let server = background.block_on(ottla::mock::Server::start(cluster, "127.0.0.1:0".parse()?))?;
//! # let servers = server.bootstrap();
//! let client = Client::builder([servers])?.runtime(background.handle().clone()).connect_lazy()?;
//! let producer = client.producer().build()?;
//!
//! let program = tokio::runtime::Builder::new_current_thread().build()?;
//! program.block_on(async {
//!     let delivery = producer.enqueue(Record::to("events").value("1")).await?;
//!     // The record is sent while this thread is held.
//!     std::thread::sleep(std::time::Duration::from_millis(100));
//!     delivery.await
//! })?;
//! # Ok(()) }
//! # #[cfg(not(feature = "mock"))]
//! # fn main() {}
//! ```
//!
//! # One thread
//!
//! Everything works on a current-thread runtime, as by `#[tokio::main(flavor = "current_thread")]`. Two rules hold there:
//! - Its tasks run only while its `block_on` does. A program that calls `block_on` for each record, and does something else in
//!   between, sends nothing in between: use a multi-thread runtime with one worker thread.
//! - Its tasks share the thread, so no task may hold it: see above. [`poll`] lets other tasks run before it returns records a second
//!   time without waiting.
//!
//! # The end of a runtime
//!
//! Tasks end with their runtime. Deliveries that are not decided then fail with [`Kind::Closed`](crate::error::Kind::Closed), and so
//! does every call; an error says whether a record may be written. Close producers and consumers first, and drop the runtime
//! last. On a runtime that has ended, a producer can be built but fails each record in the same way.
//!
//! # Tests on a paused clock
//!
//! With `tokio::time::pause` or `start_paused`, each runtime has its own clock. Leave the client on the runtime of the test.
//!
//! [`Client::connect`]: crate::Client::connect
//! [`Client::connect_lazy`]: crate::Client::connect_lazy
//! [`ClientBuilder::runtime`]: crate::client::ClientBuilder::runtime
//! [`enqueue`]: crate::producer::Producer::enqueue
//! [`poll`]: crate::consumer::Consumer::poll
//! [`send`]: crate::producer::Producer::send
