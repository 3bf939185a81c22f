//! DescribeProducers: the producers whose state the leaders of partitions keep (KIP-664).

use super::declare::api;
use super::declare::messages;
use super::thin::ThinList;
use crate::error::Code;
use crate::types::TopicName;

api! {
    DescribeProducers = 61, versions 0..=0, flexible 0.., reads;
    DescribeProducersRequest => DescribeProducersResponse
}

messages! {
    DescribeProducersRequest:

    /// `DescribeProducersRequest.json`.
    request DescribeProducersRequest {
        topics: Vec<TopicIndexes>,
    }

    struct TopicIndexes {
        name: TopicName,
        partitions: Vec<i32>,
    }

    /// `DescribeProducersResponse.json`.
    response DescribeProducersResponse {
        throttle_time_ms: i32,
        topics: Vec<ProducersOfTopic>,
    }

    struct ProducersOfTopic {
        name: Box<str>,
        partitions: ThinList<ProducersOfPartition>,
    }

    struct ProducersOfPartition {
        index: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
        producers: Box<[ActiveProducer]>,
    }

    /// −1 stands for no sequence, no timestamp, no coordinator and no transaction.
    struct ActiveProducer {
        id: i64,
        epoch: i32,
        last_sequence: i32 = -1,
        last_timestamp: i64 = -1,
        coordinator_epoch: i32,
        transaction_start: i64 = -1,
    }
}
