//! Groups of which the golden rows have everything, so that they do not depend on how random groups are made.

use bytes::Bytes;
use ottla::group::assignor::Group;
use ottla::group::assignor::Member;
use ottla::group::assignor::Topic;
use ottla::group::assignor::by_name;
use ottla::internals::wire::consumer_protocol::Assignment;
use ottla::internals::wire::consumer_protocol::Subscription;
use ottla::internals::wire::consumer_protocol::TopicPartitions;
use ottla::internals::wire::consumer_protocol::VERSION;

use super::super::golden::rows;
use super::super::golden::unhex;

/// `events/3/a+b,,c`: the number of partitions and the racks of each one's replicas.
fn topic(text: &str) -> Option<(&str, Topic)> {
    let [name, count, racks] = text.split('/').collect::<Vec<_>>()[..] else { panic!("not a topic: {text}") };
    let racks = racks.split(',').map(|racks| racks.split('+').filter(|rack| !rack.is_empty()));
    Some((name, Topic::with_racks(racks))).filter(|_| count != "0")
}

/// `id/instance/subscription`.
fn member(text: &str) -> Member {
    let [id, instance, subscription] = text.split('/').collect::<Vec<_>>()[..] else { panic!("not a member: {text}") };
    let instance = Some(instance.to_owned()).filter(|instance| !instance.is_empty());
    let bytes = Bytes::from(unhex(subscription));
    let subscription = Subscription::decode(bytes.clone()).expect("a subscription");
    let version = i16::from_be_bytes([bytes[0], bytes[1]]);
    // An empty rack is none.
    let rackless = subscription.rack.is_none() && bytes.ends_with(&[0, 0]);
    assert!(rackless || subscription.encode(version) == bytes, "{text} is written differently");
    Member::from_subscription(id.to_owned(), instance, subscription)
}

#[test]
fn whole_groups_are_assigned_as_by_java() {
    let rows = rows("#assignor\ttopics\tmembers\tassignments");
    assert!(rows.len() >= 100, "only {} groups", rows.len());
    for row in &rows {
        let [name, topics, members, expected] = &row[..] else { panic!("not four columns: {row:?}") };
        let mut group = Group::default();
        group.topics = topics.split(' ').filter_map(topic).map(|(name, topic)| (name.into(), topic)).collect();
        group.members = members.split(' ').map(member).collect();
        let assignments = by_name(name).expect("a built-in assignor").assign(&group);
        let encoded = assignments.into_iter().map(|assignment| {
            let partitions = TopicPartitions::group(&assignment.partitions);
            Assignment { partitions, user_data: assignment.user_data }.encode(VERSION)
        });
        let expected: Vec<Bytes> = expected.split(' ').map(|bytes| Bytes::from(unhex(bytes))).collect();
        assert_eq!(encoded.collect::<Vec<_>>(), expected, "{row:?}");
    }
}
