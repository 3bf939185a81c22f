//! Administration: the cluster, its topics, their configuration, the offsets of their partitions, groups.
//!
//! Any broker answers read-only requests. Changes go to the controller, requests for offsets to the leaders, requests for the
//! configuration of a broker to that broker, requests about a group to its coordinator. Each request is repeated after a move or a lost connection until the deadline
//! (`default.api.timeout.ms`). Only [`Admin::create_topics`] creates topics.

use std::time::Duration;
use std::time::Instant;

use crate::client::Client;
use crate::client::Cluster;
use crate::error::Code;
use crate::error::Error;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::bounded;
use crate::types::millis_i32;

mod acls;
mod altering;
mod cluster;
mod configs;
mod elections;
mod ensure;
mod features;
mod groups;
mod items;
mod log_dirs;
mod offsets;
mod probe;
mod producers;
mod quorum;
mod quotas;
mod reassignments;
mod records;
mod routing;
mod scram_users;
#[cfg(all(test, feature = "mock"))]
mod tests;
mod topic_descriptions;
mod topics;
mod transactions;

pub use self::acls::Acl;
pub use self::acls::AclFilter;
pub use self::acls::AclOperation;
pub use self::acls::AclPattern;
pub use self::acls::AclPermission;
pub use self::acls::AclResourceType;
pub use self::acls::DeletedAcls;
pub use self::altering::ConfigChange;
pub use self::cluster::BrokerDescription;
pub use self::cluster::ClusterDescription;
pub use self::configs::ConfigEntry;
pub use self::configs::ConfigQuery;
pub use self::configs::ConfigResource;
pub use self::configs::ConfigSource;
pub use self::configs::ConfigSynonym;
pub use self::configs::ConfigType;
pub use self::elections::Election;
pub use self::ensure::Ensured;
pub use self::ensure::TopicConflict;
pub use self::ensure::TopicSpec;
pub use self::features::FeatureUpdate;
pub use self::features::Features;
pub use self::groups::CommittedOffset;
pub use self::groups::GroupDescription;
pub use self::groups::GroupFilter;
pub use self::groups::GroupLag;
pub use self::groups::GroupLagRequest;
pub use self::groups::GroupListing;
pub use self::groups::GroupMember;
pub use self::groups::GroupOffsets;
pub use self::groups::GroupOffsetsQuery;
pub use self::groups::GroupState;
pub use self::groups::GroupType;
pub use self::groups::Lag;
pub use self::groups::LagQuery;
pub use self::groups::ListedGroup;
pub use self::groups::MemberToRemove;
pub use self::groups::PartitionLag;
pub use self::log_dirs::LogDir;
pub use self::log_dirs::LogDirReplica;
pub use self::log_dirs::LogDirs;
pub use self::log_dirs::ReplicaMove;
pub use self::offsets::ListedOffset;
pub use self::offsets::OffsetSpec;
pub use self::probe::Probe;
pub use self::probe::ProbedBroker;
pub use self::probe::ServedApi;
pub use self::producers::ProducerState;
pub use self::quorum::QuorumDescription;
pub use self::quorum::QuorumListener;
pub use self::quorum::QuorumNode;
pub use self::quorum::QuorumReplica;
pub use self::quorum::QuorumVoter;
pub use self::quotas::QuotaChange;
pub use self::quotas::QuotaEntity;
pub use self::quotas::QuotaFilter;
pub use self::reassignments::OngoingReassignment;
pub use self::reassignments::Reassignment;
pub use self::records::DeleteBefore;
pub use self::scram_users::SaltedPassword;
pub use self::scram_users::ScramChange;
pub use self::scram_users::ScramCredential;
pub use self::scram_users::ScramUsers;
pub use self::topic_descriptions::PartitionDescription;
pub use self::topic_descriptions::TopicDescription;
pub use self::topics::NewPartitions;
pub use self::topics::NewTopic;
pub use self::topics::Outcomes;
pub use self::transactions::HangingTransaction;
pub use self::transactions::ListedTransaction;
pub use self::transactions::TransactionDescription;
pub use self::transactions::TransactionFilter;
pub use self::transactions::TransactionListing;
pub use self::transactions::TransactionState;

/// The target of log events.
const TARGET: &str = "ottla::admin";

impl Client {
    /// Administrates topics and groups, and describes the cluster.
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster())
    }
}

/// Administrates topics and groups, and describes the cluster. Cheap to clone. Created by [`Client::admin`](crate::Client::admin).
///
/// Every call ends within [`Admin::timeout`], by default the client's [`api_timeout`](crate::client::ClientBuilder::api_timeout) of
/// 60 s. Cancel safety: dropping a read-only call has no effect. If a change is dropped, its outcome is unknown.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::admin::NewTopic;
///
/// let admin = client.admin();
/// for (topic, outcome) in admin.create_topics([NewTopic::new("payments").partitions(6)]).await? {
///     outcome?;
///     println!("created {topic}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    cluster: Cluster,
    timeout: Duration,
}

impl Admin {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let timeout = bounded(cluster.settings().api_timeout);
        Self { cluster, timeout }
    }

    /// The same admin with another limit for each call, its retries included (`default.api.timeout.ms`).
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use std::time::Duration;
    ///
    /// let topics = client.admin().timeout(Duration::from_secs(5)).list_topics().await?;
    /// # Ok(()) }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = bounded(timeout);
        self
    }

    /// The deadline of a call that begins now.
    fn deadline(&self) -> Instant {
        clock::now() + self.timeout
    }
}

/// The time until a deadline, in the unit of requests.
fn millis_until(deadline: Instant) -> i32 {
    millis_i32(deadline.saturating_duration_since(clock::now()))
}

/// Refuses a name that no topic can have before it is sent: a very long name would not fit a request.
fn check_name(name: &TopicName) -> Result<(), Error> {
    let Some(problem) = TopicName::problem(name) else { return Ok(()) };
    let start: String = name.chars().take(NAME_SHOWN).collect();
    Err(Error::config(format!("{start:?} is not a valid topic name: {problem}")).in_topic(&start.into()))
}

/// Characters of a refused name that an error shows.
const NAME_SHOWN: usize = 249;

/// The error of a broker for a part of a request, with the broker's own message where it has one.
fn refused(code: Code, failed: &str, message: Option<&str>) -> Error {
    // Kafka's messages are sentences.
    let message = message.map(|message| message.trim_end_matches('.')).filter(|message| !message.is_empty());
    Error::broker(code, message.map_or(failed.to_owned(), |why| format!("{failed}: {why}")))
}
