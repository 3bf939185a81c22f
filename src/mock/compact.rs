//! Compaction as Kafka's log cleaner does it (`Cleaner.cleanInto`, `MemoryRecords.filterTo`): records keep their offsets,
//! batches keep their last offsets, records in between are removed, and some batches become empty.

use std::collections::HashMap;

use bytes::Bytes;

use crate::codec::Codecs;
use crate::mock::check::DELETE_HORIZON;
use crate::mock::check::HEAD_LEN;
use crate::mock::check::Head;
use crate::mock::check::NO_TIMESTAMP;
use crate::mock::check::decompress;
use crate::mock::encode::Draft;
use crate::mock::encode::Entry;
use crate::mock::walk::RawRecord;
use crate::mock::walk::Walk;

/// A stored batch.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) head: [u8; HEAD_LEN],
    pub(super) body: Bytes,
}

/// Compacts the first `count` batches: only the last record of each key stays, and none of an aborted transaction.
///
/// Returns the remaining batches and the number of removed records. `last_offset` returns the base offset of a producer's last
/// batch, which stays although it is empty; `is_aborted` takes the producer and base offset of a transactional batch.
pub(super) fn clean(
    pieces: Vec<Piece>,
    count: usize,
    horizon_ms: i64,
    codecs: &Codecs,
    last_offset: impl Fn(i64) -> Option<i64>,
    is_aborted: impl Fn(i64, i64) -> bool,
) -> (Vec<Piece>, usize) {
    let aborted = |head: &Head| head.is_transactional() && is_aborted(head.producer_id, head.base_offset);
    let mut latest: HashMap<Bytes, i64> = HashMap::new();
    for piece in &pieces {
        let head = Head::read(&piece.head);
        if head.is_control() || aborted(&head) {
            continue;
        }
        for entry in entries(piece, &head, codecs) {
            if let Some(key) = entry.key {
                latest.insert(key, head.base_offset + i64::from(entry.offset_delta));
            }
        }
    }
    let mut left = Vec::with_capacity(pieces.len());
    let mut gone = 0;
    for (index, piece) in pieces.into_iter().enumerate() {
        let head = Head::read(&piece.head);
        // A marker stays as long as a consumer may need it.
        if index >= count || head.is_control() || head.count == 0 {
            left.push(piece);
            continue;
        }
        let (all, discarded) = (entries(&piece, &head, codecs), aborted(&head));
        let stays = |entry: &Entry| {
            let offset = head.base_offset + i64::from(entry.offset_delta);
            !discarded && entry.key.as_ref().is_some_and(|key| latest.get(key) == Some(&offset))
        };
        let before = all.len();
        let kept: Vec<Entry> = all.into_iter().filter(stays).collect();
        gone += before - kept.len();
        let last_of_producer = head.producer_id >= 0 && last_offset(head.producer_id) == Some(head.base_offset);
        if kept.is_empty() && !last_of_producer {
            continue;
        }
        let tombstones = kept.iter().any(|entry| entry.value.is_none()) && head.attributes & DELETE_HORIZON == 0;
        let same = kept.len() == before && !tombstones;
        let rewritten = if same { None } else { rewrite(&head, kept, tombstones.then_some(horizon_ms), codecs) };
        left.push(rewritten.unwrap_or(piece));
    }
    (left, gone)
}

/// The batch with fewer records and the same offsets.
fn rewrite(head: &Head, entries: Vec<Entry>, horizon_ms: Option<i64>, codecs: &Codecs) -> Option<Piece> {
    let latest = entries.iter().map(|entry| entry.timestamp).max();
    let first = entries.first().map(|entry| entry.timestamp);
    let draft = Draft {
        base_offset: head.base_offset,
        leader_epoch: head.leader_epoch,
        attributes: match (horizon_ms, latest) {
            (Some(_), _) => head.attributes | DELETE_HORIZON,
            // `DefaultRecordBatch.writeEmptyHeader` writes no compression.
            (None, None) => head.attributes & !0x07,
            (None, Some(_)) => head.attributes,
        },
        last_offset_delta: head.last_offset_delta,
        base_timestamp: horizon_ms.or(first).unwrap_or(NO_TIMESTAMP),
        max_timestamp: latest.unwrap_or(head.max_timestamp),
        producer: (head.producer_id, head.producer_epoch, head.base_sequence),
        entries,
    };
    let bytes = draft.write(codecs)?;
    Some(Piece { head: *bytes.first_chunk()?, body: bytes.slice(HEAD_LEN..) })
}

fn entries(piece: &Piece, head: &Head, codecs: &Codecs) -> Vec<Entry> {
    let mut scratch = Vec::new();
    let Some(compression) = head.compression() else { return Vec::new() };
    let Ok(plain) = decompress(&piece.body, compression, codecs, &mut scratch) else { return Vec::new() };
    let mut walk = Walk::new(plain);
    std::iter::from_fn(|| walk.next_record()).map(|raw| entry(head, &raw)).collect()
}

fn entry(head: &Head, raw: &RawRecord<'_>) -> Entry {
    let own = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    Entry {
        offset_delta: raw.offset_delta,
        timestamp: head.base_timestamp + raw.timestamp_delta,
        key: raw.key.map(own),
        value: raw.value.map(own),
        headers: raw.headers.iter().map(|(key, value)| (own(key), value.map(own))).collect(),
    }
}
