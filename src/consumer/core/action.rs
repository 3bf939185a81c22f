//! The actions that the core requests from its owner.

use crate::types::TopicName;
use crate::wire::message::FetchRequest;
use crate::wire::message::Leader;
use crate::wire::message::ListOffsetsRequest;
use crate::wire::message::Node as Broker;
use crate::wire::message::OffsetFetchRequest;
use crate::wire::message::OffsetForLeaderEpochRequest;

/// An action for the owner of a core. The owner passes each response to the core with the tag of its request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask a leader for the end of an epoch.
    EpochEnd { node: i32, tag: u64, request: OffsetForLeaderEpochRequest },
    /// Fetch from a broker.
    ///
    /// Each broker has two connections, which are numbered from 0.
    Fetch { node: i32, connection: usize, tag: u64, request: FetchRequest },
    /// Pass on who leads a partition.
    Hint { topic: TopicName, partition: i32, leader: Leader, nodes: Vec<Broker> },
    /// Ask a leader for offsets.
    ListOffsets { node: i32, tag: u64, request: ListOffsetsRequest },
    /// Ask the group's coordinator for committed offsets.
    OffsetFetch { tag: u64, request: OffsetFetchRequest },
    /// Ask for metadata of these topics.
    RefreshMetadata { topics: Vec<TopicName> },
}
