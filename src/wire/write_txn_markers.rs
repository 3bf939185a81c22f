//! WriteTxnMarkers: ends a transaction on partitions that its coordinator has forgotten (KIP-664).

use super::declare::api;
use super::declare::messages;
use super::message::TopicIndexes;
use super::thin::ThinList;
use crate::error::Code;

api! {
    WriteTxnMarkers = 27, versions 1..=1, flexible 1.., writes;
    WriteTxnMarkersRequest => WriteTxnMarkersResponse
}

messages! {
    WriteTxnMarkersRequest:

    /// `WriteTxnMarkersRequest.json`. Version 2 is for the coordinators of brokers.
    request WriteTxnMarkersRequest {
        markers: Vec<TransactionMarker>,
    }

    struct TransactionMarker {
        producer_id: i64,
        producer_epoch: i16,
        /// Whether the transaction commits, or else aborts.
        commits: bool,
        topics: Vec<TopicIndexes>,
        coordinator_epoch: i32,
    }

    /// `WriteTxnMarkersResponse.json`.
    response WriteTxnMarkersResponse {
        /// In no version.
        throttle_time_ms: i32 [2..],
        markers: Vec<WrittenMarker>,
    }

    struct WrittenMarker {
        producer_id: i64,
        topics: ThinList<MarkedTopic>,
    }

    struct MarkedTopic {
        name: Box<str>,
        partitions: ThinList<MarkedPartition>,
    }

    struct MarkedPartition {
        index: i32,
        error: Option<Code>,
    }
}
