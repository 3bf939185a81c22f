//! Responses that are well formed and untrue: classes 7, 21 to 25 and 30 of malformed input.
//!
//! Brokers lie for a while and then stop. Afterwards every record that was accepted is in the log once, every record that was read is
//! in the log, and every offset that was returned is one.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bytes::Buf;
use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages as kp;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::ResponseKind;
use kafka_protocol::protocol::StrBytes;
use ottla::Error;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::consumer::Position;
use ottla::types::TopicPartition;
use tokio::time::timeout;

use super::net::Liar;
use super::net::Net;
use super::run;
use super::world::GROUP;
use super::world::OTHER;
use super::world::PARTITIONS;
use super::world::TOPIC;
use super::world::World;
use super::world::cluster;
use super::world::soon;

/// How long brokers lie.
const LYING: Duration = Duration::from_secs(20);

/// Requests in that time: a consumer fetches twenty times a second from each of three brokers whose responses are empty.
const REQUESTS: u64 = 2_000;

/// Changes a response.
type Change = fn(&mut ResponseKind);

/// A frame with its size, changed.
fn edited(api: i16, version: i16, frame: Bytes, change: Change) -> Bytes {
    let Ok(api) = ApiKey::try_from(api) else { return frame };
    let head = if api.response_header_version(version) == 1 { 9 } else { 8 };
    let mut body = frame.slice(head..);
    let mut response = ResponseKind::decode(api, &mut body, version).expect("the mock's replies are well formed");
    assert!(!body.has_remaining(), "nothing is behind a reply");
    change(&mut response);
    let mut out = BytesMut::from(&frame[..head]);
    response.encode(&mut out, version).expect("it can be encoded");
    sized(out)
}

/// Writes the size of a frame to its front.
fn sized(mut frame: BytesMut) -> Bytes {
    let size = i32::try_from(frame.len() - 4).expect("frames are small");
    (&mut frame[..4]).put_i32(size);
    frame.freeze()
}

/// Offsets that users ask for are right or an error, whichever broker lies.
async fn ask(world: &World) -> Vec<Error> {
    let consumer = &world.consumer;
    let mut errors = Vec::new();
    let limits = |partition| world.net.with(|cluster| cluster.offsets(TOPIC, partition)).expect("it exists");
    let everywhere = |partitions: BTreeSet<i32>| assert_eq!(partitions, (0..PARTITIONS).collect(), "none is left out");
    match timeout(Duration::from_secs(2), consumer.end_offsets()).await {
        Ok(Ok(ends)) => {
            everywhere(ends.iter().map(|(key, _)| key.partition).collect());
            for (key, end) in ends {
                assert!((0..=limits(key.partition).1).contains(&end), "{key} does not end at {end}");
            }
        }
        Ok(Err(error)) => errors.push(error),
        Err(_) => {}
    }
    match timeout(Duration::from_secs(2), consumer.committed()).await {
        Ok(Ok(stored)) => {
            everywhere(stored.iter().map(|(key, _)| key.partition).collect());
            for (key, position) in stored {
                let truly = world.net.with(|cluster| cluster.committed(GROUP, TOPIC, key.partition));
                assert_eq!(position.map(|position| position.offset), truly, "what was committed for {key}");
            }
        }
        Ok(Err(error)) => errors.push(error),
        Err(_) => {}
    }
    errors
}

/// Writes, reads and commits while brokers lie, and judges when they stop. Returns the errors of that time.
async fn under(liar: Liar) -> Vec<Error> {
    let mut world = World::new(Net::new(cluster())).await;
    world.check().await;
    let before = world.net.requests();
    world.net.set_liar(Some(liar));
    for partition in 0..PARTITIONS {
        let values: Vec<String> = (0..4).map(|_| world.sure(partition)).collect();
        let producer = world.producer.clone();
        world.others.push(tokio::spawn(async move {
            for value in values {
                let record = Record::to(TOPIC).partition(partition).value(&value);
                producer.send(record).await.expect("it is in the log in the end");
            }
        }));
    }
    let mut errors = Vec::new();
    let end = tokio::time::Instant::now() + LYING;
    for round in 0.. {
        if tokio::time::Instant::now() >= end {
            break;
        }
        // A leader moves, and connections are established again.
        if round == 2 {
            world.net.with(|cluster| cluster.move_leader(TOPIC, 0, 3));
            world.net.cut_all();
        }
        match timeout(Duration::from_secs(1), world.consumer.poll()).await {
            Ok(Ok(polled)) => world.note(&polled.expect("the consumer is open")),
            Ok(Err(error)) => errors.push(error),
            Err(_) => {}
        }
        if let Ok(Err(error)) = timeout(Duration::from_secs(1), world.consumer.commit()).await {
            errors.push(error);
        }
        errors.extend(ask(&world).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let requests = world.net.requests() - before;
    if std::env::var_os("OTTLA_SHOW").is_some() {
        println!("{requests} requests; {} errors, the first: {:?}", errors.len(), errors.first());
    }
    assert!(requests <= REQUESTS, "{requests} requests in {LYING:?}");
    world.net.set_liar(None);
    // Errors that were found before are still reported.
    while let Ok(polled) = timeout(Duration::from_secs(1), world.consumer.poll()).await {
        match polled {
            Ok(records) => world.note(&records.expect("the consumer is open")),
            Err(error) => errors.push(error),
        }
    }
    world.check().await;
    errors
}

fn survives(change: Change) -> Vec<Error> {
    let liar = move |_, api, version, frame| edited(api, version, frame, change);
    run(under(Box::new(liar)))
}

/// Runs something with a client of brokers that lie from the time when it is connected.
fn asked<F: Future>(change: Change, test: impl FnOnce(ottla::Client) -> F) -> F::Output {
    run(async {
        let net = Net::new(cluster());
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        net.set_liar(Some(Box::new(move |_, api, version, frame| edited(api, version, frame, change))));
        soon("an answer", test(client)).await
    })
}

/// Does something with the topics of every response that has topics with partitions, and with the partitions of each.
macro_rules! each {
    ($response:expr, |$topics:ident| $whole:expr, |$partitions:ident| $inner:expr) => {
        match $response {
            ResponseKind::Produce(response) => {
                each!(response.responses, partition_responses, $topics, $whole, $partitions, $inner)
            }
            ResponseKind::Fetch(response) => {
                each!(response.responses, partitions, $topics, $whole, $partitions, $inner)
            }
            ResponseKind::ListOffsets(response) => {
                each!(response.topics, partitions, $topics, $whole, $partitions, $inner)
            }
            ResponseKind::Metadata(response) => {
                each!(response.topics, partitions, $topics, $whole, $partitions, $inner)
            }
            ResponseKind::OffsetCommit(response) => {
                each!(response.topics, partitions, $topics, $whole, $partitions, $inner)
            }
            ResponseKind::OffsetFetch(response) => {
                each!(response.topics, partitions, $topics, $whole, $partitions, $inner);
                for group in &mut response.groups {
                    each!(group.topics, partitions, $topics, $whole, $partitions, $inner);
                }
            }
            ResponseKind::OffsetForLeaderEpoch(response) => {
                each!(response.topics, partitions, $topics, $whole, $partitions, $inner);
            }
            _ => {}
        }
    };
    ($all:expr, $field:ident, $topics:ident, $whole:expr, $partitions:ident, $inner:expr) => {{
        for topic in &mut $all {
            let $partitions = &mut topic.$field;
            $inner;
        }
        let $topics = &mut $all;
        $whole;
    }};
}

#[test]
fn class_7_unexpected_response_ends_only_its_connection() {
    let id = |frame: &[u8]| (&frame[4..]).get_i32();
    let other = move |_, _, _, frame: Bytes| {
        let mut out = BytesMut::from(&*frame);
        (&mut out[4..]).put_i32(id(&frame) + 1);
        out.freeze()
    };
    let twice = |_, _, _, frame: Bytes| Bytes::from([&*frame, &*frame].concat());
    let unasked = |_, _, _, frame: Bytes| Bytes::from([&[0, 0, 0, 8, 0x7f, 0, 0, 0, 0, 0, 0, 0], &*frame].concat());
    for liar in [Box::new(other) as Liar, Box::new(twice), Box::new(unasked)] {
        run(under(liar));
    }
}

#[test]
fn class_21_omitted_partitions_are_no_success() {
    let no_topics: Change = |response| each!(response, |topics| topics.clear(), |_partitions| {});
    let no_partitions: Change = |response| each!(response, |_topics| {}, |partitions| partitions.clear());
    let one_less: Change = |response| each!(response, |_topics| {}, |partitions| drop(partitions.pop()));
    for change in [no_topics, no_partitions, one_less] {
        survives(change);
    }
}

#[test]
fn class_21_omitted_offsets_are_neither_committed_nor_absent() {
    let one_less: Change = |response| {
        if !matches!(response, ResponseKind::Metadata(_)) {
            each!(response, |_topics| {}, |partitions| drop(partitions.pop()));
        }
    };
    asked(one_less, |client| async move {
        let mut consumer = client.consumer().group(GROUP).assign([TOPIC]).build().expect("the settings are fine");
        let positions = (0..PARTITIONS).map(|partition| (TopicPartition::new(TOPIC, partition), Position::from(0)));
        let deadline = Duration::from_secs(2);
        let done = timeout(deadline, consumer.commit_positions(positions)).await;
        assert!(!matches!(done, Ok(Ok(()))), "one was not mentioned");
        let stored = timeout(deadline, consumer.committed()).await;
        assert!(!matches!(stored, Ok(Ok(_))), "one was not mentioned: {stored:?}");
    });
}

#[test]
fn class_21_admin_reports_only_the_topics_of_the_request() {
    let muddled: Change = |response| match response {
        ResponseKind::Metadata(response) => {
            behind(&mut response.topics, |topic| topic.with_name(Some(other())));
        }
        ResponseKind::DescribeTopicPartitions(response) => {
            behind(&mut response.topics, |topic| topic.with_name(Some(other())));
        }
        ResponseKind::CreateTopics(response) => response.topics.clear(),
        _ => {}
    };
    asked(muddled, |client| async move {
        let admin = client.admin();
        let described = admin.describe_topics([TOPIC]).await.expect("it is there");
        assert_eq!(described.iter().map(|topic| &*topic.name).collect::<Vec<_>>(), [TOPIC]);
        let made = admin.create_topics([NewTopic::new("new")]).await;
        assert!(made.is_err(), "no response reported that it was created: {made:?}");
    });
    let left_out: Change = |response| match response {
        ResponseKind::Metadata(response) => response.topics.clear(),
        ResponseKind::DescribeTopicPartitions(response) => response.topics.clear(),
        _ => {}
    };
    asked(left_out, |client| async move {
        let described = client.admin().describe_topics([TOPIC]).await;
        assert!(described.is_err(), "nothing was said of it: {described:?}");
    });
}

/// Appends changed copies of all results behind the true ones.
fn behind<T: Clone>(answers: &mut Vec<T>, change: impl Fn(T) -> T) {
    let again: Vec<T> = answers.iter().cloned().map(change).collect();
    answers.extend(again);
}

/// Inserts changed copies of all results before the true ones.
fn ahead<T: Clone>(answers: &mut Vec<T>, change: impl Fn(T) -> T) {
    let before: Vec<T> = answers.iter().cloned().map(change).collect();
    answers.splice(0..0, before);
}

#[test]
fn class_21_first_of_two_results_for_a_partition_counts() {
    survives(|response| match response {
        ResponseKind::Produce(response) => {
            for topic in &mut response.responses {
                behind(&mut topic.partition_responses, |answer| answer.with_error_code(87));
            }
        }
        ResponseKind::Fetch(response) => {
            for topic in &mut response.responses {
                behind(&mut topic.partitions, |answer| answer.with_error_code(1));
            }
        }
        ResponseKind::ListOffsets(response) => {
            for topic in &mut response.topics {
                behind(&mut topic.partitions, |answer| answer.with_offset(1_000_000));
            }
        }
        ResponseKind::Metadata(response) => {
            behind(&mut response.brokers, |broker| broker.with_port(1));
            behind(&mut response.topics, |topic| topic.with_error_code(29));
            for topic in &mut response.topics {
                behind(&mut topic.partitions, |answer| {
                    let epoch = answer.leader_epoch + 1_000;
                    answer.with_leader_id(kp::BrokerId(7)).with_leader_epoch(epoch)
                });
            }
        }
        ResponseKind::OffsetCommit(response) => {
            for topic in &mut response.topics {
                behind(&mut topic.partitions, |answer| answer.with_error_code(12));
            }
        }
        ResponseKind::OffsetFetch(response) => {
            for topic in response.groups.iter_mut().flat_map(|group| &mut group.topics) {
                behind(&mut topic.partitions, |answer| answer.with_committed_offset(1_000_000));
            }
        }
        ResponseKind::OffsetForLeaderEpoch(response) => {
            for topic in &mut response.topics {
                behind(&mut topic.partitions, |answer| answer.with_end_offset(0));
            }
        }
        _ => {}
    });
}

/// A topic that no request named.
fn other() -> kp::TopicName {
    StrBytes::from_static_str(OTHER).into()
}

/// The id of no topic.
fn nobody<T: Default>() -> T {
    T::default()
}

#[test]
fn class_21_results_that_were_not_requested_change_nothing() {
    let errors = survives(|response| match response {
        ResponseKind::Produce(response) => {
            ahead(&mut response.responses, |topic| topic.with_name(other()).with_topic_id(nobody()));
            for topic in &mut response.responses {
                ahead(&mut topic.partition_responses, |answer| answer.with_index(77).with_error_code(87));
            }
        }
        ResponseKind::Fetch(response) => {
            ahead(&mut response.responses, |topic| topic.with_topic(other()).with_topic_id(nobody()));
            for topic in &mut response.responses {
                ahead(&mut topic.partitions, |answer| answer.with_partition_index(77).with_error_code(1));
            }
        }
        ResponseKind::ListOffsets(response) => {
            ahead(&mut response.topics, |topic| topic.with_name(other()));
            for topic in &mut response.topics {
                ahead(&mut topic.partitions, |answer| answer.with_partition_index(77).with_error_code(87));
            }
        }
        ResponseKind::Metadata(response) => {
            ahead(&mut response.topics, |topic| topic.with_name(Some(other())));
        }
        ResponseKind::OffsetCommit(response) => {
            ahead(&mut response.topics, |topic| topic.with_name(other()).with_topic_id(nobody()));
            for topic in &mut response.topics {
                ahead(&mut topic.partitions, |answer| answer.with_partition_index(77).with_error_code(12));
            }
        }
        ResponseKind::OffsetFetch(response) => {
            for group in &mut response.groups {
                ahead(&mut group.topics, |topic| topic.with_name(other()).with_topic_id(nobody()));
                for topic in &mut group.topics {
                    ahead(&mut topic.partitions, |answer| answer.with_partition_index(77).with_error_code(29));
                }
            }
        }
        ResponseKind::OffsetForLeaderEpoch(response) => {
            ahead(&mut response.topics, |topic| topic.with_topic(other()));
            for topic in &mut response.topics {
                ahead(&mut topic.partitions, |answer| answer.with_partition(77).with_error_code(87));
            }
        }
        _ => {}
    });
    assert!(errors.is_empty(), "{:?}", errors.first());
}

#[test]
fn class_22_negative_offset_is_absent_and_negative_epoch_unknown() {
    let errors = survives(|response| match response {
        ResponseKind::Produce(response) => {
            for answer in response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
                (answer.base_offset, answer.log_append_time_ms, answer.log_start_offset) = (-1, -1, -7);
            }
        }
        ResponseKind::Fetch(response) => {
            for answer in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                (answer.high_watermark, answer.last_stable_offset, answer.log_start_offset) = (-1, -1, -1);
                (answer.current_leader.leader_epoch, answer.current_leader.leader_id) = (-1, kp::BrokerId(-1));
            }
        }
        ResponseKind::ListOffsets(response) => {
            for answer in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                answer.leader_epoch = -1;
            }
        }
        ResponseKind::Metadata(response) => {
            for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.leader_epoch = -1;
            }
        }
        ResponseKind::OffsetFetch(response) => {
            let topics = response.groups.iter_mut().flat_map(|group| &mut group.topics);
            for answer in topics.flat_map(|topic| &mut topic.partitions) {
                answer.committed_leader_epoch = -5;
            }
        }
        _ => {}
    });
    assert!(errors.is_empty(), "{:?}", errors.first());
}

#[test]
fn class_22_negative_end_offset_is_an_error() {
    let below: Change = |response| {
        if let ResponseKind::ListOffsets(response) = response {
            for answer in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                answer.offset = -1;
            }
        }
    };
    survives(below);
    asked(below, |client| async move {
        let builder = || client.consumer().group(GROUP).assign([TOPIC]);
        let ends = builder().build().expect("the settings are fine");
        let ends = timeout(Duration::from_secs(2), ends.end_offsets()).await;
        assert!(!matches!(ends, Ok(Ok(_))), "no log ends at -1: {ends:?}");
        let mut bounded = builder().until_end().build().expect("the settings are fine");
        let polled = timeout(Duration::from_secs(2), bounded.poll()).await;
        assert!(!matches!(polled, Ok(Ok(None))), "a read up to an unknown end does not end");
    });
}

#[test]
fn class_22_watermarks_in_any_order_lose_nothing() {
    survives(|response| {
        if let ResponseKind::Fetch(response) = response {
            for answer in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                (answer.high_watermark, answer.last_stable_offset, answer.log_start_offset) = (0, i64::MAX, 5_000);
            }
        }
    });
}

/// Sets the throttle time of a response that has one.
fn throttled(response: &mut ResponseKind, millis: i32) {
    match response {
        ResponseKind::ApiVersions(response) => response.throttle_time_ms = millis,
        ResponseKind::Fetch(response) => response.throttle_time_ms = millis,
        ResponseKind::FindCoordinator(response) => response.throttle_time_ms = millis,
        ResponseKind::InitProducerId(response) => response.throttle_time_ms = millis,
        ResponseKind::ListOffsets(response) => response.throttle_time_ms = millis,
        ResponseKind::Metadata(response) => response.throttle_time_ms = millis,
        ResponseKind::OffsetCommit(response) => response.throttle_time_ms = millis,
        ResponseKind::OffsetFetch(response) => response.throttle_time_ms = millis,
        ResponseKind::OffsetForLeaderEpoch(response) => response.throttle_time_ms = millis,
        ResponseKind::Produce(response) => response.throttle_time_ms = millis,
        _ => {}
    }
}

#[test]
fn class_23_negative_throttle_time_is_ignored() {
    for change in [(|response| throttled(response, -1)) as Change, |response| throttled(response, i32::MIN)] {
        let errors = survives(change);
        assert!(errors.is_empty(), "{:?}", errors.first());
    }
}

#[test]
fn class_23_throttle_time_of_weeks_is_cut_to_minutes() {
    run(async {
        let mut world = World::new(Net::new(cluster())).await;
        world.check().await;
        world.net.set_liar(Some(Box::new(|_, api, version, frame| {
            edited(api, version, frame, |response| throttled(response, i32::MAX))
        })));
        world.net.cut_all();
        for _ in 0..5 {
            drop(timeout(Duration::from_secs(1), world.consumer.poll()).await);
            drop(timeout(Duration::from_secs(1), world.consumer.commit()).await);
        }
        world.net.set_liar(None);
        tokio::time::sleep(Duration::from_secs(301)).await;
        world.check().await;
    });
}

#[test]
fn class_24_impossible_brokers_are_ignored() {
    let only_bad: Change = |response| {
        if let ResponseKind::Metadata(response) = response {
            for (nth, broker) in response.brokers.iter_mut().enumerate() {
                match nth % 4 {
                    0 => broker.port = 0,
                    1 => broker.port = 70_000,
                    2 => broker.host = StrBytes::default(),
                    _ => broker.node_id = kp::BrokerId(-1),
                }
            }
        }
    };
    let none: Change = |response| {
        if let ResponseKind::Metadata(response) = response {
            response.brokers.clear();
        }
    };
    let more: Change = |response| {
        if let ResponseKind::Metadata(response) = response {
            let like = response.brokers[0].clone();
            response.brokers.push(like.clone().with_node_id(kp::BrokerId(-7)));
            response.brokers.push(like.clone().with_node_id(kp::BrokerId(77)).with_port(-1));
            response.brokers.push(like.with_node_id(kp::BrokerId(i32::MAX)).with_host(StrBytes::default()));
        }
    };
    for change in [only_bad, none, more] {
        survives(change);
    }
}

#[test]
fn class_24_metadata_of_another_cluster_is_ignored() {
    let strange: Change = |response| {
        if let ResponseKind::Metadata(response) = response {
            response.cluster_id = Some(StrBytes::from_static_str("another"));
            for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                // If the client believed this epoch, it would believe no later response.
                partition.leader_epoch += 1_000;
                partition.leader_id = kp::BrokerId(1);
            }
        }
    };
    let by_some = move |broker, api, version, frame| match broker {
        1 | 2 => edited(api, version, frame, strange),
        _ => frame,
    };
    run(under(Box::new(by_some)));
}

#[test]
fn class_25_senseless_metadata_is_requested_again() {
    let no_partitions: Change = |response| {
        if let ResponseKind::Metadata(response) = response {
            response.topics.iter_mut().for_each(|topic| topic.partitions.clear());
        }
    };
    let unknown_leader: Change = |response| {
        if let ResponseKind::Metadata(response) = response {
            for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.leader_id = kp::BrokerId(99);
            }
        }
    };
    let holes: Change = |response| {
        if let ResponseKind::Metadata(response) = response {
            for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.partition_index = partition.partition_index * 1_000_000_000 - 1;
            }
        }
    };
    let back: Change = |response| {
        if let ResponseKind::Metadata(response) = response {
            for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.leader_epoch -= 1;
                partition.leader_id = kp::BrokerId(partition.leader_id.0 % 3 + 1);
            }
        }
    };
    for change in [no_partitions, unknown_leader, holes, back] {
        survives(change);
    }
}

#[test]
fn class_30_other_protocol_is_named_in_the_error() {
    let http = |_, _, _, _| Bytes::from_static(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let tls = |_, _, _, _| Bytes::from_static(&[0x15, 3, 3, 0, 2, 2, 40]);
    for (liar, name) in [(Box::new(http) as Liar, "HTTP"), (Box::new(tls), "TLS")] {
        let errors = run(under(liar));
        assert!(errors.iter().any(|error| format!("{error:?} {error}").contains(name)), "{name}: {:?}", errors.first());
    }
}
