//! Reassignments: moves of partitions' replicas to other brokers (KIP-455).

use std::collections::BTreeSet;
use std::collections::HashMap;

use super::Admin;
use super::check_name;
use super::items::InOrder;
use super::items::accepted;
use super::items::left_out;
use super::items::of_valid;
use super::refused;
use crate::error::Error;
use crate::metadata::by_topic;
use crate::types::TopicPartition;
use crate::types::inserted;
use crate::wire::message as m;

/// A change of the brokers that have a partition's replicas.
///
/// ```
/// use ottla::admin::Reassignment;
/// use ottla::types::TopicPartition;
///
/// let partition = TopicPartition::new("orders", 0);
/// let to = Reassignment::to(partition.clone(), [2, 3, 4]);
/// let back = Reassignment::cancel(partition);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reassignment {
    partition: TopicPartition,
    /// `None` cancels one that is under way.
    replicas: Option<Vec<i32>>,
}

impl Reassignment {
    /// Moves the replicas to these brokers. The first is the preferred leader.
    pub fn to(partition: TopicPartition, brokers: impl IntoIterator<Item = i32>) -> Self {
        Self { partition, replicas: Some(brokers.into_iter().collect()) }
    }

    /// Cancels a reassignment that is under way.
    pub fn cancel(partition: TopicPartition) -> Self {
        Self { partition, replicas: None }
    }

    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    fn check(&self) -> Result<(), Error> {
        check_name(&self.partition.topic)?;
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let distinct: BTreeSet<i32> = inserted(replicas.iter().copied());
        if replicas.is_empty() || distinct.len() < replicas.len() {
            let text = "name at least one broker for the replicas, and each once";
            return Err(Error::config(text).in_partition(&self.partition.topic, self.partition.partition));
        }
        Ok(())
    }
}

/// A partition whose replicas are moving. Returned by [`Admin::list_reassignments`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OngoingReassignment {
    /// The partition.
    pub partition: TopicPartition,
    /// The brokers that have replicas, old and new.
    pub replicas: Vec<i32>,
    /// Those that get one.
    pub adding: Vec<i32>,
    /// Those that lose theirs in the end.
    pub removing: Vec<i32>,
}

const FAILED: &str = "could not reassign the partition";

impl Admin {
    /// Moves the replicas of partitions to other brokers, or cancels such moves. Each has an outcome of its own, in the order of the
    /// call. A partition may be there once.
    ///
    /// Requests go to the controller (API AlterPartitionReassignments, Kafka 2.4). A move that is accepted has only begun:
    /// [`Self::list_reassignments`] shows it. Cancelling one that is not under way is the error
    /// [`NO_REASSIGNMENT_IN_PROGRESS`](crate::error::Code::NoReassignmentInProgress). If the response was lost, the errors say that the
    /// outcome is unknown (`is_written`); it can be repeated without harm.
    pub async fn alter_reassignments(
        &self,
        reassignments: impl IntoIterator<Item = Reassignment>,
    ) -> Vec<(Reassignment, Result<(), Error>)> {
        let mut seen = BTreeSet::new();
        let check = |one: &Reassignment| {
            let TopicPartition { topic, partition } = &one.partition;
            if !seen.insert(one.partition.clone()) {
                return Err(Error::config("the partition is there twice").in_partition(topic, *partition));
            }
            one.check()
        };
        let alter = async |open: Vec<Reassignment>| self.each_at_controller(&open, request, outcomes).await;
        of_valid(reassignments.into_iter().collect(), check, alter).await
    }

    /// All partitions whose replicas are moving, sorted.
    ///
    /// The request goes to the controller (API ListPartitionReassignments, Kafka 2.4).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// for moving in admin.list_reassignments().await? {
    ///     println!("{}: {:?} are added, {:?} are removed", moving.partition, moving.adding, moving.removing);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn list_reassignments(&self) -> Result<Vec<OngoingReassignment>, Error> {
        let request = |timeout_ms| m::ListPartitionReassignmentsRequest { timeout_ms, topics: None };
        self.whole_at_controller(request, ongoing).await
    }
}

fn request(open: &[&Reassignment], timeout_ms: i32) -> m::AlterPartitionReassignmentsRequest {
    let reassignment = |one: &&Reassignment| {
        let reassignment = m::Reassignment { index: one.partition.partition, replicas: one.replicas.clone() };
        (one.partition.topic.clone(), reassignment)
    };
    let topics = by_topic(open.iter().map(reassignment));
    m::AlterPartitionReassignmentsRequest {
        timeout_ms,
        allow_replication_change: true,
        topics: topics.into_iter().map(|(name, partitions)| m::ReassignedTopic { name, partitions }).collect(),
    }
}

fn outcomes(open: &[&Reassignment], response: m::AlterPartitionReassignmentsResponse) -> InOrder<()> {
    if let Some(code) = response.error {
        let error = refused(code, FAILED, response.error_message.as_deref());
        return open.iter().map(|_| Err(error.clone())).collect();
    }
    let mut altered = HashMap::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let key = TopicPartition::new(&*topic.name, partition.index);
            altered.insert(key, accepted(partition.error, FAILED, partition.error_message.as_deref()));
        }
    }
    let outcome = |one: &&Reassignment| {
        let TopicPartition { topic, partition } = &one.partition;
        let outcome = altered.get(&one.partition).cloned().unwrap_or_else(|| Err(left_out(FAILED)));
        outcome.map_err(|error| error.in_partition(topic, *partition))
    };
    open.iter().map(outcome).collect()
}

fn ongoing(response: m::ListPartitionReassignmentsResponse) -> Result<Vec<OngoingReassignment>, Error> {
    accepted(response.error, "could not list reassignments", response.error_message.as_deref())?;
    let mut ongoing = Vec::new();
    for topic in response.topics {
        ongoing.extend(topic.partitions.into_iter().map(|partition| OngoingReassignment {
            partition: TopicPartition::new(&*topic.name, partition.index),
            replicas: partition.replicas.into(),
            adding: partition.adding.into(),
            removing: partition.removing.into(),
        }));
    }
    ongoing.sort_by(|one, other| one.partition.cmp(&other.partition));
    Ok(ongoing)
}
