//! Finding positions: what the group committed, the offset of a time or of an end, and where a bounded read stops.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Action;
use super::Asked;
use super::ConsumerCore;
use super::Pending;
use super::position::Bound;
use super::position::Start;
use super::position::State;
use super::position::Target;
use crate::error::Code;
use crate::error::Error;
use crate::reading::Position;
use crate::types::TopicName;
use crate::wire::message::FetchedOffset;
use crate::wire::message::ListOffsetsPartition;
use crate::wire::message::ListOffsetsRequest;
use crate::wire::message::ListOffsetsResponse;
use crate::wire::message::ListOffsetsTopic;
use crate::wire::message::ListedPartition;
use crate::wire::message::OffsetFetchGroup;
use crate::wire::message::OffsetFetchRequest;
use crate::wire::message::OffsetFetchResponse;
use crate::wire::message::OffsetFetchTopic;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// For brokers that time the request themselves.
const TIMEOUT_MS: i32 = 30_000;

impl Target {
    fn timestamp(self) -> i64 {
        match self {
            Self::Earliest | Self::NotBefore(_) | Self::RangeStart => EARLIEST,
            Self::FromEnd(_) | Self::Latest | Self::RangeEnd(_) => LATEST,
            Self::Timestamp(timestamp) => timestamp,
        }
    }
}

/// A partition to ask a leader about.
type Question = (usize, Target);

impl ConsumerCore {
    /// Asks about every position that is not known, one request per leader.
    pub(super) fn plan_questions(&mut self, now: Instant) {
        let mut offsets: BTreeMap<i32, Vec<Question>> = BTreeMap::new();
        let mut bounds: BTreeMap<i32, Vec<Question>> = BTreeMap::new();
        let mut epochs: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        let mut stored: Vec<usize> = Vec::new();
        for slot in 0..self.partitions.len() {
            let Some(partition) = &self.partitions[slot] else { continue };
            let asks = !partition.asking && !matches!(partition.state, State::Fetching | State::Halted);
            let asks_bound = !partition.asking_bound && matches!(partition.bound, Bound::Unknown(_));
            if partition.trouble.is_waiting() || !asks && !asks_bound {
                continue;
            }
            let asks_stored = asks && matches!(partition.state, State::Initializing { .. });
            if asks_stored {
                stored.push(slot);
            }
            let Some(leader) = partition.leader else {
                if !asks_stored || asks_bound {
                    self.await_leader(now, slot);
                }
                continue;
            };
            if asks_bound {
                bounds.entry(leader).or_default().push((slot, Target::Latest));
            }
            match partition.state {
                State::AwaitReset { target, .. } if asks => offsets.entry(leader).or_default().push((slot, target)),
                State::AwaitValidation if asks && partition.awaits_epoch() => self.await_epoch(now, slot),
                State::AwaitValidation if asks => epochs.entry(leader).or_default().push(slot),
                _ => {}
            }
        }
        self.ask_stored(stored);
        for (node, questions) in bounds {
            self.ask_bounds(node, &questions);
        }
        for (node, questions) in offsets {
            self.ask_offsets(node, questions);
        }
        for (node, slots) in epochs {
            self.ask_epochs(node, slots);
        }
    }

    fn ask_stored(&mut self, slots: Vec<usize>) {
        let Some(group) = self.config.group.clone().filter(|_| !slots.is_empty()) else {
            for slot in slots {
                self.start_otherwise(slot);
            }
            return;
        };
        let mut topics: Vec<OffsetFetchTopic> = Vec::new();
        for slot in &slots {
            let Some(partition) = &self.partitions[*slot] else { continue };
            let (name, id) = (&partition.key.topic, partition.topic_id);
            if topics.last().is_none_or(|topic| topic.name != *name) {
                topics.push(OffsetFetchTopic { name: name.clone(), id, partitions: Vec::new() });
            }
            topics.last_mut().expect("one was pushed").partitions.push(partition.key.partition);
        }
        let request = OffsetFetchRequest {
            groups: vec![OffsetFetchGroup { group, member: None, member_epoch: -1, topics: Some(topics) }],
            // An offset that a transaction may still take back is waited for (KIP-447).
            require_stable: true,
        };
        let asked = slots.into_iter().filter_map(|slot| self.ask(slot)).collect();
        let tag = self.tag(Pending::Stored(asked));
        self.actions.push_back(Action::OffsetFetch { tag, request });
    }

    fn ask_bounds(&mut self, node: i32, questions: &[Question]) {
        let request = self.list_offsets(questions);
        let mut asked = Vec::with_capacity(questions.len());
        for (slot, _) in questions {
            let Some(partition) = &mut self.partitions[*slot] else { continue };
            partition.asking_bound = true;
            asked.push(Asked { slot: *slot, generation: partition.generation, era: partition.era() });
        }
        let tag = self.tag(Pending::Bounds(asked));
        self.actions.push_back(Action::ListOffsets { node, tag, request });
    }

    fn ask_offsets(&mut self, node: i32, questions: Vec<Question>) {
        let request = self.list_offsets(&questions);
        let asked = questions.into_iter().filter_map(|(slot, target)| Some((self.ask(slot)?, target))).collect();
        let tag = self.tag(Pending::Offsets(asked));
        self.actions.push_back(Action::ListOffsets { node, tag, request });
    }

    /// Marks that a question about the position is in flight.
    pub(super) fn ask(&mut self, slot: usize) -> Option<Asked> {
        let partition = self.partitions[slot].as_mut()?;
        partition.asking = true;
        Some(Asked { slot, generation: partition.generation, era: partition.era() })
    }

    fn list_offsets(&self, questions: &[Question]) -> ListOffsetsRequest {
        let mut topics: Vec<ListOffsetsTopic> = Vec::new();
        for (slot, target) in questions {
            let Some(partition) = &self.partitions[*slot] else { continue };
            let name = &partition.key.topic;
            if topics.last().is_none_or(|topic| topic.name != *name) {
                topics.push(ListOffsetsTopic { name: name.clone(), partitions: Vec::new() });
            }
            topics.last_mut().expect("one was pushed").partitions.push(ListOffsetsPartition {
                index: partition.key.partition,
                current_leader_epoch: partition.leader_epoch,
                timestamp: target.timestamp(),
            });
        }
        ListOffsetsRequest { isolation: self.config.isolation.to_wire(), timeout_ms: TIMEOUT_MS, topics }
    }

    pub(super) fn bounded(&mut self, now: Instant, asked: &[Asked], response: &ListOffsetsResponse) {
        for asked in asked {
            let Some(partition) = self.partitions[asked.slot].as_mut() else { continue };
            partition.asking_bound = false;
            if partition.era() != asked.era {
                continue;
            }
            match self.find(asked.slot, Target::Latest, response) {
                Ok(listed) => {
                    let end = listed.offset;
                    if let Some(partition) = self.partitions[asked.slot].as_mut() {
                        partition.bound_found(end);
                    }
                    self.make_ready(asked.slot);
                }
                Err((code, why)) => self.partition_failed(now, asked.slot, code, why),
            }
        }
    }

    pub(super) fn listed(&mut self, now: Instant, asked: Vec<(Asked, Target)>, response: &ListOffsetsResponse) {
        for (asked, target) in asked {
            let expected = |state: &State| matches!(state, State::AwaitReset { target: now, .. } if *now == target);
            if !self.answered(asked, expected) {
                continue;
            }
            match self.find(asked.slot, target, response) {
                Ok(listed) => self.apply(asked.slot, target, listed),
                Err((code, why)) => self.partition_failed(now, asked.slot, code, why),
            }
        }
    }

    fn apply(&mut self, slot: usize, target: Target, listed: &ListedPartition) {
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        let State::AwaitReset { reset, .. } = partition.state else { return };
        let found = Position { offset: listed.offset, epoch: listed.leader_epoch };
        let next = match target {
            Target::FromEnd(records) if found.offset > records => Target::NotBefore(found.offset - records),
            Target::FromEnd(_) => Target::Earliest,
            Target::RangeStart => Target::RangeEnd(found.offset),
            Target::RangeEnd(start) => {
                partition.measured(reset.is_some(), start, found.offset);
                return self.make_ready(slot);
            }
            // No record is of that time or later.
            Target::Timestamp(_) if found.offset < 0 => Target::Latest,
            Target::NotBefore(offset) if offset > found.offset => {
                partition.found(Position::from(offset), reset);
                return self.make_ready(slot);
            }
            Target::Earliest | Target::Latest | Target::NotBefore(_) | Target::Timestamp(_) => {
                partition.found(found, reset);
                return self.make_ready(slot);
            }
        };
        partition.state = State::AwaitReset { target: next, reset };
    }

    /// What the leader says, or why that is no answer.
    fn find<'a>(
        &self,
        slot: usize,
        target: Target,
        response: &'a ListOffsetsResponse,
    ) -> Result<&'a ListedPartition, (Code, &'static str)> {
        let key = &self.keys[slot];
        match response.partition(&key.topic, key.partition) {
            None => Err((Code::UnknownServerError, "no offset was listed")),
            Some(ListedPartition { error: Some(code), .. }) => Err((*code, "could not list offsets")),
            // There may be no record of that time or later, but every log begins and ends somewhere.
            Some(listed) if listed.offset < 0 && !matches!(target, Target::Timestamp(_)) => {
                Err((Code::UnknownServerError, "an offset below zero was listed"))
            }
            Some(listed) => Ok(listed),
        }
    }

    pub(super) fn stored(&mut self, now: Instant, asked: Vec<Asked>, response: &OffsetFetchResponse) {
        let group = self.config.group.as_deref().and_then(|group| response.group(group));
        let refused = group.and_then(|group| group.error);
        // A group that nobody has used has committed nothing; Kafka says so of each partition, other brokers of the group.
        if refused == Some(Code::GroupIdNotFound) {
            for asked in asked {
                if self.answered(asked, |state| matches!(state, State::Initializing { .. })) {
                    self.start_otherwise(asked.slot);
                }
            }
            return;
        }
        if let Some(code) = refused {
            let error = Error::broker(code, "could not read the committed offsets");
            return self.question_failed(now, Pending::Stored(asked), &error);
        }
        let mut found: BTreeMap<(TopicName, i32), &FetchedOffset> = BTreeMap::new();
        for topic in group.iter().flat_map(|group| &group.topics) {
            for offset in &topic.partitions {
                if let Some(slot) = self.slot_of(&topic.name, topic.id, offset.index) {
                    found.entry((self.keys[slot].topic.clone(), offset.index)).or_insert(offset);
                }
            }
        }
        for asked in asked {
            if !self.answered(asked, |state| matches!(state, State::Initializing { .. })) {
                continue;
            }
            let key = &self.keys[asked.slot];
            match found.get(&(key.topic.clone(), key.partition)) {
                None => {
                    self.partition_failed(now, asked.slot, Code::UnknownServerError, "no committed offset came");
                }
                Some(FetchedOffset { error: Some(code), .. }) => {
                    self.partition_failed(now, asked.slot, *code, "could not read the committed offset");
                }
                Some(offset) => self.start_stored(asked.slot, offset),
            }
        }
    }

    fn start_stored(&mut self, slot: usize, stored: &FetchedOffset) {
        if stored.offset < 0 {
            return self.start_otherwise(slot);
        }
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        partition.start_stored(Position { offset: stored.offset, epoch: stored.leader_epoch });
    }

    fn start_otherwise(&mut self, slot: usize) {
        let generation = self.generation();
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        let State::Initializing { otherwise } = partition.state.clone() else { return };
        let otherwise = match otherwise {
            Start::StoredOnly => return partition.measure_start(generation),
            Start::Stored { .. } => Start::Earliest,
            other => other,
        };
        partition.start(&otherwise, generation);
    }
}
