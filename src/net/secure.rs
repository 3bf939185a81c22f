//! The handshake of TLS over a stream that was dialled, and the files of its configuration, which are read again for each connection.

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::io::BufReader;
use tokio_rustls::TlsConnector;

use super::dial::Stream;
use crate::config::HostPort;
use crate::error::Error;
use crate::error::Kind;
use crate::tls;
use crate::tls::Loaded;
use crate::tls::Peer;
use crate::tls::Tls;

/// How the connections of a client are encrypted.
#[derive(Debug)]
pub struct Secure {
    tls: Tls,
    peer: Peer,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    loaded: Loaded,
    /// Whether the files could not be used when they were last read.
    stale: bool,
}

/// Bytes read from the stream at once: rustls asks for 4 KiB at a time, each by a system call of its own.
const READ_AHEAD: usize = 64 * 1024;

impl Secure {
    /// For connections to such peers.
    pub(crate) fn new(tls: Tls, peer: Peer) -> Self {
        let current = Mutex::new(Current { loaded: tls.first().clone(), stale: false });
        Self { tls, peer, current }
    }

    /// Encrypts a stream to a peer, whose certificate must be for the host that was dialled.
    pub async fn handshake(&self, address: &HostPort, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Error> {
        let name = tls::server_name(&address.host)?;
        let loaded = self.loaded().await;
        let connector = TlsConnector::from(loaded.config);
        let stream = BufReader::with_capacity(READ_AHEAD, stream);
        let stream = connector.connect(name, stream).await.map_err(|error| {
            let explained = tls::explain(&error, self.peer, &address.host, loaded.has_identity);
            explained.unwrap_or_else(|| self.ended(error))
        })?;
        let (_, session) = stream.get_ref();
        tracing::debug!(
            target: "ottla::connection",
            broker = %address,
            version = session.protocol_version().and_then(|version| version.as_str()),
            cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
            resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            "connection encrypted"
        );
        Ok(Box::new(stream))
    }

    /// The error of the first response after a handshake, if TLS has a part in it.
    pub fn explain(&self, error: &io::Error, host: &str) -> Option<Error> {
        tls::explain(error, self.peer, host, self.current().has_identity)
    }

    /// The error of a handshake during which the connection ended.
    fn ended(&self, error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => {
                let (name, why) = (self.peer.name(), self.peer.without_tls());
                let text = format!("{name} ended the connection during the TLS handshake: if that goes on, {why}");
                Error::new(Kind::Connect, text).caused_by(error)
            }
        }
    }

    /// The configuration for a new connection: that of the files as they are now, or the last one that could be used.
    async fn loaded(&self) -> Loaded {
        let current = self.current();
        if !self.tls.has_files() {
            return current;
        }
        let (tls, before) = (self.tls.clone(), current.clone());
        // Files may lie on a network.
        let reading = tokio::task::spawn_blocking(move || tls.reload(&before));
        match reading.await {
            Ok(outcome) => self.renew(outcome),
            // The runtime ends.
            Err(_) => current,
        }
    }

    /// Takes what was read, if it can be used.
    fn renew(&self, outcome: Result<Option<Loaded>, Error>) -> Loaded {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(None) => current.stale = false,
            Ok(Some(loaded)) => {
                tracing::info!(target: "ottla::connection", "certificates read again");
                *current = Current { loaded, stale: false };
            }
            Err(error) => {
                if !std::mem::replace(&mut current.stale, true) {
                    tracing::warn!(target: "ottla::connection", error = %error.chain(), "certificates could not be read again");
                }
            }
        }
        current.loaded.clone()
    }

    fn current(&self) -> Loaded {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).loaded.clone()
    }
}
