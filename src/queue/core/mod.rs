//! The leases of one partition: which offsets are processed, which are leased to whom, and which are free. It knows no store, no
//! network and no clock.
//!
//! ```text
//!        base                                             next
//!   done  │  leased a  │  done  │  free  │  leased b       │  never leased yet
//!         └── windows, without gaps ──────────────────────┘
//!
//!   free ──lease──> leased ──finish──> done ──at the front──> the base moves over it
//!     └───────<──── release, expiry ─────┘ only before it is done
//! ```
//!
//! A window is a range of offsets, not of records: where compaction or markers of transactions leave offsets without a record, it has
//! fewer records than offsets. A [`Cursor`] is a value that a store replaces as a whole by compare-and-set, so a decision counts only if
//! nobody has decided anything else meanwhile.

mod cursor;
mod deciding;
mod format;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use self::cursor::Cursor;
pub(crate) use self::cursor::Lease;
pub(crate) use self::cursor::LeaseId;
pub(crate) use self::cursor::Lost;
pub(crate) use self::cursor::Span;
pub(crate) use self::deciding::Asked;
pub(crate) use self::deciding::Decision;
pub(crate) use self::deciding::Log;
pub use self::deciding::Notice;
pub use self::deciding::OnAhead;
pub use self::deciding::OnExpired;
pub(crate) use self::deciding::Refused;
pub(crate) use self::deciding::Rules;
pub(crate) use self::deciding::Stored;
pub(crate) use self::deciding::decide;
pub(crate) use self::watch::Watch;
