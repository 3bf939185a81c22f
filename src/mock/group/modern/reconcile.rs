//! Leads a member to its target assignment (`CurrentAssignmentBuilder`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Instant;

use super::Member;
use super::Modern;
use super::Place;
use super::Progress;
use crate::mock::state::Topic;
use crate::types::TopicId;
use crate::types::TopicName;

/// Whether a member may still have a partition that it has to give up. One that does not say what it has may.
fn owns_any(owned: Option<&[Place]>, revoking: &BTreeMap<Place, i32>) -> bool {
    owned.is_none_or(|owned| owned.iter().any(|place| revoking.contains_key(place)))
}

impl Modern {
    /// Moves a member towards its target, as far as it and the others have given partitions up.
    pub(super) fn reconcile(
        &mut self,
        now: Instant,
        topics: &BTreeMap<TopicName, Topic>,
        at: usize,
        has_changed: bool,
        owned: Option<&[Place]>,
    ) {
        let member = &self.members[at];
        if !has_changed && member.is_reconciled_to(self.target_epoch) {
            return;
        }
        let subscribed: BTreeSet<TopicId> =
            self.subscription(member).filter_map(|name| Some(topics.get(name)?.id)).collect();
        let holds_back = match member.progress {
            Progress::Stable => member.epoch == self.target_epoch,
            Progress::Unrevoked => owns_any(owned, &member.revoking),
            Progress::Unreleased => false,
        };
        if !holds_back {
            self.advance(at, &subscribed, owned);
        } else if has_changed {
            self.members[at].unsubscribe(&subscribed, owned);
        } else {
            return;
        }
        let member = &mut self.members[at];
        let revokes = member.progress == Progress::Unrevoked;
        member.revokes_until = revokes.then(|| (now + member.rebalance_timeout, member.epoch));
    }

    /// `computeNextAssignment`.
    fn advance(&mut self, at: usize, subscribed: &BTreeSet<TopicId>, owned: Option<&[Place]>) {
        let member = &self.members[at];
        let target = self.target.get(&member.id);
        let target = target.into_iter().flatten().copied().filter(|(topic, _)| subscribed.contains(topic));
        let target: BTreeSet<Place> = target.collect();
        let (mut assigned, revoking) = split(&member.assigned, |place| target.contains(place));
        let wanted = target.iter().copied().filter(|place| !assigned.contains_key(place));
        let is_free =
            |place: &Place| member.revoking.contains_key(place) || !self.members.iter().any(|other| other.has(*place));
        let (free, taken): (Vec<Place>, Vec<Place>) = wanted.partition(is_free);
        let epoch = self.target_epoch;
        let member = &mut self.members[at];
        if !revoking.is_empty() && owns_any(owned, &revoking) {
            (member.progress, member.assigned, member.revoking) = (Progress::Unrevoked, assigned, revoking);
            return member.begin_epoch(member.epoch);
        }
        assigned.extend(free.into_iter().map(|place| (place, epoch)));
        member.progress = if taken.is_empty() { Progress::Stable } else { Progress::Unreleased };
        (member.assigned, member.revoking) = (assigned, BTreeMap::new());
        member.begin_epoch(epoch);
    }
}

impl Member {
    /// Takes away the partitions of topics that it has unsubscribed from, before there is a newer target (`updateCurrentAssignment`).
    fn unsubscribe(&mut self, subscribed: &BTreeSet<TopicId>, owned: Option<&[Place]>) {
        let (assigned, gone) = split(&self.assigned, |(topic, _)| subscribed.contains(topic));
        if gone.is_empty() {
            return;
        }
        self.assigned = assigned;
        let mut revoking = self.revoking.clone();
        revoking.extend(gone);
        if owns_any(owned, &revoking) {
            (self.progress, self.revoking) = (Progress::Unrevoked, revoking);
        }
        self.begin_epoch(self.epoch);
    }
}

/// The partitions that stay, and the others.
fn split(all: &BTreeMap<Place, i32>, stays: impl Fn(&Place) -> bool) -> (BTreeMap<Place, i32>, BTreeMap<Place, i32>) {
    all.iter().map(|(place, since)| (*place, *since)).partition(|(place, _)| stays(place))
}
