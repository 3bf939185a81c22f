//! The task that keeps the metadata fresh: one for each client, one refresh at a time.
//!
//! The task holds no handle while it waits, so that a dropped client is freed at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::cluster::Cluster;
use super::cluster::Weak;
use super::hedge::Hedge;
use super::hedge::Judged;
use super::routing::Target;
use super::topics::AutoCreate;
use super::tracking::AT_FIRST;
use super::tracking::Plan;
use super::tracking::Tracking;
use crate::config::HostPort;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::types::TopicName;
use crate::wire::message::MetadataRequest;
use crate::wire::message::MetadataResponse;

/// The longest pause between refreshes that bring nothing new, at first.
///
/// A caller waits for the election of a leader, or for the creation of a topic. Pauses that have grown to
/// `retry.backoff.max.ms` would notice it up to a second late.
const PAUSE_MAX_AT_FIRST: Duration = Duration::from_millis(250);

/// Refreshes on request, and when the metadata is old, until the client is dropped.
///
/// After a refresh that brought nothing new, and after one that failed, the next one waits longer (KIP-580).
pub(super) async fn run(cluster: Weak, tracking: Arc<Tracking>) {
    let mut rng = Rng::with_seed(clock::seed());
    let Some(first) = cluster.upgrade() else { return };
    let settings = first.settings();
    let (age_max, long) = (settings.metadata_age_max, settings.retry_backoff_max);
    let pause_max = PAUSE_MAX_AT_FIRST.max(settings.retry_backoff);
    let mut backoff = first.retry_backoff();
    drop(first);
    let mut changed_at = clock::now();
    let mut failures = 0_u32;
    loop {
        let quiet_since = clock::now();
        // A permit that was left before this point makes the wait return at once.
        let requested = tokio::time::timeout(age_max, tracking.requested());
        let Some(requested) = tracking.unless_stopped(requested).await else { return };
        if clock::now() - quiet_since > long {
            backoff.reset();
            changed_at = clock::now();
        }
        let mut longest = Duration::MAX;
        let refreshed = tracking.unless_stopped(refresh(&cluster, &tracking)).await;
        failures = if matches!(refreshed, Some(Err(_))) { failures.saturating_add(1) } else { 0 };
        match refreshed {
            None => return,
            Some(Ok(Refreshed::Changed)) => {
                backoff.reset();
                changed_at = clock::now();
            }
            Some(Ok(Refreshed::Unchanged)) if clock::now() - changed_at < AT_FIRST => longest = pause_max,
            Some(Ok(Refreshed::Unchanged)) => {}
            Some(Err(error)) => {
                report_failure(&cluster, &error, failures);
                tracking.request();
            }
        }
        if let (Err(_), Some(cluster)) = (requested, cluster.upgrade()) {
            cluster.probe_unreachable();
        }
        if cluster.upgrade().is_some_and(|cluster| tracking.is_awaited(&cluster.snapshot())) {
            tracking.request();
        }
        let pause = tokio::time::sleep(backoff.next(&mut rng).min(longest));
        if tracking.unless_stopped(pause).await.is_none() {
            return;
        }
    }
}

/// Warns of the first failure in a row, unless the reason is known already: no broker can be reached.
fn report_failure(cluster: &Weak, error: &Error, failures: u32) {
    let is_known = cluster.upgrade().is_none_or(|cluster| cluster.reaches().is_unreachable());
    if failures == 1 && !is_known {
        tracing::warn!(target: "ottla::metadata", error = %error.chain(), "metadata refresh failed");
    } else {
        tracing::debug!(target: "ottla::metadata", error = %error.chain(), "metadata refresh failed");
    }
}

/// Asks for all that is kept fresh, and forgets the rest.
async fn refresh(cluster: &Weak, tracking: &Tracking) -> Result<Refreshed, Error> {
    let (Plan { topics, to_create, expired }, timeout) = {
        let cluster = strong(cluster)?;
        let plan = tracking.plan(&cluster.snapshot());
        if !plan.expired.is_empty() {
            cluster.edit(|cache| cache.remove_topics(&plan.expired));
        }
        (plan, cluster.settings().request_timeout)
    };
    for topic in &expired {
        tracing::debug!(target: "ottla::metadata", %topic, "topic not used any more");
    }
    let mut refreshed = Refreshed::Unchanged;
    if to_create.is_empty() || !topics.is_empty() {
        refreshed = once(cluster, topics, AutoCreate::Forbid, clock::now() + timeout).await?;
    }
    if to_create.is_empty() {
        return Ok(refreshed);
    }
    match once(cluster, to_create, AutoCreate::Allow, clock::now() + timeout).await? {
        Refreshed::Changed => Ok(Refreshed::Changed),
        Refreshed::Unchanged => Ok(refreshed),
    }
}

/// Whether a refresh changed the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refreshed {
    Changed,
    Unchanged,
}

/// Asks about `topics` until `deadline`: brokers that are known, then the bootstrap addresses (KIP-899).
///
/// A known broker that reports another cluster id is ignored, since its address was given to another cluster. The cluster at the
/// bootstrap addresses is always accepted. A client that may not go back to them accepts every cluster.
pub(super) async fn once(
    cluster: &Weak,
    topics: BTreeSet<TopicName>,
    create: AutoCreate,
    deadline: Instant,
) -> Result<Refreshed, Error> {
    let found = request_metadata(cluster, &topics, create, deadline).await;
    let cluster = strong(cluster)?;
    let failure = found.as_ref().err();
    cluster.tracking().set_failure(failure.cloned(), failure.is_some_and(is_fatal));
    match failure {
        None => cluster.registry().metadata().refreshes += 1,
        Some(_) => cluster.registry().metadata().failures += 1,
    }
    let (target, response) = found?;
    let before = cluster.snapshot();
    cluster.edit(|cache| {
        if matches!(target, Target::Bootstrap(_)) && before.is_of_another_cluster(&response) {
            cache.forget_brokers();
        }
        cache.handle_response_for(&topics, response);
        true
    });
    if matches!(target, Target::Bootstrap(_)) {
        // The brokers that it named may be reachable again.
        cluster.probe_unreachable();
    }
    Ok(if before.is_equivalent_to(&cluster.snapshot()) { Refreshed::Unchanged } else { Refreshed::Changed })
}

async fn request_metadata(
    cluster: &Weak,
    topics: &BTreeSet<TopicName>,
    create: AutoCreate,
    deadline: Instant,
) -> Result<(Target, MetadataResponse), Error> {
    let allow_auto_create = create == AutoCreate::Allow;
    let request =
        MetadataRequest { topics: Some(topics.iter().cloned().collect()), allow_auto_create, ..Default::default() };
    let (known, bootstrap, mut hedge, patience, rebootstrap) = {
        let cluster = strong(cluster)?;
        let hedge = Hedge::new(&cluster, request, deadline);
        let settings = cluster.settings();
        let rebootstrap = settings.rebootstrap;
        // Brokers that do not respond within the set-up timeout may have been removed.
        let patience = if rebootstrap { settings.setup_timeout } else { settings.request_timeout };
        (cluster.known_brokers(), cluster.bootstrap_addresses(), hedge, patience, rebootstrap)
    };
    let are_known = !known.is_empty();
    let failed = Mutex::new(Vec::new());
    let may_pass = AtomicBool::new(false);
    let rejected = |error: Error| {
        may_pass.fetch_or(error.is_retriable(), Ordering::Relaxed);
        if let Some(cluster) = cluster.upgrade() {
            cluster.tracking().set_failure(Some(error.clone()), false);
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
    if are_known && let Some(found) = hedge.send_to(known, patience, judge).await? {
        return Ok(found);
    }
    if !are_known || rebootstrap {
        if are_known {
            tracing::debug!(target: "ottla::metadata", "connecting to the bootstrap addresses");
        }
        // An address that has just failed under a broker's id would fail again.
        let may_answer = |target: &Target| address(cluster, *target).is_some_and(|at| !lock(&failed).contains(&at));
        let bootstrap = bootstrap.into_iter().filter(may_answer).collect();
        let patience = deadline.saturating_duration_since(clock::now());
        if let Some(found) = hedge.send_to(bootstrap, patience, judge).await? {
            return Ok(found);
        }
    }
    Err(unreachable_cluster(&strong(cluster)?, hedge.error(), may_pass.into_inner()))
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

/// The error when no broker responded. If no failure may pass, it has the kind of the last one, and a retry cannot help.
fn unreachable_cluster(cluster: &Cluster, last: Option<Error>, may_pass: bool) -> Error {
    let servers: Vec<String> = cluster.settings().bootstrap.iter().map(ToString::to_string).collect();
    let lasting = last.as_ref().filter(|last| !may_pass && !last.is_retriable()).map(Error::kind);
    let error = Error::new(lasting.unwrap_or(Kind::Connect), format!("no broker of {} responded", servers.join(", ")));
    match last {
        Some(last) => error.caused_by(last),
        None => error,
    }
}
