//! Reassignments, elections, transactions that are ended, directories, features, and clusters without an authorizer.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::AlterPartitionReassignmentsRequest;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::DescribeAclsRequest;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::DescribeProducersRequest;
use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::UpdateFeaturesRequest;
use kafka_protocol::messages::WriteTxnMarkersRequest;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignableTopic;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_request::DeleteRecordsTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarkerTopic;
use kafka_protocol::protocol::StrBytes;

use super::Rig;
use super::fetch;
use super::name;
use crate::error::Code;
use crate::mock::Cluster;
use crate::mock::Fault;
use crate::mock::NewBatch;
use crate::mock::Release;
use crate::mock::SeenWhat;
use crate::mock::key;

/// Four brokers; the partition is on the first three.
fn four() -> Rig {
    Rig::new(Cluster::builder().brokers(4).topic("t", 1))
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// Moves the partition to these brokers, or cancels that; returns the error code.
fn reassign(rig: &mut Rig, target: Option<&[i32]>) -> i16 {
    let replicas = target.map(|ids| ids.iter().copied().map(BrokerId).collect());
    let partition = ReassignablePartition::default().with_replicas(replicas);
    let topic = ReassignableTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
    rig.ask(4, 1, &request.with_timeout_ms(1_000)).responses[0].partitions[0].error_code
}

/// The replicas of the moving partition, those that are added, and those that are removed.
fn moving(rig: &mut Rig) -> Option<[Vec<i32>; 3]> {
    let response = rig.ask(4, 0, &ListPartitionReassignmentsRequest::default().with_topics(None));
    let partition = response.topics.first()?.partitions.first()?;
    let ids = |ids: &Vec<BrokerId>| ids.iter().map(|id| id.0).collect();
    Some([ids(&partition.replicas), ids(&partition.adding_replicas), ids(&partition.removing_replicas)])
}

fn replicas(rig: &Rig) -> Vec<i32> {
    rig.cluster.state.partition("t", 0).expect("it exists").placement.replicas.clone()
}

#[test]
fn reassignment_is_complete_at_once_and_moves_the_leader() {
    let mut rig = four();
    rig.cluster.append("t", 0, &NewBatch::of([("k", "v")]));
    assert_eq!(rig.cluster.leader("t", 0), Some((1, 0)));
    assert_eq!(reassign(&mut rig, Some(&[4, 2])), 0);
    assert_eq!((replicas(&rig), moving(&mut rig)), (vec![4, 2], None));
    assert_eq!(rig.cluster.leader("t", 0), Some((4, 1)), "the old leader has no replica");
    assert_eq!(rig.cluster.log("t", 0).len(), 1, "no record is lost");
    assert_eq!(reassign(&mut rig, None), ResponseError::NoReassignmentInProgress.code());
    let seen = rig.cluster.requests().find(|seen| seen.api_key == key::ALTER_PARTITION_REASSIGNMENTS);
    let partition = &seen.expect("it was logged").partitions[0];
    assert_eq!((&*partition.topic, partition.partition, partition.what), ("t", Some(0), SeenWhat::Other));
}

#[test]
fn reassignment_waits_for_replication_and_can_be_cancelled() {
    let mut rig = four();
    rig.cluster.hold_replication("t", 0, true);
    assert_eq!(reassign(&mut rig, Some(&[4, 3])), 0);
    let waiting = Some([vec![4, 3, 1, 2], vec![4], vec![1, 2]]);
    assert_eq!(moving(&mut rig), waiting);
    assert_eq!(rig.cluster.leader("t", 0), Some((1, 0)), "it leads until the others have all records");
    assert_eq!(reassign(&mut rig, None), 0);
    assert_eq!((moving(&mut rig), replicas(&rig)), (None, vec![3, 1, 2]));
    assert_eq!(reassign(&mut rig, Some(&[4, 3])), 0);
    rig.cluster.hold_replication("t", 0, false);
    assert_eq!((moving(&mut rig), replicas(&rig)), (None, vec![4, 3]));
    assert_eq!(rig.cluster.leader("t", 0), Some((4, 1)));
}

#[test]
fn reassignment_to_a_broker_that_is_down_completes_when_it_is_up() {
    let mut rig = four();
    rig.cluster.set_down(2);
    assert_eq!(reassign(&mut rig, Some(&[2, 1])), 0);
    assert_eq!(moving(&mut rig), Some([vec![2, 1, 3], vec![], vec![3]]));
    rig.cluster.set_up(2);
    assert_eq!((moving(&mut rig), replicas(&rig)), (None, vec![2, 1]));
}

#[test]
fn preferred_leader_is_elected_if_it_runs() {
    let mut rig = four();
    let elect = |rig: &mut Rig, all: bool| {
        let topic = TopicPartitions::default().with_topic(name("t")).with_partitions(vec![0]);
        let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]).filter(|_| !all));
        let response = rig.ask(2, 2, &request);
        response.replica_election_results[0].partition_result.first().map(|result| result.error_code)
    };
    assert_eq!(elect(&mut rig, false), Some(ResponseError::ElectionNotNeeded.code()));
    assert_eq!(elect(&mut rig, true), None, "nothing was to change");
    rig.cluster.move_leader("t", 0, 3);
    assert_eq!(elect(&mut rig, true), Some(0));
    assert_eq!(rig.cluster.leader("t", 0), Some((1, 2)));
    rig.cluster.set_down(1);
    assert_eq!(elect(&mut rig, false), Some(ResponseError::PreferredLeaderNotAvailable.code()));
}

#[test]
fn open_transaction_is_shown_and_ended_without_its_coordinator() {
    let mut rig = four();
    rig.cluster.append("t", 0, &NewBatch::of([("k", "v")]).by(7, 2, 0).transactional());
    let producer = |rig: &mut Rig| {
        let topic = TopicRequest::default().with_name(name("t")).with_partition_indexes(vec![0]);
        let response = rig.ask(2, 0, &DescribeProducersRequest::default().with_topics(vec![topic]));
        let producer = response.topics[0].partitions[0].active_producers[0].clone();
        (producer.producer_id.0, producer.last_sequence, producer.current_txn_start_offset, producer.coordinator_epoch)
    };
    assert_eq!(producer(&mut rig), (7, 0, 0, -1));
    let topic = WritableTxnMarkerTopic::default().with_name(name("t")).with_partition_indexes(vec![0]);
    let marker = WritableTxnMarker::default().with_producer_id(ProducerId(7)).with_producer_epoch(2);
    let marker = marker.with_coordinator_epoch(5).with_topics(vec![topic]);
    let abort = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let code = |rig: &mut Rig, broker| rig.ask(broker, 1, &abort).markers[0].topics[0].partitions[0].error_code;
    assert_eq!(code(&mut rig, 2), ResponseError::NotLeaderOrFollower.code());
    assert_eq!(code(&mut rig, 4), ResponseError::UnknownTopicOrPartition.code(), "it has no replica");
    assert_eq!(code(&mut rig, 1), 0);
    assert_eq!(producer(&mut rig), (7, 0, -1, 5));
    assert_eq!(rig.cluster.log_committed("t", 0), []);
    assert_eq!(rig.cluster.last_stable_offset("t", 0), Some(2));
}

#[test]
fn deleted_records_are_out_of_range() {
    let mut rig = four();
    rig.cluster.append("t", 0, &NewBatch::of([("k", "1"), ("k", "2"), ("k", "3")]));
    let partition = DeleteRecordsPartition::default().with_offset(2);
    let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let start = |rig: &mut Rig, broker| {
        let response = rig.ask(broker, 2, &request);
        (response.topics[0].partitions[0].low_watermark, response.topics[0].partitions[0].error_code)
    };
    assert_eq!(start(&mut rig, 2), (-1, ResponseError::NotLeaderOrFollower.code()));
    assert_eq!(start(&mut rig, 1), (2, 0));
    assert_eq!(rig.cluster.offsets("t", 0), Some((2, 3)));
    let fetched = rig.ask(1, 12, &fetch::request(&[(0, 1)]));
    assert_eq!(fetched.responses[0].partitions[0].error_code, ResponseError::OffsetOutOfRange.code());
}

#[test]
fn each_directory_has_the_replicas_of_its_broker() {
    let mut rig = four();
    let sizes = |rig: &mut Rig, broker| {
        let response = rig.ask(broker, 4, &DescribeLogDirsRequest::default().with_topics(None));
        let directory = &response.results[0];
        assert!(directory.usable_bytes <= directory.total_bytes);
        directory.topics.first().map(|topic| topic.partitions[0].partition_size)
    };
    assert_eq!((sizes(&mut rig, 1), sizes(&mut rig, 4)), (Some(0), None));
    rig.cluster.append("t", 0, &NewBatch::of([("k", "v")]));
    rig.cluster.append("t", 0, &NewBatch::of([("k", "v")]));
    let stored: usize = rig.cluster.batches("t", 0).iter().map(bytes::Bytes::len).sum();
    assert_eq!(sizes(&mut rig, 3), Some(i64::try_from(stored).expect("small")));
    rig.cluster.delete_before("t", 0, 1);
    assert_eq!(sizes(&mut rig, 3), Some(i64::try_from(stored / 2).expect("small")), "the first batch is gone");
}

#[test]
fn features_are_those_of_the_release_and_change() {
    let shown = |rig: &mut Rig| {
        let response = rig.ask(1, 3, &ApiVersionsRequest::default());
        let level = |feature: &str| {
            let found = response.finalized_features.iter().find(|one| *one.name == *feature);
            found.map(|one| one.max_version_level)
        };
        (level("metadata.version"), level("transaction.version"), response.finalized_features_epoch)
    };
    let of = |release| Rig::new(Cluster::builder().release(release));
    assert_eq!(shown(&mut of(Release::V2_8)), (None, None, 0));
    assert_eq!(shown(&mut of(Release::V3_9)), (Some(21), None, 1));
    let mut rig = of(Release::V4_3);
    assert_eq!(shown(&mut rig), (Some(30), Some(2), 1));
    let update = |level, kind| {
        let update = FeatureUpdateKey::default().with_feature(text("transaction.version"));
        let update = update.with_max_version_level(level).with_upgrade_type(kind);
        UpdateFeaturesRequest::default().with_feature_updates(vec![update])
    };
    assert_eq!(rig.ask(1, 2, &update(1, 1)).error_code, ResponseError::InvalidUpdateVersion.code());
    assert_eq!(rig.ask(1, 2, &update(1, 2).with_validate_only(true)).error_code, 0);
    assert_eq!(shown(&mut rig), (Some(30), Some(2), 1));
    assert_eq!(rig.ask(1, 2, &update(0, 2)).error_code, 0);
    assert_eq!(shown(&mut rig), (Some(30), None, 2));
}

#[test]
fn entries_of_access_control_need_an_authorizer() {
    let creation = AclCreation::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_resource_pattern_type(3)
        .with_principal(text("User:alice"))
        .with_host(text("*"))
        .with_operation(3)
        .with_permission_type(3);
    let create = CreateAclsRequest::default().with_creations(vec![creation]);
    let all = DescribeAclsRequest::default()
        .with_resource_type_filter(1)
        .with_resource_name_filter(None)
        .with_pattern_type_filter(1)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1);
    let mut rig = Rig::new(Cluster::builder().without_authorizer());
    let disabled = ResponseError::SecurityDisabled.code();
    assert_eq!((rig.ask(1, 3, &create).results[0].error_code, rig.ask(1, 3, &all).error_code), (disabled, disabled));
    // An error may follow the change.
    let mut rig = four();
    rig.cluster.inject(key::CREATE_ACLS, Fault::ErrorAfter(Code::RequestTimedOut), 1);
    assert_eq!(rig.ask(1, 3, &create).results[0].error_code, ResponseError::RequestTimedOut.code());
    assert_eq!(rig.ask(2, 3, &all).resources.len(), 1);
    rig.cluster.inject(key::DESCRIBE_ACLS, Fault::Error(Code::ClusterAuthorizationFailed), 1);
    assert_eq!(rig.ask(1, 3, &all).error_code, ResponseError::ClusterAuthorizationFailed.code());
}
