//! Carries commits between their callers, the committer and the group's coordinator.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;

use tokio::sync::oneshot;

use super::core::OffsetToCommit;
use super::core::committer::CommitAction;
use super::core::committer::CommitCounters;
use super::core::committer::Committer;
use super::core::committer::Ticket;
use super::driver::Shared;
use crate::client::Cluster;
use crate::client::Coordinated;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::group::GroupMetadata;
use crate::metadata::Snapshot;
use crate::net::clock;
use crate::types::TopicPartition;

/// The result of a commit, once there is one.
pub(super) type Pending = oneshot::Receiver<Result<(), Error>>;

/// A commit that goes on by itself, and a future of its result. Made by
/// [`Consumer::begin_commit`](super::Consumer::begin_commit).
///
/// Cancel safety: dropping it drops the result only. The commit continues.
#[derive(Debug)]
#[must_use = "nobody else learns whether the commit took place: await it, or drop it on purpose"]
pub struct PendingCommit(Result<(Pending, String), Error>);

impl PendingCommit {
    /// The result of a commit for `group`, or the reason why it did not begin.
    pub(super) fn new(begun: Result<(Pending, &str), Error>) -> Self {
        Self(begun.map(|(pending, group)| (pending, group.to_owned())))
    }
}

impl Future for PendingCommit {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok((pending, group)) => {
                Pin::new(pending).poll(cx).map(|result| result.unwrap_or_else(|_| Err(ended(group))))
            }
            Err(error) => Poll::Ready(Err(error.clone())),
        }
    }
}

/// The error of a commit that the consumer has no time for any more.
pub(super) fn ended(group: &str) -> Error {
    Error::new(Kind::Closed, format!("the consumer has ended: no offset was committed for group {group}"))
}

/// Refuses offsets that no broker takes, and that no request can carry.
pub(super) fn check(offsets: &[OffsetToCommit]) -> Result<(), Error> {
    for OffsetToCommit { partition, position, metadata } in offsets {
        let problem = if position.offset < 0 {
            format!("the offset to commit is {}: offsets are numbered from 0", position.offset)
        } else if metadata.len() > OffsetToCommit::METADATA_BYTES_MAX {
            let (bytes, most) = (metadata.len(), OffsetToCommit::METADATA_BYTES_MAX);
            format!(
                "the metadata of the offset has {bytes} bytes: a request carries {most}, and most brokers take 4096"
            )
        } else {
            continue;
        };
        return Err(Error::config(problem).in_partition(&partition.topic, partition.partition));
    }
    Ok(())
}

/// A committer, and the callers who wait for its results.
#[derive(Debug)]
pub(super) struct Commits {
    committer: Committer,
    waiting: HashMap<Ticket, oneshot::Sender<Result<(), Error>>>,
}

impl Commits {
    pub(super) fn new(group: &str, cluster: &Cluster) -> Self {
        let settings = cluster.settings();
        let pauses = (settings.retry_backoff, settings.retry_backoff_max);
        let mut committer = Committer::new(GroupMetadata::none(group, None), pauses, clock::seed());
        committer.handle_metadata(cluster.snapshot());
        Self { committer, waiting: HashMap::new() }
    }

    /// Begins to commit positions. The driver must be woken afterwards.
    pub(super) fn begin(
        &mut self,
        offsets: impl IntoIterator<Item: Into<OffsetToCommit>>,
        deadline: Instant,
    ) -> Pending {
        let (sender, pending) = oneshot::channel();
        let ticket = self.committer.commit(clock::now(), offsets, deadline);
        self.waiting.insert(ticket, sender);
        self.deliver();
        pending
    }

    pub(super) fn handle_metadata(&mut self, snapshot: Arc<Snapshot>) {
        self.committer.handle_metadata(snapshot);
    }

    /// Commits as this member from now on, and only the partitions that it owns.
    pub(super) fn handle_membership(&mut self, identity: GroupMetadata, owned: BTreeSet<TopicPartition>) {
        self.committer.handle_membership(identity, owned);
        self.deliver();
    }

    /// The next refusal of a commit because of the membership.
    pub(super) fn poll_refusal(&mut self) -> Option<(Code, GroupMetadata)> {
        self.committer.poll_refusal()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.committer.poll_timeout().is_some_and(|at| at <= now) {
            self.committer.handle_timeout(now);
        }
        self.deliver();
    }

    /// Ends all commits with an error.
    pub(super) fn close(&mut self) {
        self.committer.close();
        self.deliver();
    }

    pub(super) fn poll_action(&mut self) -> Option<CommitAction> {
        self.committer.poll_action()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.committer.poll_timeout()
    }

    pub(super) fn counters(&self) -> CommitCounters {
        self.committer.counters()
    }

    /// Sends results to the callers that wait for them. A caller that dropped its future gets none.
    fn deliver(&mut self) {
        while let Some((ticket, result)) = self.committer.poll_result() {
            if let Some(sender) = self.waiting.remove(&ticket) {
                let _ = sender.send(result);
            }
        }
    }
}

/// Carries out the actions of a committer. `ended` resolves when the driver ends, and then no response is awaited any more.
pub(super) fn act(
    shared: &Arc<Shared>,
    cluster: &Cluster,
    group: &Coordinated,
    action: CommitAction,
    ended: impl Future<Output = ()> + Send + 'static,
) {
    match action {
        CommitAction::Commit { tag, deadline, request } => {
            let (shared, cluster, group) = (Arc::clone(shared), cluster.clone(), group.clone());
            let runtime = cluster.runtime().clone();
            drop(runtime.spawn(async move {
                let call = cluster.call_coordinator(&group, request, deadline);
                let (mut call, mut ended) = (pin!(call), pin!(ended));
                let response = poll_fn(|cx| match call.as_mut().poll(cx) {
                    Poll::Ready(response) => Poll::Ready(Some(response)),
                    Poll::Pending => ended.as_mut().poll(cx).map(|()| None),
                });
                let Some(response) = response.await else { return };
                if let Some(commits) = &mut shared.lock().commits {
                    commits.committer.handle_response(clock::now(), tag, response);
                    commits.deliver();
                }
                shared.work.notify_one();
            }));
        }
        CommitAction::ForgetCoordinator => cluster.forget_coordinator(group),
        CommitAction::RefreshMetadata { topics } => cluster.refresh(&topics),
    }
}
