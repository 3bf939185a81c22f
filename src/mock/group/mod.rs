//! Groups as their coordinator keeps them: members, generations, offsets (`GroupMetadataManager`).
//!
//! A [`Group`] has members of one protocol: of the classic one (`ClassicGroup`, in this folder) or of KIP-848 ([`modern`]). The
//! machines get the time as an argument and own no connection. JoinGroup and SyncGroup leave a [`Slot`], where their response appears
//! at once or later.
//!
//! ```text
//!           JoinGroup                     every member has joined,            the leader's
//!                                         or the rebalance timeout            SyncGroup
//! Empty ──────────────> PreparingRebalance ──────────────> CompletingRebalance ──────────> Stable
//!   ^                    │       ^                              │                             │
//!   └── no member left ──┘       └── a member joins, changes its protocols, leaves, expires ──┘
//! ```

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

mod control;
mod describe;
mod join;
mod kind;
mod leave;
mod modern;
mod rebalance;
mod saved;
mod session;
mod sync;
mod vote;

pub use self::describe::GroupDescription;
pub use self::describe::GroupState;
pub use self::describe::MemberDescription;
pub use self::describe::ModernMember;
pub(super) use self::join::Asked;
pub(super) use self::join::Joined;
pub(super) use self::kind::CommitAsked;
pub(super) use self::kind::Group;
pub(super) use self::modern::ASSIGNORS;
pub(super) use self::modern::BeatAsked;
pub(super) use self::modern::Beaten;
pub(super) use self::modern::Refusal;
use self::saved::Saved;
pub(super) use self::sync::SyncAsked;
pub(super) use self::sync::Synced;

/// The settings of a broker for groups.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// `group.initial.rebalance.delay.ms`.
    pub(super) initial_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub(super) session_min: Duration,
    /// `group.max.size` and `group.consumer.max.size`.
    pub(super) size_max: usize,
    /// `group.consumer.heartbeat.interval.ms`.
    pub(super) heartbeat_interval: Duration,
    /// `group.consumer.session.timeout.ms`.
    pub(super) session_timeout: Duration,
    /// `group.consumer.assignment.interval.ms`.
    pub(super) assignment_interval: Duration,
}

/// The place where a request that waits finds its response.
#[derive(Debug)]
pub(super) struct Slot<T>(Arc<OnceLock<T>>);

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(OnceLock::new()))
    }

    /// The response, once it is there.
    pub(super) fn get(&self) -> Option<&T> {
        self.0.get()
    }

    fn put(&self, response: T) {
        let first = self.0.set(response).is_ok();
        debug_assert!(first, "a request is answered once");
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A member.
#[derive(Debug)]
struct Member {
    id: StrBytes,
    /// The name of a static member (KIP-345).
    instance: Option<StrBytes>,
    client_id: String,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    /// The protocols that it supports, the preferred one first, each with its metadata.
    protocols: Vec<(StrBytes, Bytes)>,
    assignment: Bytes,
    /// Its JoinGroup that waits.
    joining: Option<Slot<Joined>>,
    /// Its SyncGroup that waits.
    syncing: Option<Slot<Synced>>,
    /// It has joined the generation and has not sent SyncGroup.
    owes_sync: bool,
    /// Its first JoinGroup waits.
    is_new: bool,
    /// The end of its session; `None` once that has passed while a request of it waited.
    expires: Option<Instant>,
}

impl Member {
    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| **name == *protocol)
    }

    fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| **name == *protocol).map(|(_, data)| data.clone()).unwrap_or_default()
    }

    /// Begins its session again.
    fn renew(&mut self, now: Instant) {
        self.expires = Some(now + self.session_timeout);
    }

    /// Answers its waiting JoinGroup.
    fn answer_join(&mut self, joined: Joined) {
        if let Some(slot) = self.joining.take() {
            slot.put(joined);
        }
    }

    /// Answers its waiting SyncGroup; returns whether it had one.
    fn answer_sync(&mut self, synced: Synced) -> bool {
        self.syncing.take().map(|slot| slot.put(synced)).is_some()
    }
}

/// The end of the time to join.
#[derive(Clone, Copy, Debug)]
enum JoinsUntil {
    /// Of the first rebalance of an empty group. It is extended where members came meanwhile, by as much as `left` allows.
    Initial {
        at: Instant,
        delay: Duration,
        left: Duration,
    },
    Rebalance {
        at: Instant,
    },
}

impl JoinsUntil {
    fn at(self) -> Instant {
        match self {
            Self::Initial { at, .. } | Self::Rebalance { at } => at,
        }
    }
}

/// The state of a group of the classic protocol (`ClassicGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

/// The members of a group of the classic protocol.
#[derive(Debug)]
struct Classic {
    state: Phase,
    /// The rebalance began in an empty group.
    is_initial: bool,
    generation: i32,
    protocol_type: Option<StrBytes>,
    protocol: Option<StrBytes>,
    leader: Option<StrBytes>,
    /// In the order in which they joined.
    members: Vec<Member>,
    /// The ids that were given to members, which have to join with them (KIP-394), and until when.
    invited: Vec<(StrBytes, Instant)>,
    joins_until: Option<JoinsUntil>,
    syncs_until: Option<Instant>,
    /// A member was added since the initial delay began.
    has_newcomer: bool,
    /// The part that a new coordinator finds.
    saved: Saved,
}

impl Default for Classic {
    fn default() -> Self {
        Self {
            state: Phase::Empty,
            is_initial: false,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Vec::new(),
            invited: Vec::new(),
            joins_until: None,
            syncs_until: None,
            has_newcomer: false,
            saved: Saved::default(),
        }
    }
}

impl Classic {
    fn find(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| *member.id == *id)
    }

    fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    fn is_invited(&self, id: &str) -> bool {
        self.invited.iter().any(|(invited, _)| **invited == *id)
    }

    /// The member that has the name of a static member.
    fn with_instance(&self, instance: &str) -> Option<usize> {
        self.members.iter().position(|member| member.instance.as_deref() == Some(instance))
    }

    /// Finds the member that a request names (`validateMember`).
    fn validate(&self, id: &str, instance: Option<&str>) -> Result<usize, ResponseError> {
        let found = self.find(id);
        if let Some(instance) = instance {
            let holder = self.with_instance(instance).ok_or(ResponseError::UnknownMemberId)?;
            if found != Some(holder) {
                return Err(ResponseError::FencedInstanceId);
            }
        }
        found.ok_or(ResponseError::UnknownMemberId)
    }

    /// The longest rebalance timeout of a member.
    fn rebalance_timeout(&self) -> Duration {
        self.members.iter().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Removes a member or an invitation. Another member leads where the leader is removed.
    fn remove(&mut self, id: &str) {
        self.members.retain(|member| *member.id != *id);
        self.invited.retain(|(invited, _)| **invited != *id);
        if self.is_leader(id) {
            self.leader = self.members.first().map(|member| member.id.clone());
        }
    }
}
