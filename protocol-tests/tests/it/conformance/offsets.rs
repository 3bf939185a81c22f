//! ListOffsets and OffsetForLeaderEpoch.

use bytes::BytesMut;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::ListOffsetsResponse;
use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic;
use kafka_protocol::protocol::Encodable;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::fetch::fill;
use super::make;
use super::name;
use super::versions;

#[test]
fn offsets_are_listed_as_by_kafka() {
    let topic = rig::fresh("conf-list");
    compare(|peer| {
        let _: [u8; 16] = bytes(make(peer, &topic, 4));
        fill(peer, &topic);
        let start = 1_700_000_000_000;
        let times = [
            -1,
            -2,
            -3,
            -4,
            -5,
            -6,
            -7,
            -99,
            0,
            start,
            start + 1,
            start + 2,
            start + 1_001,
            start + 2_000,
            start + 2_001,
        ];
        for version in versions(key::LIST_OFFSETS) {
            for isolation in 0..=i8::from(version >= 2) {
                let mut places: Vec<(&str, i32, i32, i64)> = times.iter().map(|time| (&*topic, 0, -1, *time)).collect();
                places.extend([-1, -2, -3, 0].map(|time| (&*topic, 2, -1, time)));
                places.extend([(&*topic, 99, -1, -1), ("conf-none", 0, -1, -1)]);
                if version >= 4 {
                    places.extend([(&*topic, 0, 0, -1), (&*topic, 0, 5, -1)]);
                }
                for (topic, index, epoch, timestamp) in places {
                    let asked = ListOffsetsPartition::default().with_partition_index(index).with_timestamp(timestamp);
                    let asked = asked.with_current_leader_epoch(epoch);
                    let asked = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![asked]);
                    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
                    let request = request.with_isolation_level(isolation);
                    let mut body = BytesMut::new();
                    request.encode(&mut body, version.min(10)).expect("encodable");
                    let header = if version >= 6 { 2 } else { 1 };
                    let response = peer.send_raw_with::<ListOffsetsResponse>(
                        key::LIST_OFFSETS,
                        version,
                        header,
                        version.min(10),
                        &body,
                    );
                    let response = response.map(|response| response.with_throttle_time_ms(0));
                    let place = if topic == "conf-none" { "an unknown topic".to_owned() } else { format!("{index}") };
                    let what = format!("{timestamp} of {place} in epoch {epoch}, isolation {isolation}");
                    peer.record(format!("list offsets: {what}: version {version}"), response);
                }
            }
        }
    });
}

fn bytes(id: Vec<u8>) -> [u8; 16] {
    id.try_into().expect("16 bytes")
}

#[test]
fn epochs_end_as_in_kafka() {
    let topic = rig::fresh("conf-epochs");
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 4);
        fill(peer, &topic);
        for version in versions(key::OFFSET_FOR_LEADER_EPOCH) {
            let places = [
                (&*topic, 0, -1, 0),
                (&*topic, 0, 0, 0),
                (&*topic, 0, -1, 1),
                (&*topic, 0, -1, -1),
                (&*topic, 0, 5, 0),
                (&*topic, 2, -1, 0),
                (&*topic, 99, -1, 0),
                ("conf-none", 0, -1, 0),
            ];
            for (topic, index, current, epoch) in places {
                let asked = OffsetForLeaderPartition::default().with_partition(index).with_leader_epoch(epoch);
                let asked = asked.with_current_leader_epoch(current);
                let asked = OffsetForLeaderTopic::default().with_topic(name(topic)).with_partitions(vec![asked]);
                let request = OffsetForLeaderEpochRequest::default().with_topics(vec![asked]);
                let request = if version >= 3 { request.with_replica_id(BrokerId(-1)) } else { request };
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    response
                });
                let known = topic != "conf-none";
                let what = format!("{epoch} of {index}, which is known: {known}, by one who thinks {current}");
                peer.record(format!("epochs: {what}: version {version}"), response);
            }
        }
    });
}
