//! Membership by the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup (KIP-62, KIP-345, KIP-394, KIP-429).
//!
//! ```text
//!            ┌──────────────── rejoin: heartbeat, subscription, metadata, revoked partitions ───────────────┐
//!            v                                                                                              │
//! Idle ─> Preparing ──given up──> Joining ──> Syncing ──> Applying ──revoked, assigned──> Stable ───────────┘
//!            ^                       ^  │        ^ │           │                             │
//!            │                       └──┘        │ └─ errors ──┴──> Joining or Preparing     │
//!            └──────── next poll ── Late <───────┼───────────── no poll for too long ────────┘
//!                                    Assigning ──┘ (the leader, until it knows every topic)
//! ```
//!
//! The application gives partitions up and takes them by [`Step`]s, one at a time, while it polls. Heartbeats go on meanwhile. A
//! generation that is lost is never applied: the partitions of the former one are revoked as lost, and the group is joined again.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::GroupMetadata;
use super::NO_GENERATION;
use super::assignor;
use super::assignor::Assignor;
use super::assignor::LastAssignment;
use super::assignor::RebalanceProtocol;
use super::standing::Standing;
use super::step::Revocation;
use super::step::Step;
use crate::conn::backoff::Backoff;
use crate::error::Error;
use crate::metadata::Snapshot;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;
use crate::wire::message::HeartbeatRequest;
use crate::wire::message::JoinGroupRequest;
use crate::wire::message::LeaveGroupRequest;
use crate::wire::message::SyncGroupRequest;

mod heartbeat;
mod joining;
mod leading;
mod leaving;
#[cfg(test)]
mod tests;

use self::heartbeat::Heartbeats;
use self::leading::Leading;

/// The longest reason that a request carries, in characters (KIP-800).
const REASON_MAX: usize = 255;
/// A coordinator may respond to JoinGroup this much later than the rebalance timeout (`ConsumerCoordinator`).
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// The settings of a member.
#[derive(Clone, Debug)]
pub struct Settings {
    pub group: String,
    /// The name of a static member (`group.instance.id`).
    pub instance: Option<String>,
    pub rack: String,
    /// In the order of preference.
    pub assignors: Vec<Arc<dyn Assignor>>,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
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
    Join {
        tag: u64,
        deadline: Instant,
        request: JoinGroupRequest,
    },
    Sync {
        tag: u64,
        deadline: Instant,
        request: SyncGroupRequest,
    },
    Heartbeat {
        tag: u64,
        deadline: Instant,
        request: HeartbeatRequest,
    },
    Leave {
        tag: u64,
        deadline: Instant,
        request: LeaveGroupRequest,
    },
    /// Find the coordinator again before the next request.
    ForgetCoordinator,
    /// Keep the metadata of these topics fresh, and of no others for this group.
    Follow {
        topics: BTreeSet<TopicName>,
    },
}

/// The state of the membership.
#[derive(Debug)]
enum Phase {
    /// It has subscribed to nothing, or has left.
    Idle,
    /// The application gives up partitions before the group is joined.
    Preparing {
        revoke: BTreeSet<TopicPartition>,
        why: Revocation,
    },
    /// JoinGroup is in flight, or is sent when the pause is over.
    Joining {
        tag: Option<u64>,
    },
    /// The leader waits for the metadata of every topic of the group.
    Assigning {
        until: Instant,
    },
    Syncing {
        tag: u64,
    },
    /// The application takes a new assignment: it gives up what moved away, then takes the rest.
    Applying {
        target: BTreeSet<TopicPartition>,
        is_revoked: bool,
    },
    Stable,
    /// The application has not polled for longer than allowed. The group was left, and is joined again at the next poll.
    Late,
    /// An error that joining again does not help. The application gives up everything, and now these partitions.
    Failed {
        revoke: BTreeSet<TopicPartition>,
    },
}

/// A member of a group.
#[derive(Debug)]
pub struct Classic {
    settings: Settings,
    rng: Rng,
    snapshot: Arc<Snapshot>,
    /// The subscription that the coordinator has.
    joined: BTreeSet<TopicName>,
    standing: Standing,
    phase: Phase,
    /// The application works on the present step.
    is_step_taken: bool,
    /// Why the group is to be joined again.
    rejoin: Option<String>,
    leading: Option<Leading>,
    /// The last assignment, even if its partitions were lost.
    last: Option<LastAssignment>,
    /// The assignor that the coordinator chose.
    protocol: Option<usize>,
    heartbeats: Heartbeats,
    backoff: Backoff,
    /// No request to join is sent before.
    paused_until: Option<Instant>,
    /// LeaveGroup is in flight, with this tag.
    leaving: Option<u64>,
    tags: u64,
    actions: VecDeque<Action>,
}

impl Classic {
    /// A member that has subscribed to nothing.
    pub fn new(settings: Settings) -> Self {
        let standing = Standing::new(&settings.group, settings.instance.as_deref());
        Self {
            rng: Rng::with_seed(settings.seed),
            backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
            heartbeats: Heartbeats::default(),
            settings,
            snapshot: Arc::default(),
            joined: BTreeSet::new(),
            standing,
            phase: Phase::Idle,
            is_step_taken: false,
            rejoin: None,
            leading: None,
            last: None,
            protocol: None,
            paused_until: None,
            leaving: None,
            tags: 0,
            actions: VecDeque::new(),
        }
    }

    // Input.

    /// Subscribes to these topics and no others. A member that is in the group joins it again.
    pub fn subscribe(&mut self, now: Instant, topics: BTreeSet<TopicName>) {
        if self.standing.subscription == topics && !matches!(self.phase, Phase::Idle | Phase::Failed { .. }) {
            return;
        }
        self.standing.subscription = topics;
        self.standing.is_subscribed = true;
        self.standing.failure = None;
        self.follow();
        match self.phase {
            Phase::Idle | Phase::Failed { .. } => {
                self.standing.poll_by = Some(now + self.settings.poll_interval_max);
                self.prepare();
            }
            // The application has not begun to give up what the subscription before this one left out.
            Phase::Preparing { .. } if !self.is_step_taken => self.prepare(),
            _ => self.want_rejoin("the subscription changed"),
        }
        self.plan(now);
    }

    /// Takes the state of the cluster.
    pub fn handle_metadata(&mut self, now: Instant, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
        if matches!(self.phase, Phase::Assigning { .. }) {
            self.assign_if_known(now);
        } else if self.is_assigned()
            && let Some(reason) = self.leading.as_ref().and_then(|leading| leading.has_changed(&self.snapshot))
        {
            self.want_rejoin(reason);
        }
        self.plan(now);
    }

    /// The application polls.
    pub fn handle_poll(&mut self, now: Instant) {
        self.standing.polled(now, self.settings.poll_interval_max);
        if matches!(self.phase, Phase::Late) {
            self.prepare();
            self.plan(now);
        }
    }

    /// A commit was refused with this code, or another request as this member.
    pub fn handle_refusal(&mut self, now: Instant, code: crate::error::Code, identity: &GroupMetadata) {
        // While the group is joined again, the refused generation is about to be replaced. Nothing is lost by it.
        let is_settled = matches!(self.phase, Phase::Preparing { .. } | Phase::Applying { .. } | Phase::Stable);
        if is_settled && *identity == self.standing.identity {
            self.refused(now, code, "an offset commit was refused");
            self.plan(now);
        }
    }

    /// The application has done the present step.
    pub fn handle_step_done(&mut self, now: Instant) {
        if !std::mem::take(&mut self.is_step_taken) {
            return;
        }
        self.standing.version += 1;
        match std::mem::replace(&mut self.phase, Phase::Stable) {
            Phase::Preparing { revoke, .. } => {
                self.standing.owned.retain(|key| !revoke.contains(key));
                self.begin_joining();
                self.abandon_if_lost();
            }
            Phase::Applying { target, is_revoked: false } => {
                self.standing.owned.retain(|key| target.contains(key));
                // The partitions that were given up are free for others from the next generation on (KIP-429).
                self.want_rejoin("partitions were revoked");
                self.phase = Phase::Applying { target, is_revoked: true };
                self.abandon_if_lost();
            }
            Phase::Applying { target, is_revoked: true } => {
                self.standing.owned = target;
                self.standing.counters.rebalances += 1;
                self.phase = Phase::Stable;
                self.abandon_if_lost();
            }
            Phase::Failed { revoke } => {
                self.standing.owned.retain(|key| !revoke.contains(key));
                self.phase = Phase::Failed { revoke: BTreeSet::new() };
            }
            other => self.phase = other,
        }
        self.plan(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.standing.poll_by.is_some_and(|by| by <= now) {
            self.poll_too_late(now);
        }
        if let Phase::Assigning { until } = self.phase
            && until <= now
        {
            self.assign(now);
        }
        self.paused_until = self.paused_until.filter(|until| *until > now);
        self.plan(now);
    }

    // Output.

    /// Takes the step that the application has to do next, until [`Self::handle_step_done`].
    pub fn step(&mut self) -> Option<Step> {
        if self.is_step_taken {
            return None;
        }
        let step = match &self.phase {
            Phase::Preparing { revoke, why } => Step::Revoke { partitions: revoke.clone(), why: *why },
            Phase::Applying { target, is_revoked: false } => Step::Revoke {
                partitions: inserted(self.standing.owned.difference(target).cloned()),
                why: Revocation::Moved,
            },
            Phase::Applying { target, is_revoked: true } => Step::Assign {
                partitions: target.clone(),
                added: inserted(target.difference(&self.standing.owned).cloned()),
            },
            Phase::Failed { .. } if !self.standing.owned.is_empty() => {
                let partitions = self.standing.owned.clone();
                self.phase = Phase::Failed { revoke: partitions.clone() };
                Step::Revoke { partitions, why: Revocation::Lost }
            }
            _ => return None,
        };
        if let Step::Assign { partitions, .. } = &step {
            self.standing.owned.clone_from(partitions);
            self.standing.version += 1;
        }
        self.is_step_taken = true;
        Some(step)
    }

    /// Whether there is a step to do.
    pub fn has_step(&self) -> bool {
        let is_due = match self.phase {
            Phase::Preparing { .. } | Phase::Applying { .. } => true,
            Phase::Failed { .. } => !self.standing.owned.is_empty(),
            _ => false,
        };
        is_due && !self.is_step_taken
    }

    /// Takes the next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether there is something to do.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// When this member next needs attention if nothing else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let until = match self.phase {
            Phase::Assigning { until } => Some(until),
            Phase::Joining { tag: None } => self.paused_until,
            _ => None,
        };
        let heartbeat = self.heartbeats.poll_timeout().filter(|_| self.beats());
        let poll_by =
            self.standing.poll_by.filter(|_| !matches!(self.phase, Phase::Idle | Phase::Late | Phase::Failed { .. }));
        [until, heartbeat, poll_by].into_iter().flatten().min()
    }

    /// Its identity, what it owns, and what its application is to know.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Its standing, to take an error from.
    pub fn standing_mut(&mut self) -> &mut Standing {
        &mut self.standing
    }

    /// Whether the member has an assignment, and no rebalance is known to be on.
    pub fn is_stable(&self) -> bool {
        matches!(self.phase, Phase::Stable) && self.rejoin.is_none()
    }

    // Private.

    /// Decides all that can be decided.
    fn plan(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stable) && self.rejoin.is_some() {
            self.prepare();
        }
        if matches!(self.phase, Phase::Joining { tag: None }) && self.paused_until.is_none() {
            self.join(now);
        }
        self.plan_heartbeat(now);
    }

    /// Whether the partitions of the present generation are assigned, by this member if it leads.
    fn is_assigned(&self) -> bool {
        matches!(self.phase, Phase::Syncing { .. } | Phase::Applying { .. } | Phase::Stable)
    }

    /// Gives up partitions as the protocol requires before the group is joined, and then joins it.
    fn prepare(&mut self) {
        let (revoke, why) = if self.standing.identity.generation == NO_GENERATION {
            (self.standing.owned.clone(), Revocation::Lost)
        } else if self.mode() == RebalanceProtocol::Cooperative {
            let is_foreign = |key: &&TopicPartition| !self.standing.subscription.contains(&key.topic);
            (inserted(self.standing.owned.iter().filter(is_foreign).cloned()), Revocation::Moved)
        } else {
            (self.standing.owned.clone(), Revocation::Moved)
        };
        self.is_step_taken = false;
        if revoke.is_empty() {
            self.begin_joining();
        } else {
            self.phase = Phase::Preparing { revoke, why };
        }
    }

    /// A generation that was lost during a step leaves nothing to apply, and everything else to give up.
    fn abandon_if_lost(&mut self) {
        if self.standing.identity.generation == NO_GENERATION {
            self.prepare();
        }
    }

    fn want_rejoin(&mut self, reason: &str) {
        if self.rejoin.is_none() {
            tracing::info!(target: "ottla::group", group = self.settings.group, reason, "rejoining the group");
            self.rejoin = Some(reason.chars().take(REASON_MAX).collect());
        }
    }

    /// Forgets the generation, so that everything owned is lost. With `is_unknown`, the coordinator has forgotten the member too.
    fn lose_generation(&mut self, is_unknown: bool) {
        self.standing.identity.generation = NO_GENERATION;
        self.standing.version += 1;
        if is_unknown {
            self.standing.identity.member.clear();
        }
        (self.leading, self.protocol) = (None, None);
        self.heartbeats.stop();
    }

    /// The partitions of the lost generation are given up, then the group is joined again. A step that the application works on is
    /// finished first.
    fn rejoin_as_lost(&mut self, reason: &str) {
        self.want_rejoin(reason);
        if !self.is_step_taken {
            self.prepare();
        }
    }

    fn fail(&mut self, error: Error) {
        let group = &self.settings.group;
        tracing::error!(target: "ottla::group", group, error = %error.chain(), "membership failed");
        self.lose_generation(false);
        (self.rejoin, self.standing.poll_by, self.paused_until) = (None, None, None);
        let revoke = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Preparing { revoke, .. } if self.is_step_taken => revoke,
            Phase::Applying { target, is_revoked: false } if self.is_step_taken => {
                inserted(self.standing.owned.difference(&target).cloned())
            }
            _ => BTreeSet::new(),
        };
        self.phase = Phase::Failed { revoke };
        self.standing.failure = Some(error);
    }

    /// Offers its protocols so that every member can follow: all of them must be cooperative for the member to be
    /// (`ConsumerCoordinator`).
    fn mode(&self) -> RebalanceProtocol {
        assignor::common_protocol(&self.settings.assignors).unwrap_or(RebalanceProtocol::Eager)
    }

    /// Asks for the metadata of the topics of the subscription, and of the group where this member leads it.
    fn follow(&mut self) {
        let mut topics = self.standing.subscription.clone();
        if let Some(leading) = &self.leading {
            topics.extend(leading.topics().cloned());
        }
        self.actions.push_back(Action::Follow { topics });
    }

    fn tag(&mut self) -> u64 {
        self.tags += 1;
        self.tags
    }
}
