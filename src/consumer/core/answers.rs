//! Takes what brokers say about positions.

use std::collections::HashMap;
use std::time::Instant;

use super::ConsumerCore;
use super::Pending;
use super::position::Lookup;
use super::position::Partition;
use super::position::Target;
use crate::error::Code;
use crate::error::Error;
use crate::reading::Position;
use crate::wire::message::EpochEnd;
use crate::wire::message::FetchedOffset;
use crate::wire::message::ListOffsetsResponse;
use crate::wire::message::ListedPartition;
use crate::wire::message::OffsetFetchResponse;
use crate::wire::message::OffsetForLeaderEpochResponse;

impl ConsumerCore {
    pub(super) fn bounded(&mut self, now: Instant, lookups: &[Lookup], response: &ListOffsetsResponse) {
        for lookup in lookups {
            let Some(partition) = self.slots.get_mut(lookup.slot) else { continue };
            if !partition.end_bound_lookup(lookup) {
                continue;
            }
            match find(partition, Target::Latest, response) {
                Ok(listed) => partition.bound_found(listed.offset),
                Err((code, why)) => self.partition_failed(now, lookup.slot, code, why),
            }
        }
    }

    pub(super) fn listed(&mut self, now: Instant, lookups: &[(Lookup, Target)], response: &ListOffsetsResponse) {
        let policy = self.config.reset;
        for (lookup, target) in lookups {
            let Some(partition) = self.end_lookup(lookup, |partition| partition.awaits_offset(*target)) else {
                continue;
            };
            match find(partition, *target, response) {
                Ok(listed) => partition.listed(*target, listed, policy),
                Err((code, why)) => self.partition_failed(now, lookup.slot, code, why),
            }
        }
    }

    pub(super) fn stored(&mut self, now: Instant, lookups: Vec<Lookup>, response: &OffsetFetchResponse) {
        let group = self.config.group.as_deref().and_then(|group| response.group(group));
        let refused = group.and_then(|group| group.error);
        // A group that was never used has committed nothing. Kafka reports that for each partition, other brokers for the group.
        if refused == Some(Code::GroupIdNotFound) {
            for lookup in lookups {
                let generation = self.generation();
                if let Some(partition) = self.end_lookup(&lookup, Partition::awaits_stored) {
                    partition.start_otherwise(generation);
                }
            }
            return;
        }
        if let Some(code) = refused {
            let error = Error::broker(code, "could not read the committed offsets");
            return self.request_failed(now, Pending::Stored(lookups), &error);
        }
        let mut found: HashMap<usize, &FetchedOffset> = HashMap::new();
        for topic in group.iter().flat_map(|group| &group.topics) {
            let name = if topic.name.is_empty() {
                self.snapshot.topic_by_id(topic.id).map(|topic| topic.name.clone()).unwrap_or_default()
            } else {
                topic.name.clone()
            };
            for offset in &topic.partitions {
                if let Some(slot) = self.slots.find(&name, offset.index) {
                    found.entry(slot).or_insert(offset);
                }
            }
        }
        for lookup in lookups {
            let generation = self.generation();
            let Some(partition) = self.end_lookup(&lookup, Partition::awaits_stored) else { continue };
            match found.get(&lookup.slot) {
                None => self.partition_failed(
                    now,
                    lookup.slot,
                    Code::UnknownServerError,
                    "the response has no committed offset",
                ),
                // Version 1 reports an unknown group for each partition.
                Some(FetchedOffset { error: Some(Code::GroupIdNotFound), .. }) => partition.start_otherwise(generation),
                Some(FetchedOffset { error: Some(code), .. }) => {
                    self.partition_failed(now, lookup.slot, *code, "could not read the committed offset");
                }
                Some(stored) if stored.offset < 0 => partition.start_otherwise(generation),
                Some(stored) => {
                    partition.start_stored(Position { offset: stored.offset, epoch: stored.leader_epoch });
                }
            }
        }
    }

    /// Handles the end of an epoch: whether a new leader has the records that were read from the last one (KIP-320).
    ///
    /// The fetch position is validated. Where the leader has less, the queued records are dropped and the returned position
    /// is validated; if that is beyond the end as well, records that were returned have been removed from the log.
    pub(super) fn validated(&mut self, now: Instant, lookups: &[Lookup], response: &OffsetForLeaderEpochResponse) {
        let policy = self.config.reset;
        for lookup in lookups {
            let generation = self.generation();
            let Some(partition) = self.end_lookup(lookup, Partition::awaits_validation) else { continue };
            let key = partition.key();
            let topics = response.topics.iter().filter(|topic| topic.name == key.topic);
            match topics.flat_map(|topic| &topic.partitions).find(|end| end.index == key.partition) {
                None => self.partition_failed(
                    now,
                    lookup.slot,
                    Code::UnknownServerError,
                    "the response has no end of the epoch",
                ),
                Some(EpochEnd { error: Some(code), .. }) => {
                    self.partition_failed(now, lookup.slot, *code, "could not validate the position");
                }
                Some(end) => partition.validated(end, policy, generation),
            }
        }
    }

    /// The broker is too old for OffsetForLeaderEpoch requests.
    pub(super) fn cannot_validate(&mut self, lookups: &[Lookup]) {
        for lookup in lookups {
            if let Some(partition) = self.end_lookup(lookup, Partition::awaits_validation) {
                partition.skip_validation();
            }
        }
    }
}

/// The offset that the leader listed, or why there is none.
fn find<'r>(
    partition: &Partition,
    target: Target,
    response: &'r ListOffsetsResponse,
) -> Result<&'r ListedPartition, (Code, &'static str)> {
    let key = partition.key();
    match response.partition(&key.topic, key.partition) {
        None => Err((Code::UnknownServerError, "no offset was listed")),
        Some(ListedPartition { error: Some(code), .. }) => Err((*code, "could not list offsets")),
        // There may be no record of that time or later, but every log begins and ends somewhere.
        Some(listed) if listed.offset < 0 && !matches!(target, Target::Ago(_) | Target::Timestamp(_)) => {
            Err((Code::UnknownServerError, "an offset below zero was listed"))
        }
        Some(listed) => Ok(listed),
    }
}
