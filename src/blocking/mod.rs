//! Calls that block their thread, for programs without async (feature `blocking`).
//!
//! A [`Client`] has one thread of its own, which runs all its tasks: connections, deliveries, fetches, heartbeats. Calls wait for it on the
//! caller's thread, each for a bounded time. Handles are as those of the async API, and can be used from any number of threads.
//!
//! Settings are those of the async builders, which [`Client::as_async`] gives. Any call that has no method here, such as those of the
//! [admin](crate::admin::Admin), is made by [`Client::block`].
//!
//! A call inside a tokio runtime is refused with an error of [`Kind::Config`](crate::error::Kind::Config): it would hold a thread that other
//! tasks need, and in a [rebalance listener](crate::consumer::RebalanceListener) the very thread that it waits for. tokio's
//! `spawn_blocking` counts as inside. Use the async API there, or a thread of `std::thread`.
//!
//! Dropping a handle never waits. The thread ends with the last handle.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ottla::Record;
//! use ottla::blocking::Client;
//! use ottla::consumer::Start;
//!
//! fn main() -> Result<(), ottla::Error> {
//!     let client = Client::connect(["localhost:9092"])?;
//!
//!     let producer = client.producer()?;
//!     let receipt = producer.send(Record::to("events").key("user-7").value("clicked"))?;
//!     println!("partition {}, offset {:?}", receipt.partition, receipt.offset);
//!     producer.close(Duration::from_secs(10))?;
//!
//!     let settings = client.as_async().consumer().group("readers").assign(["events"]);
//!     let mut consumer = client.consumer_from(settings.start(Start::Earliest).until_end())?;
//!     while let Some(records) = consumer.poll(Duration::from_secs(1))? {
//!         for record in &records {
//!             println!("{}[{}] {}: {:?}", record.topic, record.partition, record.offset, record.value);
//!         }
//!         consumer.commit()?;
//!     }
//!     Ok(())
//! }
//! ```

use std::future::Future;
use std::sync::Arc;

use crate::client::ClientBuilder;
use crate::config::Properties;
use crate::consumer::ConsumerBuilder;
use crate::error::Error;
use crate::producer::ProducerBuilder;

mod background;
mod consumer;
mod producer;

use self::background::Background;
pub use self::consumer::Consumer;
pub use self::producer::Delivery;
pub use self::producer::Producer;

/// A client whose calls block. Cheap to clone. See the [module](self).
#[derive(Clone, Debug)]
pub struct Client {
    client: crate::Client,
    background: Arc<Background>,
}

impl Client {
    /// Connects through any of `servers`, as [`crate::Client::connect`] does: for 10 s at most by default.
    ///
    /// # Errors
    ///
    /// As [`crate::Client::connect`]. [`Kind::Config`](crate::error::Kind::Config) also if the call is made inside a tokio runtime, or if
    /// the system starts no thread.
    pub fn connect<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        Self::from_builder(crate::Client::builder(servers)?)
    }

    /// Returns a client at once, which connects in the background, as [`crate::Client::connect_lazy`] does.
    pub fn connect_lazy<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        Self::from_builder_lazy(crate::Client::builder(servers)?)
    }

    /// Connects with the settings of a builder, for its [set-up timeout](ClientBuilder::setup_timeout) at most. Its
    /// [runtime](ClientBuilder::runtime) is replaced by the client's own thread.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), ottla::Error> {
    /// use ottla::blocking::Client;
    ///
    /// let client = Client::from_builder(ottla::Client::builder(["localhost:9092"])?.client_id("billing"))?;
    /// # drop(client);
    /// # Ok(()) }
    /// ```
    pub fn from_builder(builder: ClientBuilder) -> Result<Self, Error> {
        let background = Background::start()?;
        let client = background.block(builder.runtime(background.handle()).connect())??;
        Ok(Self { client, background })
    }

    /// Returns a client with the settings of a builder at once, which connects in the background.
    pub fn from_builder_lazy(builder: ClientBuilder) -> Result<Self, Error> {
        let background = Background::start()?;
        let client = builder.runtime(background.handle()).connect_lazy()?;
        Ok(Self { client, background })
    }

    /// Connects with the settings of a property list, which must have `bootstrap.servers`.
    pub fn from_properties(properties: &Properties) -> Result<Self, Error> {
        let servers = properties.get("bootstrap.servers");
        let servers = servers.ok_or_else(|| Error::config("bootstrap.servers is not set: name at least one broker"))?;
        Self::from_builder(crate::Client::builder([servers])?.properties(properties))
    }

    /// The async client: for the builders of producers and consumers, for its state and its counters, and for calls by [`Client::block`].
    pub fn as_async(&self) -> &crate::Client {
        &self.client
    }

    /// Waits for any call of the async API, as long as that call takes: those of the [admin](crate::admin::Admin) are bounded by
    /// `default.api.timeout.ms`, 60 s by default.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): the call is made inside a tokio runtime. The future is dropped without being polled.
    ///
    /// ```no_run
    /// # fn run(client: ottla::blocking::Client) -> Result<(), ottla::Error> {
    /// use ottla::admin::NewTopic;
    ///
    /// let admin = client.as_async().admin();
    /// for (topic, outcome) in client.block(admin.create_topics([NewTopic::new("events").partitions(6)]))?? {
    ///     println!("{topic}: {outcome:?}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn block<F: Future>(&self, call: F) -> Result<F::Output, Error> {
        self.background.block(call)
    }

    /// A producer with the default settings.
    pub fn producer(&self) -> Result<Producer, Error> {
        self.producer_from(self.client.producer())
    }

    /// A producer with the settings of a builder, made by `client.as_async().producer()`.
    pub fn producer_from(&self, builder: ProducerBuilder) -> Result<Producer, Error> {
        Ok(Producer::new(builder.build()?, Arc::clone(&self.background)))
    }

    /// A consumer with the settings of a builder, made by `client.as_async().consumer()`.
    pub fn consumer_from(&self, builder: ConsumerBuilder) -> Result<Consumer, Error> {
        Ok(Consumer::new(builder.build()?, Arc::clone(&self.background)))
    }
}
