//! Elections of leaders (KIP-183, KIP-460).

use std::collections::HashMap;

use super::Admin;
use super::check_name;
use super::items::InOrder;
use super::items::accepted;
use super::items::left_out;
use super::items::of_valid;
use super::refused;
use super::routing::Each;
use crate::error::Error;
use crate::metadata;
use crate::types::TopicPartition;
use crate::wire::message as m;

/// Which replica becomes the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Election {
    /// The first replica of the partition, if it is in sync.
    Preferred,
    /// Any replica that runs, where none in sync does. Records that it lacks are lost for good. Needs Kafka 2.4.
    Unclean,
}

impl Election {
    fn to_wire(self) -> i8 {
        match self {
            Self::Preferred => 0,
            Self::Unclean => 1,
        }
    }
}

const FAILED: &str = "could not elect a leader";

impl Admin {
    /// Elects the leader of each partition. Each has an outcome of its own, in the order of the call.
    ///
    /// Requests go to the controller (API ElectLeaders). A partition whose leader is right already has the error
    /// [`ELECTION_NOT_NEEDED`](crate::error::Code::ElectionNotNeeded). If the response was lost, the errors say that the outcome is
    /// unknown (`is_written`).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::Election;
    /// use ottla::types::TopicPartition;
    ///
    /// let partitions = [0, 1, 2].map(|partition| TopicPartition::new("orders", partition));
    /// for (partition, outcome) in admin.elect_leaders(Election::Preferred, partitions).await {
    ///     println!("{partition}: {outcome:?}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn elect_leaders(
        &self,
        election: Election,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Vec<(TopicPartition, Result<(), Error>)> {
        let request = |open: &[&TopicPartition], timeout_ms| m::ElectLeadersRequest {
            kind: election.to_wire(),
            topics: Some(by_topic(open)),
            timeout_ms,
        };
        let outcomes = |open: &[&TopicPartition], response: m::ElectLeadersResponse| -> InOrder<()> {
            let elected: HashMap<TopicPartition, Result<(), Error>> = match elected(response) {
                Ok(elected) => elected.into_iter().collect(),
                Err(error) => return open.iter().map(|_| Err(error.clone())).collect(),
            };
            open.iter().map(|key| elected.get(*key).cloned().unwrap_or_else(|| Err(left_out(FAILED)))).collect()
        };
        let elect = async |open: Vec<TopicPartition>| self.each_at_controller(&open, request, outcomes).await;
        of_valid(partitions.into_iter().collect(), |key| check_name(&key.topic), elect).await
    }

    /// As [`Self::elect_leaders`], of all partitions. Returns those that were to change.
    pub async fn elect_all_leaders(&self, election: Election) -> Result<Each<TopicPartition, ()>, Error> {
        let request = |timeout_ms| m::ElectLeadersRequest { kind: election.to_wire(), topics: None, timeout_ms };
        self.whole_at_controller(request, elected).await
    }
}

fn elected(response: m::ElectLeadersResponse) -> Result<Each<TopicPartition, ()>, Error> {
    if let Some(code) = response.error {
        return Err(refused(code, FAILED, None));
    }
    let mut outcomes = Vec::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let key = TopicPartition::new(&*topic.name, partition.index);
            let outcome = accepted(partition.error, FAILED, partition.error_message.as_deref());
            let outcome = outcome.map_err(|error| error.in_partition(&key.topic, key.partition));
            outcomes.push((key, outcome));
        }
    }
    outcomes.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(outcomes)
}

/// Partitions as requests name them: each topic once.
pub(super) fn by_topic(partitions: &[&TopicPartition]) -> Vec<m::TopicIndexes> {
    let topics = metadata::by_topic(partitions.iter().map(|key| (key.topic.clone(), key.partition)));
    let topic = |(name, mut partitions): (_, Vec<i32>)| {
        partitions.sort_unstable();
        partitions.dedup();
        m::TopicIndexes { name, partitions }
    };
    topics.into_iter().map(topic).collect()
}
