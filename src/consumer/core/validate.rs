//! Whether a new leader has what was read from the last one (KIP-320).
//!
//! The position to fetch from is asked about. Where the leader has less, what is queued is dropped and the position that
//! was handed out, or moved to, is asked about; only where that is lost too, records that were read are gone from the log.

use std::time::Instant;

use super::Action;
use super::Asked;
use super::ConsumerCore;
use super::Pending;
use super::position::ResetPolicy;
use super::position::State;
use crate::error::Code;
use crate::reading::Position;
use crate::wire::message::EpochEnd;
use crate::wire::message::EpochPartition;
use crate::wire::message::EpochTopic;
use crate::wire::message::OffsetForLeaderEpochRequest;
use crate::wire::message::OffsetForLeaderEpochResponse;

const TRUNCATED: &str = "the log was truncated below the position";

impl ConsumerCore {
    pub(super) fn ask_epochs(&mut self, node: i32, slots: Vec<usize>) {
        let mut topics: Vec<EpochTopic> = Vec::new();
        for slot in &slots {
            let Some(partition) = &self.partitions[*slot] else { continue };
            let name = &partition.key.topic;
            if topics.last().is_none_or(|topic| topic.name != *name) {
                topics.push(EpochTopic { name: name.clone(), partitions: Vec::new() });
            }
            topics.last_mut().expect("one was pushed").partitions.push(EpochPartition {
                index: partition.key.partition,
                current_leader_epoch: partition.leader_epoch,
                leader_epoch: partition.fetch.epoch,
            });
        }
        let asked = slots.into_iter().filter_map(|slot| self.ask(slot)).collect();
        let tag = self.tag(Pending::EpochEnd(asked));
        self.actions.push_back(Action::EpochEnd { node, tag, request: OffsetForLeaderEpochRequest { topics } });
    }

    pub(super) fn validated(&mut self, now: Instant, asked: Vec<Asked>, response: &OffsetForLeaderEpochResponse) {
        for asked in asked {
            if !self.answered(asked, |state| *state == State::AwaitValidation) {
                continue;
            }
            let key = &self.keys[asked.slot];
            let topics = response.topics.iter().filter(|topic| topic.name == key.topic);
            match topics.flat_map(|topic| &topic.partitions).find(|end| end.index == key.partition) {
                None => self.partition_failed(now, asked.slot, Code::UnknownServerError, "no end of the epoch came"),
                Some(EpochEnd { error: Some(code), .. }) => {
                    self.partition_failed(now, asked.slot, *code, "could not validate the position");
                }
                Some(end) => self.judge(asked.slot, end),
            }
            self.make_ready(asked.slot);
        }
    }

    /// The broker is too old to be asked.
    pub(super) fn cannot_validate(&mut self, asked: Vec<Asked>) {
        for asked in asked {
            if self.answered(asked, |state| *state == State::AwaitValidation)
                && let Some(partition) = self.partitions[asked.slot].as_mut()
            {
                partition.state = State::Fetching;
            }
        }
    }

    fn judge(&mut self, slot: usize, end: &EpochEnd) {
        let generation = self.generation();
        let policy = self.config.reset;
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        let is_known = end.leader_epoch.is_some() && end.end_offset >= 0;
        if is_known && end.end_offset >= partition.fetch.offset {
            partition.state = State::Fetching;
            partition.trouble.clear();
            return;
        }
        if partition.base().is_some_and(|base| base != partition.fetch) {
            partition.go_back(generation);
            partition.go_on();
            return;
        }
        match (policy, is_known) {
            (ResetPolicy::None, _) => partition.halt(TRUNCATED),
            (_, false) => partition.lost(policy, TRUNCATED),
            (_, true) => {
                let to = Position { offset: end.end_offset, epoch: end.leader_epoch };
                partition.go_back(generation);
                partition.bound_anew();
                partition.found(to, Some((partition.fetch.offset, TRUNCATED)));
            }
        }
    }
}
