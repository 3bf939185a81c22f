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
use crate::group::choosing;
use crate::group::choosing::Choosing;
use crate::group::classic;
use crate::group::classic::Classic;
use crate::group::matching;
use crate::group::member::Action;
use crate::group::member::Member;
use crate::group::modern;
use crate::group::modern::Modern;
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
    match action {
        Action::Choosing(action) => act_to_choose(shared, sender, action, ended),
        Action::Classic(action) => act_as_classic(shared, sender, action, ended),
        Action::Modern(action) => act_as_modern(shared, sender, action, ended),
        Action::List(matching::Request { tag, deadline }) => {
            let (cluster, runtime) = (sender.cluster.clone(), sender.cluster.runtime().clone());
            let call = async move { cluster.list_topics(deadline).await };
            deliver(&runtime, shared, call, ended, move |member, now, topics| member.handle_listing(now, tag, topics));
        }
        Action::Refresh(topics) => sender.cluster.refresh(&topics.into_iter().collect::<Vec<_>>()),
    }
}

fn act_to_choose(
    shared: &Arc<Shared>,
    sender: &Sender,
    action: choosing::Action,
    ended: impl Future<Output = ()> + Send + 'static,
) {
    let (cluster, group, runtime) = (sender.cluster.clone(), sender.group.clone(), sender.cluster.runtime().clone());
    match action {
        choosing::Action::DescribeConsumers { tag, deadline, request } => {
            let call = async move { cluster.call_coordinator(&group, request, deadline).await };
            let take = to_choose(move |choosing, now, response| choosing.handle_consumers(now, tag, response));
            deliver(&runtime, shared, call, ended, take);
        }
        choosing::Action::DescribeGroup { tag, deadline, request } => {
            let call = async move { cluster.call_coordinator(&group, request, deadline).await };
            let take = to_choose(move |choosing, now, response| choosing.handle_group(now, tag, response));
            deliver(&runtime, shared, call, ended, take);
        }
        choosing::Action::ForgetCoordinator => cluster.forget_coordinator(&group),
    }
}

/// Gives a response to the member whose protocol is not chosen yet, and takes the choice.
fn to_choose<R>(take: impl FnOnce(&mut Choosing, Instant, R)) -> impl FnOnce(&mut Member, Instant, R) {
    |member, now, response| {
        if let Some(choosing) = member.choosing() {
            take(choosing, now, response);
        }
        member.take_choice(now);
    }
}

fn act_as_classic(
    shared: &Arc<Shared>,
    sender: &Sender,
    action: classic::Action,
    ended: impl Future<Output = ()> + Send + 'static,
) {
    let (cluster, group) = (sender.cluster.clone(), sender.group.clone());
    let (reader, runtime) = (sender.reader, sender.cluster.runtime().clone());
    match action {
        // A coordinator holds these until every member has joined. Other requests to it must not wait behind them.
        classic::Action::Join { tag, deadline, request } => {
            let call = async move { cluster.call_as_member(reader, &group, request, deadline).await };
            let take = as_classic(move |member, now, response| member.handle_joined(now, tag, response));
            deliver(&runtime, shared, call, ended, take);
        }
        classic::Action::Sync { tag, deadline, request } => {
            let call = async move { cluster.call_as_member(reader, &group, request, deadline).await };
            let take = as_classic(move |member, now, response| member.handle_synced(now, tag, response));
            deliver(&runtime, shared, call, ended, take);
        }
        classic::Action::Heartbeat { tag, deadline, request } => {
            let call = async move { cluster.call_coordinator(&group, request, deadline).await };
            let take = as_classic(move |member, now, response| member.handle_heartbeat(now, tag, response));
            deliver(&runtime, shared, call, ended, take);
        }
        // It is sent although the driver ends: then nobody waits for the response.
        classic::Action::Leave { tag, deadline, request } => {
            let call = async move { cluster.call_coordinator(&group, request, deadline).await };
            let never = std::future::pending();
            let take = as_classic(move |member, _, response| member.handle_left(tag, &response));
            deliver(&runtime, shared, call, never, take);
        }
        classic::Action::ForgetCoordinator => cluster.forget_coordinator(&group),
        // The driver holds them.
        classic::Action::Follow { .. } => {}
    }
}

fn act_as_modern(
    shared: &Arc<Shared>,
    sender: &Sender,
    action: modern::Action,
    ended: impl Future<Output = ()> + Send + 'static,
) {
    let (cluster, group, runtime) = (sender.cluster.clone(), sender.group.clone(), sender.cluster.runtime().clone());
    let taken = |tag| as_modern(move |member, now, response| member.handle_heartbeat(now, tag, response));
    match action {
        modern::Action::Heartbeat { tag, deadline, request } => {
            let call = async move { cluster.call_coordinator(&group, request, deadline).await };
            deliver(&runtime, shared, call, ended, taken(tag));
        }
        // It is sent although the driver ends: then nobody waits for the response.
        modern::Action::Leave { tag, deadline, request } => {
            let call = async move { cluster.call_coordinator(&group, request, deadline).await };
            deliver(&runtime, shared, call, std::future::pending(), taken(tag));
        }
        modern::Action::ForgetCoordinator => cluster.forget_coordinator(&group),
        modern::Action::RefreshMetadata { topics } => cluster.refresh(&topics.into_iter().collect::<Vec<_>>()),
        modern::Action::FindTopics { ids } => {
            let deadline = clock::now() + cluster.settings().request_timeout;
            // The machine asks again until the metadata has them.
            drop(runtime.spawn(async move {
                if let Err(error) = cluster.find_topics(ids, deadline).await {
                    tracing::debug!(target: "ottla::group", error = %error.chain(), "assigned topics could not be found");
                }
            }));
        }
        // The driver holds them.
        modern::Action::Follow { .. } => {}
    }
}

/// Gives a response to the machine of the classic protocol, which has requested it.
fn as_classic<R>(take: impl FnOnce(&mut Classic, Instant, R)) -> impl FnOnce(&mut Member, Instant, R) {
    |member, now, response| {
        if let Some(machine) = member.classic() {
            take(machine, now, response);
        }
    }
}

/// As [`as_classic`], for the protocol `consumer`.
fn as_modern<R>(take: impl FnOnce(&mut Modern, Instant, R)) -> impl FnOnce(&mut Member, Instant, R) {
    |member, now, response| {
        if let Some(machine) = member.modern() {
            take(machine, now, response);
        }
    }
}

fn deliver<R: Send>(
    runtime: &Runtime,
    shared: &Arc<Shared>,
    call: impl Future<Output = Result<R, Error>> + Send + 'static,
    ended: impl Future<Output = ()> + Send + 'static,
    take: impl FnOnce(&mut Member, Instant, Result<R, Error>) + Send + 'static,
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
        // An application may wait for an assignment, or for the group to be left.
        shared.news.notify_one();
    }));
}
