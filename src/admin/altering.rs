//! Changes single entries of configurations (KIP-339).

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Instant;

use super::Admin;
use super::ConfigResource;
use super::TARGET;
use super::refused;
use crate::client::Target;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::types::inserted;
use crate::wire::message as m;

/// Changes of one resource's configuration. Entries that are not named stay as they are.
///
/// ```
/// use ottla::admin::ConfigChange;
/// use ottla::admin::ConfigResource;
///
/// let change = ConfigChange::new(ConfigResource::topic("events"))
///     .set("retention.ms", "86400000")
///     .append("cleanup.policy", "compact")
///     .delete("max.message.bytes");
/// ```
#[derive(Clone, Debug)]
pub struct ConfigChange {
    resource: ConfigResource,
    entries: Vec<m::AlteredConfig>,
}

impl ConfigChange {
    /// No change yet.
    pub fn new(resource: ConfigResource) -> Self {
        Self { resource, entries: Vec::new() }
    }

    /// Sets an entry to a value.
    pub fn set(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.add(name.into(), SET, Some(value.into()))
    }

    /// Removes an entry, so that it has its default again.
    pub fn delete(self, name: impl Into<String>) -> Self {
        self.add(name.into(), DELETE, None)
    }

    /// Adds elements, separated by commas, to an entry that is a list. Those that it has already are not added.
    pub fn append(self, name: impl Into<String>, elements: impl Into<String>) -> Self {
        self.add(name.into(), APPEND, Some(elements.into()))
    }

    /// Removes elements, separated by commas, from an entry that is a list.
    pub fn subtract(self, name: impl Into<String>, elements: impl Into<String>) -> Self {
        self.add(name.into(), SUBTRACT, Some(elements.into()))
    }

    fn add(mut self, name: String, operation: i8, value: Option<String>) -> Self {
        self.entries.push(m::AlteredConfig { name, operation, value });
        self
    }
}

/// `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// The changes of each resource.
type Changes = BTreeMap<ConfigResource, Vec<m::AlteredConfig>>;

/// The outcome of each resource.
type Altered = BTreeMap<ConfigResource, Result<(), Error>>;

impl Admin {
    /// Changes configurations. Each resource has an outcome of its own, in the order of the call: all of its changes are made, or none.
    /// Several changes of one resource are made as one.
    ///
    /// A broker's own configuration is changed by that broker, all others by any broker. A change whose response was lost is not
    /// repeated: its outcome is unknown ([`Error::is_written`]).
    ///
    /// # Errors
    ///
    /// [`INVALID_CONFIG`](crate::error::Code::InvalidConfig) for an entry or a value that the resource does not take;
    /// [`Kind::Unsupported`] from brokers before 2.3.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::ConfigChange;
    /// use ottla::admin::ConfigResource;
    ///
    /// let change = ConfigChange::new(ConfigResource::topic("events")).set("retention.ms", "86400000");
    /// for (_, outcome) in admin.alter_configs([change]).await {
    ///     outcome?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn alter_configs(
        &self,
        changes: impl IntoIterator<Item = ConfigChange>,
    ) -> Vec<(ConfigResource, Result<(), Error>)> {
        self.alter(changes.into_iter().collect(), false).await
    }

    /// As [`Admin::alter_configs`], without a change: the outcomes are those that the brokers would give.
    pub async fn validate_configs(
        &self,
        changes: impl IntoIterator<Item = ConfigChange>,
    ) -> Vec<(ConfigResource, Result<(), Error>)> {
        self.alter(changes.into_iter().collect(), true).await
    }

    async fn alter(&self, changes: Vec<ConfigChange>, validate_only: bool) -> Vec<(ConfigResource, Result<(), Error>)> {
        let deadline = self.deadline();
        let order: Vec<ConfigResource> = changes.iter().map(|change| change.resource.clone()).collect();
        let mut altered = Altered::new();
        let mut of_brokers: BTreeMap<i32, Changes> = BTreeMap::new();
        let mut of_any: BTreeMap<i8, Changes> = BTreeMap::new();
        for ConfigChange { resource, entries } in changes {
            let changes = match (resource.check(), resource.broker()) {
                (Ok(()), Some(broker)) => of_brokers.entry(broker).or_default(),
                // A type that the broker does not know fails a whole request.
                (Ok(()), None) => of_any.entry(resource.class()).or_default(),
                (Err(error), _) => {
                    altered.insert(resource, Err(error));
                    continue;
                }
            };
            changes.entry(resource).or_default().extend(entries);
        }
        let requests = of_brokers.iter().map(|(broker, changes)| (*broker, request(changes, validate_only))).collect();
        for (broker, response) in self.at_brokers(requests, deadline).await {
            altered.extend(outcomes(of_brokers.remove(&broker).unwrap_or_default(), response));
        }
        for changes in of_any.into_values() {
            let response = self.alter_at_any(request(&changes, validate_only), deadline).await;
            altered.extend(outcomes(changes, response));
        }
        let changed = altered.values().filter(|outcome| outcome.is_ok()).count();
        if !validate_only {
            tracing::info!(target: TARGET, changed, refused = altered.len() - changed, "configurations changed");
        }
        let outcome = |resource: &ConfigResource| altered[resource].clone();
        order.into_iter().map(|resource| (resource.clone(), outcome(&resource))).collect()
    }

    /// Sends a change to any broker, which passes it on to the controller. Only a request that was not sent is repeated.
    async fn alter_at_any(
        &self,
        request: m::IncrementalAlterConfigsRequest,
        deadline: Instant,
    ) -> Result<m::IncrementalAlterConfigsResponse, Error> {
        let mut retry = self.cluster.retry(deadline);
        loop {
            let until = self.cluster.request_deadline(deadline);
            match self.cluster.call(Target::Any, request.clone(), until).await {
                Err(error) if error.is_written() == Some(Written::No) => retry.pause(error).await?,
                decided => return decided,
            }
        }
    }
}

fn request(changes: &Changes, validate_only: bool) -> m::IncrementalAlterConfigsRequest {
    let resource = |(resource, configs): (&ConfigResource, &Vec<m::AlteredConfig>)| {
        let (kind, name) = resource.to_wire();
        m::AlteredResource { kind, name, configs: configs.clone() }
    };
    m::IncrementalAlterConfigsRequest { resources: changes.iter().map(resource).collect(), validate_only }
}

/// The outcome of each resource of a request. Results for other resources are ignored, and so is a second result for a resource.
fn outcomes(changes: Changes, response: Result<m::IncrementalAlterConfigsResponse, Error>) -> Altered {
    let mut found: HashMap<(i8, String), m::AlterConfigsResult> = HashMap::new();
    let results = response.map_err(too_old).map(|response| {
        for result in response.results {
            found.entry((result.kind, result.name.to_string())).or_insert(result);
        }
    });
    let outcome = |resource: ConfigResource| {
        let outcome = match (&results, found.remove(&resource.to_wire())) {
            (Err(error), _) => Err(error.clone()),
            (Ok(()), None) => Err(Error::protocol("the broker did not mention the configuration")),
            (Ok(()), Some(m::AlterConfigsResult { error: Some(code), message, .. })) => {
                let message = message.as_deref().map(|message| &**message);
                Err(refused(code, "could not change the configuration", message))
            }
            (Ok(()), Some(_)) => Ok(()),
        };
        let outcome = outcome.map_err(|error| resource.named(error));
        (resource, outcome)
    };
    inserted(changes.into_keys().map(outcome))
}

/// Names the release that is needed.
fn too_old(error: Error) -> Error {
    if error.kind() != Kind::Unsupported {
        return error;
    }
    let text = "the broker cannot change single entries of a configuration: it is older than Kafka 2.3";
    Error::new(Kind::Unsupported, text).caused_by(error)
}
