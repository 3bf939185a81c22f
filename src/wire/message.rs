//! What is asked of brokers and what they answer: plain structs, in Kafka's words, free of versions.
//!
//! A field that a version lacks is ignored when encoding and has its default when decoding.

use bytes::Bytes;

use crate::error::Code;
use crate::types::{LeaderEpoch, ProducerIdentity, TopicId, TopicName};

/// A batch's bytes: a small head, copied into the request, and a body that is sent as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    pub head: Bytes,
    pub body: Bytes,
}

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
/// Who leads a partition, as a Produce or Fetch response hints (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub id: i32,
    pub epoch: i32,
}
/// Where a broker listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

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
/// Which replica fetches; −1 and −1 for a client.
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
    /// Of a replica that fetches; zero for a client.
    pub directory: TopicId,
    /// Of a replica that fetches.
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
    /// Where this log and the fetcher's part, as (epoch, end offset) (KIP-595).
    pub diverging: Option<(i32, i64)>,
    pub current_leader: Option<Leader>,
    /// The snapshot a replica should fetch instead, as (end offset, epoch).
    pub snapshot: Option<(i64, i32)>,
    /// Aborted transactions as (producer id, first offset); `None` is the wire's null.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// −1 when none.
    pub preferred_read_replica: i32,
    pub records: Option<Bytes>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetCommitRequest {
    pub group: String,
    pub generation_or_epoch: i32,
    pub member: String,
    pub instance: Option<String>,
    pub retention_ms: i64,
    pub topics: Vec<CommitTopic>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<CommitPartition>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitPartition {
    pub index: i32,
    pub offset: i64,
    pub leader_epoch: Option<LeaderEpoch>,
    pub metadata: Option<String>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetCommitResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<CommittedTopic>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommittedTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<(i32, Option<Code>)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchRequest {
    pub groups: Vec<OffsetFetchGroup>,
    pub require_stable: bool,
}
/// `topics: None` asks for all the group committed. Versions below 8 carry exactly one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchGroup {
    pub group: String,
    pub member: Option<String>,
    pub member_epoch: i32,
    pub topics: Option<Vec<OffsetFetchTopic>>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<i32>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<FetchedGroup>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchedGroup {
    /// Empty below version 8, which answers about the one that was asked about.
    pub group: Box<str>,
    pub error: Option<Code>,
    pub topics: Box<[FetchedOffsets]>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchedOffsets {
    pub name: TopicName,
    pub id: TopicId,
    pub partitions: Vec<FetchedOffset>,
}
/// `offset` is −1 where nothing was committed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchedOffset {
    pub index: i32,
    pub offset: i64,
    pub leader_epoch: Option<LeaderEpoch>,
    pub metadata: Option<String>,
    pub error: Option<Code>,
}

/// `topics: None` asks for all topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataRequest {
    pub topics: Option<Vec<TopicName>>,
    pub allow_auto_create: bool,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataResponse {
    pub throttle_time_ms: i32,
    pub error: Option<Code>,
    pub brokers: Vec<Node>,
    pub cluster_id: Option<String>,
    pub controller: i32,
    pub topics: Vec<MetadataTopic>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataTopic {
    pub error: Option<Code>,
    /// Empty where a broker does not say it.
    pub name: Box<str>,
    pub id: TopicId,
    pub internal: bool,
    pub partitions: Vec<MetadataPartition>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataPartition {
    pub error: Option<Code>,
    pub index: i32,
    pub leader: i32,
    pub leader_epoch: Option<LeaderEpoch>,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub offline: Vec<i32>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsRequest {
    pub isolation: i8,
    pub timeout_ms: i32,
    pub topics: Vec<ListOffsetsTopic>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsTopic {
    pub name: TopicName,
    pub partitions: Vec<ListOffsetsPartition>,
}
/// `timestamp`: −1 latest, −2 earliest, −3 largest timestamp, otherwise milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsPartition {
    pub index: i32,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub timestamp: i64,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<ListedTopic>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedTopic {
    pub name: TopicName,
    pub partitions: Vec<ListedPartition>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedPartition {
    pub index: i32,
    pub error: Option<Code>,
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: Option<LeaderEpoch>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetForLeaderEpochRequest {
    pub topics: Vec<EpochTopic>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochTopic {
    pub name: TopicName,
    pub partitions: Vec<EpochPartition>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochPartition {
    pub index: i32,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub leader_epoch: Option<LeaderEpoch>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetForLeaderEpochResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<EpochEndTopic>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochEndTopic {
    pub name: TopicName,
    pub partitions: Vec<EpochEnd>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochEnd {
    pub index: i32,
    pub error: Option<Code>,
    pub leader_epoch: Option<LeaderEpoch>,
    pub end_offset: i64,
}
/// `kind`: 0 group, 1 transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindCoordinatorRequest {
    pub key: String,
    pub kind: i8,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindCoordinatorResponse {
    pub throttle_time_ms: i32,
    pub coordinators: Vec<Coordinator>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coordinator {
    /// Whose coordinator it is; below version 4 nobody's but that of the key that was asked about.
    pub key: Option<String>,
    pub error: Option<Code>,
    pub error_message: Option<String>,
    pub id: i32,
    pub host: String,
    pub port: i32,
}

impl FindCoordinatorResponse {
    /// The answer about `key`, whatever else is answered (KIP-699).
    pub fn of(&self, key: &str) -> Option<&Coordinator> {
        self.coordinators.iter().find(|found| found.key.as_deref().is_none_or(|found| found == key))
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct InitProducerIdRequest {
    pub transactional_id: Option<String>,
    pub transaction_timeout_ms: i32,
    pub current: Option<ProducerIdentity>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InitProducerIdResponse {
    pub throttle_time_ms: i32,
    pub error: Option<Code>,
    pub identity: Option<ProducerIdentity>,
}
/// Names this client; nothing else is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ApiVersionsRequest;
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiVersionsResponse {
    pub error: Option<Code>,
    pub apis: Vec<(i16, i16, i16)>,
    pub throttle_time_ms: i32,
    pub finalized_features: Vec<(String, i16)>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateTopicsRequest {
    pub topics: Vec<NewTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewTopic {
    pub name: TopicName,
    pub partitions: i32,
    pub replication: i16,
    pub configs: Vec<(String, Option<String>)>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateTopicsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<TopicOutcome>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicOutcome {
    /// Empty where a broker says only an id, as none does that was asked about names.
    pub name: Box<str>,
    pub error: Option<Code>,
    /// Never empty. Boxed twice: most have none, and the smallest outcome on the wire has four bytes.
    pub message: Option<Box<Box<str>>>,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteTopicsRequest {
    pub names: Vec<TopicName>,
    pub timeout_ms: i32,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteTopicsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<TopicOutcome>,
}
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DescribeClusterRequest;
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeClusterResponse {
    pub throttle_time_ms: i32,
    pub error: Option<Code>,
    pub cluster_id: String,
    pub controller: i32,
    pub brokers: Vec<Node>,
}
