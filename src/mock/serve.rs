//! Serves a mock cluster: a listener for each broker, a task for each connection, one task for waiting responses.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::mock::cluster::Cluster;
use crate::mock::cluster::Outcome;
use crate::mock::frame::take_frame;
use crate::mock::memory::MemoryConnector;
#[cfg(feature = "tls")]
use crate::mock::tls::Handshakes;
#[cfg(feature = "tls")]
use crate::mock::tls::ServerTls;
use crate::net::clock;
use crate::net::clock::Clock;
use crate::net::clock::Now;

/// A mock cluster that is served over TCP, or in memory alone. Dropping it closes every listener and connection.
///
/// # Examples
///
/// ```
/// use ottla::mock::{Cluster, Server};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let cluster = Cluster::builder().brokers(3).topic("events", 6).build();
/// let server = Server::start(cluster, "127.0.0.1:0".parse()?).await?;
/// println!("bootstrap.servers={}", server.bootstrap());
/// assert!(server.with(|cluster| cluster.log("events", 0)).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the server stops it"]
pub struct Server {
    shared: Arc<Shared>,
    /// Dropping the set aborts the tasks in it, and with each listener's task the connections it owns.
    tasks: JoinSet<()>,
    bootstrap: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        state.connections.clear();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds a listener for each broker and serves until dropped.
    ///
    /// With port 0 each broker gets a free port; otherwise the first gets this port and the others the ports after it.
    /// Brokers advertise the address they listen on, or 127.0.0.1 where that is unspecified.
    pub async fn start(mut cluster: Cluster, listen: SocketAddr) -> io::Result<Self> {
        let host = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
        let mut listeners = Vec::new();
        for (index, broker) in (0_u16..).zip(cluster.brokers()) {
            let port = if listen.port() == 0 { 0 } else { listen.port().saturating_add(index) };
            let listener = TcpListener::bind((listen.ip(), port)).await?;
            cluster.advertise(broker, &host.to_string(), listener.local_addr()?.port());
            listeners.push((broker, listener));
        }
        let mut server = Self::in_memory(cluster);
        for (broker, listener) in listeners {
            server.tasks.spawn(accept(Arc::clone(&server.shared), broker, listener));
        }
        Ok(server)
    }

    /// Serves clients that connect by [`Server::connector`] alone, without a socket, until dropped. Must be called within a
    /// tokio runtime.
    ///
    /// All of it follows tokio's clock, so a test with a paused clock takes milliseconds, however long its timeouts are and
    /// however busy the machine is: see [Time](crate::mock#time).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ottla::{Client, Record};
    /// use ottla::error::Written;
    /// use ottla::mock::{Cluster, Fault, Server, key};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// // In a #[tokio::test(start_paused = true)].
    /// let server = Server::in_memory(Cluster::builder().topic("events", 1).build());
    /// let client = Client::builder([server.bootstrap()])?.connector(server.connector()).connect().await?;
    /// let producer = client.producer().delivery_timeout(Duration::from_secs(120)).build()?;
    ///
    /// // The brokers append records and do not respond. The two minutes of the timeout pass at once.
    /// server.with(|cluster| cluster.inject(key::PRODUCE, Fault::Lost, u32::MAX));
    /// let error = producer.send(Record::to("events").value("1")).await.expect_err("no response comes");
    /// assert_eq!(error.is_written(), Some(Written::Maybe));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn in_memory(cluster: Cluster) -> Self {
        let bootstrap = cluster.bootstrap();
        let state =
            Served { cluster, clock: Clock::new(), connections: HashMap::new(), next_connection: 1, over: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
            #[cfg(feature = "tls")]
            tls: Mutex::default(),
            #[cfg(feature = "tls")]
            handshakes: Handshakes::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(pump(Arc::clone(&shared)));
        Self { shared, tasks, bootstrap }
    }

    /// A transport for clients in this process, which connects them to the brokers without a socket: for
    /// [`ClientBuilder::connector`](crate::client::ClientBuilder::connector). It works with both kinds of server.
    ///
    /// Once the server is dropped, its connections are closed and new ones are refused.
    pub fn connector(&self) -> MemoryConnector {
        MemoryConnector::new(Arc::clone(&self.shared))
    }

    /// The addresses of the brokers, in the form of `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Makes the brokers speak TLS on connections that are made from now on, also on those in memory. Those that exist stay as they are;
    /// call it again to change the certificate.
    ///
    /// A client checks the certificate for the host that it dials: `127.0.0.1` with [`Server::start`] on that address, unless
    /// [`Cluster::advertise`] changes that.
    ///
    /// ```no_run
    /// # let program = async {
    /// use ottla::Client;
    /// use ottla::mock::{Cluster, Server, ServerTls};
    /// use ottla::tls::Tls;
    ///
    /// # let (chain, key, ca) = ("", "", "");
    /// let server = Server::start(Cluster::builder().topic("events", 1).build(), "127.0.0.1:0".parse()?).await?;
    /// server.set_tls(ServerTls::from_pem(chain, key)?);
    /// let client = Client::builder([server.bootstrap()])?.tls(Tls::builder().ca(ca).build()?).connect().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) };
    /// ```
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, tls: impl Into<Option<ServerTls>>) {
        *self.shared.tls.lock().unwrap_or_else(PoisonError::into_inner) = tls.into();
    }

    /// The handshakes of TLS that were completed: those in full, and those that resumed a session.
    ///
    /// ```
    /// use ottla::mock::{Cluster, Server};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// assert_eq!(Server::in_memory(Cluster::builder().build()).tls_handshakes(), (0, 0));
    /// # });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_handshakes(&self) -> (u64, u64) {
        self.shared.handshakes.counts()
    }

    /// Reads or changes the cluster. No request is answered meanwhile.
    ///
    /// Connections to a broker that is stopped afterwards are closed.
    pub fn with<R>(&self, action: impl FnOnce(&mut Cluster) -> R) -> R {
        let mut state = self.shared.lock();
        state.cluster.advance(clock::now());
        let result = action(&mut state.cluster);
        let Served { cluster, connections, .. } = &mut *state;
        connections.retain(|_, connection| cluster.is_up(connection.broker));
        state.route(clock::now());
        drop(state);
        self.shared.changed.notify_one();
        result
    }
}

pub(super) struct Shared {
    state: Mutex<Served>,
    /// Notified when a response may be due earlier than the pump knows.
    changed: Notify,
    #[cfg(feature = "tls")]
    tls: Mutex<Option<ServerTls>>,
    #[cfg(feature = "tls")]
    handshakes: Handshakes,
}

impl Shared {
    /// Connects to the live broker that advertises this port, by a pipe. Its other end is served until one of them is closed.
    pub(super) fn accept(self: &Arc<Self>, port: u16) -> io::Result<DuplexStream> {
        let state = self.lock();
        let broker = state.cluster.advertised_at(port).filter(|_| !state.over);
        drop(state);
        let broker = broker.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(serve_stream(Arc::clone(self), broker, far, tokio::io::split));
        Ok(near)
    }

    fn lock(&self) -> MutexGuard<'_, Served> {
        // A test that panicked inside `with` has reported that already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Served {
    cluster: Cluster,
    clock: Clock,
    connections: HashMap<u64, Connection>,
    next_connection: u64,
    /// The server was dropped.
    over: bool,
}

/// A live connection; dropping it closes the socket once the queued responses are written.
struct Connection {
    broker: i32,
    replies: mpsc::UnboundedSender<Bytes>,
}

impl Served {
    fn open(&mut self, broker: i32, replies: mpsc::UnboundedSender<Bytes>) -> Option<u64> {
        if self.over || !self.cluster.is_up(broker) {
            return None;
        }
        let id = self.next_connection;
        self.next_connection += 1;
        self.connections.insert(id, Connection { broker, replies });
        Some(id)
    }

    fn close(&mut self, id: u64) {
        self.connections.remove(&id);
        self.cluster.disconnect(id);
    }

    /// Passes the responses that had to wait to their connections.
    fn route(&mut self, now: Instant) {
        while let Some((id, outcome)) = self.cluster.poll(now) {
            self.deliver(id, outcome);
        }
    }

    fn deliver(&mut self, id: u64, outcome: Outcome) {
        match outcome {
            Outcome::Reply(frame) => {
                if let Some(connection) = self.connections.get(&id) {
                    // A connection that is being closed does not need it.
                    let _ = connection.replies.send(frame);
                }
            }
            Outcome::Close => self.close(id),
            Outcome::Silent | Outcome::Wait => {}
        }
    }
}

async fn accept(shared: Arc<Shared>, broker: i32, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it the delayed acknowledgements of the loopback cost 40 ms a request. It is optional.
                let _ = stream.set_nodelay(true);
                connections.spawn(serve_stream(Arc::clone(&shared), broker, stream, TcpStream::into_split));
            }
            // Probably out of file descriptors: some connection has to end first.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Serves a connection, over TLS if that is set.
async fn serve_stream<S, R, W>(shared: Arc<Shared>, broker: i32, stream: S, split: fn(S) -> (R, W))
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    #[cfg(feature = "tls")]
    let tls = shared.tls.lock().unwrap_or_else(PoisonError::into_inner).clone();
    #[cfg(feature = "tls")]
    if let Some(tls) = tls {
        if let Some(stream) = tls.accept(stream, &shared.handshakes).await {
            let (reader, writer) = tokio::io::split(stream);
            connection(shared, broker, reader, writer).await;
        }
        return;
    }
    let (reader, writer) = split(stream);
    connection(shared, broker, reader, writer).await;
}

/// Reads and writes one connection until either side ends it.
async fn connection(shared: Arc<Shared>, broker: i32, reader: impl AsyncRead + Unpin, writer: impl AsyncWrite + Unpin) {
    let (replies, queue) = mpsc::unbounded_channel();
    let Some(id) = shared.lock().open(broker, replies) else { return };
    let mut reading = pin!(read(&shared, broker, id, reader));
    let mut writing = pin!(write(writer, queue));
    let mut done = false;
    poll_fn(|cx| {
        if !done && reading.as_mut().poll(cx).is_ready() {
            done = true;
            shared.lock().close(id);
        }
        // It ends once the connection is closed and what was queued is written.
        writing.as_mut().poll(cx)
    })
    .await;
    shared.lock().close(id);
}

/// Passes each request to the cluster until either side closes.
async fn read(shared: &Shared, broker: i32, id: u64, mut half: impl AsyncRead + Unpin) {
    let mut stream = BytesMut::new();
    loop {
        loop {
            match take_frame(&mut stream, FRAME_BYTES_MAX) {
                Err(_) => return,
                Ok(None) => break,
                Ok(Some(frame)) => {
                    if !serve(shared, broker, id, frame) {
                        return;
                    }
                }
            }
        }
        // Within a frame the buffer has capacity for all of it; growing would copy the received bytes.
        if stream.len() < 4 && stream.capacity() - stream.len() < READ_BYTES_MIN {
            stream.reserve(READ_AHEAD);
        }
        match half.read_buf(&mut stream).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Answers one request; returns whether the connection stays.
fn serve(shared: &Shared, broker: i32, id: u64, frame: Bytes) -> bool {
    let mut state = shared.lock();
    let Now { instant: now, unix_ms } = state.clock.now();
    let before = state.cluster.groups_timeout();
    let outcome = state.cluster.handle(now, unix_ms, broker, id, frame);
    state.deliver(id, outcome);
    let is_earlier = state.cluster.groups_timeout().is_some_and(|due| before.is_none_or(|before| due < before));
    let waits = is_earlier || state.cluster.is_waiting(id);
    state.route(now);
    let open = state.connections.contains_key(&id);
    drop(state);
    if waits {
        shared.changed.notify_one();
    }
    open
}

async fn write(mut half: impl AsyncWrite + Unpin, mut queue: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(frame) = queue.recv().await {
        if half.write_all(&frame).await.is_err() || half.flush().await.is_err() {
            return;
        }
    }
    // TLS says that this is the end. The other side may be gone.
    let _ = half.shutdown().await;
}

/// Wakes up when a waiting response is due.
async fn pump(shared: Arc<Shared>) {
    loop {
        let due = {
            let mut state = shared.lock();
            state.route(clock::now());
            state.cluster.poll_timeout()
        };
        match due {
            Some(due) => {
                // The next round checks what is due in both cases.
                let _ = tokio::time::timeout_at(due.into(), shared.changed.notified()).await;
            }
            None => shared.changed.notified().await,
        }
    }
}

/// `socket.request.max.bytes`.
const FRAME_BYTES_MAX: usize = 104_857_600;

/// The capacity of a read where the size of the frame is unknown.
const READ_AHEAD: usize = 64 * 1_024;
/// The smallest capacity that is worth a read.
const READ_BYTES_MIN: usize = 4 * 1_024;

/// Bytes on their way in one direction of a connection in memory.
const PIPE_BYTES: usize = 64 * 1_024;

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
