//! Describes topics: their partitions, leaders and replicas.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Instant;

use super::Admin;
use super::check_name;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::inserted;
use crate::wire::message as m;

/// A topic, as a broker describes it.
///
/// ```no_run
/// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
/// for topic in admin.describe_topics(["events"]).await? {
///     let leaderless = topic.partitions.iter().filter(|partition| partition.leader.is_none()).count();
///     println!("{}: {} partitions, {leaderless} without a leader", topic.name, topic.partitions.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its id; zero if the broker is older than topic ids.
    pub id: TopicId,
    /// Why the broker did not describe it.
    pub error: Option<Code>,
    /// Whether Kafka keeps its own data in it, as `__consumer_offsets`.
    pub is_internal: bool,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition, as a broker describes it. Part of a [`TopicDescription`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its index.
    pub index: i32,
    /// The broker that leads it.
    pub leader: Option<i32>,
    /// The brokers with a replica.
    pub replicas: Vec<i32>,
    /// The brokers whose replicas are in sync.
    pub isr: Vec<i32>,
    /// The brokers whose replicas are offline: they are down, or their disk failed.
    pub offline: Vec<i32>,
    /// The epoch of its leader, if it is known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The brokers that may lead without loss although they left the set in sync (KIP-966); `None` if it is not known.
    pub eligible: Option<Vec<i32>>,
    /// The brokers that were the last in sync, where no replica may lead without loss (KIP-966); `None` if it is not known.
    pub last_known_eligible: Option<Vec<i32>>,
}

impl Admin {
    /// Partitions, leaders and replicas of the named topics, in the order of the names. One that does not exist carries its error.
    ///
    /// The partitions come in pages, so that a response stays small (KIP-966). Brokers before 3.8, and those with ZooKeeper, tell the
    /// same by their metadata.
    pub async fn describe_topics<N: Into<TopicName>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Vec<TopicDescription>, Error> {
        self.describe_topics_by(names.into_iter().map(Into::into).collect(), self.deadline()).await
    }

    /// As [`Self::describe_topics`], until `deadline`.
    pub(super) async fn describe_topics_by(
        &self,
        names: Vec<TopicName>,
        deadline: Instant,
    ) -> Result<Vec<TopicDescription>, Error> {
        names.iter().try_for_each(check_name)?;
        // Without names, the request is for all topics.
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let distinct: BTreeSet<TopicName> = inserted(names.iter().cloned());
        let found = match self.describe_pages(distinct.into_iter().collect(), deadline).await {
            Err(error) if error.kind() == Kind::Unsupported => {
                let mut found = HashMap::new();
                for topic in self.request_metadata(Some(names.clone()), deadline).await?.topics {
                    let topic = of_metadata(topic);
                    found.entry(topic.name.clone()).or_insert(topic);
                }
                found
            }
            found => found?,
        };
        let missing = |name: &TopicName| Error::protocol("the response lacks the topic").in_topic(name);
        names.iter().map(|name| found.get(name).cloned().ok_or_else(|| missing(name))).collect()
    }

    /// Describes topics page by page.
    async fn describe_pages(
        &self,
        names: Vec<TopicName>,
        deadline: Instant,
    ) -> Result<HashMap<TopicName, TopicDescription>, Error> {
        let topics: Vec<_> = names.into_iter().map(|name| m::TopicByName { name }).collect();
        let mut found: HashMap<TopicName, TopicDescription> = HashMap::new();
        let mut cursor: Option<m::TopicCursor> = None;
        loop {
            let request = m::DescribeTopicPartitionsRequest {
                topics: topics.clone(),
                partitions_max: PARTITIONS_MAX,
                cursor: cursor.clone(),
            };
            let page = self.cluster.call_any(request, deadline).await?;
            for topic in page.topics {
                let mut topic = of_page(topic);
                match found.get_mut(&topic.name) {
                    Some(known) => known.partitions.append(&mut topic.partitions),
                    None => drop(found.insert(topic.name.clone(), topic)),
                }
            }
            if page.next.is_none() {
                break;
            }
            // Topics and partitions come in order, so that each page begins after the last one.
            let place = |cursor: &m::TopicCursor| (cursor.topic.clone(), cursor.partition);
            if page.next.as_ref().map(place) <= cursor.as_ref().map(place) {
                return Err(Error::protocol("a page of topics begins where the last one began"));
            }
            cursor = page.next;
        }
        for topic in found.values_mut() {
            topic.partitions.sort_by_key(|partition| partition.index);
            topic.partitions.dedup_by_key(|partition| partition.index);
        }
        Ok(found)
    }

    /// As [`Admin::describe_topics`], by the topics' ids, in their order: the names may not be known. Each has an outcome of its own.
    ///
    /// # Errors
    ///
    /// [`UNKNOWN_TOPIC_ID`](Code::UnknownTopicId) for a topic that does not exist. [`Kind::Unsupported`] from brokers before 3.1.
    pub async fn describe_topics_by_id(
        &self,
        ids: impl IntoIterator<Item = TopicId>,
    ) -> Result<Vec<(TopicId, Result<TopicDescription, Error>)>, Error> {
        let ids: Vec<TopicId> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let distinct: BTreeSet<[u8; 16]> = ids.iter().map(|id| id.0).collect();
        let request =
            m::MetadataRequest { ids: distinct.into_iter().map(TopicId).collect(), ..m::MetadataRequest::default() };
        let response = self.cluster.call_any(request, self.deadline()).await?;
        if let Some(code) = response.error {
            return Err(Error::broker(code, "could not describe topics"));
        }
        // Older versions leave the ids out of the request.
        if response.topics.is_empty() {
            let text = "the broker describes no topics by id: it is older than Kafka 3.1; name them instead";
            return Err(Error::new(Kind::Unsupported, text));
        }
        let found: HashMap<TopicId, TopicDescription> =
            response.topics.into_iter().map(|topic| (topic.id, of_metadata(topic))).collect();
        let outcome = |id: TopicId| match found.get(&id) {
            Some(TopicDescription { error: Some(code), .. }) => {
                (id, Err(Error::broker(*code, format!("could not describe the topic with id {id}"))))
            }
            Some(topic) => (id, Ok(topic.clone())),
            None => (id, Err(Error::protocol(format!("the response lacks the topic with id {id}")))),
        };
        Ok(ids.into_iter().map(outcome).collect())
    }
}

/// Partitions in a page, as in Java (`DescribeTopicsOptions.partitionSizeLimitPerResponse`).
const PARTITIONS_MAX: i32 = 2_000;

fn of_metadata(topic: m::MetadataTopic) -> TopicDescription {
    let partition = |partition: m::MetadataPartition| PartitionDescription {
        index: partition.index,
        leader: Some(partition.leader).filter(|leader| *leader >= 0),
        replicas: partition.replicas,
        isr: partition.isr,
        offline: partition.offline,
        leader_epoch: partition.leader_epoch,
        eligible: None,
        last_known_eligible: None,
    };
    let mut partitions: Vec<_> = topic.partitions.into_iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    TopicDescription {
        name: (&*topic.name).into(),
        id: topic.id,
        error: topic.error,
        is_internal: topic.internal,
        partitions,
    }
}

fn of_page(topic: m::DescribedTopic) -> TopicDescription {
    let partition = |partition: m::DescribedPartition| PartitionDescription {
        index: partition.index,
        leader: Some(partition.leader).filter(|leader| *leader >= 0),
        replicas: partition.replicas,
        isr: partition.isr,
        offline: partition.offline,
        leader_epoch: partition.leader_epoch,
        eligible: partition.eligible,
        last_known_eligible: partition.last_eligible,
    };
    TopicDescription {
        name: (&*topic.name).into(),
        id: topic.id,
        error: topic.error,
        is_internal: topic.internal,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    }
}
