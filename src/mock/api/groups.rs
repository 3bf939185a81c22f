//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::messages::HeartbeatResponse;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::LeaveGroupResponse;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::messages::SyncGroupResponse;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::protocol::StrBytes;

use crate::mock::api::Answer;
use crate::mock::api::Call;
use crate::mock::api::Pending;
use crate::mock::api::code;
use crate::mock::api::offsets::coordinates;
use crate::mock::frame;
use crate::mock::group::Asked;
use crate::mock::group::Group;
use crate::mock::group::Joined;
use crate::mock::group::Slot;
use crate::mock::group::SyncAsked;
use crate::mock::group::Synced;
use crate::mock::state::State;
use crate::mock::state::text;

/// A request of a member that waits for the others.
#[derive(Debug)]
pub(in crate::mock) struct Plan {
    call: Call,
    awaited: Awaited,
}

#[derive(Debug)]
enum Awaited {
    Join(Slot<Joined>),
    Sync(Slot<Synced>),
}

impl Plan {
    /// Whether the response is there.
    pub(in crate::mock) fn is_ready(&self) -> bool {
        match &self.awaited {
            Awaited::Join(slot) => slot.get().is_some(),
            Awaited::Sync(slot) => slot.get().is_some(),
        }
    }

    /// The response frame.
    pub(in crate::mock) fn finish(&self) -> Option<Bytes> {
        match &self.awaited {
            Awaited::Join(slot) => joined(&self.call, slot.get()?.clone()),
            Awaited::Sync(slot) => synced(&self.call, slot.get()?.clone()),
        }
    }
}

/// Answers at once where the response is there.
fn wait(call: &Call, awaited: Awaited) -> Answer {
    let plan = Plan { call: call.clone(), awaited };
    if plan.is_ready() {
        return plan.finish().map_or(Answer::Close, Answer::Reply);
    }
    Answer::Park(Box::new(Pending::Group(plan)))
}

/// The group of a request at its coordinator; `None` where it does not exist.
pub(super) fn find<'a>(state: &'a mut State, call: &Call, name: &str) -> Result<Option<&'a mut Group>, ResponseError> {
    call.refused()?;
    if name.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    coordinates(state, call, name)?;
    state.changes += 1;
    Ok(state.groups.get_mut(name))
}

pub(super) fn join(state: &mut State, call: &Call, request: JoinGroupRequest) -> Answer {
    let slot = Slot::new();
    if let Err((error, member)) = begin_join(state, call, request, &slot) {
        return joined(call, Joined::refused(error, member)).map_or(Answer::Close, Answer::Reply);
    }
    wait(call, Awaited::Join(slot))
}

fn begin_join(
    state: &mut State,
    call: &Call,
    request: JoinGroupRequest,
    slot: &Slot<Joined>,
) -> Result<(), (ResponseError, StrBytes)> {
    let rules = state.settings.groups;
    let name = request.group_id.to_string();
    let member = request.member_id.clone();
    let is_session_allowed =
        millis(request.session_timeout_ms) >= rules.session_min && request.session_timeout_ms <= SESSION_MS_MAX;
    if !name.is_empty() && !is_session_allowed {
        let error = call.refused().err().unwrap_or(ResponseError::InvalidSessionTimeout);
        return Err((error, member));
    }
    let id = state.rng.u128(..);
    let exists = find(state, call, &name).map(|group| group.is_some()).map_err(|error| {
        let known = if error == ResponseError::InvalidGroupId { member.clone() } else { StrBytes::new() };
        (error, known)
    })?;
    if !exists && !member.is_empty() {
        return Err((ResponseError::UnknownMemberId, member));
    }
    let rebalance_ms = if call.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let prefix = request.group_instance_id.as_ref().map_or(&*call.client_id, |instance| instance);
    let asked = Asked {
        member,
        client_id: call.client_id.clone(),
        session_timeout: millis(request.session_timeout_ms),
        rebalance_timeout: millis(rebalance_ms),
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|protocol| (protocol.name, protocol.metadata)).collect(),
        fresh_id: text(&format!("{prefix}-{}", uuid(id))),
        instance: request.group_instance_id,
        in_two_steps: call.version >= 4,
        may_skip_assignment: call.version >= 9,
    };
    state.groups.entry(name).or_default().join(call.now, rules, asked, slot);
    Ok(())
}

fn joined(call: &Call, joined: Joined) -> Option<Bytes> {
    let late = call.failed_late().err().filter(|_| joined.error.is_none());
    let joined = late.map_or_else(|| joined.clone(), |error| Joined::refused(error, StrBytes::new()));
    let member = |(id, instance, metadata): (StrBytes, Option<StrBytes>, Bytes)| {
        let member = JoinGroupResponseMember::default().with_member_id(id).with_metadata(metadata);
        member.with_group_instance_id(instance.filter(|_| call.version >= 5))
    };
    // Before version 7 there is no null for it.
    let protocol = if call.version >= 7 { joined.protocol } else { joined.protocol.or(Some(StrBytes::new())) };
    let response = JoinGroupResponse::default()
        .with_throttle_time_ms(call.throttle_ms)
        .with_error_code(joined.error.map_or(0, |error| error.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.filter(|_| call.version >= 7))
        .with_protocol_name(protocol)
        .with_leader(joined.leader)
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(joined.member)
        .with_members(joined.members.into_iter().map(member).collect());
    frame::reply::<JoinGroupRequest>(call.correlation_id, call.version, &response)
}

pub(super) fn sync(state: &mut State, call: &Call, request: SyncGroupRequest) -> Answer {
    let slot = Slot::new();
    if let Err(error) = begin_sync(state, call, request, &slot) {
        return synced(call, Synced::refused(error)).map_or(Answer::Close, Answer::Reply);
    }
    wait(call, Awaited::Sync(slot))
}

fn begin_sync(
    state: &mut State,
    call: &Call,
    request: SyncGroupRequest,
    slot: &Slot<Synced>,
) -> Result<(), ResponseError> {
    if call.version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return Err(call.refused().err().unwrap_or(ResponseError::InconsistentGroupProtocol));
    }
    let group = find(state, call, &request.group_id)?.ok_or(ResponseError::UnknownMemberId)?;
    let asked = SyncAsked {
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request.assignments.into_iter().map(|one| (one.member_id, one.assignment)).collect(),
    };
    group.sync(call.now, asked, slot);
    Ok(())
}

fn synced(call: &Call, synced: Synced) -> Option<Bytes> {
    let late = call.failed_late().err().filter(|_| synced.error.is_none());
    let synced = late.map_or_else(|| synced.clone(), Synced::refused);
    let response = SyncGroupResponse::default()
        .with_throttle_time_ms(call.throttle_ms)
        .with_error_code(synced.error.map_or(0, |error| error.code()))
        .with_protocol_type(synced.protocol_type.filter(|_| call.version >= 5))
        .with_protocol_name(synced.protocol.filter(|_| call.version >= 5))
        .with_assignment(synced.assignment);
    frame::reply::<SyncGroupRequest>(call.correlation_id, call.version, &response)
}

pub(super) fn heartbeat(state: &mut State, call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let (id, instance) = (&request.member_id, request.group_instance_id.as_deref());
    let result = find(state, call, &request.group_id)
        .and_then(|group| group.ok_or(ResponseError::UnknownMemberId))
        .and_then(|group| group.heartbeat(call.now, id, instance, request.generation_id))
        .and_then(|()| call.failed_late());
    HeartbeatResponse::default().with_throttle_time_ms(call.throttle_ms).with_error_code(code(&result))
}

pub(super) fn leave(state: &mut State, call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let rules = state.settings.groups;
    let leaving: Vec<(StrBytes, Option<StrBytes>)> = match call.version {
        3.. => request.members.into_iter().map(|member| (member.member_id, member.group_instance_id)).collect(),
        _ => vec![(request.member_id, None)],
    };
    let response = LeaveGroupResponse::default().with_throttle_time_ms(call.throttle_ms);
    let results = match find(state, call, &request.group_id) {
        Ok(Some(group)) => group.leave(call.now, rules, &leaving),
        Ok(None) => vec![Err(ResponseError::UnknownMemberId); leaving.len()],
        Err(error) => return response.with_error_code(error.code()),
    };
    let late = call.failed_late();
    if call.version < 3 || late.is_err() {
        // Before version 3 there is one member, and the code is its own.
        let result = results.first().copied().filter(|_| call.version < 3).unwrap_or(Ok(())).and(late);
        return response.with_error_code(code(&result));
    }
    let member = |((id, instance), result): ((StrBytes, Option<StrBytes>), Result<(), ResponseError>)| {
        let member = MemberResponse::default().with_member_id(id).with_group_instance_id(instance);
        member.with_error_code(code(&result))
    };
    response.with_members(leaving.into_iter().zip(results).map(member).collect())
}

pub(super) fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// The text of a UUID.
pub(super) fn uuid(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `group.max.session.timeout.ms`.
const SESSION_MS_MAX: i32 = 1_800_000;
