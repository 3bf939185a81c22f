//! Which records a reader of a log with transactions sees, by scripts: `5+2x7` is two records of producer 7's transaction from
//! offset 5 on, `5+2` two of no transaction, `7A7` and `7C7` are producer 7's abort and commit markers, and `7U7` is a control
//! batch of an unknown type.

use bytes::Bytes;

use super::*;
use crate::codec::Codecs;
use crate::record::BatchBuilder;
use crate::record::RecordError;
use crate::record::RecordRef;
use crate::record::Stamp;
use crate::types::ProducerIdentity;
use crate::types::Sequence;

const ATTRIBUTES: usize = 21;
const CRC: usize = 17;
const CONTROL: u8 = 0x20;

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

/// One batch of a script.
fn batch(text: &str) -> Vec<u8> {
    if let Some(at) = text.find(['A', 'C', 'U']) {
        let kind = u8::try_from("ACU".find(&text[at..=at]).expect("one of these")).expect("a digit");
        // The key of a control record has a version and a type, of which 0 and 1 are known.
        let kind = if kind == 2 { 9 } else { kind };
        let key = [0, 0, 0, kind];
        let mut bytes = sealed(number(&text[..at]), 1, Some(&key), Some(number(&text[at + 1..])));
        bytes[ATTRIBUTES + 1] |= CONTROL;
        return hashed(bytes);
    }
    let (offset, rest) = text.split_once('+').expect("offset+count");
    let (count, producer) = rest.split_once('x').map_or((rest, None), |(count, id)| (count, Some(number(id))));
    sealed(number(offset), number(count), None, producer)
}

fn sealed(offset: i64, count: i64, key: Option<&[u8]>, producer: Option<i64>) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::new());
    for _ in 0..count {
        builder.append(&RecordRef { timestamp: 1, key, value: Some(b"value"), ..RecordRef::default() });
    }
    let (sealed, _) = builder.close().seal(None).expect("nothing is compressed");
    let identity = producer.map(|id| (ProducerIdentity { id, epoch: 0 }, Sequence::ZERO));
    let mut bytes = Vec::from(sealed.to_bytes(&Stamp { identity, transactional: producer.is_some() }));
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes
}

fn hashed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&bytes[ATTRIBUTES..]);
    bytes[CRC..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn payload(log: &str) -> Bytes {
    log.split_whitespace().flat_map(batch).collect::<Vec<u8>>().into()
}

/// Reads a chunk to its end: the offsets of its records.
fn read(mut chunk: Chunk) -> Vec<i64> {
    let mut offsets = Vec::new();
    while let Some(visible) = chunk.read(&Codecs::default(), 1 << 20, Vec::new).expect("good batches") {
        let offset = visible.decoded.iter().map(|record| record.offset);
        offsets.extend(offset.filter(|offset| (visible.from..visible.until).contains(offset)));
    }
    assert!(chunk.is_finished());
    offsets
}

/// Checks the offsets that a reader of committed records returns from a log whose aborted transactions are given as (producer, first
/// offset).
#[track_caller]
fn committed(log: &str, aborted: &[(i64, i64)], expected: &[i64]) {
    let chunk = Chunk::new(payload(log), Position::from(0)).without(aborted.to_vec());
    assert_eq!(read(chunk), expected, "{log} without {aborted:?}");
}

#[test]
fn abort_marker_ends_only_its_own_producers_transaction() {
    // Producer 8's transaction is still open for this reader when 7's marker comes, and the other way round.
    committed("0+1x7 1+1x8 2A7 3+1x8 4A8 5+1x7", &[(7, 0), (8, 1)], &[5]);
    committed("0+1x7 1+1x8 2A8 3+1x7 4+1x8 5A7 6C8", &[(7, 0), (8, 1)], &[4]);
    committed("0+1x7 1+1x8 2+1x9 3A8 4+1x7 5+1x9 6A7 7+1x9 8A9 9+1x7", &[(7, 0), (8, 1), (9, 2)], &[9]);
}

#[test]
fn commit_marker_of_another_producer_brings_no_aborted_record_back() {
    committed("0+1x7 1+1x8 2C8 3+1x7 4A7 5+1x8 6C8", &[(7, 0)], &[1, 5]);
    committed("0+2x7 2+1x8 3+1 4C8 5+1x7 6+1x9 7A7 8C9", &[(7, 0)], &[2, 3, 6]);
}

#[test]
fn every_interleaving_of_two_aborting_producers_returns_nothing_of_theirs() {
    // Producer 7 writes twice and aborts, producer 8 as well, in each of the 20 orders; 9 commits all along.
    for order in 0_u32..64 {
        if order.count_ones() != 3 {
            continue;
        }
        let (mut log, mut aborted, mut expected) = (String::new(), Vec::new(), Vec::new());
        let mut steps = [0, 0];
        let mut offset = 0;
        for turn in 0..6 {
            let producer = usize::from(order >> turn & 1 == 1);
            let id = 7 + i64::try_from(producer).unwrap();
            match steps[producer] {
                0 => aborted.push((id, offset)),
                2 => log += &format!("{offset}A{id} "),
                _ => {}
            }
            if steps[producer] < 2 {
                log += &format!("{offset}+1x{id} ");
            }
            steps[producer] += 1;
            log += &format!("{}+1x9 ", offset + 1);
            expected.push(offset + 1);
            offset += 2;
        }
        log += &format!("{offset}C9");
        committed(&log, &aborted, &expected);
    }
}

#[test]
fn each_of_one_producers_transactions_is_judged_by_itself() {
    let log = "0+1x7 1A7 2+1x7 3C7 4+1x7 5A7 6+1x7 7C7 8+1x7 9A7";
    for aborted in [[(7, 0), (7, 4), (7, 8)], [(7, 8), (7, 0), (7, 4)], [(7, 4), (7, 8), (7, 0)]] {
        committed(log, &aborted, &[2, 6]);
    }
    // Another producer aborts between two transactions of the first.
    committed("0+1x7 1+1x8 2A7 3+1x7 4A8 5C7 6+1x8 7C8", &[(7, 0), (8, 1)], &[3, 6]);
}

#[test]
fn transaction_listed_twice_ends_with_one_marker() {
    committed("0+1x7 1A7 2+1x7 3C7", &[(7, 0), (7, 0)], &[2]);
    committed("0+1x7 1+1x8 2A7 3+1x7 4A8 5C7", &[(8, 1), (7, 0), (8, 1), (7, 0)], &[3]);
}

#[test]
fn open_transaction_of_the_list_hides_its_producers_records_to_the_end() {
    // The marker is beyond what was fetched.
    committed("0+1x7 1+1x8 2C8 3+1x7 4+1", &[(7, 0)], &[1, 4]);
    // It began before what was fetched.
    let chunk = Chunk::new(payload("5+1x7 6+1x8 7A7 8+1x7 9C8"), Position::from(5)).without(vec![(7, 1)]);
    assert_eq!(read(chunk), [6, 8]);
}

#[test]
fn control_batch_of_unknown_type_ends_no_transaction() {
    committed("0+1x7 1U7 2+1x7 3A7 4+1x7", &[(7, 0)], &[4]);
    committed("0+1x7 1U8 2+1x8 3A7 4C8", &[(7, 0)], &[2]);
}

#[test]
fn only_batches_at_or_after_a_transactions_first_offset_are_left_out() {
    committed("0+1x7 1C7 2+1x7 3A7", &[(7, 2)], &[0]);
    committed("0+2x7 2C7 3+2x7 5A7 6+1x7", &[(7, 3)], &[0, 1, 6]);
}

#[test]
fn reader_of_uncommitted_records_sees_all_but_control_batches() {
    let chunk = Chunk::new(payload("0+1x7 1+1x8 2A8 3+1x7 4A7 5U9 6+1"), Position::from(0));
    assert_eq!(read(chunk), [0, 1, 3, 6]);
}

#[test]
fn position_passes_every_batch_that_is_left_out() {
    let mut chunk = Chunk::new(payload("0+3x7 3+2x8 5A7 6C8"), Position::from(0)).without(vec![(7, 0)]);
    let visible = chunk.read(&Codecs::default(), 1 << 20, Vec::new).unwrap().expect("producer 8 committed");
    assert_eq!((visible.from, chunk.position().offset), (3, 5));
    assert!(chunk.read(&Codecs::default(), 1 << 20, Vec::new).unwrap().is_none());
    assert_eq!(chunk.position().offset, 7);
}

#[test]
fn records_that_go_back_are_skipped_and_the_position_passes_the_batch() {
    let mut bytes = batch("10+3");
    // The offset deltas are the fourth byte of each record of nine.
    let first = bytes.len() - 3 * (bytes.len() - crate::record::HEADER_LEN) / 3;
    let each = (bytes.len() - first) / 3;
    bytes[first + each + 3] = 0;
    let mut chunk = Chunk::new([hashed(bytes), batch("13+1")].concat().into(), Position::from(10));
    let visible = chunk.read(&Codecs::default(), 1 << 20, Vec::new).unwrap().expect("a batch");
    assert_eq!(visible.decoded.iter().map(|record| record.offset).collect::<Vec<_>>(), [10, 12]);
    assert_eq!(chunk.position().offset, 13);
    assert_eq!(read(chunk), [13]);
}

#[test]
fn forged_marker_is_an_error_and_the_position_stays_before_it() {
    let mut forged = batch("1A7");
    *forged.last_mut().unwrap() ^= 1;
    let bytes = [batch("0+1x7"), forged, batch("2+1x7")].concat();
    let mut chunk = Chunk::new(bytes.into(), Position::from(0)).without(vec![(7, 0)]);
    let unreadable = chunk.read(&Codecs::default(), 1 << 20, Vec::new).unwrap_err();
    assert!(matches!(unreadable.error, RecordError::Crc { .. }));
    assert_eq!((unreadable.offset, chunk.position().offset), (1, 1));
}
