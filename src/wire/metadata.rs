//! Metadata: brokers, the controller, and the leaders of partitions.

use super::buf::Chunks;
use super::declare::api;
use super::declare::messages;
use super::field::OrEmpty;
use super::message::Node;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;

/// `topics: None` requests all topics, unless there are ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataRequest {
    pub topics: Option<Vec<TopicName>>,
    /// Topics whose names are not known (KIP-516). Versions below 12 leave them out.
    pub ids: Vec<TopicId>,
    pub allow_auto_create: bool,
}

/// The first version whose request may name a topic by its id alone.
const IDS_FROM: i16 = 12;

api! {
    Metadata = 3, versions 0..=13, flexible 9.., reads;
    MetadataRequest by hand => MetadataResponse
}

messages! {
    MetadataRequest:

    /// `MetadataResponse.json`.
    response MetadataResponse {
        throttle_time_ms: i32 [3..],
        brokers: Vec<Node> as Vec<MetadataBroker>,
        cluster_id: Option<String> [2..],
        controller: i32 [1..] = -1,
        topics: Vec<MetadataTopic>,
        /// The authorized operations on the cluster, which the request does not include.
        _: i32 [8..=10],
        error: Option<Code> [13..],
    }

    struct MetadataTopic {
        error: Option<Code>,
        /// Empty if the broker gives only an id.
        name: Box<str> as OrEmpty,
        id: TopicId [10..],
        internal: bool [1..],
        partitions: Vec<MetadataPartition>,
        /// The authorized operations on the topic, which the request does not include.
        _: i32 [8..],
    }

    struct MetadataPartition {
        error: Option<Code>,
        index: i32,
        leader: i32,
        leader_epoch: Option<LeaderEpoch> [7..],
        replicas: Vec<i32>,
        isr: Vec<i32>,
        offline: Vec<i32> [5..],
    }

    layout MetadataBroker for Node {
        id: i32,
        host: String,
        port: i32,
        rack: Option<String> [1..],
    }
}

impl MetadataResponse {
    /// The first version whose leader epochs can be relied on: brokers before 2.4 report old ones while partitions are reassigned, and
    /// whoever names an old epoch is refused (KAFKA-9212, `MetadataResponse.hasReliableLeaderEpochs`).
    const RELIABLE_EPOCHS_FROM: i16 = 9;

    /// Forgets the leader epochs of a response in an older version, as Java does (`Metadata.updateLatestMetadata`).
    pub fn keep_reliable_epochs(&mut self, version: i16) {
        if version < Self::RELIABLE_EPOCHS_FROM {
            let partitions = self.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.leader_epoch = None);
        }
    }
}

impl MetadataRequest {
    fn put(&self, version: i16, out: &mut Chunks) {
        let ids = if version >= IDS_FROM { &self.ids[..] } else { &[] };
        let names = self.topics.as_ref().map(Vec::len).or((!self.ids.is_empty()).then_some(0));
        let count = names.map(|names| names + ids.len());
        // Version 0 has no null: an empty list requests all topics.
        out.put_count(if version == 0 { count.or(Some(0)) } else { count });
        for name in self.topics.iter().flatten() {
            if version >= 10 {
                out.put_id(TopicId::ZERO);
            }
            out.put_string(name);
            out.put_no_tags();
        }
        for id in ids {
            out.put_id(*id);
            out.put_nullable_string(None);
            out.put_no_tags();
        }
        if version >= 4 {
            out.put_bool(self.allow_auto_create);
        }
        // The authorized operations, on the cluster and on its topics.
        if matches!(version, 8..=10) {
            out.put_bool(false);
        }
        if version >= 8 {
            out.put_bool(false);
        }
        out.put_no_tags();
    }
}
