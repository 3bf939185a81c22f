//! JoinGroup: new members, members that return, static members.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::Classic;
use super::Member;
use super::Phase;
use super::Rules;
use super::Slot;
use super::Synced;

/// A JoinGroup request.
#[derive(Clone, Debug)]
pub(in crate::mock) struct Asked {
    /// The member's id; empty for a new member.
    pub(in crate::mock) member: StrBytes,
    pub(in crate::mock) instance: Option<StrBytes>,
    pub(in crate::mock) client_id: String,
    pub(in crate::mock) session_timeout: Duration,
    pub(in crate::mock) rebalance_timeout: Duration,
    pub(in crate::mock) protocol_type: StrBytes,
    pub(in crate::mock) protocols: Vec<(StrBytes, Bytes)>,
    /// The id for the member if it is new.
    pub(in crate::mock) fresh_id: StrBytes,
    /// Whether a new member has to join again with its id (KIP-394, from version 4 on).
    pub(in crate::mock) in_two_steps: bool,
    /// Whether a leader that returns can be asked to leave the assignment as it is (KIP-814, from version 9 on).
    pub(in crate::mock) may_skip_assignment: bool,
}

/// A JoinGroup response.
#[derive(Clone, Debug)]
pub(in crate::mock) struct Joined {
    pub(in crate::mock) error: Option<ResponseError>,
    pub(in crate::mock) generation: i32,
    pub(in crate::mock) protocol_type: Option<StrBytes>,
    pub(in crate::mock) protocol: Option<StrBytes>,
    pub(in crate::mock) leader: StrBytes,
    pub(in crate::mock) skip_assignment: bool,
    pub(in crate::mock) member: StrBytes,
    /// For the leader: the id, the name of a static member, and the metadata of each member.
    pub(in crate::mock) members: Vec<(StrBytes, Option<StrBytes>, Bytes)>,
}

impl Joined {
    pub(in crate::mock) fn refused(error: ResponseError, member: StrBytes) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: StrBytes::new(),
            skip_assignment: false,
            member,
            members: Vec::new(),
        }
    }
}

/// New members may wait this long in JoinGroup: until its response they cannot send heartbeats
/// (`classicGroupNewMemberJoinTimeoutMs`).
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(300);

impl Classic {
    /// Takes a JoinGroup request.
    pub(super) fn join(&mut self, now: Instant, rules: Rules, asked: Asked, slot: &Slot<Joined>) {
        let refuse = |error, member| slot.put(Joined::refused(error, member));
        if !self.has_capacity_for(&asked.member, rules.size_max) {
            self.remove(&asked.member);
            return refuse(ResponseError::GroupMaxSizeReached, StrBytes::new());
        }
        if !self.supports(&asked) {
            return refuse(ResponseError::InconsistentGroupProtocol, asked.member);
        }
        if asked.member.is_empty() {
            return self.join_new(now, rules, asked, slot);
        }
        if self.is_invited(&asked.member) && asked.instance.is_none() {
            let id = asked.member.clone();
            return self.add(now, rules, id, asked, slot);
        }
        let at = match self.validate(&asked.member, asked.instance.as_deref()) {
            Ok(at) => at,
            Err(error) => return refuse(error, asked.member),
        };
        let has_changed = self.members[at].protocols != asked.protocols;
        let leads = self.is_leader(&asked.member);
        match self.state {
            Phase::CompletingRebalance if !has_changed => slot.put(self.joined(at, leads, false)),
            Phase::Stable if !has_changed && !leads => slot.put(self.joined(at, false, false)),
            Phase::Empty => refuse(ResponseError::UnknownMemberId, asked.member),
            Phase::PreparingRebalance | Phase::CompletingRebalance | Phase::Stable => {
                self.update(at, asked, slot);
                self.rebalance_or_complete(now, rules);
            }
        }
    }

    /// Whether the group has capacity for a member (`acceptJoiningMember`).
    fn has_capacity_for(&self, member: &str, size_max: usize) -> bool {
        let found = self.find(member).map(|at| &self.members[at]);
        match self.state {
            Phase::Empty => true,
            Phase::PreparingRebalance => {
                let waiting = self.members.iter().filter(|member| member.joining.is_some()).count();
                found.is_some_and(|member| member.joining.is_some()) || waiting < size_max
            }
            Phase::CompletingRebalance | Phase::Stable => found.is_some() || self.members.len() < size_max,
        }
    }

    /// Whether a member can be of this group (`supportsProtocols`).
    fn supports(&self, asked: &Asked) -> bool {
        if self.state == Phase::Empty {
            return !asked.protocol_type.is_empty() && !asked.protocols.is_empty();
        }
        let by_all = |(name, _): &(StrBytes, Bytes)| self.members.iter().all(|member| member.supports(name));
        self.protocol_type.as_ref() == Some(&asked.protocol_type) && asked.protocols.iter().any(by_all)
    }

    fn join_new(&mut self, now: Instant, rules: Rules, asked: Asked, slot: &Slot<Joined>) {
        let id = asked.fresh_id.clone();
        match asked.instance.as_deref().map(|instance| self.with_instance(instance)) {
            Some(Some(at)) => self.replace(now, rules, at, asked, slot),
            None if asked.in_two_steps => {
                self.invited.push((id.clone(), now + asked.session_timeout));
                slot.put(Joined::refused(ResponseError::MemberIdRequired, id));
            }
            None | Some(None) => self.add(now, rules, id, asked, slot),
        }
    }

    /// Adds a member, which begins a rebalance.
    fn add(&mut self, now: Instant, rules: Rules, id: StrBytes, asked: Asked, slot: &Slot<Joined>) {
        self.has_newcomer |= self.state == Phase::PreparingRebalance && self.is_initial;
        if self.members.is_empty() {
            self.protocol_type = Some(asked.protocol_type);
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.invited.retain(|(invited, _)| *invited != id);
        self.members.push(Member {
            id,
            instance: asked.instance,
            client_id: asked.client_id,
            session_timeout: asked.session_timeout,
            rebalance_timeout: asked.rebalance_timeout,
            protocols: asked.protocols,
            assignment: Bytes::new(),
            joining: Some(slot.clone()),
            syncing: None,
            owes_sync: false,
            is_new: true,
            expires: Some(now + NEW_MEMBER_TIMEOUT),
        });
        self.rebalance_or_complete(now, rules);
    }

    fn update(&mut self, at: usize, asked: Asked, slot: &Slot<Joined>) {
        let member = &mut self.members[at];
        member.protocols = asked.protocols;
        member.session_timeout = asked.session_timeout;
        member.rebalance_timeout = asked.rebalance_timeout;
        // A request that still waits is never answered: the member has sent another one.
        member.joining = Some(slot.clone());
    }

    /// Gives a static member that returns without its id a new one, and fences the old one
    /// (`updateStaticMemberThenRebalanceOrCompleteJoin`).
    fn replace(&mut self, now: Instant, rules: Rules, at: usize, asked: Asked, slot: &Slot<Joined>) {
        let former_leader = self.leader.clone();
        let (new_id, may_skip) = (asked.fresh_id.clone(), asked.may_skip_assignment);
        let member = &mut self.members[at];
        let old_id = std::mem::replace(&mut member.id, new_id.clone());
        member.answer_join(Joined::refused(ResponseError::FencedInstanceId, old_id.clone()));
        member.answer_sync(Synced::refused(ResponseError::FencedInstanceId));
        (member.owes_sync, member.is_new) = (false, false);
        member.renew(now);
        if self.is_leader(&old_id) {
            self.leader = Some(new_id);
        }
        self.update(at, asked, slot);
        match self.state {
            Phase::Stable if self.protocol == self.vote() => {
                self.save();
                let leads = may_skip && self.is_leader(&self.members[at].id);
                let mut joined = self.joined(at, leads, leads);
                if !may_skip && let Some(leader) = former_leader {
                    // The leader that returns must not assign: a stable group takes no assignment.
                    joined.leader = leader;
                }
                self.members[at].answer_join(joined);
            }
            Phase::Stable => self.rebalance_or_complete(now, rules),
            Phase::CompletingRebalance => self.prepare_rebalance(now, rules),
            Phase::Empty | Phase::PreparingRebalance => self.complete_if_joined(now),
        }
    }

    /// The response to a member of the present generation.
    pub(super) fn joined(&self, at: usize, leads: bool, skip_assignment: bool) -> Joined {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let described = |member: &Member| (member.id.clone(), member.instance.clone(), member.metadata(protocol));
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment,
            member: self.members[at].id.clone(),
            members: if leads { self.members.iter().map(described).collect() } else { Vec::new() },
        }
    }
}
