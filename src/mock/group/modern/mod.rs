//! The members of a group of KIP-848, to which the coordinator assigns partitions (`ConsumerGroup`).
//!
//! Each change of members, subscriptions or topics begins a group epoch. The next heartbeat of any member computes the target
//! assignment of that epoch (`target.rs`, `assignor.rs`), and each member is led to it by its own heartbeats (`reconcile.rs`):
//!
//! ```text
//!            a newer target takes partitions away
//! Stable ───────────────────────────────────────────> Unrevoked
//!   ^                                                     │ the member owns them no more: it gets the epoch of the target
//!   │ all partitions of the target are free               v
//!   └─────────────────────────────────────────────── Unreleased, while another member has a partition of its target
//! ```
//!
//! A partition is given to a member only when no other has it, or has to give it up. Everything is written before a response is
//! sent, so that a new coordinator knows as much as the old one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::CommitAsked;
use super::GroupState;
use super::Rules;
use crate::types::TopicId;
use crate::types::TopicName;

mod assignor;
mod beat;
mod describe;
mod hash_order;
mod leave;
mod patterns;
mod reconcile;
mod target;
mod uneven;

pub(in crate::mock) use self::beat::BeatAsked;
pub(in crate::mock) use self::beat::Beaten;
pub(in crate::mock) use self::beat::Refusal;
pub(in crate::mock) use self::target::ASSIGNORS;

/// A partition of a topic that may be deleted and created again.
type Place = (TopicId, i32);

/// The way of a member to its target assignment (`MemberState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Stable,
    Unreleased,
    Unrevoked,
}

/// A member (`ConsumerGroupMember`).
#[derive(Clone, Debug)]
struct Member {
    id: StrBytes,
    instance: Option<StrBytes>,
    rack: Option<StrBytes>,
    client_id: String,
    rebalance_timeout: Duration,
    assignor: Option<StrBytes>,
    topics: BTreeSet<TopicName>,
    regex: Option<StrBytes>,
    epoch: i32,
    previous_epoch: i32,
    progress: Progress,
    /// The partitions that it has or gets, each with the epoch since which.
    assigned: BTreeMap<Place, i32>,
    /// The partitions that it has to give up.
    revoking: BTreeMap<Place, i32>,
    session_ends: Instant,
    /// Until when it has to give up partitions in an epoch.
    revokes_until: Option<(Instant, i32)>,
}

impl Member {
    fn new(id: StrBytes, now: Instant) -> Self {
        Self {
            id,
            instance: None,
            rack: None,
            client_id: String::new(),
            rebalance_timeout: Duration::ZERO,
            assignor: None,
            topics: BTreeSet::new(),
            regex: None,
            epoch: 0,
            previous_epoch: 0,
            progress: Progress::Stable,
            assigned: BTreeMap::new(),
            revoking: BTreeMap::new(),
            session_ends: now,
            revokes_until: None,
        }
    }

    fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == epoch
    }

    fn has(&self, place: Place) -> bool {
        self.assigned.contains_key(&place) || self.revoking.contains_key(&place)
    }

    fn begin_epoch(&mut self, epoch: i32) {
        self.previous_epoch = std::mem::replace(&mut self.epoch, epoch);
    }
}

/// The members of a group, and what the coordinator wants each of them to have.
#[derive(Debug, Default)]
pub(super) struct Modern {
    epoch: i32,
    /// In the order in which they joined.
    members: Vec<Member>,
    /// The epoch of the target assignment.
    target_epoch: i32,
    /// When the target assignment was computed.
    target_since: Option<Instant>,
    target: BTreeMap<StrBytes, BTreeSet<Place>>,
    /// The topics that match each regular expression of a member.
    matched: BTreeMap<StrBytes, BTreeSet<TopicName>>,
    /// The topics to which the members subscribe, as they were when the group epoch began.
    topics: BTreeMap<TopicName, (TopicId, usize)>,
}

impl Modern {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| *member.id == *id)
    }

    fn with_instance(&self, instance: &str) -> Option<usize> {
        self.members.iter().position(|member| member.instance.as_deref() == Some(instance))
    }

    fn state(&self) -> GroupState {
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.target_epoch {
            GroupState::Assigning
        } else if self.members.iter().all(|member| member.is_reconciled_to(self.target_epoch)) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// Whether offsets may be committed under this identity (`validateOffsetCommit`). An older epoch suffices for partitions that the
    /// member has had since then (KIP-1251).
    pub(super) fn admit_commit(&self, asked: &CommitAsked) -> Result<(), ResponseError> {
        if asked.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.find(&asked.member).map(|at| &self.members[at]).ok_or(ResponseError::UnknownMemberId)?;
        if asked.version < 9 {
            return Err(ResponseError::UnsupportedVersion);
        }
        if asked.generation == member.epoch {
            return Ok(());
        }
        let since = |place| member.assigned.get(place).or_else(|| member.revoking.get(place));
        let has_since = |place| since(place).is_some_and(|since| *since <= asked.generation);
        let may = asked.generation < member.epoch && asked.partitions.iter().all(has_since);
        if may { Ok(()) } else { Err(ResponseError::StaleMemberEpoch) }
    }

    /// Whether committed offsets may be read under this identity (`validateOffsetFetch`).
    pub(super) fn admit_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), ResponseError> {
        let Some(id) = member else {
            // Kafka looks for a member without an id and fails.
            return if epoch < 0 { Ok(()) } else { Err(ResponseError::UnknownServerError) };
        };
        let at = self.find(id).ok_or(ResponseError::UnknownMemberId)?;
        if self.members[at].epoch == epoch { Ok(()) } else { Err(ResponseError::StaleMemberEpoch) }
    }

    /// Moves the group to another coordinator, which finds everything in the log. All times begin again.
    pub(super) fn move_away(&mut self, now: Instant, rules: Rules) {
        for member in &mut self.members {
            member.session_ends = now + rules.session_timeout;
            let revokes = member.progress == Progress::Unrevoked;
            member.revokes_until = revokes.then(|| (now + member.rebalance_timeout, member.epoch));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.members.iter().map(Member::next_timer).min()
    }

    /// Removes the members whose session has ended, or that have not given up partitions in time.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let mut was_due = false;
        while let Some(at) = (0..self.members.len()).min_by_key(|at| self.members[*at].next_timer())
            && self.members[at].next_timer() <= now
        {
            was_due = true;
            let member = &mut self.members[at];
            let late = member.revokes_until.take_if(|(until, _)| *until <= now);
            if member.session_ends <= now || late.is_some_and(|(_, epoch)| epoch == member.epoch) {
                self.remove(&[at]);
            }
        }
        was_due
    }

    pub(super) fn expire(&mut self, id: &str) -> bool {
        let found = self.find(id);
        self.remove(found.as_slice());
        found.is_some()
    }

    /// Begins a group epoch.
    pub(super) fn force_rebalance(&mut self) -> bool {
        self.epoch += i32::from(!self.members.is_empty());
        !self.members.is_empty()
    }

    /// Gives a member an epoch that it does not know.
    pub(super) fn fence(&mut self, id: &str) -> bool {
        let Some(at) = self.find(id) else { return false };
        self.epoch += 1;
        let member = &mut self.members[at];
        (member.epoch, member.previous_epoch) = (self.epoch, self.epoch);
        true
    }
}

impl Member {
    fn next_timer(&self) -> Instant {
        let revokes_until = self.revokes_until.map(|(until, _)| until);
        revokes_until.map_or(self.session_ends, |until| until.min(self.session_ends))
    }
}
