//! Keeps the metadata fresh: one task for each client, one refresh at a time.
//!
//! The task holds no handle while it waits, so that a client that was dropped goes away at once.

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

use fastrand::Rng;
use tokio::sync::Notify;

use super::cluster::Cluster;
use super::cluster::Weak;
use super::hedge::Hedge;
use super::hedge::Judged;
use super::routing::Target;
use super::topics::AutoCreate;
use crate::config::HostPort;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::metadata::Topic;
use crate::net::clock;
use crate::types::TopicName;
use crate::wire::message::MetadataRequest;
use crate::wire::message::MetadataResponse;

/// While refreshes bring nothing new, the pause between them grows no further than to this at first.
///
/// Somebody waits for a leader that is being elected, or for a topic that is being created. Pauses that have grown to
/// `retry.backoff.max.ms` would notice it up to a second late.
const PAUSE_MAX_AT_FIRST: Duration = Duration::from_millis(250);

/// How long that is so. Elections are over by then, and a partition that stays without a leader is not asked about as often.
const AT_FIRST: Duration = Duration::from_secs(30);

/// Callers who wait for metadata repeat their requests within this time: they retry about once a second in the end.
const RECENT: Duration = Duration::from_millis(1_200);

/// The topics that are kept fresh, and the requests to the task.
#[derive(Debug, Default)]
pub(super) struct Refresher {
    state: Mutex<State>,
    requested: Notify,
    stopped: Notify,
    /// Notifies everybody who waits of a fatal failure.
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
    /// Those who need it until they say otherwise.
    holders: usize,
    /// When it is forgotten if nobody holds it: it was last used a while before.
    until: Option<Instant>,
    create: AutoCreate,
    /// Somebody asked for newer metadata of the topic, and it has not come yet.
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
    /// Whether to ask again although nobody has repeated the request: a leader is being elected, or metadata still names the one
    /// that failed. `None` when there is nothing to wait for any more.
    fn goes_on(&self, now: Instant, known: Option<&Arc<Topic>>) -> Option<bool> {
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
struct Plan {
    /// Topics that a request must not create.
    topics: BTreeSet<TopicName>,
    /// Unknown topics that a broker may create. They have a request of their own, because its flag counts for all its topics.
    to_create: BTreeSet<TopicName>,
    /// Topics that are not kept fresh any more.
    expired: Vec<TopicName>,
}

impl Refresher {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so a panic elsewhere does not spoil it.
        lock(&self.state)
    }

    /// Keeps topics fresh for as long as `idle`. With `newer`, asks without waiting for the next regular refresh for metadata that is
    /// newer than this.
    ///
    /// This is the only way into a refresh. A name that no topic can have is passed over: a name too long to be encoded would
    /// make every later refresh fail.
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

    /// Whether metadata that was asked for has not come yet, and may come soon.
    fn is_awaited(&self, snapshot: &Snapshot) -> bool {
        let now = clock::now();
        let mut goes_on = false;
        for (name, tracked) in &mut self.state().topics {
            match tracked.awaited.as_ref().map(|awaited| awaited.goes_on(now, snapshot.topic(name))) {
                Some(None) => tracked.awaited = None,
                Some(Some(may_come)) => goes_on |= may_come,
                None => {}
            }
        }
        goes_on
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

    pub(super) fn stop(&self) {
        self.stopped.notify_one();
    }

    /// Awaits `future`. `None` if the client goes away first.
    async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut stopped = pin!(self.stopped.notified());
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    fn plan(&self, cluster: &Cluster) -> Plan {
        let (now, snapshot) = (clock::now(), cluster.snapshot());
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

/// Refreshes when it is asked to, and when the metadata is old, until the client is gone.
///
/// After a refresh that brought nothing new, and after one that failed, the next one waits longer (KIP-580).
pub(super) async fn run(cluster: Weak, refresher: Arc<Refresher>) {
    let mut rng = Rng::with_seed(clock::seed());
    let Some(first) = cluster.upgrade() else { return };
    let settings = first.settings();
    let (age_max, long) = (settings.metadata_age_max, settings.retry_backoff_max);
    let pause_max = PAUSE_MAX_AT_FIRST.max(settings.retry_backoff);
    let mut backoff = first.retry_backoff();
    drop(first);
    let mut changed_at = clock::now();
    loop {
        let quiet_since = clock::now();
        // A permit that was left before this point makes the wait return at once.
        let requested = tokio::time::timeout(age_max, refresher.requested.notified());
        if refresher.unless_stopped(requested).await.is_none() {
            return;
        }
        if clock::now() - quiet_since > long {
            backoff.reset();
            changed_at = clock::now();
        }
        let mut longest = Duration::MAX;
        match refresher.unless_stopped(refresh(&cluster, &refresher)).await {
            None => return,
            Some(Ok(Refreshed::Changed)) => {
                backoff.reset();
                changed_at = clock::now();
            }
            Some(Ok(Refreshed::Unchanged)) if clock::now() - changed_at < AT_FIRST => longest = pause_max,
            Some(Ok(Refreshed::Unchanged)) => {}
            Some(Err(error)) => {
                tracing::warn!(target: "ottla::metadata", error = %error.chain(), "metadata refresh failed");
                refresher.requested.notify_one();
            }
        }
        if cluster.upgrade().is_some_and(|cluster| refresher.is_awaited(&cluster.snapshot())) {
            refresher.requested.notify_one();
        }
        let pause = tokio::time::sleep(backoff.next(&mut rng).min(longest));
        if refresher.unless_stopped(pause).await.is_none() {
            return;
        }
    }
}

/// Asks for all that is kept fresh, and forgets the rest.
async fn refresh(cluster: &Weak, refresher: &Refresher) -> Result<Refreshed, Error> {
    let Plan { topics, to_create, expired } = {
        let cluster = strong(cluster)?;
        let plan = refresher.plan(&cluster);
        if !plan.expired.is_empty() {
            cluster.edit(|cache| cache.remove_topics(&plan.expired));
        }
        plan
    };
    for topic in &expired {
        tracing::debug!(target: "ottla::metadata", %topic, "topic not used any more");
    }
    let mut refreshed = Refreshed::Unchanged;
    if to_create.is_empty() || !topics.is_empty() {
        refreshed = once(cluster, topics, AutoCreate::Forbid).await?;
    }
    if !to_create.is_empty() && once(cluster, to_create, AutoCreate::Allow).await? == Refreshed::Changed {
        refreshed = Refreshed::Changed;
    }
    Ok(refreshed)
}

/// Whether a refresh changed the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refreshed {
    Changed,
    Unchanged,
}

/// Asks about `topics`: brokers that are known, then the bootstrap addresses (KIP-899).
///
/// A known broker that says that it belongs to another cluster is passed over, since its address was given to another: only the
/// cluster at the bootstrap addresses is taken for granted. A client that may not go back to them has to believe what it hears.
pub(super) async fn once(cluster: &Weak, topics: BTreeSet<TopicName>, create: AutoCreate) -> Result<Refreshed, Error> {
    let found = ask(cluster, &topics, create).await;
    let cluster = strong(cluster)?;
    cluster.refresher().state().failure = found.as_ref().err().cloned();
    match &found {
        Ok(_) => cluster.registry().metadata().refreshes += 1,
        Err(error) => {
            cluster.registry().metadata().failures += 1;
            if is_fatal(error) {
                cluster.refresher().state().fatal_failures += 1;
                cluster.refresher().failed.notify_waiters();
            }
        }
    }
    let (target, response) = found?;
    let before = cluster.snapshot();
    cluster.edit(|cache| {
        if matches!(target, Target::Bootstrap(_)) && before.is_of_another_cluster(&response) {
            cache.forget_brokers();
        }
        cache.handle_answer(&topics, response);
        true
    });
    Ok(if before.is_equivalent_to(&cluster.snapshot()) { Refreshed::Unchanged } else { Refreshed::Changed })
}

async fn ask(
    cluster: &Weak,
    topics: &BTreeSet<TopicName>,
    create: AutoCreate,
) -> Result<(Target, MetadataResponse), Error> {
    let (known, bootstrap, deadline, patience, rebootstrap) = {
        let cluster = strong(cluster)?;
        let settings = cluster.settings();
        let deadline = clock::now() + settings.request_timeout;
        let rebootstrap = settings.rebootstrap;
        // Brokers that are silent for as long as it may take to reach one may be gone for good.
        let patience = if rebootstrap { settings.setup_timeout } else { settings.request_timeout };
        (cluster.known_brokers(), cluster.bootstrap_addresses(), deadline, patience, rebootstrap)
    };
    let allow_auto_create = create == AutoCreate::Allow;
    let request = MetadataRequest { topics: Some(topics.iter().cloned().collect()), allow_auto_create };
    let mut hedge = Hedge::new(cluster.clone(), request, deadline);
    let are_known = !known.is_empty();
    let failed = Mutex::new(Vec::new());
    let rejected = |error: Error| {
        if let Some(cluster) = cluster.upgrade() {
            cluster.refresher().state().failure = Some(error.clone());
        }
        error
    };
    let judge = |target: Target, answer: Result<MetadataResponse, Error>| match answer {
        // Every broker refuses wrong credentials, and trying them again may lock an account.
        Err(error) if is_fatal(&error) => Judged::Fatal(rejected(error)),
        Err(error) => {
            lock(&failed).extend(address(cluster, target));
            Judged::Rejected(rejected(error.of_read_only_request()))
        }
        Ok(MetadataResponse { error: Some(code), .. }) => {
            let error = rejected(Error::broker(code, "could not get metadata"));
            let is_over = code == Code::RebootstrapRequired && matches!(target, Target::Broker(_));
            if is_over { Judged::Over(error) } else { Judged::Rejected(error) }
        }
        Ok(response) if is_of_another_cluster(cluster, target, &response) => {
            let text = format!("it belongs to cluster {}", response.cluster_id.as_deref().unwrap_or_default());
            Judged::Rejected(rejected(Error::protocol(text)))
        }
        Ok(response) => Judged::Accepted((target, response)),
    };
    if are_known && let Some(found) = hedge.ask(known, patience, judge).await? {
        return Ok(found);
    }
    if !are_known || rebootstrap {
        if are_known {
            tracing::warn!(target: "ottla::metadata", "asking the bootstrap addresses");
        }
        // An address that has just failed under a broker's id would fail again.
        let may_answer = |target: &Target| address(cluster, *target).is_some_and(|at| !lock(&failed).contains(&at));
        let bootstrap = bootstrap.into_iter().filter(may_answer).collect();
        let patience = deadline.saturating_duration_since(clock::now());
        if let Some(found) = hedge.ask(bootstrap, patience, judge).await? {
            return Ok(found);
        }
    }
    Err(unreachable_cluster(&strong(cluster)?, hedge.error()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(cluster: &Weak, target: Target) -> Option<HostPort> {
    cluster.upgrade()?.route(target).ok().map(|(_, address)| address)
}

fn is_fatal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Authentication | Kind::Tls)
}

fn is_of_another_cluster(cluster: &Weak, target: Target, response: &MetadataResponse) -> bool {
    let Some(cluster) = cluster.upgrade() else { return false };
    let is_judged = matches!(target, Target::Broker(_)) && cluster.settings().rebootstrap;
    let is_other = is_judged && cluster.snapshot().is_of_another_cluster(response);
    if is_other {
        let id = response.cluster_id.as_deref();
        tracing::warn!(target: "ottla::metadata", cluster_id = id, "a broker belongs to another cluster and is ignored");
    }
    is_other
}

fn strong(cluster: &Weak) -> Result<Cluster, Error> {
    cluster.upgrade().ok_or_else(|| Error::new(Kind::Closed, "the client is closed"))
}

fn unreachable_cluster(cluster: &Cluster, last: Option<Error>) -> Error {
    let servers: Vec<String> = cluster.settings().bootstrap.iter().map(ToString::to_string).collect();
    let error = Error::new(Kind::Connect, format!("no broker of {} answered", servers.join(", ")));
    match last {
        Some(last) => error.caused_by(last),
        None => error,
    }
}
