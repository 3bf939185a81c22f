//! LeaveGroup, and the removal of members.

use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::Classic;
use super::Joined;
use super::Phase;
use super::Rules;

impl Classic {
    /// Takes the members of a LeaveGroup request, each with its id and the name of a static member; returns their results.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        rules: Rules,
        leaving: &[(StrBytes, Option<StrBytes>)],
    ) -> Vec<Result<(), ResponseError>> {
        let results: Vec<_> = leaving.iter().map(|(id, instance)| self.leave_one(id, instance.as_deref())).collect();
        if results.iter().any(Result::is_ok) {
            match self.state {
                Phase::CompletingRebalance | Phase::Stable => self.prepare_rebalance(now, rules),
                Phase::PreparingRebalance => self.complete_if_joined(now),
                Phase::Empty => {}
            }
        }
        results
    }

    fn leave_one(&mut self, id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        let at = if id.is_empty() {
            // An administrator removes a static member by its name.
            let holder = instance.and_then(|instance| self.with_instance(instance));
            holder.ok_or(ResponseError::UnknownMemberId)?
        } else if self.is_invited(id) {
            self.remove(id);
            return Ok(());
        } else {
            self.validate(id, instance)?
        };
        self.dismiss(at);
        Ok(())
    }

    /// Removes a member. A JoinGroup of it that waits ends, so that it can join again.
    fn dismiss(&mut self, at: usize) {
        let member = &mut self.members[at];
        member.answer_join(Joined::refused(ResponseError::UnknownMemberId, StrBytes::new()));
        let id = member.id.clone();
        self.remove(&id);
    }

    /// Ends the session of a member or of an invitation; returns whether there is one with this id.
    pub(super) fn expire(&mut self, now: Instant, rules: Rules, id: &str) -> bool {
        if self.is_invited(id) {
            self.remove(id);
        } else if let Some(at) = self.find(id) {
            self.dismiss(at);
            if matches!(self.state, Phase::CompletingRebalance | Phase::Stable) {
                self.prepare_rebalance(now, rules);
                return true;
            }
        } else {
            return false;
        }
        if self.state == Phase::PreparingRebalance && self.all_joined() {
            self.complete_join(now);
        }
        true
    }
}
