//! The leader's part: it assigns the partitions of the topics that members have subscribed to, and watches these topics.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Classic;
use super::Phase;
use crate::error::Code;
use crate::error::Kind;
use crate::group::assignor;
use crate::group::assignor::Assignor;
use crate::group::assignor::RebalanceProtocol;
use crate::metadata::Snapshot;
use crate::metadata::Topic;
use crate::types::TopicName;
use crate::types::inserted;
use crate::wire::consumer_protocol::Assignment;
use crate::wire::consumer_protocol::Subscription;
use crate::wire::consumer_protocol::TopicPartitions;
use crate::wire::consumer_protocol::VERSION;
use crate::wire::message::JoinedMember;
use crate::wire::message::MemberAssignment;

/// The members of the group, and the partitions that were assigned.
#[derive(Debug)]
pub(super) struct Leading {
    members: Vec<assignor::Member>,
    /// The topics of all subscriptions, with the number of partitions that was assigned; `None` for a topic that does not exist.
    counts: Vec<(TopicName, Option<u32>)>,
    /// The racks by which partitions were assigned (KIP-881), where this member has a rack itself.
    racks: BTreeMap<TopicName, assignor::Topic>,
    /// The coordinator has kept an assignment, which is not to be replaced (KIP-814).
    skip_assignment: bool,
}

impl Leading {
    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.counts.iter().map(|(topic, _)| topic)
    }

    /// Why the assignment does not fit the metadata any more, if so.
    ///
    /// As in Java, a leader without a rack does not follow racks (`ConsumerCoordinator.MetadataSnapshot`).
    pub(super) fn has_changed(&self, snapshot: &Snapshot) -> Option<&'static str> {
        if self.has_other_counts(snapshot) {
            return Some("the number of partitions of a topic changed");
        }
        self.has_other_racks(snapshot).then_some("the racks of a topic's replicas changed")
    }

    fn has_other_racks(&self, snapshot: &Snapshot) -> bool {
        let racks = if self.racks.is_empty() { Racks::new() } else { racks_of(snapshot) };
        self.racks.iter().any(|(name, assigned)| {
            let known = snapshot.topic(name).filter(|topic| topic.error.is_none());
            known.is_some_and(|topic| described(topic, &racks) != *assigned)
        })
    }

    fn has_other_counts(&self, snapshot: &Snapshot) -> bool {
        self.counts.iter().any(|(name, count)| match snapshot.topic(name).map(|topic| topic.error) {
            Some(None | Some(Code::UnknownTopicOrPartition | Code::UnknownTopicId)) => {
                count_of(snapshot, name) != *count
            }
            // An error that passes says nothing about the partitions.
            None | Some(Some(_)) => false,
        })
    }
}

/// The racks of brokers.
type Racks = HashMap<i32, Arc<str>>;

fn racks_of(snapshot: &Snapshot) -> Racks {
    snapshot.brokers().filter_map(|broker| Some((broker.id, Arc::from(broker.rack.as_deref()?)))).collect()
}

/// A topic as assignors see it.
fn described(topic: &Topic, racks: &Racks) -> assignor::Topic {
    let of = |partition: usize| topic.replicas.of(partition).iter().filter_map(|broker| racks.get(broker).cloned());
    assignor::Topic::with_racks((0..topic.partitions.len()).map(of))
}

fn count_of(snapshot: &Snapshot, topic: &TopicName) -> Option<u32> {
    let topic = snapshot.topic(topic).filter(|topic| topic.error.is_none())?;
    u32::try_from(topic.partitions.len()).ok()
}

impl Classic {
    /// Begins to lead a generation.
    pub(super) fn lead(&mut self, now: Instant, members: &[JoinedMember], skip_assignment: bool) {
        let members: Vec<assignor::Member> = members.iter().map(|member| self.subscribed(member)).collect();
        let topics: BTreeSet<TopicName> = inserted(members.iter().flat_map(|member| &member.topics).cloned());
        let counts = topics.into_iter().map(|topic| (topic, None)).collect();
        self.leading = Some(Leading { members, counts, racks: BTreeMap::new(), skip_assignment });
        self.follow();
        self.phase = Phase::Assigning { until: now + self.settings.request_timeout };
        self.assign_if_known(now);
    }

    /// A member with its subscription. One whose subscription cannot be read gets no partitions, and the others get theirs.
    fn subscribed(&self, member: &JoinedMember) -> assignor::Member {
        let subscription = Subscription::decode(Bytes::copy_from_slice(member.metadata())).unwrap_or_else(|error| {
            let (group, member) = (&self.settings.group, member.id());
            tracing::warn!(target: "ottla::group", group, member, %error, "subscription of a member cannot be read");
            Subscription::default()
        });
        let instance = member.instance().map(str::to_owned);
        assignor::Member::from_subscription(member.id().to_owned(), instance, subscription)
    }

    /// Assigns, once it is known of each topic which partitions it has or that it does not exist.
    pub(super) fn assign_if_known(&mut self, now: Instant) {
        let Some(leading) = &self.leading else { return };
        if leading.skip_assignment || leading.topics().all(|topic| self.snapshot.topic(topic).is_some()) {
            self.assign(now);
        }
    }

    /// Assigns by what is known.
    pub(super) fn assign(&mut self, now: Instant) {
        let (Some(mut leading), Some(at)) = (self.leading.take(), self.protocol) else { return };
        for (topic, count) in &mut leading.counts {
            *count = count_of(&self.snapshot, topic);
        }
        let topics = self.known_topics(&leading);
        let assignments =
            if leading.skip_assignment { Ok(Vec::new()) } else { self.assignments(&leading, topics.clone(), at) };
        let assignments = match assignments {
            Ok(assignments) => assignments,
            Err(error) => {
                let text = format!("the assignor {} failed: {error}", self.settings.assignors[at].name());
                return self.fail(self.standing.error(Kind::Config, text));
            }
        };
        let (group, generation, members) =
            (&self.standing.identity.group, self.standing.identity.generation, leading.members.len());
        tracing::info!(target: "ottla::group", group, generation, members, "partitions assigned to the members");
        if !self.settings.rack.is_empty() {
            leading.racks = topics;
        }
        self.leading = Some(leading);
        self.sync(now, assignments);
    }

    /// The topics of the group that exist, with the racks of their replicas (KIP-881).
    fn known_topics(&self, leading: &Leading) -> BTreeMap<TopicName, assignor::Topic> {
        let racks = racks_of(&self.snapshot);
        let known = leading.counts.iter().filter(|(_, count)| count.is_some());
        inserted(known.filter_map(|(name, _)| Some((name.clone(), described(self.snapshot.topic(name)?, &racks)))))
    }

    fn assignments(
        &self,
        leading: &Leading,
        topics: BTreeMap<TopicName, assignor::Topic>,
        at: usize,
    ) -> Result<Vec<MemberAssignment>, assignor::InvalidAssignment> {
        let mut group = assignor::Group::default();
        (group.members, group.topics) = (leading.members.clone(), topics);
        let assigned = self.settings.assignors[at].assign(&group);
        // As Java, whose cooperative assignor is not asked whether owners have given up what they claim: one that claims a partition of
        // an earlier generation has lost it (`ConsumerCoordinator.onLeaderElected`).
        let is_own = self.settings.assignors[at].name() == assignor::CooperativeSticky.name();
        assignor::check(&group, &assigned, if is_own { RebalanceProtocol::Eager } else { self.mode() })?;
        let of = |(member, assignment): (&assignor::Member, assignor::Assignment)| MemberAssignment {
            member: member.id.clone(),
            assignment: Assignment {
                partitions: TopicPartitions::group(&assignment.partitions),
                user_data: assignment.user_data,
            }
            .encode(VERSION),
        };
        Ok(group.members.iter().zip(assigned).map(of).collect())
    }

    /// The subscription of this member, with the data of one of its assignors.
    pub(super) fn subscription_for(&self, assignor: &dyn Assignor) -> Bytes {
        let topics: Vec<TopicName> = self.standing.subscription.iter().cloned().collect();
        let owned: Vec<_> = self.standing.owned.iter().cloned().collect();
        let subscription = Subscription {
            user_data: assignor.user_data(&topics, self.last.as_ref()),
            topics,
            owned: TopicPartitions::group(&owned),
            generation: Some(self.standing.identity.generation).filter(|generation| *generation >= 0),
            rack: Some(self.settings.rack.as_str()).filter(|rack| !rack.is_empty()).map(Box::from),
        };
        subscription.encode(VERSION)
    }
}
