//! The part of a group that is in the log, where a new coordinator finds it.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::Classic;
use super::Joined;
use super::Member;
use super::Phase;
use super::Synced;

/// The last generation that was written (`GroupMetadataValue`): one with an assignment, or an empty one.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    generation: i32,
    protocol_type: Option<StrBytes>,
    protocol: Option<StrBytes>,
    leader: Option<StrBytes>,
    members: Vec<SavedMember>,
}

#[derive(Clone, Debug)]
struct SavedMember {
    id: StrBytes,
    instance: Option<StrBytes>,
    client_id: String,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    metadata: Bytes,
    assignment: Bytes,
}

impl Classic {
    /// Writes the present generation.
    pub(super) fn save(&mut self) {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |member: &Member| SavedMember {
            id: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            session_timeout: member.session_timeout,
            rebalance_timeout: member.rebalance_timeout,
            metadata: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        self.saved = Saved {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(member).collect(),
        };
    }

    /// Moves the group to another coordinator. Requests that wait at the old one are answered with `NOT_COORDINATOR`, and the new
    /// one continues with the last generation that was written. All sessions begin again.
    pub(super) fn move_away(&mut self, now: Instant) {
        for member in &mut self.members {
            member.answer_join(Joined::refused(ResponseError::NotCoordinator, member.id.clone()));
            member.answer_sync(Synced::refused(ResponseError::NotCoordinator));
        }
        let saved = self.saved.clone();
        let protocol = saved.protocol.clone().unwrap_or_default();
        let member = |member: SavedMember| Member {
            id: member.id,
            instance: member.instance,
            client_id: member.client_id,
            session_timeout: member.session_timeout,
            rebalance_timeout: member.rebalance_timeout,
            protocols: vec![(protocol.clone(), member.metadata)],
            assignment: member.assignment,
            joining: None,
            syncing: None,
            owes_sync: false,
            is_new: false,
            expires: Some(now + member.session_timeout),
        };
        let members: Vec<Member> = saved.members.into_iter().map(member).collect();
        *self = Self {
            state: if members.is_empty() { Phase::Empty } else { Phase::Stable },
            generation: saved.generation,
            protocol_type: saved.protocol_type,
            protocol: saved.protocol,
            leader: saved.leader,
            members,
            saved: self.saved.clone(),
            ..Self::default()
        };
    }
}
