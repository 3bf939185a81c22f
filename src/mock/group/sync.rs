//! SyncGroup, Heartbeat, and whether a member may commit.

use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::Classic;
use super::Phase;
use super::Slot;

/// A SyncGroup request.
#[derive(Clone, Debug)]
pub(in crate::mock) struct SyncAsked {
    pub(in crate::mock) member: StrBytes,
    pub(in crate::mock) instance: Option<StrBytes>,
    pub(in crate::mock) generation: i32,
    pub(in crate::mock) protocol_type: Option<StrBytes>,
    pub(in crate::mock) protocol: Option<StrBytes>,
    /// Of the leader: the assignment of each member.
    pub(in crate::mock) assignments: Vec<(StrBytes, Bytes)>,
}

/// A SyncGroup response.
#[derive(Clone, Debug)]
pub(in crate::mock) struct Synced {
    pub(in crate::mock) error: Option<ResponseError>,
    pub(in crate::mock) protocol_type: Option<StrBytes>,
    pub(in crate::mock) protocol: Option<StrBytes>,
    pub(in crate::mock) assignment: Bytes,
}

impl Synced {
    pub(in crate::mock) fn refused(error: ResponseError) -> Self {
        Self { error: Some(error), protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

impl Classic {
    /// Takes a SyncGroup request.
    pub(super) fn sync(&mut self, now: Instant, asked: SyncAsked, slot: &Slot<Synced>) {
        let at = match self.may_sync(&asked) {
            Ok(at) => at,
            Err(error) => return slot.put(Synced::refused(error)),
        };
        match self.state {
            Phase::Empty => slot.put(Synced::refused(ResponseError::UnknownMemberId)),
            Phase::PreparingRebalance => slot.put(Synced::refused(ResponseError::RebalanceInProgress)),
            Phase::CompletingRebalance => {
                // A request that still waits is never answered: the member has sent another one.
                self.members[at].syncing = Some(slot.clone());
                self.has_synced(at);
                if self.is_leader(&asked.member) {
                    self.assign(now, &asked.assignments);
                }
            }
            Phase::Stable => {
                self.has_synced(at);
                slot.put(self.synced(at));
            }
        }
    }

    fn may_sync(&self, asked: &SyncAsked) -> Result<usize, ResponseError> {
        if self.state == Phase::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        let at = self.validate(&asked.member, asked.instance.as_deref())?;
        let differs = |asked: &Option<StrBytes>, own: &Option<StrBytes>| match (asked, own) {
            (Some(asked), Some(own)) => asked != own,
            _ => false,
        };
        if asked.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if differs(&asked.protocol_type, &self.protocol_type) || differs(&asked.protocol, &self.protocol) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(at)
    }

    fn has_synced(&mut self, at: usize) {
        self.members[at].owes_sync = false;
        if !self.members.iter().any(|member| member.owes_sync) {
            self.syncs_until = None;
        }
    }

    /// Takes the leader's assignments, and answers every SyncGroup that waits.
    fn assign(&mut self, now: Instant, assignments: &[(StrBytes, Bytes)]) {
        for member in &mut self.members {
            let assigned = assignments.iter().rev().find(|(id, _)| *id == member.id);
            member.assignment = assigned.map(|(_, assignment)| assignment.clone()).unwrap_or_default();
        }
        for at in 0..self.members.len() {
            let synced = self.synced(at);
            if self.members[at].answer_sync(synced) {
                self.members[at].renew(now);
            }
        }
        self.state = Phase::Stable;
        self.save();
    }

    fn synced(&self, at: usize) -> Synced {
        Synced {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members[at].assignment.clone(),
        }
    }

    /// Takes a heartbeat.
    pub(super) fn heartbeat(
        &mut self,
        now: Instant,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let at = self.validate(id, instance)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        self.members[at].renew(now);
        match self.state {
            Phase::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::CompletingRebalance | Phase::Stable => Ok(()),
        }
    }

    /// Whether offsets may be committed under this identity (`validateOffsetCommit`). A commit counts as a heartbeat, except while
    /// members send SyncGroup.
    pub(super) fn admit_commit(
        &mut self,
        now: Instant,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.state == Phase::Empty {
            return Ok(());
        }
        if generation < 0 && id.is_empty() && instance.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        let at = self.validate(id, instance)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if self.state == Phase::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        self.members[at].renew(now);
        Ok(())
    }
}
