//! Leaving the group.

use std::time::Instant;

use super::Action;
use super::Classic;
use super::Phase;
use super::REASON_MAX;
use crate::error::Error;
use crate::wire::message::LeaveGroupRequest;
use crate::wire::message::LeaveGroupResponse;
use crate::wire::message::LeavingMember;

impl Classic {
    /// Leaves the group, so that others get its partitions at once. A static member stays until its session ends, unless
    /// `even_static` (KIP-345, KIP-1092). What it owned is not revoked by a step: the owner does that before.
    pub fn leave(&mut self, now: Instant, even_static: bool, reason: &str) {
        if self.settings.instance.is_none() || even_static {
            self.send_leave(now, reason);
        }
        self.stay();
    }

    /// Ends the membership here. The coordinator keeps it until the session ends (KIP-1092).
    pub fn stay(&mut self) {
        self.lose_generation(true);
        self.standing.owned.clear();
        self.standing.version += 1;
        self.standing.unsubscribe();
        self.joined.clear();
        (self.rejoin, self.standing.poll_by, self.paused_until) = (None, None, None);
        self.is_step_taken = false;
        self.phase = Phase::Idle;
        self.follow();
    }

    /// Whether the coordinator has not confirmed yet that the member has left.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Takes the response to LeaveGroup, or the error of the attempt. Either way the member is gone: at the latest, its session
    /// ends.
    pub fn handle_left(&mut self, tag: u64, response: &Result<LeaveGroupResponse, Error>) {
        if self.leaving.take_if(|awaited| *awaited == tag).is_none() {
            return;
        }
        let group = &self.settings.group;
        match response {
            Ok(response) => {
                let code = response.error().map(crate::error::Code::name);
                tracing::info!(target: "ottla::group", group, code, "group left");
            }
            Err(error) => {
                let error = error.chain();
                tracing::info!(target: "ottla::group", group, %error, "could not say goodbye");
            }
        }
    }

    pub(super) fn send_leave(&mut self, now: Instant, reason: &str) {
        if self.standing.identity.member.is_empty() {
            return;
        }
        let tag = self.tag();
        self.leaving = Some(tag);
        let member = LeavingMember {
            member: self.standing.identity.member.clone(),
            instance: self.standing.identity.instance.clone(),
            reason: Some(reason.chars().take(REASON_MAX).collect()),
        };
        let request = LeaveGroupRequest { group: self.standing.identity.group.clone(), members: vec![member] };
        self.actions.push_back(Action::Leave { tag, deadline: now + self.settings.request_timeout, request });
    }
}
