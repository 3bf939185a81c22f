//! Rebalances: they begin, wait for members, and end in a new generation.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::Classic;
use super::JoinsUntil;
use super::Phase;
use super::Rules;
use super::Synced;

/// The shortest time to wait, so that no timer is due again at once.
const WAIT_MIN: Duration = Duration::from_millis(1);

impl Classic {
    /// Begins a rebalance, or ends the one that is on if every member has joined.
    pub(super) fn rebalance_or_complete(&mut self, now: Instant, rules: Rules) {
        match self.state {
            Phase::Empty | Phase::CompletingRebalance | Phase::Stable => {
                self.prepare_rebalance(now, rules);
            }
            Phase::PreparingRebalance => self.complete_if_joined(now),
        }
    }

    /// Ends the rebalance that is on if every member has joined. The first one of an empty group waits for its delay.
    pub(super) fn complete_if_joined(&mut self, now: Instant) {
        if self.state == Phase::PreparingRebalance && !self.is_initial && self.all_joined() {
            self.complete_join(now);
        }
    }

    /// Begins a rebalance.
    pub(super) fn prepare_rebalance(&mut self, now: Instant, rules: Rules) {
        if self.state == Phase::CompletingRebalance {
            self.refuse_syncs(now, ResponseError::RebalanceInProgress);
        }
        self.forget_syncs();
        self.is_initial = self.state == Phase::Empty;
        self.state = Phase::PreparingRebalance;
        if self.is_initial && !rules.initial_delay.is_zero() {
            let delay = rules.initial_delay;
            let left = self.rebalance_timeout().saturating_sub(delay);
            self.joins_until = Some(JoinsUntil::Initial { at: now + delay, delay, left });
        } else if self.is_initial || self.all_joined() {
            self.complete_join(now);
        } else {
            self.wait_for_joins(now);
        }
    }

    /// Begins a rebalance on demand; returns whether there is a generation to end.
    pub(super) fn force_rebalance(&mut self, now: Instant, rules: Rules) -> bool {
        let is_settled = matches!(self.state, Phase::CompletingRebalance | Phase::Stable);
        if is_settled {
            self.prepare_rebalance(now, rules);
        }
        is_settled
    }

    pub(super) fn all_joined(&self) -> bool {
        self.invited.is_empty() && self.members.iter().all(|member| member.joining.is_some())
    }

    fn wait_for_joins(&mut self, now: Instant) {
        self.joins_until = Some(JoinsUntil::Rebalance { at: now + self.rebalance_timeout().max(WAIT_MIN) });
    }

    /// The time to join is over, or the initial delay.
    pub(super) fn joins_are_due(&mut self, now: Instant) {
        match self.joins_until.take() {
            Some(JoinsUntil::Initial { delay, left, .. }) if self.has_newcomer && !left.is_zero() => {
                self.has_newcomer = false;
                let longer = delay.min(left);
                let left = left.saturating_sub(delay);
                self.joins_until = Some(JoinsUntil::Initial { at: now + longer, delay: longer, left });
            }
            Some(_) => self.complete_join(now),
            None => {}
        }
    }

    /// Ends the time to join: members that have not joined are removed, and a generation begins (`completeClassicGroupJoin`).
    pub(super) fn complete_join(&mut self, now: Instant) {
        self.joins_until = None;
        let absent = self.members.iter().filter(|member| member.joining.is_none() && member.instance.is_none());
        let absent: Vec<_> = absent.map(|member| member.id.clone()).collect();
        for id in absent {
            self.remove(&id);
        }
        if !self.elect() && !self.members.is_empty() {
            // Only static members are left, and none has joined: they have until their sessions end.
            return self.wait_for_joins(now);
        }
        (self.is_initial, self.has_newcomer) = (false, false);
        self.generation += 1;
        self.protocol = self.vote();
        self.forget_syncs();
        if self.members.is_empty() {
            self.state = Phase::Empty;
            return self.save();
        }
        self.state = Phase::CompletingRebalance;
        for at in 0..self.members.len() {
            let joined = self.joined(at, self.is_leader(&self.members[at].id), false);
            let member = &mut self.members[at];
            member.answer_join(joined);
            member.renew(now);
            (member.is_new, member.owes_sync) = (false, true);
        }
        self.syncs_until = Some(now + self.rebalance_timeout().max(WAIT_MIN));
    }

    /// Gives the lead to a member that has joined; returns whether there is one.
    fn elect(&mut self) -> bool {
        let mut joined = self.members.iter().filter(|member| member.joining.is_some()).map(|member| &member.id);
        let leads = |id: &str| self.leader.as_deref() == Some(id);
        let Some(leader) = joined.clone().find(|id| leads(id)).or_else(|| joined.next()) else { return false };
        self.leader = Some(leader.clone());
        true
    }

    /// Takes the assignments back, and answers every SyncGroup that waits with an error.
    pub(super) fn refuse_syncs(&mut self, now: Instant, error: ResponseError) {
        for member in &mut self.members {
            member.assignment = Bytes::new();
            if member.answer_sync(Synced::refused(error)) {
                member.renew(now);
            }
        }
    }

    pub(super) fn forget_syncs(&mut self) {
        self.syncs_until = None;
        for member in &mut self.members {
            member.owes_sync = false;
        }
    }

    /// The members that have not sent SyncGroup in time are removed (KIP-559's `expirePendingSync`).
    pub(super) fn syncs_are_due(&mut self, now: Instant, rules: Rules) {
        self.syncs_until = None;
        let late: Vec<_> =
            self.members.iter().filter(|member| member.owes_sync).map(|member| member.id.clone()).collect();
        if late.is_empty() {
            return;
        }
        for id in late {
            self.remove(&id);
        }
        self.prepare_rebalance(now, rules);
    }
}
