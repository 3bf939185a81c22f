//! The state of the members, as tests read it.

use std::time::Duration;

use bytes::Bytes;

use super::Member;
use super::Modern;
use super::Place;
use crate::mock::group::GroupDescription;
use crate::mock::group::MemberDescription;
use crate::mock::group::ModernMember;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;

impl Modern {
    pub(in crate::mock::group) fn describe(
        &self,
        session_timeout: Duration,
        name_of: &dyn Fn(TopicId) -> Option<TopicName>,
    ) -> GroupDescription {
        GroupDescription {
            state: self.state(),
            generation: self.epoch,
            assignment_epoch: Some(self.target_epoch),
            protocol_type: Some("consumer".to_owned()),
            protocol: Some(self.preferred_assignor().to_owned()),
            leader: None,
            members: self.members.iter().map(|member| self.describe_member(member, session_timeout, name_of)).collect(),
            pending: Vec::new(),
        }
    }

    fn describe_member(
        &self,
        member: &Member,
        session_timeout: Duration,
        name_of: &dyn Fn(TopicId) -> Option<TopicName>,
    ) -> MemberDescription {
        let named = |(id, partition): &Place| Some(TopicPartition::new(name_of(*id)?, *partition));
        MemberDescription {
            id: member.id.to_string(),
            instance_id: member.instance.as_ref().map(ToString::to_string),
            client_id: member.client_id.clone(),
            session_timeout,
            rebalance_timeout: member.rebalance_timeout,
            protocols: Vec::new(),
            metadata: Bytes::new(),
            assignment: Bytes::new(),
            is_waiting: false,
            modern: Some(ModernMember {
                epoch: member.epoch,
                rack: member.rack.as_ref().map(ToString::to_string),
                assignor: member.assignor.as_ref().map(ToString::to_string),
                topics: member.topics.iter().cloned().collect(),
                regex: member.regex.as_ref().map(ToString::to_string),
                assigned: member.assigned.keys().filter_map(named).collect(),
                revoking: member.revoking.keys().filter_map(named).collect(),
                target: self.target.get(&member.id).into_iter().flatten().filter_map(named).collect(),
            }),
        }
    }
}
