//! Where a reader is in a partition.

use crate::types::LeaderEpoch;

/// An offset, and the leader epoch of the record before it, by which a truncated log is detected (KIP-320).
///
/// ```
/// use ottla::consumer::Position;
///
/// assert_eq!(Position::from(42), Position { offset: 42, epoch: None });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The offset of the next record.
    pub offset: i64,
    /// The leader epoch of the record before it, if that is known.
    pub epoch: Option<LeaderEpoch>,
}

impl From<i64> for Position {
    fn from(offset: i64) -> Self {
        Self { offset, epoch: None }
    }
}
