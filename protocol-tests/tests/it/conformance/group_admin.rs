//! ListGroups, DescribeGroups, DeleteGroups and OffsetDelete, in every state of a group.

use bytes::Bytes;
use kafka_protocol::messages::ConsumerGroupDescribeRequest;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::ConsumerGroupHeartbeatResponse;
use kafka_protocol::messages::DeleteGroupsRequest;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::ListGroupsRequest;
use kafka_protocol::messages::OffsetDeleteRequest;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestPartition;
use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::flag;
use super::groups::settle;
use super::make;
use super::name;
use super::peer::Peer;
use super::text;
use super::versions;
use super::wording;

/// One side, a topic, two groups of it, and the id of the member of the first.
struct Scene<'a> {
    peer: &'a mut Peer,
    topic: &'a str,
    groups: [&'a str; 2],
    member: String,
}

impl Scene<'_> {
    fn group(&self) -> GroupId {
        GroupId(text(self.groups[0]))
    }

    fn record(&mut self, step: String, response: impl std::fmt::Debug) {
        let mut shown = format!("{response:?}");
        if !self.member.is_empty() {
            shown = shown.replace(&self.member, "member");
        }
        self.peer.record(step, shown);
    }

    /// Lists and describes the groups in every version.
    fn look(&mut self, when: &str) {
        for version in versions(key::DESCRIBE_GROUPS) {
            let asked = [self.groups[0], "conf-nobody", "", self.groups[1]].map(|group| GroupId(text(group)));
            let request = DescribeGroupsRequest::default().with_groups(asked.to_vec());
            let response = self.peer.send(version, &request).map(|mut response| {
                response.throttle_time_ms = 0;
                response.groups.iter_mut().for_each(|group| wording(&mut group.error_message));
                // They come by the partitions of the coordinator's log.
                response.groups.sort_by_key(|group| group.group_id.to_string());
                response
            });
            self.record(format!("describe groups: {when}: version {version}"), response);
        }
        for version in versions(key::LIST_GROUPS) {
            let mut filters: Vec<(&[&str], &[&str])> = vec![(&[], &[])];
            if version >= 4 {
                filters.extend([(&["stable", " Empty"][..], &[][..]), (&["PREPARINGREBALANCE", "Moving"], &[])]);
            }
            if version >= 5 {
                filters.extend([(&[][..], &["Classic"][..]), (&["Stable"], &["consumer"]), (&[], &["relay"])]);
            }
            for (states, types) in filters {
                let texts = |texts: &[&str]| texts.iter().map(|one| text(one)).collect();
                let request = ListGroupsRequest::default();
                let request = request.with_states_filter(texts(states)).with_types_filter(texts(types));
                let (groups, response) = (self.groups, self.peer.send(version, &request));
                let response = response.map(|mut response| {
                    response.throttle_time_ms = 0;
                    // The broker has groups of other tests.
                    response.groups.retain(|group| groups.contains(&&**group.group_id));
                    response.groups.sort_by_key(|group| group.group_id.to_string());
                    response
                });
                self.record(format!("list groups: {states:?} {types:?}: {when}: version {version}"), response);
            }
        }
    }

    /// Deletes offsets, and then tries to delete the group.
    fn delete(&mut self, when: &str, is_last: bool) {
        let topic = |name_of: &str, partitions: &[i32]| {
            let partition = |index: &i32| OffsetDeleteRequestPartition::default().with_partition_index(*index);
            let partitions = partitions.iter().map(partition).collect();
            OffsetDeleteRequestTopic::default().with_name(name(name_of)).with_partitions(partitions)
        };
        for group in [self.groups[0], "conf-nobody", ""] {
            let topics = vec![topic(self.topic, &[3, 3, 99]), topic("conf-none", &[0])];
            let request = OffsetDeleteRequest::default().with_group_id(GroupId(text(group))).with_topics(topics);
            let response = self.peer.send(0, &request).map(|mut response| {
                response.throttle_time_ms = 0;
                response
            });
            let which = if group == self.groups[0] { "the group" } else { group };
            self.record(format!("offset delete: {which:?}: {when}"), response);
        }
        for version in versions(key::DELETE_GROUPS).filter(|version| is_last || *version == 2) {
            let asked = [self.groups[0], "conf-nobody", ""].map(|group| GroupId(text(group)));
            let request = DeleteGroupsRequest::default().with_groups_names(asked.to_vec());
            let response = self.peer.send(version, &request).map(|mut response| {
                response.throttle_time_ms = 0;
                // The results have no order.
                response.results.sort_by_key(|result| result.group_id.to_string());
                response
            });
            self.record(format!("delete groups: {when}: version {version}"), response);
        }
    }

    fn join_request(&self, kind: &str, metadata: &Bytes) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(metadata.clone());
        JoinGroupRequest::default()
            .with_group_id(self.group())
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(text(&self.member))
            .with_protocol_type(text(kind))
            .with_protocols(vec![protocol])
    }

    /// Joins as the only member, and looks in each state on the way.
    fn live(&mut self, kind: &str, metadata: &Bytes) {
        self.member.clear();
        let request = self.join_request(kind, metadata);
        let invited = self.peer.on(1).send(9, &request).expect("a response");
        self.member = invited.member_id.to_string();
        let request = self.join_request(kind, metadata);
        self.peer.on(2).begin(9, &request);
        self.peer.on(1);
        let joined: JoinGroupResponse = self.peer.on(2).end::<JoinGroupRequest>(9).expect("a response");
        self.peer.on(1);
        self.look(&format!("the leader of {kind} assigns"));
        self.delete(&format!("the leader of {kind} assigns"), false);
        let assignment = SyncGroupRequestAssignment::default().with_member_id(text(&self.member));
        let assignment = assignment.with_assignment(Bytes::from_static(b"\0\x03\0\0\0\0\0\0\0\0"));
        let request = SyncGroupRequest::default()
            .with_group_id(self.group())
            .with_generation_id(joined.generation_id)
            .with_member_id(text(&self.member))
            .with_protocol_type(Some(text(kind)))
            .with_protocol_name(Some(text("range")))
            .with_assignments(vec![assignment]);
        assert_eq!(self.peer.send(5, &request).expect("a response").error_code, 0);
        self.look(&format!("stable as {kind}"));
        self.delete(&format!("stable as {kind}"), false);
        let member = MemberIdentity::default().with_member_id(text(&self.member));
        let request = LeaveGroupRequest::default().with_group_id(self.group()).with_members(vec![member]);
        assert_eq!(self.peer.send(4, &request).expect("a response").error_code, 0);
        self.look(&format!("the member of {kind} has left"));
    }
}

/// A subscription of a topic (`ConsumerProtocolSubscription`, version 0).
fn subscription(topic: &str) -> Bytes {
    let length = u8::try_from(topic.len()).expect("short");
    [&[0, 0, 0, 0, 0, 1, 0, length], topic.as_bytes(), &[0xff; 4]].concat().into()
}

#[test]
fn groups_are_listed_described_and_deleted_as_by_kafka() {
    let (topic, other) = (rig::fresh("conf-admin"), rig::fresh("conf-other"));
    let groups = [rig::fresh("conf-group"), rig::fresh("conf-simple")];
    compare(|peer| {
        for topic in [&topic, &other] {
            let _: Vec<u8> = make(peer, topic, 4);
        }
        for group in &groups {
            settle(peer, group, &topic);
        }
        let groups = [&*groups[0], &*groups[1]];
        let mut scene = Scene { peer, topic: &topic, groups, member: String::new() };
        scene.look("only offsets");
        scene.live("consumer", &subscription(&other));
        scene.live("consumer", &subscription(&topic));
        scene.live("connect", &Bytes::from_static(b"a worker"));
        scene.delete("the members are gone", true);
        scene.look("deleted");
    });
}

/// A heartbeat of the member `alpha` of KIP-848, which subscribes to a topic.
fn beat(peer: &mut Peer, group: &str, topic: &str, epoch: i32, owned: bool) -> ConsumerGroupHeartbeatResponse {
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text("alpha"))
        .with_member_epoch(epoch)
        .with_instance_id(Some(text("one")))
        .with_rack_id(Some(text("r1")))
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![name(topic)]))
        .with_topic_partitions(owned.then(Vec::new));
    let response = peer.send(1, &request).expect("a response");
    assert_eq!(response.error_code, 0, "{response:?}");
    response
}

/// Describes groups in every version. Epochs begin at another number on each side.
fn describe_consumers(peer: &mut Peer, groups: &[&str], when: &str) {
    for version in versions(key::CONSUMER_GROUP_DESCRIBE) {
        let asked = groups.iter().map(|group| GroupId(text(group))).collect();
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(asked);
        let response = peer.send(version, &request).map(|mut response| {
            response.throttle_time_ms = 0;
            response.groups.sort_by_key(|group| group.group_id.to_string());
            for group in &mut response.groups {
                wording(&mut group.error_message);
                group.assignment_epoch -= group.group_epoch;
                for member in &mut group.members {
                    member.member_epoch -= group.group_epoch;
                    for topic in &mut member.assignment.topic_partitions {
                        flag(&mut topic.topic_id);
                    }
                    for topic in &mut member.target_assignment.topic_partitions {
                        flag(&mut topic.topic_id);
                    }
                }
                group.group_epoch = i32::from(group.group_epoch > 0);
            }
            response
        });
        peer.record(format!("consumer group describe: {when}: version {version}"), response);
    }
}

#[test]
fn groups_of_kip_848_are_described_as_by_kafka() {
    let topic = rig::fresh("conf-modern");
    let groups = [rig::fresh("conf-group"), rig::fresh("conf-simple")];
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 4);
        for group in &groups {
            settle(peer, group, &topic);
        }
        let asked = [&*groups[0], "conf-nobody", "", &*groups[1]];
        describe_consumers(peer, &asked, "only offsets");
        let mut epoch = beat(peer, &groups[0], &topic, 0, true).member_epoch;
        // The coordinator assigns a moment after the member has joined, and knows of the topic a moment later.
        for _ in 0..10_000 {
            let response = beat(peer, &groups[0], &topic, epoch, false);
            epoch = response.member_epoch;
            if response.assignment.is_some_and(|assignment| !assignment.topic_partitions.is_empty()) {
                break;
            }
        }
        describe_consumers(peer, &asked, "a member has its partitions");
        let mut scene = Scene { peer, topic: &topic, groups: [&*groups[0], &*groups[1]], member: String::new() };
        scene.look("of KIP-848");
        scene.delete("of KIP-848", false);
        beat(scene.peer, &groups[0], &topic, -1, false);
        describe_consumers(scene.peer, &asked, "the member has left");
        scene.look("of KIP-848, empty");
        scene.delete("of KIP-848, empty", true);
        describe_consumers(scene.peer, &asked, "deleted");
    });
}
