//! A group: its offsets, and its members by one of the two protocols.

use std::collections::BTreeMap;
use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::Asked;
use super::BeatAsked;
use super::Beaten;
use super::Classic;
use super::Joined;
use super::Phase;
use super::Refusal;
use super::Rules;
use super::Slot;
use super::SyncAsked;
use super::Synced;
use super::modern::Modern;
use crate::mock::state::Committed;
use crate::mock::state::Topic;
use crate::types::TopicId;
use crate::types::TopicName;

/// A group. One without members takes members of either protocol.
#[derive(Debug, Default)]
pub(in crate::mock) struct Group {
    pub(in crate::mock) offsets: BTreeMap<(TopicName, i32), Committed>,
    pub(super) members: Members,
}

#[derive(Debug)]
pub(super) enum Members {
    Classic(Box<Classic>),
    Modern(Box<Modern>),
}

impl Default for Members {
    fn default() -> Self {
        Self::Classic(Box::default())
    }
}

/// The identity under which offsets are committed.
#[derive(Clone, Debug)]
pub(in crate::mock) struct CommitAsked {
    pub(in crate::mock) member: StrBytes,
    pub(in crate::mock) instance: Option<StrBytes>,
    /// The generation, or the epoch of the member.
    pub(in crate::mock) generation: i32,
    pub(in crate::mock) version: i16,
    /// The partitions of the request, without those that are refused for another reason.
    pub(in crate::mock) partitions: Vec<(TopicId, i32)>,
}

impl Group {
    /// Takes a JoinGroup request. Members of KIP-848 share their group with none of the classic protocol here: Kafka lets them, unless
    /// `group.consumer.migration.policy` is `disabled`.
    pub(in crate::mock) fn join(&mut self, now: Instant, rules: Rules, asked: Asked, slot: &Slot<Joined>) {
        if matches!(&self.members, Members::Modern(modern) if modern.is_empty()) {
            self.members = Members::default();
            if !asked.member.is_empty() {
                return slot.put(Joined::refused(ResponseError::UnknownMemberId, asked.member));
            }
        }
        match &mut self.members {
            Members::Classic(classic) => classic.join(now, rules, asked, slot),
            Members::Modern(_) => slot.put(Joined::refused(ResponseError::InconsistentGroupProtocol, asked.member)),
        }
    }

    /// Takes a SyncGroup request.
    pub(in crate::mock) fn sync(&mut self, now: Instant, asked: SyncAsked, slot: &Slot<Synced>) {
        match &mut self.members {
            Members::Classic(classic) => classic.sync(now, asked, slot),
            Members::Modern(_) => slot.put(Synced::refused(ResponseError::UnknownMemberId)),
        }
    }

    /// Takes a heartbeat of the classic protocol.
    pub(in crate::mock) fn heartbeat(
        &mut self,
        now: Instant,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        match &mut self.members {
            Members::Classic(classic) => classic.heartbeat(now, id, instance, generation),
            Members::Modern(_) => Err(ResponseError::UnknownMemberId),
        }
    }

    /// Takes the members of a LeaveGroup request, each with its id and the name of a static member; returns their results.
    /// Administrators remove members of both protocols by it.
    pub(in crate::mock) fn leave(
        &mut self,
        now: Instant,
        rules: Rules,
        leaving: &[(StrBytes, Option<StrBytes>)],
    ) -> Vec<Result<(), ResponseError>> {
        match &mut self.members {
            Members::Classic(classic) => classic.leave(now, rules, leaving),
            Members::Modern(modern) => modern.remove_all(leaving),
        }
    }

    /// Takes a ConsumerGroupHeartbeat request.
    pub(in crate::mock) fn beat(
        &mut self,
        now: Instant,
        rules: Rules,
        topics: &BTreeMap<TopicName, Topic>,
        asked: BeatAsked,
    ) -> Result<Beaten, Refusal> {
        match &mut self.members {
            Members::Modern(modern) => modern.beat(now, rules, topics, asked),
            Members::Classic(classic) if classic.is_vacant() && asked.joins() => {
                let mut modern = Box::<Modern>::default();
                let beaten = modern.beat(now, rules, topics, asked)?;
                self.members = Members::Modern(modern);
                Ok(beaten)
            }
            Members::Classic(_) => Err(Refusal::not_a_consumer_group()),
        }
    }

    /// Whether offsets may be committed under this identity (`validateOffsetCommit`).
    pub(in crate::mock) fn admit_commit(&mut self, now: Instant, asked: &CommitAsked) -> Result<(), ResponseError> {
        match &mut self.members {
            Members::Classic(classic) => {
                classic.admit_commit(now, &asked.member, asked.instance.as_deref(), asked.generation)
            }
            Members::Modern(modern) => modern.admit_commit(asked),
        }
    }

    /// Whether committed offsets may be read under this identity (`validateOffsetFetch`).
    pub(in crate::mock) fn admit_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), ResponseError> {
        match &self.members {
            Members::Classic(_) => Ok(()),
            Members::Modern(modern) => modern.admit_fetch(member, epoch),
        }
    }

    /// Moves the group to another coordinator.
    pub(in crate::mock) fn move_away(&mut self, now: Instant, rules: Rules) {
        match &mut self.members {
            Members::Classic(classic) => classic.move_away(now),
            Members::Modern(modern) => modern.move_away(now, rules),
        }
    }

    /// When [`Group::handle_timeout`] has something to do if nothing else happens first.
    pub(in crate::mock) fn poll_timeout(&self) -> Option<Instant> {
        match &self.members {
            Members::Classic(classic) => classic.poll_timeout(),
            Members::Modern(modern) => modern.poll_timeout(),
        }
    }

    /// Does what is due, in the order in which it became due; returns whether anything was.
    pub(in crate::mock) fn handle_timeout(&mut self, now: Instant, rules: Rules) -> bool {
        match &mut self.members {
            Members::Classic(classic) => classic.handle_timeout(now, rules),
            Members::Modern(modern) => modern.handle_timeout(now),
        }
    }

    /// Ends the session of a member; returns whether there is one with this id.
    pub(super) fn expire(&mut self, now: Instant, rules: Rules, id: &str) -> bool {
        match &mut self.members {
            Members::Classic(classic) => classic.expire(now, rules, id),
            Members::Modern(modern) => modern.expire(id),
        }
    }

    /// Begins a rebalance on demand; returns whether there is a generation to end.
    pub(super) fn force_rebalance(&mut self, now: Instant, rules: Rules) -> bool {
        match &mut self.members {
            Members::Classic(classic) => classic.force_rebalance(now, rules),
            Members::Modern(modern) => modern.force_rebalance(),
        }
    }

    /// Makes the epoch that a member has an old one; returns whether there is a member with this id.
    pub(super) fn fence(&mut self, id: &str) -> bool {
        match &mut self.members {
            Members::Classic(classic) => classic.fence(id),
            Members::Modern(modern) => modern.fence(id),
        }
    }
}

impl Classic {
    /// Whether the group may become one of the other protocol.
    fn is_vacant(&self) -> bool {
        self.state == Phase::Empty
    }

    /// Counts a generation that no member knows; returns whether there is a member with this id.
    fn fence(&mut self, id: &str) -> bool {
        let is_known = self.find(id).is_some();
        self.generation += i32::from(is_known);
        is_known
    }
}
