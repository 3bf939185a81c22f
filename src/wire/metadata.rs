//! What brokers say of the cluster: Metadata, versions 0 to 13, and DescribeCluster, versions 0 to 2
//! (`MetadataResponse.json`, `DescribeClusterResponse.json`).

use bytes::Bytes;

use super::buf::COST_MAX;
use super::buf::DecodeError;
use super::buf::Reader;
use super::message::DescribeClusterResponse;
use super::message::MetadataPartition;
use super::message::MetadataResponse;
use super::message::MetadataTopic;
use super::message::Node;
use super::version::Api;
use crate::types::TopicId;

/// The fewest bytes of a broker, in version 0 of Metadata.
const BROKER_MIN: usize = 10;
/// The fewest bytes of a topic, in version 0.
const TOPIC_MIN: usize = 8;
/// The fewest bytes of a partition, in versions 0 and 9.
const PARTITION_MIN: usize = 18;

const _: () = assert!(size_of::<Node>() <= COST_MAX * BROKER_MIN);
const _: () = assert!(size_of::<MetadataTopic>() <= COST_MAX * TOPIC_MIN);
const _: () = assert!(size_of::<MetadataPartition>() <= COST_MAX * PARTITION_MIN);

impl MetadataResponse {
    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= Api::Metadata.flexible_from());
        let mut response = Self {
            throttle_time_ms: if version >= 3 { reader.i32()? } else { 0 },
            brokers: reader.array(BROKER_MIN, |reader| {
                let broker = broker(reader, version >= 1)?;
                reader.skip_tags()?;
                Ok(broker)
            })?,
            cluster_id: if version >= 2 { reader.nullable_string()? } else { None },
            controller: if version >= 1 { reader.i32()? } else { -1 },
            topics: reader.array(TOPIC_MIN, |reader| topic(reader, version))?,
            error: None,
        };
        if (8..=10).contains(&version) {
            // What the client may do with the cluster, which it did not ask about.
            reader.i32()?;
        }
        if version >= 13 {
            response.error = reader.code()?;
        }
        reader.skip_tags()?;
        Ok(response)
    }
}

fn topic(reader: &mut Reader, version: i16) -> Result<MetadataTopic, DecodeError> {
    let topic = MetadataTopic {
        error: reader.code()?,
        name: reader.nullable_str()?.unwrap_or_default(),
        id: if version >= 10 { reader.id()? } else { TopicId::ZERO },
        internal: version >= 1 && reader.bool()?,
        partitions: reader.array(PARTITION_MIN, |reader| partition(reader, version))?,
    };
    if version >= 8 {
        // What the client may do with the topic, which it did not ask about.
        reader.i32()?;
    }
    reader.skip_tags()?;
    Ok(topic)
}

fn partition(reader: &mut Reader, version: i16) -> Result<MetadataPartition, DecodeError> {
    let partition = MetadataPartition {
        error: reader.code()?,
        index: reader.i32()?,
        leader: reader.i32()?,
        leader_epoch: if version >= 7 { reader.epoch()? } else { None },
        replicas: reader.i32s()?,
        isr: reader.i32s()?,
        offline: if version >= 5 { reader.i32s()? } else { Vec::new() },
    };
    reader.skip_tags()?;
    Ok(partition)
}

/// A broker up to what only some versions have after it.
fn broker(reader: &mut Reader, racks: bool) -> Result<Node, DecodeError> {
    Ok(Node {
        id: reader.i32()?,
        host: reader.string()?,
        port: reader.i32()?,
        rack: if racks { reader.nullable_string()? } else { None },
    })
}

impl DescribeClusterResponse {
    pub fn decode(version: i16, body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, version >= Api::DescribeCluster.flexible_from());
        let throttle_time_ms = reader.i32()?;
        let error = reader.code()?;
        reader.skip_nullable_string()?;
        if version >= 1 {
            // Whether these are brokers or controllers: brokers were asked about.
            reader.i8()?;
        }
        let cluster_id = reader.string()?;
        let controller = reader.i32()?;
        let brokers = reader.array(BROKER_MIN, |reader| {
            let broker = broker(reader, true)?;
            if version >= 2 {
                // Whether it is fenced.
                reader.bool()?;
            }
            reader.skip_tags()?;
            Ok(broker)
        })?;
        // What the client may do with the cluster, which it did not ask about.
        reader.i32()?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error, cluster_id, controller, brokers })
    }
}
