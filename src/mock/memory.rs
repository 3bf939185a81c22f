//! Connects a client to a mock cluster in its own process, without a socket.

use std::fmt;
use std::sync::Arc;

use crate::client::Connector;
use crate::client::Dialling;
use crate::client::Stream;
use crate::mock::serve::Shared;

/// Connects clients to the brokers of a [`Server`](crate::mock::Server) in memory. Made by
/// [`Server::connector`](crate::mock::Server::connector).
///
/// The port alone decides which broker is reached: the host's name is ignored. Each direction of a connection holds 64 KiB.
#[derive(Clone)]
pub struct MemoryConnector {
    shared: Arc<Shared>,
}

impl MemoryConnector {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl fmt::Debug for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryConnector")
    }
}

impl Connector for MemoryConnector {
    fn connect<'a>(&'a self, _host: &'a str, port: u16) -> Dialling<'a> {
        Box::pin(async move { Ok(Box::new(self.shared.accept(port)?) as Box<dyn Stream>) })
    }
}
