//! Decides which responses about a topic are older than what is known, and when they are accepted nevertheless.

use std::collections::VecDeque;

use super::snapshot::Partition;
use super::snapshot::Topic;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::wire::message::MetadataPartition;
use crate::wire::message::MetadataTopic;

/// Responses in a row that contradict what is known of a topic before they are accepted.
///
/// Refreshes go round the brokers that work, so that one which lags behind is contradicted by the next. While a caller waits for
/// metadata they come about four times a second.
///
/// Java has no such limit. It follows a topic id back and forth. With brokers that know no topic ids (2.1 to 2.7) it keeps the leader
/// epochs of a topic that was deleted and recreated until the client is restarted (`Metadata.updateLatestMetadata`, KAFKA-12257).
pub(super) const CONTRADICTIONS_MAX: u32 = 16;

/// Replaced ids that are remembered of one topic.
const REPLACED_MAX: usize = 8;

/// The reasons to reject responses about one topic.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Former ids of the topic, the oldest first.
    replaced: VecDeque<TopicId>,
    /// Responses in a row that contradicted what is known.
    contradictions: u32,
    /// A broker reported the topic as missing after it was last described.
    was_gone: bool,
}

/// The way to treat a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Combine it with what is known, epoch by epoch.
    Merge,
    /// Ignore it: it is older than what is known.
    Stale,
    /// Replace what is known: it describes another topic of the same name.
    StartOver,
}

impl Doubts {
    /// Compares a response with what is known.
    pub(super) fn judge(&mut self, known: &Topic, reported: &MetadataTopic) -> Verdict {
        if self.replaced.contains(&reported.id) {
            return if self.contradicted() { Verdict::StartOver } else { Verdict::Stale };
        }
        if reported.error.is_some() {
            self.was_gone |= reported.error == Some(Code::UnknownTopicOrPartition);
            return Verdict::Merge;
        }
        let without_ids = known.id.is_zero() && reported.id.is_zero();
        if known.id != reported.id && !known.id.is_zero() && !reported.id.is_zero() {
            return Verdict::StartOver;
        }
        let was_gone = std::mem::take(&mut self.was_gone);
        if !is_older(known, reported, without_ids) {
            self.contradictions = 0;
            return Verdict::Merge;
        }
        // When a topic is recreated all its epochs begin again. A broker that merely lags behind reports most epochs as they are known.
        if without_ids && was_gone && starts_again(known, reported) {
            return Verdict::StartOver;
        }
        // The epochs of one topic id never go back.
        if without_ids && self.contradicted() { Verdict::StartOver } else { Verdict::Merge }
    }

    /// Counts a contradiction. Whether there were enough of them.
    fn contradicted(&mut self) -> bool {
        self.contradictions += 1;
        let is_enough = self.contradictions >= CONTRADICTIONS_MAX;
        if is_enough {
            self.contradictions = 0;
        }
        is_enough
    }

    /// Notes how a response changed the topic.
    pub(super) fn note(&mut self, before: &Topic, after: &Topic) {
        if before.id != after.id && !before.id.is_zero() {
            self.replaced.retain(|id| *id != after.id);
            self.replaced.push_back(before.id);
            while self.replaced.len() > REPLACED_MAX {
                self.replaced.pop_front();
            }
            (self.contradictions, self.was_gone) = (0, false);
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.replaced.len()
    }
}

/// Of two descriptions of a partition, the one with the newer epoch; the one that was reported if the epochs are the same.
pub(super) fn newer(old: Option<Partition>, reported: &MetadataPartition) -> Partition {
    let new = Partition { leader: Some(reported.leader).filter(|leader| *leader >= 0), epoch: reported.leader_epoch };
    match old {
        Some(old) if old.epoch > new.epoch && new.epoch.is_some() => old,
        _ => new,
    }
}

/// Whether a response has an older epoch than is known, or, without ids, fewer partitions.
fn is_older(known: &Topic, reported: &MetadataTopic, without_ids: bool) -> bool {
    let is_fewer = without_ids && reported.partitions.len() < known.partitions.len();
    is_fewer || pairs(known, reported).any(|(known, reported)| reported < known)
}

/// Whether a response has fewer partitions than are known, or only older epochs, apart from partitions that are in their first epoch.
fn starts_again(known: &Topic, reported: &MetadataTopic) -> bool {
    reported.partitions.len() < known.partitions.len()
        || pairs(known, reported).all(|(known, reported)| reported < known || Some(known) == LeaderEpoch::from_wire(0))
}

/// The leader epochs of partitions for which both are known.
fn pairs(known: &Topic, reported: &MetadataTopic) -> impl Iterator<Item = (LeaderEpoch, LeaderEpoch)> {
    reported.partitions.iter().filter_map(|reported| {
        let known = known.partitions.get(usize::try_from(reported.index).ok()?)?;
        Some((known.epoch?, reported.leader_epoch?))
    })
}
