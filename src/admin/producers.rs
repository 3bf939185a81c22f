//! The producers that write to partitions, as the leaders remember them (KIP-664).

use super::Admin;
use super::refused;
use super::routing::Each;
use crate::error::Error;
use crate::metadata::ByTopic;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::message as m;

/// An idempotent or transactional producer of a partition. Returned by [`Admin::describe_producers`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerState {
    /// Its producer id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i32,
    /// The sequence number of its last batch; `None` if its last batch was a transaction's marker.
    pub last_sequence: Option<i32>,
    /// The timestamp of its last batch, in milliseconds since 1970.
    pub last_timestamp: Option<i64>,
    /// The epoch of the transaction coordinator that wrote the last marker; `None` if none was written.
    pub coordinator_epoch: Option<i32>,
    /// The first offset of its open transaction; `None` if no transaction is open here.
    pub transaction_start: Option<i64>,
}

impl Admin {
    /// The producers of each partition whose state its leader keeps. Each partition has an outcome of its own, in the order of the call.
    ///
    /// Requests go to the leaders, one each (API DescribeProducers, Kafka 2.8). An open transaction that its coordinator does not know is
    /// ended by [`Self::abort_transactions`].
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::types::TopicPartition;
    ///
    /// for (partition, producers) in admin.describe_producers([TopicPartition::new("orders", 0)]).await {
    ///     for producer in producers?.iter().filter(|producer| producer.transaction_start.is_some()) {
    ///         println!("{partition}: producer {} has an open transaction", producer.id);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn describe_producers(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Vec<(TopicPartition, Result<Vec<ProducerState>, Error>)> {
        let items = partitions.into_iter().map(|key| (key, ())).collect();
        self.at_leaders(items, self.deadline(), request, outcomes).await
    }
}

fn request(topics: &ByTopic<(i32, ())>, _: i32) -> m::DescribeProducersRequest {
    let topic = |(name, partitions): &(TopicName, Vec<(i32, ())>)| m::TopicIndexes {
        name: name.clone(),
        partitions: partitions.iter().map(|(index, ())| *index).collect(),
    };
    m::DescribeProducersRequest { topics: topics.iter().map(topic).collect() }
}

fn outcomes(response: m::DescribeProducersResponse) -> Each<TopicPartition, Vec<ProducerState>> {
    let mut outcomes = Vec::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let key = TopicPartition::new(&*topic.name, partition.index);
            let message = partition.error_message.as_deref();
            outcomes.push(match partition.error {
                Some(code) => (key, Err(refused(code, "could not describe producers", message))),
                None => (key, Ok(partition.producers.into_iter().map(state).collect())),
            });
        }
    }
    outcomes
}

fn state(producer: m::ActiveProducer) -> ProducerState {
    ProducerState {
        id: producer.id,
        epoch: producer.epoch,
        last_sequence: Some(producer.last_sequence).filter(|sequence| *sequence >= 0),
        last_timestamp: Some(producer.last_timestamp).filter(|timestamp| *timestamp >= 0),
        coordinator_epoch: Some(producer.coordinator_epoch).filter(|epoch| *epoch >= 0),
        transaction_start: Some(producer.transaction_start).filter(|offset| *offset >= 0),
    }
}
