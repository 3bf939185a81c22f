//! Requests of Kafka 4.2 and later, which the generator of `kafka-protocol` does not know yet.
//!
//! OffsetCommit and OffsetFetch 10 have topic ids (KIP-848); their responses are in the crate. ListOffsets 11 has the layout of
//! 10 and one more special timestamp (KIP-1023).

use bytes::Buf;
use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::StrBytes;

use crate::mock::state::wire_id;
use crate::types::TopicId;

/// The last version of ListOffsets in the crate.
pub(super) const LIST_OFFSETS_KNOWN: i16 = 10;

/// Reads an OffsetCommit 10.
pub(super) fn offset_commit(mut body: Bytes) -> Option<OffsetCommitRequest> {
    let body = &mut body;
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(body)?))
        .with_generation_id_or_member_epoch(body.try_get_i32().ok()?)
        .with_member_id(text(body)?)
        .with_group_instance_id(nullable_text(body)?);
    let topics = array(body, |body| {
        let topic = OffsetCommitRequestTopic::default().with_topic_id(wire_id(id(body)?));
        let partitions = array(body, |body| OffsetCommitRequestPartition::decode(body, 9).ok())?;
        tags(body)?;
        Some(topic.with_partitions(partitions?))
    })?;
    tags(body)?;
    Some(request.with_topics(topics?))
}

/// Reads an OffsetFetch 10.
pub(super) fn offset_fetch(mut body: Bytes) -> Option<OffsetFetchRequest> {
    let body = &mut body;
    let groups = array(body, |body| {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(body)?))
            .with_member_id(nullable_text(body)?)
            .with_member_epoch(body.try_get_i32().ok()?);
        let topics = array(body, |body| {
            let topic = OffsetFetchRequestTopics::default().with_topic_id(wire_id(id(body)?));
            let partitions = array(body, |body| body.try_get_i32().ok())?;
            tags(body)?;
            Some(topic.with_partition_indexes(partitions?))
        })?;
        tags(body)?;
        Some(group.with_topics(topics))
    })?;
    let require_stable = body.try_get_u8().ok()? != 0;
    tags(body)?;
    Some(OffsetFetchRequest::default().with_groups(groups?).with_require_stable(require_stable))
}

fn id(body: &mut Bytes) -> Option<TopicId> {
    let id = *body.first_chunk()?;
    body.advance(16);
    Some(TopicId(id))
}

fn text(body: &mut Bytes) -> Option<StrBytes> {
    nullable_text(body)?
}

#[allow(clippy::option_option, reason = "the outer one is malformed, the inner one null")]
fn nullable_text(body: &mut Bytes) -> Option<Option<StrBytes>> {
    let Some(size) = varint(body)?.checked_sub(1) else { return Some(None) };
    let size = usize::try_from(size).ok().filter(|size| *size <= body.len())?;
    Some(Some(StrBytes::from_utf8(body.split_to(size)).ok()?))
}

/// A compact array, which may be null. Its count reserves no memory.
#[allow(clippy::option_option, reason = "the outer one is malformed, the inner one null")]
fn array<T>(body: &mut Bytes, mut element: impl FnMut(&mut Bytes) -> Option<T>) -> Option<Option<Vec<T>>> {
    let Some(count) = varint(body)?.checked_sub(1) else { return Some(None) };
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(element(body)?);
    }
    Some(Some(elements))
}

fn tags(body: &mut Bytes) -> Option<()> {
    for _ in 0..varint(body)? {
        varint(body)?;
        let size = usize::try_from(varint(body)?).ok()?;
        if size > body.remaining() {
            return None;
        }
        body.advance(size);
    }
    Some(())
}

fn varint(body: &mut Bytes) -> Option<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = body.try_get_u8().ok()?;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
