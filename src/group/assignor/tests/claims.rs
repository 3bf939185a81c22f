//! Claims of members that contradict each other, are out of date, or make no sense.

use bytes::Bytes;

use super::*;

/// Two members, `x` and `y`, which claim these partitions of topic `t` in these generations.
fn claiming(x: (&[i32], Option<i32>), y: (&[i32], Option<i32>)) -> Group {
    let mut group = Group::default();
    group.topics.insert("t".into(), Topic::new(4));
    for (id, (owned, generation)) in [("x", x), ("y", y)] {
        let mut member = Member::new(id, ["t"]);
        member.owned = partitions("t", owned);
        member.generation = generation;
        group.members.push(member);
    }
    group
}

fn assigned(group: &Group) -> Vec<Vec<i32>> {
    let numbers = |assignment: Assignment| assignment.partitions.iter().map(|partition| partition.partition).collect();
    CooperativeSticky.assign(group).into_iter().map(numbers).collect()
}

#[test]
fn later_generation_is_believed() {
    let group = claiming((&[0, 1, 2], Some(4)), (&[1, 2, 3], Some(5)));
    // Partition 3 goes to `x` in the next rebalance, when `y` has given it up.
    assert_eq!(assigned(&group), [vec![0], vec![1, 2]]);
}

#[test]
fn partition_claimed_twice_in_one_generation_is_given_to_nobody() {
    let group = claiming((&[0, 1], Some(4)), (&[1, 2], Some(4)));
    let given: Vec<i32> = assigned(&group).concat();
    assert!(!given.contains(&1), "{given:?}");
}

#[test]
fn generation_of_an_older_member_is_in_its_user_data() {
    let mut group = claiming((&[0, 1], Some(5)), (&[1, 2], None));
    assert_eq!(assigned(&group), [[0, 1], [2, 3]], "claims without a generation are the oldest");
    group.members[1].user_data = Some(Bytes::copy_from_slice(&6_i32.to_be_bytes()));
    assert_eq!(assigned(&group), [[0, 3], [1, 2]]);
    group.members[1].user_data = Some(Bytes::from_static(b"?"));
    assert_eq!(assigned(&group), [[0, 1], [2, 3]]);
}

#[test]
fn partitions_that_do_not_exist_are_nobodys() {
    let mut group = claiming((&[-1, 4, i32::MAX, i32::MIN, 0], Some(1)), (&[], None));
    group.members[0].owned.push(TopicPartition::new("gone", 0));
    let all = |group: &Group| {
        let mut all = assigned(group).concat();
        all.sort_unstable();
        all
    };
    assert_eq!(all(&group), [0, 1, 2, 3]);
    group.members[1].topics.clear();
    assert_eq!(all(&group), [0, 1, 2, 3]);

    // They are not taken for partitions of the next topic either.
    group = claiming((&[4, 5, 6, 7], Some(1)), (&[], None));
    group.topics.insert("u".into(), Topic::new(4));
    for member in &mut group.members {
        member.topics.push("u".into());
    }
    let with_claims = CooperativeSticky.assign(&group);
    group.members[0].owned.clear();
    assert_eq!(CooperativeSticky.assign(&group), with_claims);
}

#[test]
fn member_without_topics_gets_nothing_wherever_it_stands() {
    for id in 0..40 {
        for assignor in ALL {
            let mut group = claiming((&[0, 1, 2, 3], Some(1)), (&[], None));
            group.members[1].id = format!("m{id}");
            group.members[1].topics.clear();
            assert_eq!(sizes(&assignor.assign(&group)), [4, 0], "{assignor:?} m{id}");
        }
    }
}

/// Java's leader fails here (a `NullPointerException`), or gives the partition back to the member.
#[test]
fn former_owner_that_no_longer_subscribes_gets_nothing() {
    let mut group = Group::default();
    group.topics.insert("a".into(), Topic::new(6));
    group.topics.insert("b".into(), Topic::new(1));
    for (id, topics, owned, generation) in
        [("x", &["a"][..], 0..6, 5), ("y", &["a", "b"], 0..0, 5), ("z", &["b"], 0..6, 4)]
    {
        let mut member = Member::new(id, topics.iter().copied());
        member.owned = owned.map(|partition| TopicPartition::new("a", partition)).collect();
        member.generation = Some(generation);
        group.members.push(member);
    }
    let assignments = CooperativeSticky.assign(&group);
    assert_eq!(check(&group, &assignments, RebalanceProtocol::Cooperative), Ok(()));
    assert_eq!(sizes(&assignments), [3, 0, 1]);
}

#[test]
fn user_data_that_cannot_be_read_claims_nothing() {
    let mut group = claiming((&[], Some(1)), (&[], Some(1)));
    group.members[0].user_data = Some(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 1]));
    group.members[1].user_data = Some(Bytes::new());
    assert_eq!(sizes(&Sticky.assign(&group)), [2, 2]);
}

#[test]
fn empty_groups_and_equal_ids_are_survived() {
    for assignor in ALL {
        assert_eq!(assignor.assign(&Group::default()), []);
        let mut group = claiming((&[0, 1], Some(1)), (&[2, 3], Some(1)));
        group.members[1].id = "x".into();
        let assignments = assignor.assign(&group);
        assert_eq!(check(&group, &assignments, RebalanceProtocol::Eager), Ok(()));
        group.topics.clear();
        assert_eq!(sizes(&assignor.assign(&group)), [0, 0]);
    }
}
