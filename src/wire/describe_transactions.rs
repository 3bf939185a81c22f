//! DescribeTransactions: the transactions of transactional ids (KIP-664).

use super::declare::api;
use super::declare::messages;
use super::thin::ThinList;
use crate::error::Code;

api! {
    DescribeTransactions = 65, versions 0..=0, flexible 0.., reads;
    DescribeTransactionsRequest => DescribeTransactionsResponse
}

messages! {
    DescribeTransactionsRequest:

    /// `DescribeTransactionsRequest.json`.
    request DescribeTransactionsRequest {
        transactional_ids: Vec<String>,
    }

    /// `DescribeTransactionsResponse.json`.
    response DescribeTransactionsResponse {
        throttle_time_ms: i32,
        transactions: Vec<DescribedTransaction>,
    }

    /// `start_time_ms` is −1 where no transaction is open.
    struct DescribedTransaction {
        error: Option<Code>,
        transactional_id: Box<str>,
        state: Box<str>,
        timeout_ms: i32,
        start_time_ms: i64,
        producer_id: i64,
        producer_epoch: i16,
        topics: Box<[TransactionTopic]>,
    }

    struct TransactionTopic {
        name: Box<str>,
        partitions: ThinList<i32>,
    }
}
