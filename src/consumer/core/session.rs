//! A fetch session with one broker (KIP-227): the broker remembers the partitions, so that only changes are sent.
//!
//! ```text
//! full, no session --id--> incremental 1, 2, … --any failure--> full, closing the old session
//!         ^--------- the broker gives no id, or forgot it ---------+
//! ```
//!
//! `FetchSessionHandler` and `FetchMetadata` in Java.

use std::collections::BTreeMap;
use std::collections::HashSet;

use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicPartition;

/// A partition in a session, as it was last sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) topic_id: TopicId,
    pub(super) offset: i64,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    pub(super) bytes_max: i32,
}

/// An entry, and the last response that was about it.
#[derive(Debug)]
struct Sent {
    entry: Entry,
    responded: u64,
}

/// The session fields of a request, with slots for partitions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) sent: Vec<usize>,
    /// Each with the topic id it was sent under.
    pub(super) forgotten: Vec<(usize, TopicId)>,
    /// Partitions that are not assigned any more.
    pub(super) revoked: HashSet<(TopicPartition, TopicId)>,
}

const NO_SESSION: i32 = 0;
/// Asks for all partitions, and for a session.
const INITIAL: i32 = 0;
/// Ends the session.
const FINAL: i32 = -1;

#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    /// The epoch of the next request.
    epoch: i32,
    entries: BTreeMap<usize, Sent>,
    /// Entries that the next request forgets.
    leaving: BTreeMap<usize, Sent>,
    /// Partitions that were entries when they were revoked. The next request forgets them.
    revoked: HashSet<(TopicPartition, TopicId)>,
    /// How many partitions the last full request named.
    named: usize,
    /// Counts responses.
    responses: u64,
}

impl Session {
    /// Makes the next request, which names `wanted` as far as it differs from what the broker has, and forgets what left.
    ///
    /// The broker is taken to have it from now on. Where that turns out wrong, [`Session::failed`] starts over.
    pub(super) fn next(&mut self, wanted: &[(usize, &TopicPartition, Entry)]) -> Plan {
        let mut plan = Plan { id: self.id, epoch: self.epoch, ..Plan::default() };
        let is_full = self.is_full();
        for (slot, key, entry) in wanted {
            let before = self.entries.insert(*slot, Sent { entry: *entry, responded: 0 });
            let before = before.or(self.leaving.remove(slot)).map(|sent| sent.entry);
            if is_full || before == Some(*entry) {
                continue;
            }
            if let Some(before) = before.filter(|before| before.topic_id != entry.topic_id) {
                plan.forgotten.push((*slot, before.topic_id));
            }
            if !self.revoked.is_empty() {
                // Brokers forget after they add: one that came back is named and not forgotten.
                self.revoked.remove(&((*key).clone(), entry.topic_id));
            }
            plan.sent.push(*slot);
        }
        let left = std::mem::take(&mut self.leaving);
        if is_full {
            // It closes the old session with all that was in it.
            self.revoked.clear();
            plan.sent = self.entries.keys().copied().collect();
            self.named = plan.sent.len();
            return plan;
        }
        plan.forgotten.extend(left.into_iter().map(|(slot, sent)| (slot, sent.entry.topic_id)));
        plan.revoked = std::mem::take(&mut self.revoked);
        plan
    }

    /// Whether the next request fetches nothing unless it names more.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the partition was last sent with this entry.
    pub(super) fn has(&self, slot: usize, entry: &Entry) -> bool {
        let sent = self.entries.get(&slot).or_else(|| self.leaving.get(&slot));
        sent.is_some_and(|sent| sent.entry == *entry)
    }

    /// The next request forgets the partition.
    pub(super) fn leave(&mut self, slot: usize) {
        let left = self.entries.remove(&slot);
        self.leaving.extend(left.map(|sent| (slot, sent)));
    }

    /// The next request does not forget the partition after all.
    pub(super) fn stay(&mut self, slot: usize) {
        let stays = self.leaving.remove(&slot);
        self.entries.extend(stays.map(|sent| (slot, sent)));
    }

    /// The partition is not assigned any more. A response to what was sent of it does not count.
    pub(super) fn revoke(&mut self, slot: usize, key: &TopicPartition) {
        let left = self.leaving.remove(&slot);
        if let Some(sent) = self.entries.remove(&slot).or(left) {
            self.revoked.insert((key.clone(), sent.entry.topic_id));
        }
    }

    /// Takes what was sent of a partition that the current response is about: once for each response.
    pub(super) fn take_sent(&mut self, slot: usize) -> Option<Entry> {
        let sent = self.entries.get_mut(&slot).or_else(|| self.leaving.get_mut(&slot));
        let sent = sent.filter(|sent| sent.responded != self.responses)?;
        sent.responded = self.responses;
        Some(sent.entry)
    }

    /// The partitions that the broker has.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> {
        self.entries.keys().chain(self.leaving.keys()).copied()
    }

    /// Those of them that the next request does not forget.
    pub(super) fn staying(&self) -> impl Iterator<Item = usize> {
        self.entries.keys().copied()
    }

    /// A response came, with the id it carries and the number of partitions it is about. Returns whether it is in order.
    pub(super) fn handle_response(&mut self, id: i32, responded: usize, throttled: bool) -> bool {
        self.responses += 1;
        if self.epoch == INITIAL {
            // A throttled response is empty, and opens no session.
            if responded != self.named && !(responded == 0 && throttled) {
                self.failed();
                return false;
            }
            (self.id, self.epoch) = if id > NO_SESSION { (id, 1) } else { (NO_SESSION, INITIAL) };
            return true;
        }
        if id == NO_SESSION {
            // The broker dropped the session while answering.
            (self.id, self.epoch) = (NO_SESSION, INITIAL);
            return true;
        }
        if id != self.id {
            self.failed();
            return false;
        }
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        true
    }

    /// The broker refused the request as a whole.
    pub(super) fn refused(&mut self, code: Code) {
        self.failed();
        if code == Code::FetchSessionIdNotFound {
            self.id = NO_SESSION;
        }
    }

    /// The session of the broker is unknown. The next request is full, and ends the session it names.
    pub(super) fn failed(&mut self) {
        self.epoch = INITIAL;
    }

    /// Whether the next request names every partition.
    pub(super) fn is_full(&self) -> bool {
        self.epoch == INITIAL
    }

    /// Ends the session, if there is one.
    pub(super) fn close(&mut self) -> Option<Plan> {
        let id = std::mem::take(self).id;
        (id != NO_SESSION).then_some(Plan { id, epoch: FINAL, ..Plan::default() })
    }
}
