//! The client: the handle that producers, consumers and the admin are made from.
//!
//! | file | concern |
//! |---|---|
//! | `cluster.rs` | the state that all handles share |
//! | `security.rs` | from the properties `sasl.*` to a mechanism |
//! | `settings.rs` | its settings |
//! | `connections.rs` | one connection for each broker and kind of request |
//! | `routing.rs` | the broker that a request goes to |
//! | `calls.rs`, `hedge.rs`, `retry.rs` | requests that return the type of their response, hedging over brokers, retries |
//! | `leaders.rs` | connections to leaders before they are needed |
//! | `coordinators.rs` | the coordinators of groups and transactions |
//! | `topics.rs`, `misses.rs`, `tracking.rs`, `refresher.rs` | interest in topics, those that do not exist, and the task that keeps their metadata fresh |
//! | `state.rs` | whether brokers can be reached |
//! | `events.rs`, `metrics.rs` | log events about metadata, and counters |

use std::time::Duration;

use crate::config::BootstrapServers;
use crate::config::Properties;
use crate::error::Error;
use crate::net::runtime::Runtime;
use crate::sasl::Sasl;
#[cfg(feature = "tls")]
use crate::tls::Tls;

mod calls;
mod cluster;
mod connections;
mod coordinators;
mod events;
mod hedge;
mod leaders;
mod listing;
mod metrics;
mod misses;
#[cfg(feature = "sasl-oauth")]
mod oauth;
mod refresher;
mod retry;
mod routing;
mod security;
mod settings;
mod state;
#[cfg(all(test, feature = "mock"))]
mod tests;
mod topics;
mod tracking;

pub(crate) use self::cluster::Cluster;
pub(crate) use self::cluster::Hint;
pub(crate) use self::coordinators::Coordinated;
pub(crate) use self::metrics::Source;
pub(crate) use self::misses::Recalled;
pub(crate) use self::routing::Target;
pub(crate) use self::settings::Settings;
pub use self::state::State;
pub use self::state::StateWatch;
pub(crate) use self::topics::AutoCreate;
pub(crate) use self::topics::Interest;
pub use crate::net::Connector;
pub use crate::net::Dialling;
pub use crate::net::Stream;
pub use crate::net::Tcp;

/// A client of one Kafka cluster, cheap to clone.
///
/// Producers, consumers and the admin are made from it, and share its metadata. Its background tasks end when the last of these
/// handles is dropped.
///
/// ```no_run
/// # async fn run() -> Result<(), ottla::Error> {
/// use ottla::Client;
/// use ottla::Record;
///
/// let client = Client::connect(["localhost:9092"]).await?;
/// let producer = client.producer().build()?;
/// producer.send(Record::to("events").value("hello")).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Cluster,
}

impl Client {
    /// Connects through any of `servers`, each `HOST[:PORT]` or a list of them separated by commas: the grammar of
    /// [`BootstrapServers`].
    ///
    /// Attempts that fail are repeated, after the pauses of [`ClientBuilder::retry_backoff`], until one succeeds or the set-up timeout
    /// has passed: 10 s by default, set by [`ClientBuilder::setup_timeout`] (`socket.connection.setup.timeout.ms`). A service that
    /// must start while Kafka is down uses [`Client::connect_lazy`].
    ///
    /// # Errors
    ///
    /// The cause of each error is the error of the last server.
    /// - [`Kind::Connect`](crate::error::Kind::Connect): no server has responded as a Kafka broker within the set-up timeout.
    /// - At once, because a retry cannot help: [`Kind::Authentication`](crate::error::Kind::Authentication) and
    ///   [`Kind::Tls`](crate::error::Kind::Tls) if a server rejects the client, [`Kind::Protocol`](crate::error::Kind::Protocol) and
    ///   [`Kind::Unsupported`](crate::error::Kind::Unsupported) if every server speaks another protocol or another version of it.
    /// - [`Kind::Config`](crate::error::Kind::Config): an address is malformed, or the future is polled outside a tokio runtime and
    ///   [`ClientBuilder::runtime`] was not called.
    ///
    /// Cancel safety: dropping the future ends all attempts.
    pub async fn connect<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        Self::builder(servers)?.connect().await
    }

    /// Returns a client at once, and connects in the background: for services that start before Kafka does.
    ///
    /// Attempts are repeated until one succeeds, as long as the client or a handle made from it lives. Calls wait for the connection,
    /// each within its own deadline, and then fail with the reason as their cause: [`Producer::send`](crate::producer::Producer::send)
    /// after the delivery timeout, an admin's call after `default.api.timeout.ms`. A consumer's
    /// [`poll`](crate::consumer::Consumer::poll) has no deadline and waits as long as it takes.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): an address is malformed, or the call is made outside a tokio runtime; see
    /// [`ClientBuilder::connect_lazy`].
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), ottla::Error> {
    /// use ottla::Client;
    /// use ottla::Record;
    ///
    /// let client = Client::connect_lazy(["localhost:9092"])?;
    /// let producer = client.producer().build()?;
    /// // Waits until a broker runs, for the delivery timeout at most.
    /// producer.send(Record::to("events").value("started")).await?;
    /// # Ok(()) }
    /// ```
    pub fn connect_lazy<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        Self::builder(servers)?.connect_lazy()
    }

    /// Begins a client with other settings than the defaults. See [`ClientBuilder`].
    pub fn builder<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<ClientBuilder, Error> {
        let settings = Settings::new(BootstrapServers::parse(servers)?);
        Ok(ClientBuilder { settings, connector: Box::new(Tcp), runtime: None, failure: None })
    }

    /// Connects with the settings of a property list, which must have `bootstrap.servers`.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), ottla::Error> {
    /// use ottla::Client;
    /// use ottla::config::Properties;
    ///
    /// let mut properties = Properties::new();
    /// properties.set("bootstrap.servers", "localhost:9092")?;
    /// properties.set("client.id", "billing")?;
    /// let client = Client::from_properties(&properties).await?;
    /// # Ok(()) }
    /// ```
    pub async fn from_properties(properties: &Properties) -> Result<Self, Error> {
        let servers = properties.get("bootstrap.servers");
        let servers = servers.ok_or_else(|| Error::config("bootstrap.servers is not set: name at least one broker"))?;
        Self::builder([servers])?.properties(properties).connect().await
    }

    pub(crate) fn cluster(&self) -> Cluster {
        self.cluster.clone()
    }
}

/// Settings of a [`Client`]. Made by [`Client::builder`].
///
/// ```no_run
/// # async fn run() -> Result<(), ottla::Error> {
/// use std::time::Duration;
///
/// use ottla::Client;
///
/// let client = Client::builder(["localhost:9092"])?
///     .client_id("billing")
///     .request_timeout(Duration::from_secs(10))
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ClientBuilder {
    settings: Settings,
    connector: Box<dyn Connector>,
    runtime: Option<Runtime>,
    /// Why the properties cannot be used.
    failure: Option<Error>,
}

impl ClientBuilder {
    /// How the client names itself to brokers, in their logs and quotas (`client.id`). The default is `ottla`.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.settings.client_id = id.into();
        self
    }

    /// How long a broker has to respond to a request (`request.timeout.ms`). Time for which the broker throttles the client does
    /// not count (KIP-219). The default is 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// How long a call of the admin may take, its retries included (`default.api.timeout.ms`), and a commit of a consumer that sets no
    /// [timeout](crate::consumer::ConsumerBuilder::timeout) of its own. The default is 60 s.
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.settings.api_timeout = timeout;
        self
    }

    /// The age at which metadata is refreshed (`metadata.max.age.ms`). The default is 5 minutes.
    pub fn metadata_age_max(mut self, age: Duration) -> Self {
        self.settings.metadata_age_max = age;
        self
    }

    /// How long the metadata of a topic is refreshed after a producer last used it (`metadata.max.idle.ms`). The default is 5
    /// minutes.
    pub fn metadata_idle_max(mut self, idle: Duration) -> Self {
        self.settings.metadata_idle_max = idle;
        self
    }

    /// How long setting up a connection may take, from resolving the name to the first response. It doubles from `first`
    /// to `longest` with each failure in a row (KIP-601; `socket.connection.setup.timeout.ms`,
    /// `socket.connection.setup.timeout.max.ms`). The defaults are 10 s and 30 s.
    ///
    /// `first` is also the time within which [`ClientBuilder::connect`] has to succeed.
    pub fn setup_timeout(mut self, first: Duration, longest: Duration) -> Self {
        (self.settings.setup_timeout, self.settings.setup_timeout_max) = (first, longest.max(first));
        self
    }

    /// The pause before another attempt to connect to a broker. It doubles from `first` to `longest` with each failure in a row, give or take
    /// a fifth (KIP-144; `reconnect.backoff.ms`, `reconnect.backoff.max.ms`). The defaults are 50 ms and 1 s.
    pub fn reconnect_backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.settings.reconnect_backoff, self.settings.reconnect_backoff_max) = (first, longest);
        self
    }

    /// The pause before a request is retried. It doubles from `first` to `longest` with each failure in a row, give or take a
    /// fifth (KIP-580; `retry.backoff.ms`, `retry.backoff.max.ms`). The defaults are 100 ms and 1 s.
    ///
    /// A topic that does not exist is remembered for `longest`: see [`Producer::send`](crate::producer::Producer::send).
    pub fn retry_backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.settings.retry_backoff, self.settings.retry_backoff_max) = (first, longest);
        self
    }

    /// The time without a request after which a connection is closed (`connections.max.idle.ms`). With `None` it is never closed. The
    /// default is 9 minutes, one less than a broker's own.
    pub fn idle_max(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_max = idle.into();
        self
    }

    /// The size of the largest response that is accepted, in bytes (`receive.message.max.bytes`). The default is 100 MiB. A larger one
    /// ends the connection before it takes memory.
    pub fn response_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.response_bytes_max = bytes;
        self
    }

    /// Whether to start over from the bootstrap addresses when no known broker responds (KIP-899; `metadata.recovery.strategy`). The
    /// default is to do so.
    pub fn rebootstrap(mut self, enabled: bool) -> Self {
        self.settings.rebootstrap = enabled;
        self
    }

    /// How connections are made. The default is [`Tcp`]. See [`Connector`].
    pub fn connector(mut self, connector: impl Connector + 'static) -> Self {
        self.connector = Box::new(connector);
        self
    }

    /// Authenticates each connection (`sasl.mechanism`, `sasl.username`, `sasl.password`, `sasl.jaas.config`). See [`sasl`](crate::sasl).
    ///
    /// A mechanism that shows its secret, as PLAIN does, needs TLS, or a [`Connector`] that [is private](Connector::is_private), or
    /// [`Sasl::allow_plaintext_credentials`]; otherwise connecting fails with [`Kind::Config`](crate::error::Kind::Config).
    ///
    /// ```
    /// use ottla::Client;
    /// use ottla::sasl::Sasl;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let builder = || Client::builder(["localhost:9092"]);
    /// let error = builder()?.sasl(Sasl::plain("alice", "correct horse")).connect_lazy().expect_err("the password could be read");
    /// assert!(error.to_string().contains("TLS"));
    /// let client = builder()?.sasl(Sasl::plain("alice", "correct horse").allow_plaintext_credentials()).connect_lazy()?;
    /// # Ok::<(), ottla::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sasl(mut self, sasl: Sasl) -> Self {
        self.settings.sasl = Some(sasl);
        self
    }

    /// Encrypts every connection of the client, whatever brokers say of others (`security.protocol`). By default nothing is encrypted.
    ///
    /// The handshake is done on the stream that the [connector](ClientBuilder::connector) returns, and takes part in the
    /// [set-up timeout](ClientBuilder::setup_timeout). A certificate that is refused, by either side, is an error of
    /// [`Kind::Tls`](crate::error::Kind::Tls), which is not retried. See [`tls`](crate::tls).
    ///
    /// ```no_run
    /// # let program = async {
    /// use ottla::Client;
    /// use ottla::tls::{Pem, Tls};
    ///
    /// let tls = Tls::builder().ca(Pem::file("ca.pem")).build()?;
    /// let client = Client::builder(["broker.example:9093"])?.tls(tls).connect().await?;
    /// # Ok::<(), ottla::Error>(()) };
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.settings.tls = Some(tls);
        self
    }

    /// Takes the settings of a client from a property list. Other settings are ignored. Files that they name are read at once; if that
    /// fails, or settings contradict each other, connecting fails with [`Kind::Config`](crate::error::Kind::Config).
    pub fn properties(mut self, properties: &Properties) -> Self {
        let settings = &mut self.settings;
        let set = |slot: &mut Duration, name| *slot = properties.millis(name).unwrap_or(*slot);
        set(&mut settings.request_timeout, "request.timeout.ms");
        set(&mut settings.api_timeout, "default.api.timeout.ms");
        set(&mut settings.metadata_age_max, "metadata.max.age.ms");
        set(&mut settings.metadata_idle_max, "metadata.max.idle.ms");
        set(&mut settings.propagation, "topic.metadata.propagation.max.ms");
        set(&mut settings.setup_timeout, "socket.connection.setup.timeout.ms");
        set(&mut settings.setup_timeout_max, "socket.connection.setup.timeout.max.ms");
        set(&mut settings.reconnect_backoff, "reconnect.backoff.ms");
        set(&mut settings.reconnect_backoff_max, "reconnect.backoff.max.ms");
        set(&mut settings.retry_backoff, "retry.backoff.ms");
        set(&mut settings.retry_backoff_max, "retry.backoff.max.ms");
        match properties.get("connections.max.idle.ms") {
            Some("-1") => settings.idle_max = None,
            Some(_) => settings.idle_max = properties.millis("connections.max.idle.ms"),
            None => {}
        }
        if let Some(strategy) = properties.get("metadata.recovery.strategy") {
            settings.rebootstrap = strategy == "rebootstrap";
        }
        if let Some(id) = properties.get("client.id") {
            id.clone_into(&mut settings.client_id);
        }
        if let Some(bytes) = properties.bytes("receive.message.max.bytes") {
            settings.response_bytes_max = bytes;
        }
        self.failure = self.take_security(properties).err().or(self.failure);
        self
    }

    /// The runtime that runs the tasks of the client: its connections, the refresh of its metadata, its producers and consumers. The
    /// default is the runtime on which [`ClientBuilder::connect`] is awaited, or [`ClientBuilder::connect_lazy`] called.
    ///
    /// Give one of its own to a program whose tasks block their threads, or whose runtime has one thread: deliveries and fetches go on
    /// meanwhile. It needs `enable_all`, or `enable_io` and `enable_time`, and must live as long as the client is used. What runs where:
    /// [`guide::runtime`](crate::guide::runtime).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ottla::Client;
    ///
    /// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    /// let client = Client::builder(["localhost:9092"])?.runtime(runtime.handle().clone()).connect_lazy()?;
    /// # Ok(()) }
    /// ```
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.runtime = Some(Runtime::from(runtime));
        self
    }

    /// Connects. See [`Client::connect`].
    pub async fn connect(self) -> Result<Client, Error> {
        self.check()?;
        let runtime = self.runtime.map_or_else(Runtime::current, Ok)?;
        Ok(Client { cluster: Cluster::connect(self.settings.bounded(), self.connector, runtime).await? })
    }

    /// Connects in the background. See [`Client::connect_lazy`].
    ///
    /// Outside a tokio runtime it returns an error of [`Kind::Config`](crate::error::Kind::Config), unless [`ClientBuilder::runtime`]
    /// was called.
    pub fn connect_lazy(self) -> Result<Client, Error> {
        self.check()?;
        let runtime = self.runtime.map_or_else(Runtime::current, Ok)?;
        Ok(Client { cluster: Cluster::connect_lazy(self.settings.bounded(), self.connector, runtime) })
    }

    /// Takes the settings of encryption and authentication.
    fn take_security(&mut self, properties: &Properties) -> Result<(), Error> {
        self.settings.must_authenticate = properties.is_authenticated();
        match security::sasl(properties)? {
            Some(sasl) if self.settings.must_authenticate => self.settings.sasl = Some(sasl),
            Some(_) => {
                let text = "sasl.mechanism is set, and security.protocol uses no SASL: set it to sasl_ssl, or to sasl_plaintext on a \
                            network that nobody else reads";
                return Err(Error::config(text));
            }
            None => {}
        }
        if properties.is_encrypted()? {
            #[cfg(feature = "tls")]
            {
                self.settings.tls = Some(Tls::from_properties(properties)?);
            }
        }
        Ok(())
    }

    /// Whether its settings can be used together.
    fn check(&self) -> Result<(), Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.settings.must_authenticate && self.settings.sasl.is_none() {
            let text = "security.protocol demands SASL, and no mechanism is set: call ClientBuilder::sasl";
            return Err(Error::config(text));
        }
        self.settings.sasl.as_ref().map_or(Ok(()), |sasl| sasl.check(self.is_private()))
    }

    /// Whether nobody else can read what the client sends.
    fn is_private(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.settings.tls.is_some() {
            return true;
        }
        self.connector.is_private()
    }
}
