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
/// DeleteRecords.
pub const DELETE_RECORDS: i16 = 21;
/// InitProducerId.
pub const INIT_PRODUCER_ID: i16 = 22;
/// OffsetForLeaderEpoch.
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
/// WriteTxnMarkers.
pub const WRITE_TXN_MARKERS: i16 = 27;
/// DescribeAcls.
pub const DESCRIBE_ACLS: i16 = 29;
/// CreateAcls.
pub const CREATE_ACLS: i16 = 30;
/// DeleteAcls.
pub const DELETE_ACLS: i16 = 31;
/// DescribeConfigs.
pub const DESCRIBE_CONFIGS: i16 = 32;
/// AlterReplicaLogDirs.
pub const ALTER_REPLICA_LOG_DIRS: i16 = 34;
/// DescribeLogDirs.
pub const DESCRIBE_LOG_DIRS: i16 = 35;
/// SaslAuthenticate.
pub const SASL_AUTHENTICATE: i16 = 36;
/// CreatePartitions.
pub const CREATE_PARTITIONS: i16 = 37;
/// DeleteGroups.
pub const DELETE_GROUPS: i16 = 42;
/// ElectLeaders.
pub const ELECT_LEADERS: i16 = 43;
/// IncrementalAlterConfigs.
pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
/// AlterPartitionReassignments.
pub const ALTER_PARTITION_REASSIGNMENTS: i16 = 45;
/// ListPartitionReassignments.
pub const LIST_PARTITION_REASSIGNMENTS: i16 = 46;
/// OffsetDelete.
pub const OFFSET_DELETE: i16 = 47;
/// DescribeClientQuotas.
pub const DESCRIBE_CLIENT_QUOTAS: i16 = 48;
/// AlterClientQuotas.
pub const ALTER_CLIENT_QUOTAS: i16 = 49;
/// DescribeUserScramCredentials.
pub const DESCRIBE_USER_SCRAM_CREDENTIALS: i16 = 50;
/// AlterUserScramCredentials.
pub const ALTER_USER_SCRAM_CREDENTIALS: i16 = 51;
/// DescribeQuorum.
pub const DESCRIBE_QUORUM: i16 = 55;
/// UpdateFeatures.
pub const UPDATE_FEATURES: i16 = 57;
/// DescribeCluster.
pub const DESCRIBE_CLUSTER: i16 = 60;
/// DescribeProducers.
pub const DESCRIBE_PRODUCERS: i16 = 61;
/// DescribeTransactions.
pub const DESCRIBE_TRANSACTIONS: i16 = 65;
/// ListTransactions.
pub const LIST_TRANSACTIONS: i16 = 66;
/// ConsumerGroupHeartbeat.
pub const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
/// ConsumerGroupDescribe.
pub const CONSUMER_GROUP_DESCRIBE: i16 = 69;
/// DescribeTopicPartitions.
pub const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

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
            (DELETE_RECORDS, ApiKey::DeleteRecords),
            (INIT_PRODUCER_ID, ApiKey::InitProducerId),
            (OFFSET_FOR_LEADER_EPOCH, ApiKey::OffsetForLeaderEpoch),
            (WRITE_TXN_MARKERS, ApiKey::WriteTxnMarkers),
            (DESCRIBE_ACLS, ApiKey::DescribeAcls),
            (CREATE_ACLS, ApiKey::CreateAcls),
            (DELETE_ACLS, ApiKey::DeleteAcls),
            (DESCRIBE_CONFIGS, ApiKey::DescribeConfigs),
            (ALTER_REPLICA_LOG_DIRS, ApiKey::AlterReplicaLogDirs),
            (DESCRIBE_LOG_DIRS, ApiKey::DescribeLogDirs),
            (CREATE_PARTITIONS, ApiKey::CreatePartitions),
            (DELETE_GROUPS, ApiKey::DeleteGroups),
            (ELECT_LEADERS, ApiKey::ElectLeaders),
            (INCREMENTAL_ALTER_CONFIGS, ApiKey::IncrementalAlterConfigs),
            (ALTER_PARTITION_REASSIGNMENTS, ApiKey::AlterPartitionReassignments),
            (LIST_PARTITION_REASSIGNMENTS, ApiKey::ListPartitionReassignments),
            (OFFSET_DELETE, ApiKey::OffsetDelete),
            (DESCRIBE_CLIENT_QUOTAS, ApiKey::DescribeClientQuotas),
            (ALTER_CLIENT_QUOTAS, ApiKey::AlterClientQuotas),
            (DESCRIBE_USER_SCRAM_CREDENTIALS, ApiKey::DescribeUserScramCredentials),
            (ALTER_USER_SCRAM_CREDENTIALS, ApiKey::AlterUserScramCredentials),
            (DESCRIBE_QUORUM, ApiKey::DescribeQuorum),
            (UPDATE_FEATURES, ApiKey::UpdateFeatures),
            (DESCRIBE_CLUSTER, ApiKey::DescribeCluster),
            (DESCRIBE_PRODUCERS, ApiKey::DescribeProducers),
            (DESCRIBE_TRANSACTIONS, ApiKey::DescribeTransactions),
            (LIST_TRANSACTIONS, ApiKey::ListTransactions),
            (CONSUMER_GROUP_HEARTBEAT, ApiKey::ConsumerGroupHeartbeat),
            (CONSUMER_GROUP_DESCRIBE, ApiKey::ConsumerGroupDescribe),
            (DESCRIBE_TOPIC_PARTITIONS, ApiKey::DescribeTopicPartitions),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours, theirs as i16);
        }
    }
}
