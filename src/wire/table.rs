//! The table of APIs. Every type and function with a case for each API is generated from it.

use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::call::Call;

/// Generates the enums over all APIs. Each row gives the file that declares an API, its name and its request. The declaration holds
/// the rest.
macro_rules! apis {
    ($($file:ident: $api:ident($request:ident),)*) => {
        /// The messages, as their files declare them.
        pub(super) mod messages {
            $(pub use crate::wire::$file::*;)*
        }

        $(use super::$file::$request;)*

        /// An API that this client supports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(clippy::enum_variant_names, reason = "`ApiVersions` is its name")]
        pub enum Api {
            $($api,)*
        }

        /// A request of any API.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $($api($request),)*
        }

        /// A response of any API.
        #[cfg_attr(any(test, feature = "unstable-internals"), derive(Clone, Debug, PartialEq))]
        pub enum Response {
            $($api(<$request as Call>::Response),)*
        }

        impl Api {
            /// All of them, by their keys.
            pub const ALL: [Self; [$(Self::$api),*].len()] = [$(Self::$api),*];

            /// Its number on the wire.
            pub fn key(self) -> i16 {
                match self {
                    $(Self::$api => $request::KEY,)*
                }
            }

            /// Kafka's name of it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$api => stringify!($api),)*
                }
            }

            /// The supported versions, first and last.
            pub fn versions(self) -> (i16, i16) {
                match self {
                    $(Self::$api => $request::VERSIONS,)*
                }
            }

            /// The first version with compact lengths and tagged fields (KIP-482).
            pub fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$api => $request::FLEXIBLE_FROM,)*
                }
            }

            /// Whether its requests are read-only. It does not matter then whether a lost request arrived.
            pub fn is_read_only(self) -> bool {
                match self {
                    $(Self::$api => $request::READ_ONLY,)*
                }
            }
        }

        impl Request {
            /// The API that it belongs to.
            pub fn api(&self) -> Api {
                match self {
                    $(Self::$api(_) => Api::$api,)*
                }
            }

            /// The highest version that can carry it. Later ones identify topics by ids, which some topics lack.
            pub fn version_max(&self) -> i16 {
                match self {
                    $(Self::$api(request) => Call::version_max(request),)*
                }
            }

            /// Writes its body.
            pub fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
                match self {
                    $(Self::$api(request) => Call::put(request, version, out),)*
                }
            }
        }

        impl Response {
            /// Reads its body.
            pub fn read(api: Api, version: i16, body: Bytes) -> Result<Self, DecodeError> {
                Ok(match api {
                    $(Api::$api => Self::$api(<$request as Call>::decode(version, body)?),)*
                })
            }

            /// How long the broker throttles the client, in milliseconds (KIP-219).
            pub fn throttle_time_ms(&self) -> i32 {
                match self {
                    $(Self::$api(response) => $request::throttle_time_ms(response),)*
                }
            }
        }

        /// As a broker does, for tests.
        #[cfg(any(test, feature = "unstable-internals"))]
        mod served {
            use super::*;
            use crate::wire::call::Serve;

            impl Request {
                /// Reads the body of a request; `None` for one that is only written.
                pub fn decode(api: Api, version: i16, body: Bytes) -> Option<Result<Self, DecodeError>> {
                    match api {
                        $(Api::$api => Some(<$request as Serve>::decode_request(version, body)?.map(Self::$api)),)*
                    }
                }
            }

            impl Response {
                /// Writes its body. Fields that are skipped when reading have their defaults.
                pub fn put(&self, version: i16, out: &mut Chunks) {
                    match self {
                        $(Self::$api(response) => $request::encode_response(response, version, out),)*
                    }
                }

                /// Whether responses of this API keep every field, so that they encode to the bytes they were decoded from.
                pub fn is_exact(api: Api) -> bool {
                    match api {
                        $(Api::$api => <$request as Serve>::EXACT,)*
                    }
                }

                /// A response whose fields have their defaults.
                pub fn empty(api: Api) -> Self {
                    match api {
                        $(Api::$api => Self::$api(Default::default()),)*
                    }
                }
            }
        }

        $(
            impl From<$request> for Request {
                fn from(request: $request) -> Self {
                    Self::$api(request)
                }
            }
        )*
    };
}

apis! {
    produce: Produce(ProduceRequest),
    fetch: Fetch(FetchRequest),
    list_offsets: ListOffsets(ListOffsetsRequest),
    metadata: Metadata(MetadataRequest),
    offset_commit: OffsetCommit(OffsetCommitRequest),
    offset_fetch: OffsetFetch(OffsetFetchRequest),
    find_coordinator: FindCoordinator(FindCoordinatorRequest),
    join_group: JoinGroup(JoinGroupRequest),
    heartbeat: Heartbeat(HeartbeatRequest),
    leave_group: LeaveGroup(LeaveGroupRequest),
    sync_group: SyncGroup(SyncGroupRequest),
    describe_groups: DescribeGroups(DescribeGroupsRequest),
    list_groups: ListGroups(ListGroupsRequest),
    sasl_handshake: SaslHandshake(SaslHandshakeRequest),
    api_versions: ApiVersions(ApiVersionsRequest),
    create_topics: CreateTopics(CreateTopicsRequest),
    delete_topics: DeleteTopics(DeleteTopicsRequest),
    delete_records: DeleteRecords(DeleteRecordsRequest),
    init_producer_id: InitProducerId(InitProducerIdRequest),
    offset_for_leader_epoch: OffsetForLeaderEpoch(OffsetForLeaderEpochRequest),
    write_txn_markers: WriteTxnMarkers(WriteTxnMarkersRequest),
    describe_acls: DescribeAcls(DescribeAclsRequest),
    create_acls: CreateAcls(CreateAclsRequest),
    delete_acls: DeleteAcls(DeleteAclsRequest),
    describe_configs: DescribeConfigs(DescribeConfigsRequest),
    alter_replica_log_dirs: AlterReplicaLogDirs(AlterReplicaLogDirsRequest),
    describe_log_dirs: DescribeLogDirs(DescribeLogDirsRequest),
    sasl_authenticate: SaslAuthenticate(SaslAuthenticateRequest),
    create_partitions: CreatePartitions(CreatePartitionsRequest),
    delete_groups: DeleteGroups(DeleteGroupsRequest),
    elect_leaders: ElectLeaders(ElectLeadersRequest),
    incremental_alter_configs: IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    alter_partition_reassignments: AlterPartitionReassignments(AlterPartitionReassignmentsRequest),
    list_partition_reassignments: ListPartitionReassignments(ListPartitionReassignmentsRequest),
    offset_delete: OffsetDelete(OffsetDeleteRequest),
    describe_client_quotas: DescribeClientQuotas(DescribeClientQuotasRequest),
    alter_client_quotas: AlterClientQuotas(AlterClientQuotasRequest),
    describe_user_scram_credentials: DescribeUserScramCredentials(DescribeUserScramCredentialsRequest),
    alter_user_scram_credentials: AlterUserScramCredentials(AlterUserScramCredentialsRequest),
    describe_quorum: DescribeQuorum(DescribeQuorumRequest),
    update_features: UpdateFeatures(UpdateFeaturesRequest),
    describe_cluster: DescribeCluster(DescribeClusterRequest),
    describe_producers: DescribeProducers(DescribeProducersRequest),
    describe_transactions: DescribeTransactions(DescribeTransactionsRequest),
    list_transactions: ListTransactions(ListTransactionsRequest),
    consumer_group_heartbeat: ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest),
    consumer_group_describe: ConsumerGroupDescribe(ConsumerGroupDescribeRequest),
    describe_topic_partitions: DescribeTopicPartitions(DescribeTopicPartitionsRequest),
    add_raft_voter: AddRaftVoter(AddRaftVoterRequest),
    remove_raft_voter: RemoveRaftVoter(RemoveRaftVoterRequest),
}

impl Api {
    /// Whether this version's request header has tagged fields.
    pub fn flexible_request(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// Whether this version's response header has tagged fields. Those of ApiVersions never do: a client reads them before
    /// versions are agreed on (KIP-511).
    pub fn flexible_response(self, version: i16) -> bool {
        self != Self::ApiVersions && version >= self.flexible_from()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apis_are_in_the_order_of_their_keys() {
        assert!(Api::ALL.is_sorted_by_key(|api| api.key()));
        assert!(Api::ALL.into_iter().all(|api| api.versions().0 <= api.versions().1));
    }
}
