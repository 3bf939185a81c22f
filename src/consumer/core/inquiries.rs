//! Asks brokers about positions: committed offsets, offsets of a time or an end, ends of epochs, and where a bounded read stops.

use std::collections::BTreeMap;
use std::time::Instant;

use super::ConsumerCore;
use super::Pending;
use super::action::Action;
use super::position::Inquiry;
use super::position::Lookup;
use super::position::Partition;
use super::position::Target;
use crate::metadata::by_topic;
use crate::wire::message::EpochPartition;
use crate::wire::message::EpochTopic;
use crate::wire::message::ListOffsetsPartition;
use crate::wire::message::ListOffsetsRequest;
use crate::wire::message::ListOffsetsTopic;
use crate::wire::message::OffsetFetchGroup;
use crate::wire::message::OffsetFetchRequest;
use crate::wire::message::OffsetFetchTopic;
use crate::wire::message::OffsetForLeaderEpochRequest;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// For brokers that time the request themselves.
const TIMEOUT_MS: i32 = 30_000;

impl Target {
    /// The timestamp of a request that is sent at this time, in milliseconds since 1970.
    fn timestamp(self, unix_ms: i64) -> i64 {
        match self {
            // A timestamp below zero would mean something else.
            Self::Ago(age) => unix_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)).max(0),
            Self::Earliest | Self::NotBefore(_) | Self::RangeStart => EARLIEST,
            Self::FromEnd(_) | Self::Latest | Self::RangeEnd(_) => LATEST,
            Self::Timestamp(timestamp) => timestamp,
        }
    }
}

/// The slots of partitions to send requests about, by leader.
#[derive(Default)]
struct Inquiries {
    stored: Vec<usize>,
    bounds: BTreeMap<i32, Vec<(usize, Target)>>,
    offsets: BTreeMap<i32, Vec<(usize, Target)>>,
    epochs: BTreeMap<i32, Vec<usize>>,
}

impl ConsumerCore {
    /// Asks about every position that is not known, one request for each leader.
    pub(super) fn plan_inquiries(&mut self, now: Instant) {
        let due: Vec<usize> = self.schedule.due().collect();
        if due.is_empty() {
            return;
        }
        let mut inquiries = Inquiries::default();
        for slot in due {
            self.sort_inquiry(now, slot, &mut inquiries);
        }
        self.request_stored(inquiries.stored);
        for (node, targets) in inquiries.bounds {
            self.request_offsets(now, node, &targets, true);
        }
        for (node, targets) in inquiries.offsets {
            self.request_offsets(now, node, &targets, false);
        }
        for (node, slots) in inquiries.epochs {
            self.request_epochs(node, &slots);
        }
        self.reindex();
    }

    fn sort_inquiry(&mut self, now: Instant, slot: usize, inquiries: &mut Inquiries) {
        let Some(partition) = self.slots.get(slot) else { return };
        let inquiry = partition.inquiry();
        if inquiry == Some(Inquiry::Stored) {
            inquiries.stored.push(slot);
        }
        if partition.lacks_leader() {
            return self.await_leader(now, slot);
        }
        let Some(leader) = partition.leader() else { return };
        if partition.inquires_bound() {
            inquiries.bounds.entry(leader).or_default().push((slot, Target::Latest));
        }
        match inquiry {
            Some(Inquiry::EpochEnd) if partition.awaits_epoch() => self.await_epoch(now, slot),
            Some(Inquiry::EpochEnd) => inquiries.epochs.entry(leader).or_default().push(slot),
            Some(Inquiry::Offset(target)) => inquiries.offsets.entry(leader).or_default().push((slot, target)),
            Some(Inquiry::Stored) | None => {}
        }
    }

    fn request_stored(&mut self, slots: Vec<usize>) {
        if slots.is_empty() {
            return;
        }
        let Some(group) = self.config.group.clone() else {
            for slot in slots {
                let generation = self.generation();
                if let Some(partition) = self.slots.get_mut(slot) {
                    partition.start_otherwise(generation);
                }
            }
            return;
        };
        let grouped = self.topics_of_slots(&slots, |partition, _| (partition.topic_id(), partition.key().partition));
        let topics = grouped.into_iter().map(|(name, partitions)| OffsetFetchTopic {
            name,
            id: partitions.first().map(|(id, _)| *id).unwrap_or_default(),
            partitions: partitions.into_iter().map(|(_, partition)| partition).collect(),
        });
        let request = OffsetFetchRequest {
            groups: vec![OffsetFetchGroup { group, member: None, member_epoch: -1, topics: Some(topics.collect()) }],
            // An offset that a transaction may still take back is waited for (KIP-447).
            require_stable: true,
        };
        let begun = slots.into_iter().filter_map(|slot| self.begin_lookup(slot)).collect();
        let tag = self.tag(Pending::Stored(begun));
        self.actions.push_back(Action::OffsetFetch { tag, request });
    }

    fn request_offsets(&mut self, now: Instant, node: i32, targets: &[(usize, Target)], of_bounds: bool) {
        let slots: Vec<usize> = targets.iter().map(|(slot, _)| *slot).collect();
        let unix_ms = self.unix_ms(now);
        let grouped = self.topics_of_slots(&slots, |partition, at| ListOffsetsPartition {
            index: partition.key().partition,
            current_leader_epoch: partition.leader_epoch(),
            timestamp: targets[at].1.timestamp(unix_ms),
        });
        let topics = grouped.into_iter().map(|(name, partitions)| ListOffsetsTopic { name, partitions }).collect();
        let isolation = self.config.isolation.to_wire();
        let request = ListOffsetsRequest { isolation, timeout_ms: TIMEOUT_MS, topics };
        let pending = if of_bounds {
            let mut begin = |slot: usize| Some(self.slots.get_mut(slot)?.begin_bound_lookup(slot));
            Pending::Bounds(slots.into_iter().filter_map(&mut begin).collect())
        } else {
            let begun = targets.iter().filter_map(|(slot, target)| Some((self.begin_lookup(*slot)?, *target)));
            Pending::Offsets(begun.collect())
        };
        let tag = self.tag(pending);
        self.actions.push_back(Action::ListOffsets { node, tag, request });
    }

    fn request_epochs(&mut self, node: i32, slots: &[usize]) {
        let grouped = self.topics_of_slots(slots, |partition, _| EpochPartition {
            index: partition.key().partition,
            current_leader_epoch: partition.leader_epoch(),
            leader_epoch: partition.fetch().epoch,
        });
        let topics = grouped.into_iter().map(|(name, partitions)| EpochTopic { name, partitions }).collect();
        let begun = slots.iter().filter_map(|slot| self.begin_lookup(*slot)).collect();
        let tag = self.tag(Pending::EpochEnd(begun));
        self.actions.push_back(Action::EpochEnd { node, tag, request: OffsetForLeaderEpochRequest { topics } });
    }

    /// Groups the entries of a request by topic. `describe` also takes the index in `slots`.
    fn topics_of_slots<T>(
        &self,
        slots: &[usize],
        describe: impl Fn(&Partition, usize) -> T,
    ) -> Vec<(crate::types::TopicName, Vec<T>)> {
        let partitions = slots.iter().enumerate().filter_map(|(at, slot)| Some((at, self.slots.get(*slot)?)));
        by_topic(partitions.map(|(at, partition)| (partition.key().topic.clone(), describe(partition, at))))
    }

    /// Marks that a request about the position is in flight.
    fn begin_lookup(&mut self, slot: usize) -> Option<Lookup> {
        Some(self.slots.get_mut(slot)?.begin_lookup(slot))
    }

    /// A request about the position is over. Returns the partition if the response counts and is still waited for.
    pub(super) fn end_lookup(
        &mut self,
        lookup: &Lookup,
        is_awaited: impl FnOnce(&Partition) -> bool,
    ) -> Option<&mut Partition> {
        let partition = self.slots.get_mut(lookup.slot)?;
        (partition.end_lookup(lookup) && is_awaited(partition)).then_some(partition)
    }
}
