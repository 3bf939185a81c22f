//! OffsetCommit, versions 2 to 10 (`OffsetCommitRequest.json`, `OffsetCommitResponse.json`).

use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::message::CommitPartition;
use super::message::CommitTopic;
use super::message::CommittedTopic;
use super::message::OffsetCommitRequest;
use super::message::OffsetCommitResponse;
use super::produce::put_topic;
use super::produce::topic;
use super::produce::topics;

const FLEXIBLE: i16 = 8;
/// Topics go by id.
const BY_ID: i16 = 10;
/// The fewest bytes of a partition in a response, before version 8.
const PARTITION_MIN: usize = 6;

impl OffsetCommitRequest {
    pub fn encode(&self, version: i16, out: &mut Chunks) {
        out.set_flexible(version >= FLEXIBLE);
        out.put_string(&self.group);
        out.put_i32(self.generation_or_epoch);
        out.put_string(&self.member);
        if version >= 7 {
            out.put_nullable_string(self.instance.as_deref());
        }
        if version <= 4 {
            out.put_i64(self.retention_ms);
        }
        out.put_array(&self.topics, |out, topic| {
            put_topic(out, version >= BY_ID, &topic.name, topic.id);
            out.put_array(&topic.partitions, |out, partition| {
                out.put_i32(partition.index);
                out.put_i64(partition.offset);
                if version >= 6 {
                    out.put_epoch(partition.leader_epoch);
                }
                out.put_nullable_string(partition.metadata.as_deref());
                out.put_no_tags();
            });
            out.put_no_tags();
        });
        out.put_no_tags();
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= FLEXIBLE);
        let group = reader.string()?;
        let generation_or_epoch = reader.i32()?;
        let member = reader.string()?;
        let instance = if version >= 7 { reader.nullable_string()? } else { None };
        let retention_ms = if version <= 4 { reader.i64()? } else { -1 };
        let topics = reader.array(2, |reader| {
            let (name, id) = topic(reader, version >= BY_ID)?;
            let partitions = reader.array(13, |reader| {
                let partition = CommitPartition {
                    index: reader.i32()?,
                    offset: reader.i64()?,
                    leader_epoch: if version >= 6 { reader.epoch()? } else { None },
                    metadata: reader.nullable_string()?,
                };
                reader.skip_tags()?;
                Ok(partition)
            })?;
            reader.skip_tags()?;
            Ok(CommitTopic { name, id, partitions })
        })?;
        reader.skip_tags()?;
        Ok(Self { group, generation_or_epoch, member, instance, retention_ms, topics })
    }
}

impl OffsetCommitResponse {
    pub fn encode(&self, version: i16, out: &mut Chunks) {
        out.set_flexible(version >= FLEXIBLE);
        if version >= 3 {
            out.put_i32(self.throttle_time_ms);
        }
        out.put_array(&self.topics, |out, topic| {
            put_topic(out, version >= BY_ID, &topic.name, topic.id);
            out.put_array(&topic.partitions, |out, (index, error)| {
                out.put_i32(*index);
                out.put_code(*error);
                out.put_no_tags();
            });
            out.put_no_tags();
        });
        out.put_no_tags();
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= FLEXIBLE);
        let throttle_time_ms = if version >= 3 { reader.i32()? } else { 0 };
        let partition = |reader: &mut Reader| {
            let partition = (reader.i32()?, reader.code()?);
            reader.skip_tags()?;
            Ok(partition)
        };
        let topics = topics(&mut reader, version >= BY_ID, PARTITION_MIN, partition, |name, id, partitions| {
            CommittedTopic { name, id, partitions }
        })?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }
}
