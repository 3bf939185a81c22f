//! Produce (`ProduceRequest.json`, `ProduceResponse.json`), coded by hand: a hot path.

use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::message::Leader;
use super::message::Node;
use super::message::Payload;
use crate::error::Code;
use crate::types::TopicId;
use crate::types::TopicName;

const FLEXIBLE: i16 = 9;
/// The first version that identifies topics by id.
const BY_ID: i16 = 13;
/// The first version whose response hints at leaders (KIP-951).
const LEADERS: i16 = 10;
/// The fewest bytes of a topic in a response: an empty name, an empty array, no tags.
const TOPIC_MIN: usize = 3;
/// The fewest bytes of a partition in a response, in version 3.
const PARTITION_MIN: usize = 22;
/// The fewest bytes of a record's error, from version 9 on.
const RECORD_ERROR_MIN: usize = 6;
/// The fewest bytes of a broker in a tagged field.
const NODE_MIN: usize = 11;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProduceRequest {
    pub transactional_id: Option<String>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<ProduceTopic>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProduceTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<ProducePartition>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProducePartition {
    pub index: i32,
    pub records: Option<Payload>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProduceResponse {
    pub topics: Vec<ProducedTopic>,
    pub throttle_time_ms: i32,
    pub nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProducedTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<ProducedPartition>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProducedPartition {
    pub index: i32,
    pub error: Option<Code>,
    pub base_offset: i64,
    pub log_append_time: i64,
    pub log_start_offset: i64,
    pub record_errors: Vec<(i32, Option<String>)>,
    pub error_message: Option<String>,
    pub current_leader: Option<Leader>,
}

api! {
    Produce = 0, versions 3..=13, flexible 9.., writes [by name ..=12];
    ProduceRequest => ProduceResponse
}

impl ProduceRequest {
    fn lacks_id(&self) -> bool {
        self.topics.iter().any(|topic| topic.id.is_zero())
    }

    pub fn encode(&self, version: i16, out: &mut Chunks) {
        out.set_flexible(version >= FLEXIBLE);
        out.put_nullable_string(self.transactional_id.as_deref());
        out.put_i16(self.acks);
        out.put_i32(self.timeout_ms);
        out.put_array(&self.topics, |out, topic| {
            put_topic(out, version >= BY_ID, &topic.name, topic.id);
            out.put_array(&topic.partitions, |out, partition| {
                out.put_i32(partition.index);
                match &partition.records {
                    Some(records) => out.put_bytes(Some(&[&records.head, &records.body])),
                    None => out.put_bytes(None),
                }
                out.put_no_tags();
            });
            out.put_no_tags();
        });
        out.put_no_tags();
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= FLEXIBLE);
        let transactional_id = reader.nullable_string()?;
        let acks = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let topics = reader.array(2, |reader| {
            let (name, id) = topic(reader, version >= BY_ID)?;
            let partitions = reader.array(5, |reader| {
                let index = reader.i32()?;
                let records = reader.nullable_bytes()?.map(|body| Payload { head: Bytes::new(), body });
                reader.skip_tags()?;
                Ok(ProducePartition { index, records })
            })?;
            reader.skip_tags()?;
            Ok(ProduceTopic { name, id, partitions })
        })?;
        reader.skip_tags()?;
        Ok(Self { transactional_id, acks, timeout_ms, topics })
    }
}

impl ProduceResponse {
    /// A topic without partitions is left out.
    pub const EXACT: bool = false;

    pub fn encode(&self, version: i16, out: &mut Chunks) {
        out.set_flexible(version >= FLEXIBLE);
        out.put_array(&self.topics, |out, topic| {
            put_topic(out, version >= BY_ID, &topic.name, topic.id);
            out.put_array(&topic.partitions, |out, partition| put_partition(out, version, partition));
            out.put_no_tags();
        });
        out.put_i32(self.throttle_time_ms);
        let nodes = version >= LEADERS && !self.nodes.is_empty();
        out.put_tags(&if nodes { vec![(0, put_nodes(&self.nodes))] } else { vec![] });
    }

    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= FLEXIBLE);
        let topics = topics(
            &mut reader,
            version >= BY_ID,
            PARTITION_MIN,
            |reader| partition(reader, version),
            |name, id, partitions| ProducedTopic { name, id, partitions },
        )?;
        let throttle_time_ms = reader.i32()?;
        let mut nodes = Vec::new();
        reader.tags(|tag, field| {
            if tag == 0 {
                nodes = read_nodes(field)?;
            }
            Ok(())
        })?;
        Ok(Self { topics, throttle_time_ms, nodes })
    }
}

fn put_partition(out: &mut Chunks, version: i16, partition: &ProducedPartition) {
    out.put_i32(partition.index);
    out.put_code(partition.error);
    out.put_i64(partition.base_offset);
    out.put_i64(partition.log_append_time);
    if version >= 5 {
        out.put_i64(partition.log_start_offset);
    }
    if version >= 8 {
        out.put_array(&partition.record_errors, |out, (index, message)| {
            out.put_i32(*index);
            out.put_nullable_string(message.as_deref());
            out.put_no_tags();
        });
        out.put_nullable_string(partition.error_message.as_deref());
    }
    let leader = partition.current_leader.filter(|_| version >= LEADERS);
    out.put_tags(&leader.map(|leader| (0, put_leader(leader))).into_iter().collect::<Vec<_>>());
}

fn partition(reader: &mut Reader, version: i16) -> Result<ProducedPartition, DecodeError> {
    let mut partition = ProducedPartition {
        index: reader.i32()?,
        error: reader.code()?,
        base_offset: reader.i64()?,
        log_append_time: reader.i64()?,
        log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
        ..ProducedPartition::default()
    };
    if version >= 8 {
        partition.record_errors = reader.array(RECORD_ERROR_MIN, |reader| {
            let error = (reader.i32()?, reader.nullable_string()?);
            reader.skip_tags()?;
            Ok(error)
        })?;
        partition.error_message = reader.nullable_string()?;
    }
    reader.tags(|tag, field| {
        if tag == 0 {
            partition.current_leader = Some(read_leader(field)?);
        }
        Ok(())
    })?;
    Ok(partition)
}

/// Writes a topic's id or its name, as the version requires.
pub(super) fn put_topic(out: &mut Chunks, by_id: bool, name: &TopicName, id: TopicId) {
    if by_id { out.put_id(id) } else { out.put_string(name) }
}

/// Reads a topic that [`put_topic`] wrote.
pub(super) fn topic(reader: &mut Reader, by_id: bool) -> Result<(TopicName, TopicId), DecodeError> {
    if by_id { Ok((TopicName::default(), reader.id()?)) } else { Ok((reader.topic()?, TopicId::ZERO)) }
}

/// Reads a response's topics. One without partitions carries no information and is left out: its three bytes in the frame would
/// become a name, an id and a list.
pub(super) fn topics<P, T>(
    reader: &mut Reader,
    by_id: bool,
    partition_min: usize,
    mut partition: impl FnMut(&mut Reader) -> Result<P, DecodeError>,
    make: impl Fn(TopicName, TopicId, Vec<P>) -> T,
) -> Result<Vec<T>, DecodeError> {
    reader.array_of_kept(TOPIC_MIN, TOPIC_MIN + partition_min, |reader| {
        let (name, id) = topic(reader, by_id)?;
        let partitions = reader.array(partition_min, &mut partition)?;
        reader.skip_tags()?;
        Ok((!partitions.is_empty()).then(|| make(name, id, partitions)))
    })
}

pub(super) fn put_leader(leader: Leader) -> Vec<u8> {
    Chunks::field(|out| {
        out.put_i32(leader.id);
        out.put_i32(leader.epoch);
        out.put_no_tags();
    })
}

pub(super) fn read_leader(field: &mut Reader) -> Result<Leader, DecodeError> {
    let leader = Leader { id: field.i32()?, epoch: field.i32()? };
    field.skip_tags()?;
    Ok(leader)
}

pub(super) fn put_nodes(nodes: &[Node]) -> Vec<u8> {
    Chunks::field(|out| {
        out.put_array(nodes, |out, node| {
            out.put_i32(node.id);
            out.put_string(&node.host);
            out.put_i32(node.port);
            out.put_nullable_string(node.rack.as_deref());
            out.put_no_tags();
        });
    })
}

pub(super) fn read_nodes(field: &mut Reader) -> Result<Vec<Node>, DecodeError> {
    field.array(NODE_MIN, |field| {
        let node = Node { id: field.i32()?, host: field.string()?, port: field.i32()?, rack: field.nullable_string()? };
        field.skip_tags()?;
        Ok(node)
    })
}
