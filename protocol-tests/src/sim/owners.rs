//! The promises of a group: who may hand out records of a partition, what may be committed, and what a whole group has handed out.
//!
//! A member owns a partition from the step that assigned it to the end of the step that revoked it. Two members never own a partition
//! in one generation. In two generations they may: one that was taken for dead goes on with what it has until it learns of that, as
//! Kafka permits. So a newer owner may repeat records, but a commit of the older one must not be accepted any more: it would move the
//! group to before the offset at which the newer owner began.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use ottla::consumer::GroupMetadata;
use ottla::error::Code;
use ottla::error::Error;
use ottla::error::Kind;

use super::ghost::Ghost;
use super::ghost::Place;
use super::reading::Follow;

/// How often a member may join again once the world has healed: while others come back and sessions of the dead end.
const JOINS_MAX: u32 = 40;

/// A member, as the observer sees it.
#[derive(Debug, Default)]
struct Seat {
    generation: i32,
    losses: u64,
    joins: u32,
    beats: u64,
    /// Whether its coordinator has heard of it since the world healed.
    is_heard: bool,
}

/// The observer of a group.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The number of the first member; the readers before it assign partitions themselves.
    pub(super) first: Option<usize>,
    /// The owners of each partition, with the generation in which each got it last.
    holds: BTreeMap<Place, BTreeMap<usize, i32>>,
    seats: BTreeMap<usize, Seat>,
    /// The reader of each member id.
    ids: BTreeMap<String, usize>,
    /// How often each record was handed out, by its place, offset and number.
    handed: BTreeMap<(Place, i64, u64), u32>,
    /// A coordinator that moved forgets a generation that has no assignment yet, and its number comes again.
    numbers_repeat: bool,
    /// Records may have been handed out twice.
    repeats: bool,
    /// Partitions in which a user has sought.
    sought: BTreeSet<Place>,
    /// Partitions whose committed offset went back, or whose positions were moved.
    unsteady: BTreeSet<Place>,
}

impl Ghost {
    /// The number under which the commits of a reader are kept: that of its group.
    pub(super) fn ledger(&self, reader: usize) -> usize {
        self.owners.first.map_or(reader, |first| reader.min(first))
    }

    fn is_in_group(&self, reader: usize) -> bool {
        self.owners.first.is_some_and(|first| reader >= first)
    }

    /// The state of a member's machine.
    pub(super) fn is_member(&mut self, reader: usize, identity: &GroupMetadata, losses: u64) {
        let (has_healed, is_healthy) = (self.has_healed(), self.is_healthy());
        let seat = self.owners.seats.entry(reader).or_default();
        let joined = identity.generation > std::mem::replace(&mut seat.generation, identity.generation);
        seat.is_heard |= joined && has_healed;
        // A member that waits for the answer to a request of before, which was lost, is forgotten meanwhile.
        let lost = losses > std::mem::replace(&mut seat.losses, losses) && seat.is_heard;
        if !identity.member.is_empty() && !self.owners.ids.contains_key(&identity.member) {
            self.owners.ids.insert(identity.member.clone(), reader);
        }
        if lost && is_healthy {
            self.fail(|| format!("member {reader} was taken for dead in a healed world"));
        }
    }

    /// A member has taken an assignment.
    pub(super) fn took(&mut self, reader: usize, generation: i32, places: &BTreeSet<Place>) {
        if generation < 0 {
            self.fail(|| format!("member {reader} takes {places:?} without a generation"));
        }
        for place in places {
            let owners = self.owners.holds.entry(*place).or_default();
            owners.insert(reader, generation);
            let mut others = owners.iter().filter(|(other, _)| **other != reader);
            let (seats, repeat) = (&self.owners.seats, self.owners.numbers_repeat);
            let claims = |other: &usize, since: i32| {
                let has_joined = seats.get(other).is_some_and(|seat| seat.generation >= generation);
                since == generation || since < generation && has_joined && !repeat
            };
            if let Some((other, since)) = others.find(|(other, since)| claims(other, **since)) {
                let (other, since) = (*other, *since);
                let now = self.owners.seats.get(&other).map(|seat| seat.generation);
                return self.fail(|| {
                    format!(
                        "members {reader} and {other} both own {place:?} in generation {generation} ({other} since \
                         {since}, it is in {now:?})"
                    )
                });
            }
        }
    }

    /// The coordinator of a group moves, or crashes.
    pub(super) fn coordinator_moves(&mut self) {
        self.owners.numbers_repeat = true;
    }

    /// A member has given a partition up, or is dead.
    pub(super) fn gave_up(&mut self, reader: usize, place: Place) {
        if let Some(owners) = self.owners.holds.get_mut(&place) {
            owners.remove(&reader);
        }
        let follow = self.follows.get(&(reader, place));
        if follow.is_some_and(Follow::has_moved) {
            self.owners.unsteady.insert(place);
        }
    }

    /// The owners of a partition.
    pub(super) fn owners_of(&self, place: Place) -> Vec<usize> {
        self.owners.holds.get(&place).map(|owners| owners.keys().copied().collect()).unwrap_or_default()
    }

    /// The user of a member seeks.
    pub(super) fn seeks(&mut self, reader: usize, place: Place) {
        if self.is_in_group(reader) {
            self.owners.sought.insert(place);
            self.owners.unsteady.insert(place);
        }
    }

    /// Something happened after which records may be handed out twice.
    pub(super) fn excuse_repeats(&mut self) {
        self.owners.repeats = true;
    }

    /// A member joins the group, again or for the first time.
    pub(super) fn joins(&mut self, reader: usize) {
        let has_healed = self.has_healed();
        let seat = self.owners.seats.entry(reader).or_default();
        seat.joins += u32::from(has_healed);
        let joins = seat.joins;
        if joins > JOINS_MAX {
            self.fail(|| format!("member {reader} has joined {joins} times since the world has healed"));
        }
    }

    /// A member sends a heartbeat.
    pub(super) fn beats(&mut self, reader: usize) {
        let has_healed = self.has_healed();
        let seat = self.owners.seats.entry(reader).or_default();
        seat.beats += 1;
        seat.is_heard |= has_healed;
    }

    /// How many heartbeats a member has sent.
    pub(super) fn heartbeats(&self, reader: usize) -> u64 {
        self.owners.seats.get(&reader).map_or(0, |seat| seat.beats)
    }

    /// A membership ended with an error.
    pub(super) fn membership_failed(&mut self, now: u64, reader: usize, error: &Error) {
        // A request to join that was late may have taken the name of a static member from it.
        // In KIP-848 the name of one that died is not free before its session ends.
        let may = [
            Code::FencedInstanceId,
            Code::GroupAuthorizationFailed,
            Code::UnknownServerError,
            Code::UnreleasedInstanceId,
        ];
        let is_refused = error.kind() == Kind::Authentication || error.code().is_some_and(|code| may.contains(&code));
        let is_allowed = is_refused && !self.is_healthy();
        if !is_allowed {
            self.fail(|| format!("member {reader} failed at {now}: {error}"));
        }
    }

    /// A commit for the group took effect.
    pub(super) fn stored_for_group(&mut self, place: Place, before: Option<i64>, offset: i64) {
        if before.is_some_and(|before| offset < before) {
            self.owners.unsteady.insert(place);
        }
        let asked = self.owners.first.and_then(|first| self.asked.get(&(first, place)));
        if asked.is_none_or(|asked| !asked.has(offset)) {
            return self.fail(|| format!("{offset} of {place:?} is committed, which no member has asked for"));
        }
        let owners = self.owners.holds.get(&place);
        let Some((newest, generation)) = owners.and_then(|owners| owners.iter().max_by_key(|(_, since)| **since))
        else {
            return;
        };
        let (newest, generation) = (*newest, *generation);
        let (Some(follow), Some(shadow)) = (self.follows.get(&(newest, place)), self.logs.get(&place)) else { return };
        // A topic that was deleted and created again has other partitions of the same names, which another member may still read.
        if shadow.breaks > 0 {
            return;
        }
        let Some(began) = follow.steady(shadow).filter(|_| self.lies == 0 && !self.owners.sought.contains(&place))
        else {
            return;
        };
        if offset < began {
            self.fail(|| {
                format!(
                    "{offset} of {place:?} is committed, where member {newest} of generation {generation} began at {began}"
                )
            });
        }
    }

    /// A commit of a member took effect in a generation in which the members with these ids have the partition.
    pub(super) fn accepted_commit(&mut self, sender: usize, place: Place, owners: &[String]) {
        // A topic that was deleted and created again has other partitions of the same names.
        if self.logs.get(&place).is_some_and(|log| log.breaks > 0) {
            return;
        }
        let foreign = owners.iter().filter_map(|id| self.owners.ids.get(id)).find(|owner| **owner != sender);
        if let Some(owner) = foreign.copied() {
            self.fail(|| format!("member {sender} has committed in {place:?}, which member {owner} is assigned"));
        }
    }

    /// A member has handed a record out.
    pub(super) fn handed_out(&mut self, reader: usize, place: Place, offset: i64, value: u64) {
        if self.is_in_group(reader) {
            *self.owners.handed.entry((place, offset, value)).or_default() += 1;
        }
    }

    /// Checks at the end that the group has handed out every record of these topics, and none twice without a reason.
    pub(super) fn check_group(&mut self, topics: &BTreeSet<usize>, commits_itself: bool) {
        let Some(first) = self.owners.first else { return };
        let mut wrong = None;
        for (place, shadow) in self.logs.iter().filter(|(place, log)| topics.contains(&place.0) && log.breaks == 0) {
            for (offset, value) in shadow.entries.iter().filter(|(offset, _)| *offset >= shadow.start) {
                let count = self.owners.handed.get(&(*place, *offset, *value)).copied().unwrap_or(0);
                let is_sought = self.owners.sought.contains(place);
                if count == 0 && !is_sought && self.must_return(first, *value, shadow.incarnation, *offset) {
                    wrong.get_or_insert_with(|| {
                        format!("the group has never handed out record {value} at {place:?}@{offset}")
                    });
                }
                let is_steady = !self.owners.repeats && !self.owners.unsteady.contains(place) && shadow.upheavals == 0;
                if count > 1 && commits_itself && is_steady {
                    wrong.get_or_insert_with(|| {
                        format!("the group has handed out record {value} at {place:?}@{offset} {count} times")
                    });
                }
            }
        }
        if let Some(wrong) = wrong {
            self.fail(|| wrong);
        }
    }
}
