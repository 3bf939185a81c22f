//! OffsetFetch, versions 1 to 10 (`OffsetFetchRequest.json`, `OffsetFetchResponse.json`).

use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::message::FetchedGroup;
use super::message::FetchedOffset;
use super::message::FetchedOffsets;
use super::message::OffsetFetchGroup;
use super::message::OffsetFetchRequest;
use super::message::OffsetFetchResponse;
use super::message::OffsetFetchTopic;
use super::produce::put_topic;
use super::produce::topic;
use super::produce::topics;

const FLEXIBLE: i16 = 6;
/// Several groups in one request (KIP-709).
const GROUPS: i16 = 8;
/// Topics go by id.
const BY_ID: i16 = 10;
/// The fewest bytes of a group in a response.
const GROUP_MIN: usize = 5;
/// The fewest bytes of a partition in a response, in version 1.
const PARTITION_MIN: usize = 16;

impl OffsetFetchRequest {
    /// Refuses several groups where the version carries one: the others would be left out in silence.
    pub(super) fn check(&self, version: i16) -> Result<(), DecodeError> {
        if version < GROUPS && self.groups.len() != 1 {
            let text = format!("version {version} asks about one group, not {}", self.groups.len());
            return Err(DecodeError::Message(text));
        }
        Ok(())
    }

    pub fn encode(&self, version: i16, out: &mut Chunks) {
        out.set_flexible(version >= FLEXIBLE);
        if version >= GROUPS {
            out.put_array(&self.groups, |out, group| {
                out.put_string(&group.group);
                if version >= 9 {
                    out.put_nullable_string(group.member.as_deref());
                    out.put_i32(group.member_epoch);
                }
                put_topics(out, version, group.topics.as_deref());
                out.put_no_tags();
            });
        } else if let Some(group) = self.groups.first() {
            out.put_string(&group.group);
            put_topics(out, version, group.topics.as_deref());
        }
        if version >= 7 {
            out.put_bool(self.require_stable);
        }
        out.put_no_tags();
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= FLEXIBLE);
        let groups = if version >= GROUPS {
            reader.array(3, |reader| {
                let group = OffsetFetchGroup {
                    group: reader.string()?,
                    member: if version >= 9 { reader.nullable_string()? } else { None },
                    member_epoch: if version >= 9 { reader.i32()? } else { -1 },
                    topics: read_topics(reader, version)?,
                };
                reader.skip_tags()?;
                Ok(group)
            })?
        } else {
            let group = reader.string()?;
            vec![OffsetFetchGroup { group, member: None, member_epoch: -1, topics: read_topics(&mut reader, version)? }]
        };
        let require_stable = version >= 7 && reader.bool()?;
        reader.skip_tags()?;
        Ok(Self { groups, require_stable })
    }
}

fn put_topics(out: &mut Chunks, version: i16, topics: Option<&[OffsetFetchTopic]>) {
    out.put_count(topics.map(<[_]>::len));
    for topic in topics.unwrap_or_default() {
        put_topic(out, version >= BY_ID, &topic.name, topic.id);
        out.put_array(&topic.partitions, |out, partition| out.put_i32(*partition));
        out.put_no_tags();
    }
}

fn read_topics(reader: &mut Reader, version: i16) -> Result<Option<Vec<OffsetFetchTopic>>, DecodeError> {
    reader.nullable_array(2, |reader| {
        let (name, id) = topic(reader, version >= BY_ID)?;
        let partitions = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok(OffsetFetchTopic { name, id, partitions })
    })
}

impl OffsetFetchResponse {
    /// What it says of this group. Below version 8 it does not say of which one, and was asked about no other.
    pub fn group(&self, group: &str) -> Option<&FetchedGroup> {
        self.groups.iter().find(|fetched| fetched.group.is_empty() || *fetched.group == *group)
    }

    pub fn encode(&self, version: i16, out: &mut Chunks) {
        out.set_flexible(version >= FLEXIBLE);
        if version >= 3 {
            out.put_i32(self.throttle_time_ms);
        }
        if version >= GROUPS {
            out.put_array(&self.groups, |out, group| {
                out.put_string(&group.group);
                put_offsets(out, version, &group.topics);
                out.put_code(group.error);
                out.put_no_tags();
            });
        } else if let Some(group) = self.groups.first() {
            put_offsets(out, version, &group.topics);
            if version >= 2 {
                out.put_code(group.error);
            }
        }
        out.put_no_tags();
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= FLEXIBLE);
        let throttle_time_ms = if version >= 3 { reader.i32()? } else { 0 };
        let groups = if version >= GROUPS {
            reader.array(GROUP_MIN, |reader| {
                let group = reader.str()?;
                let topics = read_offsets(reader, version)?.into();
                let group = FetchedGroup { group, topics, error: reader.code()? };
                reader.skip_tags()?;
                Ok(group)
            })?
        } else {
            let topics = read_offsets(&mut reader, version)?.into();
            let error = if version >= 2 { reader.code()? } else { None };
            vec![FetchedGroup { group: Box::default(), error, topics }]
        };
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, groups })
    }
}

fn put_offsets(out: &mut Chunks, version: i16, topics: &[FetchedOffsets]) {
    out.put_array(topics, |out, topic| {
        put_topic(out, version >= BY_ID, &topic.name, topic.id);
        out.put_array(&topic.partitions, |out, partition| {
            out.put_i32(partition.index);
            out.put_i64(partition.offset);
            if version >= 5 {
                out.put_epoch(partition.leader_epoch);
            }
            out.put_nullable_string(partition.metadata.as_deref());
            out.put_code(partition.error);
            out.put_no_tags();
        });
        out.put_no_tags();
    });
}

fn read_offsets(reader: &mut Reader, version: i16) -> Result<Vec<FetchedOffsets>, DecodeError> {
    let partition = |reader: &mut Reader| {
        let partition = FetchedOffset {
            index: reader.i32()?,
            offset: reader.i64()?,
            leader_epoch: if version >= 5 { reader.epoch()? } else { None },
            metadata: reader.nullable_string()?,
            error: reader.code()?,
        };
        reader.skip_tags()?;
        Ok(partition)
    };
    topics(reader, version >= BY_ID, PARTITION_MIN, partition, |name, id, partitions| FetchedOffsets {
        name,
        id,
        partitions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_carries_one_group_refuses_several() {
        let group = |name: &str| OffsetFetchGroup { group: name.into(), ..OffsetFetchGroup::default() };
        let several = OffsetFetchRequest { groups: vec![group("a"), group("b")], require_stable: false };
        let one = OffsetFetchRequest { groups: vec![group("a")], require_stable: false };
        assert!(several.check(7).is_err() && several.check(8).is_ok());
        assert!(one.check(7).is_ok());
    }
}
