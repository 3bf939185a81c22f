//! Which requests are sent and how often: each test here fails with a bug that had survived.

use super::bench::Bench;
use super::*;
use crate::metadata::Cache;
use crate::wire::message as m;

#[test]
fn broker_without_epoch_lookup_is_read_without_validation() {
    check(
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+3;hw=8 | meta t0=2e6 | unsupported epoch | take",
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         epoch n2 t0@e5
         fetch n2 s0/0 t0@8
         t0 5 6 7 end @8",
    );
}

#[test]
fn metadata_requests_are_bounded_however_many_brokers_fail() {
    check(
        "meta t0=1e5 t1=2e5 | assign t0 t1 | fail n1 | fail n2 | wait 20 | position t0 | wait 200",
        "fetch n1 s0/0 t0@5
         fetch n2 s0/0 t1@5
         refresh t
         position Some(5)
         fetch n1 s0/0 t0@5
         fetch n2 s0/0 t1@5
         refresh t",
    );
}

#[test]
fn transient_errors_are_not_reported_at_once() {
    for code in ["-1", "7"] {
        check(
            &format!("meta t0=1e5 | assign t0 | fetched n1 s7 t0:!{code} | take | position t0"),
            "fetch n1 s0/0 t0@5
         position Some(5)",
        );
    }
    check(
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:!29 | take",
        "fetch n1 s0/0 t0@5
         error t0 Broker @Some(5)",
    );
    for code in ["5", "6", "74", "100"] {
        check(
            &format!("meta t0=1e5 | assign t0 | fetched n1 s7 t0:!{code} | take | position t0"),
            "fetch n1 s0/0 t0@5
         refresh t
         position Some(5)",
        );
    }
}

#[test]
fn lasting_list_offsets_failure_is_reported() {
    check_with(
        Config { start: Start::Earliest, patience: Duration::from_secs(1), ..Config::default() },
        "meta t0=1e5 | assign t0 | fail list | wait 2000 | fail list | take",
        "list n1 t0=-2
         refresh t
         list n1 t0=-2
         refresh t
         error - Connect @None",
    );
}

#[test]
fn batches_before_the_position_do_not_move_it() {
    check(
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:2+2;hw=9 | take | position t0",
        "fetch n1 s0/0 t0@5
         error t0 Protocol @Some(5)
         position Some(5)",
    );
}

#[test]
fn topic_id_error_of_a_session_refreshes_metadata() {
    for code in ["106", "103"] {
        check(
            &format!("meta t0=1e5 | assign t0 | fetched n1 s7 t0:-;hw=5 | refuse n1 {code}"),
            "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         refresh t",
        );
    }
    check(
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:-;hw=5 | refuse n1 71",
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1",
    );
}

#[test]
fn read_committed_ends_at_the_high_watermark_without_an_lso() {
    check_with(
        Config { start: Start::Offset(5), isolation: Isolation::ReadCommitted, until_end: true, ..Config::default() },
        "meta t0=1e5 | assign t0 | list t0=7 | fetched n1 s7 t0:5+2;hw=7 | take | finished",
        "list n1 t0=-1
         fetch n1 s0/0 t0@5
         t0 5 6 end @7
         finished true",
    );
}

#[test]
fn broker_that_answers_empty_at_once_is_paused() {
    check(
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:-;hw=9 | fetched n1 s7 | fetched n1 s7 | wait 20 | position t0 | wait 40",
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         fetch n1 s7/2
         position Some(5)
         fetch n1 s7/3",
    );
    check(
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:-;hw=9 | wait 400 | fetched n1 s7 | wait 400 | fetched n1 s7 | wait 400
         fetched n1 s7",
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         fetch n1 s7/2
         fetch n1 s7/3
         fetch n1 s7/4",
    );
}

#[test]
fn dropped_records_of_a_paused_partition_cost_no_other() {
    check_with(
        Config { start: Start::Offset(5), prefetch_bytes: 240, ..Config::default() },
        "meta t0=1e5 t1=1e5 | assign t0 t1 | fetched n1 s7 t0:5+3;hw=99 t1:5+1;hw=99 | pause t0 | wait 10 | take",
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t1@6 -t0
         t1 5",
    );
}

#[test]
fn fetch_follows_the_settings_and_the_remaining_budget() {
    let config = Config {
        start: Start::Offset(5),
        isolation: Isolation::ReadCommitted,
        fetch_bytes_min: 3,
        fetch_wait_max: Duration::from_millis(70),
        prefetch_bytes: 1_000,
        rack: "r".into(),
        ..Config::default()
    };
    let max = config.partition_fetch_bytes_max;
    let mut bench = Bench::new(config);
    bench.run("meta t0=1e5 t1=2e6 | assign t0 t1");
    let requests = bench.fetches();
    assert_eq!(requests.len(), 2);
    for (request, epoch) in requests.iter().zip([5, 6]) {
        assert_eq!(
            (request.max_wait_ms, request.min_bytes, request.max_bytes),
            (70, 3, 500),
            "half of the budget each"
        );
        assert_eq!((request.isolation, &*request.rack), (1, "r"));
        let asked = &request.topics[0].partitions[0];
        assert_eq!((asked.current_leader_epoch, asked.last_fetched_epoch), (LeaderEpoch::from_wire(epoch), None));
        assert_eq!((asked.log_start_offset, asked.partition_max_bytes), (-1, max));
    }
    bench.run("seek t0 50");
    assert_eq!(bench.fetches()[0].max_bytes, 1, "the rest of the budget is for the response over the other connection");
    bench.run("fetched n1 s7 t0:5+1;hw=99 | close");
    assert!(bench.fetches().iter().all(|request| request.max_wait_ms == 0 || request.session_epoch >= 0));
}

#[test]
fn bounded_read_returns_nothing_before_its_bound_is_known() {
    check_with(
        Config { start: Start::Offset(5), until_end: true, ..Config::default() },
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+9;hw=14 | take | position t0 | list t0=7 | take | finished",
        "list n1 t0=-1
         fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@14
         position Some(5)
         t0 5 6
         finished true",
    );
}

#[test]
fn batch_after_a_corrupt_one_says_where_to_continue() {
    check(
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+3_9?,8+2;hw=10 | take",
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@10
         t0 then Corrupt @Some(7)",
    );
    check(
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+3?,9+2;hw=11 | take",
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@11
         t0 then Corrupt @Some(7)",
    );
}

#[test]
fn positions_and_lag_cover_all_assigned_partitions() {
    let mut bench = Bench::new(Config { start: Start::Offset(5), ..Config::default() });
    bench.run("meta t0=1e5 t1=1e5 | assign t0 t1 | fetched n1 s7 t0:5+3;hw=10 t1:-;hw=2 | take");
    let of = |partition| TopicPartition::new("t", partition);
    let core = bench.core();
    assert_eq!(core.assignment().collect::<Vec<_>>(), [&of(0), &of(1)]);
    let offsets: Vec<_> = core.positions().into_iter().map(|(key, position)| (key, position.offset)).collect();
    assert_eq!(offsets, [(of(0), 8), (of(1), 5)]);
    assert_eq!((core.lag(&of(0)), core.lag(&of(1)), core.lag(&of(2))), (Some(2), Some(0), None));
    assert!(!core.has_actions(), "the bench takes them all");
}

#[test]
fn requests_about_two_topics_name_each() {
    #[allow(clippy::disallowed_methods)]
    let now = Instant::now();
    let topic = |name: &str| m::MetadataTopic {
        name: name.into(),
        partitions: vec![m::MetadataPartition {
            leader: 1,
            leader_epoch: LeaderEpoch::from_wire(5),
            ..m::MetadataPartition::default()
        }],
        ..m::MetadataTopic::default()
    };
    let brokers = vec![m::Node { id: 1, host: "h".into(), port: 9092, rack: None }];
    let metadata = m::MetadataResponse { brokers, topics: vec![topic("a"), topic("b")], ..Default::default() };
    let start = Start::Stored { otherwise: Box::new(Start::Latest) };
    let mut core = ConsumerCore::new(Config { start, group: Some("g".into()), ..Config::default() });
    let mut cache = Cache::default();
    cache.handle_response(metadata);
    core.handle_metadata(now, cache.snapshot());
    core.assign_topics(now, ["a".into(), "b".into()]);
    assert!(core.has_actions(), "there is much to ask");
    // The committed offsets.
    let Some(Action::OffsetFetch { tag, request }) = core.poll_action() else { panic!("no request") };
    let asked = request.groups[0].topics.iter().flatten();
    assert_eq!(
        asked.map(|topic| (&*topic.name, &*topic.partitions)).collect::<Vec<_>>(),
        [("a", &[0][..]), ("b", &[0])]
    );
    let stored = |name: &str, offset| m::FetchedOffsets {
        name: name.into(),
        id: TopicId::ZERO,
        partitions: vec![m::FetchedOffset { offset, leader_epoch: LeaderEpoch::from_wire(4), ..Default::default() }],
    };
    let answer = |offset| {
        let group = m::FetchedGroup {
            group: "g".into(),
            error: None,
            topics: [stored("a", offset), stored("b", offset)].into(),
        };
        Ok(Response::OffsetFetch(m::OffsetFetchResponse { throttle_time_ms: 0, groups: vec![group] }))
    };
    core.handle_response(now, tag, answer(7));
    // The validation of the committed offsets.
    let Some(Action::EpochEnd { request, .. }) = core.poll_action() else { panic!("no request") };
    let asked = request.topics.iter().map(|topic| (&*topic.name, topic.partitions.len()));
    assert_eq!(asked.collect::<Vec<_>>(), [("a", 1), ("b", 1)]);
    // The end offsets.
    let mut core = ConsumerCore::new(Config { start: Start::Latest, ..Config::default() });
    core.handle_metadata(now, cache.snapshot());
    core.assign_topics(now, ["a".into(), "b".into()]);
    let Some(Action::ListOffsets { request, .. }) = core.poll_action() else { panic!("no request") };
    let asked = request.topics.iter().map(|topic| (&*topic.name, topic.partitions.len()));
    assert_eq!(asked.collect::<Vec<_>>(), [("a", 1), ("b", 1)]);
}
