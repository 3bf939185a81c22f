//! Fetch (`FetchRequest.json`, `FetchResponse.json`), coded by hand: a hot path. Records are sliced out of the frame, never copied.

use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::message::Leader;
use super::message::Node;
use super::produce::put_leader;
use super::produce::put_nodes;
use super::produce::put_topic;
use super::produce::read_leader;
use super::produce::read_nodes;
use super::produce::topic;
use super::produce::topics;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;

const FLEXIBLE: i16 = 12;
/// The first version that identifies topics by id.
const BY_ID: i16 = 13;
/// The first version with the replica in a tagged field.
const REPLICA_STATE: i16 = 15;
/// The first version whose response hints at leaders (KIP-951).
const NODES: i16 = 16;
/// The fewest bytes of a partition in a response, in version 4.
const PARTITION_MIN: usize = 30;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchRequest {
    pub replica: Replica,
    pub cluster_id: Option<String>,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    pub forgotten: Vec<ForgottenTopic>,
    pub rack: String,
}

/// The replica that fetches; −1 and −1 for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    pub id: i32,
    pub epoch: i64,
}

impl Default for Replica {
    fn default() -> Self {
        Self { id: -1, epoch: -1 }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchPartition {
    pub index: i32,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub fetch_offset: i64,
    pub last_fetched_epoch: Option<LeaderEpoch>,
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    /// The directory of a replica that fetches; zero for a client.
    pub directory: TopicId,
    /// The high watermark that a replica knows.
    pub high_watermark: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForgottenTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<i32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    pub error: Option<Code>,
    pub session_id: i32,
    pub topics: Vec<FetchedTopic>,
    pub nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchedTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<FetchedPartition>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchedPartition {
    pub index: i32,
    pub error: Option<Code>,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Where this log and the fetcher's diverge, as (epoch, end offset) (KIP-595).
    pub diverging: Option<(i32, i64)>,
    pub current_leader: Option<Leader>,
    /// The snapshot a replica should fetch instead, as (end offset, epoch).
    pub snapshot: Option<(i64, i32)>,
    /// Aborted transactions as (producer id, first offset); `None` is null.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// −1 if there is none.
    pub preferred_read_replica: i32,
    pub records: Option<Bytes>,
}

api! {
    Fetch = 1, versions 4..=18, flexible 12.., reads [by name ..=12];
    FetchRequest => FetchResponse
}

impl FetchRequest {
    fn lacks_id(&self) -> bool {
        let forgotten = self.forgotten.iter().map(|topic| topic.id);
        self.topics.iter().map(|topic| topic.id).chain(forgotten).any(TopicId::is_zero)
    }

    pub fn encode(&self, version: i16, out: &mut Chunks) {
        out.set_flexible(version >= FLEXIBLE);
        if version < REPLICA_STATE {
            out.put_i32(self.replica.id);
        }
        out.put_i32(self.max_wait_ms);
        out.put_i32(self.min_bytes);
        out.put_i32(self.max_bytes);
        out.put_i8(self.isolation);
        if version >= 7 {
            out.put_i32(self.session_id);
            out.put_i32(self.session_epoch);
        }
        out.put_array(&self.topics, |out, topic| {
            put_topic(out, version >= BY_ID, &topic.name, topic.id);
            out.put_array(&topic.partitions, |out, partition| put_request_partition(out, version, partition));
            out.put_no_tags();
        });
        if version >= 7 {
            out.put_array(&self.forgotten, |out, topic| {
                put_topic(out, version >= BY_ID, &topic.name, topic.id);
                out.put_array(&topic.partitions, |out, partition| out.put_i32(*partition));
                out.put_no_tags();
            });
        }
        if version >= 11 {
            out.put_string(&self.rack);
        }
        let mut tags = Vec::new();
        if let Some(cluster) = &self.cluster_id {
            tags.push((0, Chunks::field(|out| out.put_string(cluster))));
        }
        if version >= REPLICA_STATE && self.replica != Replica::default() {
            let state = Chunks::field(|out| {
                out.put_i32(self.replica.id);
                out.put_i64(self.replica.epoch);
                out.put_no_tags();
            });
            tags.push((1, state));
        }
        out.put_tags(&tags);
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= FLEXIBLE);
        let mut request = Self::default();
        if version < REPLICA_STATE {
            request.replica.id = reader.i32()?;
        }
        request.max_wait_ms = reader.i32()?;
        request.min_bytes = reader.i32()?;
        request.max_bytes = reader.i32()?;
        request.isolation = reader.i8()?;
        if version >= 7 {
            request.session_id = reader.i32()?;
            request.session_epoch = reader.i32()?;
        }
        request.topics = reader.array(2, |reader| {
            let (name, id) = topic(reader, version >= BY_ID)?;
            let partitions = reader.array(16, |reader| request_partition(reader, version))?;
            reader.skip_tags()?;
            Ok(FetchTopic { name, id, partitions })
        })?;
        if version >= 7 {
            request.forgotten = reader.array(2, |reader| {
                let (name, id) = topic(reader, version >= BY_ID)?;
                let partitions = reader.array(4, Reader::i32)?;
                reader.skip_tags()?;
                Ok(ForgottenTopic { name, id, partitions })
            })?;
        }
        if version >= 11 {
            request.rack = reader.string()?;
        }
        reader.tags(|tag, field| {
            match tag {
                0 => request.cluster_id = field.nullable_string()?,
                1 => {
                    request.replica = Replica { id: field.i32()?, epoch: field.i64()? };
                    field.skip_tags()?;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(request)
    }
}

fn put_request_partition(out: &mut Chunks, version: i16, partition: &FetchPartition) {
    out.put_i32(partition.index);
    if version >= 9 {
        out.put_epoch(partition.current_leader_epoch);
    }
    out.put_i64(partition.fetch_offset);
    if version >= FLEXIBLE {
        out.put_epoch(partition.last_fetched_epoch);
    }
    if version >= 5 {
        out.put_i64(partition.log_start_offset);
    }
    out.put_i32(partition.partition_max_bytes);
    let mut tags = Vec::new();
    if version >= 17 && !partition.directory.is_zero() {
        tags.push((0, partition.directory.0.to_vec()));
    }
    if let Some(high_watermark) = partition.high_watermark.filter(|_| version >= 18) {
        tags.push((1, high_watermark.to_be_bytes().to_vec()));
    }
    out.put_tags(&tags);
}

fn request_partition(reader: &mut Reader, version: i16) -> Result<FetchPartition, DecodeError> {
    let mut partition = FetchPartition {
        index: reader.i32()?,
        current_leader_epoch: if version >= 9 { reader.epoch()? } else { None },
        fetch_offset: reader.i64()?,
        last_fetched_epoch: if version >= FLEXIBLE { reader.epoch()? } else { None },
        log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
        partition_max_bytes: reader.i32()?,
        ..FetchPartition::default()
    };
    reader.tags(|tag, field| {
        match tag {
            0 => partition.directory = field.id()?,
            1 => partition.high_watermark = Some(field.i64()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(partition)
}

impl FetchResponse {
    /// A topic without partitions is left out.
    pub const EXACT: bool = false;

    pub fn encode(&self, version: i16, out: &mut Chunks) {
        out.set_flexible(version >= FLEXIBLE);
        out.put_i32(self.throttle_time_ms);
        if version >= 7 {
            out.put_code(self.error);
            out.put_i32(self.session_id);
        }
        out.put_array(&self.topics, |out, topic| {
            put_topic(out, version >= BY_ID, &topic.name, topic.id);
            out.put_array(&topic.partitions, |out, partition| put_partition(out, version, partition));
            out.put_no_tags();
        });
        let nodes = version >= NODES && !self.nodes.is_empty();
        out.put_tags(&if nodes { vec![(0, put_nodes(&self.nodes))] } else { vec![] });
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= FLEXIBLE);
        let mut response = Self { throttle_time_ms: reader.i32()?, ..Self::default() };
        if version >= 7 {
            response.error = reader.code()?;
            response.session_id = reader.i32()?;
        }
        response.topics = topics(
            &mut reader,
            version >= BY_ID,
            PARTITION_MIN,
            |reader| partition(reader, version),
            |name, id, partitions| FetchedTopic { name, id, partitions },
        )?;
        reader.tags(|tag, field| {
            if tag == 0 {
                response.nodes = read_nodes(field)?;
            }
            Ok(())
        })?;
        Ok(response)
    }
}

fn put_partition(out: &mut Chunks, version: i16, partition: &FetchedPartition) {
    out.put_i32(partition.index);
    out.put_code(partition.error);
    out.put_i64(partition.high_watermark);
    out.put_i64(partition.last_stable_offset);
    if version >= 5 {
        out.put_i64(partition.log_start_offset);
    }
    out.put_count(partition.aborted.as_ref().map(Vec::len));
    for (producer, first_offset) in partition.aborted.iter().flatten() {
        out.put_i64(*producer);
        out.put_i64(*first_offset);
        out.put_no_tags();
    }
    if version >= 11 {
        out.put_i32(partition.preferred_read_replica);
    }
    match &partition.records {
        Some(records) => out.put_bytes(Some(&[records])),
        None => out.put_bytes(None),
    }
    let mut tags = Vec::new();
    if let Some((epoch, end_offset)) = partition.diverging {
        let field = Chunks::field(|out| {
            out.put_i32(epoch);
            out.put_i64(end_offset);
            out.put_no_tags();
        });
        tags.push((0, field));
    }
    if let Some(leader) = partition.current_leader {
        tags.push((1, put_leader(leader)));
    }
    if let Some((end_offset, epoch)) = partition.snapshot {
        let field = Chunks::field(|out| {
            out.put_i64(end_offset);
            out.put_i32(epoch);
            out.put_no_tags();
        });
        tags.push((2, field));
    }
    out.put_tags(&tags);
}

fn partition(reader: &mut Reader, version: i16) -> Result<FetchedPartition, DecodeError> {
    let mut partition = FetchedPartition {
        index: reader.i32()?,
        error: reader.code()?,
        high_watermark: reader.i64()?,
        last_stable_offset: reader.i64()?,
        log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
        ..FetchedPartition::default()
    };
    partition.aborted = reader.nullable_array(16, |reader| {
        let aborted = (reader.i64()?, reader.i64()?);
        reader.skip_tags()?;
        Ok(aborted)
    })?;
    partition.preferred_read_replica = if version >= 11 { reader.i32()? } else { -1 };
    partition.records = reader.nullable_bytes()?;
    reader.tags(|tag, field| {
        match tag {
            0 => {
                partition.diverging = Some((field.i32()?, field.i64()?));
                field.skip_tags()?;
            }
            1 => partition.current_leader = Some(read_leader(field)?),
            2 => {
                partition.snapshot = Some((field.i64()?, field.i32()?));
                field.skip_tags()?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(partition)
}
