//! The keys of the APIs that the mock answers, for scripts and for the request log.

/// Produce.
pub const PRODUCE: i16 = 0;
/// Fetch.
pub const FETCH: i16 = 1;
/// ListOffsets.
pub const LIST_OFFSETS: i16 = 2;
/// Metadata.
pub const METADATA: i16 = 3;
/// OffsetCommit.
pub const OFFSET_COMMIT: i16 = 8;
/// OffsetFetch.
pub const OFFSET_FETCH: i16 = 9;
/// FindCoordinator.
pub const FIND_COORDINATOR: i16 = 10;
/// JoinGroup.
pub const JOIN_GROUP: i16 = 11;
/// Heartbeat.
pub const HEARTBEAT: i16 = 12;
/// LeaveGroup.
pub const LEAVE_GROUP: i16 = 13;
/// SyncGroup.
pub const SYNC_GROUP: i16 = 14;
/// DescribeGroups.
pub const DESCRIBE_GROUPS: i16 = 15;
/// ListGroups.
pub const LIST_GROUPS: i16 = 16;
/// SaslHandshake.
pub const SASL_HANDSHAKE: i16 = 17;
/// ApiVersions.
pub const API_VERSIONS: i16 = 18;
/// CreateTopics.
pub const CREATE_TOPICS: i16 = 19;
/// DeleteTopics.
pub const DELETE_TOPICS: i16 = 20;
/// InitProducerId.
pub const INIT_PRODUCER_ID: i16 = 22;
/// OffsetForLeaderEpoch.
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
/// DescribeConfigs.
pub const DESCRIBE_CONFIGS: i16 = 32;
/// SaslAuthenticate.
pub const SASL_AUTHENTICATE: i16 = 36;
/// CreatePartitions.
pub const CREATE_PARTITIONS: i16 = 37;
/// DeleteGroups.
pub const DELETE_GROUPS: i16 = 42;
/// IncrementalAlterConfigs.
pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
/// OffsetDelete.
pub const OFFSET_DELETE: i16 = 47;
/// DescribeCluster.
pub const DESCRIBE_CLUSTER: i16 = 60;
/// ConsumerGroupHeartbeat.
pub const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
/// ConsumerGroupDescribe.
pub const CONSUMER_GROUP_DESCRIBE: i16 = 69;

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_message_crate() {
        let pairs = [
            (PRODUCE, ApiKey::Produce),
            (FETCH, ApiKey::Fetch),
            (LIST_OFFSETS, ApiKey::ListOffsets),
            (METADATA, ApiKey::Metadata),
            (OFFSET_COMMIT, ApiKey::OffsetCommit),
            (OFFSET_FETCH, ApiKey::OffsetFetch),
            (FIND_COORDINATOR, ApiKey::FindCoordinator),
            (JOIN_GROUP, ApiKey::JoinGroup),
            (HEARTBEAT, ApiKey::Heartbeat),
            (LEAVE_GROUP, ApiKey::LeaveGroup),
            (SYNC_GROUP, ApiKey::SyncGroup),
            (DESCRIBE_GROUPS, ApiKey::DescribeGroups),
            (LIST_GROUPS, ApiKey::ListGroups),
            (API_VERSIONS, ApiKey::ApiVersions),
            (CREATE_TOPICS, ApiKey::CreateTopics),
            (DELETE_TOPICS, ApiKey::DeleteTopics),
            (INIT_PRODUCER_ID, ApiKey::InitProducerId),
            (OFFSET_FOR_LEADER_EPOCH, ApiKey::OffsetForLeaderEpoch),
            (DESCRIBE_CONFIGS, ApiKey::DescribeConfigs),
            (CREATE_PARTITIONS, ApiKey::CreatePartitions),
            (DELETE_GROUPS, ApiKey::DeleteGroups),
            (INCREMENTAL_ALTER_CONFIGS, ApiKey::IncrementalAlterConfigs),
            (OFFSET_DELETE, ApiKey::OffsetDelete),
            (DESCRIBE_CLUSTER, ApiKey::DescribeCluster),
            (CONSUMER_GROUP_HEARTBEAT, ApiKey::ConsumerGroupHeartbeat),
            (CONSUMER_GROUP_DESCRIBE, ApiKey::ConsumerGroupDescribe),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours, theirs as i16);
        }
    }
}
