//! Responses: decoders read every field that the crate wrote, and decoders and layouts reach the end of each body.

use super::*;

/// A frame without its length.
fn frame(api: Api, version: i16, body: &[u8]) -> Bytes {
    let mut frame = 7_i32.to_be_bytes().to_vec();
    if api.flexible_response(version) {
        frame.push(0);
    }
    frame.extend_from_slice(body);
    frame.into()
}

/// Fills a response in every version, and decodes the crate's encoding of it.
fn hold<M>(api: Api, fill: impl Fn(&mut Fill) -> M)
where
    M: Encodable + Decodable + PartialEq + Debug,
{
    for mut values in fills(api) {
        let version = values.version;
        let message = fill(&mut values);
        let body = encoded(&message, version);
        // Otherwise `fill` sets a field that the version lacks, and covers less than it seems to.
        let again = M::decode(&mut body.clone(), version).expect("what the crate wrote");
        assert_eq!(again, message, "{api:?} version {version}");

        assert_eq!(shape::walk(api, version, &body), Some(&[][..]), "{api:?} version {version}: {message:?}");
        let response = Response::decode(api, version, frame(api, version, &body));
        let response = response.unwrap_or_else(|error| panic!("{api:?} version {version}: {error}: {message:?}"));
        assert_eq!(Some(response), second::opinion(api, version, &body), "{api:?} version {version}");

        exact(api, version, &body, &mut values.rng);
        changed(api, version, &body, &mut values.rng);
    }
}

/// A cut at any byte is an error: decoders read to the end.
fn exact(api: Api, version: i16, body: &Bytes, rng: &mut fastrand::Rng) {
    let last = body.len() - 1;
    for end in (0..20).map(|_| rng.usize(..body.len())).chain([last]) {
        let cut = Response::decode(api, version, frame(api, version, &body[..end]));
        assert!(cut.is_err(), "{api:?} version {version} cut at {end} of {}", body.len());
        assert_eq!(shape::walk(api, version, &body[..end]), None, "{api:?} version {version} cut at {end}");
    }
}

/// A large number at any place does not panic.
fn changed(api: Api, version: i16, body: &Bytes, rng: &mut fastrand::Rng) {
    let claims: [&[u8]; 4] =
        [&[0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0x80, 0x80, 0x80, 0x80, 0x08], &[0xff; 10]];
    for claim in claims {
        for _ in 0..20 {
            let mut body = body.to_vec();
            let at = rng.usize(..body.len());
            let end = body.len().min(at + claim.len());
            body[at..end].copy_from_slice(&claim[..end - at]);
            let _ = Response::decode(api, version, frame(api, version, &body));
        }
    }
}

fn uuid<T: std::str::FromStr<Err: Debug>>(fill: &mut Fill) -> T {
    format!("{:032x}", fill.rng.u128(..)).parse().expect("hexadecimal digits")
}

fn uuid_since<T: std::str::FromStr<Err: Debug> + Default>(fill: &mut Fill, version: i16) -> T {
    if fill.version >= version { uuid(fill) } else { T::default() }
}

fn metadata(fill: &mut Fill) -> kp::MetadataResponse {
    use kp::metadata_response::MetadataResponseBroker;
    use kp::metadata_response::MetadataResponsePartition;
    use kp::metadata_response::MetadataResponseTopic;
    let nodes = |fill: &mut Fill| fill.list(|fill| kp::BrokerId(fill.i32()));
    let broker = |fill: &mut Fill| {
        MetadataResponseBroker::default()
            .with_node_id(fill.i32().into())
            .with_host(fill.text())
            .with_port(fill.i32())
            .with_rack(fill.since(1, None, |fill| fill.maybe(Fill::text)))
            .with_unknown_tagged_fields(fill.tags(9))
    };
    let partition = |fill: &mut Fill| {
        MetadataResponsePartition::default()
            .with_error_code(fill.code())
            .with_partition_index(fill.i32())
            .with_leader_id(fill.i32().into())
            .with_leader_epoch(fill.since(7, -1, Fill::i32))
            .with_replica_nodes(nodes(fill))
            .with_isr_nodes(nodes(fill))
            .with_offline_replicas(fill.since(5, vec![], nodes))
            .with_unknown_tagged_fields(fill.tags(9))
    };
    let topic = |fill: &mut Fill| {
        let named = fill.version < 12 || fill.bool();
        MetadataResponseTopic::default()
            .with_error_code(fill.code())
            .with_name(named.then(|| fill.name()))
            .with_topic_id(uuid_since(fill, 10))
            .with_is_internal(fill.since(1, false, Fill::bool))
            .with_partitions(fill.list(partition))
            .with_topic_authorized_operations(fill.since(8, i32::MIN, Fill::i32))
            .with_unknown_tagged_fields(fill.tags(9))
    };
    let operations = if (8..=10).contains(&fill.version) { fill.i32() } else { i32::MIN };
    kp::MetadataResponse::default()
        .with_throttle_time_ms(fill.since(3, 0, Fill::i32))
        .with_brokers(fill.list(broker))
        .with_cluster_id(fill.since(2, None, |fill| fill.maybe(Fill::text)))
        .with_controller_id(kp::BrokerId(fill.since(1, -1, Fill::i32)))
        .with_topics(fill.list(topic))
        .with_cluster_authorized_operations(operations)
        .with_error_code(fill.since(13, 0, Fill::code))
        .with_unknown_tagged_fields(fill.tags(9))
}

#[test]
fn metadata_is_read_as_the_crate_writes_it() {
    hold(Api::Metadata, metadata);
}

#[test]
fn list_offsets_is_read_as_the_crate_writes_it() {
    use kp::list_offsets_response::ListOffsetsPartitionResponse;
    use kp::list_offsets_response::ListOffsetsTopicResponse;
    let partition = |fill: &mut Fill| {
        ListOffsetsPartitionResponse::default()
            .with_partition_index(fill.i32())
            .with_error_code(fill.code())
            .with_timestamp(fill.i64())
            .with_offset(fill.i64())
            .with_leader_epoch(fill.since(4, -1, Fill::i32))
            .with_unknown_tagged_fields(fill.tags(6))
    };
    let fill = |fill: &mut Fill| {
        let topic = |fill: &mut Fill| {
            ListOffsetsTopicResponse::default()
                .with_name(fill.name())
                .with_partitions(fill.list(partition))
                .with_unknown_tagged_fields(fill.tags(6))
        };
        kp::ListOffsetsResponse::default()
            .with_throttle_time_ms(fill.since(2, 0, Fill::i32))
            .with_topics(fill.list(topic))
            .with_unknown_tagged_fields(fill.tags(6))
    };
    hold(Api::ListOffsets, fill);
}

#[test]
fn find_coordinator_is_read_as_the_crate_writes_it() {
    use kp::find_coordinator_response::Coordinator;
    let coordinator = |fill: &mut Fill| {
        Coordinator::default()
            .with_key(fill.text())
            .with_node_id(fill.i32().into())
            .with_host(fill.text())
            .with_port(fill.i32())
            .with_error_code(fill.code())
            .with_error_message(fill.maybe(Fill::text))
            .with_unknown_tagged_fields(fill.tags(3))
    };
    let fill = |fill: &mut Fill| {
        let message = kp::FindCoordinatorResponse::default()
            .with_throttle_time_ms(fill.since(1, 0, Fill::i32))
            .with_unknown_tagged_fields(fill.tags(3));
        if fill.version >= 4 {
            // The requested one, and perhaps others.
            let count = fill.rng.usize(1..4);
            return message.with_coordinators(fill.so_many(count, coordinator));
        }
        message
            .with_error_code(fill.code())
            .with_error_message(fill.since(1, Some(StrBytes::default()), |fill| fill.maybe(Fill::text)))
            .with_node_id(fill.i32().into())
            .with_host(fill.text())
            .with_port(fill.i32())
    };
    hold(Api::FindCoordinator, fill);
}

#[test]
fn api_versions_is_read_as_the_crate_writes_it() {
    use kp::api_versions_response::ApiVersion;
    use kp::api_versions_response::FinalizedFeatureKey;
    use kp::api_versions_response::SupportedFeatureKey;
    let api = |fill: &mut Fill| {
        ApiVersion::default()
            .with_api_key(fill.i16())
            .with_min_version(fill.i16())
            .with_max_version(fill.i16())
            .with_unknown_tagged_fields(fill.tags(3))
    };
    let supported = |fill: &mut Fill| {
        SupportedFeatureKey::default()
            .with_name(fill.text())
            .with_min_version(fill.i16())
            .with_max_version(fill.i16())
            .with_unknown_tagged_fields(fill.tags(3))
    };
    let finalized = |fill: &mut Fill| {
        FinalizedFeatureKey::default()
            .with_name(fill.text())
            .with_max_version_level(fill.i16())
            .with_min_version_level(fill.i16())
            .with_unknown_tagged_fields(fill.tags(3))
    };
    let fill = |fill: &mut Fill| {
        kp::ApiVersionsResponse::default()
            .with_error_code(fill.code())
            .with_api_keys(fill.list(api))
            .with_throttle_time_ms(fill.since(1, 0, Fill::i32))
            .with_supported_features(fill.since(3, vec![], |fill| fill.list(supported)))
            .with_finalized_features_epoch(fill.since(3, -1, Fill::i64))
            .with_finalized_features(fill.since(3, vec![], |fill| fill.list(finalized)))
            .with_zk_migration_ready(fill.since(3, false, Fill::bool))
            .with_unknown_tagged_fields(fill.tags(3))
    };
    hold(Api::ApiVersions, fill);
}

#[test]
fn create_topics_is_read_as_the_crate_writes_it() {
    use kp::create_topics_response::CreatableTopicConfigs;
    use kp::create_topics_response::CreatableTopicResult;
    let config = |fill: &mut Fill| {
        CreatableTopicConfigs::default()
            .with_name(fill.text())
            .with_value(fill.maybe(Fill::text))
            .with_read_only(fill.bool())
            .with_config_source(fill.i8())
            .with_is_sensitive(fill.bool())
            .with_unknown_tagged_fields(fill.tags(5))
    };
    let fill = |fill: &mut Fill| {
        let topic = |fill: &mut Fill| {
            CreatableTopicResult::default()
                .with_name(fill.name())
                .with_topic_id(uuid_since(fill, 7))
                .with_error_code(fill.code())
                .with_error_message(fill.maybe(Fill::text))
                .with_topic_config_error_code(fill.since(5, 0, Fill::code))
                .with_num_partitions(fill.since(5, -1, Fill::i32))
                .with_replication_factor(fill.since(5, -1, Fill::i16))
                .with_configs(fill.since(5, Some(vec![]), |fill| fill.maybe(|fill| fill.list(config))))
                .with_unknown_tagged_fields(fill.tags(5))
        };
        kp::CreateTopicsResponse::default()
            .with_throttle_time_ms(fill.i32())
            .with_topics(fill.list(topic))
            .with_unknown_tagged_fields(fill.tags(5))
    };
    hold(Api::CreateTopics, fill);
}

#[test]
fn delete_topics_is_read_as_the_crate_writes_it() {
    use kp::delete_topics_response::DeletableTopicResult;
    let fill = |fill: &mut Fill| {
        let topic = |fill: &mut Fill| {
            let named = fill.version < 6 || fill.bool();
            DeletableTopicResult::default()
                .with_name(named.then(|| fill.name()))
                .with_topic_id(uuid_since(fill, 6))
                .with_error_code(fill.code())
                .with_error_message(fill.since(5, None, |fill| fill.maybe(Fill::text)))
                .with_unknown_tagged_fields(fill.tags(4))
        };
        kp::DeleteTopicsResponse::default()
            .with_throttle_time_ms(fill.i32())
            .with_responses(fill.list(topic))
            .with_unknown_tagged_fields(fill.tags(4))
    };
    hold(Api::DeleteTopics, fill);
}

#[test]
fn init_producer_id_is_read_as_the_crate_writes_it() {
    let fill = |fill: &mut Fill| {
        kp::InitProducerIdResponse::default()
            .with_throttle_time_ms(fill.i32())
            .with_error_code(fill.code())
            .with_producer_id(kp::ProducerId(fill.i64()))
            .with_producer_epoch(fill.i16())
            .with_unknown_tagged_fields(fill.tags(2))
    };
    hold(Api::InitProducerId, fill);
}

#[test]
fn offset_for_leader_epoch_is_read_as_the_crate_writes_it() {
    use kp::offset_for_leader_epoch_response::EpochEndOffset;
    use kp::offset_for_leader_epoch_response::OffsetForLeaderTopicResult;
    let partition = |fill: &mut Fill| {
        EpochEndOffset::default()
            .with_error_code(fill.code())
            .with_partition(fill.i32())
            .with_leader_epoch(fill.i32())
            .with_end_offset(fill.i64())
            .with_unknown_tagged_fields(fill.tags(4))
    };
    let fill = |fill: &mut Fill| {
        let topic = |fill: &mut Fill| {
            OffsetForLeaderTopicResult::default()
                .with_topic(fill.name())
                .with_partitions(fill.list(partition))
                .with_unknown_tagged_fields(fill.tags(4))
        };
        kp::OffsetForLeaderEpochResponse::default()
            .with_throttle_time_ms(fill.i32())
            .with_topics(fill.list(topic))
            .with_unknown_tagged_fields(fill.tags(4))
    };
    hold(Api::OffsetForLeaderEpoch, fill);
}

/// Fills a response in every version, decodes the crate's encoding of it, and encodes it to the same bytes.
fn survives<M: Encodable>(api: Api, fill: impl Fn(&mut Fill) -> M) {
    for mut values in fills(api) {
        let version = values.version;
        // The crate does not know the last version of DeleteGroups.
        if (api, version) == (Api::DeleteGroups, 3) {
            continue;
        }
        let body = encoded(&fill(&mut values), version);
        let response = Response::decode(api, version, frame(api, version, &body));
        let response = response.unwrap_or_else(|error| panic!("{api:?} version {version}: {error}"));
        let mut out = ottla::internals::wire::buf::Chunks::default();
        response.put(version, &mut out);
        assert_eq!(out.into_bytes(), body, "{api:?} version {version}: {response:?}");
        for end in (0..20).map(|_| values.rng.usize(..body.len())) {
            assert!(Response::decode(api, version, frame(api, version, &body[..end])).is_err(), "{api:?} {version}");
        }
    }
}

fn described_groups(fill: &mut Fill) -> kp::DescribeGroupsResponse {
    use kp::describe_groups_response::DescribedGroup;
    use kp::describe_groups_response::DescribedGroupMember;
    let member = |fill: &mut Fill| {
        DescribedGroupMember::default()
            .with_member_id(fill.text())
            .with_group_instance_id(fill.since(4, None, |fill| fill.maybe(Fill::text)))
            .with_client_id(fill.text())
            .with_client_host(fill.text())
            .with_member_metadata(fill.string().into())
            .with_member_assignment(fill.string().into())
    };
    let group = |fill: &mut Fill| {
        DescribedGroup::default()
            .with_error_code(fill.code())
            // An empty message is read as none.
            .with_error_message(fill.since(6, None, |fill| Some(format!("m{}", fill.string()).into())))
            .with_group_id(kp::GroupId(fill.text()))
            .with_group_state(fill.text())
            .with_protocol_type(fill.text())
            .with_protocol_data(fill.text())
            .with_members(fill.list(member))
            .with_authorized_operations(fill.since(3, i32::MIN, Fill::i32))
    };
    kp::DescribeGroupsResponse::default()
        .with_throttle_time_ms(fill.since(1, 0, Fill::i32))
        .with_groups(fill.so_many(2, group))
}

fn described_consumers(fill: &mut Fill) -> kp::ConsumerGroupDescribeResponse {
    use kp::consumer_group_describe_response::Assignment;
    use kp::consumer_group_describe_response::DescribedGroup;
    use kp::consumer_group_describe_response::Member;
    use kp::consumer_group_describe_response::TopicPartitions;
    let topic = |fill: &mut Fill| {
        let topic = TopicPartitions::default().with_topic_id(uuid(fill)).with_topic_name(fill.name());
        topic.with_partitions(fill.list(Fill::i32))
    };
    let assignment = |fill: &mut Fill| Assignment::default().with_topic_partitions(fill.list(topic));
    let member = |fill: &mut Fill| {
        Member::default()
            .with_member_id(fill.text())
            .with_instance_id(fill.maybe(Fill::text))
            .with_rack_id(fill.maybe(Fill::text))
            .with_member_epoch(fill.i32())
            .with_client_id(fill.text())
            .with_client_host(fill.text())
            .with_subscribed_topic_names(fill.list(Fill::name))
            .with_subscribed_topic_regex(fill.maybe(Fill::text))
            .with_assignment(assignment(fill))
            .with_target_assignment(assignment(fill))
            .with_member_type(fill.since(1, -1, Fill::i8))
    };
    let group = |fill: &mut Fill| {
        DescribedGroup::default()
            .with_error_code(fill.code())
            .with_error_message(fill.maybe(Fill::text))
            .with_group_id(kp::GroupId(fill.text()))
            .with_group_state(fill.text())
            .with_group_epoch(fill.i32())
            .with_assignment_epoch(fill.i32())
            .with_assignor_name(fill.text())
            .with_members(fill.list(member))
            .with_authorized_operations(fill.i32())
    };
    kp::ConsumerGroupDescribeResponse::default().with_throttle_time_ms(fill.i32()).with_groups(fill.so_many(2, group))
}

#[test]
fn responses_about_groups_encode_to_the_bytes_they_were_read_from() {
    survives(Api::DescribeGroups, described_groups);
    survives(Api::ConsumerGroupDescribe, described_consumers);
    let listed = |fill: &mut Fill| {
        kp::list_groups_response::ListedGroup::default()
            .with_group_id(kp::GroupId(fill.text()))
            .with_protocol_type(fill.text())
            .with_group_state(fill.since(4, StrBytes::new(), Fill::text))
            .with_group_type(fill.since(5, StrBytes::new(), Fill::text))
    };
    survives(Api::ListGroups, |fill| {
        kp::ListGroupsResponse::default()
            .with_throttle_time_ms(fill.since(1, 0, Fill::i32))
            .with_error_code(fill.code())
            .with_groups(fill.list(listed))
    });
    let deleted = |fill: &mut Fill| {
        let deleted = kp::delete_groups_response::DeletableGroupResult::default();
        deleted.with_group_id(kp::GroupId(fill.text())).with_error_code(fill.code())
    };
    survives(Api::DeleteGroups, |fill| {
        kp::DeleteGroupsResponse::default().with_throttle_time_ms(fill.i32()).with_results(fill.list(deleted))
    });
    let partition = |fill: &mut Fill| {
        let partition = kp::offset_delete_response::OffsetDeleteResponsePartition::default();
        partition.with_partition_index(fill.i32()).with_error_code(fill.code())
    };
    let topic = |fill: &mut Fill| {
        let topic = kp::offset_delete_response::OffsetDeleteResponseTopic::default().with_name(fill.name());
        topic.with_partitions(fill.list(partition))
    };
    survives(Api::OffsetDelete, |fill| {
        let response = kp::OffsetDeleteResponse::default().with_error_code(fill.code());
        response.with_throttle_time_ms(fill.i32()).with_topics(fill.list(topic))
    });
}
