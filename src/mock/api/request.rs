//! A request with its decoded body, and its entry in the request log.

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::ConsumerGroupDescribeRequest;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::DeleteGroupsRequest;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::InitProducerIdRequest;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::ListGroupsRequest;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::OffsetDeleteRequest;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::SaslAuthenticateRequest;
use kafka_protocol::messages::SaslHandshakeRequest;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::protocol::Request;
use kafka_protocol::protocol::StrBytes;

use crate::mock::api::by_id;
use crate::mock::api::operating::Operating;
use crate::mock::check::HEAD_LEN;
use crate::mock::check::Head;
use crate::mock::seen::SeenPartition;
use crate::mock::seen::SeenRequest;
use crate::mock::seen::SeenWhat;
use crate::mock::state::State;
use crate::types::TopicId;
use crate::types::TopicName;

/// A decoded request.
#[derive(Debug)]
pub(in crate::mock) enum AnyRequest {
    ApiVersions,
    /// An unsupported version of ApiVersions, which is answered all the same.
    ApiVersionsUnsupported,
    ConsumerGroupDescribe(ConsumerGroupDescribeRequest),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest),
    CreatePartitions(CreatePartitionsRequest),
    CreateTopics(CreateTopicsRequest),
    DeleteGroups(DeleteGroupsRequest),
    DeleteTopics(DeleteTopicsRequest),
    DescribeCluster(DescribeClusterRequest),
    DescribeConfigs(DescribeConfigsRequest),
    DescribeGroups(DescribeGroupsRequest),
    Fetch(FetchRequest),
    FindCoordinator(FindCoordinatorRequest),
    Heartbeat(HeartbeatRequest),
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    InitProducerId(InitProducerIdRequest),
    JoinGroup(JoinGroupRequest),
    LeaveGroup(LeaveGroupRequest),
    ListGroups(ListGroupsRequest),
    ListOffsets(ListOffsetsRequest),
    Metadata(MetadataRequest),
    OffsetCommit(OffsetCommitRequest),
    OffsetDelete(OffsetDeleteRequest),
    OffsetFetch(OffsetFetchRequest),
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest),
    Operating(Operating),
    Produce(ProduceRequest),
    SaslAuthenticate(SaslAuthenticateRequest),
    SaslHandshake(SaslHandshakeRequest),
    SyncGroup(SyncGroupRequest),
}

impl AnyRequest {
    /// Decodes a body; `None` where it is malformed, or its API or version is not supported.
    pub(in crate::mock) fn read(state: &State, api_key: i16, version: i16, body: Bytes) -> Option<Self> {
        let range = state.settings.versions.get(&api_key);
        let spoken = range.is_some_and(|(min, max)| (min..=max).contains(&&version));
        let api = ApiKey::try_from(api_key).ok()?;
        if !spoken {
            return (api == ApiKey::ApiVersions).then_some(Self::ApiVersionsUnsupported);
        }
        Some(match api {
            ApiKey::ApiVersions => decode::<ApiVersionsRequest>(version, body).map(|_| Self::ApiVersions)?,
            ApiKey::ConsumerGroupDescribe => Self::ConsumerGroupDescribe(decode(version, body)?),
            ApiKey::ConsumerGroupHeartbeat => Self::ConsumerGroupHeartbeat(decode(version, body)?),
            ApiKey::CreatePartitions => Self::CreatePartitions(decode(version, body)?),
            ApiKey::CreateTopics => Self::CreateTopics(decode(version, body)?),
            ApiKey::DeleteGroups => Self::DeleteGroups(decode(version, body)?),
            ApiKey::DeleteTopics => Self::DeleteTopics(decode(version, body)?),
            ApiKey::DescribeCluster => Self::DescribeCluster(decode(version, body)?),
            ApiKey::DescribeConfigs => Self::DescribeConfigs(decode(version, body)?),
            ApiKey::DescribeGroups => Self::DescribeGroups(decode(version, body)?),
            ApiKey::Fetch => Self::Fetch(decode(version, body)?),
            ApiKey::FindCoordinator => Self::FindCoordinator(decode(version, body)?),
            ApiKey::Heartbeat => Self::Heartbeat(decode(version, body)?),
            ApiKey::IncrementalAlterConfigs => Self::IncrementalAlterConfigs(decode(version, body)?),
            ApiKey::InitProducerId => Self::InitProducerId(decode(version, body)?),
            ApiKey::JoinGroup => Self::JoinGroup(decode(version, body)?),
            ApiKey::LeaveGroup => Self::LeaveGroup(decode(version, body)?),
            ApiKey::ListGroups => Self::ListGroups(decode(version, body)?),
            ApiKey::ListOffsets => Self::ListOffsets(decode(version.min(by_id::LIST_OFFSETS_KNOWN), body)?),
            ApiKey::Metadata => Self::Metadata(decode(version, body)?),
            ApiKey::OffsetCommit if version >= 10 => Self::OffsetCommit(by_id::offset_commit(body)?),
            ApiKey::OffsetCommit => Self::OffsetCommit(decode(version, body)?),
            ApiKey::OffsetDelete => Self::OffsetDelete(decode(version, body)?),
            ApiKey::OffsetFetch if version >= 10 => Self::OffsetFetch(by_id::offset_fetch(body)?),
            ApiKey::OffsetFetch => Self::OffsetFetch(decode(version, body)?),
            ApiKey::OffsetForLeaderEpoch => Self::OffsetForLeaderEpoch(decode(version, body)?),
            ApiKey::Produce => Self::Produce(decode(version, body)?),
            ApiKey::SaslAuthenticate => Self::SaslAuthenticate(decode(version, body)?),
            ApiKey::SaslHandshake => Self::SaslHandshake(decode(version, body)?),
            ApiKey::SyncGroup => Self::SyncGroup(decode(version, body)?),
            _ => Self::Operating(Operating::read(api, version, body)?),
        })
    }

    /// Whether the request changes the cluster, so that an error may follow the change.
    pub(in crate::mock) fn has_effect(&self) -> bool {
        match self {
            Self::ConsumerGroupHeartbeat(_)
            | Self::CreatePartitions(_)
            | Self::CreateTopics(_)
            | Self::DeleteGroups(_)
            | Self::DeleteTopics(_)
            | Self::IncrementalAlterConfigs(_)
            | Self::InitProducerId(_)
            | Self::JoinGroup(_)
            | Self::Heartbeat(_)
            | Self::LeaveGroup(_)
            | Self::OffsetCommit(_)
            | Self::OffsetDelete(_)
            | Self::Produce(_)
            | Self::SyncGroup(_) => true,
            Self::ApiVersions
            | Self::ApiVersionsUnsupported
            | Self::ConsumerGroupDescribe(_)
            | Self::DescribeCluster(_)
            | Self::DescribeConfigs(_)
            | Self::DescribeGroups(_)
            | Self::Fetch(_)
            | Self::FindCoordinator(_)
            | Self::ListGroups(_)
            | Self::ListOffsets(_)
            | Self::Metadata(_)
            | Self::OffsetFetch(_)
            | Self::OffsetForLeaderEpoch(_)
            | Self::SaslAuthenticate(_)
            | Self::SaslHandshake(_) => false,
            Self::Operating(ask) => ask.has_effect(),
        }
    }

    /// Adds the body to an entry of the request log.
    pub(in crate::mock) fn describe(&self, state: &State, seen: &mut SeenRequest) {
        let describer = Describer { state };
        match self {
            Self::ConsumerGroupDescribe(ask) => seen.name = joined(&ask.group_ids),
            Self::ConsumerGroupHeartbeat(ask) => seen.name = ask.group_id.to_string(),
            Self::ApiVersions
            | Self::ApiVersionsUnsupported
            | Self::DescribeCluster(_)
            | Self::ListGroups(_)
            | Self::SaslAuthenticate(_) => {}
            Self::SaslHandshake(ask) => seen.name = ask.mechanism.to_string(),
            Self::DeleteGroups(ask) => seen.name = joined(&ask.groups_names),
            Self::DescribeGroups(ask) => seen.name = joined(&ask.groups),
            Self::CreatePartitions(ask) => {
                seen.partitions = ask.topics.iter().map(|topic| describer.topic(&topic.name)).collect();
            }
            Self::CreateTopics(ask) => seen.partitions = ask.topics.iter().map(|t| describer.topic(&t.name)).collect(),
            Self::DeleteTopics(ask) => {
                let by_id = ask.topics.iter().map(|topic| {
                    let name = topic.name.as_ref().map_or("", |name| name.as_str());
                    describer.one(name, TopicId(topic.topic_id.into_bytes()), None, SeenWhat::Other)
                });
                seen.partitions = by_id.chain(ask.topic_names.iter().map(|name| describer.topic(name))).collect();
            }
            Self::IncrementalAlterConfigs(ask) => {
                let names = ask.resources.iter().map(|resource| resource.resource_name.to_string());
                seen.name = names.collect::<Vec<_>>().join(" ");
            }
            Self::DescribeConfigs(ask) => {
                let names = ask.resources.iter().map(|resource| resource.resource_name.to_string());
                seen.name = names.collect::<Vec<_>>().join(" ");
            }
            Self::Fetch(ask) => {
                seen.session = Some((ask.session_id, ask.session_epoch));
                seen.partitions = describer.fetch(ask);
            }
            Self::FindCoordinator(ask) => {
                let keys: Vec<&str> = ask.coordinator_keys.iter().map(StrBytes::as_str).collect();
                seen.name = if keys.is_empty() { ask.key.to_string() } else { keys.join(" ") };
            }
            Self::Heartbeat(ask) => seen.name = ask.group_id.to_string(),
            Self::InitProducerId(ask) => {
                seen.name = ask.transactional_id.as_ref().map(|name| name.to_string()).unwrap_or_default();
            }
            Self::JoinGroup(ask) => seen.name = ask.group_id.to_string(),
            Self::LeaveGroup(ask) => seen.name = ask.group_id.to_string(),
            Self::ListOffsets(ask) => seen.partitions = describer.list_offsets(ask),
            Self::Metadata(ask) => {
                let topics = ask.topics.as_deref().unwrap_or_default();
                seen.all_topics = ask.topics.is_none() || (seen.version == 0 && topics.is_empty());
                let topic = topics.iter().map(|topic| {
                    let name = topic.name.as_ref().map_or("", |name| name.as_str());
                    describer.one(name, TopicId(topic.topic_id.into_bytes()), None, SeenWhat::Other)
                });
                seen.partitions = topic.collect();
            }
            Self::OffsetCommit(ask) => {
                seen.name = ask.group_id.to_string();
                seen.partitions = describer.commit(ask);
            }
            Self::OffsetDelete(ask) => {
                seen.name = ask.group_id.to_string();
                seen.partitions = describer.offset_delete(ask);
            }
            Self::OffsetFetch(ask) => describer.offset_fetch(ask, seen),
            Self::OffsetForLeaderEpoch(ask) => seen.partitions = describer.epochs(ask),
            Self::Operating(ask) => ask.describe(state, seen),
            Self::Produce(ask) => {
                seen.name = ask.transactional_id.as_ref().map(|name| name.to_string()).unwrap_or_default();
                seen.acks = Some(ask.acks);
                seen.partitions = describer.produce(ask);
            }
            Self::SyncGroup(ask) => seen.name = ask.group_id.to_string(),
        }
    }

    /// The partitions that a fetch in a session requests without naming them.
    pub(in crate::mock) fn fetched(&self, state: &State, broker: i32) -> Vec<(TopicName, i32)> {
        let Self::Fetch(ask) = self else { return Vec::new() };
        let session = state.sessions.find(broker, ask.session_id).filter(|_| ask.session_epoch > 0);
        let cached = session.map_or(&[][..], |session| &session.partitions);
        cached.iter().map(|cached| (cached.wanted.topic.clone(), cached.wanted.partition)).collect()
    }
}

/// Decodes a body; `None` where it is malformed. Bytes after its end are ignored, as brokers do: librdkafka 2.16 sends three
/// of them with every second Metadata request.
fn decode<R: Request>(version: i16, mut body: Bytes) -> Option<R> {
    R::decode(&mut body, version).ok()
}

/// Names with a space between.
fn joined(names: &[GroupId]) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
}

/// Converts the partitions of a request to those of the request log.
struct Describer<'a> {
    state: &'a State,
}

impl Describer<'_> {
    /// A whole topic.
    fn topic(&self, name: &str) -> SeenPartition {
        self.one(name, TopicId::ZERO, None, SeenWhat::Other)
    }

    fn one(&self, name: &str, topic_id: TopicId, partition: Option<i32>, what: SeenWhat) -> SeenPartition {
        let topic = if topic_id.is_zero() {
            self.state.intern(name)
        } else {
            self.state.name_of(topic_id).cloned().unwrap_or_default()
        };
        SeenPartition { topic, topic_id, partition, what }
    }

    /// The partitions of one topic, whose name is looked up once.
    fn each(
        &self,
        out: &mut Vec<SeenPartition>,
        name: &str,
        id: TopicId,
        partitions: impl Iterator<Item = (i32, SeenWhat)>,
    ) {
        let topic = self.one(name, id, None, SeenWhat::Other).topic;
        out.extend(partitions.map(|(partition, what)| SeenPartition {
            topic: topic.clone(),
            topic_id: id,
            partition: Some(partition),
            what,
        }));
    }

    fn produce(&self, ask: &ProduceRequest) -> Vec<SeenPartition> {
        let mut all = Vec::new();
        for topic in &ask.topic_data {
            let partitions = topic.partition_data.iter().map(|data| {
                let records = data.records.as_ref().map_or(&[][..], |records| &records[..]);
                let what = records.first_chunk::<HEAD_LEN>().map_or(SeenWhat::Other, |bytes| {
                    let head = Head::read(bytes);
                    SeenWhat::Append {
                        producer_id: head.producer_id,
                        producer_epoch: head.producer_epoch,
                        sequence: head.base_sequence,
                        records: head.count,
                        bytes: records.len(),
                    }
                });
                (data.index, what)
            });
            self.each(&mut all, &topic.name, TopicId(topic.topic_id.into_bytes()), partitions);
        }
        all
    }

    fn fetch(&self, ask: &FetchRequest) -> Vec<SeenPartition> {
        let mut all = Vec::new();
        for topic in &ask.topics {
            let partitions = topic.partitions.iter().map(|asked| {
                let what = SeenWhat::Fetch {
                    offset: asked.fetch_offset,
                    leader_epoch: asked.current_leader_epoch,
                    bytes_max: asked.partition_max_bytes,
                };
                (asked.partition, what)
            });
            self.each(&mut all, &topic.topic, TopicId(topic.topic_id.into_bytes()), partitions);
        }
        all
    }

    fn list_offsets(&self, ask: &ListOffsetsRequest) -> Vec<SeenPartition> {
        let mut all = Vec::new();
        for topic in &ask.topics {
            let what = |timestamp| SeenWhat::Offset { timestamp };
            let partitions = topic.partitions.iter().map(|asked| (asked.partition_index, what(asked.timestamp)));
            self.each(&mut all, &topic.name, TopicId::ZERO, partitions);
        }
        all
    }

    fn commit(&self, ask: &OffsetCommitRequest) -> Vec<SeenPartition> {
        let mut all = Vec::new();
        for topic in &ask.topics {
            let what = |offset| SeenWhat::Commit { offset };
            let partitions = topic.partitions.iter().map(|asked| (asked.partition_index, what(asked.committed_offset)));
            self.each(&mut all, &topic.name, TopicId(topic.topic_id.into_bytes()), partitions);
        }
        all
    }

    fn offset_delete(&self, ask: &OffsetDeleteRequest) -> Vec<SeenPartition> {
        let mut all = Vec::new();
        for topic in &ask.topics {
            let partitions = topic.partitions.iter().map(|asked| (asked.partition_index, SeenWhat::Other));
            self.each(&mut all, &topic.name, TopicId::ZERO, partitions);
        }
        all
    }

    fn offset_fetch(&self, ask: &OffsetFetchRequest, seen: &mut SeenRequest) {
        let groups: Vec<GroupId> = ask.groups.iter().map(|group| group.group_id.clone()).collect();
        seen.name = if groups.is_empty() { ask.group_id.to_string() } else { joined(&groups) };
        seen.all_topics = match seen.version {
            8.. => ask.groups.iter().any(|group| group.topics.is_none()),
            _ => ask.topics.is_none(),
        };
        for topic in ask.topics.iter().flatten() {
            let partitions = topic.partition_indexes.iter().map(|index| (*index, SeenWhat::Other));
            self.each(&mut seen.partitions, &topic.name, TopicId::ZERO, partitions);
        }
        for topic in ask.groups.iter().flat_map(|group| group.topics.iter().flatten()) {
            let partitions = topic.partition_indexes.iter().map(|index| (*index, SeenWhat::Other));
            self.each(&mut seen.partitions, &topic.name, TopicId(topic.topic_id.into_bytes()), partitions);
        }
    }

    fn epochs(&self, ask: &OffsetForLeaderEpochRequest) -> Vec<SeenPartition> {
        let mut all = Vec::new();
        for topic in &ask.topics {
            let what = |leader_epoch| SeenWhat::EpochEnd { leader_epoch };
            let partitions = topic.partitions.iter().map(|asked| (asked.partition, what(asked.leader_epoch)));
            self.each(&mut all, &topic.topic, TopicId::ZERO, partitions);
        }
        all
    }
}
