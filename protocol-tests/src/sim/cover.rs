//! The state of a group at the end of a run: every partition has one owner, and none has more than its share.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use fastrand::Rng;
use ottla::internals::wire::Api;
use ottla::mock;

use super::Role;
use super::Setting;
use super::World;
use super::ghost::Place;
use super::setting::Odd;
use super::team::Team;

impl World {
    /// The subscriptions of the members that are in the group.
    fn subscriptions(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let of = |client: &super::Client| match &client.role {
            Role::Reader(reader) if reader.is_member(&self.ctx) && !reader.is_out() => {
                Some((reader.number(), reader.subscription(&self.ctx)))
            }
            Role::Reader(_) | Role::Writer(_) => None,
        };
        self.clients.iter().filter_map(of).collect()
    }

    /// The topics that members subscribe to.
    pub(super) fn subscribed(&self) -> BTreeSet<usize> {
        self.subscriptions().into_values().flatten().collect()
    }

    /// A partition that a member should own, and that does not have one owner.
    pub(super) fn unowned(&self) -> Option<(Place, Vec<usize>)> {
        if self.ctx.setting.members == 0 {
            return None;
        }
        let topics = self.subscribed();
        let exists = |place: &Place| self.ctx.ghost.logs.get(place).is_some_and(|log| log.exists);
        let places = self.ctx.places().filter(|place| topics.contains(&place.0) && exists(place));
        let owners = places.map(|place| (place, self.ctx.ghost.owners_of(place)));
        owners.into_iter().find(|(_, owners)| owners.len() != 1)
    }

    /// Members with the same subscription own as many partitions of each topic, or one more or less. Returns how
    /// many each of them owns where that is not so, or not yet: one that returned gets its share only after the next heartbeat of one that
    /// has more.
    pub(super) fn imbalance(&self) -> Option<BTreeMap<usize, usize>> {
        let subscriptions = self.subscriptions();
        let all: BTreeSet<&BTreeSet<usize>> = subscriptions.values().collect();
        if all.len() != 1 {
            return None;
        }
        let mut counts: BTreeMap<usize, usize> = subscriptions.keys().map(|member| (*member, 0)).collect();
        let places: Vec<Place> = self.ctx.places().collect();
        for topic in 0..self.ctx.topics.len() {
            let by_topic = self.ctx.team.is_balanced_by_topic();
            if by_topic {
                counts = counts.into_keys().map(|member| (member, 0)).collect();
            }
            for owner in
                places.iter().filter(|place| place.0 == topic).flat_map(|place| self.ctx.ghost.owners_of(*place))
            {
                *counts.entry(owner).or_default() += 1;
            }
            let is_whole = by_topic || topic + 1 == self.ctx.topics.len();
            let (least, most) = (counts.values().min().copied(), counts.values().max().copied());
            if is_whole && most.zip(least).is_some_and(|(most, least)| most > least + 1) {
                return Some(counts);
            }
        }
        None
    }
}

/// Brokers for a group.
pub(super) fn with_group(builder: mock::Builder, setting: &Setting, rng: &mut Rng) -> mock::Builder {
    let mut builder = Team::draw(setting).brokers(builder);
    if setting.has_odd(Odd::OldVersions) {
        for api in [Api::JoinGroup, Api::SyncGroup, Api::Heartbeat, Api::LeaveGroup] {
            let (low, high) = api.versions();
            builder = builder.versions(api.key(), low, rng.i16(low..=high));
        }
    }
    builder
}
