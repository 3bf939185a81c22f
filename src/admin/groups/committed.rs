//! The offsets that groups have committed: reads, sets and deletes them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::super::Admin;
use super::super::TARGET;
use super::super::check_name;
use super::Attempt;
use super::Outcomes;
use super::each;
use super::failed;
use super::in_order;
use super::left_out;
use super::refused;
use crate::client::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::by_topic;
use crate::types::LeaderEpoch;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::message as m;

/// The offset at which a group continues in a partition.
///
/// ```
/// use ottla::admin::CommittedOffset;
///
/// let offset = CommittedOffset::new(42).metadata("moved by hand");
/// assert_eq!(CommittedOffset::from(42).offset, offset.offset);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// The offset of the next record to read.
    pub offset: i64,
    /// The leader epoch of the last record that was read, if it is known (KIP-320).
    pub leader_epoch: Option<LeaderEpoch>,
    /// A text that the committer stored with it; mostly empty.
    pub metadata: String,
}

impl CommittedOffset {
    /// An offset without a leader epoch and without metadata.
    pub fn new(offset: i64) -> Self {
        Self { offset, leader_epoch: None, metadata: String::new() }
    }

    /// Stores a text with the offset. Brokers accept 4,096 bytes by default (`offset.metadata.max.bytes`).
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }
}

impl From<i64> for CommittedOffset {
    fn from(offset: i64) -> Self {
        Self::new(offset)
    }
}

/// The committed offsets to read: of a group, and of which partitions.
///
/// ```
/// use ottla::admin::GroupOffsetsQuery;
/// use ottla::types::TopicPartition;
///
/// let all = GroupOffsetsQuery::from("billing");
/// let one = GroupOffsetsQuery::new("billing").partitions([TopicPartition::new("orders", 0)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffsetsQuery {
    group: String,
    partitions: Option<BTreeSet<TopicPartition>>,
}

impl GroupOffsetsQuery {
    /// Every partition for which the group has committed.
    pub fn new(group: impl Into<String>) -> Self {
        Self { group: group.into(), partitions: None }
    }

    /// Only these partitions, whether or not the group has committed for them.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Self {
        self.partitions.get_or_insert_default().extend(partitions);
        self
    }
}

impl<G: Into<String>> From<G> for GroupOffsetsQuery {
    fn from(group: G) -> Self {
        Self::new(group)
    }
}

/// The committed offsets of a group: of each partition an offset, `None` where nothing is committed, or an error.
pub type GroupOffsets = BTreeMap<TopicPartition, Result<Option<CommittedOffset>, Error>>;

/// The partitions that are requested of each group; `None` for all that have an offset.
type Wanted = HashMap<String, Option<BTreeSet<TopicPartition>>>;

/// The outcome for each partition of a group.
type Changed = HashMap<TopicPartition, Result<(), Error>>;

impl Admin {
    /// Reads the committed offsets of groups. Each group has an outcome of its own, in the order of the call, and each partition of it.
    ///
    /// A partition without a committed offset is `None`, which is no error. A group that does not exist has no offsets. Groups of one
    /// coordinator are in one request where it is Kafka 3.0 or later (KIP-709). A group that is named twice is requested once, with the
    /// partitions of both queries.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// for (group, offsets) in admin.group_offsets(["billing", "audit"]).await {
    ///     for (partition, committed) in offsets? {
    ///         match committed? {
    ///             Some(committed) => println!("{group} continues in {partition} at {}", committed.offset),
    ///             None => println!("{group} has committed nothing for {partition}"),
    ///         }
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn group_offsets<Q: Into<GroupOffsetsQuery>>(
        &self,
        queries: impl IntoIterator<Item = Q>,
    ) -> Vec<(String, Result<GroupOffsets, Error>)> {
        self.group_offsets_by(queries.into_iter().map(Into::into).collect(), self.deadline()).await
    }

    /// As [`Self::group_offsets`], until `deadline`.
    pub(super) async fn group_offsets_by(
        &self,
        queries: Vec<GroupOffsetsQuery>,
        deadline: Instant,
    ) -> Outcomes<GroupOffsets> {
        let mut wanted = Wanted::new();
        for query in &queries {
            let partitions = query.partitions.clone();
            wanted
                .entry(query.group.clone())
                .and_modify(|known| *known = known.take().zip(partitions.clone()).map(|(one, other)| &one | &other))
                .or_insert(partitions);
        }
        let wanted = Arc::new(wanted);
        let groups: Vec<String> = queries.into_iter().map(|query| query.group).collect();
        let attempt = |attempt| fetch(attempt, Arc::clone(&wanted));
        let found = self.at_coordinators(groups.clone(), deadline, attempt).await;
        in_order(groups, &found)
    }

    /// Sets the offsets at which a group continues. Each partition has an outcome of its own, in the order of the call. A partition
    /// that is named twice gets its last offset.
    ///
    /// The group must have no members: they would go on from where they are, and commit over it. Otherwise the error is
    /// [`NON_EMPTY_GROUP`](Code::NonEmptyGroup). A group that does not exist is created. Offsets are not compared with the logs: a
    /// consumer of the group resets one that is out of range as its policy says.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::types::TopicPartition;
    ///
    /// let offsets = [(TopicPartition::new("orders", 0), 100), (TopicPartition::new("orders", 1), 250)];
    /// for (partition, altered) in admin.alter_group_offsets("billing", offsets).await {
    ///     altered?;
    ///     println!("moved {partition}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn alter_group_offsets<O: Into<CommittedOffset>>(
        &self,
        group: impl Into<String>,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Vec<(TopicPartition, Result<(), Error>)> {
        let offsets: Vec<(TopicPartition, CommittedOffset)> =
            offsets.into_iter().map(|(partition, offset)| (partition, offset.into())).collect();
        let check = |(partition, offset): &(TopicPartition, CommittedOffset)| {
            check_name(&partition.topic)?;
            let text = || format!("{} is not an offset: offsets are numbered from 0", offset.offset);
            let error = || Error::config(text()).in_partition(&partition.topic, partition.partition);
            if offset.offset < 0 { Err(error()) } else { Ok(()) }
        };
        let named: Vec<TopicPartition> = offsets.iter().map(|(partition, _)| partition.clone()).collect();
        let (valid, refused) = checked(offsets, |item| &item.0, check);
        let valid: Arc<BTreeMap<TopicPartition, CommittedOffset>> = Arc::new(valid.into_iter().collect());
        let attempt = |attempt| commit(attempt, Arc::clone(&valid));
        self.change_offsets(group.into(), named, refused, valid.is_empty(), "group offsets set", attempt).await
    }

    /// Deletes the committed offsets of a group for these partitions. Each has an outcome of its own, in the order of the call. A
    /// partition without an offset is no error.
    ///
    /// No member of the group may subscribe to the topic: then the error is
    /// [`GROUP_SUBSCRIBED_TO_TOPIC`](Code::GroupSubscribedToTopic). Needs Kafka 2.4 or later (KIP-496).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::types::TopicPartition;
    ///
    /// for (partition, deleted) in admin.delete_group_offsets("billing", [TopicPartition::new("old-orders", 0)]).await {
    ///     deleted?;
    ///     println!("deleted the offset of {partition}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn delete_group_offsets(
        &self,
        group: impl Into<String>,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Vec<(TopicPartition, Result<(), Error>)> {
        let named: Vec<TopicPartition> = partitions.into_iter().collect();
        let (valid, refused) = checked(named.clone(), |partition| partition, |partition| check_name(&partition.topic));
        let valid: Arc<BTreeSet<TopicPartition>> = Arc::new(valid.into_iter().collect());
        let attempt = |attempt| delete(attempt, Arc::clone(&valid));
        self.change_offsets(group.into(), named, refused, valid.is_empty(), "group offsets deleted", attempt).await
    }

    /// Sends a change of a group's offsets to its coordinator. Returns the outcome of each partition, in the order of the call.
    async fn change_offsets<F>(
        &self,
        group: String,
        named: Vec<TopicPartition>,
        mut outcomes: Changed,
        is_empty: bool,
        done: &'static str,
        attempt: impl Fn(Attempt) -> F,
    ) -> Vec<(TopicPartition, Result<(), Error>)>
    where
        F: Future<Output = Outcomes<Changed>> + Send + 'static,
    {
        let mut error = left_out(&group);
        if !is_empty {
            match self.at_coordinators([group.clone()], self.deadline(), attempt).await.remove(&group) {
                Some(Ok(changed)) => outcomes.extend(changed),
                Some(Err(failure)) => error = failure,
                None => {}
            }
            let changed = outcomes.values().filter(|outcome| outcome.is_ok()).count();
            let refused = named.len().saturating_sub(changed);
            tracing::info!(target: TARGET, group, action = done, changed, refused, "offsets of a group changed");
        }
        let outcome = |partition: TopicPartition| {
            let failed = || Err(error.clone().in_partition(&partition.topic, partition.partition));
            let outcome = outcomes.get(&partition).cloned().unwrap_or_else(failed);
            (partition, outcome)
        };
        named.into_iter().map(outcome).collect()
    }
}

/// Separates the items that can be sent from those that cannot, with their errors.
fn checked<T>(
    items: Vec<T>,
    partition: impl Fn(&T) -> &TopicPartition,
    check: impl Fn(&T) -> Result<(), Error>,
) -> (Vec<T>, Changed) {
    let mut refused = Changed::new();
    let mut valid = Vec::with_capacity(items.len());
    for item in items {
        match check(&item) {
            Ok(()) => valid.push(item),
            Err(error) => drop(refused.insert(partition(&item).clone(), Err(error))),
        }
    }
    (valid, refused)
}

/// Requests the offsets of the groups of one coordinator: in one request, or in one for each group before Kafka 3.0.
async fn fetch((admin, broker, groups, until): Attempt, wanted: Arc<Wanted>) -> Outcomes<GroupOffsets> {
    let call = |groups: &[String]| {
        let groups = groups.iter().map(|group| fetch_request(group, wanted.get(group).and_then(Option::as_ref)));
        let request = m::OffsetFetchRequest { groups: groups.collect(), require_stable: false };
        admin.cluster.call(Target::Broker(broker), request, until)
    };
    match call(&groups).await {
        Err(error) if error.kind() == Kind::Unsupported && groups.len() > 1 => {}
        response => return fetched(groups, response, &wanted),
    }
    // All requests are sent here, and awaited afterwards.
    let calls: Vec<_> = groups.into_iter().map(|group| (call(std::slice::from_ref(&group)), group)).collect();
    let mut outcomes = Vec::with_capacity(calls.len());
    for (response, group) in calls {
        outcomes.extend(fetched(vec![group], response.await, &wanted));
    }
    outcomes
}

fn fetch_request(group: &str, partitions: Option<&BTreeSet<TopicPartition>>) -> m::OffsetFetchGroup {
    let topic = |(name, partitions)| m::OffsetFetchTopic { name, partitions, ..m::OffsetFetchTopic::default() };
    let by_name = |key: &TopicPartition| (key.topic.clone(), key.partition);
    m::OffsetFetchGroup {
        group: group.to_owned(),
        member: None,
        member_epoch: -1,
        topics: partitions.map(|keys| by_topic(keys.iter().map(by_name)).into_iter().map(topic).collect()),
    }
}

fn fetched(
    groups: Vec<String>,
    response: Result<m::OffsetFetchResponse, Error>,
    wanted: &Wanted,
) -> Outcomes<GroupOffsets> {
    let response = match response {
        Ok(response) => response,
        Err(error) => return failed(groups, &error),
    };
    each(groups, |group| {
        let found = response.group(group).ok_or_else(|| left_out(group))?;
        offsets(group, found, wanted.get(group).and_then(Option::as_ref))
    })
}

/// The offsets of one group in a response. An error that may pass is an error of the whole group.
fn offsets(
    group: &str,
    fetched: &m::FetchedGroup,
    wanted: Option<&BTreeSet<TopicPartition>>,
) -> Result<GroupOffsets, Error> {
    let refused = |code| refused(code, "read the offsets of", group, None);
    let mut offsets = GroupOffsets::new();
    // A group that was never used has committed nothing.
    let is_unknown = fetched.error == Some(Code::GroupIdNotFound);
    if let Some(code) = fetched.error.filter(|_| !is_unknown) {
        return Err(refused(code));
    }
    for topic in &fetched.topics {
        for found in &topic.partitions {
            let offset = match found.error {
                Some(Code::GroupIdNotFound) => Ok(None),
                // Version 1 reports errors of the group for each partition.
                Some(code) if code.is_retriable() => return Err(refused(code)),
                Some(code) => Err(refused(code).in_partition(&topic.name, found.index)),
                None => Ok((found.offset >= 0).then(|| CommittedOffset {
                    offset: found.offset,
                    leader_epoch: found.leader_epoch,
                    metadata: found.metadata.clone().unwrap_or_default(),
                })),
            };
            let key = TopicPartition::new(topic.name.clone(), found.index);
            if wanted.is_none_or(|wanted| wanted.contains(&key)) {
                offsets.entry(key).or_insert(offset);
            }
        }
    }
    for key in wanted.into_iter().flatten() {
        let missing = || left_out(group).in_partition(&key.topic, key.partition);
        offsets.entry(key.clone()).or_insert_with(|| if is_unknown { Ok(None) } else { Err(missing()) });
    }
    Ok(offsets)
}

/// Commits offsets as a client that is no member.
async fn commit(
    (admin, broker, groups, until): Attempt,
    offsets: Arc<BTreeMap<TopicPartition, CommittedOffset>>,
) -> Outcomes<Changed> {
    let Some(group) = groups.first() else { return Vec::new() };
    let items = offsets.iter().map(|(key, offset)| (key.topic.clone(), (key.partition, offset)));
    let partition = |(index, offset): (i32, &CommittedOffset)| m::CommitPartition {
        index,
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: Some(offset.metadata.clone()),
    };
    let topic = |(name, partitions): (TopicName, Vec<(i32, &CommittedOffset)>)| m::CommitTopic {
        name,
        partitions: partitions.into_iter().map(partition).collect(),
        ..m::CommitTopic::default()
    };
    let request = m::OffsetCommitRequest {
        group: group.clone(),
        generation_or_epoch: -1,
        retention_ms: -1,
        topics: by_topic(items).into_iter().map(topic).collect(),
        ..m::OffsetCommitRequest::default()
    };
    let response = match admin.cluster.call(Target::Broker(broker), request, until).await {
        Ok(response) => response,
        Err(error) => return failed(groups, &error),
    };
    let codes = response.topics.into_iter().flat_map(|topic| {
        topic.partitions.into_iter().map(move |(index, code)| (TopicPartition::new(topic.name.clone(), index), code))
    });
    let changed = outcomes(group, "set the offsets of", codes, |code| match code {
        Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::IllegalGeneration
        | Code::RebalanceInProgress
        | Code::StaleMemberEpoch
        | Code::UnknownMemberId => Code::NonEmptyGroup,
        other => other,
    });
    vec![(group.clone(), changed)]
}

/// Deletes committed offsets.
async fn delete(
    (admin, broker, groups, until): Attempt,
    partitions: Arc<BTreeSet<TopicPartition>>,
) -> Outcomes<Changed> {
    let Some(group) = groups.first() else { return Vec::new() };
    let topics = by_topic(partitions.iter().map(|key| (key.topic.clone(), key.partition)));
    let topics = topics.into_iter().map(|(name, partitions)| m::OffsetDeleteTopic { name, partitions }).collect();
    let request = m::OffsetDeleteRequest { group: group.clone(), topics };
    let response = match admin.cluster.call(Target::Broker(broker), request, until).await {
        Ok(m::OffsetDeleteResponse { error: Some(code), .. }) => {
            let error = refused(code, "delete the offsets of", group, None);
            return failed(groups, &error);
        }
        Ok(response) => response,
        Err(error) => return failed(groups, &error),
    };
    let codes = response.topics.into_iter().flat_map(|topic| {
        let name = TopicName::from(&*topic.name);
        topic.partitions.into_iter().map(move |(index, code)| (TopicPartition::new(name.clone(), index), code))
    });
    let changed = outcomes(group, "delete the offsets of", codes, |code| code);
    vec![(group.clone(), changed)]
}

/// The outcome of each partition of a change. An error that may pass is one of the whole group: the change is repeated.
fn outcomes(
    group: &str,
    action: &str,
    codes: impl Iterator<Item = (TopicPartition, Option<Code>)>,
    meaning: impl Fn(Code) -> Code,
) -> Result<Changed, Error> {
    let mut changed = Changed::new();
    for (key, code) in codes {
        let outcome = match code.map(&meaning) {
            None => Ok(()),
            Some(code) => {
                let error = refused(code, action, group, None);
                if error.is_retriable() {
                    return Err(error);
                }
                Err(error.in_partition(&key.topic, key.partition))
            }
        };
        changed.entry(key).or_insert(outcome);
    }
    Ok(changed)
}
