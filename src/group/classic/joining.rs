//! Joining the group and taking the assignment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::Action;
use super::Classic;
use super::JOIN_GRACE;
use super::Phase;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::membership::MembershipRecovery;
use crate::group::NO_GENERATION;
use crate::group::assignor;
use crate::group::assignor::Assignor;
use crate::group::assignor::LastAssignment;
use crate::types::TopicPartition;
use crate::types::inserted;
use crate::types::millis_i32;
use crate::wire::consumer_protocol::Assignment;
use crate::wire::consumer_protocol::TopicPartitions;
use crate::wire::message::JoinGroupRequest;
use crate::wire::message::JoinGroupResponse;
use crate::wire::message::MemberAssignment;
use crate::wire::message::OfferedProtocol;
use crate::wire::message::SyncGroupRequest;
use crate::wire::message::SyncGroupResponse;

/// The class of protocols of consumers, as other members name it.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

impl Classic {
    /// Takes the response to JoinGroup, or the error of the attempt.
    pub fn handle_joined(&mut self, now: Instant, tag: u64, response: Result<JoinGroupResponse, Error>) {
        if !matches!(self.phase, Phase::Joining { tag: Some(awaited) } if awaited == tag) {
            return;
        }
        self.phase = Phase::Joining { tag: None };
        match response {
            Err(error) => self.attempt_failed(now, "could not join the group", error),
            Ok(JoinGroupResponse { error: Some(Code::MemberIdRequired), member, .. }) => {
                self.standing.identity.member = member;
            }
            Ok(response) => match response.error {
                Some(code) => self.refused(now, code, "could not join the group"),
                None => self.joined(now, response),
            },
        }
        self.plan(now);
    }

    /// Takes the response to SyncGroup, or the error of the attempt.
    pub fn handle_synced(&mut self, now: Instant, tag: u64, response: Result<SyncGroupResponse, Error>) {
        if !matches!(self.phase, Phase::Syncing { tag: awaited } if awaited == tag) {
            return;
        }
        self.begin_joining();
        match response {
            Err(error) => self.attempt_failed(now, "could not take the assignment of the group", error),
            Ok(SyncGroupResponse { error: Some(code), .. }) => {
                self.refused(now, code, "could not take the assignment of the group");
            }
            Ok(response) => self.synced(now, &response),
        }
        self.plan(now);
    }

    /// Joins as soon as the pause allows.
    pub(super) fn begin_joining(&mut self) {
        self.is_step_taken = false;
        self.phase = Phase::Joining { tag: None };
    }

    pub(super) fn join(&mut self, now: Instant) {
        let tag = self.tag();
        self.phase = Phase::Joining { tag: Some(tag) };
        self.joined = self.standing.subscription.clone();
        let reason = self.rejoin.take();
        let (group, member) = (self.standing.identity.group.clone(), self.standing.identity.member.clone());
        tracing::debug!(target: "ottla::group", group, member, reason, "joining the group");
        let request = JoinGroupRequest {
            group,
            session_timeout_ms: millis_i32(self.settings.session_timeout),
            rebalance_timeout_ms: millis_i32(self.settings.poll_interval_max),
            member,
            instance: self.settings.instance.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: self.protocols(),
            reason,
        };
        let longest = (self.settings.poll_interval_max + JOIN_GRACE).max(self.settings.request_timeout);
        self.actions.push_back(Action::Join { tag, deadline: now + longest, request });
    }

    fn protocols(&self) -> Vec<OfferedProtocol> {
        let offer = |assignor: &Arc<dyn Assignor>| OfferedProtocol {
            name: assignor.name().to_owned(),
            metadata: self.subscription_for(&**assignor),
        };
        self.settings.assignors.iter().map(offer).collect()
    }

    fn joined(&mut self, now: Instant, response: JoinGroupResponse) {
        if let Some(kind) = response.protocol_type.as_deref().filter(|kind| *kind != PROTOCOL_TYPE) {
            let text = format!("its members are of the type {kind:?}, not consumers: choose another group.id");
            return self.fail(self.standing.error(Kind::Config, text));
        }
        let chosen = response.protocol.as_deref().unwrap_or_default();
        let Some(protocol) = self.settings.assignors.iter().position(|assignor| assignor.name() == chosen) else {
            let text = format!("the coordinator chose the assignor {chosen:?}, which was not offered");
            return self.fail(self.standing.error(Kind::Protocol, text));
        };
        self.protocol = Some(protocol);
        self.standing.identity.generation = response.generation;
        self.standing.identity.member = response.member;
        self.standing.version += 1;
        let is_leader = response.leader == self.standing.identity.member;
        let (group, generation, member) =
            (&self.standing.identity.group, self.standing.identity.generation, &self.standing.identity.member);
        tracing::info!(target: "ottla::group", group, generation, member, is_leader, protocol = chosen, "group joined");
        self.heartbeats.begin(now, self.settings.heartbeat_interval);
        if is_leader {
            self.lead(now, &response.members, response.skip_assignment);
        } else {
            self.leading = None;
            self.follow();
            self.sync(now, Vec::new());
        }
    }

    pub(super) fn sync(&mut self, now: Instant, assignments: Vec<MemberAssignment>) {
        let tag = self.tag();
        self.phase = Phase::Syncing { tag };
        let request = SyncGroupRequest {
            group: self.standing.identity.group.clone(),
            generation: self.standing.identity.generation,
            member: self.standing.identity.member.clone(),
            instance: self.standing.identity.instance.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol: self.protocol.map(|at| self.settings.assignors[at].name().to_owned()),
            assignments,
        };
        // As in Java: a leader that takes longer is waited for by joining again.
        let deadline = now + self.settings.request_timeout;
        self.actions.push_back(Action::Sync { tag, deadline, request });
    }

    fn synced(&mut self, now: Instant, response: &SyncGroupResponse) {
        let assignment = match Assignment::decode(response.assignment.clone()) {
            Ok(assignment) => assignment,
            Err(error) => {
                let text = "the assignment of the group's leader cannot be read: find that member by the log of the coordinator, and \
                            stop it or change its assignor; then subscribe again";
                return self.fail(self.standing.error(Kind::Protocol, text).caused_by(error));
            }
        };
        self.backoff.reset();
        let partitions = TopicPartitions::flatten(&assignment.partitions);
        let target: BTreeSet<TopicPartition> = inserted(partitions.iter().cloned());
        if let Some(foreign) = target.iter().find(|key| !self.joined.contains(&key.topic)) {
            // The leader decided by an older subscription (`checkAssignmentMatchedSubscription`).
            let reason = format!("{} was assigned, which is not subscribed to", foreign.topic);
            self.want_rejoin(&reason);
            return self.pause(now);
        }
        let generation = self.standing.identity.generation;
        self.last = Some(LastAssignment { partitions: partitions.clone(), generation });
        if let Some(at) = self.protocol {
            let assignment = assignor::Assignment { partitions, user_data: assignment.user_data };
            self.settings.assignors[at].on_assignment(&assignment, generation);
        }
        let is_revoked = self.standing.owned.is_subset(&target);
        self.phase = Phase::Applying { target, is_revoked };
    }

    /// The request was not answered: the coordinator was not found or not reached, or did not respond in time.
    fn attempt_failed(&mut self, now: Instant, doing: &str, error: Error) {
        match error.code() {
            // A broker that refuses the connection has a code, too, and words of its own.
            Some(code) if !error.is_rejection() => self.refused(now, code, doing),
            // A response that cannot be read ends its connection, not the membership.
            _ if error.kind() == Kind::Protocol => {
                if self.standing.identity.generation == NO_GENERATION && self.standing.errors.is_empty() {
                    self.standing.errors.push_back(error);
                }
                self.pause(now);
            }
            _ if error.is_retriable() => {
                let (group, error) = (&self.standing.identity.group, error.chain());
                tracing::debug!(target: "ottla::group", group, doing, %error, "request retried");
                self.pause(now);
            }
            _ => self.fail(error),
        }
    }

    /// A request of this member was answered with an error.
    pub(super) fn refused(&mut self, now: Instant, code: Code, doing: &str) {
        let group = &self.standing.identity.group;
        tracing::debug!(target: "ottla::group", group, doing, code = code.name(), "request refused");
        match code.membership_recovery() {
            MembershipRecovery::Fail => {
                let error = Error::broker(code, format!("group {group}: {doing}"));
                self.fail(error);
            }
            MembershipRecovery::FindCoordinator => {
                self.actions.push_back(Action::ForgetCoordinator);
                self.pause(now);
            }
            MembershipRecovery::Retry => self.pause(now),
            MembershipRecovery::Rejoin => {
                self.want_rejoin("the group is rebalancing");
                if matches!(self.phase, Phase::Joining { tag: None }) {
                    self.pause(now);
                }
            }
            MembershipRecovery::NewGeneration => self.fenced(now, false, code),
            MembershipRecovery::NewMember => self.fenced(now, true, code),
        }
    }

    /// The coordinator does not know this generation, or this member, any more.
    fn fenced(&mut self, now: Instant, is_unknown: bool, code: Code) {
        let (group, generation) = (&self.standing.identity.group, self.standing.identity.generation);
        if generation != NO_GENERATION {
            self.standing.counters.losses += 1;
            tracing::warn!(target: "ottla::group", group, generation, code = code.name(), "generation lost");
        }
        self.lose_generation(is_unknown);
        let reason = format!("the coordinator answered {}", code.name());
        self.rejoin_as_lost(&reason);
        let _ = now;
    }

    fn pause(&mut self, now: Instant) {
        self.paused_until = Some(now + self.backoff.next(&mut self.rng));
    }
}
