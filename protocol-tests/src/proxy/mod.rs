//! A TCP proxy that knows Kafka's frames: it can hold, drop, delay, swap, truncate or cut at one request or response of one
//! API, and slow down, stall, refuse or cut all connections.
//!
//! Of connections with TLS it knows the records, which belong to no API: faults of any API hit them.
//!
//! A [`Proxy`] stands before one broker. Clients reach it by [`Through`], a connector that dials the proxy instead of the broker,
//! so that brokers advertise their own addresses.
//!
//! ```text
//! client ──frames──→ pump(requests) ──→ Faults? ──→ Weather ──→ broker
//!        ←─────────  Weather ←── Faults? ←── pump(responses) ←─
//! ```

mod faults;
mod frames;
mod pump;

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use ottla::internals::net::Connector;
use ottla::internals::net::Stream;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::faults::Fault;
use self::faults::Faults;
pub use self::faults::Held;
pub use self::frames::Correlations;
pub use self::frames::Direction;
pub use self::frames::Frame;
use self::frames::FrameLog;

/// The conditions of the way through the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Each frame is this late.
    pub latency: Duration,
    /// The limit of bytes in a second, in each direction of each connection.
    pub bytes_per_second: Option<u32>,
    /// Nothing passes; the sent bytes pass later.
    pub stalled: bool,
    /// New connections are closed at once.
    pub refusing: bool,
}

/// A listener before one broker. Dropping it closes every connection through it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Dropping the set aborts the listener's task, and with it the connections it owns.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    broker: SocketAddr,
    start: Instant,
    state: Mutex<State>,
    weather: watch::Sender<Weather>,
    /// The number of times that all connections were cut.
    cuts: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    frames: FrameLog,
    connections: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 for connections to `broker`.
    #[allow(clippy::disallowed_methods)]
    pub async fn start(broker: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            broker,
            start: Instant::now(),
            state: Mutex::default(),
            weather: watch::Sender::default(),
            cuts: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(Arc::clone(&shared), listener));
        Ok(Self { shared, address, _tasks: tasks })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the broker.
    pub fn broker(&self) -> SocketAddr {
        self.shared.broker
    }

    /// Applies a fault to the next `times` frames of an API, or of any API, in this direction.
    pub fn inject(&self, direction: Direction, api_key: Option<i16>, fault: Fault, times: u32) {
        self.shared.state().faults.add(direction, api_key, fault, times);
    }

    /// Holds the next frame of an API in this direction, and those behind it, until it is released.
    pub fn hold(&self, direction: Direction, api_key: i16) -> Held {
        let (held, gate) = faults::gate();
        self.inject(direction, Some(api_key), Fault::Hold(gate), 1);
        held
    }

    /// Sets the weather of all connections, present and future.
    pub fn set_weather(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends all faults: held frames pass, the weather is fine.
    pub fn calm(&self) {
        self.shared.state().faults.clear();
        self.set_weather(Weather::default());
    }

    /// The last frames that arrived, oldest first.
    pub fn frames(&self) -> Vec<Frame> {
        self.shared.state().frames.to_vec()
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        if shared.weather.borrow().refusing {
            continue;
        }
        let number = {
            let mut state = shared.state();
            state.connections += 1;
            state.connections
        };
        connections.spawn(pump::connection(Arc::clone(&shared), number, client));
    }
}

/// Leads a client through proxies: it dials the proxy of each broker, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Through(HashMap<(String, u16), SocketAddr>);

impl Through {
    /// Leads through these proxies.
    pub fn proxies<'p>(proxies: impl IntoIterator<Item = &'p Proxy>) -> Self {
        let entry = |proxy: &Proxy| ((proxy.broker().ip().to_string(), proxy.broker().port()), proxy.address());
        Self(proxies.into_iter().map(entry).collect())
    }
}

/// The result of a connector.
type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

impl Connector for Through {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        let host = if host == "localhost" { "127.0.0.1" } else { host };
        let address = self.0.get(&(host.to_owned(), port)).copied();
        Box::pin(async move {
            let none = || io::Error::new(io::ErrorKind::NotFound, format!("no proxy leads to {host}:{port}"));
            let stream = TcpStream::connect(address.ok_or_else(none)?).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}
