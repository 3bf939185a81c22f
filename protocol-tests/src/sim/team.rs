//! The group: the settings that its members share, and what its coordinator knows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use ottla::group::assignor::Assignor;
use ottla::group::assignor::RebalanceProtocol;
use ottla::group::assignor::by_name;
use ottla::group::assignor::common_protocol;
use ottla::internals::group::Classic;
use ottla::internals::group::Settings;
use ottla::internals::group::member::Machine;
use ottla::internals::group::modern;
use ottla::internals::wire::Api;
use ottla::internals::wire::consumer_protocol::Assignment;
use ottla::internals::wire::consumer_protocol::TopicPartitions;
use ottla::mock;
use ottla::mock::MemberDescription;
use ottla::types::TopicPartition;

use super::Context;
use super::event::Event;
use super::ghost::Place;
use super::setting::Fault;
use super::setting::Odd;
use super::setting::Setting;

/// The shortest session timeout that brokers allow.
const SESSION_MIN: Duration = Duration::from_millis(100);

/// The settings of the group.
#[derive(Debug)]
pub(super) struct Team {
    assignors: Vec<Arc<dyn Assignor>>,
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) poll_interval_max: Duration,
    /// `auto.commit.interval.ms`; `None` where the user commits.
    pub(super) auto_commit: Option<Duration>,
    /// Only committed records are read.
    pub(super) committed_only: bool,
    is_static: bool,
    /// The members have the protocol of KIP-848, with this assignor of the coordinator.
    remote: Option<&'static str>,
}

impl Team {
    pub(super) fn draw(setting: &Setting) -> Self {
        let mut rng = Rng::with_seed(setting.seed ^ 0x7ea3);
        let offers: &[&[&str]] = &[
            &["range"],
            &["roundrobin"],
            &["sticky"],
            &["cooperative-sticky"],
            &["cooperative-sticky"],
            &["range", "cooperative-sticky"],
        ];
        let offer = *rng.choice(offers).expect("some");
        let session_ms = rng.u64(200..1_500);
        let heartbeat_ms = session_ms / rng.u64(3..8);
        Self {
            assignors: offer.iter().map(|name| by_name(name).expect("it is built in")).collect(),
            session_timeout: Duration::from_millis(session_ms),
            heartbeat_interval: Duration::from_millis(heartbeat_ms),
            // A member learns of a rebalance by its next heartbeat, and has to join within this time.
            poll_interval_max: Duration::from_millis(heartbeat_ms * 2 + rng.u64(300..2_500)),
            auto_commit: (rng.u8(..4) != 0).then(|| Duration::from_millis(rng.u64(1..400))),
            committed_only: rng.bool() && setting.has(Fault::Transactions),
            is_static: setting.has_odd(Odd::StaticMembers),
            remote: rng
                .choice(&["uniform", "range"])
                .copied()
                .filter(|_| rng.u8(..3) == 0 && !setting.has_odd(Odd::OldVersions)),
        }
    }

    /// Whether members of the classic protocol keep their partitions during a rebalance.
    pub(super) fn is_cooperative(&self) -> bool {
        self.remote.is_none() && common_protocol(&self.assignors) == Some(RebalanceProtocol::Cooperative)
    }

    /// Whether each topic is shared out by itself.
    pub(super) fn is_balanced_by_topic(&self) -> bool {
        self.remote.unwrap_or(self.assignors[0].name()) == "range"
    }

    /// The machine of a member.
    pub(super) fn machine(&self, group: String, number: usize, request_timeout: Duration, seed: u64) -> Machine {
        let instance = self.is_static.then(|| format!("i{number}"));
        let (retry_backoff, retry_backoff_max) = (Duration::from_millis(10), Duration::from_millis(200));
        let (rack, poll_interval_max) = (String::new(), self.poll_interval_max);
        if let Some(assignor) = self.remote {
            let assignor = Some(assignor.to_owned());
            return Machine::Modern(Box::new(modern::Modern::new(modern::Settings {
                group,
                instance,
                rack,
                assignor,
                poll_interval_max,
                request_timeout,
                retry_backoff,
                retry_backoff_max,
                seed,
            })));
        }
        Machine::Classic(Box::new(Classic::new(Settings {
            group,
            instance,
            rack,
            assignors: self.assignors.clone(),
            session_timeout: self.session_timeout,
            heartbeat_interval: self.heartbeat_interval,
            poll_interval_max,
            request_timeout,
            retry_backoff,
            retry_backoff_max,
            seed,
        })))
    }

    /// Brokers for the group.
    pub(super) fn brokers(&self, builder: mock::Builder) -> mock::Builder {
        let builder = builder.session_timeout_min(SESSION_MIN).consumer_session_timeout(self.session_timeout);
        builder.consumer_heartbeat_interval(self.heartbeat_interval)
    }
}

/// The committed offsets of the group, if they may be about to change.
pub(super) type Commits = Option<Vec<(Place, Option<i64>)>>;

impl Context {
    /// The name of the group whose members are simulated.
    fn team_name(&self) -> String {
        super::reader::group(self.setting.readers)
    }

    /// The committed offsets before a request of this API.
    pub(super) fn committed_by_group(&self, api: i16) -> Commits {
        if self.setting.members == 0 || api != Api::OffsetCommit.key() {
            return None;
        }
        let group = self.team_name();
        Some(self.places().map(|place| (place, self.mock.committed(&group, &self.topics[place.0], place.1))).collect())
    }

    /// Lets the ghost check the commits that a request of a client has made.
    pub(super) fn check_committed(&mut self, client: usize, before: &Commits) {
        let Some(before) = before else { return };
        let group = self.team_name();
        for (place, before) in before {
            if self.mock.committed(&group, &self.topics[place.0], place.1) == *before {
                continue;
            }
            self.trace.count("commit of the group");
            let key = self.key(*place);
            let members = self.mock.describe_group(&group).map(|group| group.members).unwrap_or_default();
            let owners = members.iter().filter(|member| partitions_of(member).contains(&key));
            let owners: Vec<String> = owners.map(|member| member.id.clone()).collect();
            let sender = client.saturating_sub(self.setting.writers);
            self.ghost.accepted_commit(sender, *place, &owners);
        }
    }

    /// The partitions that the coordinator has assigned to a member, if it is in this generation and the assignment is known.
    pub(super) fn assigned_to(&self, member: &str, generation: i32) -> Option<BTreeSet<TopicPartition>> {
        let group = self.mock.describe_group(&self.team_name())?;
        let member = group.members.iter().find(|known| known.id == *member && !known.assignment.is_empty());
        member.filter(|_| group.generation == generation).map(|member| partitions_of(member).into_iter().collect())
    }

    /// Begins a rebalance of a group of static members of the classic protocol that may have left partitions without an owner, as Kafka
    /// does until something else begins one:
    ///
    /// - A member of a cooperative group that dies after it has given partitions up, and before it has joined again, gets its last
    ///   assignment back without a rebalance (KIP-345).
    /// - A leader that was away while the number of partitions changed gets its generation back without assigning, and watches from the
    ///   number that it finds then (KIP-814; `assignmentSnapshot = metadataSnapshot` in `ConsumerCoordinator.onLeaderElected`). Before
    ///   version 9 of JoinGroup it does not even learn that it leads, and nobody watches.
    /// - A member that returns with another subscription gets its last assignment back, unless the protocol changes
    ///   (`updateStaticMemberThenRebalanceOrCompleteJoin`).
    pub(super) fn free_stranded(&mut self) {
        if self.team.is_static && self.team.remote.is_none() {
            self.mock.rebalance_group(&self.team_name());
            self.poll_mock();
        }
    }

    /// Returns an event unless its client is stalled; then it happens later.
    pub(super) fn stalls(&mut self, event: Event) -> Option<Event> {
        if self.stalled.is_empty() {
            return Some(event);
        }
        let client = match &event {
            Event::Bytes { link, .. } | Event::Closed { link } | Event::Idle { link } | Event::LinkTimer { link } => {
                self.net.links.get(link).map(|link| link.client)
            }
            Event::Dialled { client, .. }
            | Event::MaxAge { client }
            | Event::Refresh { client }
            | Event::Retry { client, .. }
            | Event::Timer { client }
            | Event::Turn { client }
            | Event::Work { client } => Some(*client),
            _ => None,
        };
        let until = client.and_then(|client| self.stalled.get(&client)).filter(|until| **until > self.now);
        let Some(until) = until.copied() else { return Some(event) };
        self.at(until, event);
        None
    }
}

/// The partitions that a member may have, as its coordinator knows.
fn partitions_of(member: &MemberDescription) -> Vec<TopicPartition> {
    if let Some(modern) = &member.modern {
        return modern.assigned.iter().chain(&modern.revoking).cloned().collect();
    }
    let assignment = Assignment::decode(member.assignment.clone()).unwrap_or_default();
    TopicPartitions::flatten(&assignment.partitions)
}
