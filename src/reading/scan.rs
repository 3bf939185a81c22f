//! Finds how far a payload reaches from the headers of its batches, without decoding any record.

use crate::types::LeaderEpoch;

/// The extent of a payload, read from the headers of its batches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The last offset of the last whole batch, and its leader epoch.
    pub(crate) last: Option<(i64, Option<LeaderEpoch>)>,
    /// The size of the truncated batch at the end, `None` if there is none.
    pub(crate) cut: Option<i64>,
    /// The bytes after the last whole batch are not a batch.
    pub(crate) is_broken: bool,
}

/// Offset and length: the bytes that the length does not count.
const PREFIX: usize = 12;
const LENGTH: usize = 8;
const EPOCH: usize = 12;
const MAGIC: usize = 16;
const LAST_OFFSET_DELTA: usize = 23;
const HEADER: u8 = 61;
/// The fewest bytes after the prefix in any format.
const LEAST: usize = 14;

impl Scan {
    pub(crate) fn new(payload: &[u8]) -> Self {
        let mut rest = payload;
        let mut last = None;
        let (mut cut, mut is_broken) = (None, false);
        while let Some(declared) = rest.get(LENGTH..PREFIX).map(be_i32) {
            let Some(length) = usize::try_from(declared).ok().filter(|length| *length >= LEAST) else {
                is_broken = true;
                break;
            };
            let Some((batch, after)) = rest.split_at_checked(PREFIX + length) else {
                cut = Some(12 + i64::from(declared));
                break;
            };
            (last, rest) = (Some(batch), after);
        }
        if cut.is_none() && !is_broken && !rest.is_empty() {
            cut = Some(i64::from(HEADER));
        }
        let last = last.map(ending);
        is_broken |= last.is_some_and(|last| last.is_none());
        Self { last: last.flatten(), cut, is_broken }
    }
}

/// The last offset and the epoch of a whole batch, `None` if its header is invalid.
fn ending(batch: &[u8]) -> Option<(i64, Option<LeaderEpoch>)> {
    let base = i64::from_be_bytes(batch[..LENGTH].try_into().expect("eight bytes"));
    let (delta, epoch) = match (batch[MAGIC], batch.len() >= usize::from(HEADER)) {
        (0 | 1, _) => (0, None),
        (2, true) => (be_i32(&batch[LAST_OFFSET_DELTA..]), LeaderEpoch::from_wire(be_i32(&batch[EPOCH..]))),
        _ => return None,
    };
    let last = base.checked_add(i64::from(delta)).filter(|last| base >= 0 && *last >= base && *last < i64::MAX)?;
    Some((last, epoch))
}

fn be_i32(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}
