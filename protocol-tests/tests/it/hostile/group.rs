//! Members that lie to the leader, and leaders that lie to members. Coordinators pass on any bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla::group::assignor::Group;
use ottla::group::assignor::Member;
use ottla::group::assignor::RebalanceProtocol;
use ottla::group::assignor::Topic;
use ottla::group::assignor::by_name;
use ottla::group::assignor::check;
use ottla::internals::wire::DecodeError;
use ottla::internals::wire::consumer_protocol::Assignment;
use ottla::internals::wire::consumer_protocol::StickyUserData;
use ottla::internals::wire::consumer_protocol::Subscription;

use super::super::golden::rows;
use super::super::golden::unhex;
use super::CLAIMS;
use super::mutate;
use super::overwrite;
use super::seeds;

const HEADING: &str = "#assignor\ttopics\tmembers\tassignments";

/// The subscriptions that Java's members of one group sent, and the assignments that they got.
type Sent = (Vec<Vec<u8>>, Vec<Vec<u8>>);

fn sent() -> Vec<Sent> {
    let last = |text: &str| unhex(text.rsplit('/').next().expect("bytes"));
    let rows = rows(HEADING);
    rows.iter().map(|row| (row[2].split(' ').map(last).collect(), row[3].split(' ').map(last).collect())).collect()
}

#[test]
fn class_26_cut_subscriptions_and_assignments_are_refused() {
    for (subscriptions, assignments) in sent() {
        for bytes in subscriptions {
            for end in 0..bytes.len() {
                let cut = Bytes::copy_from_slice(&bytes[..end]);
                assert!(Subscription::decode(cut).is_err(), "{end} bytes of {bytes:02x?}");
            }
        }
        for bytes in assignments {
            for end in 0..bytes.len() {
                assert!(
                    Assignment::decode(Bytes::copy_from_slice(&bytes[..end])).is_err(),
                    "{end} bytes of {bytes:02x?}"
                );
            }
        }
    }
}

#[test]
fn class_26_counts_and_lengths_are_checked() {
    let version = [0, 3];
    for claim in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xfe], &[0x80, 0, 0, 0], &[0xff; 4]] {
        let zeros = [0; 40];
        // The topics; the user data, which alone may be null; the owned topics; their partitions.
        let places: [&[u8]; 4] = [
            &[],
            &[0; 4],
            &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0],
        ];
        for (number, before) in places.into_iter().enumerate() {
            let bytes = [&version, before, claim, &zeros[..]].concat();
            let decoded = Subscription::decode(bytes.into());
            let may_be_null = number == 1 && claim == [0xff; 4];
            assert_eq!(decoded.is_ok(), may_be_null, "{number} {claim:?}: {decoded:?}");
        }
        let assigned = Assignment::decode([&version, claim, &zeros[..]].concat().into());
        assert!(assigned.is_err(), "{assigned:?}");
        let data = StickyUserData::decode([claim, &zeros[..]].concat().into());
        assert!(data.is_err(), "{data:?}");
    }
    let name = [&version[..], &[0, 0, 0, 1, 0, 2, 0xff, 0xff], &[0; 20]].concat();
    assert_eq!(Subscription::decode(name.into()), Err(DecodeError::Utf8));
}

/// A group whose members said these things; `None` of them that cannot be read.
fn group(subscriptions: &[Vec<u8>]) -> Group {
    let mut group = Group::default();
    group.topics = BTreeMap::from(["t0", "t1", "topic-0", "topic-7"].map(|name| (name.into(), Topic::new(5))));
    for bytes in subscriptions {
        if let Ok(subscription) = Subscription::decode(Bytes::copy_from_slice(bytes)) {
            let id = format!("m{}", group.members.len() / 2);
            group.members.push(Member::from_subscription(id, None, subscription));
        }
    }
    group
}

/// Ids that repeat, partitions that are negative or beyond the end, topics unknown or named twice, claims of the same partitions.
#[test]
fn class_26_leader_assigns_whatever_members_say() {
    let sent = sent();
    seeds(3000, |rng| {
        let (subscriptions, _) = &sent[rng.usize(..sent.len())];
        let mut subscriptions = subscriptions.clone();
        for bytes in &mut subscriptions {
            match rng.u8(..4) {
                0 => mutate(rng, bytes),
                1 => {
                    let at = rng.usize(..bytes.len());
                    overwrite(bytes, at, CLAIMS[rng.usize(..CLAIMS.len())]);
                }
                _ => {}
            }
        }
        if rng.bool() {
            subscriptions.extend(subscriptions.clone());
        }
        let group = group(&subscriptions);
        for name in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
            let assignments = by_name(name).expect("a built-in assignor").assign(&group);
            assert_eq!(check(&group, &assignments, RebalanceProtocol::Eager), Ok(()), "{name}");
        }
    });
}

#[test]
fn class_26_mutated_assignments_never_panic() {
    let sent = sent();
    seeds(3000, |rng| {
        let (_, assignments) = &sent[rng.usize(..sent.len())];
        let mut bytes = assignments[rng.usize(..assignments.len())].clone();
        mutate(rng, &mut bytes);
        if let Ok(assignment) = Assignment::decode(bytes.into()) {
            assert_eq!(Assignment::decode(assignment.encode(3)), Ok(assignment));
        }
    });
}
