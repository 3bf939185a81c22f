//! A request on its way to a connection, and the way its response takes back.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::error::Written;
use crate::wire::Request;
use crate::wire::Response;

/// The destination of a response.
///
/// It carries the sum of all responses: a driver waits for responses of several types at one receiver. A caller that sent one
/// request takes its type out of the sum by [`Call`](crate::wire::Call).
pub enum Reply {
    /// To a caller that waits for this response alone.
    Oneshot(oneshot::Sender<Result<Response, Error>>),
    /// To a driver that waits for many.
    Tagged {
        /// Identifies the request for the driver.
        tag: u64,
        /// Where it listens.
        sink: mpsc::UnboundedSender<(u64, Result<Response, Error>)>,
    },
}

impl Reply {
    /// Delivers the response. If the caller dropped its future, the response is dropped.
    pub fn send(self, response: Result<Response, Error>) {
        match self {
            Self::Oneshot(sender) => drop(sender.send(response)),
            Self::Tagged { tag, sink } => drop(sink.send((tag, response))),
        }
    }

    /// Whether the caller has dropped its future.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Oneshot(sender) => sender.is_closed(),
            Self::Tagged { sink, .. } => sink.is_closed(),
        }
    }
}

/// A request on its way to a connection.
pub struct Outgoing {
    pub request: Request,
    /// The caller gets the response, or an error, by then. Time for which the broker mutes the client comes on top (KIP-219).
    pub deadline: Instant,
    /// A request that has no connection by then fails as *not written*, though its deadline is later.
    pub connect_by: Option<Instant>,
    pub reply: Reply,
}

impl Outgoing {
    /// When it fails while there is no connection.
    pub(super) fn due(&self) -> Instant {
        self.connect_by.map_or(self.deadline, |by| by.min(self.deadline))
    }

    /// Fails the request, which was not sent.
    pub(super) fn refuse(self, error: Error) {
        self.reply.send(Err(error.in_api(self.request.api().name()).written(Written::No)));
    }
}
