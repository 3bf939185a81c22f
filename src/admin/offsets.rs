//! Offsets of partitions: the first, the last, and that of a timestamp. Requests go to the leaders.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Instant;

use super::Admin;
use super::TARGET;
use super::check_name;
use super::millis_until;
use crate::client::AutoCreate;
use crate::client::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::ByLeader;
use crate::metadata::ByTopic;
use crate::metadata::by_leader;
use crate::types::LeaderEpoch;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::message as m;

/// An offset of a partition to look up.
///
/// ```no_run
/// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
/// use ottla::admin::OffsetSpec;
/// use ottla::types::TopicPartition;
///
/// let ends = [0, 1].map(|partition| (TopicPartition::new("events", partition), OffsetSpec::Latest));
/// for (partition, listed) in admin.list_offsets(ends).await {
///     println!("{partition}: {:?}", listed?.offset);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The offset of the oldest record.
    Earliest,
    /// The offset after the newest record.
    Latest,
    /// The offset of the first record with this timestamp or a later one, in milliseconds since 1970.
    Timestamp(i64),
}

/// An offset that a leader returned for an [`OffsetSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedOffset {
    /// The offset; `None` if no record has the timestamp or a later one.
    pub offset: Option<i64>,
    /// The record's timestamp, for [`OffsetSpec::Timestamp`].
    pub timestamp: Option<i64>,
    /// The leader epoch of the record, if it is known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// The outcome for one partition.
type Listed = Result<ListedOffset, Error>;

impl Admin {
    /// Looks up an offset of each partition, including records of open transactions. Each partition has an outcome of its own, in
    /// the order of the call.
    pub async fn list_offsets(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
    ) -> Vec<(TopicPartition, Result<ListedOffset, Error>)> {
        self.list_offsets_by(partitions.into_iter().collect(), self.deadline()).await
    }

    /// As [`Self::list_offsets`], until `deadline`.
    pub(super) async fn list_offsets_by(
        &self,
        requested: Vec<(TopicPartition, OffsetSpec)>,
        deadline: Instant,
    ) -> Vec<(TopicPartition, Listed)> {
        let mut listed: Vec<Option<Listed>> = vec![None; requested.len()];
        for round in rounds(&requested) {
            let outcomes = self.list_distinct(round.iter().map(|at| requested[*at].clone()).collect(), deadline).await;
            for (at, outcome) in round.into_iter().zip(outcomes) {
                listed[at] = Some(outcome);
            }
        }
        let outcome = |listed: Option<Listed>| listed.expect("each index is in a round");
        requested.into_iter().zip(listed).map(|((key, _), listed)| (key, outcome(listed))).collect()
    }

    /// Looks up an offset of each partition, none of which is there twice.
    async fn list_distinct(&self, requested: Vec<(TopicPartition, OffsetSpec)>, deadline: Instant) -> Vec<Listed> {
        let mut found: BTreeMap<TopicPartition, Listed> = BTreeMap::new();
        self.find_topics(&requested, deadline, &mut found).await;
        let mut retry =
            self.cluster.retry(deadline).when(|error| error.is_retriable() || error.kind() == Kind::UnknownTopic);
        loop {
            let open: Vec<_> = requested.iter().filter(|(key, _)| !found.contains_key(key)).collect();
            if open.is_empty() {
                break;
            }
            let again = self.list_once(&open, deadline, &mut found).await;
            let Some(error) = again.values().next().cloned() else { continue };
            let topics: Vec<TopicName> = again.keys().map(|key| key.topic.clone()).collect();
            tracing::debug!(target: TARGET, partitions = again.len(), error = %error.chain(), "offset lookup retried");
            self.cluster.refresh(&topics);
            if retry.pause(error).await.is_err() {
                found.extend(again.into_iter().map(|(key, error)| (key, Err(error))));
            }
        }
        let missing = || Err(Error::protocol("the response lacks the partition"));
        requested.iter().map(|(key, _)| found.get(key).cloned().unwrap_or_else(missing)).collect()
    }

    /// Waits for the metadata of the topics. Partitions that do not exist get their errors.
    async fn find_topics(
        &self,
        requested: &[(TopicPartition, OffsetSpec)],
        deadline: Instant,
        found: &mut BTreeMap<TopicPartition, Listed>,
    ) {
        let topics: BTreeSet<&TopicName> = requested.iter().map(|(key, _)| &key.topic).collect();
        for topic in topics {
            if let Err(error) = check_name(topic) {
                let refused = requested.iter().filter(|(key, _)| key.topic == *topic);
                found.extend(refused.map(|(key, _)| (key.clone(), Err(error.clone()))));
                continue;
            }
            let last = requested
                .iter()
                .filter(|(key, _)| key.topic == *topic)
                .map(|(key, _)| key.partition)
                .max()
                .unwrap_or(0);
            // Partitions may have been added since the last refresh. One that does not exist gets an error of its own.
            let grace = self.cluster.settings().propagation;
            let known = match self.cluster.known_partition(topic, last, AutoCreate::Forbid, grace, deadline).await {
                Err(error) if error.kind() == Kind::UnknownTopic && error.code().is_none() => {
                    Ok(self.cluster.snapshot())
                }
                known => known,
            };
            for (key, _) in requested.iter().filter(|(key, _)| key.topic == *topic) {
                let missing = match &known {
                    Err(error) => Some(error.clone()),
                    Ok(snapshot) => snapshot.partition(topic, key.partition).is_none().then(|| {
                        Error::new(Kind::UnknownTopic, "there is no such partition").in_partition(topic, key.partition)
                    }),
                };
                if let Some(error) = missing {
                    found.insert(key.clone(), Err(error));
                }
            }
        }
    }

    /// Sends one request to each leader, all at the same time. Returns the partitions that are worth another request, with their
    /// errors.
    async fn list_once(
        &self,
        open: &[&(TopicPartition, OffsetSpec)],
        deadline: Instant,
        found: &mut BTreeMap<TopicPartition, Listed>,
    ) -> BTreeMap<TopicPartition, Error> {
        let snapshot = self.cluster.snapshot();
        let ByLeader { leaders, leaderless } =
            by_leader(&snapshot, open.iter().map(|(key, spec)| (key.clone(), *spec)));
        let no_leader = |(key, _): (TopicPartition, OffsetSpec)| {
            let error = Error::broker(Code::LeaderNotAvailable, "the partition has no leader");
            let error = error.in_partition(&key.topic, key.partition);
            (key, error)
        };
        let mut again: BTreeMap<TopicPartition, Error> = leaderless.into_iter().map(no_leader).collect();
        let requested: Vec<_> = leaders
            .into_iter()
            .map(|(leader, topics)| {
                let answer_by = self.cluster.request_deadline(deadline);
                // The request is sent here, and awaited after all are sent.
                let answer = self.cluster.call(
                    Target::Broker(leader),
                    list_request(&topics, millis_until(answer_by)),
                    answer_by,
                );
                (topics, answer)
            })
            .collect();
        for (topics, answer) in requested {
            let answers = answer.await.map(listed);
            let keys = topics.into_iter().flat_map(|(topic, partitions)| {
                partitions.into_iter().map(move |(partition, _)| TopicPartition { topic: topic.clone(), partition })
            });
            for key in keys {
                let answer = match &answers {
                    Ok(answers) => answers.get(&key).cloned(),
                    Err(error) => Some(Err(error.clone().in_partition(&key.topic, key.partition))),
                };
                let silent = || Err(Error::protocol("the response lacks the partition"));
                match answer.unwrap_or_else(silent) {
                    Err(error) if error.is_retriable() || error.kind() == Kind::UnknownTopic => {
                        again.insert(key, error);
                    }
                    decided => drop(found.insert(key, decided)),
                }
            }
        }
        again
    }
}

/// Indexes of what was requested, so that no round has a partition twice: a request names each partition once.
fn rounds(requested: &[(TopicPartition, OffsetSpec)]) -> Vec<Vec<usize>> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut times: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
    for (at, (key, _)) in requested.iter().enumerate() {
        let round = times.entry(key).or_default();
        if rounds.len() == *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(at);
        *round += 1;
    }
    rounds
}

fn list_request(topics: &ByTopic<(i32, OffsetSpec)>, timeout_ms: i32) -> m::ListOffsetsRequest {
    let partition = |(index, spec): &(i32, OffsetSpec)| {
        let timestamp = match spec {
            OffsetSpec::Earliest => -2,
            OffsetSpec::Latest => -1,
            OffsetSpec::Timestamp(timestamp) => (*timestamp).max(0),
        };
        m::ListOffsetsPartition { index: *index, current_leader_epoch: None, timestamp }
    };
    let topic = |(name, partitions): &(TopicName, Vec<_>)| m::ListOffsetsTopic {
        name: name.clone(),
        partitions: partitions.iter().map(partition).collect(),
    };
    let topics = topics.iter().map(topic).collect();
    m::ListOffsetsRequest { isolation: 0, timeout_ms, topics }
}

fn listed(response: m::ListOffsetsResponse) -> BTreeMap<TopicPartition, Listed> {
    let mut answers = BTreeMap::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let key = TopicPartition { topic: topic.name.clone(), partition: partition.index };
            let answer = match partition.error {
                Some(code) => {
                    Err(Error::broker(code, "could not list offsets").in_partition(&key.topic, key.partition))
                }
                None => Ok(ListedOffset {
                    offset: Some(partition.offset).filter(|offset| *offset >= 0),
                    timestamp: Some(partition.timestamp).filter(|timestamp| *timestamp >= 0),
                    leader_epoch: partition.leader_epoch,
                }),
            };
            answers.entry(key).or_insert(answer);
        }
    }
    answers
}
