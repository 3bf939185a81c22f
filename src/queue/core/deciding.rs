//! The decision of a worker about the stored state of a partition: start, continue, refuse, lease.

use super::cursor::Cursor;
use super::cursor::Lease;
use super::cursor::Span;

/// The offsets that a log has: its first record, and the end, where the next record will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// It was asked for after the stored state was read, so that nothing stored can be beyond its end for a good reason.
    pub(crate) is_newer: bool,
}

/// The stored state of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Current(Cursor),
    Expired(Cursor),
    Missing,
}

/// The reaction to an offset that is too old to be relied upon: the store's retention has passed since it was stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExpired {
    /// Go on where it says: nothing is skipped and nothing repeated. The batch has a [`Notice::Expired`].
    #[default]
    Resume,
    /// Begin as if there was none. The batch has a [`Notice::Expired`].
    StartOver,
    /// Read nothing of the partition, and return an error of kind [`NoOffset`](crate::error::Kind::NoOffset), until it is reset.
    Refuse,
}

/// The reaction to a stored offset beyond the end of the log: the topic was deleted and created again, the log was truncated, or this
/// is another cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnAhead {
    /// Read nothing of the partition, and return an error of kind [`Truncated`](crate::error::Kind::Truncated), until it is reset.
    #[default]
    Refuse,
    /// Go on with the first record of the log. The batch has a [`Notice::Ahead`].
    Earliest,
    /// Go on at the end of the log. The batch has a [`Notice::Ahead`].
    Latest,
}

/// Something that happened to the cursor of a partition, beside handing out records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The stored offset was beyond the end of the log.
    Ahead {
        /// The stored offset.
        stored: i64,
        /// The end of the log.
        end: i64,
        /// Where reading goes on.
        at: i64,
    },
    /// Records were deleted by retention before anybody had taken them: these offsets are given up.
    Deleted {
        /// The first offset.
        from: i64,
        /// The first offset that the log has.
        to: i64,
    },
    /// The stored offset was too old.
    Expired {
        /// The stored offset.
        stored: i64,
        /// Where reading goes on.
        at: i64,
    },
    /// There was no stored offset.
    Started {
        /// Where reading begins.
        at: i64,
    },
    /// A lease that had expired was taken over from another worker. Its records may have been processed.
    TakenOver {
        /// The first offset.
        from: i64,
        /// The offset after the last.
        to: i64,
    },
}

/// How a worker decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) on_ahead: OnAhead,
    pub(crate) on_expired: OnExpired,
}

/// The request of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) lease: Lease,
    pub(crate) count: u64,
    /// Where to begin if nothing is stored.
    pub(crate) start: i64,
}

/// Why a partition is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Ahead { stored: i64, end: i64 },
    Expired { stored: i64 },
}

/// The decision about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Lease these offsets, and store the cursor.
    Lease {
        cursor: Cursor,
        span: Span,
        notices: Vec<Notice>,
    },
    /// Nothing is free.
    Nothing,
    /// The log must be asked for its range again.
    Outdated,
    Refuse(Refused),
    /// Nothing is free, and the cursor is to be stored.
    Store {
        cursor: Cursor,
        notices: Vec<Notice>,
    },
}

/// Decides about the stored state of a partition.
pub(crate) fn decide(
    stored: &Stored,
    log: Log,
    rules: Rules,
    asked: Asked,
    has_expired: impl Fn(&Lease) -> bool,
) -> Decision {
    let start = asked.start.clamp(log.start, log.end.max(log.start));
    let mut notices = Vec::new();
    let mut cursor = match stored {
        Stored::Missing => {
            notices.push(Notice::Started { at: start });
            Cursor::at(start)
        }
        Stored::Expired(cursor) => match rules.on_expired {
            OnExpired::Refuse => return Decision::Refuse(Refused::Expired { stored: cursor.base }),
            OnExpired::Resume => {
                notices.push(Notice::Expired { stored: cursor.base, at: cursor.base });
                cursor.clone()
            }
            OnExpired::StartOver => {
                notices.push(Notice::Expired { stored: cursor.base, at: start });
                let mut cursor = cursor.clone();
                cursor.reset(start);
                cursor
            }
        },
        Stored::Current(cursor) => cursor.clone(),
    };
    let next = cursor.next();
    if next > log.end {
        if !log.is_newer {
            return Decision::Outdated;
        }
        let at = match rules.on_ahead {
            OnAhead::Refuse => return Decision::Refuse(Refused::Ahead { stored: next, end: log.end }),
            OnAhead::Earliest => log.start,
            OnAhead::Latest => log.end,
        };
        notices.push(Notice::Ahead { stored: next, end: log.end, at });
        cursor.reset(at);
    }
    if let Some(Span { from, to }) = cursor.skip_before(log.start, &has_expired) {
        notices.push(Notice::Deleted { from, to });
    }
    match cursor.lease(asked.lease, asked.count, log.end, &has_expired) {
        Some((span, before)) => {
            if before.is_some() {
                notices.push(Notice::TakenOver { from: span.from, to: span.to });
            }
            Decision::Lease { cursor, span, notices }
        }
        None if !notices.is_empty() => Decision::Store { cursor, notices },
        None if !log.is_newer => Decision::Outdated,
        None => Decision::Nothing,
    }
}
