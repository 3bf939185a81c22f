//! A fetch session with one broker (KIP-227): what the broker remembers of what we want, so that only changes are sent.
//!
//! ```text
//! full, no session --id--> incremental 1, 2, … --any trouble--> full, closing the old session
//!         ^--------- the broker gives no id, or forgot it ---------+
//! ```
//!
//! `FetchSessionHandler` and `FetchMetadata` in Java.

use std::collections::BTreeMap;

use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;

/// A partition in a session, as it was last sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) topic_id: TopicId,
    pub(super) generation: u64,
    pub(super) offset: i64,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    pub(super) bytes_max: i32,
}

impl Entry {
    /// Whether the broker has to be told; the generation is ours alone.
    fn differs(&self, other: &Self) -> bool {
        (self.topic_id, self.offset, self.leader_epoch, self.bytes_max)
            != (other.topic_id, other.offset, other.leader_epoch, other.bytes_max)
    }

    /// Whether an answer to this one is an answer to the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.generation == other.generation && !self.differs(other)
    }
}

/// What a request says of the session, by slots of partitions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) sent: Vec<usize>,
    /// Each with the topic id it was sent under.
    pub(super) forgotten: Vec<(usize, TopicId)>,
}

const NO_SESSION: i32 = 0;
/// Asks for all partitions, and for a session.
const INITIAL: i32 = 0;
/// Ends the session.
const FINAL: i32 = -1;

#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    /// What the next request has.
    epoch: i32,
    entries: BTreeMap<usize, Entry>,
}

impl Session {
    /// Makes the next request: all of `wanted`, or what differs from what the broker has.
    ///
    /// The broker is taken to have it from now on. Where that turns out wrong, [`Session::failed`] starts over.
    pub(super) fn next(&mut self, wanted: BTreeMap<usize, Entry>) -> Plan {
        let mut plan = Plan { id: self.id, epoch: self.epoch, ..Plan::default() };
        if self.epoch == INITIAL {
            plan.sent = wanted.keys().copied().collect();
            self.entries = wanted;
            return plan;
        }
        for (slot, entry) in &wanted {
            match self.entries.get(slot) {
                None => plan.sent.push(*slot),
                Some(before) if before.differs(entry) => {
                    if before.topic_id != entry.topic_id {
                        plan.forgotten.push((*slot, before.topic_id));
                    }
                    plan.sent.push(*slot);
                }
                Some(_) => {}
            }
        }
        let gone = self.entries.iter().filter(|(slot, _)| !wanted.contains_key(slot));
        plan.forgotten.extend(gone.map(|(slot, entry)| (*slot, entry.topic_id)));
        self.entries = wanted;
        plan
    }

    /// What was sent of a partition.
    pub(super) fn entry(&self, slot: usize) -> Option<&Entry> {
        self.entries.get(&slot)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = usize> {
        self.entries.keys().copied()
    }

    /// A response came, with the id it carries and the partitions it is about. Answers whether it is in order.
    pub(super) fn answered(&mut self, id: i32, answered: usize, throttled: bool) -> bool {
        if self.epoch == INITIAL {
            // A throttled broker answers nothing, and opens no session.
            if answered != self.entries.len() && !(answered == 0 && throttled) {
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

    /// Nobody knows what the broker has. The next request is full, and ends the session it names.
    pub(super) fn failed(&mut self) {
        self.epoch = INITIAL;
    }

    /// Whether the next request asks for everything.
    pub(super) fn is_full(&self) -> bool {
        self.epoch == INITIAL
    }

    /// Forgets a partition that is no longer ours.
    pub(super) fn close(&mut self) -> Option<Plan> {
        let id = std::mem::take(self).id;
        (id != NO_SESSION).then_some(Plan { id, epoch: FINAL, ..Plan::default() })
    }
}
