//! Members of a group that say anything.

use bytes::Bytes;
use ottla::group::assignor::Group;
use ottla::group::assignor::Member;
use ottla::group::assignor::RebalanceProtocol;
use ottla::group::assignor::Topic;
use ottla::group::assignor::by_name;
use ottla::group::assignor::check;
use ottla::internals::wire::consumer_protocol::Assignment;
use ottla::internals::wire::consumer_protocol::StickyUserData;
use ottla::internals::wire::consumer_protocol::Subscription;
use ottla::internals::wire::consumer_protocol::VERSION;

const NAMES: [&str; 4] = ["range", "roundrobin", "sticky", "cooperative-sticky"];

/// Topics that exist. Members may name more.
const TOPICS_MAX: usize = 8;

/// The partitions of the topics that exist, then the subscription of each member, after its length in two bytes. Every assignor
/// must return a valid assignment.
pub fn group(data: &[u8]) {
    let Some((partitions, mut rest)) = data.split_first() else { return };
    let mut group = Group::default();
    while let [high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (subscription, next) = after.split_at(length);
        rest = next;
        let subscription = Bytes::copy_from_slice(subscription);
        assignment(&subscription);
        let Some(subscription) = written_again(subscription) else { continue };
        for topic in &subscription.topics {
            if group.topics.len() < TOPICS_MAX {
                let racks = subscription.rack.iter().map(AsRef::as_ref).cycle();
                let racks = racks.chain([""]).take(usize::from(partitions % 16)).map(|rack| [rack]);
                group.topics.insert(topic.clone(), Topic::with_racks(racks));
            }
        }
        let id = format!("m{}", group.members.len() / 2 * 7 % 5);
        let instance = (length % 3 == 0).then(|| format!("i{length}"));
        group.members.push(Member::from_subscription(id, instance, subscription));
    }
    for name in NAMES {
        let assignments = by_name(name).expect("a built-in assignor").assign(&group);
        assert_eq!(check(&group, &assignments, RebalanceProtocol::Eager), Ok(()), "{name}: {group:?}");
    }
}

/// A subscription that is the same when it is written and read once more.
fn written_again(bytes: Bytes) -> Option<Subscription> {
    let subscription = Subscription::decode(bytes).ok()?;
    assert_eq!(Subscription::decode(subscription.encode(VERSION)).as_ref(), Ok(&subscription));
    if let Some(data) = subscription.user_data.clone().and_then(|data| StickyUserData::decode(data).ok()) {
        assert_eq!(StickyUserData::decode(data.encode()), Ok(data));
    }
    Some(subscription)
}

fn assignment(bytes: &Bytes) {
    if let Ok(assignment) = Assignment::decode(bytes.clone()) {
        assert_eq!(Assignment::decode(assignment.encode(VERSION)), Ok(assignment));
    }
}
