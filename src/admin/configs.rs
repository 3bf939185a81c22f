//! Describes configurations: of topics, brokers, groups and subscriptions to metrics.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Admin;
use super::check_name;
use super::refused;
use crate::error::Error;
use crate::types::TopicName;
use crate::wire::message as m;
use std::collections::HashMap;

/// A resource that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConfigResource {
    /// A broker, by its id.
    Broker(i32),
    /// The dynamic configuration that all brokers share.
    BrokerDefaults,
    /// The levels of a broker's loggers (KIP-412).
    BrokerLoggers(i32),
    /// A subscription to clients' metrics, by its name. Needs Kafka 3.7 (KIP-714).
    ClientMetrics(String),
    /// A consumer group. Needs Kafka 3.9 or later with groups of KIP-848.
    Group(String),
    /// A topic.
    Topic(TopicName),
}

impl ConfigResource {
    /// A topic.
    pub fn topic(name: impl Into<TopicName>) -> Self {
        Self::Topic(name.into())
    }

    /// The number of its type (`ConfigResource.Type`) and its name.
    pub(super) fn to_wire(&self) -> (i8, String) {
        match self {
            Self::Broker(id) => (BROKER, id.to_string()),
            Self::BrokerDefaults => (BROKER, String::new()),
            Self::BrokerLoggers(id) => (BROKER_LOGGERS, id.to_string()),
            Self::ClientMetrics(name) => (CLIENT_METRICS, name.clone()),
            Self::Group(name) => (GROUP, name.clone()),
            Self::Topic(name) => (TOPIC, name.to_string()),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Topic(name) => check_name(name),
            Self::ClientMetrics(name) | Self::Group(name) if name.is_empty() => {
                Err(Error::config("the resource has no name: name the group or the subscription"))
            }
            Self::ClientMetrics(name) | Self::Group(name) if name.len() > NAME_BYTES_MAX => {
                Err(Error::config(format!("a name of a resource has more than {NAME_BYTES_MAX} bytes")))
            }
            Self::Broker(_)
            | Self::BrokerDefaults
            | Self::BrokerLoggers(_)
            | Self::ClientMetrics(_)
            | Self::Group(_) => Ok(()),
        }
    }

    /// The only broker that knows it, as in Java's `KafkaAdminClient.nodeFor`.
    pub(super) fn broker(&self) -> Option<i32> {
        match self {
            Self::Broker(id) | Self::BrokerLoggers(id) => Some(*id),
            Self::BrokerDefaults | Self::ClientMetrics(_) | Self::Group(_) | Self::Topic(_) => None,
        }
    }

    /// Resources of one class may be in one request: topics and brokers, which every broker knows, and each type that came later.
    pub(super) fn class(&self) -> i8 {
        match self.to_wire().0 {
            TOPIC | BROKER => 0,
            kind => kind,
        }
    }

    pub(super) fn named(&self, error: Error) -> Error {
        match self {
            Self::Broker(id) | Self::BrokerLoggers(id) => error.at_broker(id.to_string()),
            Self::BrokerDefaults | Self::ClientMetrics(_) | Self::Group(_) => error,
            Self::Topic(name) => error.in_topic(name),
        }
    }
}

/// The longest name that every version of a request can carry.
const NAME_BYTES_MAX: usize = 32_767;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGERS: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Which configurations to describe, and in which detail.
///
/// ```
/// use ottla::admin::ConfigQuery;
/// use ottla::admin::ConfigResource;
///
/// let query = ConfigQuery::new([ConfigResource::topic("events"), ConfigResource::Broker(1)]).with_synonyms();
/// ```
#[derive(Clone, Debug)]
pub struct ConfigQuery {
    resources: Vec<ConfigResource>,
    keys: Option<Vec<String>>,
    synonyms: bool,
    documentation: bool,
}

impl ConfigQuery {
    /// The whole configuration of each resource.
    pub fn new(resources: impl IntoIterator<Item = ConfigResource>) -> Self {
        Self { resources: resources.into_iter().collect(), keys: None, synonyms: false, documentation: false }
    }

    /// Only the entries with these names. Names that a resource lacks are left out.
    pub fn keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Also the values that each entry overrides.
    pub fn with_synonyms(mut self) -> Self {
        self.synonyms = true;
        self
    }

    /// Also the documentation of each entry. Brokers before 2.6 have none.
    pub fn with_documentation(mut self) -> Self {
        self.documentation = true;
        self
    }

    fn request(&self, resources: &BTreeSet<ConfigResource>) -> m::DescribeConfigsRequest {
        let resource = |resource: &ConfigResource| {
            let (kind, name) = resource.to_wire();
            m::ConfigResource { kind, name, keys: self.keys.clone() }
        };
        m::DescribeConfigsRequest {
            resources: resources.iter().map(resource).collect(),
            include_synonyms: self.synonyms,
            include_documentation: self.documentation,
        }
    }
}

/// An entry of a configuration. Returned by [`Admin::describe_configs`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Its name, as `retention.ms`.
    pub name: String,
    /// Its value; `None` where it has none, or is sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it can be changed only by a restart with another configuration.
    pub read_only: bool,
    /// Whether it is a secret, which brokers do not return.
    pub sensitive: bool,
    /// The type of its value; [`ConfigType::Unknown`] from brokers before 2.6.
    pub kind: ConfigType,
    /// The values that may apply, the one in force first; empty unless [requested](ConfigQuery::with_synonyms).
    pub synonyms: Vec<ConfigSynonym>,
    /// The broker's description of the setting; `None` unless [requested](ConfigQuery::with_documentation).
    pub documentation: Option<String>,
}

impl ConfigEntry {
    /// Whether it has its built-in value.
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// A value that an entry has or would have without the ones before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigSynonym {
    /// The name under which it is set: `log.retention.ms` of a broker is `retention.ms` of its topics.
    pub name: String,
    /// Its value; `None` where it has none, or is sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
}

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set for this topic.
    Topic,
    /// Set for this broker while it runs.
    DynamicBroker,
    /// Set for all brokers while they run.
    DynamicDefaultBroker,
    /// From the broker's file.
    StaticBroker,
    /// Built in.
    Default,
    /// The level of a broker's logger.
    DynamicBrokerLogger,
    /// Set for a subscription to clients' metrics.
    ClientMetrics,
    /// Set for this group.
    Group,
    /// A number that this release does not know.
    Unknown(i8),
}

impl ConfigSource {
    fn from_wire(number: i8) -> Self {
        match number {
            1 => Self::Topic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            number => Self::Unknown(number),
        }
    }
}

/// The type of a value (`DescribeConfigsResponse.ConfigType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "Java's names of types")]
pub enum ConfigType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
    /// A number that this release does not know; zero from brokers before 2.6.
    Unknown(i8),
}

impl ConfigType {
    fn from_wire(number: i8) -> Self {
        match number {
            1 => Self::Boolean,
            2 => Self::String,
            3 => Self::Int,
            4 => Self::Short,
            5 => Self::Long,
            6 => Self::Double,
            7 => Self::List,
            8 => Self::Class,
            9 => Self::Password,
            number => Self::Unknown(number),
        }
    }
}

/// The outcome for one resource.
type Described = Result<Vec<ConfigEntry>, Error>;

impl Admin {
    /// Describes the configuration of topics, brokers, groups and subscriptions to metrics. Each resource has an outcome of its own, in the order they were named.
    ///
    /// A broker describes only its own configuration, so that each gets a request of its own. All topics are in one request, all groups
    /// in another, which any broker answers. As in Java, an error of a resource is final. A request without a response is repeated until the
    /// deadline.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::ConfigQuery;
    /// use ottla::admin::ConfigResource;
    ///
    /// let query = ConfigQuery::new([ConfigResource::topic("events")]).keys(["retention.ms"]);
    /// for (resource, entries) in admin.describe_configs(query).await {
    ///     for entry in entries?.iter().filter(|entry| !entry.is_default()) {
    ///         println!("{resource:?}: {} = {:?}", entry.name, entry.value);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn describe_configs(&self, query: ConfigQuery) -> Vec<(ConfigResource, Result<Vec<ConfigEntry>, Error>)> {
        let deadline = self.deadline();
        let mut described: BTreeMap<ConfigResource, Described> = BTreeMap::new();
        let mut of_brokers: BTreeMap<i32, BTreeSet<ConfigResource>> = BTreeMap::new();
        let mut of_any: BTreeMap<i8, BTreeSet<ConfigResource>> = BTreeMap::new();
        for resource in &query.resources {
            match (resource.check(), resource.broker()) {
                (Ok(()), Some(broker)) => drop(of_brokers.entry(broker).or_default().insert(resource.clone())),
                // A type that the broker does not know fails a whole request.
                (Ok(()), None) => drop(of_any.entry(resource.class()).or_default().insert(resource.clone())),
                (Err(error), _) => drop(described.insert(resource.clone(), Err(error))),
            }
        }
        let requests = of_brokers.iter().map(|(broker, resources)| (*broker, query.request(resources))).collect();
        for (broker, response) in self.at_brokers(requests, deadline).await {
            described.extend(outcomes(of_brokers.remove(&broker).unwrap_or_default(), response));
        }
        for resources in of_any.into_values() {
            let response = self.cluster.call_any(query.request(&resources), deadline).await;
            described.extend(outcomes(resources, response));
        }
        let outcome = |resource: &ConfigResource| described[resource].clone();
        query.resources.iter().map(|resource| (resource.clone(), outcome(resource))).collect()
    }
}

/// The outcome of each resource of a request. Results for other resources are ignored, and so is a second result for a resource.
fn outcomes(
    resources: BTreeSet<ConfigResource>,
    response: Result<m::DescribeConfigsResponse, Error>,
) -> Vec<(ConfigResource, Described)> {
    let mut found: HashMap<(i8, String), m::ConfigResult> = HashMap::new();
    let results = response.map(|response| {
        for result in response.results {
            found.entry((result.kind, result.name.to_string())).or_insert(result);
        }
    });
    let outcome = |resource: ConfigResource| {
        let outcome = match (&results, found.remove(&resource.to_wire())) {
            (Err(error), _) => Err(error.clone()),
            (Ok(()), None) => Err(Error::protocol("the broker did not describe the configuration")),
            (Ok(()), Some(m::ConfigResult { error: Some(code), message, .. })) => {
                Err(refused(code, "could not describe the configuration", message.as_deref()))
            }
            (Ok(()), Some(result)) => Ok(result.configs.into_iter().map(entry).collect()),
        };
        let outcome = outcome.map_err(|error| resource.named(error));
        (resource, outcome)
    };
    resources.into_iter().map(outcome).collect()
}

fn entry(entry: m::ConfigEntry) -> ConfigEntry {
    let synonym = |synonym: m::ConfigSynonym| ConfigSynonym {
        name: synonym.setting.name().to_owned(),
        value: synonym.setting.value().map(str::to_owned),
        source: ConfigSource::from_wire(synonym.source),
    };
    ConfigEntry {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        source: ConfigSource::from_wire(entry.source),
        read_only: entry.read_only,
        sensitive: entry.sensitive,
        kind: ConfigType::from_wire(entry.kind),
        synonyms: entry.synonyms.into_iter().map(synonym).collect(),
        documentation: entry.documentation.map(Into::into),
    }
}
