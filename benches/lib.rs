//! The hot paths, each as a case that both benches run: `time` by the clock, `instructions` by valgrind's count.
//!
//! A case prepares its input only when it runs, so that a run of one case does not pay for the others.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use ottla::codec::Codec;
use ottla::codec::Codecs;
use ottla::codec::Compression;
use ottla::internals::record::BatchBuilder;
use ottla::internals::record::Batches;
use ottla::internals::record::ClosedBatch;
use ottla::internals::record::Header;
use ottla::internals::record::RecordRef;
use ottla::internals::record::SealedBatch;
use ottla::internals::record::Stamp;
use ottla::internals::wire::Api;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::buf::Chunks;
use ottla::internals::wire::message::Payload;
use ottla::internals::wire::message::ProducePartition;
use ottla::internals::wire::message::ProduceRequest;
use ottla::internals::wire::message::ProduceResponse;
use ottla::internals::wire::message::ProduceTopic;
use ottla::internals::wire::message::ProducedPartition;
use ottla::internals::wire::message::ProducedTopic;
use ottla::types::ProducerIdentity;
use ottla::types::Sequence;
use ottla::types::TopicId;

mod consume;
mod values;

use self::values::values;

/// Something to measure.
pub struct Case {
    /// Its name: what is done, then with what.
    pub name: String,
    prepare: Box<dyn Fn() -> Prepared>,
}

/// A case with its input made.
pub struct Prepared {
    /// Bytes that one run goes through, uncompressed.
    pub bytes: usize,
    run: Box<dyn FnMut()>,
}

impl Case {
    fn new(name: impl Into<String>, prepare: impl Fn() -> Prepared + 'static) -> Self {
        Self { name: name.into(), prepare: Box::new(prepare) }
    }

    /// Makes the input.
    pub fn prepare(&self) -> Prepared {
        (self.prepare)()
    }
}

impl Prepared {
    fn new(bytes: usize, run: impl FnMut() + 'static) -> Self {
        Self { bytes, run: Box::new(run) }
    }

    /// Does the work once.
    pub fn run(&mut self) {
        (self.run)();
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("append/value", || append(&[])),
        Case::new("append/key+value+2headers", || append(&HEADERS)),
        Case::new("append+seal+recycle/none", append_seal_recycle),
        Case::new("stamp", stamp),
        Case::new("crc", crc),
        Case::new("iterate", iterate),
        Case::new("request/1x256KiB", || request(1, BATCH_BYTES)),
        Case::new("request/64x16KiB", || request(64, 16 << 10)),
        Case::new("request/64x1KiB", || request(64, 1 << 10)),
        Case::new("response/64", || response(64)),
        Case::new("metadata/1000", || metadata(1000)),
        Case::new("consume/4", || consume::consume(4, 4)),
        Case::new("consume/10000", || consume::consume(10_000, 4)),
        Case::new("consume-by-one/4", || consume::consume(4, 1)),
        Case::new("consume-by-one/10000", || consume::consume(10_000, 1)),
        Case::new("read/none", || read(Compression::None)),
    ];
    for compression in &Compression::ALL[1..] {
        let compression = *compression;
        cases.push(Case::new(format!("compress/{compression}"), move || compress(compression)));
        cases.push(Case::new(format!("inflate/{compression}"), move || decompress(compression)));
        cases.push(Case::new(format!("seal/{compression}"), move || seal(compression)));
        cases.push(Case::new(format!("read/{compression}"), move || read(compression)));
    }
    cases
}

/// A full batch: the size that the comparison with other clients uses.
const BATCH_BYTES: usize = 256 << 10;
/// More than the decompressed size of any case.
const DECOMPRESSED_MAX: usize = 8 << 20;
/// The newest version that needs no topic id.
const PRODUCE_VERSION: i16 = 12;
const METADATA_VERSION: i16 = 12;
const HEADERS: [Header<'_>; 2] =
    [Header { key: b"trace", value: Some(b"4bf92f3577b34da6") }, Header { key: b"source", value: Some(b"bench") }];

/// Writes a batch's worth of records into a buffer that is used again.
fn append(headers: &'static [Header<'static>]) -> Prepared {
    let values = values(VALUES, VALUE_LEN);
    let key = (!headers.is_empty()).then_some(&b"user-000042"[..]);
    let mut buffer = Vec::with_capacity(BATCH_BYTES);
    Prepared::new(BATCH_BYTES, move || {
        buffer = fill(std::mem::take(&mut buffer), &values, key, headers, BATCH_BYTES).records;
        black_box(&buffer);
    })
}

/// The cost of a batch from its first record to the return of its buffer, without compression.
fn append_seal_recycle() -> Prepared {
    let values = values(VALUES, VALUE_LEN);
    let mut buffer = Vec::with_capacity(BATCH_BYTES);
    Prepared::new(BATCH_BYTES, move || {
        let closed = fill(std::mem::take(&mut buffer), &values, None, &[], BATCH_BYTES);
        let (sealed, _) = closed.seal(None).expect("nothing to compress");
        black_box(sealed.header(&stamped()));
        let mut body = sealed.into_body().try_into_mut().expect("the body has one owner");
        // An empty one turns into a vector without a copy.
        body.clear();
        buffer = body.into();
    })
}

/// Writes the header of a sealed batch.
fn stamp() -> Prepared {
    let sealed = sealed(Compression::None, BATCH_BYTES);
    Prepared::new(ottla::internals::record::HEADER_LEN, move || {
        black_box(black_box(&sealed).header(black_box(&stamped())));
    })
}

/// Checks the checksum of a full batch.
fn crc() -> Prepared {
    let payload = sealed(Compression::None, BATCH_BYTES).to_bytes(&stamped());
    let batch = Batches::new(payload.clone()).next().expect("one batch").expect("a batch");
    Prepared::new(payload.len(), move || black_box(&batch).verify().expect("the checksum that was just written"))
}

/// Goes over the records of a batch that was checked.
fn iterate() -> Prepared {
    let payload = sealed(Compression::None, BATCH_BYTES).to_bytes(&stamped());
    let batch = Batches::new(payload.clone()).next().expect("one batch").expect("a batch");
    let decoded = batch.decode(&Codecs::default(), DECOMPRESSED_MAX, Vec::new()).expect("records");
    Prepared::new(payload.len(), move || {
        let bytes: usize = black_box(&decoded).iter().filter_map(|record| record.value).map(<[u8]>::len).sum();
        black_box(bytes);
    })
}

/// The cost of a batch for a consumer: header, checksum, decompression, each record.
fn read(compression: Compression) -> Prepared {
    let codecs = Codecs::default();
    let payload = sealed(compression, BATCH_BYTES).to_bytes(&stamped());
    let mut buffer = Vec::new();
    Prepared::new(BATCH_BYTES, move || {
        for batch in Batches::new(payload.clone()) {
            let batch = batch.expect("a batch");
            batch.verify().expect("the checksum that was just written");
            let decoded = batch.decode(&codecs, DECOMPRESSED_MAX, std::mem::take(&mut buffer)).expect("records");
            let bytes: usize = decoded.iter().filter_map(|record| record.value).map(<[u8]>::len).sum();
            black_box(bytes);
            buffer = decoded.into_buffer().unwrap_or_default();
        }
    })
}

/// Compresses the records of a full batch.
fn compress(compression: Compression) -> Prepared {
    let codec = codec(compression);
    let records = closed(BATCH_BYTES).records;
    let mut out = Vec::with_capacity(records.len());
    Prepared::new(records.len(), move || {
        out.clear();
        codec.compress(black_box(&records), &mut out).expect("compressible");
        black_box(&out);
    })
}

/// Decompresses the records of a full batch.
fn decompress(compression: Compression) -> Prepared {
    let codec = codec(compression);
    let records = closed(BATCH_BYTES).records;
    let mut stored = Vec::new();
    codec.compress(&records, &mut stored).expect("compressible");
    let mut out = Vec::with_capacity(records.len());
    Prepared::new(records.len(), move || {
        out.clear();
        codec.decompress(black_box(&stored), DECOMPRESSED_MAX, &mut out).expect("what was just compressed");
        black_box(&out);
    })
}

/// Compresses and hashes a full batch, whose buffer comes back.
fn seal(compression: Compression) -> Prepared {
    let codec = codec(compression);
    let mut records = closed(BATCH_BYTES);
    Prepared::new(BATCH_BYTES, move || {
        let ClosedBatch { count, base_timestamp, max_timestamp, .. } = records;
        let taken = ClosedBatch { records: std::mem::take(&mut records.records), ..records };
        let (sealed, buffer) = taken.seal(Some(&*codec)).expect("compressible");
        black_box(sealed.header(&stamped()));
        let buffer = buffer.expect("a codec leaves the records behind");
        records = ClosedBatch { records: buffer, count, base_timestamp, max_timestamp };
    })
}

/// Encodes a Produce request of `partitions` batches of `batch_bytes` each.
fn request(partitions: i32, batch_bytes: usize) -> Prepared {
    let batch = sealed(Compression::None, batch_bytes);
    let partition = |index| {
        let head = Bytes::copy_from_slice(&batch.header(&stamped()));
        ProducePartition { index, records: Some(Payload { head, body: batch.body().clone() }) }
    };
    let partitions: Vec<ProducePartition> = (0..partitions).map(partition).collect();
    let bytes = partitions.len() * batch.size();
    let topic = ProduceTopic { name: "events".into(), partitions, ..ProduceTopic::default() };
    let topics = vec![topic];
    let request = Request::Produce(ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 30_000, topics });
    Prepared::new(bytes, move || {
        black_box(black_box(&request).encode(PRODUCE_VERSION, 7, "bench").expect("a request that fits"));
    })
}

/// Decodes a Metadata response of one topic with `partitions` partitions, each on three of five brokers.
fn metadata(partitions: i32) -> Prepared {
    let mut out = Chunks::default();
    out.set_flexible(true);
    out.put_i32(7);
    out.put_no_tags();
    out.put_i32(0);
    out.put_array(&[0, 1, 2, 3, 4], |out, id| {
        out.put_i32(*id);
        out.put_string("broker.example.org");
        out.put_i32(9092);
        out.put_nullable_string(None);
        out.put_no_tags();
    });
    out.put_string("a-cluster-of-five-nodes");
    out.put_i32(0);
    out.put_array(&["events"], |out, topic| {
        out.put_code(None);
        out.put_string(topic);
        out.put_id(TopicId([7; 16]));
        out.put_bool(false);
        let partitions: Vec<i32> = (0..partitions).collect();
        out.put_array(&partitions, |out, index| {
            out.put_code(None);
            out.put_i32(*index);
            out.put_i32(index % 5);
            out.put_i32(12);
            let replicas: Vec<i32> = (0..3).map(|replica| (index + replica) % 5).collect();
            for _ in ["replicas", "in sync"] {
                out.put_array(&replicas, |out, replica| out.put_i32(*replica));
            }
            out.put_array(&[], |out, offline| out.put_i32(*offline));
            out.put_no_tags();
        });
        out.put_i32(i32::MIN);
        out.put_no_tags();
    });
    out.put_no_tags();
    let frame = out.into_bytes();
    Prepared::new(frame.len(), move || {
        let decoded = Response::decode(Api::Metadata, METADATA_VERSION, black_box(frame.clone()));
        black_box(decoded.expect("what was just encoded"));
    })
}

/// Decodes a Produce response about `partitions` partitions.
fn response(partitions: i32) -> Prepared {
    let partition = |index| ProducedPartition { index, base_offset: 1 << 20, ..ProducedPartition::default() };
    let topic = ProducedTopic {
        name: "events".into(),
        partitions: (0..partitions).map(partition).collect(),
        ..ProducedTopic::default()
    };
    let mut out = Chunks::default();
    // Correlation id and the header's empty tags.
    out.put_i32(7);
    out.put_i8(0);
    ProduceResponse { topics: vec![topic], ..ProduceResponse::default() }.encode(PRODUCE_VERSION, &mut out);
    let frame = out.into_bytes();
    Prepared::new(frame.len(), move || {
        let decoded = Response::decode(Api::Produce, PRODUCE_VERSION, black_box(frame.clone()));
        black_box(decoded.expect("what was just encoded"));
    })
}

fn codec(compression: Compression) -> Arc<dyn Codec> {
    Codecs::default().get(compression).expect("every codec is compiled in").clone()
}

fn sealed(compression: Compression, bytes: usize) -> SealedBatch {
    let codec = (compression != Compression::None).then(|| codec(compression));
    closed(bytes).seal(codec.as_deref()).expect("compressible").0
}

fn closed(bytes: usize) -> ClosedBatch {
    fill(Vec::with_capacity(bytes), &values(VALUES, VALUE_LEN), None, &[], bytes)
}

/// Appends records until the next one would make the batch larger than `bytes`.
fn fill(buffer: Vec<u8>, values: &[Vec<u8>], key: Option<&[u8]>, headers: &[Header<'_>], bytes: usize) -> ClosedBatch {
    let mut batch = BatchBuilder::new(buffer);
    let mut timestamp = 1_700_000_000_000;
    for value in values.iter().cycle() {
        let record = RecordRef { timestamp, key, value: Some(value), headers };
        if batch.size_with(&record) > bytes {
            break;
        }
        batch.append(&record);
        timestamp += i64::from(batch.len().is_multiple_of(8));
    }
    batch.close()
}

const VALUE_LEN: usize = 100;
/// More than a full batch has records.
const VALUES: usize = 4_096;

fn stamped() -> Stamp {
    let sequence = Sequence::from_wire(1_000).expect("not negative");
    Stamp { identity: Some((ProducerIdentity { id: 4_711, epoch: 3 }, sequence)), transactional: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs_twice_and_has_a_name_of_its_own() {
        let cases = cases();
        let names: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len());
        for case in &cases {
            let mut prepared = case.prepare();
            prepared.run();
            prepared.run();
            assert!(prepared.bytes > 0, "{}", case.name);
        }
    }

    #[test]
    fn values_are_of_one_length_and_do_not_repeat_within_a_batch() {
        let values = values(VALUES, VALUE_LEN);
        let distinct: std::collections::BTreeSet<&Vec<u8>> = values.iter().collect();
        assert!(values.iter().all(|value| value.len() == VALUE_LEN));
        assert_eq!(distinct.len(), values.len());
        assert!(closed(BATCH_BYTES).count < u32::try_from(values.len()).unwrap());
    }
}
