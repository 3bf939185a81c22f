//! Members that leave, for good or for a while, and members that are removed.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::Modern;
use super::beat::BeatAsked;
use super::beat::Beaten;
use super::beat::LEAVES_FOR_A_WHILE;
use super::beat::Refusal;
use crate::types::TopicName;

impl Modern {
    /// Takes a heartbeat that leaves the group. A static member that leaves for a while keeps its partitions until its session ends.
    pub(super) fn leave(&mut self, asked: &BeatAsked) -> Result<Beaten, Refusal> {
        let at = match &asked.instance {
            None => self.find(&asked.member).ok_or_else(Refusal::unknown_member)?,
            Some(instance) => self.holder(instance, &asked.member)?,
        };
        if asked.epoch == LEAVES_FOR_A_WHILE {
            let member = &mut self.members[at];
            member.epoch = LEAVES_FOR_A_WHILE;
            member.revoking.clear();
            member.assigned.values_mut().for_each(|since| *since = 0);
        } else {
            self.remove(&[at]);
        }
        Ok(Beaten { member: asked.member.clone(), epoch: asked.epoch, interval: None, assignment: None })
    }

    /// The member that has the name of a static member, if its id is this one.
    pub(super) fn holder(&self, instance: &str, id: &str) -> Result<usize, Refusal> {
        let at = self.with_instance(instance).ok_or_else(Refusal::unknown_member)?;
        if *self.members[at].id == *id {
            return Ok(at);
        }
        Err(Refusal::new(ResponseError::FencedInstanceId, "another member has this instance id"))
    }

    /// Removes members by LeaveGroup; returns the result of each.
    pub(in crate::mock::group) fn remove_all(
        &mut self,
        leaving: &[(StrBytes, Option<StrBytes>)],
    ) -> Vec<Result<(), ResponseError>> {
        let find = |(id, instance): &(StrBytes, Option<StrBytes>)| match instance {
            None => self.find(id).ok_or(ResponseError::UnknownMemberId),
            Some(instance) if id.is_empty() => self.with_instance(instance).ok_or(ResponseError::UnknownMemberId),
            Some(instance) => self.holder(instance, id).map_err(|refusal| refusal.error),
        };
        let found: Vec<_> = leaving.iter().map(find).collect();
        let known: Vec<usize> = found.iter().flatten().copied().collect();
        self.remove(&known);
        found.into_iter().map(|found| found.map(drop)).collect()
    }

    /// Removes members, which begins one group epoch (`consumerGroupFenceMembers`).
    pub(super) fn remove(&mut self, gone: &[usize]) {
        if gone.is_empty() {
            return;
        }
        let gone: Vec<StrBytes> = gone.iter().map(|at| self.members[*at].id.clone()).collect();
        self.members.retain(|member| !gone.contains(&member.id));
        self.target.retain(|id, _| !gone.contains(id));
        self.epoch += 1;
        let names: BTreeSet<TopicName> =
            self.members.iter().flat_map(|member| self.subscription(member)).cloned().collect();
        self.topics.retain(|name, _| names.contains(name));
    }
}
