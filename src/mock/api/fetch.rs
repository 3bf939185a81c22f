//! Fetch: sessions (KIP-227), long polls, size limits.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::fetch_response::AbortedTransaction;
use kafka_protocol::messages::fetch_response::EpochEndOffset;
use kafka_protocol::messages::fetch_response::FetchableTopicResponse;
use kafka_protocol::messages::fetch_response::LeaderIdAndEpoch;
use kafka_protocol::messages::fetch_response::NodeEndpoint;
use kafka_protocol::messages::fetch_response::PartitionData;

use crate::mock::api::Answer;
use crate::mock::api::Call;
use crate::mock::api::Pending;
use crate::mock::api::write;
use crate::mock::check::HEAD_LEN;
use crate::mock::frame;
use crate::mock::session::Cached;
use crate::mock::session::Wanted;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::mock::state::wire_id;
use crate::mock::state::wire_name;
use crate::types::TopicId;
use crate::types::TopicName;

/// A decoded fetch that can be answered now or later.
#[derive(Debug)]
pub(in crate::mock) struct Plan {
    call: Call,
    /// When it is answered at the latest.
    pub(in crate::mock) until: Instant,
    partitions: Vec<Wanted>,
    session: Use,
    bytes_min: u64,
    bytes_max: usize,
    read_committed: bool,
    /// The rack of the client.
    rack: String,
}

/// The use of a session by a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Nothing.
    None,
    /// Opens one if a slot is free.
    Open,
    /// Contains only what has changed since the last response.
    Incremental(i32),
}

pub(super) fn answer(state: &mut State, call: &Call, request: FetchRequest) -> Answer {
    match plan(state, call, request) {
        Err(error) => {
            let response = FetchResponse::default().with_error_code(error.code());
            write::<FetchRequest>(call, &response.with_throttle_time_ms(call.throttle_ms))
        }
        Ok(plan) if plan.until <= call.now || is_ready(state, &plan) => {
            finish(state, &plan).map_or(Answer::Close, Answer::Reply)
        }
        Ok(plan) => Answer::Park(Box::new(Pending::Fetch(plan))),
    }
}

/// Whether there are enough bytes, or an error that should not wait.
pub(in crate::mock) fn is_ready(state: &State, plan: &Plan) -> bool {
    let mut bytes = 0;
    for wanted in &plan.partitions {
        match look(state, plan, wanted) {
            Ok(Look { available, diverging: None, preferred: None, .. }) => {
                bytes += available.min(wanted.bytes_max as u64);
            }
            _ => return true,
        }
    }
    plan.partitions.is_empty() || bytes >= plan.bytes_min
}

/// The response frame with the current state.
pub(in crate::mock) fn finish(state: &mut State, plan: &Plan) -> Option<Bytes> {
    let response = respond(state, plan);
    frame::reply::<FetchRequest>(plan.call.correlation_id, plan.call.version, &response)
}

fn plan(state: &mut State, call: &Call, request: FetchRequest) -> Result<Plan, ResponseError> {
    let (id, epoch) = (request.session_id, request.session_epoch);
    let by_id = call.version >= 13;
    if epoch <= 0 && id != 0 {
        state.sessions.close(call.broker, id);
    }
    let (session, partitions) = match epoch {
        FINAL_EPOCH => (Use::None, wanted(state, &request)),
        INITIAL_EPOCH => (Use::Open, wanted(state, &request)),
        _ => advance(state, call, &request, by_id)?,
    };
    // An injected error goes into every partition of the response; without partitions it is dropped.
    let wait = u64::try_from(request.max_wait_ms).unwrap_or(0);
    Ok(Plan {
        call: call.clone(),
        until: call.now + Duration::from_millis(wait),
        partitions,
        session,
        bytes_min: u64::try_from(request.min_bytes).unwrap_or(0),
        bytes_max: usize::try_from(request.max_bytes).unwrap_or(0),
        read_committed: request.isolation_level == 1,
        rack: request.rack_id.to_string(),
    })
}

fn advance(
    state: &mut State,
    call: &Call,
    request: &FetchRequest,
    by_id: bool,
) -> Result<(Use, Vec<Wanted>), ResponseError> {
    let id = request.session_id;
    let changed = wanted(state, request);
    let session = state.sessions.advance(call.broker, id, request.session_epoch, by_id)?;
    for wanted in changed {
        session.want(wanted);
    }
    for topic in &request.forgotten_topics_data {
        for partition in &topic.partitions {
            let topic_id = TopicId(topic.topic_id.into_bytes());
            session.forget(&TopicName::from(topic.topic.as_str()), topic_id, *partition);
        }
    }
    let mut partitions: Vec<Wanted> = session.partitions.iter().map(|cached| cached.wanted.clone()).collect();
    for wanted in partitions.iter_mut().filter(|wanted| !wanted.id.is_zero()) {
        // A topic may have been created or deleted since it was requested first.
        wanted.topic = state.name_of(wanted.id).cloned().unwrap_or_default();
    }
    if partitions.is_empty() {
        state.sessions.close(call.broker, id);
        return Ok((Use::None, partitions));
    }
    Ok((Use::Incremental(id), partitions))
}

fn wanted(state: &State, request: &FetchRequest) -> Vec<Wanted> {
    let mut all = Vec::new();
    for topic in &request.topics {
        let id = TopicId(topic.topic_id.into_bytes());
        let name = if id.is_zero() {
            TopicName::from(topic.topic.as_str())
        } else {
            state.name_of(id).cloned().unwrap_or_default()
        };
        all.extend(topic.partitions.iter().map(|partition| Wanted {
            topic: name.clone(),
            id,
            partition: partition.partition,
            leader_epoch: partition.current_leader_epoch,
            offset: partition.fetch_offset,
            last_epoch: partition.last_fetched_epoch,
            bytes_max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
        }));
    }
    all
}

/// The state of a partition for a fetch.
struct Look {
    available: u64,
    high_watermark: i64,
    stable: i64,
    log_start: i64,
    /// The end of what the consumer may read.
    upper: i64,
    /// The point where the client's log diverges from ours (KIP-595 for followers; consumers may send their epoch too).
    diverging: Option<(i32, i64)>,
    /// The replica that the client should fetch from.
    preferred: Option<i32>,
}

fn look(state: &State, plan: &Plan, wanted: &Wanted) -> Result<Look, ResponseError> {
    plan.call.refused_at(&wanted.topic, wanted.partition)?;
    if wanted.topic.is_empty() {
        return Err(ResponseError::UnknownTopicId);
    }
    // A waiting fetch ends when its topic is deleted, even if there is another of that name at once (Kafka 3.9.1 and 4.3.1).
    if !wanted.id.is_zero() && state.name_of(wanted.id).is_none() {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    let (broker, version) = (plan.call.broker, plan.call.version);
    let found = state.fenced(&wanted.topic, wanted.partition, wanted.leader_epoch)?;
    let leads = found.placement.leader == Some(broker);
    // Since KIP-392 a consumer may read from any replica, whether it was referred to it or not (`FetchParams.fetchOnlyLeader`).
    if !leads && (version < 11 || !found.placement.replicas.contains(&broker)) {
        return Err(ResponseError::NotLeaderOrFollower);
    }
    let log = &found.log;
    let mut diverging = None;
    if version >= 12 && wanted.last_epoch >= 0 {
        let (epoch, end) = log.end_of_epoch(wanted.last_epoch);
        if end < 0 {
            return Err(ResponseError::OffsetOutOfRange);
        }
        diverging = (epoch < wanted.last_epoch || end < wanted.offset).then_some((epoch, end));
    }
    let end = if leads { log.end() } else { found.follower_end(broker) };
    if diverging.is_none() && !(log.start()..=end).contains(&wanted.offset) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let preferred = (leads && version >= 11).then(|| state.preferred(found, &plan.rack, wanted.offset)).flatten();
    let (high_watermark, stable) = (log.high_watermark().min(end), log.stable().min(end));
    let upper = if plan.read_committed { stable } else { high_watermark };
    let skipped = diverging.is_some() || preferred.is_some();
    let available = if skipped { 0 } else { log.available(wanted.offset, upper) };
    Ok(Look { available, high_watermark, stable, log_start: log.start(), upper, diverging, preferred })
}

fn respond(state: &mut State, plan: &Plan) -> FetchResponse {
    let mut response = FetchResponse::default().with_throttle_time_ms(plan.call.throttle_ms);
    let mut left = plan.bytes_max;
    let mut nothing_yet = true;
    let mut answered = Vec::with_capacity(plan.partitions.len());
    let mut caches = Vec::new();
    for wanted in &plan.partitions {
        let looked = look(state, plan, wanted);
        let mut data = PartitionData::default().with_partition_index(wanted.partition).with_records(Some(Bytes::new()));
        match looked {
            Ok(look) => {
                data = fill(plan, data, &look);
                if look.available > 0 {
                    let (records, aborted) = take(state, plan, wanted, look.upper, left, nothing_yet);
                    let records = if plan.call.corrupt && nothing_yet { damaged(&records) } else { records };
                    nothing_yet &= records.is_empty();
                    left = left.saturating_sub(records.len());
                    data.records = Some(records);
                    data.aborted_transactions = aborted;
                }
            }
            Err(error) => data = fail(state, plan, data, wanted, error, &mut response.node_endpoints),
        }
        if plan.session == Use::Open {
            let (high_watermark, log_start) = (data.high_watermark, data.log_start_offset);
            caches.push(Cached { wanted: wanted.clone(), high_watermark, log_start });
        }
        answered.push((wanted, data));
    }
    match plan.session {
        Use::None => {}
        Use::Open => {
            let (slots, by_id) = (state.settings.fetch_sessions, plan.call.version >= 13);
            let opened = state.sessions.open(plan.call.broker, slots, by_id, caches, &mut state.rng);
            // Version 6 and older have no field for a session.
            response.session_id = opened.filter(|_| plan.call.version >= 7).unwrap_or(0);
        }
        Use::Incremental(id) => {
            response.session_id = id;
            answered = only_changes(state, plan.call.broker, id, answered);
        }
    }
    // Unknown partitions come last (`KafkaApis.handleFetchRequest`).
    answered.sort_by_key(|(_, data)| is_absent(data.error_code));
    response.responses = group(answered);
    response
}

/// A partition's records within its own limit and that of the response, and the aborted transactions that a consumer of them
/// has to know.
fn take(
    state: &State,
    plan: &Plan,
    wanted: &Wanted,
    upper: i64,
    left: usize,
    first_whole: bool,
) -> (Bytes, Option<Vec<AbortedTransaction>>) {
    let Some(found) = state.partition(&wanted.topic, wanted.partition) else { return (Bytes::new(), None) };
    let log = &found.log;
    let records = log.read(wanted.offset, upper, wanted.bytes_max.min(left), first_whole);
    // Kafka's index is sparse: for a short log it lists all transactions after the offset (`addAbortedTransactions`).
    let aborted = log.aborted(wanted.offset, log.end()).map(|aborted| {
        AbortedTransaction::default().with_producer_id(ProducerId(aborted.producer_id)).with_first_offset(aborted.first)
    });
    let aborted = plan.read_committed.then(|| if records.is_empty() { Vec::new() } else { aborted.collect() });
    (records, aborted)
}

/// The records with one bit flipped in the middle of the first batch that has records.
fn damaged(records: &Bytes) -> Bytes {
    let mut bytes = records.to_vec();
    let mut start = 0;
    while let Some(head) = bytes.get(start..).and_then(|rest| rest.first_chunk::<HEAD_LEN>()) {
        let [.., a, b, c, d] = *head.first_chunk::<12>().expect("a header is longer");
        let end = start + 12 + usize::try_from(i32::from_be_bytes([a, b, c, d])).unwrap_or(0);
        if end > start + HEAD_LEN {
            if let Some(byte) = bytes.get_mut(usize::midpoint(start + HEAD_LEN, end)) {
                *byte ^= 0x10;
            }
            break;
        }
        start = end;
    }
    bytes.into()
}

fn fill(plan: &Plan, data: PartitionData, look: &Look) -> PartitionData {
    let data = data
        .with_high_watermark(look.high_watermark)
        .with_last_stable_offset(look.stable)
        .with_log_start_offset(look.log_start)
        .with_aborted_transactions(plan.read_committed.then(Vec::new))
        .with_preferred_read_replica(BrokerId(look.preferred.unwrap_or(-1)));
    match look.diverging {
        Some((epoch, end)) => {
            data.with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch).with_end_offset(end))
        }
        None => data,
    }
}

fn fail(
    state: &State,
    plan: &Plan,
    data: PartitionData,
    wanted: &Wanted,
    error: ResponseError,
    leaders: &mut Vec<NodeEndpoint>,
) -> PartitionData {
    let data = data
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions((plan.read_committed || is_absent(error.code())).then(Vec::new))
        .with_preferred_read_replica(BrokerId(-1));
    // A client that asked the wrong broker gets the current leader (KIP-951).
    let moved = matches!(error, ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch);
    let moved = moved && plan.call.version >= 16 && plan.call.errors.is_empty();
    // A stale broker does not know the new leader.
    let moved = moved && state.view(plan.call.broker).is_none();
    let partition = state.partition(&wanted.topic, wanted.partition).filter(|_| moved);
    let Some((leader, epoch)) =
        partition.and_then(|found| Some((found.placement.leader?, found.placement.leader_epoch)))
    else {
        return data;
    };
    if let Some(broker) = state.brokers.get(&leader)
        && !leaders.iter().any(|known| known.node_id.0 == leader)
    {
        let endpoint = NodeEndpoint::default().with_node_id(BrokerId(leader)).with_host(text(&broker.host));
        leaders.push(endpoint.with_port(i32::from(broker.port)).with_rack(broker.rack.as_deref().map(text)));
    }
    data.with_current_leader(LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch))
}

/// Whether an error code reports an unknown partition.
fn is_absent(code: i16) -> bool {
    [ResponseError::UnknownTopicOrPartition.code(), ResponseError::UnknownTopicId.code()].contains(&code)
}

/// Removes the partitions of a session that have not changed, and moves those with data to the end of the session
/// (`FetchSession.CachedPartition.maybeUpdateResponseData`).
fn only_changes<'a>(
    state: &mut State,
    broker: i32,
    id: i32,
    answered: Vec<(&'a Wanted, PartitionData)>,
) -> Vec<(&'a Wanted, PartitionData)> {
    let Some(session) = state.sessions.find_mut(broker, id) else { return answered };
    let mut changed = Vec::new();
    let mut served = Vec::new();
    let mut rest = Vec::with_capacity(session.partitions.len());
    // The session has exactly the planned partitions, in their order, because its client sends one request at a time.
    for (mut cached, (wanted, data)) in session.partitions.drain(..).zip(answered) {
        let has_data = data.records.as_ref().is_some_and(|records| !records.is_empty());
        let failed = data.error_code != 0;
        let moved = cached.high_watermark != data.high_watermark || cached.log_start != data.log_start_offset;
        let diverges = data.diverging_epoch != EpochEndOffset::default();
        // After an error the next response contains the partition again.
        cached.high_watermark = if failed { -1 } else { data.high_watermark };
        cached.log_start = data.log_start_offset;
        let sent_away = data.preferred_read_replica.0 >= 0;
        if has_data || failed || moved || diverges || sent_away {
            changed.push((wanted, data));
        }
        if has_data { &mut served } else { &mut rest }.push(cached);
    }
    rest.append(&mut served);
    session.partitions = rest;
    changed
}

/// Groups adjacent partitions of one topic.
fn group(answered: Vec<(&Wanted, PartitionData)>) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<FetchableTopicResponse> = Vec::new();
    let mut last: Option<&Wanted> = None;
    for (wanted, data) in answered {
        let same = last.is_some_and(|last| (&last.topic, last.id) == (&wanted.topic, wanted.id));
        match topics.last_mut().filter(|_| same) {
            Some(topic) => topic.partitions.push(data),
            None => topics.push(
                FetchableTopicResponse::default()
                    .with_topic(wire_name(&wanted.topic))
                    .with_topic_id(wire_id(wanted.id))
                    .with_partitions(vec![data]),
            ),
        }
        last = Some(wanted);
    }
    topics
}

/// `FetchMetadata.FINAL_EPOCH`: no session, and an end to the one named.
const FINAL_EPOCH: i32 = -1;
/// `FetchMetadata.INITIAL_EPOCH`: a full fetch that opens a session.
const INITIAL_EPOCH: i32 = 0;
