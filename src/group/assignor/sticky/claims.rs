//! The partitions that members claim to have, and who is believed.

use crate::group::assignor::layout::Layout;
use crate::wire::consumer_protocol::StickyUserData;
use crate::wire::consumer_protocol::TopicPartitions;
use crate::wire::consumer_protocol::decode_generation;

/// The generation of a member that has none (`AbstractStickyAssignor.DEFAULT_GENERATION`).
const NO_GENERATION: i32 = -1;

/// A member's claims.
#[derive(Debug)]
pub(super) struct Claims {
    /// The places of partitions that exist, in the member's order.
    partitions: Vec<usize>,
    /// The generation in which it got them.
    generation: i32,
    /// The generation in its subscription, by which others judge its claims. Data of older members leads to another one, since Java
    /// looks at two places.
    subscribed_in: i32,
}

impl Claims {
    /// The claims in the user data of `sticky`. Data that cannot be read claims nothing, as in Java.
    pub(super) fn from_user_data(layout: &Layout<'_>) -> Vec<Self> {
        let claims = layout.members.iter().map(|member| {
            let data = member.user_data.clone().filter(|data| !data.is_empty());
            let data = data.and_then(|data| StickyUserData::decode(data).ok()).unwrap_or_default();
            let partitions = TopicPartitions::flatten(&data.partitions);
            Self {
                partitions: partitions.iter().filter_map(|partition| layout.place(partition)).collect(),
                generation: data.generation.unwrap_or(NO_GENERATION),
                subscribed_in: member.generation.unwrap_or(NO_GENERATION),
            }
        });
        claims.collect()
    }

    /// The claims of cooperative members. Subscriptions before version 2 have the generation in the user data.
    pub(super) fn from_owned(layout: &Layout<'_>) -> Vec<Self> {
        let claims = layout.members.iter().map(|member| {
            let of_data = || member.user_data.clone().and_then(|data| decode_generation(data).ok());
            Self {
                partitions: member.owned.iter().filter_map(|partition| layout.place(partition)).collect(),
                generation: member.generation.or_else(of_data).unwrap_or(NO_GENERATION),
                subscribed_in: member.generation.unwrap_or(NO_GENERATION),
            }
        });
        claims.collect()
    }
}

/// A member that has partitions of a generation that is not the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Previous {
    pub(super) member: usize,
    generation: i32,
}

/// The claims without contradictions.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The partitions of each member. No partition is in two lists.
    pub(super) owned: Vec<Vec<usize>>,
    /// The partitions that several members claim with equal right. Nobody owns them, or a member of a later generation does.
    pub(super) contested: Vec<bool>,
    last_generation: i32,
}

impl Resolved {
    /// Believes the later generation, and nobody where generations are equal (KIP-792). Members are heard in the order of a Java
    /// leader, which decides if more than two claim a partition.
    pub(super) fn new(layout: &Layout<'_>, claims: &[Claims], hashed: &[usize]) -> Self {
        let mut contested = vec![false; layout.partitions()];
        // The member that claimed each partition last, and the one that owns it.
        let mut claimant: Vec<Option<usize>> = vec![None; layout.partitions()];
        let mut owner: Vec<Option<usize>> = vec![None; layout.partitions()];
        for member in hashed.iter().copied() {
            let own = &claims[member];
            for partition in own.partitions.iter().copied() {
                match claimant[partition].map(|other| claims[other].subscribed_in) {
                    Some(other) if own.generation < other => continue,
                    Some(other) if own.generation == other => {
                        contested[partition] = true;
                        owner[partition] = None;
                    }
                    _ => owner[partition] = Some(member),
                }
                claimant[partition] = Some(member);
            }
        }
        let owned = claims.iter().enumerate().map(|(member, claims)| {
            let mut owned = Vec::new();
            for partition in claims.partitions.iter().copied() {
                if owner[partition] == Some(member) {
                    // A partition that is claimed twice is taken once.
                    owner[partition] = None;
                    owned.push(partition);
                }
            }
            owned
        });
        let owned = owned.collect();
        let generations = claims.iter().map(|claims| claims.generation);
        Self { owned, contested, last_generation: generations.fold(NO_GENERATION, i32::max) }
    }

    /// The members that had each partition before the last generation, the latest of them.
    pub(super) fn previous(&self, claims: &[Claims], hashed: &[usize]) -> Vec<Option<Previous>> {
        let mut previous: Vec<Option<Previous>> = vec![None; self.contested.len()];
        for member in hashed.iter().copied() {
            let Claims { partitions, generation, .. } = &claims[member];
            for partition in partitions.iter().filter(|_| *generation < self.last_generation) {
                if previous[*partition].is_none_or(|other| *generation > other.generation) {
                    previous[*partition] = Some(Previous { member, generation: *generation });
                }
            }
        }
        previous
    }
}
