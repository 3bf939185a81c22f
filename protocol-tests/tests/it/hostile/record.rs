//! Batches. The numbers are those of the classes in the reliability notes.

use bytes::Bytes;
use ottla::codec::CodecError;
use ottla::codec::Codecs;
use ottla::codec::Compression;
use ottla::internals::record::Batch;
use ottla::internals::record::BatchBuilder;
use ottla::internals::record::Batches;
use ottla::internals::record::ControlKind;
use ottla::internals::record::Decoded;
use ottla::internals::record::HEADER_LEN;
use ottla::internals::record::Header;
use ottla::internals::record::RecordError;
use ottla::internals::record::RecordRef;
use ottla::internals::record::Stamp;
use ottla::internals::record::TimestampType;
use ottla::partitioner::hash::crc32;

use super::super::golden::rows;
use super::super::golden::unhex;
use super::mutate;
use super::seeds;

const LIMIT: usize = 1 << 20;

/// A batch of format 2 in which anything can be wrong but its length and its checksum.
#[derive(Clone)]
struct Raw {
    base_offset: i64,
    magic: u8,
    attributes: i16,
    last_offset_delta: i32,
    count: i32,
    records: Vec<u8>,
}

impl Raw {
    /// Records with these offset deltas, each with the key `k` and the value `v`.
    fn of(deltas: &[i64]) -> Self {
        let records = deltas.iter().flat_map(|delta| record(*delta, Some(b"k"))).collect();
        let last = deltas.last().map_or(0, |last| i32::try_from(*last).unwrap_or(0));
        let count = i32::try_from(deltas.len()).expect("a few");
        Self { base_offset: 100, magic: 2, attributes: 0, last_offset_delta: last, count, records }
    }

    fn holding(count: i32, records: Vec<u8>) -> Self {
        Self { count, records, last_offset_delta: (count - 1).max(0), ..Self::of(&[]) }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut tail = self.attributes.to_be_bytes().to_vec();
        tail.extend(self.last_offset_delta.to_be_bytes());
        // Base and largest timestamp, producer, epoch, sequence.
        tail.extend([0; 16]);
        tail.extend([0xff; 14]);
        tail.extend(self.count.to_be_bytes());
        tail.extend(&self.records);
        let mut bytes = self.base_offset.to_be_bytes().to_vec();
        bytes.extend(u32::try_from(tail.len() + 9).expect("a small batch").to_be_bytes());
        bytes.extend([0, 0, 0, 3, self.magic]);
        bytes.extend(crc32c::crc32c(&tail).to_be_bytes());
        bytes.extend(tail);
        bytes
    }

    /// Reads the batch as a consumer does: header, checksum, records.
    fn read(&self) -> Result<Decoded, RecordError> {
        let batch = Batches::new(self.bytes().into()).next().expect("a batch")?;
        batch.verify().expect("the right checksum");
        decompress(&batch)
    }

    fn offsets(&self) -> Result<Vec<i64>, RecordError> {
        Ok(self.read()?.iter().map(|record| record.offset).collect())
    }
}

fn decompress(batch: &Batch) -> Result<Decoded, RecordError> {
    batch.decode(&Codecs::default(), LIMIT, Vec::new())
}

fn varint(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push((rest & 0x7f) as u8);
    bytes
}

/// A record's body under its length.
fn sized(body: &[u8]) -> Vec<u8> {
    [&varint(i64::try_from(body.len()).expect("a small body"))[..], body].concat()
}

fn field(bytes: Option<&[u8]>) -> Vec<u8> {
    bytes.map_or_else(|| varint(-1), sized)
}

fn record(delta: i64, key: Option<&[u8]>) -> Vec<u8> {
    sized(&[&[0][..], &varint(0), &varint(delta), &field(key), &field(Some(b"v")), &varint(0)].concat())
}

fn first(bytes: Vec<u8>) -> Result<Batch, RecordError> {
    Batches::new(bytes.into()).next().expect("an answer")
}

fn compress(compression: Compression, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Codecs::default().get(compression).expect("a codec").compress(plain, &mut out).expect("to compress");
    out
}

#[test]
fn what_was_appended_is_read_whatever_the_codec_and_wherever_the_payload_is_cut() {
    seeds(300, |rng| {
        let random = |rng: &mut fastrand::Rng, most: usize| -> Option<Vec<u8>> {
            rng.bool().then(|| (0..rng.usize(..most)).map(|_| rng.u8(..8)).collect())
        };
        let mut payload = Vec::new();
        let (mut expected, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..rng.usize(1..5) {
            let mut builder = BatchBuilder::new(Vec::new());
            for _ in 0..rng.usize(1..20) {
                let (timestamp, key, value) = (rng.i64(..), random(rng, 20), random(rng, 300));
                let headers: Vec<_> =
                    (0..rng.usize(..3)).map(|_| (random(rng, 5).unwrap_or_default(), random(rng, 9))).collect();
                let borrowed: Vec<_> =
                    headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
                let record = RecordRef { timestamp, key: key.as_deref(), value: value.as_deref(), headers: &borrowed };
                let promised = builder.size_with(&record);
                builder.append(&record);
                assert_eq!(builder.size(), promised);
                expected.push((timestamp, key, value, headers));
            }
            let compression = *rng.choice(&Compression::ALL).unwrap();
            let codecs = Codecs::default();
            let (sealed, _) = builder.close().seal(codecs.get(compression).map(|codec| &**codec)).unwrap();
            payload.extend_from_slice(&sealed.to_bytes(&Stamp::default()));
            ends.push((payload.len(), expected.len()));
        }
        let cut = if rng.bool() { payload.len() } else { rng.usize(..=payload.len()) };
        payload.truncate(cut);
        let whole = ends.iter().rfind(|(end, _)| *end <= cut).copied();
        let (end, count) = whole.unwrap_or_default();
        let mut batches = Batches::new(payload.into());
        let mut read = Vec::new();
        for batch in batches.by_ref() {
            let batch = batch.unwrap();
            batch.verify().unwrap();
            for record in &decompress(&batch).unwrap() {
                let headers = record.headers().map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)));
                let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
                read.push((record.timestamp, key, value, headers.collect::<Vec<_>>()));
            }
        }
        assert_eq!(batches.truncated(), end < cut);
        assert_eq!(read, expected[..count]);
    });
}

#[test]
fn random_changes_of_batches_that_java_wrote_are_answered() {
    let payloads: Vec<_> = rows("#name\trecords_hex\tjson").iter().map(|row| unhex(&row[1])).collect();
    assert!(payloads.len() > 20);
    seeds(20_000, |rng| {
        let mut payload = rng.choice(&payloads).cloned().expect("there are payloads");
        // The head is where the decisions are.
        let head = if rng.bool() { payload.len() } else { payload.len().min(HEADER_LEN + 12) };
        let mut changed = payload[..head].to_vec();
        mutate(rng, &mut changed);
        payload.splice(..head, changed);
        let size = payload.len();
        for batch in Batches::new(payload.into()).flatten() {
            let _ = batch.verify();
            let _ = batch.control_kind();
            assert!(batch.size() <= size);
            let Ok(decoded) = decompress(&batch) else { continue };
            let mut before = -1;
            for record in &decoded {
                assert!(record.offset > before, "offsets go back");
                assert!(record.offset <= batch.last_offset, "an offset beyond the batch's last");
                let _ = record.headers().count();
                before = record.offset;
            }
            if batch.magic == 2 {
                let count = i32::try_from(decoded.iter().count()).unwrap();
                assert!(count == decoded.batch().count && count <= batch.count, "{count} records");
            }
        }
    });
}

#[test]
fn any_bytes_are_answered_as_batches() {
    seeds(20_000, |rng| {
        let mut bytes: Vec<u8> =
            (0..rng.usize(..150)).map(|_| *rng.choice(&[0, 0, 1, 2, 0x7f, 0x80, 0xff]).unwrap()).collect();
        if bytes.len() > 17 {
            let length = u32::try_from(bytes.len() - 12 - rng.usize(..3)).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = rng.u8(..3);
        }
        for batch in Batches::new(bytes.into()).flatten() {
            let _ = decompress(&batch).map(|decoded| decoded.iter().count());
        }
    });
}

#[test]
fn class_4_numbers_that_are_too_long_are_refused() {
    let body = |timestamp: &[u8], delta: &[u8]| sized(&[&[0][..], timestamp, delta, &[1, 1, 0]].concat());
    let wrong = [
        vec![0x80, 0x80, 0x80, 0x80, 0x80, 0],
        body(&[0xff; 10], &[0]),
        body(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0], &[0]),
        body(&[0], &[0x80, 0x80, 0x80, 0x80, 0x80, 0]),
        body(&[0], &[0xff, 0xff, 0xff, 0xff, 0x1f]),
    ];
    for records in wrong {
        assert_eq!(Raw::holding(1, records.clone()).offsets(), Err(RecordError::Varint), "{records:02x?}");
    }
}

#[test]
fn class_10_lengths_that_no_batch_has_are_refused() {
    let whole = Raw::of(&[0]).bytes();
    for length in [i32::MIN, -1, 0, 1, 13, 14, 48] {
        let mut bytes = whole.clone();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(first(bytes).unwrap_err(), RecordError::Length(i64::from(length)));
    }
}

#[test]
fn class_10_what_is_whole_before_a_cut_is_kept() {
    let whole = Raw::of(&[0, 1]).bytes();
    for cut in 1..whole.len() {
        let mut batches = Batches::new([&whole[..], &whole[..cut]].concat().into());
        assert_eq!(decompress(&batches.next().unwrap().unwrap()).unwrap().iter().count(), 2);
        assert!(batches.next().is_none(), "a batch cut at {cut}");
        assert!(batches.truncated());
    }
}

#[test]
fn class_10_after_an_error_nothing_more_is_read() {
    let mut bytes = Raw { magic: 9, ..Raw::of(&[0]) }.bytes();
    bytes.extend(Raw::of(&[0]).bytes());
    let mut batches = Batches::new(bytes.into());
    assert!(batches.next().unwrap().is_err());
    assert!(batches.next().is_none());
}

#[test]
fn class_11_a_payload_of_one_partial_batch_says_so() {
    let whole = Raw::of(&[0]).bytes();
    let mut huge = whole.clone();
    huge[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    for bytes in [&whole[..5], &whole[..60], &huge] {
        let mut batches = Batches::new(Bytes::copy_from_slice(bytes));
        assert!(batches.next().is_none());
        assert!(batches.truncated());
    }
    let mut empty = Batches::new(Bytes::new());
    assert!(empty.next().is_none() && !empty.truncated());
}

#[test]
fn class_12_no_changed_bit_passes_the_checksum() {
    let whole = Raw::of(&[0, 1, 5]).bytes();
    // The checksum itself, and all that comes after it.
    for bit in 17 * 8..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(batch) = first(bytes) {
            assert!(matches!(batch.verify(), Err(RecordError::Crc { .. })), "bit {bit}");
        }
    }
}

#[test]
fn class_12_a_format_or_attributes_from_the_future_are_refused() {
    for magic in [3, 4, 0x7f, 0x80, 0xff] {
        let refused = first(Raw { magic, ..Raw::of(&[0]) }.bytes()).unwrap_err();
        assert_eq!(refused, RecordError::Magic(magic.cast_signed()));
    }
    for bit in 7..16 {
        let attributes = i16::from_be_bytes((1_u16 << bit).to_be_bytes());
        let refused = first(Raw { attributes, ..Raw::of(&[0]) }.bytes()).unwrap_err();
        assert_eq!(refused, RecordError::Attributes(attributes));
    }
    // Timestamp type, transactional, control and delete horizon are known.
    for attributes in [0x08, 0x10, 0x20, 0x40] {
        assert_eq!(Raw { attributes, ..Raw::of(&[0]) }.offsets(), Ok(vec![100]));
    }
}

#[test]
fn class_13_a_count_other_than_the_records_is_refused() {
    let three = Raw::of(&[0, 1, 2]);
    for count in [-1, i32::MIN] {
        assert_eq!(first(Raw { count, ..three.clone() }.bytes()).unwrap_err(), RecordError::Count { declared: count });
    }
    for count in [0, 1, 2] {
        assert_eq!(Raw { count, ..three.clone() }.offsets(), Err(RecordError::Count { declared: count }));
    }
    for count in [4, 1000, i32::MAX] {
        for records in [three.records.clone(), vec![]] {
            let raw = Raw { count, last_offset_delta: i32::MAX, records, ..three.clone() };
            assert!(matches!(raw.offsets(), Err(RecordError::Length(_))), "{count}");
        }
    }
}

#[test]
fn class_13_lengths_within_a_record_are_held_to_it() {
    let refused = |body: &[u8]| {
        let read = Raw::holding(1, sized(body)).offsets();
        assert!(matches!(read, Err(RecordError::Length(_))), "{body:02x?}: {read:?}");
    };
    // Attributes, timestamp and offset; then key, value and headers.
    let head = [0, 0, 0];
    let with = |rest: &[&[u8]]| refused(&[&head[..], &rest.concat()].concat());
    refused(&[]);
    refused(&head);
    for length in [-2, -100, i64::from(i32::MIN), 2, i64::from(i32::MAX)] {
        with(&[&varint(length), &[1]]);
        with(&[&[1], &varint(length)]);
        with(&[&[1, 1], &varint(1), &varint(length), b"x"]);
        with(&[&[1, 1], &varint(1), &[0], &varint(length)]);
    }
    // Headers: a negative count, more than there are, a null key, and bytes after the last.
    with(&[&[1, 1], &varint(-1)]);
    with(&[&[1, 1], &varint(i64::from(i32::MAX))]);
    with(&[&[1, 1], &varint(2), &[0, 1]]);
    with(&[&[1, 1], &varint(1), &varint(-1), &[1]]);
    with(&[&[1, 1], &varint(0), &[0]]);
    // A record that reaches past its batch, and a negative length.
    for length in [2, 1_000, -1, i64::from(i32::MAX), i64::from(i32::MIN)] {
        let read = Raw::holding(1, [&varint(length)[..], &[0]].concat()).offsets();
        assert_eq!(read, Err(RecordError::Length(length)));
    }
}

#[test]
fn class_14_gaps_and_empty_batches_are_what_compaction_leaves() {
    assert_eq!(Raw { last_offset_delta: 9, ..Raw::of(&[2, 5]) }.offsets(), Ok(vec![102, 105]));
    let empty = Raw { last_offset_delta: 9, ..Raw::of(&[]) };
    assert_eq!(empty.offsets(), Ok(vec![]));
    assert_eq!(first(empty.bytes()).unwrap().last_offset, 109);
    for compression in Compression::ALL {
        assert_eq!(
            Raw { attributes: i16::from(compression.id()), ..empty.clone() }.offsets(),
            Ok(vec![]),
            "{compression}"
        );
    }
}

#[test]
fn class_14_records_at_or_below_an_earlier_offset_are_skipped() {
    // Java returns the records whose offsets ascend, and continues after the batch's last offset.
    for (deltas, expected) in [
        (&[0, 0, 0][..], &[100][..]),
        (&[1, 1], &[101]),
        (&[2, 1], &[102]),
        (&[0, 1, 0], &[100, 101]),
        (&[0, 3, 1, 2, 4], &[100, 103, 104]),
    ] {
        let raw = Raw { last_offset_delta: 9, ..Raw::of(deltas) };
        assert_eq!(raw.offsets().as_deref(), Ok(expected), "{deltas:?}");
        let decoded = raw.read().expect("it is accepted");
        assert!(decoded.iter().all(|record| record.key == Some(b"k")));
        assert_eq!(decoded.batch().last_offset, 109);
    }
}

#[test]
fn class_14_offsets_outside_the_batch_are_refused() {
    for deltas in [&[-1][..], &[-1, 0], &[0, i64::from(i32::MIN)]] {
        let raw = Raw { last_offset_delta: 9, ..Raw::of(deltas) };
        assert_eq!(raw.offsets(), Err(RecordError::Offset), "{deltas:?}");
    }
    let beyond = Raw { last_offset_delta: 1, ..Raw::of(&[0, 1, 2]) };
    assert_eq!(beyond.offsets(), Err(RecordError::Offset));
    for raw in [
        Raw { base_offset: -1, ..Raw::of(&[0]) },
        Raw { base_offset: i64::MIN, ..Raw::of(&[0]) },
        Raw { base_offset: i64::MAX, ..Raw::of(&[0, 1]) },
        Raw { last_offset_delta: -1, ..Raw::of(&[0]) },
        Raw { last_offset_delta: i32::MIN, ..Raw::of(&[0]) },
    ] {
        assert_eq!(raw.offsets(), Err(RecordError::Offset));
    }
    let empty = Raw { base_offset: i64::MAX, last_offset_delta: 1, ..Raw::of(&[]) };
    assert_eq!(first(empty.bytes()).unwrap_err(), RecordError::Offset);
    assert_eq!(Raw { base_offset: i64::MAX, ..Raw::of(&[0]) }.offsets(), Ok(vec![i64::MAX]));
    let edge = Raw { base_offset: i64::MAX, records: record(i64::from(i32::MAX), None), ..Raw::of(&[0]) };
    assert_eq!(edge.offsets(), Err(RecordError::Offset));
}

#[test]
fn class_15_what_a_control_batch_marks_is_read_or_passed_over() {
    let kind = |attributes: i16, records: Vec<u8>, count: i32| {
        let batch = first(Raw { attributes, ..Raw::holding(count, records) }.bytes()).unwrap();
        assert!(batch.is_control);
        let _ = decompress(&batch);
        batch.control_kind()
    };
    let marker = |key: Option<&[u8]>| kind(0x30, record(0, key), 1);
    assert_eq!(marker(Some(&[0, 0, 0, 0])), ControlKind::Abort);
    assert_eq!(marker(Some(&[0, 0, 0, 1])), ControlKind::Commit);
    assert_eq!(marker(Some(&[0, 9, 0, 1, 7])), ControlKind::Commit);
    for key in [None, Some(&[][..]), Some(&[0]), Some(&[0, 0, 0]), Some(&[0, 0, 0, 2]), Some(&[0, 0, 0xff, 0xff])] {
        assert_eq!(marker(key), ControlKind::Unknown, "{key:?}");
    }
    let two = [record(0, Some(&[0, 0, 0, 0])), record(1, Some(&[0, 0, 0, 1]))].concat();
    assert_eq!(kind(0x30, two, 2), ControlKind::Abort);
    assert_eq!(kind(0x20, record(0, Some(&[0, 0, 0, 1])), 1), ControlKind::Commit);
    assert_eq!(kind(0x30, vec![], 0), ControlKind::Unknown);
    assert_eq!(kind(0x30, vec![0xff; 40], 1), ControlKind::Unknown);
    for codec in 1..=4 {
        assert_eq!(kind(0x30 | codec, record(0, Some(&[0, 0, 0, 1])), 1), ControlKind::Unknown);
    }
}

#[test]
fn class_17_a_batch_inflates_to_its_limit_and_no_further() {
    let plain = record(0, Some(&vec![0; 4 * LIMIT]));
    for compression in Compression::ALL.into_iter().skip(1) {
        let bomb = Raw { attributes: i16::from(compression.id()), ..Raw::holding(1, compress(compression, &plain)) };
        let refused = RecordError::Codec(CodecError::TooLarge { limit: LIMIT });
        assert_eq!(bomb.read().unwrap_err(), refused, "{compression}");
        let wrapped = message(1, 0, i16::from(compression.id()), Some(&compress(compression, &vec![0; 4 * LIMIT])));
        assert_eq!(decompress(&first(wrapped).unwrap()).unwrap_err(), refused, "{compression}");
    }
}

#[test]
fn class_17_what_an_old_wrapper_inflated_to_is_counted() {
    for magic in [0, 1] {
        let decoded = decompress(&first(wrapper(magic, 9, &[9])).unwrap()).unwrap();
        assert!(decoded.size() > 0, "format {magic}");
    }
}

#[test]
fn class_20_compressions_that_do_not_exist_are_refused() {
    for codec in 5..=7 {
        let refused = first(Raw { attributes: codec, ..Raw::of(&[0]) }.bytes()).unwrap_err();
        assert_eq!(refused, RecordError::Attributes(codec));
        for magic in [0, 1] {
            let refused = first(message(magic, 0, codec, Some(b"v"))).unwrap_err();
            assert_eq!(refused, RecordError::Attributes(codec));
        }
    }
}

#[test]
fn records_that_are_not_what_the_codec_writes_are_refused() {
    for compression in Compression::ALL.into_iter().skip(1) {
        for records in [vec![], vec![0xff; 30], Raw::of(&[0]).records] {
            let raw = Raw { attributes: i16::from(compression.id()), ..Raw::holding(1, records) };
            assert!(raw.read().is_err(), "{compression}");
        }
    }
}

/// A message of format 0 or 1, without a key.
fn message(magic: u8, offset: i64, attributes: i16, value: Option<&[u8]>) -> Vec<u8> {
    let mut tail = vec![magic, attributes.to_be_bytes()[1]];
    if magic == 1 {
        tail.extend((-1_i64).to_be_bytes());
    }
    tail.extend((-1_i32).to_be_bytes());
    tail.extend(value.map_or(-1, |value| i32::try_from(value.len()).expect("a small value")).to_be_bytes());
    tail.extend(value.unwrap_or_default());
    let mut bytes = offset.to_be_bytes().to_vec();
    bytes.extend(u32::try_from(tail.len() + 4).expect("a small message").to_be_bytes());
    bytes.extend(crc32(&tail).to_be_bytes());
    bytes.extend(tail);
    bytes
}

/// A gzip wrapper at this offset around messages at these.
fn wrapper(magic: u8, offset: i64, inner: &[i64]) -> Vec<u8> {
    let set: Vec<u8> = inner.iter().flat_map(|offset| message(magic, *offset, 0, Some(b"v"))).collect();
    message(magic, offset, 1, Some(&compress(Compression::Gzip, &set)))
}

fn legacy(bytes: Vec<u8>) -> Result<Vec<i64>, RecordError> {
    let batch = first(bytes)?;
    batch.verify().expect("the right checksum");
    Ok(decompress(&batch)?.iter().map(|record| record.offset).collect())
}

#[test]
fn class_28_offsets_within_wrappers_are_honoured() {
    assert_eq!(legacy(message(0, 7, 0, Some(b"v"))), Ok(vec![7]));
    assert_eq!(legacy(message(1, 7, 0, None)), Ok(vec![7]));
    // Format 0 has offsets of its own inside; format 1 counts from the first, and compaction leaves gaps.
    assert_eq!(legacy(wrapper(0, 9, &[5, 7, 9])), Ok(vec![5, 7, 9]));
    assert_eq!(legacy(wrapper(1, 9, &[0, 1, 2])), Ok(vec![7, 8, 9]));
    assert_eq!(legacy(wrapper(1, 9, &[1, 4])), Ok(vec![6, 9]));
    // As in format 2, what is not above the offset before it is skipped.
    assert_eq!(legacy(wrapper(0, 9, &[7, 7])), Ok(vec![7]));
    assert_eq!(legacy(wrapper(0, 9, &[5, 8, 6, 9])), Ok(vec![5, 8, 9]));
    assert_eq!(legacy(wrapper(1, 9, &[0, 0])), Ok(vec![9]));
}

#[test]
fn class_28_times_from_before_times_are_minus_one() {
    for (magic, kind) in [(0, TimestampType::None), (1, TimestampType::CreateTime)] {
        for bytes in [message(magic, 7, 0, Some(b"v")), wrapper(magic, 7, &[7])] {
            let batch = first(bytes).unwrap();
            assert_eq!(batch.timestamp_type, kind);
            assert!(decompress(&batch).unwrap().iter().all(|record| record.timestamp == -1));
        }
    }
}

#[test]
fn class_28_wrappers_that_make_no_sense_are_refused() {
    for (magic, offset, inner) in [
        (0, 9, &[][..]),
        (0, 9, &[10]),
        (0, 9, &[-5, 9]),
        (1, 9, &[3, 1]),
        (1, 2, &[0, 1, 2, 3]),
        (1, 0, &[i64::MIN, i64::MAX]),
        (1, i64::MAX, &[i64::MIN]),
        (1, 0, &[i64::MIN]),
    ] {
        let read = legacy(wrapper(magic, offset, inner));
        // A single message inside takes the offset of its wrapper, whatever it claims, unless that overflows.
        let saved = inner.len() == 1 && magic == 1 && read == Ok(vec![offset]);
        assert!(saved || read.is_err(), "format {magic} at {offset}: {inner:?} gave {read:?}");
    }
    let mut negative = message(1, 0, 0, None);
    negative[..8].copy_from_slice(&(-1_i64).to_be_bytes());
    assert_eq!(first(negative).unwrap_err(), RecordError::Offset);
    // A wrapper around nothing, around another, around the other format, and around half a message.
    let around = |set: &[u8]| legacy(message(1, 0, 1, Some(&compress(Compression::Gzip, set))));
    assert!(legacy(message(1, 0, 1, None)).is_err());
    assert!(matches!(around(&wrapper(1, 0, &[0])), Err(RecordError::Attributes(1))));
    assert!(matches!(around(&message(0, 0, 0, None)), Err(RecordError::Attributes(_))));
    let whole = message(1, 0, 0, Some(b"v"));
    for cut in 1..whole.len() {
        assert!(around(&whole[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn class_28_lengths_within_a_message_are_held_to_it() {
    for magic in [0, 1] {
        let whole = message(magic, 0, 0, Some(b"v"));
        let key = if magic == 0 { 18 } else { 26 };
        for at in [key, key + 4] {
            for length in [-2, i32::MIN, 100, i32::MAX] {
                let mut bytes = whole.clone();
                bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
                let read = decompress(&first(bytes).unwrap());
                assert_eq!(read.unwrap_err(), RecordError::Length(i64::from(length)));
            }
        }
    }
}
