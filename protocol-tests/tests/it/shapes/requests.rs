//! Requests: the crate decodes each whole frame, and encodes it to the same bytes.

use super::*;

const CLIENT: &str = "client-ß";

/// The last version in which the crate decodes the request.
fn readable(api: Api) -> i16 {
    match api {
        Api::OffsetCommit => kp::OffsetCommitRequest::VERSIONS.max,
        Api::OffsetFetch => kp::OffsetFetchRequest::VERSIONS.max,
        _ => i16::MAX,
    }
}

/// Sends random requests of `api` in every version to a broker's decoder.
fn hold(api: Api, fill: impl Fn(&mut Fill) -> Request, seen: fn(&Request, &RequestKind, i16)) {
    for mut values in fills(api) {
        let version = values.version;
        let request = fill(&mut values);
        if version > request.version_max().min(readable(api)) {
            continue;
        }
        assert_eq!(request.api(), api);
        let correlation = values.i32();
        let parts = request.encode(version, correlation, CLIENT).expect("a version that is spoken");
        let frame = Bytes::from(parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>());
        let declared = i32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
        assert_eq!(usize::try_from(declared), Ok(frame.len() - 4), "{api:?} version {version}: the length");

        let mut rest = frame.slice(4..);
        let header = decode_request_header_from_buffer(&mut rest).expect("a header");
        assert_eq!((header.request_api_key, header.request_api_version), (api.key(), version));
        assert_eq!(header.correlation_id, correlation);
        assert_eq!(header.client_id.as_deref(), Some(CLIENT));

        let body = rest.clone();
        let key = ApiKey::try_from(api.key()).expect("an API that the crate knows");
        let theirs = RequestKind::decode(key, &mut rest, version);
        let theirs = theirs.unwrap_or_else(|error| panic!("{api:?} version {version}: {error}: {request:?}"));
        assert!(rest.is_empty(), "{api:?} version {version}: {} bytes are left of {request:?}", rest.len());
        let mut again = BytesMut::new();
        theirs.encode(&mut again, version).expect("what was just decoded");
        assert_eq!(again, body, "{api:?} version {version}: {request:?}");
        seen(&request, &theirs, version);
    }
}

/// Compares only the bytes. Golden rows compare the fields of these messages.
fn anything(_: &Request, _: &RequestKind, _: i16) {}

fn topic(fill: &mut Fill) -> TopicName {
    fill.string().into()
}

fn epoch(fill: &mut Fill) -> Option<LeaderEpoch> {
    LeaderEpoch::from_wire(fill.rng.i32(-1..))
}

/// An id, or rarely none: the request then goes in a version with topic names.
fn id(fill: &mut Fill) -> TopicId {
    if fill.rng.u8(..16) == 0 { TopicId::default() } else { fill.id() }
}

#[test]
fn produce_request_is_read_whole() {
    let payload = |fill: &mut Fill| {
        let head = vec![1; fill.rng.usize(..100)];
        let body = vec![2; *fill.rng.choice(&[0, 10, 4095, 4096, 70_000]).expect("there are some")];
        m::Payload { head: head.into(), body: body.into() }
    };
    let partition = |fill: &mut Fill| m::ProducePartition { index: fill.i32(), records: fill.maybe(payload) };
    let fill = |fill: &mut Fill| {
        Request::Produce(m::ProduceRequest {
            transactional_id: fill.maybe(Fill::string),
            acks: *fill.rng.choice(&[-1, 0, 1]).expect("there are some"),
            timeout_ms: fill.i32(),
            topics: fill.so_many(2, |fill| m::ProduceTopic {
                name: topic(fill),
                id: id(fill),
                partitions: fill.so_many(2, partition),
            }),
        })
    };
    hold(Api::Produce, fill, |request, theirs, _| {
        let (Request::Produce(ours), RequestKind::Produce(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        let sent = ours.topics.iter().flat_map(|topic| &topic.partitions);
        let received = theirs.topic_data.iter().flat_map(|topic| &topic.partition_data);
        assert!(sent.zip(received).all(|(sent, received)| {
            let whole = sent.records.as_ref().map(|records| [&records.head[..], &records.body].concat());
            sent.index == received.index && whole.as_deref() == received.records.as_deref()
        }));
    });
}

#[test]
fn fetch_request_is_read_whole() {
    let partition = |fill: &mut Fill| m::FetchPartition {
        index: fill.i32(),
        current_leader_epoch: epoch(fill),
        fetch_offset: fill.i64(),
        last_fetched_epoch: epoch(fill),
        log_start_offset: fill.i64(),
        partition_max_bytes: fill.i32(),
        directory: fill.since(17, TopicId::default(), id),
        high_watermark: fill.since(18, None, |fill| fill.maybe(|fill| fill.rng.i64(..i64::MAX))),
    };
    let fill = |fill: &mut Fill| {
        Request::Fetch(m::FetchRequest {
            replica: m::Replica { id: fill.i32(), epoch: fill.since(15, -1, Fill::i64) },
            cluster_id: fill.since(12, None, |fill| fill.maybe(Fill::string)),
            max_wait_ms: fill.i32(),
            min_bytes: fill.i32(),
            max_bytes: fill.i32(),
            isolation: fill.i8(),
            session_id: fill.i32(),
            session_epoch: fill.i32(),
            topics: fill.so_many(2, |fill| m::FetchTopic {
                name: topic(fill),
                id: id(fill),
                partitions: fill.list(partition),
            }),
            forgotten: fill.so_many(2, |fill| m::ForgottenTopic {
                name: topic(fill),
                id: id(fill),
                partitions: fill.list(Fill::i32),
            }),
            rack: fill.string(),
        })
    };
    hold(Api::Fetch, fill, anything);
}

#[test]
fn offset_commit_request_is_read_whole() {
    let partition = |fill: &mut Fill| m::CommitPartition {
        index: fill.i32(),
        offset: fill.i64(),
        leader_epoch: epoch(fill),
        metadata: fill.maybe(Fill::string),
    };
    let fill = |fill: &mut Fill| {
        Request::OffsetCommit(m::OffsetCommitRequest {
            group: fill.string(),
            generation_or_epoch: fill.i32(),
            member: fill.string(),
            instance: fill.since(7, None, |fill| fill.maybe(Fill::string)),
            retention_ms: fill.i64(),
            topics: fill.so_many(2, |fill| m::CommitTopic {
                name: topic(fill),
                id: id(fill),
                partitions: fill.list(partition),
            }),
        })
    };
    hold(Api::OffsetCommit, fill, anything);
}

#[test]
fn offset_fetch_request_is_read_whole() {
    let group = |fill: &mut Fill| {
        let all = fill.version >= 2 && fill.rng.u8(..4) == 0;
        let topics = fill.so_many(2, |fill| m::OffsetFetchTopic {
            name: topic(fill),
            id: id(fill),
            partitions: fill.list(Fill::i32),
        });
        m::OffsetFetchGroup {
            group: fill.string(),
            member: fill.maybe(Fill::string),
            member_epoch: fill.i32(),
            topics: (!all).then_some(topics),
        }
    };
    let fill = |fill: &mut Fill| {
        let count = if fill.version >= 8 { fill.rng.usize(..3) } else { 1 };
        Request::OffsetFetch(m::OffsetFetchRequest {
            groups: fill.so_many(count, group),
            require_stable: fill.since(7, false, Fill::bool),
        })
    };
    hold(Api::OffsetFetch, fill, anything);
}

/// Version 10, which the crate cannot decode, byte by byte as in the schemas.
#[test]
fn offset_requests_by_topic_id_match_the_schemas() {
    let id = [0xd1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    let head = |api: Api| [&api.key().to_be_bytes()[..], &[0, 10], &[0, 0, 0, 5], &[0, 1, b'c', 0]].concat();
    let sent = |request: Request| {
        let parts = request.encode(10, 5, "c").expect("a version that is spoken");
        parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>()
    };

    let partition = m::CommitPartition { index: 3, offset: 0x0102, leader_epoch: None, metadata: None };
    let commit = sent(Request::OffsetCommit(m::OffsetCommitRequest {
        group: "g".into(),
        generation_or_epoch: 7,
        member: "m".into(),
        instance: None,
        retention_ms: 99,
        topics: vec![m::CommitTopic { name: "unseen".into(), id: TopicId(id), partitions: vec![partition] }],
    }));
    let topic = [&[2][..], &id, &[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 2], &[0xff; 4], &[0, 0, 0]].concat();
    let body = [&[2, b'g', 0, 0, 0, 7, 2, b'm', 0][..], &topic, &[0]].concat();
    assert_eq!(commit[4..], [&head(Api::OffsetCommit)[..], &body].concat());

    let topic = m::OffsetFetchTopic { name: "unseen".into(), id: TopicId(id), partitions: vec![3] };
    let group = m::OffsetFetchGroup { group: "g".into(), member: None, member_epoch: -1, topics: Some(vec![topic]) };
    let fetch = sent(Request::OffsetFetch(m::OffsetFetchRequest { groups: vec![group], require_stable: true }));
    let topic = [&[2][..], &id, &[2, 0, 0, 0, 3, 0]].concat();
    let body = [&[2, 2, b'g', 0][..], &[0xff; 4], &topic, &[0], &[1, 0]].concat();
    assert_eq!(fetch[4..], [&head(Api::OffsetFetch)[..], &body].concat());
}

#[test]
fn metadata_requests_all_topics_by_null_or_an_empty_list() {
    let fill = |fill: &mut Fill| {
        Request::Metadata(m::MetadataRequest {
            topics: fill.maybe(|fill| fill.list(topic)),
            ids: fill.list(id),
            allow_auto_create: fill.bool(),
        })
    };
    hold(Api::Metadata, fill, |request, theirs, version| {
        let (Request::Metadata(ours), RequestKind::Metadata(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        let names = |topics: &Vec<kp::metadata_request::MetadataRequestTopic>| {
            topics.iter().filter_map(|topic| Some(topic.name.as_ref()?.to_string().into())).collect::<Vec<TopicName>>()
        };
        let by_id = |topics: &Vec<kp::metadata_request::MetadataRequestTopic>| {
            let topics = topics.iter().filter(|topic| topic.name.is_none());
            topics.map(|topic| TopicId(topic.topic_id.into_bytes())).collect::<Vec<_>>()
        };
        // Versions below 12 need a name.
        let ids = if version < 12 { Vec::new() } else { ours.ids.clone() };
        assert_eq!(theirs.topics.as_ref().map(by_id).unwrap_or_default(), ids);
        if !ours.ids.is_empty() && ours.topics.is_none() {
            return assert_eq!(theirs.topics.as_ref().map(names), Some(Vec::new()), "no topic but these");
        }
        let received = theirs.topics.as_ref().map(names);
        if version == 0 {
            assert_eq!(received, Some(ours.topics.clone().unwrap_or_default()));
        } else {
            assert_eq!(received, ours.topics);
        }
        // Before version 4 the broker's configuration decides.
        assert!(version < 4 || theirs.allow_auto_topic_creation == ours.allow_auto_create);
        assert!(!theirs.include_cluster_authorized_operations && !theirs.include_topic_authorized_operations);
    });
}

#[test]
fn list_offsets_is_requested_as_a_consumer() {
    let partition = |fill: &mut Fill| m::ListOffsetsPartition {
        index: fill.i32(),
        current_leader_epoch: epoch(fill),
        timestamp: fill.i64().max(-2),
    };
    let fill = |fill: &mut Fill| {
        Request::ListOffsets(m::ListOffsetsRequest {
            isolation: fill.i8(),
            timeout_ms: fill.i32(),
            topics: fill.list(|fill| m::ListOffsetsTopic { name: topic(fill), partitions: fill.list(partition) }),
        })
    };
    hold(Api::ListOffsets, fill, |request, theirs, version| {
        let (Request::ListOffsets(ours), RequestKind::ListOffsets(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        assert_eq!(theirs.replica_id.0, -1);
        assert!(version < 2 || theirs.isolation_level == ours.isolation);
        assert!(version < 10 || theirs.timeout_ms == ours.timeout_ms);
        let received = theirs.topics.iter().map(|topic| m::ListOffsetsTopic {
            name: topic.name.to_string().into(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| m::ListOffsetsPartition {
                    index: partition.partition_index,
                    current_leader_epoch: LeaderEpoch::from_wire(partition.current_leader_epoch),
                    timestamp: partition.timestamp,
                })
                .collect(),
        });
        let mut sent = ours.topics.clone();
        if version < 4 {
            sent.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(|asked| asked.current_leader_epoch = None);
        }
        assert_eq!(received.collect::<Vec<_>>(), sent);
    });
}

#[test]
fn offset_for_leader_epoch_is_requested_as_a_consumer() {
    let partition = |fill: &mut Fill| m::EpochPartition {
        index: fill.i32(),
        current_leader_epoch: epoch(fill),
        leader_epoch: epoch(fill),
    };
    let fill = |fill: &mut Fill| {
        Request::OffsetForLeaderEpoch(m::OffsetForLeaderEpochRequest {
            topics: fill.list(|fill| m::EpochTopic { name: topic(fill), partitions: fill.list(partition) }),
        })
    };
    hold(Api::OffsetForLeaderEpoch, fill, |request, theirs, version| {
        let (Request::OffsetForLeaderEpoch(ours), RequestKind::OffsetForLeaderEpoch(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        // Version 2 lacks the field, and the crate fills in its default.
        assert!(version < 3 || theirs.replica_id.0 == -1);
        let received = theirs.topics.iter().map(|topic| m::EpochTopic {
            name: topic.topic.to_string().into(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| m::EpochPartition {
                    index: partition.partition,
                    current_leader_epoch: LeaderEpoch::from_wire(partition.current_leader_epoch),
                    leader_epoch: LeaderEpoch::from_wire(partition.leader_epoch),
                })
                .collect(),
        });
        assert_eq!(received.collect::<Vec<_>>(), ours.topics);
    });
}

#[test]
fn find_coordinator_carries_one_key_in_every_version() {
    let fill = |fill: &mut Fill| {
        let keys = if fill.version < 4 { vec![fill.string()] } else { fill.list(Fill::string) };
        Request::FindCoordinator(m::FindCoordinatorRequest { keys, kind: fill.since(1, 0, Fill::i8) })
    };
    hold(Api::FindCoordinator, fill, |request, theirs, version| {
        let (Request::FindCoordinator(ours), RequestKind::FindCoordinator(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        assert_eq!(theirs.key_type, ours.kind);
        if version >= 4 {
            assert!(theirs.coordinator_keys.iter().map(StrBytes::as_str).eq(ours.keys.iter().map(String::as_str)));
        } else {
            assert_eq!(&*theirs.key, ours.keys[0]);
        }
    });
}

#[test]
fn api_versions_names_the_client() {
    hold(
        Api::ApiVersions,
        |_| m::ApiVersionsRequest.into(),
        |_, theirs, version| {
            let RequestKind::ApiVersions(theirs) = theirs else { panic!("another request") };
            let name = if version >= 3 { "ottla" } else { "" };
            assert_eq!(&*theirs.client_software_name, name);
            assert_eq!(theirs.client_software_version.is_empty(), version < 3);
        },
    );
}

#[test]
fn create_topics_carries_every_field() {
    let new = |fill: &mut Fill| m::NewTopic {
        name: topic(fill),
        partitions: fill.i32(),
        replication: fill.i16(),
        assignments: fill.list(|fill| m::Assignment { partition: fill.i32(), brokers: fill.list(Fill::i32) }),
        configs: fill.list(|fill| (fill.string(), fill.maybe(Fill::string))),
    };
    let fill = |fill: &mut Fill| {
        Request::CreateTopics(m::CreateTopicsRequest {
            topics: fill.list(new),
            timeout_ms: fill.i32(),
            validate_only: fill.bool(),
        })
    };
    hold(Api::CreateTopics, fill, |request, theirs, _| {
        let (Request::CreateTopics(ours), RequestKind::CreateTopics(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        let topics = theirs.topics.iter().map(|topic| m::NewTopic {
            name: topic.name.to_string().into(),
            partitions: topic.num_partitions,
            replication: topic.replication_factor,
            assignments: topic
                .assignments
                .iter()
                .map(|assignment| m::Assignment {
                    partition: assignment.partition_index,
                    brokers: assignment.broker_ids.iter().map(|id| id.0).collect(),
                })
                .collect(),
            configs: topic
                .configs
                .iter()
                .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
                .collect(),
        });
        let (timeout_ms, validate_only) = (theirs.timeout_ms, theirs.validate_only);
        assert_eq!(m::CreateTopicsRequest { topics: topics.collect(), timeout_ms, validate_only }, *ours);
    });
}

#[test]
fn delete_topics_names_topics_in_every_version() {
    let fill = |fill: &mut Fill| {
        let (names, ids) = (fill.list(topic), fill.since(6, vec![], |fill| fill.list(Fill::id)));
        Request::DeleteTopics(m::DeleteTopicsRequest { names, ids, timeout_ms: fill.i32() })
    };
    hold(Api::DeleteTopics, fill, |request, theirs, version| {
        let (Request::DeleteTopics(ours), RequestKind::DeleteTopics(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        let of_names = theirs.topic_names.iter().map(|name| name.to_string().into());
        let named = theirs.topics.iter().filter_map(|topic| topic.name.as_ref());
        let names: Vec<TopicName> =
            if version >= 6 { named.map(|name| name.to_string().into()).collect() } else { of_names.collect() };
        let unnamed = theirs.topics.iter().filter(|topic| topic.name.is_none());
        let ids = unnamed.map(|topic| TopicId(topic.topic_id.into_bytes())).collect();
        assert_eq!(m::DeleteTopicsRequest { names, ids, timeout_ms: theirs.timeout_ms }, *ours);
    });
}

#[test]
fn init_producer_id_carries_the_current_identity() {
    let fill = |fill: &mut Fill| {
        Request::InitProducerId(m::InitProducerIdRequest {
            transactional_id: fill.maybe(Fill::string),
            transaction_timeout_ms: fill.i32(),
            current: fill.since(3, None, |fill| {
                fill.maybe(|fill| ProducerIdentity { id: fill.rng.i64(0..), epoch: fill.rng.i16(0..) })
            }),
        })
    };
    hold(Api::InitProducerId, fill, |request, theirs, _| {
        let (Request::InitProducerId(ours), RequestKind::InitProducerId(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        assert_eq!(theirs.transactional_id.as_ref().map(|id| id.0.to_string()), ours.transactional_id);
        assert_eq!(theirs.transaction_timeout_ms, ours.transaction_timeout_ms);
        let (id, epoch) = ours.current.map_or((-1, -1), |current| (current.id, current.epoch));
        assert_eq!((theirs.producer_id.0, theirs.producer_epoch), (id, epoch));
    });
}

#[test]
fn describe_cluster_carries_every_field() {
    let fill = |fill: &mut Fill| {
        Request::DescribeCluster(m::DescribeClusterRequest {
            include_operations: fill.bool(),
            endpoints: fill.since(1, 1, Fill::i8),
            include_fenced: fill.since(2, false, Fill::bool),
        })
    };
    hold(Api::DescribeCluster, fill, |request, theirs, _| {
        let (Request::DescribeCluster(ours), RequestKind::DescribeCluster(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        let include_operations = theirs.include_cluster_authorized_operations;
        let (endpoints, include_fenced) = (theirs.endpoint_type, theirs.include_fenced_brokers);
        assert_eq!(m::DescribeClusterRequest { include_operations, endpoints, include_fenced }, *ours);
    });
}

#[test]
fn delete_records_carries_every_field() {
    let fill = |fill: &mut Fill| {
        let topic = |fill: &mut Fill| m::DeleteRecordsTopic {
            name: topic(fill),
            partitions: fill.list(|fill| (fill.i32(), fill.i64())),
        };
        Request::DeleteRecords(m::DeleteRecordsRequest { topics: fill.list(topic), timeout_ms: fill.i32() })
    };
    hold(Api::DeleteRecords, fill, |request, theirs, _| {
        let (Request::DeleteRecords(ours), RequestKind::DeleteRecords(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        let topic = |topic: &kp::delete_records_request::DeleteRecordsTopic| m::DeleteRecordsTopic {
            name: topic.name.to_string().into(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| (partition.partition_index, partition.offset))
                .collect(),
        };
        let topics = theirs.topics.iter().map(topic).collect();
        assert_eq!(m::DeleteRecordsRequest { topics, timeout_ms: theirs.timeout_ms }, *ours);
    });
}

#[test]
fn create_partitions_carries_every_field() {
    let fill = |fill: &mut Fill| {
        let topic = |fill: &mut Fill| m::MorePartitions {
            name: topic(fill),
            count: fill.i32(),
            assignments: fill.maybe(|fill| fill.list(|fill| m::NewReplicas { brokers: fill.list(Fill::i32) })),
        };
        Request::CreatePartitions(m::CreatePartitionsRequest {
            topics: fill.list(topic),
            timeout_ms: fill.i32(),
            validate_only: fill.bool(),
        })
    };
    hold(Api::CreatePartitions, fill, |request, theirs, _| {
        let (Request::CreatePartitions(ours), RequestKind::CreatePartitions(theirs)) = (request, theirs) else {
            panic!("another request")
        };
        let replicas = |assignment: &kp::create_partitions_request::CreatePartitionsAssignment| m::NewReplicas {
            brokers: assignment.broker_ids.iter().map(|id| id.0).collect(),
        };
        let topic = |topic: &kp::create_partitions_request::CreatePartitionsTopic| m::MorePartitions {
            name: topic.name.to_string().into(),
            count: topic.count,
            assignments: topic.assignments.as_ref().map(|all| all.iter().map(replicas).collect()),
        };
        let (timeout_ms, validate_only) = (theirs.timeout_ms, theirs.validate_only);
        let topics = theirs.topics.iter().map(topic).collect();
        assert_eq!(m::CreatePartitionsRequest { topics, timeout_ms, validate_only }, *ours);
    });
}

#[test]
fn incremental_alter_configs_carries_every_field() {
    let fill = |fill: &mut Fill| {
        let config = |fill: &mut Fill| m::AlteredConfig {
            name: fill.string(),
            operation: fill.i8(),
            value: fill.maybe(Fill::string),
        };
        let resource =
            |fill: &mut Fill| m::AlteredResource { kind: fill.i8(), name: fill.string(), configs: fill.list(config) };
        let (resources, validate_only) = (fill.list(resource), fill.bool());
        Request::IncrementalAlterConfigs(m::IncrementalAlterConfigsRequest { resources, validate_only })
    };
    hold(Api::IncrementalAlterConfigs, fill, |request, theirs, _| {
        let (Request::IncrementalAlterConfigs(ours), RequestKind::IncrementalAlterConfigs(theirs)) = (request, theirs)
        else {
            panic!("another request")
        };
        let config = |config: &kp::incremental_alter_configs_request::AlterableConfig| m::AlteredConfig {
            name: config.name.to_string(),
            operation: config.config_operation,
            value: config.value.as_ref().map(ToString::to_string),
        };
        let resource = |resource: &kp::incremental_alter_configs_request::AlterConfigsResource| m::AlteredResource {
            kind: resource.resource_type,
            name: resource.resource_name.to_string(),
            configs: resource.configs.iter().map(config).collect(),
        };
        let resources = theirs.resources.iter().map(resource).collect();
        let validate_only = theirs.validate_only;
        assert_eq!(m::IncrementalAlterConfigsRequest { resources, validate_only }, *ours);
    });
}

#[test]
fn describe_topic_partitions_carries_every_field() {
    let fill = |fill: &mut Fill| {
        Request::DescribeTopicPartitions(m::DescribeTopicPartitionsRequest {
            topics: fill.list(|fill| m::TopicByName { name: topic(fill) }),
            partitions_max: fill.i32(),
            cursor: fill.maybe(|fill| m::TopicCursor { topic: topic(fill), partition: fill.i32() }),
        })
    };
    hold(Api::DescribeTopicPartitions, fill, |request, theirs, _| {
        let (Request::DescribeTopicPartitions(ours), RequestKind::DescribeTopicPartitions(theirs)) = (request, theirs)
        else {
            panic!("another request")
        };
        let topics = theirs.topics.iter().map(|topic| m::TopicByName { name: topic.name.to_string().into() }).collect();
        let cursor = |cursor: &kp::describe_topic_partitions_request::Cursor| m::TopicCursor {
            topic: cursor.topic_name.to_string().into(),
            partition: cursor.partition_index,
        };
        let partitions_max = theirs.response_partition_limit;
        let cursor = theirs.cursor.as_ref().map(cursor);
        assert_eq!(m::DescribeTopicPartitionsRequest { topics, partitions_max, cursor }, *ours);
    });
}
