//! Why an answer about a topic is not believed at once, and when it is believed after all.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use super::snapshot::Partition;
use super::snapshot::Topic;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::wire::message::MetadataPartition;
use crate::wire::message::MetadataTopic;

/// Answers in a row that contradict what is known of a topic before they are believed.
///
/// Refreshes go round the brokers that work, so that one which lags behind is contradicted by the next. While somebody waits for
/// metadata they come about four times a second.
///
/// Java has no such limit. It follows a topic id back and forth. With brokers that know no topic ids (2.1 to 2.7) it keeps the leader
/// epochs of a topic that was deleted and recreated until the client is restarted, and an epoch that was seen elsewhere for as long
/// (`Metadata.updateLatestMetadata`, KAFKA-12257).
pub(super) const CONTRADICTIONS_MAX: u32 = 16;

/// Replaced ids that are remembered of one topic.
const REPLACED_MAX: usize = 8;

/// The reasons to doubt answers about one topic.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Former ids of the topic, the oldest first.
    replaced: VecDeque<TopicId>,
    /// Answers in a row that contradicted what is known.
    contradictions: u32,
    /// A broker said that the topic does not exist, after it was last described.
    was_gone: bool,
    /// What metadata says of partitions whose leader epoch was seen elsewhere to be newer.
    outdated: BTreeMap<i32, Partition>,
}

/// What to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// To be combined with what is known, epoch by epoch.
    Merge,
    /// As `Merge`, after epochs that were seen elsewhere are dropped.
    Restore,
    /// Older than what is known: to be ignored.
    Stale,
    /// About another topic of the same name: nothing of the old one counts.
    StartOver,
}

impl Doubts {
    /// Compares an answer with what is known.
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
        // All epochs of a topic begin again when it is recreated, and a broker that lags behind in one of them says the rest as before.
        if without_ids && was_gone && starts_again(known, reported) {
            return Verdict::StartOver;
        }
        match (without_ids, self.outdated.is_empty()) {
            (true, _) if self.contradicted() => Verdict::StartOver,
            (false, false) if self.contradicted() => Verdict::Restore,
            // The epochs of one topic id never go back.
            _ => Verdict::Merge,
        }
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

    /// What metadata says, without the epochs that were seen elsewhere. They are dropped.
    pub(super) fn restore(&mut self, known: &Topic) -> Topic {
        let mut topic = known.clone();
        for (index, partition) in std::mem::take(&mut self.outdated) {
            let slot = usize::try_from(index).ok().and_then(|index| topic.partitions.get_mut(index));
            if let Some(slot) = slot {
                *slot = partition;
            }
        }
        topic
    }

    /// An epoch was seen elsewhere that is newer than the one in metadata, which says `known`.
    pub(super) fn expect_newer(&mut self, partition: i32, known: Partition) {
        if self.outdated.is_empty() {
            self.contradictions = 0;
        }
        self.outdated.entry(partition).or_insert(known);
    }

    /// The leader of the epoch that was seen elsewhere is known.
    pub(super) fn caught_up(&mut self, partition: i32) {
        self.outdated.remove(&partition);
    }

    /// Notes what an answer made of the topic.
    pub(super) fn note(&mut self, before: &Topic, reported: &MetadataTopic, after: &Topic) {
        if before.id != after.id && !before.id.is_zero() {
            self.replaced.retain(|id| *id != after.id);
            self.replaced.push_back(before.id);
            while self.replaced.len() > REPLACED_MAX {
                self.replaced.pop_front();
            }
            (self.contradictions, self.was_gone) = (0, false);
            self.outdated.clear();
        }
        for partition in &reported.partitions {
            if let Some(outdated) = self.outdated.get_mut(&partition.index) {
                *outdated = newer(Some(*outdated), partition);
            }
        }
        self.outdated.retain(|index, outdated| {
            let now = usize::try_from(*index).ok().and_then(|index| after.partitions.get(index));
            now.is_some_and(|now| now.epoch > outdated.epoch)
        });
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.replaced.len() + self.outdated.len()
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

/// Whether an answer has an older epoch than is known, or, without ids, fewer partitions.
fn is_older(known: &Topic, reported: &MetadataTopic, without_ids: bool) -> bool {
    let is_fewer = without_ids && reported.partitions.len() < known.partitions.len();
    is_fewer || pairs(known, reported).any(|(known, reported)| reported < known)
}

/// Whether an answer has fewer partitions than are known, or no epoch that is as new as the known one, unless that is the first.
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
