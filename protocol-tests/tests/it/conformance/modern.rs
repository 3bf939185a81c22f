//! ConsumerGroupHeartbeat (KIP-848), and commits under member epochs: members that join, share, leave, return and are fenced.
//!
//! Epochs are compared by their distance to the epoch at which the scene begins. The ids of members are the same on both sides,
//! because they decide who gets which partitions.

use std::collections::BTreeMap;

use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::ConsumerGroupHeartbeatResponse;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::groups::settle;
use super::make;
use super::name;
use super::peer::Peer;
use super::text;
use super::versions;

/// The resource type of a group's configuration.
const GROUP: i8 = 32;
/// Rounds in a row in which the coordinator assigns at once.
const SURE: u32 = 3;

/// A member as requests name it.
#[derive(Clone, Copy, Debug)]
struct Who {
    id: &'static str,
    instance: Option<&'static str>,
}

const A: Who = Who { id: "alpha", instance: None };
const B: Who = Who { id: "beta", instance: None };
const C: Who = Who { id: "gamma", instance: None };

impl Who {
    fn named(self, instance: &'static str) -> Self {
        Self { instance: Some(instance), ..self }
    }
}

/// Topics with their ids: the first has six partitions.
type Topics = Vec<(String, [u8; 16])>;

fn create(peer: &mut Peer, topics: &[&str]) -> Topics {
    let made = topics.iter().map(|topic| {
        let id: Vec<u8> = make(peer, topic, 6);
        ((*topic).to_owned(), id.try_into().expect("16 bytes"))
    });
    made.collect()
}

/// One side and a group of it.
struct Scene<'a> {
    peer: &'a mut Peer,
    topics: Topics,
    group: String,
    /// The epoch at which the scene begins.
    base: i32,
}

impl<'a> Scene<'a> {
    /// A group without members whose coordinator knows the topics and assigns at once.
    fn new(peer: &'a mut Peer, topics: &Topics, group: &str) -> Self {
        settle(peer.on(1), group, &topics[0].0);
        let mut scene = Self { peer, topics: topics.clone(), group: group.to_owned(), base: 0 };
        scene.assign_at_once();
        scene
    }

    /// Turns the coordinator's interval between assignments off, and waits until it and the topics are known.
    fn assign_at_once(&mut self) {
        if self.peer.is_real() {
            let config = AlterableConfig::default()
                .with_name(text("consumer.assignment.interval.ms"))
                .with_value(Some(text("0")));
            let group = AlterConfigsResource::default()
                .with_resource_type(GROUP)
                .with_resource_name(text(&self.group))
                .with_configs(vec![config]);
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![group]);
            let response = self.peer.send(1, &request).expect("a response");
            assert_eq!(response.responses[0].error_code, 0, "{response:?}");
        }
        let all: Vec<String> = self.topics.iter().map(|(name, _)| name.clone()).collect();
        let (mut sure, mut rounds) = (0, 0);
        while sure < SURE {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let first = self.join_of("scout-1", &all);
            let second = self.join_of("scout-2", &all);
            let assigned = first.assignment.iter().flat_map(|all| &all.topic_partitions).count();
            let is_ready = assigned == self.topics.len() && second.member_epoch == first.member_epoch + 1;
            sure = if is_ready { sure + 1 } else { 0 };
            for id in ["scout-1", "scout-2"] {
                let left = self.peer.send(1, &self.request(Who { id, instance: None }, -1)).expect("a response");
                assert_eq!(left.error_code, 0, "{left:?}");
            }
            // Each scout begins an epoch as it joins, and one as it leaves.
            self.base = second.member_epoch.max(first.member_epoch + 1) + 2;
            rounds += 1;
            assert!(rounds < 10_000, "the coordinator does not assign");
            std::thread::yield_now();
        }
    }

    fn join_of(&mut self, id: &'static str, topics: &[&str]) -> ConsumerGroupHeartbeatResponse {
        let request = self.join_request(Who { id, instance: None }, topics);
        let response = self.peer.send(1, &request).expect("a response");
        assert_eq!(response.error_code, 0, "{response:?}");
        response
    }

    fn wire(&self, epoch: i32) -> i32 {
        if epoch > 0 { self.base + epoch } else { epoch }
    }

    /// A heartbeat that changes nothing.
    fn request(&self, who: Who, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(text(who.id))
            .with_member_epoch(self.wire(epoch))
            .with_instance_id(who.instance.map(text))
            .with_rebalance_timeout_ms(-1)
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None)
    }

    fn join_request(&self, who: Who, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
        let names = topics.iter().map(|topic| name(topic)).collect();
        let request = self.request(who, 0).with_rebalance_timeout_ms(60_000);
        request.with_subscribed_topic_names(Some(names)).with_topic_partitions(Some(Vec::new()))
    }

    /// The partitions of the n-th topic.
    fn places(&self, topic: usize, partitions: &[i32]) -> TopicPartitions {
        let Ok(id) = self.topics[topic].1.to_vec().try_into() else { panic!("16 bytes") };
        TopicPartitions::default().with_topic_id(id).with_partitions(partitions.to_vec())
    }

    /// Sends a heartbeat; returns the partitions that it assigns.
    fn send(&mut self, step: &str, request: &ConsumerGroupHeartbeatRequest) -> Option<Vec<TopicPartitions>> {
        let version = i16::from(!step.starts_with("v0 "));
        let response = self.peer.send(version, request).expect("a response");
        let shown = self.show(&response);
        self.peer.record(step, shown);
        let assignment = response.assignment?;
        let wire = |topic: kafka_protocol::messages::consumer_group_heartbeat_response::TopicPartitions| {
            TopicPartitions::default().with_topic_id(topic.topic_id).with_partitions(topic.partitions)
        };
        Some(assignment.topic_partitions.into_iter().map(wire).collect())
    }

    fn show(&self, response: &ConsumerGroupHeartbeatResponse) -> String {
        let topic_of = |id: [u8; 16]| self.topics.iter().position(|(_, known)| *known == id);
        let assignment = response.assignment.as_ref().map(|assignment| {
            let topic = |topic: &kafka_protocol::messages::consumer_group_heartbeat_response::TopicPartitions| {
                let mut partitions = topic.partitions.clone();
                partitions.sort_unstable();
                (topic_of(topic.topic_id.into_bytes()), partitions)
            };
            assignment.topic_partitions.iter().map(topic).collect::<BTreeMap<_, _>>()
        });
        let epoch = if response.member_epoch > 0 { response.member_epoch - self.base } else { response.member_epoch };
        format!(
            "{} {} {:?} epoch {epoch} interval {} {assignment:?}",
            response.error_code,
            response.error_message.is_some(),
            response.member_id,
            response.heartbeat_interval_ms,
        )
    }

    fn join(&mut self, step: &str, who: Who, topics: &[usize]) -> Option<Vec<TopicPartitions>> {
        let names: Vec<String> = topics.iter().map(|at| self.topics[*at].0.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let request = self.join_request(who, &names);
        self.send(step, &request)
    }

    fn beat(&mut self, step: &str, who: Who, epoch: i32) -> Option<Vec<TopicPartitions>> {
        let request = self.request(who, epoch);
        self.send(step, &request)
    }

    /// A heartbeat that says which partitions of the first topic the member has.
    fn owns(&mut self, step: &str, who: Who, epoch: i32, partitions: &[i32]) -> Option<Vec<TopicPartitions>> {
        let owned = if partitions.is_empty() { Vec::new() } else { vec![self.places(0, partitions)] };
        let request = self.request(who, epoch).with_topic_partitions(Some(owned));
        self.send(step, &request)
    }

    /// Sends heartbeats from the first epoch on until the member has this many partitions, and records them.
    fn await_partitions(&mut self, step: &str, who: Who, count: usize) {
        let mut epoch = self.base;
        for _ in 0..10_000 {
            let request = self.request(who, 0).with_member_epoch(epoch);
            let response = self.peer.send(1, &request).expect("a response");
            assert_eq!(response.error_code, 0, "{response:?}");
            let assigned = response.assignment.iter().flat_map(|all| &all.topic_partitions);
            if assigned.map(|topic| topic.partitions.len()).sum::<usize>() == count {
                let shown = self.show(&response);
                return self.peer.record(step, shown);
            }
            epoch = response.member_epoch;
            std::thread::yield_now();
        }
        panic!("{step}: they do not come");
    }

    fn commit(&mut self, step: &str, version: i16, who: Who, epoch: i32, partitions: &[i32]) {
        let partition = |index| OffsetCommitRequestPartition::default().with_partition_index(index);
        let partitions = partitions.iter().map(|index| partition(*index).with_committed_offset(7)).collect();
        let topic = OffsetCommitRequestTopic::default().with_name(name(&self.topics[0].0)).with_partitions(partitions);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id_or_member_epoch(self.wire(epoch))
            .with_member_id(text(who.id))
            .with_group_instance_id(who.instance.filter(|_| version >= 7).map(text))
            .with_topics(vec![topic]);
        let response = self.peer.send(version, &request).expect("a response");
        let codes: Vec<i16> = response.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
        self.peer.record(format!("commit: {step}"), codes);
    }

    fn fetch(&mut self, step: &str, member: Option<&str>, epoch: i32) {
        let topic = OffsetFetchRequestTopics::default().with_name(name(&self.topics[0].0));
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(member.map(text))
            .with_member_epoch(self.wire(epoch))
            .with_topics(Some(vec![topic.with_partition_indexes(vec![0, 1])]));
        let request = OffsetFetchRequest::default().with_groups(vec![group]);
        let mut response = self.peer.send(9, &request).expect("a response");
        response.throttle_time_ms = 0;
        self.peer.record(format!("fetch: {step}"), response);
    }

    /// Everything that a member may ask with an epoch.
    fn probe(&mut self, step: &str, who: Who, epoch: i32) {
        self.beat(&format!("{step}: heartbeat"), who, epoch);
        self.commit(step, 9, who, epoch, &[0]);
        self.fetch(step, Some(who.id), epoch);
    }
}

#[test]
fn one_member_lives_by_heartbeats_as_in_kafka() {
    let (topic, group) = (rig::fresh("conf-beat"), rig::fresh("conf-beat"));
    compare(|peer| {
        let topics = create(peer, &[&topic]);
        let mut scene = Scene::new(peer, &topics, &group);
        scene.probe("not joined", A, 1);
        scene.commit("empty, simple", 9, Who { id: "", instance: None }, -1, &[0]);
        scene.join("joins", A, &[0]);
        scene.beat("nothing new", A, 1);
        scene.owns("acknowledges", A, 1, &[0, 1, 2, 3, 4, 5]);
        scene.join("joins again", A, &[0]);
        let request =
            scene.request(A, 1).with_rebalance_timeout_ms(60_000).with_subscribed_topic_names(Some(vec![name(&topic)]));
        scene.send("says everything but its partitions", &request);
        let all = vec![scene.places(0, &[0, 1, 2, 3, 4, 5])];
        scene.send("says everything", &request.with_topic_partitions(Some(all)));
        scene.probe("stable", A, 1);
        scene.probe("ahead", A, 2);
        scene.probe("unknown", B, 1);
        scene.fetch("nobody", None, -1);
        scene.fetch("nobody with an epoch", None, 1);
        scene.commit("without an epoch", 9, A, -1, &[0]);
        scene.commit("an old version", 8, A, 1, &[0]);
        scene.commit("an old version of nobody", 8, Who { id: "", instance: None }, -1, &[0]);
        let gone = scene.request(A, 1).with_subscribed_topic_names(Some(Vec::new()));
        scene.send("subscribes to nothing", &gone);
        scene.owns("has given up", A, 2, &[]);
        let missing = scene.request(A, 2).with_subscribed_topic_names(Some(vec![name("conf-missing")]));
        scene.send("subscribes to a topic that does not exist", &missing);
        let back = scene.request(A, 3).with_subscribed_topic_names(Some(vec![name(&topic)]));
        scene.send("subscribes again", &back);
        scene.beat("leaves", A, -1);
        scene.beat("leaves twice", A, -1);
        scene.probe("has left", A, 4);
        scene.commit("has left, simple", 9, Who { id: "", instance: None }, -1, &[0]);
        scene.join("returns", A, &[0]);
        scene.beat("leaves again", A, -1);
    });
}

#[test]
fn bad_heartbeats_are_refused_as_by_kafka() {
    let (topic, group) = (rig::fresh("conf-badbeat"), rig::fresh("conf-badbeat"));
    compare(|peer| {
        let topics = create(peer, &[&topic]);
        let mut scene = Scene::new(peer, &topics, &group);
        for version in versions(key::CONSUMER_GROUP_HEARTBEAT) {
            let join = scene.join_request(A, &[&topic]);
            let beat = scene.request(A, 1);
            for (what, request) in [
                ("no group", join.clone().with_group_id(GroupId(text("")))),
                ("an empty instance", join.clone().with_instance_id(Some(text("")))),
                ("an empty rack", join.clone().with_rack_id(Some(text("")))),
                ("no rebalance timeout", join.clone().with_rebalance_timeout_ms(-1)),
                ("no partitions", join.clone().with_topic_partitions(None)),
                ("partitions", join.clone().with_topic_partitions(Some(vec![scene.places(0, &[1])]))),
                ("no subscription", join.clone().with_subscribed_topic_names(None)),
                ("an unknown assignor", join.clone().with_server_assignor(Some(text("sticky")))),
                ("an unknown assignor later", beat.clone().with_server_assignor(Some(text("sticky")))),
                ("no id later", beat.clone().with_member_id(text(""))),
                ("no id while leaving", beat.clone().with_member_id(text("")).with_member_epoch(-1)),
                ("a member of an unknown group", beat.clone().with_group_id(GroupId(text("conf-none")))),
                (
                    "leaving an unknown group",
                    beat.clone().with_group_id(GroupId(text("conf-none"))).with_member_epoch(-1),
                ),
                ("leaving for a while without a name", beat.clone().with_member_epoch(-2)),
                ("an invalid epoch", beat.clone().with_member_epoch(-3)),
                ("a static member that is unknown", beat.clone().with_instance_id(Some(text("conf-i")))),
            ] {
                scene.send(&format!("v{version} {what}"), &request);
            }
            if version >= 1 {
                scene.send("v1 no id", &join.clone().with_member_id(text("")));
                let regex = join.with_subscribed_topic_regex(Some(text("(")));
                scene.send("v1 a regular expression that is none", &regex);
            }
        }
    });
}

/// A partition is given to its next owner only after the previous one has given it up.
#[test]
fn partitions_move_between_members_as_in_kafka() {
    let (topic, group) = (rig::fresh("conf-move"), rig::fresh("conf-move"));
    compare(|peer| {
        let topics = create(peer, &[&topic]);
        for assignor in ["uniform", "range"] {
            let mut scene = Scene::new(peer, &topics, &format!("{group}-{assignor}"));
            let join =
                |scene: &Scene<'_>, who| scene.join_request(who, &[&topic]).with_server_assignor(Some(text(assignor)));
            let request = join(&scene, A);
            scene.send("alpha joins", &request);
            let request = join(&scene, B);
            scene.send("beta joins", &request);
            scene.beat("beta waits", B, 2);
            scene.probe("alpha is notified", A, 1);
            scene.owns("alpha has given nothing up", A, 1, &[0, 1, 2, 3, 4, 5]);
            scene.commit("what alpha gives up", 9, A, 1, &[3, 4, 5]);
            scene.beat("beta still waits", B, 2);
            scene.owns("alpha has given up", A, 1, &[]);
            scene.beat("beta gets them", B, 2);
            scene.beat("alpha is stable", A, 2);
            scene.commit("under the epoch before", 9, A, 1, &[0]);
            scene.commit("what beta has, under the epoch before", 9, B, 1, &[5]);
            scene.probe("alpha repeats its former epoch", A, 1);
            let request = join(&scene, C);
            scene.send("gamma joins", &request);
            scene.beat("alpha is notified again", A, 2);
            scene.beat("beta is notified", B, 2);
            scene.beat("beta leaves", B, -1);
            scene.beat("gamma after beta left", C, 3);
            scene.beat("alpha after beta left", A, 2);
            scene.owns("alpha has nothing", A, 2, &[]);
            scene.beat("alpha once more", A, 4);
            scene.beat("gamma once more", C, 4);
            scene.beat("alpha leaves", A, -1);
            scene.beat("gamma alone", C, 4);
            scene.beat("gamma leaves", C, -1);
        }
    });
}

#[test]
fn lost_responses_are_made_up_for_as_in_kafka() {
    let (topic, group) = (rig::fresh("conf-lost"), rig::fresh("conf-lost"));
    compare(|peer| {
        let topics = create(peer, &[&topic]);
        let mut scene = Scene::new(peer, &topics, &group);
        scene.join("alpha joins", A, &[0]);
        scene.join("the response was lost", A, &[0]);
        scene.join("beta joins", B, &[0]);
        let given = scene.owns("alpha is notified", A, 1, &[0, 1, 2, 3, 4, 5]);
        let kept: Vec<i32> = given.iter().flatten().flat_map(|topic| topic.partitions.clone()).collect();
        scene.owns("alpha gives up", A, 1, &kept);
        scene.owns("that response was lost", A, 1, &kept);
        scene.beat("beta", B, 2);
        scene.owns("the epoch before, with a partition that it lost", A, 1, &[0, 1, 2, 3, 4, 5]);
        scene.beat("the epoch before, without saying what it has", A, 1);
        scene.owns("beta, the response was lost", B, 2, &[]);
        scene.join("alpha joins again after all", A, &[0]);
        scene.probe("two epochs before", A, 0);
        scene.beat("alpha leaves", A, -1);
        scene.beat("beta takes over", B, 2);
        scene.beat("beta is notified of nothing new", B, 3);
    });
}

#[test]
fn static_members_return_and_twins_are_refused_as_in_kafka() {
    let (topic, group) = (rig::fresh("conf-twin"), rig::fresh("conf-twin"));
    compare(|peer| {
        let topics = create(peer, &[&topic]);
        let mut scene = Scene::new(peer, &topics, &group);
        let (a, twin) = (A.named("i"), B.named("i"));
        scene.join("static joins", a, &[0]);
        scene.join("its twin", twin, &[0]);
        scene.join("itself again", a, &[0]);
        scene.probe("the twin", twin, 1);
        scene.beat("the twin leaves", twin, -1);
        scene.beat("the twin leaves for a while", twin, -2);
        scene.beat("an unknown name leaves", A.named("j"), -2);
        scene.join("another member", C, &[0]);
        scene.beat("the static one is notified", a, 1);
        scene.beat("it leaves for a while", a, -2);
        scene.probe("it has left", a, 1);
        scene.commit("it has left, an epoch before", 9, a, -2, &[0]);
        scene.beat("the other one gets nothing", C, 2);
        scene.join("it returns with another id", twin, &[0]);
        scene.probe("its former id", a, 1);
        scene.beat("the other one gets its part", C, 2);
        scene.beat("stable", twin, 2);
        scene.beat("it leaves for a while again", twin, -2);
        scene.join("it returns with its id", twin, &[0]);
        scene.beat("it leaves for good", twin, -1);
        scene.beat("the other one", C, 2);
        scene.join("it joins as a new one", twin, &[0]);
        let mut leave = |step: &str, id: &str, instance: Option<&str>| {
            let member = MemberIdentity::default().with_member_id(text(id)).with_group_instance_id(instance.map(text));
            let request = LeaveGroupRequest::default().with_group_id(GroupId(text(&scene.group)));
            let mut response = scene.peer.send(5, &request.with_members(vec![member])).expect("a response");
            response.throttle_time_ms = 0;
            scene.peer.record(format!("leave: {step}"), response);
        };
        leave("an unknown name", "", Some("j"));
        leave("another id", "alpha", Some("i"));
        leave("by name", "", Some("i"));
        leave("by id", C.id, None);
        leave("nobody", C.id, None);
    });
}

/// Members of different subscriptions.
#[test]
fn members_with_different_topics_share_as_in_kafka() {
    let topics = [rig::fresh("conf-one"), rig::fresh("conf-two")];
    let group = rig::fresh("conf-uneven");
    compare(|peer| {
        let names = [&*topics[0], &*topics[1]];
        let topics = create(peer, &names);
        for assignor in ["uniform", "range"] {
            let mut scene = Scene::new(peer, &topics, &format!("{group}-{assignor}"));
            let of = |scene: &Scene<'_>, who, topics: &[&str]| {
                scene.join_request(who, topics).with_server_assignor(Some(text(assignor)))
            };
            let request = of(&scene, A, &names[..1]);
            scene.send("alpha joins", &request);
            let request = of(&scene, B, &names[1..]);
            scene.send("beta joins", &request);
            let request = of(&scene, C, &names[..1]);
            scene.send("gamma joins", &request);
            scene.beat("alpha is notified", A, 1);
            scene.owns("alpha gives up", A, 1, &[]);
            scene.beat("gamma gets them", C, 3);
            let both = scene.request(C, 3).with_subscribed_topic_names(Some(names.map(name).to_vec()));
            scene.send("gamma takes both topics", &both);
            scene.beat("beta is notified", B, 2);
            scene.owns("beta gives up", B, 2, &[]);
            scene.owns("alpha reads on", A, 3, &[]);
            scene.owns("gamma", C, 4, &[]);
            scene.beat("gamma again", C, 4);
        }
    });
}

/// The coordinator matches topics between two heartbeats.
#[test]
fn members_that_subscribe_by_a_pattern_are_assigned_as_in_kafka() {
    let topics = [rig::fresh("conf-pattern-a"), rig::fresh("conf-pattern-b")];
    let group = rig::fresh("conf-pattern");
    compare(|peer| {
        let topics = create(peer, &[&*topics[0], &*topics[1]]);
        let pattern = format!("{}|{}", topics[0].0, topics[1].0);
        let mut scene = Scene::new(peer, &topics, &group);
        let by_pattern = |request: ConsumerGroupHeartbeatRequest, pattern: &str| {
            request.with_subscribed_topic_regex(Some(text(pattern)))
        };
        let join = scene.join_request(A, &[]).with_subscribed_topic_names(None);
        scene.send("a pattern that does not compile", &by_pattern(join.clone(), "("));
        scene.send("joins by a pattern", &by_pattern(join, &pattern));
        scene.await_partitions("its partitions", A, 12);
        let none = by_pattern(scene.request(A, 1), "");
        scene.send("gives the pattern up", &none);
        scene.owns("has given everything up", A, 1, &[]);
        scene.beat("leaves", A, -1);
    });
}

/// The groups of one protocol and the requests of the other.
#[test]
fn groups_of_the_other_protocol_answer_as_in_kafka() {
    let (topic, group) = (rig::fresh("conf-other"), rig::fresh("conf-other"));
    compare(|peer| {
        let topics = create(peer, &[&topic]);
        let mut scene = Scene::new(peer, &topics, &group);
        scene.join("a group of the new protocol", A, &[0]);
        let id = GroupId(text(&scene.group));
        let beat = HeartbeatRequest::default().with_group_id(id.clone()).with_generation_id(scene.wire(1));
        let response = scene.peer.send(4, &beat.with_member_id(text(A.id)));
        scene.peer.record("a classic heartbeat", response.map(|response| response.error_code));
        let sync = SyncGroupRequest::default().with_group_id(id.clone()).with_generation_id(scene.wire(1));
        let sync = sync.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")));
        let response = scene.peer.send(5, &sync.with_member_id(text(A.id)));
        scene.peer.record("a classic sync", response.map(|response| response.error_code));
        // Nothing that the group supports.
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
        let join = JoinGroupRequest::default()
            .with_group_id(id)
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(text("connect"))
            .with_protocols(vec![protocol]);
        let response = scene.peer.send(9, &join).expect("a response");
        scene.peer.record("a classic join", (response.error_code, response.member_id.is_empty()));
        scene.beat("the member is still there", A, 1);
        scene.beat("it leaves", A, -1);
        let response = scene.peer.send(9, &join.clone().with_member_id(text("x"))).expect("a response");
        scene.peer.record("a known member joins the empty group", response.error_code);
        let response = scene.peer.send(9, &join).expect("a response");
        scene.peer.record("a classic member joins the empty group", response.error_code);
        let again = join.with_member_id(response.member_id);
        let response = scene.peer.send(9, &again).expect("a response");
        scene.peer.record("it is classic now", (response.error_code, response.generation_id));
        scene.beat("the new protocol, not joining", A, 1);
        scene.beat("the new protocol, leaving", A, -1);
        scene.join("the new protocol, joining a group that is no consumer", A, &[0]);
    });
}
