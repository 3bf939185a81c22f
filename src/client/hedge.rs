//! Sends a request to brokers in turn: to the next one when one has failed, or when none has responded for a while. The first
//! accepted response counts.

use std::time::Duration;
use std::time::Instant;

use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::cluster::Weak;
use super::routing::Target;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::net::connection::Reply;
use crate::net::runtime::Runtime;
use crate::wire::Call;
use crate::wire::Response;

/// The time without a response after which the request goes to the next broker. It doubles once, so that a slow cluster gets few
/// requests.
const SILENCE: Duration = Duration::from_millis(500);
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// A connection reports at the deadline of a request what it waited for. This is the time for that report.
const REPORT: Duration = Duration::from_millis(50);

/// A request that goes to one broker after another.
pub(super) struct Hedge<C> {
    cluster: Weak,
    runtime: Runtime,
    request: C,
    deadline: Instant,
    /// The brokers that the request was sent to. Each response is tagged with the index of its broker.
    tried: Vec<Target>,
    silent: usize,
    silence: Duration,
    /// The address of the last broker that the request was sent to.
    address: String,
    sink: mpsc::UnboundedSender<(u64, Result<Response, Error>)>,
    responses: mpsc::UnboundedReceiver<(u64, Result<Response, Error>)>,
    error: Option<Error>,
    stops_at_failure: bool,
}

/// The verdict on a response: whether it ends the search.
pub(super) enum Judged<T> {
    Accepted(T),
    /// Other brokers of the list may do better.
    Rejected(Error),
    /// No other broker of the list can help.
    Over(Error),
    /// No broker at all can help.
    Fatal(Error),
}

impl<C: Call + Clone> Hedge<C> {
    /// A request whose response is awaited until `deadline`.
    pub(super) fn new(cluster: &Cluster, request: C, deadline: Instant) -> Self {
        let (sink, responses) = mpsc::unbounded_channel();
        let (tried, address) = (Vec::new(), String::new());
        Self {
            cluster: cluster.downgrade(),
            runtime: cluster.runtime().clone(),
            request,
            deadline,
            tried,
            silent: 0,
            silence: SILENCE,
            address,
            sink,
            responses,
            error: None,
            stops_at_failure: false,
        }
    }

    /// Asks no further broker after one has failed, unless another is silent: the caller retries, after a pause.
    pub(super) fn stop_at_failure(mut self) -> Self {
        self.stops_at_failure = true;
        self
    }

    /// The last error.
    pub(super) fn error(&self) -> Option<Error> {
        self.error.clone()
    }

    /// Sends the request to `targets` in turn. Returns `None` when every request so far has failed, or when no response came within
    /// `patience` of the last one. Holds no handle of the client while it waits.
    pub(super) async fn send_to<T>(
        &mut self,
        targets: Vec<Target>,
        patience: Duration,
        mut judge: impl FnMut(Target, Result<C::Response, Error>) -> Judged<T>,
    ) -> Result<Option<T>, Error> {
        let mut targets = targets.into_iter();
        let mut until = clock::now();
        loop {
            if let Some(target) = targets.next() {
                self.send(target)?;
                let wait = if targets.len() == 0 { patience } else { self.silence };
                self.silence = SILENCE_MAX;
                until = clock::now() + wait;
                if until >= self.deadline {
                    until += REPORT;
                }
            } else if self.silent == 0 {
                return Ok(None);
            }
            let answer = self.runtime.timeout_at(until, self.responses.recv());
            let Ok(answer) = answer.await else {
                let silent = Error::new(Kind::Timeout, "the broker has not responded yet").at_broker(&*self.address);
                self.error.get_or_insert(silent.in_api(C::API.name()));
                if targets.len() == 0 {
                    return Ok(None);
                }
                continue;
            };
            let (tag, answer) = answer.expect("the sender is held here");
            self.silent -= 1;
            let target = self.tried[usize::try_from(tag).expect("it was a place in this list")];
            match judge(target, answer.and_then(C::response)) {
                Judged::Accepted(accepted) => return Ok(Some(accepted)),
                Judged::Rejected(error) => {
                    self.error = Some(error);
                    if self.stops_at_failure && self.silent == 0 {
                        return Ok(None);
                    }
                }
                Judged::Fatal(error) => return Err(error),
                Judged::Over(error) => {
                    self.error = Some(error);
                    return Ok(None);
                }
            }
        }
    }

    fn send(&mut self, target: Target) -> Result<(), Error> {
        let cluster = self.cluster.upgrade().ok_or_else(|| Error::new(Kind::Closed, "the client is closed"))?;
        self.address = cluster.route(target).map(|(_, address)| address.to_string()).unwrap_or_default();
        let tag = u64::try_from(self.tried.len()).unwrap_or(u64::MAX);
        self.tried.push(target);
        self.silent += 1;
        let reply = Reply::Tagged { tag, sink: self.sink.clone() };
        cluster.submit(target, self.request.clone().into(), self.deadline, reply);
        Ok(())
    }
}
