//! Where logs begin and end: ListOffsets, versions 1 to 10, and OffsetForLeaderEpoch, versions 2 to 4
//! (`ListOffsetsResponse.json`, `OffsetForLeaderEpochResponse.json`).

use bytes::Bytes;

use super::buf::DecodeError;
use super::buf::Reader;
use super::message::EpochEnd;
use super::message::EpochEndTopic;
use super::message::ListOffsetsResponse;
use super::message::ListedPartition;
use super::message::ListedTopic;
use super::message::OffsetForLeaderEpochResponse;
use super::produce::topics;
use super::version::Api;

/// The fewest bytes of a partition whose offset is listed, in version 1.
const LISTED_MIN: usize = 22;
/// The fewest bytes of a partition whose epoch's end is told, in version 2.
const END_MIN: usize = 18;

impl ListOffsetsResponse {
    /// What it says of this partition, the first time.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&ListedPartition> {
        let topics = self.topics.iter().filter(|listed| *listed.name == *topic);
        topics.flat_map(|listed| &listed.partitions).find(|listed| listed.index == partition)
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= Api::ListOffsets.flexible_from());
        let throttle_time_ms = if version >= 2 { reader.i32()? } else { 0 };
        let partition = |reader: &mut Reader| {
            let partition = ListedPartition {
                index: reader.i32()?,
                error: reader.code()?,
                timestamp: reader.i64()?,
                offset: reader.i64()?,
                leader_epoch: if version >= 4 { reader.epoch()? } else { None },
            };
            reader.skip_tags()?;
            Ok(partition)
        };
        let topics =
            topics(&mut reader, false, LISTED_MIN, partition, |name, _, partitions| ListedTopic { name, partitions })?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }
}

impl OffsetForLeaderEpochResponse {
    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= Api::OffsetForLeaderEpoch.flexible_from());
        let throttle_time_ms = reader.i32()?;
        let partition = |reader: &mut Reader| {
            let error = reader.code()?;
            let index = reader.i32()?;
            let end = EpochEnd { index, error, leader_epoch: reader.epoch()?, end_offset: reader.i64()? };
            reader.skip_tags()?;
            Ok(end)
        };
        let topics =
            topics(&mut reader, false, END_MIN, partition, |name, _, partitions| EpochEndTopic { name, partitions })?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, topics })
    }
}
