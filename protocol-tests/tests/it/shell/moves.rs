//! Leaders that move, brokers that start again, connections cut anywhere: everything once and in order, and soon.
//!
//! A change is noticed whenever it comes: each is made after the k-th turn of the other tasks, for every k until they are all
//! idle.

use std::time::Duration;
use std::time::Instant;

use ottla::Record;
use ottla::codec::Compression;
use ottla::internals::net::clock::now;
use ottla::mock::Cluster;

use super::hops;
use super::net::Net;
use super::run;
use super::world::BUFFER;
use super::world::PARTITIONS;
use super::world::TOPIC;
use super::world::World;
use super::world::cluster;
use super::world::soon;

/// Turns of the other tasks after which all of them are idle.
const TURNS: usize = 50;

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

/// A cluster without leader hints (KIP-951): a new leader is found by a metadata request.
fn terse_cluster() -> Cluster {
    let builder = Cluster::builder().brokers(3).topic(TOPIC, PARTITIONS).auto_create(false);
    let mut cluster = builder.versions(PRODUCE, 3, 9).versions(FETCH, 4, 15).build();
    for partition in 0..PARTITIONS {
        assert!(cluster.move_leader(TOPIC, partition, partition + 1));
    }
    cluster
}

fn clusters() -> [fn() -> Cluster; 2] {
    [cluster, terse_cluster]
}

/// Makes the broker after the leader lead each partition.
pub(super) fn move_leaders(cluster: &mut Cluster) {
    for partition in 0..PARTITIONS {
        let (leader, _) = cluster.leader(TOPIC, partition).expect("it has one");
        assert!(cluster.move_leader(TOPIC, partition, leader % 3 + 1));
    }
}

/// Makes a change at the k-th turn while records are on their way, and judges the result.
async fn change_at(make: fn() -> Cluster, turn: usize, change: fn(&Net)) {
    change_world_at(World::new(Net::new(make())).await, turn, change).await;
}

async fn change_world_at(mut world: World, turn: usize, change: fn(&Net)) {
    world.background(1).await;
    let net = world.net.clone();
    let changing = tokio::spawn(async move {
        hops(turn).await;
        change(&net);
    });
    world.background(4).await;
    changing.await.expect("it does not panic");
    world.check().await;
}

#[test]
fn leader_that_moves_at_any_turn_is_followed() {
    for make in clusters() {
        for turn in 0..TURNS {
            run(change_at(make, turn, |net| net.with(move_leaders)));
        }
    }
}

#[test]
fn leader_that_moves_twice_at_any_turn_is_followed() {
    for turn in 0..TURNS {
        run(change_at(terse_cluster, turn, |net| {
            net.with(move_leaders);
            let net = net.clone();
            tokio::spawn(async move {
                hops(3).await;
                net.with(move_leaders);
            });
        }));
    }
}

#[test]
fn compressed_batches_follow_a_leader_that_moves() {
    for turn in (0..TURNS).step_by(5) {
        run(async {
            let mut world = World::compressed(Net::new(terse_cluster()), Compression::Lz4).await;
            // So large that it is compressed on another thread.
            let value = format!("{:0>width$}", world.sure(1), width = BUFFER - 200);
            let accepted = world.producer.enqueue(Record::to(TOPIC).partition(1).value(&value));
            drop(soon("enqueue", accepted).await.expect("there is capacity"));
            soon("flush", world.producer.flush()).await;
            change_world_at(world, turn, |net| net.with(move_leaders)).await;
        });
    }
}

#[test]
fn connections_cut_at_any_turn_are_established_again() {
    for turn in 0..TURNS {
        run(change_at(cluster, turn, Net::cut_all));
    }
}

#[test]
fn broker_restarted_at_any_turn_loses_nothing() {
    for turn in 0..TURNS {
        run(change_at(terse_cluster, turn, |net| {
            net.with(|cluster| cluster.set_down(2));
            let net = net.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(700)).await;
                net.with(|cluster| cluster.set_up(2));
            });
        }));
    }
}

#[test]
fn all_brokers_restarted_at_any_turn_lose_nothing() {
    for turn in 0..TURNS {
        run(change_at(cluster, turn, |net| {
            net.with(|cluster| (1..=3).for_each(|broker| cluster.set_down(broker)));
            let net = net.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                net.with(|cluster| (1..=3).for_each(|broker| cluster.set_up(broker)));
            });
        }));
    }
}

/// More bytes than a broker reads or writes while a world is judged once.
const BYTES: usize = 1_500;

#[test]
fn connection_cut_within_any_response_repeats_nothing() {
    for bytes in (0..BYTES).step_by(11) {
        run(async {
            let mut world = World::new(Net::new(cluster())).await;
            world.net.set(2, |switches| switches.cut_out = Some(bytes));
            world.background(3).await;
            world.check().await;
        });
    }
}

#[test]
fn connection_cut_within_any_request_loses_nothing() {
    for bytes in (0..BYTES).step_by(11) {
        run(async {
            let mut world = World::new(Net::new(cluster())).await;
            world.net.set(2, |switches| switches.cut_in = Some(bytes));
            world.background(3).await;
            world.check().await;
        });
    }
}

#[test]
fn frames_in_small_pieces_are_assembled() {
    for pipe in [1, 3, 7, 64] {
        run(async {
            let mut world = World::new(Net::with_pipes(cluster(), pipe)).await;
            world.background(3).await;
            world.check().await;
        });
    }
}

#[test]
fn poll_returns_a_record_written_at_any_turn_of_a_move() {
    for make in clusters() {
        for turn in 0..TURNS {
            run(async {
                let mut world = World::new(Net::new(make())).await;
                world.check().await;
                let (net, producer) = (world.net.clone(), world.producer.clone());
                net.with(move_leaders);
                let value = world.sure(1);
                let writing = tokio::spawn(async move {
                    hops(turn).await;
                    producer.send(Record::to(TOPIC).partition(1).value(&value)).await.expect("it is acknowledged");
                });
                let records = soon("poll", world.consumer.poll()).await.expect("nothing is wrong");
                world.note(&records.expect("the consumer is open"));
                soon("send", writing).await.expect("it does not panic");
                world.check().await;
            });
        }
    }
}

#[test]
fn throttled_client_slows_down_without_failure_or_reordering() {
    run(async {
        let net = Net::new(cluster());
        let client = net.client().request_timeout(Duration::from_secs(3)).connect().await.expect("they answer");
        let producer = client.producer().linger(Duration::ZERO).build().expect("the settings are fine");
        net.with(|cluster| cluster.set_throttle_ms(2_000));
        let begun = now();
        let mut deliveries = Vec::new();
        for number in 0..40 {
            let value = number.to_string();
            let record = Record::to(TOPIC).partition(0).value(&value);
            deliveries.push(producer.enqueue(record).await.expect("there is capacity"));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for (offset, delivery) in (0..).zip(deliveries) {
            let receipt = delivery.await.expect("it is acknowledged in the end");
            assert_eq!(receipt.offset, Some(offset));
        }
        let mut asked: Vec<_> = net.with(|cluster| {
            let produced = cluster.requests().filter(|request| request.api_key == PRODUCE);
            produced.map(|request| request.at).filter(|at| *at >= begun).collect()
        });
        asked.dedup();
        assert!(asked.len() > 5, "{asked:?}");
        let spared = |pair: &[Instant]| pair[1] - pair[0] >= Duration::from_secs(2);
        assert!(asked.windows(2).all(spared), "asked while it was to be silent: {asked:?}");
    });
}
