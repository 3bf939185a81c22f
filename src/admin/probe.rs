//! Probes a cluster: whether its brokers answer, and what they serve.

use std::time::Duration;

use super::Admin;
use super::BrokerDescription;
use crate::client::Client;
use crate::error::Error;
use crate::net::side_by_side::both;
use crate::types::TopicName;
use crate::wire::Api;
use crate::wire::message as m;

/// A cluster that answered. Returned by [`Client::probe`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Probe {
    /// Its id, if it has one.
    pub cluster_id: Option<String>,
    /// The broker that carries out changes.
    pub controller: Option<i32>,
    /// The topics that this client may see, sorted.
    pub topics: Vec<TopicName>,
    /// Its brokers, by id.
    pub brokers: Vec<ProbedBroker>,
    /// Whether the client encrypts its connections (`ClientBuilder::tls`).
    pub encrypted: bool,
    /// The user and the mechanism that the brokers which answered have accepted; `None` without SASL.
    pub authenticated: Option<String>,
}

/// A broker of a [`Probe`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProbedBroker {
    /// Its id and its address.
    pub broker: BrokerDescription,
    /// The APIs that it serves, by their keys; or why it did not answer.
    pub served: Result<Vec<ServedApi>, Error>,
}

/// An API that a broker serves. Part of a [`ProbedBroker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServedApi {
    /// Its number in Kafka's protocol.
    pub key: i16,
    /// Its name; `None` if this release does not use it.
    pub name: Option<&'static str>,
    /// The first version that is served.
    pub first: i16,
    /// The last version that is served.
    pub last: i16,
}

impl Probe {
    /// Whether there is a controller and every broker answered.
    pub fn is_healthy(&self) -> bool {
        self.controller.is_some() && self.brokers.iter().all(|broker| broker.served.is_ok())
    }
}

impl Client {
    /// Probes the cluster within `timeout`: which brokers there are, whether each answers and what it serves, the controller, and the
    /// topics. Each broker has a result of its own, so that one that is down hides no other. Nothing is created or changed.
    ///
    /// # Errors
    ///
    /// The one reason why no broker answered:
    /// [`Kind::Connect`](crate::error::Kind::Connect) or [`Kind::Timeout`](crate::error::Kind::Timeout),
    /// [`Kind::Authentication`](crate::error::Kind::Authentication) or [`Kind::Tls`](crate::error::Kind::Tls). Its causes say more:
    /// print it by `{:#}`.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) {
    /// use std::time::Duration;
    ///
    /// match client.probe(Duration::from_secs(5)).await {
    ///     Ok(probe) if probe.is_healthy() => println!("{} brokers, {} topics", probe.brokers.len(), probe.topics.len()),
    ///     Ok(probe) => {
    ///         for broker in probe.brokers.iter().filter(|broker| broker.served.is_err()) {
    ///             eprintln!("broker {} does not answer: {:?}", broker.broker.id, broker.served);
    ///         }
    ///     }
    ///     Err(error) => eprintln!("the cluster is down: {error:#}"),
    /// }
    /// # }
    /// ```
    pub async fn probe(&self, timeout: Duration) -> Result<Probe, Error> {
        let admin = self.admin().timeout(timeout);
        let deadline = admin.deadline();
        let (cluster, listed) = both(admin.describe_cluster_by(deadline), admin.request_metadata(None, deadline)).await;
        let (cluster, listed) = (cluster?, listed?);
        let mut topics: Vec<TopicName> = listed.topics.into_iter().map(|topic| (&*topic.name).into()).collect();
        topics.sort();
        topics.dedup();
        let brokers = admin.served(cluster.brokers, deadline).await;
        let authenticated = self.cluster().settings().sasl.as_ref().map(ToString::to_string);
        let (cluster_id, controller) = (cluster.id, cluster.controller);
        Ok(Probe { cluster_id, controller, topics, brokers, encrypted: self.is_encrypted(), authenticated })
    }
}

impl Client {
    #[cfg(feature = "tls")]
    fn is_encrypted(&self) -> bool {
        self.cluster().settings().tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, reason = "with TLS it depends")]
    fn is_encrypted(&self) -> bool {
        false
    }
}

impl Admin {
    async fn served(&self, brokers: Vec<BrokerDescription>, deadline: std::time::Instant) -> Vec<ProbedBroker> {
        let requests = brokers.iter().map(|broker| (broker.id, m::ApiVersionsRequest)).collect();
        let mut responses = self.at_brokers(requests, deadline).await;
        let served = |broker: BrokerDescription| {
            let response = responses.remove(&broker.id).expect("each broker has a result");
            let served = response.and_then(apis).map_err(|error| error.at_broker(broker.id.to_string()));
            ProbedBroker { broker, served }
        };
        brokers.into_iter().map(served).collect()
    }
}

fn apis(response: m::ApiVersionsResponse) -> Result<Vec<ServedApi>, Error> {
    if let Some(code) = response.error {
        return Err(Error::broker(code, "could not list the versions of APIs"));
    }
    let name = |key: i16| Api::ALL.into_iter().find(|api| api.key() == key).map(Api::name);
    let served = |(key, first, last): (i16, i16, i16)| ServedApi { key, name: name(key), first, last };
    let mut apis: Vec<ServedApi> = response.apis.into_iter().map(served).collect();
    apis.sort_by_key(|api| api.key);
    Ok(apis)
}
