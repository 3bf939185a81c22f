//! The settings of a client, with their defaults.

use std::time::Duration;

use crate::config::BootstrapServers;
use crate::sasl::Sasl;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// The settings of a client.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) bootstrap: BootstrapServers,
    pub(crate) client_id: String,
    pub(crate) sasl: Option<Sasl>,
    pub(crate) request_timeout: Duration,
    pub(crate) api_timeout: Duration,
    pub(crate) metadata_age_max: Duration,
    /// How long the metadata of a topic is refreshed after its last use.
    pub(crate) metadata_idle_max: Duration,
    /// How long a topic may be unknown to a broker after another created it.
    pub(crate) propagation: Duration,
    pub(crate) setup_timeout: Duration,
    pub(crate) setup_timeout_max: Duration,
    pub(crate) reconnect_backoff: Duration,
    pub(crate) reconnect_backoff_max: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
    pub(crate) idle_max: Option<Duration>,
    /// Whether to start over from the bootstrap addresses when no known broker responds (KIP-899).
    pub(crate) rebootstrap: bool,
    pub(crate) response_bytes_max: usize,
    /// Whether properties demand that the client authenticates.
    pub(crate) must_authenticate: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

/// The longest duration. Moments further off are beyond what some clocks can represent.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Settings {
    pub(crate) fn new(bootstrap: BootstrapServers) -> Self {
        Self {
            bootstrap,
            client_id: "ottla".to_owned(),
            sasl: None,
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            metadata_age_max: Duration::from_secs(300),
            metadata_idle_max: Duration::from_secs(300),
            propagation: Duration::from_secs(3),
            setup_timeout: Duration::from_secs(10),
            setup_timeout_max: Duration::from_secs(30),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            idle_max: Some(Duration::from_secs(540)),
            rebootstrap: true,
            response_bytes_max: 100 << 20,
            must_authenticate: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Cuts durations to the longest that can be counted, and raises upper limits that are below their lower ones.
    pub(crate) fn bounded(mut self) -> Self {
        let Self {
            request_timeout, api_timeout, metadata_age_max, metadata_idle_max, propagation, setup_timeout, ..
        } = &mut self;
        for duration in [request_timeout, api_timeout, metadata_age_max, metadata_idle_max, propagation, setup_timeout]
        {
            *duration = (*duration).min(LONGEST);
        }
        self.setup_timeout_max = self.setup_timeout_max.clamp(self.setup_timeout, LONGEST);
        self.reconnect_backoff_max = self.reconnect_backoff_max.min(LONGEST);
        self.retry_backoff_max = self.retry_backoff_max.min(LONGEST);
        self.idle_max = self.idle_max.map(|idle| idle.min(LONGEST));
        self
    }
}
