//! DescribeCluster: the cluster's id, its controller and its brokers.

use super::buf::Chunks;
use super::declare::api;
use super::declare::messages;
use super::message::Node;
use crate::error::Code;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeClusterRequest;

api! {
    DescribeCluster = 60, versions 0..=2, flexible 0.., reads;
    DescribeClusterRequest by hand => DescribeClusterResponse
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
    fn put(&self, version: i16, out: &mut Chunks) {
        // Without the authorized operations.
        out.put_bool(false);
        if version >= 1 {
            // Brokers, not controllers.
            out.put_i8(1);
        }
        if version >= 2 {
            // Without fenced brokers.
            out.put_bool(false);
        }
        out.put_no_tags();
    }
}
