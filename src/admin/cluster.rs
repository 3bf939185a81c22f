//! Describes the cluster: its id, its brokers and its controller.

use std::time::Instant;

use super::Admin;
use crate::error::Error;
use crate::error::Kind;
use crate::types::TopicName;
use crate::wire::message as m;

/// A cluster, as a broker describes it.
///
/// ```no_run
/// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
/// let cluster = admin.describe_cluster().await?;
/// for broker in cluster.brokers {
///     println!("{} at {}:{}", broker.id, broker.host, broker.port);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The broker that carries out changes.
    pub controller: Option<i32>,
    /// Its brokers, by id.
    pub brokers: Vec<BrokerDescription>,
}

/// A broker and its address. Part of a [`ClusterDescription`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerDescription {
    /// Its id.
    pub id: i32,
    /// The host on which it listens: a name or an address.
    pub host: String,
    /// The port on which it listens.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

impl Admin {
    /// The cluster's id, its brokers, and the controller among them.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        self.describe_cluster_by(self.deadline()).await
    }

    /// As [`Self::describe_cluster`], until `deadline`.
    pub(super) async fn describe_cluster_by(&self, deadline: Instant) -> Result<ClusterDescription, Error> {
        let (id, controller, brokers) = match self.cluster.call_any(m::DescribeClusterRequest, deadline).await {
            Ok(m::DescribeClusterResponse { error: Some(code), .. }) => {
                return Err(Error::broker(code, "could not describe the cluster"));
            }
            Ok(response) => (Some(response.cluster_id), response.controller, response.brokers),
            // Before 2.8 only metadata describes the cluster (KIP-700).
            Err(error) if error.kind() == Kind::Unsupported => {
                let response = self.request_metadata(Some(Vec::new()), deadline).await?;
                (response.cluster_id, response.controller, response.brokers)
            }
            Err(error) => return Err(error),
        };
        let broker = |m::Node { id, host, port, rack }| BrokerDescription { id, host, port, rack };
        let mut brokers: Vec<_> = brokers.into_iter().map(broker).collect();
        brokers.sort_by_key(|broker| broker.id);
        brokers.dedup_by_key(|broker| broker.id);
        Ok(ClusterDescription { id, controller: Some(controller).filter(|id| *id >= 0), brokers })
    }

    pub(super) async fn request_metadata(
        &self,
        topics: Option<Vec<TopicName>>,
        deadline: Instant,
    ) -> Result<m::MetadataResponse, Error> {
        let request = m::MetadataRequest { topics, ..Default::default() };
        let response = self.cluster.call_any(request, deadline).await?;
        match response.error {
            Some(code) => Err(Error::broker(code, "could not get metadata")),
            None => Ok(response),
        }
    }
}
