//! ListTransactions: the transactional ids that a broker coordinates (KIP-664, KIP-994, KIP-1152).

use super::buf::DecodeError;
use super::declare::api;
use super::declare::messages;
use super::texts::Texts;
use crate::error::Code;

/// The first version with the filter by duration (KIP-994).
const DURATION: i16 = 1;
/// The first version with the filter by pattern (KIP-1152).
const PATTERN: i16 = 2;

api! {
    ListTransactions = 66, versions 0..=2, flexible 0.., reads;
    ListTransactionsRequest => ListTransactionsResponse
}

messages! {
    ListTransactionsRequest:

    /// `ListTransactionsRequest.json`. `duration_ms: -1` matches any duration.
    request ListTransactionsRequest {
        states: Vec<String>,
        producer_ids: Vec<i64>,
        duration_ms: i64 [1..] = -1,
        pattern: Option<String> [2..],
    }

    /// `ListTransactionsResponse.json`.
    response ListTransactionsResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        unknown_states: Texts,
        transactions: Vec<ListedTransaction>,
    }

    struct ListedTransaction {
        transactional_id: Box<str>,
        producer_id: i64,
        state: Box<str>,
    }
}

impl ListTransactionsRequest {
    /// Refuses a filter that the version lacks: the broker would return every transaction.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        let lacks = |what: &str| Err(DecodeError::TooOld(format!("version {version} has no filter by {what}")));
        match version {
            ..DURATION if self.duration_ms >= 0 => lacks("duration"),
            ..PATTERN if self.pattern.is_some() => lacks("pattern"),
            _ => Ok(()),
        }
    }
}
