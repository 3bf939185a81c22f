//! A heartbeat: who sends it, and what it changes (`GroupMetadataManager.consumerGroupHeartbeat`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::Member;
use super::Modern;
use super::Place;
use super::Rules;
use crate::mock::state::Topic;
use crate::types::TopicName;

/// The epoch of a member that joins.
pub(super) const JOINS: i32 = 0;
/// The epoch of a member that leaves.
const LEAVES: i32 = -1;
/// The epoch of a static member that leaves and will return.
pub(super) const LEAVES_FOR_A_WHILE: i32 = -2;

/// A ConsumerGroupHeartbeat request. Fields that are `None` did not change.
#[derive(Clone, Debug)]
pub(in crate::mock) struct BeatAsked {
    pub(in crate::mock) member: StrBytes,
    pub(in crate::mock) epoch: i32,
    pub(in crate::mock) instance: Option<StrBytes>,
    pub(in crate::mock) rack: Option<StrBytes>,
    pub(in crate::mock) client_id: String,
    pub(in crate::mock) rebalance_timeout: Option<Duration>,
    pub(in crate::mock) topics: Option<BTreeSet<TopicName>>,
    pub(in crate::mock) regex: Option<StrBytes>,
    pub(in crate::mock) assignor: Option<StrBytes>,
    /// The partitions that it has.
    pub(in crate::mock) owned: Option<Vec<Place>>,
}

impl BeatAsked {
    pub(in crate::mock) fn joins(&self) -> bool {
        self.epoch == JOINS
    }

    /// Whether it says everything, so that the response does, too.
    fn is_full(&self) -> bool {
        self.rebalance_timeout.is_some() && (self.topics.is_some() || self.regex.is_some()) && self.owned.is_some()
    }
}

/// The response to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mock) struct Beaten {
    pub(in crate::mock) member: StrBytes,
    pub(in crate::mock) epoch: i32,
    pub(in crate::mock) interval: Option<Duration>,
    /// The partitions that the member may have; `None` where that did not change.
    pub(in crate::mock) assignment: Option<Vec<Place>>,
}

/// An error with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mock) struct Refusal {
    pub(in crate::mock) error: ResponseError,
    pub(in crate::mock) message: &'static str,
}

impl Refusal {
    pub(in crate::mock) fn new(error: ResponseError, message: &'static str) -> Self {
        Self { error, message }
    }

    pub(in crate::mock) fn not_a_consumer_group() -> Self {
        Self::new(ResponseError::GroupIdNotFound, "there is no group of the consumer protocol with this id")
    }

    pub(super) fn unknown_member() -> Self {
        Self::new(ResponseError::UnknownMemberId, "the group has no such member")
    }
}

impl Modern {
    /// Takes a heartbeat.
    pub(in crate::mock::group) fn beat(
        &mut self,
        now: Instant,
        rules: Rules,
        topics: &BTreeMap<TopicName, Topic>,
        asked: BeatAsked,
    ) -> Result<Beaten, Refusal> {
        if matches!(asked.epoch, LEAVES | LEAVES_FOR_A_WHILE) {
            return self.leave(&asked);
        }
        let is_known = self.find(&asked.member).is_some();
        if self.members.len() >= rules.size_max && !is_known {
            return Err(Refusal::new(ResponseError::GroupMaxSizeReached, "the group is full"));
        }
        self.check_regex(&asked)?;
        let at = self.admit(now, &asked)?;
        let (is_full, owned) = (asked.joins() || asked.is_full(), asked.owned.clone());
        let before = self.members[at].assigned.clone();
        let (by_name, by_regex) = self.update(at, asked);
        let has_changed = by_name || by_regex;
        let is_resolved = by_regex && self.members[at].pattern().is_none_or(|regex| self.matched.contains_key(regex));
        self.refresh(topics, by_name || is_resolved);
        self.retarget(now, rules, topics);
        self.reconcile(now, topics, at, has_changed, owned.as_deref());
        let member = &mut self.members[at];
        member.session_ends = now + rules.session_timeout;
        let is_included = is_full || member.assigned != before;
        let beaten = Beaten {
            member: member.id.clone(),
            epoch: member.epoch,
            interval: Some(rules.heartbeat_interval),
            assignment: is_included.then(|| member.assigned.keys().copied().collect()),
        };
        self.resolve(topics);
        Ok(beaten)
    }

    /// Finds the member that sends a heartbeat, or adds it.
    fn admit(&mut self, now: Instant, asked: &BeatAsked) -> Result<usize, Refusal> {
        let Some(instance) = &asked.instance else {
            let at = match self.find(&asked.member) {
                Some(at) => at,
                None if asked.joins() => self.add(Member::new(asked.member.clone(), now)),
                None => return Err(Refusal::unknown_member()),
            };
            return self.check_epoch(at, asked);
        };
        if !asked.joins() {
            return self.check_epoch(self.holder(instance, &asked.member)?, asked);
        }
        match self.with_instance(instance) {
            Some(at) if self.members[at].epoch == LEAVES_FOR_A_WHILE => Ok(self.replace(at, asked)),
            Some(_) => Err(Refusal::new(
                ResponseError::UnreleasedInstanceId,
                "another member has this instance id, and has not left the group",
            )),
            // One that joined without the name gets it.
            None => Ok(match self.find(&asked.member) {
                Some(at) => at,
                None => self.add(Member::new(asked.member.clone(), now)),
            }),
        }
    }

    fn add(&mut self, member: Member) -> usize {
        self.members.push(member);
        self.members.len() - 1
    }

    /// Gives the place of a static member that left for a while to the one that returns (`replaceMember`).
    fn replace(&mut self, at: usize, asked: &BeatAsked) -> usize {
        let member = &mut self.members[at];
        let old = std::mem::replace(&mut member.id, asked.member.clone());
        (member.epoch, member.previous_epoch, member.revokes_until) = (JOINS, JOINS, None);
        if let Some(target) = self.target.remove(&old) {
            self.target.insert(asked.member.clone(), target);
        }
        at
    }

    /// Refuses an epoch that the member does not have. The one before is accepted from a member that may not have got the response
    /// with the newer one: it has no other partitions than that assigns.
    fn check_epoch(&self, at: usize, asked: &BeatAsked) -> Result<usize, Refusal> {
        let member = &self.members[at];
        let has_subset = || {
            let owned = asked.owned.as_deref();
            owned.is_some_and(|owned| owned.iter().all(|place| member.assigned.contains_key(place)))
        };
        let fenced = |message| Err(Refusal::new(ResponseError::FencedMemberEpoch, message));
        if asked.joins() || asked.epoch == member.epoch {
            Ok(at)
        } else if asked.epoch > member.epoch {
            fenced("the member has a greater epoch than its coordinator knows: it must join again without partitions")
        } else if asked.epoch == member.previous_epoch && has_subset() {
            Ok(at)
        } else {
            fenced("the member has a smaller epoch than its coordinator knows: it must join again without partitions")
        }
    }

    /// Takes the fields that a heartbeat names; returns whether the subscription changes, by names and by a regular expression.
    fn update(&mut self, at: usize, asked: BeatAsked) -> (bool, bool) {
        let member = &mut self.members[at];
        member.client_id = asked.client_id;
        member.instance = asked.instance.or(member.instance.take());
        member.rack = asked.rack.or(member.rack.take());
        member.rebalance_timeout = asked.rebalance_timeout.unwrap_or(member.rebalance_timeout);
        member.assignor = asked.assignor.or(member.assignor.take());
        let by_regex = asked.regex.is_some() && asked.regex != member.regex;
        member.regex = asked.regex.or(member.regex.take());
        let by_name = asked.topics.as_ref().is_some_and(|topics| *topics != member.topics);
        member.topics = asked.topics.unwrap_or(std::mem::take(&mut member.topics));
        (by_name, by_regex)
    }
}
