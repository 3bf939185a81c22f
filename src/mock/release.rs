//! The versions that brokers of different releases announce in ApiVersions, for the APIs that the mock supports.

use std::collections::BTreeMap;

use crate::mock::key;

/// A release of Apache Kafka; see [`Builder::release`](crate::mock::Builder::release).
///
/// # Examples
///
/// ```
/// use ottla::mock::{Cluster, Release, key};
///
/// let cluster = Cluster::builder().release(Release::V2_1).build();
/// assert_eq!(cluster.versions(key::DESCRIBE_CLUSTER), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Release {
    /// 2.1, the oldest that current clients support (KIP-896).
    V2_1,
    /// 2.8.
    V2_8,
    /// 3.9, the last one with ZooKeeper.
    V3_9,
    /// 4.1.
    V4_1,
    /// 4.3.
    V4_3,
}

impl Release {
    /// The versions of each API, as brokers of the release announce them.
    pub(super) fn versions(self) -> BTreeMap<i16, (i16, i16)> {
        let column = match self {
            Self::V2_1 => 0,
            Self::V2_8 => 1,
            Self::V3_9 => 2,
            Self::V4_1 => 3,
            Self::V4_3 => 4,
        };
        let announced = |(api_key, maxima, min): &(i16, [i16; 5], i16)| {
            let min = if self >= Self::V4_1 { *min } else { 0 };
            (maxima[column] >= 0).then_some((*api_key, (min, maxima[column])))
        };
        ANNOUNCED.iter().filter_map(announced).collect()
    }

    /// The default limit of timestamps in the future: none before 3.6 (KIP-937).
    pub(super) fn timestamp_after_max_ms(self) -> Option<i64> {
        (self >= Self::V3_9).then_some(3_600_000)
    }
}

/// The last version in 2.1, 2.8, 3.9, 4.1 and 4.3, −1 for none, and the first one since 4.0 (KIP-896; before that it is 0).
///
/// The columns of 2.8, 3.9 and 4.3 are the responses of 2.8.2, 3.9.1 and 4.3.1; those of 2.1 and 4.1 are the stable versions in
/// `ApiKeys` of kafka-clients 2.1.1 and 4.1.1. Brokers since 4.0 announce Produce from 0 on because librdkafka needs it
/// (KAFKA-18659), and close the connection on versions below 3; the mock announces the versions that it accepts.
const ANNOUNCED: &[(i16, [i16; 5], i16)] = &[
    (key::PRODUCE, [7, 9, 11, 13, 13], 3),
    (key::FETCH, [10, 12, 17, 18, 18], 4),
    (key::LIST_OFFSETS, [4, 6, 9, 10, 11], 1),
    (key::METADATA, [7, 11, 12, 13, 13], 0),
    (key::OFFSET_COMMIT, [6, 8, 9, 9, 10], 2),
    (key::OFFSET_FETCH, [5, 7, 9, 9, 10], 1),
    (key::FIND_COORDINATOR, [2, 3, 6, 6, 6], 0),
    (key::JOIN_GROUP, [3, 7, 9, 9, 9], 0),
    (key::HEARTBEAT, [2, 4, 4, 4, 4], 0),
    (key::LEAVE_GROUP, [2, 4, 5, 5, 5], 0),
    (key::SYNC_GROUP, [2, 5, 5, 5, 5], 0),
    (key::DESCRIBE_GROUPS, [2, 5, 5, 6, 6], 0),
    (key::LIST_GROUPS, [2, 4, 5, 5, 5], 0),
    (key::SASL_HANDSHAKE, [1, 1, 1, 1, 1], 0),
    (key::API_VERSIONS, [2, 3, 4, 4, 4], 0),
    (key::CREATE_TOPICS, [3, 7, 7, 7, 7], 2),
    (key::DELETE_TOPICS, [3, 6, 6, 6, 6], 1),
    (key::DELETE_RECORDS, [1, 2, 2, 2, 2], 0),
    (key::INIT_PRODUCER_ID, [1, 4, 5, 5, 5], 0),
    (key::OFFSET_FOR_LEADER_EPOCH, [2, 4, 4, 4, 4], 2),
    (key::WRITE_TXN_MARKERS, [0, 1, 1, 1, 2], 1),
    (key::DESCRIBE_ACLS, [1, 2, 3, 3, 3], 1),
    (key::CREATE_ACLS, [1, 2, 3, 3, 3], 1),
    (key::DELETE_ACLS, [1, 2, 3, 3, 3], 1),
    (key::DESCRIBE_CONFIGS, [2, 4, 4, 4, 4], 1),
    (key::ALTER_REPLICA_LOG_DIRS, [1, 2, 2, 2, 2], 1),
    (key::DESCRIBE_LOG_DIRS, [1, 2, 4, 4, 5], 1),
    (key::SASL_AUTHENTICATE, [0, 2, 2, 2, 2], 0),
    (key::CREATE_PARTITIONS, [1, 3, 3, 3, 3], 0),
    (key::DELETE_GROUPS, [1, 2, 2, 2, 2], 0),
    (key::ELECT_LEADERS, [-1, 2, 2, 2, 2], 0),
    (key::INCREMENTAL_ALTER_CONFIGS, [-1, 1, 1, 1, 1], 0),
    (key::ALTER_PARTITION_REASSIGNMENTS, [-1, 0, 0, 1, 1], 0),
    (key::LIST_PARTITION_REASSIGNMENTS, [-1, 0, 0, 0, 0], 0),
    (key::OFFSET_DELETE, [-1, 0, 0, 0, 0], 0),
    (key::DESCRIBE_CLIENT_QUOTAS, [-1, 1, 1, 1, 1], 0),
    (key::ALTER_CLIENT_QUOTAS, [-1, 1, 1, 1, 1], 0),
    (key::DESCRIBE_USER_SCRAM_CREDENTIALS, [-1, 0, 0, 0, 0], 0),
    (key::ALTER_USER_SCRAM_CREDENTIALS, [-1, 0, 0, 0, 0], 0),
    (key::DESCRIBE_QUORUM, [-1, -1, 2, 2, 2], 0),
    (key::UPDATE_FEATURES, [-1, 0, 1, 2, 2], 0),
    (key::DESCRIBE_CLUSTER, [-1, 0, 1, 2, 2], 0),
    (key::DESCRIBE_PRODUCERS, [-1, 0, 0, 0, 0], 0),
    (key::DESCRIBE_TRANSACTIONS, [-1, -1, 0, 0, 0], 0),
    (key::LIST_TRANSACTIONS, [-1, -1, 1, 2, 2], 0),
    (key::CONSUMER_GROUP_HEARTBEAT, [-1, -1, -1, 1, 1], 0),
    (key::CONSUMER_GROUP_DESCRIBE, [-1, -1, -1, 1, 1], 0),
    (key::DESCRIBE_TOPIC_PARTITIONS, [-1, -1, 0, 0, 0], 0),
];
