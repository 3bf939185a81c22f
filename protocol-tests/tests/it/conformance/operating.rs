//! DeleteRecords, DescribeTopicPartitions, DescribeLogDirs, AlterReplicaLogDirs, ElectLeaders, reassignments, DescribeQuorum and features.

use kafka_protocol::messages::AlterPartitionReassignmentsRequest;
use kafka_protocol::messages::AlterReplicaLogDirsRequest;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::UpdateFeaturesRequest;
use kafka_protocol::messages::alter_partition_reassignments_request as reassign;
use kafka_protocol::messages::alter_replica_log_dirs_request as moving;
use kafka_protocol::messages::delete_records_request as delete;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_quorum_request as quorum;
use kafka_protocol::messages::describe_topic_partitions_request as pages;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use ottla::mock::key;
use protocol_tests::rig;

use super::altering::set;
use super::compare;
use super::flag;
use super::make;
use super::name;
use super::peer::Draft;
use super::peer::Peer;
use super::peer::wall_ms;
use super::produce::append;
use super::text;
use super::versions;
use super::wording;

#[test]
fn records_are_deleted_as_by_kafka() {
    let (topic, compacted) = (rig::fresh("conf-records"), rig::fresh("conf-compacted"));
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 1);
        let _: Vec<u8> = make(peer, &compacted, 1);
        set(peer, &compacted, "cleanup.policy", "compact");
        for (round, version) in (1..).zip(versions(key::DELETE_RECORDS)) {
            append(peer, &topic, &Draft::of(wall_ms(), &["a", "b", "c"]));
            let end = 3 * round;
            let cases = [
                ("a negative offset", &*topic, 0, -2),
                ("beyond the high watermark", &*topic, 0, end + 1),
                ("within a batch", &*topic, 0, end - 1),
                ("before the start", &*topic, 0, 0),
                ("up to the high watermark", &*topic, 0, -1),
                ("an unknown partition", &*topic, 7, 0),
                ("an unknown topic", "conf-none", 0, 0),
                ("a compacted topic", &*compacted, 0, 0),
            ];
            for (what, topic, index, offset) in cases {
                let asked = delete::DeleteRecordsPartition::default().with_partition_index(index).with_offset(offset);
                let asked = delete::DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![asked]);
                let request = DeleteRecordsRequest::default().with_topics(vec![asked]).with_timeout_ms(10_000);
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    response
                });
                peer.record(format!("delete records: {what}: version {version}"), response);
            }
        }
    });
}

#[test]
fn topics_are_described_in_pages_as_by_kafka() {
    let prefix = rig::fresh("conf-pages");
    let [one, other] = ["a", "b"].map(|end| format!("{prefix}-{end}"));
    compare(|peer| {
        let _: Vec<u8> = make(peer, &one, 3);
        let _: Vec<u8> = make(peer, &other, 2);
        let both = vec![&*other, &*one];
        let cases = [
            ("all in one page", both.clone(), 100, None),
            ("a page that ends in a topic", both.clone(), 2, None),
            ("a page that ends with a topic", both.clone(), 3, None),
            ("after a cursor", both.clone(), 100, Some((&*one, 2))),
            ("after a cursor, limited", both.clone(), 2, Some((&*one, 2))),
            ("a cursor beyond the partitions", both.clone(), 2, Some((&*one, 9))),
            ("a cursor of another topic", both.clone(), 2, Some(("conf-none", 0))),
            ("a negative cursor", both.clone(), 2, Some((&*one, -1))),
            ("no partition", both, 0, None),
            ("unknown topics", vec!["conf-none", "a/b", &*one], 100, None),
            ("an unknown topic in a page that is full", vec![&*one, "conf-none", "zzz-none"], 3, None),
            ("a topic twice", vec![&*one, &*one], 100, None),
        ];
        for (what, topics, limit, cursor) in cases {
            let asked = topics.iter().map(|topic| pages::TopicRequest::default().with_name(name(topic))).collect();
            let cursor = cursor.map(|(topic, index)| {
                pages::Cursor::default().with_topic_name(name(topic)).with_partition_index(index)
            });
            let request = DescribeTopicPartitionsRequest::default().with_topics(asked).with_cursor(cursor);
            let response = peer.send(0, &request.with_response_partition_limit(limit)).map(|mut response| {
                response.throttle_time_ms = 0;
                response.topics.iter_mut().for_each(|topic| flag(&mut topic.topic_id));
                response
            });
            peer.record(format!("describe topic partitions: {what}"), response);
        }
    });
}

#[test]
fn log_directories_are_described_as_by_kafka() {
    let topic = rig::fresh("conf-dirs");
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 2);
        append(peer, &topic, &Draft::of(wall_ms(), &["a", "b", "c"]));
        let mut paths = Vec::new();
        for version in versions(key::DESCRIBE_LOG_DIRS) {
            let of = |topic: &str, indexes: &[i32]| {
                DescribableLogDirTopic::default().with_topic(name(topic)).with_partitions(indexes.to_vec())
            };
            let cases = [
                ("a topic", Some(vec![of(&topic, &[0, 1])])),
                ("a partition and an unknown one", Some(vec![of(&topic, &[0, 9])])),
                ("an unknown topic", Some(vec![of("conf-none", &[0])])),
                ("none", Some(Vec::new())),
                ("all", None),
            ];
            for (what, topics) in cases {
                let all = topics.is_none();
                let request = DescribeLogDirsRequest::default().with_topics(topics);
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    for directory in &mut response.results {
                        paths = vec![directory.log_dir.clone()];
                        directory.log_dir = text("…");
                        // Sizes of volumes: known or not.
                        directory.total_bytes = directory.total_bytes.signum();
                        directory.usable_bytes = directory.usable_bytes.signum();
                        directory.topics.retain(|described| !all || *described.name == *topic);
                        for topic in &mut directory.topics {
                            topic.partitions.sort_by_key(|partition| partition.partition_index);
                        }
                    }
                    response
                });
                peer.record(format!("describe log dirs: {what}: version {version}"), response);
            }
        }
        for version in versions(key::ALTER_REPLICA_LOG_DIRS) {
            let known = paths.first().cloned().expect("there is one");
            let cases = [
                ("the same directory", known.clone(), &*topic, 0),
                ("an unknown directory", text("/conf/none"), &*topic, 0),
                ("an unknown topic", known, "conf-none", 0),
            ];
            for (what, path, topic, index) in cases {
                let asked =
                    moving::AlterReplicaLogDirTopic::default().with_name(name(topic)).with_partitions(vec![index]);
                let directory = moving::AlterReplicaLogDir::default().with_path(path).with_topics(vec![asked]);
                let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![directory]);
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    response
                });
                peer.record(format!("alter replica log dirs: {what}: version {version}"), response);
            }
        }
    });
}

#[test]
fn leaders_are_elected_as_by_kafka() {
    let topic = rig::fresh("conf-elect");
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 2);
        for version in versions(key::ELECT_LEADERS) {
            let cases = [
                ("preferred", 0, Some((&*topic, vec![0, 1]))),
                ("unclean", 1, Some((&*topic, vec![0]))),
                ("of a kind that is none", 7, Some((&*topic, vec![0]))),
                ("an unknown partition", 0, Some((&*topic, vec![9]))),
                ("an unknown topic", 0, Some(("conf-none", vec![0]))),
                ("all", 0, None),
                ("all, of a kind that is none", 7, None),
            ];
            for (what, election, asked) in cases {
                if version == 0 && election != 0 {
                    continue;
                }
                let asked = asked.map(|(topic, indexes)| {
                    vec![TopicPartitions::default().with_topic(name(topic)).with_partitions(indexes)]
                });
                let request = ElectLeadersRequest::default().with_topic_partitions(asked).with_timeout_ms(10_000);
                let request = if version == 0 { request } else { request.with_election_type(election) };
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    let results = &mut response.replica_election_results;
                    results.retain(|result| [&*topic, "conf-none"].contains(&result.topic.as_str()));
                    for result in results.iter_mut().flat_map(|result| &mut result.partition_result) {
                        wording(&mut result.error_message);
                    }
                    response
                });
                peer.record(format!("elect leaders: {what}: version {version}"), response);
            }
        }
    });
}

#[test]
fn partitions_are_reassigned_as_by_kafka() {
    let topic = rig::fresh("conf-reassign");
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 1);
        for version in versions(key::ALTER_PARTITION_REASSIGNMENTS) {
            let cases = [
                ("the same broker", &*topic, 0, Some(vec![1]), true),
                ("the same broker, as many", &*topic, 0, Some(vec![1]), false),
                ("an unknown broker", &*topic, 0, Some(vec![77]), true),
                ("a broker twice", &*topic, 0, Some(vec![1, 1]), true),
                ("more than may be", &*topic, 0, Some(vec![1, 77]), false),
                ("no broker", &*topic, 0, Some(Vec::new()), true),
                ("cancelled", &*topic, 0, None, true),
                ("an unknown partition", &*topic, 9, Some(vec![1]), true),
                ("an unknown topic", "conf-none", 0, Some(vec![1]), true),
                ("an unknown topic, cancelled", "conf-none", 0, None, true),
            ];
            for (what, topic, index, replicas, may_resize) in cases {
                let replicas = replicas.map(|ids| ids.into_iter().map(BrokerId).collect());
                let asked =
                    reassign::ReassignablePartition::default().with_partition_index(index).with_replicas(replicas);
                let asked = reassign::ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![asked]);
                let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![asked]);
                let request =
                    if version == 0 { request } else { request.with_allow_replication_factor_change(may_resize) };
                let response = peer.send(version, &request.with_timeout_ms(10_000)).map(|mut response| {
                    response.throttle_time_ms = 0;
                    wording(&mut response.error_message);
                    for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                        wording(&mut partition.error_message);
                    }
                    response
                });
                peer.record(format!("alter reassignments: {what}: version {version}"), response);
            }
        }
        for (what, asked) in
            [("a topic", Some((&*topic, vec![0, 9]))), ("an unknown one", Some(("conf-none", vec![0])))]
        {
            let asked = asked.map(|(topic, indexes)| {
                vec![ListPartitionReassignmentsTopics::default().with_name(name(topic)).with_partition_indexes(indexes)]
            });
            let request = ListPartitionReassignmentsRequest::default().with_topics(asked).with_timeout_ms(10_000);
            let response = peer.send(0, &request).map(|mut response| {
                response.throttle_time_ms = 0;
                response
            });
            peer.record(format!("list reassignments: {what}"), response);
        }
    });
}

#[test]
fn quorum_is_described_as_by_kafka() {
    compare(|peer| {
        for version in versions(key::DESCRIBE_QUORUM) {
            let of = |topic: &str, indexes: &[i32]| {
                let partition = |index: &i32| quorum::PartitionData::default().with_partition_index(*index);
                quorum::TopicData::default()
                    .with_topic_name(name(topic))
                    .with_partitions(indexes.iter().map(partition).collect())
            };
            let cases = [
                ("the metadata", vec![of("__cluster_metadata", &[0])]),
                ("another partition", vec![of("__cluster_metadata", &[1])]),
                ("another topic", vec![of("conf-none", &[0, 1])]),
                ("none", Vec::new()),
            ];
            for (what, topics) in cases {
                let response = peer.send(version, &DescribeQuorumRequest::default().with_topics(topics));
                let response = response.map(|mut response| {
                    wording(&mut response.error_message);
                    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                        wording(&mut partition.error_message);
                        partition.leader_epoch = partition.leader_epoch.signum();
                        partition.high_watermark = partition.high_watermark.signum();
                        for replica in partition.current_voters.iter_mut().chain(&mut partition.observers) {
                            replica.log_end_offset = replica.log_end_offset.signum();
                            replica.last_fetch_timestamp = replica.last_fetch_timestamp.signum();
                            replica.last_caught_up_timestamp = replica.last_caught_up_timestamp.signum();
                        }
                    }
                    for listener in response.nodes.iter_mut().flat_map(|node| &mut node.listeners) {
                        listener.host = text("");
                        listener.port = 0;
                    }
                    response
                });
                peer.record(format!("describe quorum: {what}: version {version}"), response);
            }
        }
    });
}

/// Nothing is changed: the broker is shared.
#[test]
fn features_are_described_and_refused_as_by_kafka() {
    compare(|peer| {
        for version in 3..=4 {
            record_features(peer, version);
        }
        for version in versions(key::UPDATE_FEATURES) {
            let cases = [
                ("the level in use", vec![("group.version", 1, 1)]),
                ("an unknown feature", vec![("no.such.feature", 1, 1)]),
                ("one good, one bad", vec![("group.version", 1, 1), ("no.such.feature", 1, 1)]),
                ("a level that is too high", vec![("group.version", 99, 1)]),
                ("a negative level", vec![("group.version", -1, 1)]),
                ("a lower level", vec![("transaction.version", 1, 1)]),
                ("a kind that is none", vec![("group.version", 1, 9)]),
                ("a downgrade to the level in use", vec![("group.version", 1, 2)]),
                ("a downgrade", vec![("transaction.version", 1, 2)]),
                ("off", vec![("share.version", 0, 2)]),
                ("older metadata", vec![("metadata.version", 7, 2)]),
                ("metadata that no broker knows", vec![("metadata.version", 99, 1)]),
                ("none", Vec::new()),
            ];
            for (what, updates) in cases {
                // Version 0 can neither validate nor say which kind of update it is.
                if version == 0 && updates.iter().any(|(.., kind)| *kind != 1) {
                    continue;
                }
                let update = |(feature, level, kind): &(&str, i16, i8)| {
                    let key = FeatureUpdateKey::default().with_feature(text(feature)).with_max_version_level(*level);
                    if version == 0 { key } else { key.with_upgrade_type(*kind) }
                };
                let request = UpdateFeaturesRequest::default()
                    .with_timeout_ms(10_000)
                    .with_feature_updates(updates.iter().map(update).collect());
                let request = if version == 0 { request } else { request.with_validate_only(true) };
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    wording(&mut response.error_message);
                    response.results.iter_mut().for_each(|result| wording(&mut result.error_message));
                    response.results.sort_by(|one, other| one.feature.cmp(&other.feature));
                    response
                });
                peer.record(format!("update features: {what}: version {version}"), response);
            }
        }
    });
}

fn record_features(peer: &mut Peer, version: i16) {
    let request = ApiVersionsRequest::default().with_client_software_name(text("ottla"));
    let response = peer.send(version, &request.with_client_software_version(text("1"))).expect("a response");
    let supported = response.supported_features.iter();
    let mut supported: Vec<_> = supported.map(|one| (one.name.to_string(), one.min_version, one.max_version)).collect();
    let finalized = response.finalized_features.iter();
    let mut finalized: Vec<_> =
        finalized.map(|one| (one.name.to_string(), one.min_version_level, one.max_version_level)).collect();
    supported.sort();
    finalized.sort();
    peer.record(format!("features: supported: version {version}"), supported);
    peer.record(format!("features: finalized: version {version}"), finalized);
    peer.record(format!("features: epoch: version {version}"), response.finalized_features_epoch.signum());
}
