//! DescribeCluster: the cluster's id, its controller and its brokers.

use super::declare::api;
use super::declare::messages;
use crate::error::Code;

api! {
    DescribeCluster = 60, versions 0..=2, flexible 0.., reads;
    DescribeClusterRequest => DescribeClusterResponse
}

messages! {
    DescribeClusterRequest:

    /// `DescribeClusterRequest.json`. `endpoints`: 1 brokers, 2 controllers, which brokers refuse (KIP-919).
    request DescribeClusterRequest {
        include_operations: bool,
        endpoints: i8 [1..] = 1,
        include_fenced: bool [2..],
    }

    /// `DescribeClusterResponse.json`.
    response DescribeClusterResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        message: Option<Box<str>>,
        endpoints: i8 [1..] = 1,
        cluster_id: String,
        controller: i32,
        brokers: Vec<ClusterBroker>,
        /// Bits of the operations that the principal may do on the cluster; `i32::MIN` where they were not requested.
        operations: i32,
    }

    struct ClusterBroker {
        id: i32,
        host: Box<str>,
        port: i32,
        rack: Option<Box<str>>,
        /// Whether it is registered and may not serve (KIP-1073).
        fenced: bool [2..],
    }
}
