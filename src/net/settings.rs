//! The settings that all connections of a client share.

use std::time::Duration;

use super::dial::Connector;
use super::runtime::Runtime;
#[cfg(feature = "tls")]
use super::secure::Secure;
use crate::sasl::Sasl;

/// The settings that all connections of a client share.
#[derive(Debug)]
pub struct Settings {
    pub client_id: String,
    pub connector: Box<dyn Connector>,
    /// How each connection is authenticated, if it is.
    pub sasl: Option<Sasl>,
    /// How connections are encrypted, if they are.
    #[cfg(feature = "tls")]
    pub secure: Option<Secure>,
    /// Runs the tasks of connections, and so their sockets and timers.
    pub runtime: Runtime,
    /// How long the first attempt to set up a connection may take; it doubles with each failure (KIP-601).
    pub setup_timeout: Duration,
    pub setup_timeout_max: Duration,
    /// How long a response may take before the connection ends.
    pub request_timeout: Duration,
    pub reconnect_backoff: Duration,
    pub reconnect_backoff_max: Duration,
    /// After how long without a request a connection is closed; `None` is never.
    pub idle_max: Option<Duration>,
    pub response_bytes_max: usize,
    pub in_flight_max: usize,
}
