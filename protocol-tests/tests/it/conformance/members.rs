//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup, and commits of members, in every state of a group.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::messages::SyncGroupResponse;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::groups::settle;
use super::make;
use super::name;
use super::peer::Peer;
use super::text;
use super::versions;

type Response<R> = Result<R, &'static str>;

/// One side, a group of it, and the ids that its members got.
struct Scene<'a> {
    peer: &'a mut Peer,
    topic: &'a str,
    group: String,
    /// Each id, with the name that replaces it in records.
    ids: BTreeMap<String, String>,
}

/// A member as requests name it.
#[derive(Clone, Debug, Default)]
struct Who {
    id: String,
    instance: Option<&'static str>,
    generation: i32,
}

impl Who {
    fn at(&self, generation: i32) -> Self {
        Self { generation, ..self.clone() }
    }
}

impl<'a> Scene<'a> {
    /// A group whose coordinator is ready, and which exists.
    fn new(peer: &'a mut Peer, topic: &'a str, group: &str) -> Self {
        settle(peer.on(1), group, topic);
        Self { peer, topic, group: group.to_owned(), ids: BTreeMap::new() }
    }

    fn group(&self) -> GroupId {
        GroupId(text(&self.group))
    }

    /// Calls an id by a name from now on.
    fn call(&mut self, id: &str, name: &str) {
        self.ids.insert(id.to_owned(), name.to_owned());
    }

    fn record(&mut self, step: impl Into<String>, response: impl std::fmt::Debug) {
        let mut shown = format!("{response:?}");
        for (id, name) in &self.ids {
            shown = shown.replace(id, name);
        }
        self.peer.record(step, shown);
    }

    fn join_request(&self, who: &Who, protocols: &[(&str, &'static [u8])]) -> JoinGroupRequest {
        let protocol = |(name, data): &(&str, &'static [u8])| {
            JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(Bytes::from_static(data))
        };
        JoinGroupRequest::default()
            .with_group_id(self.group())
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(text(&who.id))
            .with_group_instance_id(who.instance.map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(protocols.iter().map(protocol).collect())
    }

    /// Begins to join on a connection.
    fn begin_join(&mut self, connection: u64, version: i16, who: &Who, protocols: &[(&str, &'static [u8])]) {
        let request = self.join_request(who, protocols);
        self.peer.on(connection).begin(version, &request);
        self.peer.on(1);
    }

    /// Ends to join, and records the response.
    fn end_join(&mut self, connection: u64, version: i16, step: &str, as_name: &str) -> Who {
        let response = self.peer.on(connection).end::<JoinGroupRequest>(version);
        self.peer.on(1);
        self.joined(step, as_name, response)
    }

    fn joined(&mut self, step: &str, as_name: &str, response: Response<JoinGroupResponse>) -> Who {
        let who = response.as_ref().map_or_else(
            |_| Who::default(),
            |found| Who { id: found.member_id.to_string(), instance: None, generation: found.generation_id },
        );
        if !who.id.is_empty() && !self.ids.contains_key(&who.id) {
            self.call(&who.id, as_name);
        }
        let response = response.map(|mut found| {
            found.throttle_time_ms = 0;
            let ids = &self.ids;
            found.members.sort_by_key(|member| ids.get(&*member.member_id).cloned());
            found
        });
        self.record(step, response);
        who
    }

    fn join(&mut self, version: i16, step: &str, as_name: &str, who: &Who) -> Who {
        self.join_with(version, step, as_name, who, PROTOCOLS)
    }

    fn join_with(
        &mut self,
        version: i16,
        step: &str,
        as_name: &str,
        who: &Who,
        protocols: &[(&str, &'static [u8])],
    ) -> Who {
        let request = self.join_request(who, protocols);
        let response = self.peer.send(version, &request);
        Who { instance: who.instance, ..self.joined(step, as_name, response) }
    }

    /// Joins a new member without recording the first of two steps.
    fn enter(&mut self, version: i16, step: &str, as_name: &str) -> Who {
        let asked = self.invite(version);
        self.join(version, step, as_name, &asked)
    }

    /// The id for a new member, in versions that require one.
    fn invite(&mut self, version: i16) -> Who {
        if version < 4 {
            return Who::default();
        }
        let request = self.join_request(&Who::default(), PROTOCOLS);
        let response = self.peer.send(version, &request).expect("a response");
        assert_eq!(response.error_code, 79);
        Who { id: response.member_id.to_string(), ..Who::default() }
    }

    fn sync_request(&self, version: i16, who: &Who, assignments: &[(&Who, &'static [u8])]) -> SyncGroupRequest {
        let assignment = |(who, data): &(&Who, &'static [u8])| {
            let assignment = SyncGroupRequestAssignment::default().with_member_id(text(&who.id));
            assignment.with_assignment(Bytes::from_static(data))
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group())
            .with_generation_id(who.generation)
            .with_member_id(text(&who.id))
            .with_group_instance_id(who.instance.map(text))
            .with_assignments(assignments.iter().map(assignment).collect());
        match version {
            5.. => request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range"))),
            _ => request,
        }
    }

    fn sync(&mut self, version: i16, step: &str, who: &Who, assignments: &[(&Who, &'static [u8])]) {
        let request = self.sync_request(version, who, assignments);
        let response = self.peer.send(version, &request);
        self.record(step, response.map(quiet));
    }

    fn heartbeat_code(&mut self, version: i16, who: &Who) -> Response<i16> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group())
            .with_generation_id(who.generation)
            .with_member_id(text(&who.id))
            .with_group_instance_id(who.instance.map(text));
        self.peer.send(version, &request).map(|response| response.error_code)
    }

    fn heartbeat(&mut self, version: i16, step: &str, who: &Who) {
        let response = self.heartbeat_code(version, who);
        self.record(format!("heartbeat: {step}"), response);
    }

    /// Waits until a member is asked to join again.
    fn await_rebalance(&mut self, who: &Who) {
        for _ in 0..10_000 {
            if self.heartbeat_code(4, who) == Ok(27) {
                return;
            }
        }
        panic!("the group does not rebalance");
    }

    fn leave(&mut self, version: i16, step: &str, members: &[&Who]) {
        let request = LeaveGroupRequest::default().with_group_id(self.group());
        let identity = |who: &&Who| {
            MemberIdentity::default().with_member_id(text(&who.id)).with_group_instance_id(who.instance.map(text))
        };
        let request = match version {
            3.. => request.with_members(members.iter().map(identity).collect()),
            _ => request.with_member_id(text(&members[0].id)),
        };
        let response = self.peer.send(version, &request).map(|mut response| {
            response.throttle_time_ms = 0;
            response
        });
        self.record(format!("leave: {step}"), response);
    }

    fn commit(&mut self, version: i16, step: &str, who: &Who) {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
        let topic = OffsetCommitRequestTopic::default().with_name(name(self.topic)).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group())
            .with_generation_id_or_member_epoch(who.generation)
            .with_member_id(text(&who.id))
            .with_group_instance_id(who.instance.map(text))
            .with_topics(vec![topic]);
        let response = self.peer.send(version, &request).map(|found| found.topics[0].partitions[0].error_code);
        self.record(format!("commit: {step}"), response);
    }

    /// Everything that a member may ask, with a generation and without one.
    fn probe(&mut self, step: &str, who: &Who) {
        self.heartbeat(4, step, who);
        self.commit(8, step, who);
        self.commit(8, &format!("{step}, without a generation"), &who.at(-1));
        self.sync(5, &format!("sync: {step}"), who, &[]);
    }
}

fn quiet(mut response: SyncGroupResponse) -> SyncGroupResponse {
    response.throttle_time_ms = 0;
    response
}

const PROTOCOLS: &[(&str, &[u8])] = &[("range", b"r1"), ("roundrobin", b"o1")];

fn nobody(generation: i32) -> Who {
    Who { id: "nobody".to_owned(), instance: None, generation }
}

/// The simple consumer, which is no member.
fn simple() -> Who {
    Who { generation: -1, ..Who::default() }
}

#[test]
fn one_member_lives_as_in_kafka_in_every_version() {
    let (topic, group) = (rig::fresh("conf-life"), rig::fresh("conf-life"));
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 4);
        for version in versions(key::JOIN_GROUP) {
            let (beats, syncs, leaves) = (version.min(4), version.min(5), version.min(5));
            let commits = (version + 2).min(9);
            let mut scene = Scene::new(peer, &topic, &format!("{group}-{version}"));
            scene.commit(commits, &format!("{version}: empty, simple"), &simple());
            scene.commit(commits, &format!("{version}: empty, unknown member"), &nobody(0));
            let asked = scene.join(version, &format!("{version}: new"), "A", &Who::default());
            let one = if version < 4 { asked } else { scene.join(version, &format!("{version}: known"), "A", &asked) };
            scene.commit(commits, &format!("{version}: completing"), &one);
            scene.commit(commits, &format!("{version}: completing, simple"), &simple());
            scene.heartbeat(beats, &format!("{version}: completing"), &one);
            scene.join(version, &format!("{version}: again while completing"), "A", &one);
            for (what, who) in [("stale", one.at(0)), ("ahead", one.at(2)), ("unknown", nobody(1))] {
                scene.sync(syncs, &format!("{version}: sync, {what}"), &who, &[]);
                scene.heartbeat(beats, &format!("{version}: {what}"), &who);
                scene.commit(commits, &format!("{version}: {what}"), &who);
            }
            scene.sync(syncs, &format!("{version}: sync"), &one, &[(&one, b"all")]);
            scene.heartbeat(beats, &format!("{version}: stable"), &one);
            scene.commit(commits, &format!("{version}: stable"), &one);
            scene.commit(commits, &format!("{version}: stable, simple"), &simple());
            scene.commit(commits, &format!("{version}: stable, stale"), &one.at(0));
            scene.commit(commits, &format!("{version}: stable, unknown"), &nobody(1));
            scene.sync(syncs, &format!("{version}: sync again"), &one, &[(&one, b"other")]);
            let two = scene.join(version, &format!("{version}: the leader again"), "A", &one);
            scene.heartbeat(beats, &format!("{version}: the former generation"), &one);
            scene.sync(syncs, &format!("{version}: sync without assignments"), &two, &[]);
            scene.leave(leaves, &format!("{version}: unknown"), &[&nobody(2)]);
            scene.leave(leaves, &format!("{version}: known"), &[&two]);
            scene.leave(leaves, &format!("{version}: twice"), &[&two]);
            scene.heartbeat(beats, &format!("{version}: after leaving"), &two);
            scene.sync(syncs, &format!("{version}: sync after leaving"), &two, &[]);
            scene.commit(commits, &format!("{version}: after leaving"), &two);
            scene.commit(commits, &format!("{version}: after leaving, simple"), &simple());
            scene.join(version, &format!("{version}: with the id that left"), "A", &two);
            scene.enter(version, &format!("{version}: a new life"), "B");
        }
    });
}

#[test]
fn bad_requests_of_members_are_refused_as_by_kafka() {
    let (topic, group) = (rig::fresh("conf-bad"), rig::fresh("conf-bad"));
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 4);
        let mut scene = Scene::new(peer, &topic, &group);
        for version in versions(key::JOIN_GROUP) {
            let request = scene.join_request(&Who::default(), PROTOCOLS);
            for (what, request) in [
                ("a short session", request.clone().with_session_timeout_ms(5_999)),
                ("a long session", request.clone().with_session_timeout_ms(1_800_001)),
                ("no group", request.clone().with_group_id(GroupId(text("")))),
                (
                    "no group, a short session",
                    request.clone().with_group_id(GroupId(text(""))).with_session_timeout_ms(1),
                ),
                ("no protocol", request.clone().with_protocols(Vec::new())),
                ("no protocol type", request.clone().with_protocol_type(text(""))),
                ("an unknown member", request.clone().with_member_id(text("nobody"))),
                (
                    "an unknown member, a short session",
                    request.clone().with_member_id(text("x")).with_session_timeout_ms(1),
                ),
                (
                    "an unknown group",
                    request.clone().with_group_id(GroupId(text("conf-none"))).with_member_id(text("x")),
                ),
            ] {
                let response = scene.peer.send(version, &request);
                scene.joined(&format!("join {version}: {what}"), "?", response);
            }
        }
        for known in ["", "conf-none", &*group] {
            known.clone_into(&mut scene.group);
            for version in versions(key::HEARTBEAT) {
                scene.heartbeat(version, &format!("{version}, group {}", known.len()), &nobody(1));
            }
            for version in versions(key::SYNC_GROUP) {
                scene.sync(version, &format!("sync {version}, group {}", known.len()), &nobody(1), &[]);
            }
            for version in versions(key::LEAVE_GROUP) {
                scene.leave(version, &format!("{version}, group {}", known.len()), &[&nobody(1)]);
                if version >= 3 {
                    let named = Who { instance: Some("conf-i"), ..Who::default() };
                    scene.leave(version, &format!("{version}, several"), &[&nobody(1), &named, &Who::default()]);
                    scene.leave(version, &format!("{version}, none"), &[]);
                }
            }
            for version in versions(key::OFFSET_COMMIT).filter(|version| *version <= 9 && !known.is_empty()) {
                scene.commit(version, &format!("{version}, group {}", known.len()), &nobody(1));
            }
        }
    });
}

/// A follower waits for the leader, and everybody for everybody.
#[test]
fn two_members_share_a_group_as_in_kafka() {
    let (topic, group) = (rig::fresh("conf-two"), rig::fresh("conf-two"));
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 4);
        let mut scene = Scene::new(peer, &topic, &group);
        let first = scene.enter(9, "the first", "A");
        scene.sync(5, "the first has all", &first, &[(&first, b"all")]);
        // The second begins to join: the first is asked to.
        let asked = scene.invite(9);
        scene.call(&asked.id, "B");
        scene.heartbeat(4, "invited, not joined", &first);
        scene.heartbeat(4, "of an invited member", &asked.at(1));
        scene.commit(8, "of an invited member", &asked.at(1));
        scene.begin_join(2, 9, &asked, &[("roundrobin", b"o2"), ("range", b"r2")]);
        scene.await_rebalance(&first);
        scene.probe("preparing", &first);
        scene.probe("preparing, stale", &first.at(0));
        scene.probe("preparing, of the new member", &asked.at(1));
        scene.commit(8, "preparing, simple", &simple());
        // One vote each.
        let first = scene.join(9, "the first again", "A", &first);
        let second = scene.end_join(2, 9, "the second", "B");
        scene.join_with(9, "the second while completing", "B", &second, &[("roundrobin", b"o2"), ("range", b"r2")]);
        scene.probe("completing, stale", &first.at(1));
        // The follower waits for the leader.
        let request = scene.sync_request(4, &second, &[]);
        scene.peer.on(2).begin(4, &request);
        scene.peer.on(1);
        scene.sync(4, "the leader assigns", &first, &[(&first, b"a"), (&second, b"b"), (&nobody(1), b"x")]);
        let response = scene.peer.on(2).end::<SyncGroupRequest>(4);
        scene.peer.on(1);
        scene.record("the follower's assignment", response.map(quiet));
        scene.heartbeat(4, "stable", &second);
        scene.commit(8, "stable, the follower", &second);
        // A follower that repeats its request changes nothing.
        let same = [("roundrobin", &b"o2"[..]), ("range", b"r2")];
        scene.join_with(9, "the follower again", "B", &second, &same);
        scene.sync(4, "the follower's assignment again", &second, &[]);
        // A third offers nothing that all have.
        let request = scene.join_request(&Who::default(), &[("sticky", b"s")]);
        for version in versions(key::JOIN_GROUP) {
            let response = scene.peer.send(version, &request);
            scene.joined(&format!("{version}: another protocol"), "?", response);
            let request = scene.join_request(&Who::default(), PROTOCOLS).with_protocol_type(text("connect"));
            let response = scene.peer.send(version, &request);
            scene.joined(&format!("{version}: another type"), "?", response);
        }
        // The follower leaves, and the leader joins alone.
        scene.leave(5, "the follower", &[&second]);
        scene.heartbeat(4, "the follower has left", &first);
        let first = scene.join(9, "alone again", "A", &first);
        assert_eq!(first.generation, 3);
        scene.probe("alone", &first);
        scene.leave(5, "the last", &[&first]);
    });
}

/// A new rebalance while the leader assigns.
#[test]
fn rebalance_refuses_waiting_members_as_in_kafka() {
    let (topic, group) = (rig::fresh("conf-again"), rig::fresh("conf-again"));
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 4);
        let mut scene = Scene::new(peer, &topic, &group);
        let first = scene.enter(9, "the first", "A");
        let asked = scene.invite(9);
        scene.call(&asked.id, "B");
        scene.begin_join(2, 9, &asked, PROTOCOLS);
        scene.await_rebalance(&first);
        let first = scene.join(9, "the first again", "A", &first);
        let second = scene.end_join(2, 9, "the second", "B");
        let request = scene.sync_request(5, &second, &[]);
        scene.peer.on(2).begin(5, &request);
        // The leader has other metadata, and the follower that waits has to join again.
        let other = [("range", &b"r9"[..]), ("roundrobin", b"o1")];
        scene.begin_join(3, 9, &first, &other);
        let response = scene.peer.on(2).end::<SyncGroupRequest>(5);
        scene.peer.on(1);
        scene.record("the sync that waited", response.map(quiet));
        scene.probe("the leader waits", &first);
        // The follower leaves instead: the leader is alone.
        scene.leave(5, "instead of joining", &[&second]);
        let first = scene.end_join(3, 9, "alone", "A");
        scene.sync(5, "alone", &first, &[(&first, b"x")]);
        // A member that waits is removed by its own LeaveGroup.
        let asked = scene.invite(9);
        scene.call(&asked.id, "C");
        scene.begin_join(2, 9, &asked, PROTOCOLS);
        scene.await_rebalance(&first);
        scene.leave(5, "while it joins", &[&asked]);
        scene.end_join(2, 9, "it left while it joined", "C");
        scene.probe("before it joins alone", &first);
        scene.join(9, "alone once more", "A", &first);
    });
}

#[test]
fn static_members_are_replaced_and_fenced_as_in_kafka() {
    let (topic, group) = (rig::fresh("conf-static"), rig::fresh("conf-static"));
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 4);
        for version in versions(key::JOIN_GROUP).filter(|version| *version >= 5) {
            let mut scene = Scene::new(peer, &topic, &format!("{group}-{version}"));
            let unknown = Who { instance: Some("conf-i"), ..Who::default() };
            let old = scene.join(version, &format!("{version}: static"), "A1", &unknown);
            scene.probe(
                &format!("{version}: completing, another instance"),
                &Who { instance: Some("x"), ..old.clone() },
            );
            let next = scene.join(version, &format!("{version}: returns while completing"), "A2", &unknown);
            scene.probe(&format!("{version}: fenced while completing"), &old);
            scene.sync(5, &format!("{version}: sync"), &next, &[(&next, b"all")]);
            let last = scene.join(version, &format!("{version}: returns while stable"), "A3", &unknown);
            scene.sync(5, &format!("{version}: sync of the one that returned"), &last, &[]);
            scene.probe(&format!("{version}: stable"), &last);
            scene.probe(&format!("{version}: fenced while stable"), &next);
            scene.probe(&format!("{version}: without the name"), &Who { instance: None, ..last.clone() });
            scene.join(version, &format!("{version}: the fenced one"), "?", &next);
            scene.leave(5, &format!("{version}: the fenced one"), &[&next]);
            let changed = [("range", &b"r7"[..]), ("roundrobin", b"o1")];
            scene.join_with(version, &format!("{version}: with other metadata"), "A4", &unknown, &changed);
            scene.leave(5, &format!("{version}: by name"), &[&unknown]);
            scene.leave(5, &format!("{version}: by name again"), &[&unknown]);
        }
    });
}
