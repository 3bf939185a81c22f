//! Requests to brokers. A call returns the response type of its request.

use std::future::Future;
use std::time::Instant;

use tokio::sync::oneshot;

use super::cluster::Cluster;
use super::connections::ConnectionKind;
use super::hedge::Hedge;
use super::hedge::Judged;
use super::routing::Target;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::net::connection::Outgoing;
use crate::net::connection::Reply;
use crate::wire::Call;
use crate::wire::Request;
use crate::wire::message::FetchRequest;

impl Cluster {
    /// Sends a request. Its response, or the error, is delivered through `reply`.
    ///
    /// It is delivered by `deadline`, to which the time is added for which the broker throttles the client (KIP-219).
    pub(crate) fn submit(&self, target: Target, request: Request, deadline: Instant, reply: Reply) {
        let kind = ConnectionKind::of(request.api());
        self.submit_over(kind, target, request, (deadline, None), reply);
    }

    /// As [`Self::submit`], of Produce. It fails as *not written* if it has no connection by `connect_by`.
    pub(crate) fn submit_produce(
        &self,
        broker: i32,
        request: Request,
        (deadline, connect_by): (Instant, Instant),
        reply: Reply,
    ) {
        let kind = ConnectionKind::of(request.api());
        self.submit_over(kind, Target::Broker(broker), request, (deadline, Some(connect_by)), reply);
    }

    /// A number for a reader, which fetches over connections of its own until they are [released](Self::release).
    pub(crate) fn reader(&self) -> u64 {
        self.next_reader()
    }

    /// As [`Self::submit`], over one of a reader's connections.
    pub(crate) fn submit_fetch(
        &self,
        (reader, index): (u64, usize),
        broker: i32,
        request: FetchRequest,
        deadline: Instant,
        reply: Reply,
    ) {
        let kind = ConnectionKind::Fetch { reader, index };
        self.submit_over(kind, Target::Broker(broker), Request::Fetch(request), (deadline, None), reply);
    }

    /// Drops a reader's connections. Requests that were submitted are still written.
    pub(crate) fn release(&self, reader: u64) {
        self.connections().release(reader);
    }

    /// As [`Self::submit`], over a connection of this kind.
    pub(super) fn submit_over(
        &self,
        kind: ConnectionKind,
        target: Target,
        request: Request,
        (deadline, connect_by): (Instant, Option<Instant>),
        reply: Reply,
    ) {
        match self.route(target) {
            Ok((endpoint, address)) => {
                let handle = self.connections().handle(endpoint, kind, address);
                handle.submit(Outgoing { request, deadline, connect_by, reply });
            }
            Err(error) => reply.send(Err(error.in_api(request.api().name()))),
        }
    }

    /// Sends a request and waits for its response until `deadline`. The future does not keep the client alive.
    pub(crate) fn call<C: Call>(
        &self,
        target: Target,
        request: C,
        deadline: Instant,
    ) -> impl Future<Output = Result<C::Response, Error>> + Send + use<C> {
        self.call_over(ConnectionKind::of(C::API), target, request, deadline)
    }

    /// As [`Self::call`], over a connection of this kind.
    pub(super) fn call_over<C: Call>(
        &self,
        kind: ConnectionKind,
        target: Target,
        request: C,
        deadline: Instant,
    ) -> impl Future<Output = Result<C::Response, Error>> + Send + use<C> {
        let (sender, receiver) = oneshot::channel();
        let response = self.runtime().timeout_at(deadline, receiver);
        let broker = self.route(target).map(|(_, address)| address.to_string()).unwrap_or_default();
        self.submit_over(kind, target, request.into(), (deadline, None), Reply::Oneshot(sender));
        async move {
            let error = match response.await {
                Ok(Ok(Ok(response))) => return C::response(response),
                Ok(Ok(Err(error))) => error,
                Ok(Err(_)) => Error::new(Kind::Closed, "the client is closed"),
                Err(_) => Error::new(Kind::Timeout, UNANSWERED).at_broker(broker),
            };
            Err(of_call::<C>(error))
        }
    }

    /// Sends a request that any broker can answer, until one responds or `deadline` has passed. The request goes to a
    /// second broker as well if the first is silent.
    pub(crate) async fn call_any<C: Call + Clone>(&self, request: C, deadline: Instant) -> Result<C::Response, Error> {
        let mut retry = self.retry(deadline);
        loop {
            let error = match self.call_any_once(&request, deadline).await {
                Err(error) if error.is_retriable() => error,
                decided => return decided,
            };
            retry.pause(error).await?;
        }
    }

    /// As [`Self::call_any`], without retries after an error.
    pub(crate) async fn call_any_once<C: Call + Clone>(
        &self,
        request: &C,
        deadline: Instant,
    ) -> Result<C::Response, Error> {
        let mut targets = self.known_brokers();
        if targets.is_empty() {
            targets = self.bootstrap_addresses();
        }
        let deadline = self.request_deadline(deadline);
        let patience = deadline.saturating_duration_since(clock::now());
        let mut hedge = Hedge::new(self, request.clone(), deadline).stop_at_failure();
        let judge = |_: Target, answer: Result<C::Response, Error>| match answer {
            Err(error) if error.is_retriable() => Judged::Rejected(error),
            decided => Judged::Accepted(decided.map_err(of_call::<C>)),
        };
        match hedge.send_to(targets, patience, judge).await? {
            Some(decided) => decided,
            None => {
                Err(hedge.error().map_or_else(|| of_call::<C>(Error::new(Kind::Timeout, NONE_RESPONDED)), of_call::<C>))
            }
        }
    }

    /// The deadline of a request that is sent now, within the deadline of its call.
    pub(crate) fn request_deadline(&self, deadline: Instant) -> Instant {
        deadline.min(clock::now() + self.settings().request_timeout)
    }
}

const UNANSWERED: &str = "no response by the deadline: check that the broker runs and can be reached";
const NONE_RESPONDED: &str = "no broker responded by the deadline: check that they run and can be reached";

/// Adds the API to an error. For a read-only request it does not matter whether it arrived.
fn of_call<C: Call>(error: Error) -> Error {
    let error = if C::API.is_read_only() { error.of_read_only_request() } else { error };
    error.in_api(C::API.name())
}
