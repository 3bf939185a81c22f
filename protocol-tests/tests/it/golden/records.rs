//! Record batches: they decode to the JSON, and uncompressed ones encode to the same bytes.

use bytes::Bytes;
use ottla::codec::Codecs;
use ottla::codec::Compression;
use ottla::internals::record::Batch;
use ottla::internals::record::BatchBuilder;
use ottla::internals::record::Batches;
use ottla::internals::record::Decoded;
use ottla::internals::record::Header;
use ottla::internals::record::RecordRef;
use ottla::internals::record::Stamp;
use ottla::internals::record::TimestampType;
use ottla::types::LeaderEpoch;
use ottla::types::ProducerIdentity;
use ottla::types::Sequence;
use serde_json::Value;
use serde_json::json;

use super::hex;
use super::rows;
use super::unhex;

const LIMIT: usize = 64 << 20;

#[test]
fn golden_records_decode_to_the_json() {
    let rows = rows("#name\trecords_hex\tjson");
    for row in &rows {
        let expected: Value = serde_json::from_str(&row[2]).expect("JSON");
        let mut batches = Vec::new();
        for batch in Batches::new(unhex(&row[1]).into()) {
            let batch = batch.unwrap_or_else(|error| panic!("{}: {error}", row[0]));
            let decoded = batch
                .decode(&Codecs::default(), LIMIT, Vec::new())
                .unwrap_or_else(|error| panic!("{}: {error}", row[0]));
            batches.push(to_json(&batch, &decoded));
        }
        assert_eq!(json!({ "batches": batches }), expected, "{}", row[0]);
    }
}

fn to_json(batch: &Batch, decoded: &Decoded) -> Value {
    let records: Vec<Value> = decoded
        .iter()
        .map(|record| {
            let headers: Vec<Value> = record
                .headers()
                .map(|header| json!({ "k": String::from_utf8_lossy(header.key), "v": header.value.map(hex) }))
                .collect();
            json!({
                "offset": record.offset, "timestamp": record.timestamp,
                "key": record.key.map(hex), "value": record.value.map(hex), "headers": headers,
            })
        })
        .collect();
    json!({
        "magic": batch.magic,
        "baseOffset": decoded.batch().base_offset,
        "lastOffset": batch.last_offset,
        "compression": batch.compression.name(),
        "timestampType": match batch.timestamp_type {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
            TimestampType::None => "NoTimestampType",
        },
        "maxTimestamp": batch.max_timestamp,
        "producerId": batch.producer_id,
        "producerEpoch": batch.producer_epoch,
        "baseSequence": batch.base_sequence,
        "transactional": batch.is_transactional,
        "control": batch.is_control,
        "partitionLeaderEpoch": LeaderEpoch::to_wire(batch.leader_epoch),
        "crcValid": batch.verify().is_ok(),
        "checksum": batch.checksum(),
        "records": records,
    })
}

#[test]
fn golden_records_without_compression_encode_to_the_same_bytes() {
    let mut encoded = 0;
    for row in rows("#name\trecords_hex\tjson") {
        let bytes: Bytes = unhex(&row[1]).into();
        let batches: Vec<Batch> = Batches::new(bytes.clone()).map(|batch| batch.expect("a batch")).collect();
        // Only brokers write control batches and append times, and only they compact.
        let ours = |batch: &Batch| {
            batch.magic == 2
                && batch.compression == Compression::None
                && !batch.is_control
                && batch.timestamp_type == TimestampType::CreateTime
                && batch.last_offset - batch.base_offset + 1 == i64::from(batch.count)
        };
        if !batches.iter().all(ours) {
            continue;
        }
        let mut again = Vec::new();
        for batch in &batches {
            again.extend_from_slice(&encode(batch));
        }
        assert_eq!(hex(&again), row[1], "{}", row[0]);
        encoded += 1;
    }
    assert!(encoded > 0, "no row could be encoded");
}

/// Builds the batch again, except the base offset and the leader epoch, which the broker writes.
fn encode(batch: &Batch) -> Vec<u8> {
    let decoded = batch.decode(&Codecs::default(), LIMIT, Vec::new()).expect("a batch");
    let mut builder = BatchBuilder::new(Vec::new());
    for record in &decoded {
        let headers: Vec<Header<'_>> = record.headers().collect();
        let (timestamp, key, value) = (record.timestamp, record.key, record.value);
        let record = RecordRef { timestamp, key, value, headers: &headers };
        let promised = builder.size_with(&record);
        builder.append(&record);
        assert_eq!(builder.size(), promised);
    }
    let (sealed, _) = builder.close().seal(None).expect("no codec to fail");
    let identity = Sequence::from_wire(batch.base_sequence)
        .map(|sequence| (ProducerIdentity { id: batch.producer_id, epoch: batch.producer_epoch }, sequence));
    let mut bytes = sealed.to_bytes(&Stamp { identity, transactional: batch.is_transactional }).to_vec();
    bytes[..8].copy_from_slice(&batch.base_offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&LeaderEpoch::to_wire(batch.leader_epoch).to_be_bytes());
    bytes
}
