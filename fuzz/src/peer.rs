//! Targets in which the bytes script the responses of a hostile broker and their times: one connection, a consumer, a producer.
#![expect(clippy::disallowed_methods, reason = "each run has to start at some time")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Buf;
use bytes::Bytes;
use ottla::codec::Codecs;
use ottla::error::Error;
use ottla::error::Written;
use ottla::internals::conn::pipeline::Pipeline;
use ottla::internals::conn::pipeline::Write;
use ottla::internals::consumer as reading;
use ottla::internals::metadata::Cache;
use ottla::internals::metadata::Snapshot;
use ottla::internals::producer as writing;
use ottla::internals::record::RecordRef;
use ottla::internals::wire::Api;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::Versions;
use ottla::internals::wire::message as m;
use ottla::partitioner::Builtin;
use ottla::types::ProducerIdentity;
use ottla::types::TopicName;

const TOPIC: &str = "t";
const PARTITIONS: i32 = 2;
/// Limit of the actions that one step may cause. More is a request storm.
const ACTIONS_PER_STEP: usize = 32;

/// One step of a script: an event, and how many of the remaining bytes belong to it.
fn step(script: &mut Bytes) -> Option<(u8, u8)> {
    (script.remaining() >= 2).then(|| (script.get_u8(), script.get_u8()))
}

fn take(script: &mut Bytes, length: u8) -> Bytes {
    script.split_to(usize::from(length).min(script.len()))
}

fn versions() -> Versions {
    let apis = Api::ALL.map(|api| (api.key(), api.versions().0, api.versions().1)).to_vec();
    Versions::agree(&m::ApiVersionsResponse { apis, ..Default::default() })
}

const IN_FLIGHT_MAX: usize = 3;
const REQUEST_TIMEOUT: Duration = Duration::from_millis(100);

/// One connection: requests, frames, time and the end, in any order. Each request gets one outcome.
pub fn connection(data: &[u8]) {
    let mut script = Bytes::copy_from_slice(data);
    let mut now = Instant::now();
    let mut pipeline = Pipeline::new("fuzz".to_owned(), versions(), IN_FLIGHT_MAX, REQUEST_TIMEOUT);
    // Whether each request was written, and whether it has an outcome.
    let (mut written, mut answered, mut correlation) = (0, Vec::new(), 0_i32);
    while let Some((what, detail)) = step(&mut script) {
        match what % 5 {
            0 => {
                let requests =
                    [Request::ApiVersions(m::ApiVersionsRequest), Request::Metadata(m::MetadataRequest::default())];
                let deadline = now + Duration::from_millis(u64::from(detail));
                let [one, other] = requests;
                pipeline.submit(if detail & 1 == 0 { one } else { other }, deadline, answered.len());
                answered.push(false);
            }
            1 => write(&mut pipeline, now, &mut written, &mut answered),
            2 => {
                let rest = take(&mut script, detail);
                // Half of the frames get the expected correlation id, so that their bodies are decoded.
                let frame = if what < 128 { [&correlation.to_be_bytes()[..], &rest].concat() } else { rest.to_vec() };
                match pipeline.handle_frame(now, frame.into()) {
                    Ok(response) => {
                        correlation += 1;
                        written -= 1;
                        // Without a caller, the request had timed out.
                        if let Some((reply, _)) = response {
                            answer(&mut answered, reply);
                        }
                    }
                    Err((reply, error)) => {
                        let closed = pipeline.close(&error).into_iter().map(|(reply, _)| reply);
                        for reply in reply.into_iter().chain(closed) {
                            answer(&mut answered, reply);
                        }
                        break;
                    }
                }
            }
            3 => {
                now += Duration::from_millis(u64::from(detail));
                for (reply, error) in pipeline.handle_timeout(now) {
                    assert!(error.is_written().is_some());
                    answer(&mut answered, reply);
                }
                if pipeline.poll_end(now).is_some() {
                    break;
                }
                write(&mut pipeline, now, &mut written, &mut answered);
                assert!(
                    pipeline.poll_timeout().is_none_or(|at| at > now),
                    "a deadline that has passed is still waited for"
                );
            }
            _ => break,
        }
    }
    pipeline.lost().into_iter().for_each(|(reply, _)| answer(&mut answered, reply));
    assert!(pipeline.is_idle());
    assert!(answered.iter().all(|answered| *answered), "a request without an outcome");
}

/// Writes every request that may be written.
fn write(pipeline: &mut Pipeline<usize>, now: Instant, written: &mut usize, answered: &mut [bool]) {
    while let Some(write) = pipeline.poll_write(now) {
        match write {
            Write::Frame(_, None) => *written += 1,
            Write::Frame(_, Some(reply)) => answer(answered, reply),
            Write::Renew => unreachable!("its sessions do not end"),
            Write::Refused(reply, error) => {
                assert_eq!(error.is_written(), Some(Written::No));
                answer(answered, reply);
            }
        }
        assert!(*written <= IN_FLIGHT_MAX, "{written} in flight");
    }
}

fn answer(answered: &mut [bool], reply: usize) {
    assert!(!std::mem::replace(&mut answered[reply], true), "a request with two outcomes");
}

/// The error of a request that was written to a connection that was lost.
fn lost() -> Error {
    let now = Instant::now();
    let mut pipeline = Pipeline::new("fuzz".to_owned(), versions(), 1, REQUEST_TIMEOUT);
    pipeline.submit(Request::ApiVersions(m::ApiVersionsRequest), now + Duration::from_secs(1), ());
    pipeline.poll_write(now);
    pipeline.lost().pop().expect("the submitted request").1
}

/// A cluster of two brokers, each leading one partition.
fn snapshot() -> Arc<Snapshot> {
    let node = |id| m::Node { id, host: "h".into(), port: 9092, rack: None };
    let partition = |index| m::MetadataPartition { index, leader: index, ..Default::default() };
    let topic = m::MetadataTopic {
        name: TOPIC.into(),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..Default::default()
    };
    let brokers = (0..PARTITIONS).map(node).collect();
    let mut cache = Cache::default();
    cache.handle_response(m::MetadataResponse { brokers, topics: vec![topic], ..Default::default() });
    cache.snapshot()
}

/// A broker's response to a request: the bytes, or none.
fn response(script: &mut Bytes, api: Api, detail: u8, length: u8) -> Result<Response, Error> {
    if detail == 0 {
        return Err(lost());
    }
    let (low, high) = api.versions();
    let version = low + i16::from(detail) % (high - low + 1);
    // A correlation id, and no tagged fields in a flexible header.
    let head: &[u8] = if api.flexible_response(version) { &[0; 5] } else { &[0; 4] };
    Response::decode(api, version, [head, &take(script, length)].concat().into()).map_err(Error::from)
}

/// A consumer that is polled and gets such responses.
pub fn consumer(data: &[u8]) {
    let mut script = Bytes::copy_from_slice(data);
    let mut now = Instant::now();
    let config = reading::Config {
        group: Some("g".to_owned()),
        isolation: if data.first().is_some_and(|byte| byte & 1 == 1) {
            reading::Isolation::ReadCommitted
        } else {
            reading::Isolation::ReadUncommitted
        },
        ..reading::Config::default()
    };
    let mut core = reading::ConsumerCore::new(config);
    core.handle_metadata(now, snapshot());
    core.assign_topics(now, [TopicName::from(TOPIC)]);
    let mut asked = VecDeque::new();
    while let Some((what, detail)) = step(&mut script) {
        match what % 4 {
            0 | 1 => {
                let Some((api, tag)) = asked.pop_front() else { continue };
                let length = if script.has_remaining() { script.get_u8() } else { 0 };
                let response = response(&mut script, api, detail, length);
                core.handle_response(now, tag, response);
            }
            2 => {
                now += Duration::from_millis(u64::from(detail) * 16);
                core.handle_timeout(now);
            }
            _ => hand_out(&mut core, now),
        }
        let mut actions = 0;
        while let Some(action) = core.poll_action() {
            actions += 1;
            assert!(actions <= ACTIONS_PER_STEP, "a storm: {action:?}");
            match action {
                reading::Action::EpochEnd { tag, .. } => asked.push_back((Api::OffsetForLeaderEpoch, tag)),
                reading::Action::Fetch { tag, .. } => asked.push_back((Api::Fetch, tag)),
                reading::Action::ListOffsets { tag, .. } => asked.push_back((Api::ListOffsets, tag)),
                reading::Action::OffsetFetch { tag, .. } => asked.push_back((Api::OffsetFetch, tag)),
                reading::Action::Hint { .. } | reading::Action::RefreshMetadata { .. } => {}
            }
        }
    }
}

/// Takes every record, as a caller's poll does.
fn hand_out(core: &mut reading::ConsumerCore, now: Instant) {
    const LIMIT: usize = 1 << 20;
    for _ in 0..ACTIONS_PER_STEP {
        match core.next() {
            None => return,
            Some(reading::Next::Chunk(mut taken)) => loop {
                match taken.chunk.read(&Codecs::default(), LIMIT, Vec::new) {
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        core.give_back(taken);
                        break;
                    }
                    Err(unreadable) => {
                        core.unreadable(now, taken, unreadable);
                        break;
                    }
                }
            },
            Some(_) => {}
        }
        core.handle_capacity(now);
    }
}

/// A producer that gets such responses. Each record gets exactly one outcome.
pub fn producer(data: &[u8]) {
    let mut script = Bytes::copy_from_slice(data);
    let mut now = Instant::now();
    let settings = writing::Settings {
        acks: -1,
        idempotent: data.first().is_none_or(|byte| byte & 1 == 0),
        compressed: false,
        batch_bytes: 200,
        request_bytes_max: 1_000,
        linger: Duration::from_millis(5),
        delivery_timeout: Duration::from_secs(1),
        retry_backoff: Duration::from_millis(20),
        retry_backoff_max: Duration::from_millis(200),
        pool_bytes_max: 10_000,
    };
    let mut core = writing::ProducerCore::new(settings, Arc::new(Builtin::RoundRobin), 1);
    core.handle_metadata(now, &snapshot());
    let topic = core.topic(TOPIC).expect("it is in the snapshot");
    // How many records of each ticket have no outcome yet.
    let (mut waiting, mut asked) = (Vec::new(), VecDeque::new());
    while let Some((what, detail)) = step(&mut script) {
        match what % 4 {
            0 => {
                let partition = core.choose(topic, None);
                let value = vec![0; usize::from(detail)];
                let record = RecordRef { timestamp: 1, value: Some(&value), ..RecordRef::default() };
                let key = writing::Key { topic, partition };
                let ticket = waiting.len();
                if let Ok(appended) = core.append(now, key, &record, || ticket) {
                    if appended.ticket == ticket {
                        waiting.push(0);
                    }
                    waiting[appended.ticket] += 1;
                }
            }
            1 => {
                let Some(request) = asked.pop_front() else { continue };
                let length = if script.has_remaining() { script.get_u8() } else { 0 };
                let response = response(&mut script, Api::Produce, detail, length).map(|response| match response {
                    Response::Produce(response) => response,
                    other => unreachable!("decoded as Produce: {other:?}"),
                });
                core.handle_response(now, request, &response);
            }
            2 => {
                now += Duration::from_millis(u64::from(detail));
                core.handle_timeout(now);
            }
            _ => {
                core.flush(now);
            }
        }
        obey(&mut core, now, &mut waiting, &mut asked);
    }
    core.abort(&lost());
    obey(&mut core, now, &mut waiting, &mut asked);
    assert!(waiting.iter().all(|waiting| *waiting == 0), "records without an outcome");
}

fn obey(core: &mut writing::ProducerCore<usize>, now: Instant, waiting: &mut [u32], asked: &mut VecDeque<u64>) {
    let mut actions = 0;
    while let Some(action) = core.poll_action() {
        actions += 1;
        assert!(actions <= ACTIONS_PER_STEP * (waiting.len() + 1), "a storm: {action:?}");
        match action {
            writing::Action::Complete { ticket, count, .. } => {
                let left = waiting[ticket].checked_sub(count);
                waiting[ticket] = left.expect("records with two outcomes");
            }
            writing::Action::InitProducerId => {
                core.handle_identity(now, Ok(ProducerIdentity { id: 7, epoch: 0 }));
            }
            writing::Action::Hint { .. } | writing::Action::RefreshMetadata(_) | writing::Action::Release { .. } => {}
            writing::Action::Seal { key, id, closed } => {
                core.handle_sealed(now, key, id, Ok(closed.seal(None).expect("no codec to fail").0));
            }
            writing::Action::Send { request, .. } => asked.push_back(request),
            writing::Action::Split { key, id, sealed, parts } => {
                let parts = sealed.split(&Codecs::default(), parts).expect("a sealed batch");
                core.handle_split(now, key, id, Ok(parts));
            }
        }
    }
}
