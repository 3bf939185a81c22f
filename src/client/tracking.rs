//! The topics whose metadata is kept fresh, and who waits for newer metadata of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;

use super::topics::AutoCreate;
use crate::error::Code;
use crate::error::Error;
use crate::metadata::Snapshot;
use crate::metadata::Topic;
use crate::net::clock;
use crate::types::TopicName;

/// How long a caller that waits for metadata causes frequent refreshes. Elections are over by then; afterwards the metadata of a
/// partition without a leader is requested less often.
pub(super) const AT_FIRST: Duration = Duration::from_secs(30);

/// Callers who wait for metadata repeat their requests within this time: they retry about once a second in the end.
const RECENT: Duration = Duration::from_millis(1_200);

/// The topics that are kept fresh, and the requests to the task.
#[derive(Debug, Default)]
pub(super) struct Tracking {
    state: Mutex<State>,
    requested: Notify,
    stopped: Notify,
    /// Notifies all waiting callers of a fatal failure.
    failed: Notify,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<TopicName, Tracked>,
    /// Why the last refresh failed, if it did.
    failure: Option<Error>,
    /// Refreshes that failed for a reason which another attempt does not change.
    fatal_failures: u64,
}

/// Interest in a topic.
#[derive(Debug, Default)]
struct Tracked {
    /// Handles that need the topic until they release it.
    holders: usize,
    /// When it is forgotten, if it has no holder.
    until: Option<Instant>,
    create: AutoCreate,
    /// A caller requested newer metadata of the topic, and it has not arrived yet.
    awaited: Option<Awaited>,
}

/// A request for newer metadata of a topic.
#[derive(Debug)]
struct Awaited {
    /// When the first of several in a row was made.
    first: Instant,
    /// When the last one was made.
    last: Instant,
    /// The metadata at the time of the first one.
    before: Option<Arc<Topic>>,
}

impl Awaited {
    /// Whether to send another request although no caller has repeated the request: a leader is being elected, or the metadata
    /// still names the one that failed. `None` if the newer metadata has arrived.
    fn is_pending(&self, now: Instant, known: Option<&Arc<Topic>>) -> Option<bool> {
        let is_recent = now.saturating_duration_since(self.last) < RECENT;
        let lacks_leader = known.is_some_and(|topic| {
            topic.error == Some(Code::LeaderNotAvailable)
                || (topic.error.is_none() && topic.partitions.iter().any(|partition| partition.leader.is_none()))
        });
        let has_changed = known != self.before.as_ref();
        let is_whole = known.is_some_and(|topic| topic.error.is_none()) && !lacks_leader;
        if is_whole && (has_changed || !is_recent) {
            return None;
        }
        Some((lacks_leader || is_recent) && now.saturating_duration_since(self.first) < AT_FIRST)
    }
}

/// The topics of one refresh.
pub(super) struct Plan {
    /// Topics that a request must not create.
    pub(super) topics: BTreeSet<TopicName>,
    /// Unknown topics that a broker may create. They have a request of their own, because its flag counts for all its topics.
    pub(super) to_create: BTreeSet<TopicName>,
    /// Topics that are not kept fresh any more.
    pub(super) expired: Vec<TopicName>,
}

impl Tracking {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps topics fresh for as long as `idle`. With `newer`, requests metadata that is newer than this at once, without waiting
    /// for the next regular refresh.
    ///
    /// This is the only way into a refresh. A name that no topic can have is ignored: a name too long to be encoded would make every
    /// later refresh fail.
    pub(super) fn track(&self, topics: &[TopicName], create: AutoCreate, idle: Duration, newer: Option<&Snapshot>) {
        let now = clock::now();
        {
            let mut state = self.state();
            for topic in topics {
                state.tracked(topic, create, |tracked| {
                    tracked.until = Some(now + idle);
                    if let Some(snapshot) = newer {
                        let before = || snapshot.topic(topic).cloned();
                        let awaited =
                            tracked.awaited.get_or_insert_with(|| Awaited { first: now, last: now, before: before() });
                        awaited.last = now;
                    }
                });
            }
        }
        if newer.is_some() {
            self.requested.notify_one();
        }
    }

    /// Whether requested metadata has not arrived yet, and may arrive soon.
    pub(super) fn is_awaited(&self, snapshot: &Snapshot) -> bool {
        let now = clock::now();
        let mut is_pending = false;
        for (name, tracked) in &mut self.state().topics {
            match tracked.awaited.as_ref().map(|awaited| awaited.is_pending(now, snapshot.topic(name))) {
                Some(None) => tracked.awaited = None,
                Some(Some(may_come)) => is_pending |= may_come,
                None => {}
            }
        }
        is_pending
    }

    /// Keeps topics fresh until they are released as often as they were held.
    pub(super) fn hold(&self, topics: &[TopicName], create: AutoCreate) {
        let mut state = self.state();
        for topic in topics {
            state.tracked(topic, create, |tracked| tracked.holders += 1);
        }
    }

    /// Ends the interest of one holder.
    pub(super) fn release(&self, topics: &[TopicName]) {
        let mut state = self.state();
        for topic in topics {
            if let Some(tracked) = state.topics.get_mut(topic) {
                tracked.holders = tracked.holders.saturating_sub(1);
            }
        }
    }

    /// Waits until a refresh fails for a reason that another attempt does not change.
    pub(super) async fn fatal_failure(&self) -> Error {
        let begun = self.state().fatal_failures;
        loop {
            let mut failed = pin!(self.failed.notified());
            failed.as_mut().enable();
            {
                let state = self.state();
                if let Some(error) = state.failure.as_ref().filter(|_| state.fatal_failures != begun) {
                    return error.clone();
                }
            }
            failed.await;
        }
    }

    /// Why the last refresh failed, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.state().failure.clone()
    }

    /// Notes why a refresh failed, or that it did not. `is_fatal` says that another attempt does not change it.
    pub(super) fn set_failure(&self, failure: Option<Error>, is_fatal: bool) {
        let mut state = self.state();
        state.failure = failure;
        state.fatal_failures += u64::from(is_fatal);
        drop(state);
        if is_fatal {
            self.failed.notify_waiters();
        }
    }

    /// Asks for a refresh soon.
    pub(super) fn request(&self) {
        self.requested.notify_one();
    }

    /// Waits until a refresh is requested.
    pub(super) async fn requested(&self) {
        self.requested.notified().await;
    }

    /// Ends the task.
    pub(super) fn stop(&self) {
        self.stopped.notify_one();
    }

    /// Awaits `future`. `None` if the client is dropped first.
    pub(super) async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut stopped = pin!(self.stopped.notified());
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// The topics of the next refresh. Those that are not used any more are forgotten.
    pub(super) fn plan(&self, snapshot: &Snapshot) -> Plan {
        let now = clock::now();
        let (mut topics, mut to_create, mut expired) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        self.state().topics.retain(|name, tracked| {
            if tracked.holders == 0 && tracked.until.is_none_or(|until| until <= now) {
                expired.push(name.clone());
                return false;
            }
            let is_unknown = || {
                let known = snapshot.topic(name);
                known.is_none_or(|topic| topic.error == Some(Code::UnknownTopicOrPartition))
            };
            if tracked.create == AutoCreate::Allow && is_unknown() {
                to_create.insert(name.clone());
            } else {
                topics.insert(name.clone());
            }
            true
        });
        Plan { topics, to_create, expired }
    }
}

impl State {
    fn tracked(&mut self, topic: &TopicName, create: AutoCreate, change: impl FnOnce(&mut Tracked)) {
        if TopicName::problem(topic).is_some() {
            return;
        }
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.clone(), Tracked::default());
        }
        let tracked = self.topics.get_mut(topic).expect("it was there or was inserted");
        change(tracked);
        if create == AutoCreate::Allow {
            tracked.create = create;
        }
    }
}
