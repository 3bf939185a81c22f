//! Gaps of the scripts: each test here fails with a mutant that had survived.

use std::sync::Arc;
use std::time::Instant;

use super::bench::settings;
use crate::metadata::Cache;
use crate::partitioner::Builtin;
use crate::producer::core::Key;
use crate::producer::core::ProducerCore;
use crate::producer::core::Settings;
use crate::producer::core::append::POOL_SHARE;
use crate::producer::core::batch::Batch;
use crate::producer::core::batch::Fate;
use crate::types::ProducerIdentity;
use crate::types::Sequence;
use crate::wire::message as m;

fn core(settings: Settings) -> ProducerCore<u64> {
    ProducerCore::new(settings, Arc::new(Builtin::RoundRobin), 1)
}

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// A core that knows a topic with these leaders.
fn knowing(leaders: &[i32], settings: Settings) -> ProducerCore<u64> {
    let partition =
        |(index, leader): (i32, &i32)| m::MetadataPartition { index, leader: *leader, ..Default::default() };
    let partitions = (0..).zip(leaders).map(partition).collect();
    let topic = m::MetadataTopic { name: "t".into(), partitions, ..Default::default() };
    let mut cache = Cache::default();
    cache.handle_response(m::MetadataResponse { topics: vec![topic], ..Default::default() });
    let mut core = core(settings);
    core.handle_metadata(now(), &cache.snapshot());
    assert_eq!(core.topic("t"), Some(0));
    core
}

#[test]
fn compressible_batch_is_limited_to_its_share_of_memory() {
    let mut core = knowing(&[1], Settings { compressed: true, batch_bytes: 100, ..settings() });
    for _ in 0..1_000 {
        core.topics[0].ratio.observe(1_000_000, 1);
    }
    assert_eq!(core.limit(Key { topic: 0, partition: 0 }), settings().pool_bytes_max / POOL_SHARE);
}

#[test]
fn leaderless_partitions_are_not_chosen_while_others_exist() {
    let chosen = |leaders: &[i32]| -> Vec<i32> {
        let mut core = knowing(leaders, settings());
        assert_eq!(usize::try_from(core.partition_count(0)), Ok(leaders.len()));
        let mut chosen: Vec<i32> = (0..6).map(|_| core.choose(0, None)).collect();
        chosen.sort_unstable();
        chosen
    };
    assert_eq!(chosen(&[1, 2, 1]), [0, 0, 1, 1, 2, 2]);
    assert_eq!(chosen(&[1, -1, 1]), [0, 0, 0, 2, 2, 2]);
}

#[test]
fn partitioner_sees_how_many_batches_wait() {
    let mut core = knowing(&[1, 1, 1], settings());
    let topic = &mut core.topics[0];
    topic.note_queued(2, 0);
    assert!(topic.queued.is_empty());
    topic.note_queued(1, 4);
    topic.note_queued(0, 2);
    assert_eq!(topic.queued, [2, 4]);
    topic.note_queued(1, 0);
    assert_eq!(topic.queued, [2, 0]);
}

#[test]
fn flush_of_nothing_completes_at_once() {
    let mut core = core(settings());
    let mark = core.flush(now());
    assert!(core.oldest() >= mark);
}

#[test]
fn acks_are_requested_as_configured() {
    for acks in [-1, 0, 1] {
        assert_eq!(core(Settings { acks, idempotent: false, ..settings() }).acks(), acks);
    }
}

#[test]
fn parts_of_a_batch_keep_order_and_sequences() {
    let identity = ProducerIdentity { id: 7, epoch: 0 };
    let parent: Batch<u64> = Batch {
        id: 300,
        // Three for each record, and some are left.
        ids: 103,
        ticket: 1,
        first: 7,
        count: 30,
        whole: true,
        bytes: 900,
        deadline: now(),
        attempts: 3,
        sealed: None,
        stamp: Some((identity, Sequence::ZERO.advance(40))),
        fate: Fate::Absent,
        abandoned: false,
        reported: vec![8, 11, 30],
        parts: Vec::new(),
    };
    let parts = [(7, 5), (12, 10), (22, 8), (30, 7)].map(|(first, count)| parent.part(first, count, 1));
    assert_eq!(parts.each_ref().map(|part| &part.reported[..]), [&[8, 11][..], &[], &[], &[30]]);
    let built: Vec<_> = parts
        .iter()
        .map(|part| (part.id, part.ids, part.first, part.count, part.stamp.map(|(_, sequence)| sequence.to_wire())))
        .collect();
    let expected = [
        (212, 15, 7, 5, Some(40)),
        (242, 30, 12, 10, Some(45)),
        (266, 24, 22, 8, Some(55)),
        (287, 21, 30, 7, Some(63)),
    ];
    assert_eq!(built, expected);
}
