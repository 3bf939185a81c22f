//! Decides what is fetched, from where, and what is returned. It knows no socket, task, lock or clock.
//!
//! ```text
//! assign, revoke, seek ──┐                        ┌─> Fetch, ListOffsets, EpochEnd, OffsetFetch
//! metadata ──────────────┼─> Partition × n, ──────┼─> RefreshMetadata, Hint
//! responses, by tag ─────┘   Node × n             └─> next(): chunks, ends, resets and errors, by turns
//! ```
//!
//! Each partition is a machine of its own ([`position`]), and so is the session with each broker ([`session`]). This owner
//! carries what one says to the other. It finds the partitions that need attention by sets that follow every change
//! ([`schedule`]), so that a response or a poll costs the same however many partitions are assigned. Records are read
//! outside, batch by batch ([`reading`](crate::reading)), and chunks are given back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;

use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::metrics::ConsumerMetrics;
use crate::types::TopicName;
use crate::wire::Response;

pub mod acks;
mod action;
mod answers;
mod assignment;
pub mod committer;
mod config;
mod failures;
mod fetched;
mod fetcher;
mod inquiries;
mod missing;
mod node;
pub mod offset_to_commit;
mod position;
mod retry;
mod returning;
mod schedule;
mod session;
mod slots;
mod start;
mod subscription;
#[cfg(test)]
mod tests;

pub use self::action::Action;
pub use self::config::Config;
pub use self::offset_to_commit::OffsetToCommit;
pub use self::returning::Next;
pub use self::returning::Returned;
pub use self::returning::Taken;
pub use self::start::Reset;
pub use self::start::ResetPolicy;
pub use self::start::Start;
pub use crate::reading::Chunk;
pub use crate::reading::Isolation;
pub use crate::reading::Position;
pub use crate::reading::Unreadable;
pub use crate::reading::Visible;

use self::node::Node;
use self::position::Lookup;
use self::position::Target;
use self::retry::RetryState;
use self::schedule::Schedule;
use self::slots::Slots;
use self::subscription::Subscription;

/// The subject of a response that is waited for.
#[derive(Debug)]
enum Pending {
    Bounds(Vec<Lookup>),
    EpochEnd(Vec<Lookup>),
    Fetch { node: i32, connection: usize },
    Offsets(Vec<(Lookup, Target)>),
    Stored(Vec<Lookup>),
}

/// The consumer's decisions.
#[derive(Debug)]
pub struct ConsumerCore {
    config: Config,
    rng: Rng,
    snapshot: Arc<Snapshot>,
    subscription: Subscription,
    slots: Slots,
    schedule: Schedule,
    nodes: BTreeMap<i32, Node>,
    pending: BTreeMap<u64, Pending>,
    tags: u64,
    generations: u64,
    errors: VecDeque<Error>,
    actions: VecDeque<Action>,
    /// Topics whose metadata is to be requested.
    stale: BTreeSet<TopicName>,
    refresh: RetryState,
    missing: BTreeMap<TopicName, RetryState>,
    closed: bool,
    counters: ConsumerMetrics,
    /// A time by the wall clock, in milliseconds since 1970, and when it was.
    clock: Option<(Instant, i64)>,
}

impl ConsumerCore {
    /// A consumer that reads nothing so far.
    pub fn new(config: Config) -> Self {
        let refresh = RetryState::new(config.retry_backoff, config.retry_backoff_max);
        Self {
            rng: Rng::with_seed(config.seed),
            config,
            snapshot: Arc::default(),
            subscription: Subscription::default(),
            slots: Slots::default(),
            schedule: Schedule::default(),
            nodes: BTreeMap::new(),
            pending: BTreeMap::new(),
            tags: 0,
            generations: 0,
            errors: VecDeque::new(),
            actions: VecDeque::new(),
            stale: BTreeSet::new(),
            refresh,
            missing: BTreeMap::new(),
            closed: false,
            counters: ConsumerMetrics::default(),
            clock: None,
        }
    }

    /// Takes the time by the wall clock, in milliseconds since 1970, by which records of a certain age are found.
    pub fn handle_clock(&mut self, now: Instant, unix_ms: i64) {
        self.clock = Some((now, unix_ms));
    }

    /// The time by the wall clock, as far as it is known.
    fn unix_ms(&self, now: Instant) -> i64 {
        let Some((at, unix_ms)) = self.clock else { return 0 };
        let passed = now.saturating_duration_since(at).as_millis();
        unix_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// Whether a bounded read has returned all there is.
    pub fn is_finished(&self) -> bool {
        self.closed
            || self.config.until_end
                && self.errors.is_empty()
                && self.subscription.is_resolved()
                && self.schedule.unfinished == 0
    }

    /// Ends the fetch sessions; nothing is fetched or returned any more.
    pub fn close(&mut self) {
        self.closed = true;
        self.actions.clear();
        self.schedule.ready.clear();
        self.close_sessions();
    }

    // Input.

    /// Takes what is known about the cluster.
    pub fn handle_metadata(&mut self, now: Instant, snapshot: Arc<Snapshot>) {
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        let mut unknown = Vec::new();
        for (id, node) in &mut self.nodes {
            node.handle_metadata(&before, &self.snapshot);
            if before.broker(*id).is_some() && self.snapshot.broker(*id).is_none() {
                unknown.extend(node.slots().into_iter().map(|slot| (*id, slot)));
            }
        }
        for (id, slot) in unknown {
            if let Some(partition) = self.slots.get_mut(slot) {
                partition.leave_broker(id, "broker unknown");
            }
        }
        self.find_partitions();
        self.follow_metadata(&before);
        self.find_missing(now);
        self.plan(now);
    }

    /// Takes the response to the request of this tag.
    pub fn handle_response(&mut self, now: Instant, tag: u64, response: Result<Response, Error>) {
        let Some(pending) = self.pending.remove(&tag) else { return };
        let other = || Error::protocol("unexpected response type");
        match (pending, response) {
            (Pending::Fetch { node, connection }, Ok(Response::Fetch(response))) => {
                self.fetched(now, node, connection, response);
            }
            (Pending::Fetch { node, connection }, Ok(_)) => self.fetch_failed(now, node, connection, other()),
            (Pending::Fetch { node, connection }, Err(error)) => self.fetch_failed(now, node, connection, error),
            (Pending::Offsets(lookups), Ok(Response::ListOffsets(response))) => self.listed(now, &lookups, &response),
            (Pending::Bounds(lookups), Ok(Response::ListOffsets(response))) => self.bounded(now, &lookups, &response),
            (Pending::EpochEnd(lookups), Ok(Response::OffsetForLeaderEpoch(response))) => {
                self.validated(now, &lookups, &response);
            }
            (Pending::Stored(lookups), Ok(Response::OffsetFetch(response))) => self.stored(now, lookups, &response),
            (Pending::EpochEnd(lookups), Err(error)) if error.kind() == Kind::Unsupported => {
                self.cannot_validate(&lookups);
            }
            (pending, response) => {
                let error = response.map_or_else(|error| error, |_| other());
                self.request_failed(now, pending, &error);
            }
        }
        self.plan(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(slot) = self.schedule.take_due_timer(now) {
            self.left_timers(slot);
            if let Some(partition) = self.slots.get_mut(slot) {
                partition.handle_timeout(now);
            }
        }
        for node in self.nodes.values_mut() {
            node.retry.handle_timeout(now);
        }
        self.refresh.handle_timeout(now);
        for retry in self.missing.values_mut() {
            retry.handle_timeout(now);
        }
        self.request_missing(now);
        self.plan(now);
    }

    // Output.

    /// Takes what is to be done next, until there is nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether there is something to be done.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// When this core next needs attention if nothing else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let nodes = self.nodes.values().map(|node| &node.retry);
        let retries = nodes.chain(self.missing.values()).chain([&self.refresh]);
        retries.filter_map(RetryState::poll_timeout).chain(self.schedule.poll_timeout()).min()
    }

    // Private.

    /// Decides all that can be decided.
    fn plan(&mut self, now: Instant) {
        self.reindex();
        if self.closed {
            return;
        }
        self.plan_inquiries(now);
        self.plan_fetches(now);
        self.plan_refresh(now);
    }

    fn generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    fn tag(&mut self, pending: Pending) -> u64 {
        self.tags += 1;
        self.pending.insert(self.tags, pending);
        self.tags
    }
}
