//! Carries requests between a member's machine and the group's coordinator.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use super::driver::Shared;
use crate::client::Cluster;
use crate::client::Coordinated;
use crate::error::Error;
use crate::group::classic::Action;
use crate::group::classic::Classic;
use crate::net::clock;
use crate::net::runtime::Runtime;

/// Who sends the requests of a member: a group, and the reader whose connections carry them.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) cluster: Cluster,
    pub(super) group: Coordinated,
    pub(super) reader: u64,
}

/// Sends a request of a member. `ended` resolves when the driver ends, and then no response is awaited any more.
pub(super) fn act(
    shared: &Arc<Shared>,
    sender: &Sender,
    action: Action,
    ended: impl Future<Output = ()> + Send + 'static,
) {
    let (cluster, group) = (sender.cluster.clone(), sender.group.clone());
    let (reader, runtime) = (sender.reader, sender.cluster.runtime().clone());
    match action {
        // A coordinator holds these until every member has joined. Other requests to it must not wait behind them.
        Action::Join { tag, deadline, request } => {
            let call = async move { cluster.call_as_member(reader, &group, request, deadline).await };
            deliver(&runtime, shared, call, ended, move |member, now, response| {
                member.handle_joined(now, tag, response);
            });
        }
        Action::Sync { tag, deadline, request } => {
            let call = async move { cluster.call_as_member(reader, &group, request, deadline).await };
            deliver(&runtime, shared, call, ended, move |member, now, response| {
                member.handle_synced(now, tag, response);
            });
        }
        Action::Heartbeat { tag, deadline, request } => {
            let call = async move { cluster.call_coordinator(&group, request, deadline).await };
            deliver(&runtime, shared, call, ended, move |member, now, response| {
                member.handle_heartbeat(now, tag, response);
            });
        }
        // It is sent although the driver ends: then nobody waits for the response.
        Action::Leave { tag, deadline, request } => {
            let call = async move { cluster.call_coordinator(&group, request, deadline).await };
            let never = std::future::pending();
            deliver(&runtime, shared, call, never, move |member, _, response| member.handle_left(tag, &response));
        }
        Action::ForgetCoordinator => cluster.forget_coordinator(&group),
        // The driver holds them.
        Action::Follow { .. } => {}
    }
}

fn deliver<R: Send>(
    runtime: &Runtime,
    shared: &Arc<Shared>,
    call: impl Future<Output = Result<R, Error>> + Send + 'static,
    ended: impl Future<Output = ()> + Send + 'static,
    take: impl FnOnce(&mut Classic, Instant, Result<R, Error>) + Send + 'static,
) {
    let shared = Arc::clone(shared);
    drop(runtime.spawn(async move {
        let (mut call, mut ended) = (pin!(call), pin!(ended));
        let response = poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => ended.as_mut().poll(cx).map(|()| None),
        });
        let Some(response) = response.await else { return };
        let mut state = shared.lock();
        if let Some(member) = &mut state.member {
            take(member, clock::now(), response);
        }
        state.follow_membership();
        drop(state);
        shared.work.notify_one();
    }));
}
