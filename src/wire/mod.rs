//! Frames, versions, requests and responses.
//!
//! Each API is declared once, in a file of its own, with the macros of [`declare`]. The [`table`] lists them.
//!
//! Nothing here is generated from Kafka's schemas: `kafka-protocol` reserves memory for whatever a count declares, its messages take up
//! to 32 times the frame, and it is a sixth of a release build. It is the mock's codec and the second opinion in tests. Here a frame
//! takes at most [`buf::COST_MAX`] times its size, whatever it claims, and record bytes are not copied. This module treats a batch of
//! records as bytes.

mod add_raft_voter;
mod alter_client_quotas;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod alter_user_scram_credentials;
mod api_versions;
pub mod buf;
mod call;
mod consumer_group_describe;
mod consumer_group_heartbeat;
pub mod consumer_protocol;
mod create_acls;
mod create_partitions;
mod create_topics;
mod declare;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod fetch;
mod field;
mod find_coordinator;
pub mod frame;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
pub mod message;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod remove_raft_voter;
pub mod request;
mod sasl_authenticate;
mod sasl_handshake;
mod sync_group;
mod table;
mod texts;
mod thin;
mod update_features;
pub mod version;
mod write_txn_markers;

pub use self::buf::DecodeError;
pub use self::call::Call;
pub use self::frame::FrameReader;
pub use self::table::Api;
pub use self::table::Request;
pub use self::table::Response;
pub use self::version::Versions;
