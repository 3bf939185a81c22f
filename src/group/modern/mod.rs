//! Membership by the protocol `consumer`: ConsumerGroupHeartbeat, and a coordinator that assigns (KIP-848).
//!
//! ```text
//!                                        ┌───────────── more to take ─────────────┐
//!                                        v                                        │
//! Unsubscribed ─subscribe─> Joining ─> Reconciling ──taken──> Acknowledging ──heartbeat sent──> Stable
//!      ^                       ^         ^                                                        │
//!      │                 given │up       └──────────────── another target ────────────────────────┤
//!      │                       │                                                                  │
//!      │                    Fenced <──────── the coordinator does not know the member ────────────┤
//!      │                       ^                                                                  │
//!      │                  next │poll                                                              │
//!      │                     Stale <──────── no poll for too long ────────────────────────────────┤
//!      └────── Leaving <──────────────────── leave ───────────────────────────────────────────────┘
//! ```
//!
//! A heartbeat says only what changed since the last one that was answered; after any error it says everything. The coordinator
//! answers with the epoch of the member and, where it changed, with a target assignment by topic ids. The application gives up what is
//! not in it, takes what is new, and the next heartbeat acknowledges that by naming what the member has. Topics whose ids the metadata
//! does not know yet are taken later, and named as well: what a member does not name, others may get before it hears so. Partitions that
//! stay are never given up.
//!
//! The application does the [`Step`]s while it polls, and heartbeats go on meanwhile. A member that is fenced gives everything up as
//! lost and joins again, with the id that it had.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::GroupMetadata;
use super::NO_GENERATION;
use super::standing::Standing;
use super::step::Revocation;
use super::step::Step;
use crate::conn::backoff::Backoff;
use crate::error::Code;
use crate::metadata::Snapshot;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;
use crate::wire::message::ConsumerGroupHeartbeatRequest;

mod heartbeat;
mod leaving;
mod reconciling;
mod refusals;
mod state;
#[cfg(test)]
mod tests;

use self::heartbeat::Heartbeats;
use self::reconciling::Applying;
use self::reconciling::Held;
pub use self::state::Event;
pub use self::state::State;

/// The settings of a member.
#[derive(Clone, Debug)]
pub struct Settings {
    pub group: String,
    /// The name of a static member (`group.instance.id`).
    pub instance: Option<String>,
    pub rack: String,
    /// The coordinator's way of assigning (`group.remote.assignor`). `None` leaves it to the coordinator.
    pub assignor: Option<String>,
    /// `max.poll.interval.ms`, which is the rebalance timeout too.
    pub poll_interval_max: Duration,
    pub request_timeout: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub seed: u64,
}

/// The next thing that the owner of a member has to do for it. Each request is sent once, to the coordinator of the group.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Heartbeat {
        tag: u64,
        deadline: Instant,
        request: ConsumerGroupHeartbeatRequest,
    },
    /// A heartbeat that leaves the group. Its response is given back as any other's.
    Leave {
        tag: u64,
        deadline: Instant,
        request: ConsumerGroupHeartbeatRequest,
    },
    /// Find the coordinator again before the next request.
    ForgetCoordinator,
    /// Keep the metadata of these topics fresh, and of no others for this group.
    Follow {
        topics: BTreeSet<TopicName>,
    },
    /// Ask for the metadata of these topics: the ids in an assignment are not in it.
    RefreshMetadata {
        topics: BTreeSet<TopicName>,
    },
    /// Ask for the metadata of the topics with these ids: the coordinator matched them, and their names are not known here.
    FindTopics {
        ids: Vec<TopicId>,
    },
}

/// The step that the application works on.
#[derive(Clone, Debug, PartialEq)]
enum Taken {
    Revoke(BTreeSet<TopicPartition>),
    Assign,
}

/// A member of a group.
#[derive(Debug)]
pub struct Modern {
    settings: Settings,
    rng: Rng,
    snapshot: Arc<Snapshot>,
    state: State,
    /// The id of this member, which it keeps (KIP-1082).
    id: String,
    standing: Standing,
    /// The pattern that the coordinator matches, instead of topics.
    regex: Option<Arc<str>>,
    /// The coordinator was sent a pattern.
    has_sent_regex: bool,
    /// The partitions that the coordinator wants this member to have.
    target: Option<Held>,
    /// The partitions that the application took last.
    current: Option<Held>,
    /// The part of the target that the application takes next.
    applying: Option<Applying>,
    /// The application works on this step.
    taken: Option<Taken>,
    /// The names of assigned topics. The metadata may forget one before it is given up.
    names: BTreeMap<TopicId, TopicName>,
    /// Metadata is requested again at this time, where ids are not known.
    metadata_due: Option<Instant>,
    heartbeats: Heartbeats,
    backoff: Backoff,
    numbers: u64,
    actions: VecDeque<Action>,
}

impl Modern {
    /// A member that has subscribed to nothing.
    pub fn new(settings: Settings) -> Self {
        let mut rng = Rng::with_seed(settings.seed);
        Self {
            id: TopicId(rng.u128(..).to_be_bytes()).to_string(),
            rng,
            backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
            standing: Standing::new(&settings.group, settings.instance.as_deref()),
            regex: None,
            has_sent_regex: false,
            settings,
            snapshot: Arc::default(),
            state: State::Unsubscribed,
            target: None,
            current: None,
            applying: None,
            taken: None,
            names: BTreeMap::new(),
            metadata_due: None,
            heartbeats: Heartbeats::default(),
            numbers: 0,
            actions: VecDeque::new(),
        }
    }

    // Input.

    /// Subscribes to these topics and no others. A member that is in the group tells the coordinator at once.
    pub fn subscribe(&mut self, now: Instant, topics: BTreeSet<TopicName>) {
        self.subscribe_to(now, topics, None);
    }

    /// Subscribes to the topics that the coordinator matches with this pattern, and to no others.
    pub fn subscribe_regex(&mut self, now: Instant, regex: Arc<str>) {
        self.subscribe_to(now, BTreeSet::new(), Some(regex));
    }

    fn subscribe_to(&mut self, now: Instant, topics: BTreeSet<TopicName>, regex: Option<Arc<str>>) {
        let begins = matches!(self.state, State::Unsubscribed | State::Fatal);
        if self.standing.subscription == topics && self.regex == regex && !begins {
            return;
        }
        (self.standing.subscription, self.regex) = (topics, regex);
        self.standing.is_subscribed = true;
        self.standing.failure = None;
        if begins {
            self.standing.poll_by = Some(now + self.settings.poll_interval_max);
        }
        self.follow();
        self.heartbeats.want();
        self.transition(Event::Subscribed);
        self.plan(now);
    }

    /// Takes the state of the cluster.
    pub fn handle_metadata(&mut self, now: Instant, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
        self.plan(now);
    }

    /// The application polls.
    pub fn handle_poll(&mut self, now: Instant) {
        self.standing.polled(now, self.settings.poll_interval_max);
        if self.state == State::Stale {
            self.transition(Event::Polled);
            self.plan(now);
        }
    }

    /// A commit was refused with this code, or another request as this member. The coordinator is asked at once.
    pub fn handle_refusal(&mut self, now: Instant, code: Code, identity: &GroupMetadata) {
        if self.state.is_in_group() && *identity == self.standing.identity {
            let group = &self.settings.group;
            tracing::debug!(target: "ottla::group", group, code = code.name(), "request refused");
            self.heartbeats.want();
            self.plan(now);
        }
    }

    /// The application has done the present step.
    pub fn handle_step_done(&mut self, now: Instant) {
        let Some(taken) = self.taken.take() else { return };
        self.standing.version += 1;
        match taken {
            Taken::Revoke(partitions) => self.standing.owned.retain(|key| !partitions.contains(key)),
            Taken::Assign => self.applied(),
        }
        self.plan(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.polls_count() && self.standing.poll_by.is_some_and(|by| by <= now) {
            self.poll_too_late(now);
        }
        self.plan(now);
    }

    // Output.

    /// Takes the step that the application has to do next, until [`Self::handle_step_done`].
    pub fn step(&mut self) -> Option<Step> {
        let step = self.next_step()?;
        match &step {
            Step::Revoke { partitions, .. } => self.taken = Some(Taken::Revoke(partitions.clone())),
            Step::Assign { partitions, .. } => {
                self.standing.owned.clone_from(partitions);
                self.standing.version += 1;
                self.taken = Some(Taken::Assign);
            }
        }
        Some(step)
    }

    /// Whether there is a step to do.
    pub fn has_step(&self) -> bool {
        let is_due = self.state == State::Fenced || self.has_failed_with_partitions() || self.applying.is_some();
        is_due && self.taken.is_none()
    }

    fn has_failed_with_partitions(&self) -> bool {
        self.state == State::Fatal && !self.standing.owned.is_empty()
    }

    /// Whether there is something to do.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Takes the next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When this member next needs attention if nothing else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let poll_by = self.standing.poll_by.filter(|_| self.polls_count());
        let metadata = self.metadata_due.filter(|_| self.state == State::Reconciling && self.taken.is_none());
        [self.heartbeats.poll_timeout(self.state), metadata, poll_by].into_iter().flatten().min()
    }

    /// Its identity, what it owns, and what its application is to know.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Its standing, to take an error from.
    pub fn standing_mut(&mut self) -> &mut Standing {
        &mut self.standing
    }

    /// Whether the member has all that the coordinator wants it to have, as far as it knows.
    pub fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    // Private.

    /// Decides all that can be decided.
    fn plan(&mut self, now: Instant) {
        if self.state == State::Fenced && self.taken.is_none() && self.standing.owned.is_empty() {
            self.transition(Event::Released);
        }
        if self.state == State::Reconciling && self.taken.is_none() {
            self.reconcile(now);
        }
        self.plan_heartbeat(now);
    }

    fn next_step(&self) -> Option<Step> {
        if self.taken.is_some() {
            return None;
        }
        if self.state == State::Fenced || self.has_failed_with_partitions() {
            return Some(Step::Revoke { partitions: self.standing.owned.clone(), why: Revocation::Lost });
        }
        let partitions = &self.applying.as_ref()?.partitions;
        let revoked: BTreeSet<TopicPartition> = inserted(self.standing.owned.difference(partitions).cloned());
        Some(if revoked.is_empty() {
            Step::Assign {
                partitions: partitions.clone(),
                added: inserted(partitions.difference(&self.standing.owned).cloned()),
            }
        } else {
            Step::Revoke { partitions: revoked, why: Revocation::Moved }
        })
    }

    /// Whether the application has to poll from time to time.
    fn polls_count(&self) -> bool {
        self.state.is_in_group()
    }

    /// Changes the state, which nothing else does.
    fn transition(&mut self, event: Event) {
        let Some(next) = self.state.after(event) else {
            debug_assert!(false, "{event:?} cannot happen in {:?}", self.state);
            return;
        };
        if next != self.state {
            let (group, from, to) = (&self.settings.group, self.state, next);
            tracing::debug!(target: "ottla::group", group, ?from, ?to, ?event, "membership changed");
        }
        self.state = next;
    }

    /// Forgets the epoch and all that belongs to it. What is owned is lost.
    fn lose_epoch(&mut self) {
        self.standing.identity.generation = NO_GENERATION;
        self.standing.identity.member.clear();
        self.standing.version += 1;
        (self.target, self.current, self.applying) = (None, None, None);
        self.metadata_due = None;
        self.heartbeats.begin();
    }

    /// Asks for the metadata of the topics of the subscription, or of the assigned ones where the coordinator chooses topics.
    fn follow(&mut self) {
        let topics = match self.regex {
            None => self.standing.subscription.clone(),
            Some(_) => inserted(self.names.values().cloned()),
        };
        self.actions.push_back(Action::Follow { topics });
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
