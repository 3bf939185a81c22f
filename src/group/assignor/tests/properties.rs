//! Balance, stickiness, safety and determinism on random groups.

use super::*;

/// Changes a group as rebalances do.
fn change(rng: &mut Rng, group: &mut Group, joined: &mut usize) {
    match rng.u8(..5) {
        0 if group.members.len() > 1 => drop(group.members.remove(rng.usize(..group.members.len()))),
        1 => {
            *joined += 1;
            let topics = group.members[0].topics.clone();
            group.members.insert(rng.usize(..=group.members.len()), Member::new(format!("n{joined}"), topics));
        }
        2 => {
            let name = rng.choice(group.topics.keys().cloned().collect::<Vec<_>>()).expect("a topic");
            let grown = group.topics[&name].racks().len() + 1;
            group.topics.insert(name, Topic::new(u32::try_from(grown).unwrap()));
        }
        3 => {
            let member = rng.usize(..group.members.len());
            let topics = group.topics.keys().filter(|_| rng.bool()).cloned().collect();
            group.members[member].topics = topics;
        }
        _ => {}
    }
}

/// Runs an assignor through several rebalances of a group, and checks each result.
fn rebalances(assignor: &dyn Assignor, equal: bool, mut each: impl FnMut(&Group, &[Assignment])) {
    seeds(100, |rng| {
        let members = rng.usize(1..=9);
        let mut group = group(rng, members, equal);
        let mut joined = 0;
        for generation in 1..6 {
            let assignments = assignor.assign(&group);
            let protocol = *assignor.protocols().iter().max().expect("a protocol");
            assert_eq!(check(&group, &assignments, protocol), Ok(()));
            each(&group, &assignments);
            rejoin(&mut group, assignor, &assignments, generation);
            change(rng, &mut group, &mut joined);
        }
    });
}

#[test]
fn partitions_go_to_one_subscriber_at_most() {
    for assignor in ALL {
        rebalances(assignor, true, |_, _| {});
        rebalances(assignor, false, |_, _| {});
    }
}

/// The number of partitions to which somebody subscribes.
fn subscribed(group: &Group) -> usize {
    let topics: BTreeSet<_> = group.members.iter().flat_map(|member| &member.topics).collect();
    topics.into_iter().map(|topic| group.topics[topic].racks().len()).sum()
}

#[test]
fn eager_assignors_leave_no_partition_out() {
    for assignor in [&Range as &dyn Assignor, &RoundRobin, &Sticky] {
        rebalances(assignor, false, |group, assignments| {
            assert_eq!(sizes(assignments).iter().sum::<usize>(), subscribed(group));
        });
    }
}

/// Lets a group rebalance without changes until the assignments stay, and returns them and how many rebalances that took.
fn settle(assignor: &dyn Assignor, group: &Group, assignments: &[Assignment]) -> (Vec<Assignment>, usize) {
    let mut group = group.clone();
    let mut before = assignments.to_vec();
    for rebalances in 0..10 {
        rejoin(&mut group, assignor, &before, 100);
        let after = assignor.assign(&group);
        if sorted(&after) == sorted(&before) {
            return (after, rebalances);
        }
        before = after;
    }
    panic!("still moving: {before:?}");
}

#[test]
fn sticky_groups_settle_after_few_rebalances() {
    for (assignor, equal, most) in [
        (&Sticky as &dyn Assignor, true, 0),
        (&Sticky, false, 1),
        (&CooperativeSticky, true, 1),
        (&CooperativeSticky, false, 3),
    ] {
        rebalances(assignor, equal, |group, assignments| {
            let (settled, rebalances) = settle(assignor, group, assignments);
            assert!(rebalances <= most, "{rebalances}");
            assert_eq!(sizes(&settled).iter().sum::<usize>(), subscribed(group), "nothing is left out");
        });
    }
}

#[test]
fn equal_subscriptions_lead_to_loads_that_differ_by_one() {
    for assignor in [&RoundRobin as &dyn Assignor, &Sticky] {
        seeds(200, |rng| {
            let members = rng.usize(1..=12);
            let mut group = group(rng, members, true);
            for generation in 1..5 {
                let assignments = assignor.assign(&group);
                let sizes = sizes(&assignments);
                assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
                rejoin(&mut group, assignor, &assignments, generation);
                let gone = rng.usize(..group.members.len());
                let topics = group.members[gone].topics.clone();
                group.members[gone] = Member::new(format!("n{generation}"), topics);
            }
        });
    }
}

/// The most partitions that can stay, found by trying every way to give out quotas.
fn most_that_can_stay(owned: &[usize], partitions: usize) -> usize {
    let (fewest, extra) = (partitions / owned.len(), partitions % owned.len());
    let with_extra = |chosen: u32| {
        let quota = |member: usize| fewest + usize::from(chosen & (1 << member) != 0);
        owned.iter().enumerate().map(|(member, owned)| (*owned).min(quota(member))).sum()
    };
    let choices = (0_u32..1 << owned.len()).filter(|chosen| chosen.count_ones() as usize == extra);
    choices.map(with_extra).max().expect("a choice")
}

#[test]
fn fewest_partitions_move_among_equal_members() {
    for assignor in [&Sticky as &dyn Assignor, &CooperativeSticky] {
        seeds(200, |rng| {
            let members = rng.usize(1..=7);
            let mut group = group(rng, members, true);
            let before = Sticky.assign(&group);
            rejoin(&mut group, assignor, &before, 1);
            let topics = group.members[0].topics.clone();
            let mut owned = sorted(&before);
            for _ in 0..rng.usize(..group.members.len()) {
                let gone = rng.usize(..group.members.len());
                group.members.remove(gone);
                owned.remove(gone);
            }
            for joined in 0..rng.usize(..3) {
                group.members.push(Member::new(format!("a{joined}"), topics.clone()));
                owned.push(BTreeSet::new());
            }
            let after = sorted(&assignor.assign(&group));
            let stayed: usize = owned.iter().zip(&after).map(|(owned, after)| owned.intersection(after).count()).sum();
            let owned: Vec<usize> = owned.iter().map(BTreeSet::len).collect();
            assert_eq!(stayed, most_that_can_stay(&owned, subscribed(&group)));
        });
    }
}

/// Which members may have one partition more depends on a hash table's order in Java, and so on the order of members where
/// buckets collide. Without a history, all assignors return the same for any order.
#[test]
fn order_of_members_does_not_matter_to_a_new_group() {
    for assignor in ALL {
        seeds(300, |rng| {
            let members = rng.usize(1..=20);
            let equal = rng.bool();
            let mut group = group(rng, members, equal);
            let by_id = |group: &Group| {
                let assigned = sorted(&assignor.assign(group));
                let ids = group.members.iter().map(|member| member.id.clone());
                ids.zip(assigned).collect::<std::collections::BTreeMap<_, _>>()
            };
            let before = by_id(&group);
            rng.shuffle(&mut group.members);
            assert_eq!(by_id(&group), before);
            assert_eq!(assignor.assign(&group), assignor.assign(&group));
        });
    }
}

/// A `cooperative-sticky` member gives up partitions in one rebalance, and another one gets them in the next.
#[test]
fn no_partition_has_two_owners_while_members_come_and_go() {
    seeds(200, |rng| {
        let members = rng.usize(1..=6);
        let mut group = group(rng, members, false);
        let mut joined = 0;
        for generation in 1..8 {
            let assignments = CooperativeSticky.assign(&group);
            let mut owners = BTreeSet::new();
            for (member, assignment) in group.members.iter().zip(&assignments) {
                let held: BTreeSet<_> = member.owned.iter().chain(&assignment.partitions).collect();
                for partition in held {
                    // Until a member hears of the assignment it still reads what it gives up.
                    assert!(owners.insert(partition.clone()), "{partition} has two owners");
                }
            }
            rejoin(&mut group, &CooperativeSticky, &assignments, generation);
            change(rng, &mut group, &mut joined);
        }
    });
}

#[test]
fn static_members_get_the_same_under_new_ids() {
    for assignor in [&Range as &dyn Assignor, &RoundRobin] {
        seeds(100, |rng| {
            let members = rng.usize(1..=8);
            let mut group = group(rng, members, false);
            for (index, member) in group.members.iter_mut().enumerate() {
                member.instance_id = Some(format!("i{index}"));
            }
            let before = sorted(&assignor.assign(&group));
            for member in &mut group.members {
                member.id = format!("{:x}", rng.u64(..));
            }
            assert_eq!(sorted(&assignor.assign(&group)), before);
        });
    }
}

#[test]
fn partitions_are_read_in_the_rack_of_a_replica() {
    for assignor in ALL.into_iter().filter(|assignor| assignor.name() != "roundrobin") {
        let mut group = Group::default();
        group.topics.insert("t".into(), Topic::with_racks([["b"], ["a"], ["b"], ["a"]]));
        for (id, rack) in [("x", "a"), ("y", "b")] {
            let mut member = Member::new(id, ["t"]);
            member.rack = Some(rack.into());
            group.members.push(member);
        }
        let assigned: Vec<_> = assignor.assign(&group).into_iter().map(|assignment| assignment.partitions).collect();
        assert_eq!(assigned, [partitions("t", &[1, 3]), partitions("t", &[0, 2])], "{assignor:?}");
    }
}

/// Debug builds take a smaller group. `cargo test --release` measures nothing either, but should not be slow.
#[test]
fn thousand_members_share_ten_thousand_partitions() {
    let (members, partitions) = if cfg!(debug_assertions) { (100, 10) } else { (1000, 100) };
    for assignor in ALL {
        for equal in [true, false] {
            let mut group = Group::default();
            for topic in 0..100 {
                group.topics.insert(format!("t{topic}").into(), Topic::new(partitions));
            }
            for member in 0..members {
                let topics = (0..100).filter(|topic| equal || (member + topic) % 3 > 0);
                group.members.push(Member::new(format!("m{member}"), topics.map(|topic| format!("t{topic}"))));
            }
            let assignments = assignor.assign(&group);
            rejoin(&mut group, assignor, &assignments, 1);
            group.members.truncate(members * 9 / 10);
            let again = assignor.assign(&group);
            assert_eq!(check(&group, &again, RebalanceProtocol::Eager), Ok(()));
            assert_eq!(sizes(&again).iter().sum::<usize>(), subscribed(&group));
        }
    }
}
