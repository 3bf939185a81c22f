//! Describes the cluster: its id, its brokers, its controller, and what the client may do with it.

use std::time::Instant;

use super::Admin;
use super::acls::AclOperation;
use super::refused;
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
    /// The broker that carries out changes. With KRaft it is any broker, which passes them on to the controllers.
    pub controller: Option<i32>,
    /// The brokers that serve, by id.
    pub brokers: Vec<BrokerDescription>,
    /// The brokers that are registered and fenced: they are down, or starting. Empty before Kafka 4.0, which does not list them
    /// (KIP-1073).
    pub fenced: Vec<BrokerDescription>,
    /// The operations on the cluster that this client is allowed; `None` before Kafka 2.8.
    pub authorized_operations: Option<Vec<AclOperation>>,
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
    /// The cluster's id, its brokers, the controller among them, and what this client may do with it.
    ///
    /// Brokers before 2.8 tell the same by their metadata, without operations. The addresses of KRaft's controllers are not known to
    /// brokers (KIP-919): `describe_quorum` has the ids of the controllers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        self.describe_cluster_by(self.deadline()).await
    }

    /// As [`Self::describe_cluster`], until `deadline`.
    pub(super) async fn describe_cluster_by(&self, deadline: Instant) -> Result<ClusterDescription, Error> {
        let request = m::DescribeClusterRequest { include_operations: true, endpoints: BROKERS, include_fenced: true };
        match self.cluster.call_any(request, deadline).await {
            Ok(m::DescribeClusterResponse { error: Some(code), message, .. }) => {
                Err(refused(code, "could not describe the cluster", message.as_deref()))
            }
            Ok(response) => Ok(described(response)),
            // Before 2.8 only metadata describes the cluster (KIP-700).
            Err(error) if error.kind() == Kind::Unsupported => self.describe_cluster_by_metadata(deadline).await,
            Err(error) => Err(error),
        }
    }

    async fn describe_cluster_by_metadata(&self, deadline: Instant) -> Result<ClusterDescription, Error> {
        let response = self.request_metadata(Some(Vec::new()), deadline).await?;
        let broker = |m::Node { id, host, port, rack }| BrokerDescription { id, host, port, rack };
        Ok(ClusterDescription {
            id: response.cluster_id,
            controller: Some(response.controller).filter(|id| *id >= 0),
            brokers: by_id(response.brokers.into_iter().map(broker).collect()),
            fenced: Vec::new(),
            authorized_operations: None,
        })
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

/// The type of endpoint that brokers describe.
const BROKERS: i8 = 1;

fn described(response: m::DescribeClusterResponse) -> ClusterDescription {
    let (fenced, brokers): (Vec<_>, Vec<_>) = response.brokers.into_iter().partition(|broker| broker.fenced);
    let broker = |m::ClusterBroker { id, host, port, rack, .. }| BrokerDescription {
        id,
        host: host.into(),
        port,
        rack: rack.map(Into::into),
    };
    ClusterDescription {
        id: Some(response.cluster_id),
        controller: Some(response.controller).filter(|id| *id >= 0),
        brokers: by_id(brokers.into_iter().map(broker).collect()),
        fenced: by_id(fenced.into_iter().map(broker).collect()),
        authorized_operations: operations(response.operations),
    }
}

/// The brokers in the order of their ids, each once.
fn by_id(mut brokers: Vec<BrokerDescription>) -> Vec<BrokerDescription> {
    brokers.sort_by_key(|broker| broker.id);
    brokers.dedup_by_key(|broker| broker.id);
    brokers
}

/// The operations of a bit field, in which the bit of an operation is its number. `i32::MIN` stands for none.
pub(super) fn operations(bits: i32) -> Option<Vec<AclOperation>> {
    if bits == i32::MIN {
        return None;
    }
    Some((0_i8..31).filter(|bit| bits & (1 << bit) != 0).map(AclOperation::from_wire).collect())
}
