//! The controllers that replicate the cluster's metadata (KRaft): describe, add and remove voters (KIP-836, KIP-853).

use super::Admin;
use super::items::accepted;
use super::items::left_out;
use crate::error::Error;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::wire::message as m;

/// The topic that the controllers replicate.
const METADATA: &str = "__cluster_metadata";

/// The quorum of controllers. Returned by [`Admin::describe_quorum`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuorumDescription {
    /// The id of the controller that leads; `None` during an election.
    pub leader: Option<i32>,
    /// The epoch of the leader.
    pub leader_epoch: i32,
    /// The offset up to which the metadata is committed.
    pub high_watermark: i64,
    /// The controllers that vote.
    pub voters: Vec<QuorumReplica>,
    /// The brokers and controllers that only follow.
    pub observers: Vec<QuorumReplica>,
    /// The addresses of the voters; empty from brokers before 3.9.
    pub nodes: Vec<QuorumNode>,
}

/// A voter or an observer. Part of a [`QuorumDescription`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuorumReplica {
    /// Its node id.
    pub id: i32,
    /// The id of its metadata directory; `None` from brokers before 3.9, and where it is unknown.
    pub directory: Option<TopicId>,
    /// The offset up to which it has the metadata; `None` where it is unknown.
    pub log_end_offset: Option<i64>,
    /// When it fetched last, in milliseconds since 1970; `None` where it is unknown.
    pub last_fetch_ms: Option<i64>,
    /// When it last had everything that the leader had, in milliseconds since 1970; `None` where it is unknown.
    pub last_caught_up_ms: Option<i64>,
}

/// A voter and the addresses on which it listens. Part of a [`QuorumDescription`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuorumNode {
    /// Its node id.
    pub id: i32,
    /// Its listeners.
    pub listeners: Vec<QuorumListener>,
}

/// An address on which a controller listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumListener {
    /// The name of the listener, as `CONTROLLER`.
    pub name: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A voter to be added or removed: a node id, and the id of its metadata directory, which
/// [`QuorumReplica::directory`] and `kafka-storage info` show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumVoter {
    /// Its node id.
    pub id: i32,
    /// The id of its metadata directory.
    pub directory: TopicId,
}

impl Admin {
    /// The quorum of controllers: the leader, and how far each replica is (API DescribeQuorum, Kafka 3.3).
    ///
    /// Any broker passes the request on. Clusters with ZooKeeper fail with [`Kind::Unsupported`](crate::error::Kind::Unsupported).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// let quorum = admin.describe_quorum().await?;
    /// println!("controller {:?} leads {} voters", quorum.leader, quorum.voters.len());
    /// # Ok(()) }
    /// ```
    pub async fn describe_quorum(&self) -> Result<QuorumDescription, Error> {
        let partitions = vec![m::QuorumPartitionFilter { index: 0 }];
        let topics = vec![m::QuorumTopicFilter { name: TopicName::from(METADATA), partitions }];
        let deadline = self.deadline();
        let mut retry = self.cluster.retry(deadline);
        loop {
            let request = m::DescribeQuorumRequest { topics: topics.clone() };
            // The broker's controller may be moving.
            match description(self.cluster.call_any(request, deadline).await?) {
                Err(error) if error.is_retriable() => retry.pause(error).await?,
                decided => return decided,
            }
        }
    }

    /// Adds a controller to the voters (API AddRaftVoter, Kafka 3.9). It has to run as an observer, with metadata that is nearly
    /// complete. `listeners` are its addresses.
    ///
    /// If the response was lost, the error says that the outcome is unknown (`is_written`).
    pub async fn add_voter(
        &self,
        voter: QuorumVoter,
        listeners: impl IntoIterator<Item = QuorumListener>,
    ) -> Result<(), Error> {
        let listener = |listener: QuorumListener| m::QuorumListener {
            texts: [&*listener.name, &*listener.host].into_iter().collect(),
            port: listener.port.cast_signed(),
        };
        let listeners: Vec<m::QuorumListener> = listeners.into_iter().map(listener).collect();
        let request = |timeout_ms| m::AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms,
            voter: voter.id,
            directory: voter.directory,
            listeners: listeners.clone(),
        };
        let failed = format!("could not add voter {}", voter.id);
        let judge =
            |response: m::AddRaftVoterResponse| accepted(response.error, &failed, response.error_message.as_deref());
        self.whole_at_controller(request, judge).await
    }

    /// Removes a controller from the voters (API RemoveRaftVoter, Kafka 3.9). It goes on as an observer until it is stopped.
    ///
    /// If the response was lost, the error says that the outcome is unknown (`is_written`).
    pub async fn remove_voter(&self, voter: QuorumVoter) -> Result<(), Error> {
        let request = |_| m::RemoveRaftVoterRequest { cluster_id: None, voter: voter.id, directory: voter.directory };
        let failed = format!("could not remove voter {}", voter.id);
        let judge =
            |response: m::RemoveRaftVoterResponse| accepted(response.error, &failed, response.error_message.as_deref());
        self.whole_at_controller(request, judge).await
    }
}

fn description(response: m::DescribeQuorumResponse) -> Result<QuorumDescription, Error> {
    const FAILED: &str = "could not describe the quorum";
    accepted(response.error, FAILED, response.error_message.as_deref())?;
    let topic = response.topics.into_iter().find(|topic| &*topic.name == METADATA);
    let partition = topic.and_then(|topic| topic.partitions.into_iter().next()).ok_or_else(|| left_out(FAILED))?;
    accepted(partition.error, FAILED, partition.error_message.as_deref())?;
    let replicas = |replicas: Box<[m::QuorumReplica]>| replicas.into_iter().map(replica).collect();
    let listener = |listener: &m::QuorumListener| QuorumListener {
        name: listener.texts.text(0).to_owned(),
        host: listener.texts.text(1).to_owned(),
        port: listener.port.cast_unsigned(),
    };
    let node =
        |node: m::QuorumNode| QuorumNode { id: node.id, listeners: node.listeners.iter().map(listener).collect() };
    Ok(QuorumDescription {
        leader: Some(partition.leader).filter(|leader| *leader >= 0),
        leader_epoch: partition.leader_epoch,
        high_watermark: partition.high_watermark,
        voters: replicas(partition.voters),
        observers: replicas(partition.observers),
        nodes: response.nodes.into_iter().map(node).collect(),
    })
}

fn replica(replica: m::QuorumReplica) -> QuorumReplica {
    let known = |number: i64| Some(number).filter(|number| *number >= 0);
    QuorumReplica {
        id: replica.id,
        directory: Some(replica.directory).filter(|directory| !directory.is_zero()),
        log_end_offset: known(replica.log_end_offset),
        last_fetch_ms: known(replica.last_fetch_ms),
        last_caught_up_ms: known(replica.last_caught_up_ms),
    }
}
