//! DescribeCluster: the cluster's id, its controller and its brokers.

use kafka_protocol::messages as kp;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::control::put;
use super::declare::api;
use super::declare::messages;
use super::message::Node;
use crate::error::Code;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeClusterRequest;

api! {
    DescribeCluster = 60, versions 0..=2, flexible 0.., reads;
    DescribeClusterRequest by kafka_protocol => DescribeClusterResponse
}

messages! {
    DescribeClusterRequest:

    /// `DescribeClusterResponse.json`.
    response DescribeClusterResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        _: Option<String>,
        /// Whether these are brokers or controllers. The request is for brokers.
        _: i8 [1..],
        cluster_id: String,
        controller: i32,
        brokers: Vec<Node> as Vec<ClusterBroker>,
        /// The authorized operations, which the request does not include.
        _: i32,
    }

    layout ClusterBroker for Node {
        id: i32,
        host: String,
        port: i32,
        rack: Option<String>,
        /// Whether it is fenced.
        _: bool [2..],
    }
}

impl DescribeClusterRequest {
    #[allow(clippy::unused_self, reason = "as every request is written")]
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let request = kp::DescribeClusterRequest::default();
        put(&if version >= 1 { request.with_endpoint_type(1) } else { request }, version, out)
    }
}
