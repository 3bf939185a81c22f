//! A network in memory: pipes between a client and the mock cluster, with switches for faults of networks.
//!
//! It is a [`Connector`]. Each connection is a pipe of tokio's with a task at the brokers' end, which lives as long as the
//! client's end does; one more task delivers the responses that wait. Everything follows tokio's clock, so a paused runtime
//! makes a run the same each time and an hour of it short.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use ottla::client::ClientBuilder;
use ottla::client::Connector;
use ottla::client::Dialling;
use ottla::internals::net::clock::Clock;
use ottla::internals::net::clock::now;
use ottla::mock::Cluster;
use ottla::mock::Outcome;
use ottla::mock::take_frame;
use protocol_tests::proxy::Correlations;
use protocol_tests::proxy::Direction;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufWriter;
use tokio::io::DuplexStream;
use tokio::io::ReadHalf;
use tokio::io::WriteHalf;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;

/// How a broker treats a connection that is dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Door {
    /// Accepted.
    #[default]
    Open,
    /// Refused at once.
    Refusing,
    /// Refused for the credentials.
    Rejecting,
    /// Neither accepted nor refused.
    Silent,
}

/// How a broker reads from connections that it has accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ear {
    /// It reads.
    #[default]
    Listening,
    /// It reads requests and drops them: a black hole.
    Deaf,
    /// It reads nothing until it listens again: a process that was stopped.
    Paused,
}

/// The switches of one broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Switches {
    pub(super) door: Door,
    pub(super) ear: Ear,
    /// How long a response takes to arrive.
    pub(super) delay: Duration,
    /// After so many bytes that arrived, the connection that brings the last of them is cut, once.
    pub(super) cut_in: Option<usize>,
    /// After so many bytes of responses, the connection that carries the last of them is cut, once.
    pub(super) cut_out: Option<usize>,
}

/// Replaces a response: takes the broker's id, the API key and version, and the frame with its size.
pub(super) type Liar = Box<dyn Fn(i32, i16, i16, Bytes) -> Bytes + Send>;

/// Requests after so many get no response: a client that sends more retries without a pause, and virtual time would never pass.
const STORM: u64 = 200_000;

/// Bytes on their way in one direction of a connection.
const PIPE_BYTES: usize = 64 * 1024;

const FRAME_BYTES_MAX: usize = 100 << 20;

/// The network, and the cluster behind it.
#[derive(Clone)]
pub(super) struct Net(Arc<Shared>);

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Net")
    }
}

struct Shared {
    state: Mutex<State>,
    /// A response may be due earlier than the pump knows.
    changed: Notify,
    pipe_bytes: usize,
    /// Whether the client's end keeps what is written until it is flushed, as a stream over TLS may.
    buffers: bool,
}

struct State {
    cluster: Cluster,
    clock: Clock,
    switches: BTreeMap<i32, watch::Sender<Switches>>,
    connections: HashMap<u64, Connection>,
    liar: Option<Liar>,
    next: u64,
    requests: u64,
    dials: u64,
    /// Tasks at the brokers' end.
    serving: usize,
}

struct Connection {
    broker: i32,
    replies: mpsc::UnboundedSender<(Instant, Bytes)>,
    asked: Correlations,
    /// Dropped to cut it.
    _cut: watch::Sender<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test continues after a panic in here")
    }
}

impl State {
    fn deliver(&mut self, id: u64, outcome: Outcome) {
        match outcome {
            Outcome::Reply(frame) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    let delay = self.switches[&connection.broker].borrow().delay;
                    let asked = frame.get(4..).and_then(|frame| connection.asked.head(Direction::Response, frame));
                    let frame = match (&self.liar, asked) {
                        (Some(liar), Some((api, version, _))) => liar(connection.broker, api, version, frame),
                        _ => frame,
                    };
                    // The connection may be closing, and then it is not read.
                    let _ = connection.replies.send((Instant::now() + delay, frame));
                }
            }
            Outcome::Close => self.close(id),
            Outcome::Silent | Outcome::Wait => {}
        }
    }

    fn route(&mut self) {
        while let Some((id, outcome)) = self.cluster.poll(now()) {
            self.deliver(id, outcome);
        }
    }

    fn close(&mut self, id: u64) {
        self.connections.remove(&id);
        self.cluster.disconnect(id);
    }
}

impl Net {
    /// Puts a cluster into a network. Its one task counts among those of the runtime.
    pub(super) fn new(cluster: Cluster) -> Self {
        Self::with_pipes(cluster, PIPE_BYTES)
    }

    /// As [`Net::new`], with connections that hold so many bytes in each direction.
    pub(super) fn with_pipes(cluster: Cluster, pipe_bytes: usize) -> Self {
        Self::build(cluster, pipe_bytes, false)
    }

    /// As [`Net::new`], with connections that send nothing before they are flushed.
    pub(super) fn buffered(cluster: Cluster) -> Self {
        Self::build(cluster, PIPE_BYTES, true)
    }

    fn build(cluster: Cluster, pipe_bytes: usize, buffers: bool) -> Self {
        let switches = cluster.brokers().into_iter().map(|id| (id, watch::Sender::default())).collect();
        let state = State {
            cluster,
            clock: Clock::new(),
            switches,
            connections: HashMap::new(),
            liar: None,
            next: 1,
            requests: 0,
            dials: 0,
            serving: 0,
        };
        let net = Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), pipe_bytes, buffers }));
        tokio::spawn(pump(Arc::clone(&net.0)));
        net
    }

    /// A client of this network, to be built.
    pub(super) fn client(&self) -> ClientBuilder {
        let servers = self.with(|cluster| cluster.bootstrap());
        ottla::Client::builder([servers]).expect("the mock's addresses are well-formed").connector(self.clone())
    }

    /// Reads the cluster or changes it.
    pub(super) fn with<R>(&self, action: impl FnOnce(&mut Cluster) -> R) -> R {
        let mut state = self.0.lock();
        let result = action(&mut state.cluster);
        let State { cluster, connections, .. } = &mut *state;
        connections.retain(|_, connection| cluster.is_up(connection.broker));
        state.route();
        drop(state);
        self.0.changed.notify_one();
        result
    }

    /// Sets a broker's switches.
    pub(super) fn set(&self, broker: i32, change: impl FnOnce(&mut Switches)) {
        self.0.lock().switches[&broker].send_modify(change);
    }

    /// Sets every broker's switches.
    pub(super) fn set_all(&self, change: impl Fn(&mut Switches)) {
        for switches in self.0.lock().switches.values() {
            switches.send_modify(&change);
        }
    }

    /// Replaces what all brokers respond, until it is called with `None`.
    pub(super) fn set_liar(&self, liar: Option<Liar>) {
        self.0.lock().liar = liar;
    }

    /// Cuts every connection.
    pub(super) fn cut_all(&self) {
        let mut state = self.0.lock();
        let ids: Vec<u64> = state.connections.keys().copied().collect();
        for id in ids {
            state.close(id);
        }
    }

    /// The number of requests that arrived.
    pub(super) fn requests(&self) -> u64 {
        self.0.lock().requests
    }

    /// The number of dials.
    pub(super) fn dials(&self) -> u64 {
        self.0.lock().dials
    }

    /// The number of tasks of this runtime that are not the network's.
    pub(super) fn tasks_of_client(&self) -> usize {
        tokio::runtime::Handle::current().metrics().num_alive_tasks() - self.0.lock().serving - 1
    }

    fn broker_at(&self, port: u16) -> Option<(i32, watch::Receiver<Switches>)> {
        let state = self.0.lock();
        let broker = i32::from(port) - 9_091;
        Some((broker, state.switches.get(&broker)?.subscribe()))
    }

    fn accept(&self, broker: i32, switches: watch::Receiver<Switches>) -> io::Result<DuplexStream> {
        let mut state = self.0.lock();
        if !state.cluster.is_up(broker) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = tokio::io::duplex(self.0.pipe_bytes);
        let (replies, queue) = mpsc::unbounded_channel();
        let (cut, cutting) = watch::channel(());
        let id = state.next;
        state.next += 1;
        state.serving += 1;
        state.connections.insert(id, Connection { broker, replies, asked: Correlations::default(), _cut: cut });
        drop(state);
        tokio::spawn(serve(Arc::clone(&self.0), Ends { id, broker, switches }, far, queue, cutting));
        Ok(near)
    }
}

impl Connector for Net {
    fn connect<'a>(&'a self, _host: &'a str, port: u16) -> Dialling<'a> {
        Box::pin(async move {
            self.0.lock().dials += 1;
            let Some((broker, switches)) = self.broker_at(port) else {
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            let Switches { door, delay, .. } = *switches.borrow();
            match door {
                Door::Refusing => return Err(io::ErrorKind::ConnectionRefused.into()),
                Door::Rejecting => return Err(ottla::Error::authentication("the password is wrong").into()),
                Door::Silent => pending().await,
                Door::Open => {}
            }
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let stream = self.accept(broker, switches)?;
            Ok(if self.0.buffers { Box::new(BufWriter::new(stream)) as _ } else { Box::new(stream) as _ })
        })
    }
}

/// The part of a connection that both directions need.
#[derive(Clone)]
struct Ends {
    id: u64,
    broker: i32,
    switches: watch::Receiver<Switches>,
}

async fn serve(
    shared: Arc<Shared>,
    ends: Ends,
    stream: DuplexStream,
    queue: mpsc::UnboundedReceiver<(Instant, Bytes)>,
    mut cutting: watch::Receiver<()>,
) {
    let id = ends.id;
    let (reader, writer) = tokio::io::split(stream);
    tokio::select! {
        biased;
        // Bytes sent before a cut may still arrive, as on a real network.
        () = write(&shared, ends.clone(), writer, queue) => {}
        () = read(&shared, ends, reader) => {}
        _ = cutting.changed() => {}
    }
    let mut state = shared.lock();
    state.close(id);
    state.serving -= 1;
}

/// Hands each request to the cluster until one side ends.
async fn read(shared: &Shared, mut ends: Ends, mut half: ReadHalf<DuplexStream>) {
    let mut arrived = BytesMut::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let heard = ends.switches.borrow_and_update().ear;
        if heard == Ear::Paused {
            // The peer may close meanwhile, which the next read reports.
            if ends.switches.changed().await.is_err() {
                return;
            }
            continue;
        }
        let got = tokio::select! {
            biased;
            _ = ends.switches.changed() => continue,
            got = half.read(&mut chunk) => got.unwrap_or(0),
        };
        if got == 0 {
            return;
        }
        let (kept, cut) = spend(shared, ends.broker, got, |switches| &mut switches.cut_in);
        if heard == Ear::Listening {
            arrived.extend_from_slice(&chunk[..kept]);
            while let Some(frame) = take_frame(&mut arrived, FRAME_BYTES_MAX).expect("the client's frames are whole") {
                handle(shared, &ends, frame);
            }
        }
        if cut {
            return;
        }
    }
}

fn handle(shared: &Shared, ends: &Ends, frame: Bytes) {
    let mut state = shared.lock();
    state.requests += 1;
    if state.requests > STORM {
        return;
    }
    if let (Some(connection), Some(frame)) = (state.connections.get_mut(&ends.id), frame.get(4..)) {
        connection.asked.head(Direction::Request, frame);
    }
    let at = state.clock.now();
    let outcome = state.cluster.handle(at.instant, at.unix_ms, ends.broker, ends.id, frame);
    state.deliver(ends.id, outcome);
    state.route();
    drop(state);
    shared.changed.notify_one();
}

async fn write(
    shared: &Shared,
    ends: Ends,
    mut half: WriteHalf<DuplexStream>,
    mut queue: mpsc::UnboundedReceiver<(Instant, Bytes)>,
) {
    while let Some((due, frame)) = queue.recv().await {
        tokio::time::sleep_until(due).await;
        let (kept, cut) = spend(shared, ends.broker, frame.len(), |switches| &mut switches.cut_out);
        if half.write_all(&frame[..kept]).await.is_err() || cut {
            return;
        }
    }
}

/// Counts `bytes` against a limit. Returns how many of them pass, and whether the connection ends with them.
fn spend(
    shared: &Shared,
    broker: i32,
    bytes: usize,
    limit: impl Fn(&mut Switches) -> &mut Option<usize>,
) -> (usize, bool) {
    let state = shared.lock();
    let mut spent = (bytes, false);
    state.switches[&broker].send_if_modified(|switches| {
        let limit = limit(switches);
        match *limit {
            None => {}
            Some(left) if bytes < left => *limit = Some(left - bytes),
            Some(left) => {
                *limit = None;
                spent = (left, true);
            }
        }
        false
    });
    spent
}

/// Wakes up when the next response is due.
async fn pump(shared: Arc<Shared>) {
    loop {
        let due = {
            let mut state = shared.lock();
            state.route();
            state.cluster.poll_timeout()
        };
        let wait = shared.changed.notified();
        match due {
            // Either way the next round checks what is due.
            Some(due) => drop(tokio::time::timeout_at(due.into(), wait).await),
            None => wait.await,
        }
    }
}
