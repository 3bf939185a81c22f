//! The lag of groups: how far their committed offsets are behind the ends of the logs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinSet;

use super::super::Admin;
use super::super::ListedOffset;
use super::super::OffsetSpec;
use super::super::check_name;
use super::CommittedOffset;
use super::GroupOffsets;
use super::GroupOffsetsQuery;
use super::Outcomes;
use crate::client::AutoCreate;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;

/// The lag to compute: of a group, and of which partitions.
///
/// ```
/// use ottla::admin::LagQuery;
///
/// let committed = LagQuery::from("billing");
/// let whole_topic = LagQuery::new("billing").topic("orders");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagQuery {
    group: String,
    topics: BTreeSet<TopicName>,
    partitions: BTreeSet<TopicPartition>,
    starts_at_end: bool,
}

impl LagQuery {
    /// Every partition for which the group has committed.
    pub fn new(group: impl Into<String>) -> Self {
        Self { group: group.into(), topics: BTreeSet::new(), partitions: BTreeSet::new(), starts_at_end: false }
    }

    /// Only this topic, or another one that is given, with all its partitions: also those for which nothing is committed.
    pub fn topic(mut self, topic: impl Into<TopicName>) -> Self {
        self.topics.insert(topic.into());
        self
    }

    /// Also this partition, whether or not anything is committed for it: one that is assigned to a member, for example. It is left
    /// out if topics are given, and its topic is not one of them.
    pub fn partition(mut self, partition: TopicPartition) -> Self {
        self.partitions.insert(partition);
        self
    }

    /// Says that consumers of the group start at the end of a partition for which nothing is committed (`auto.offset.reset=latest`). The
    /// default is that they start at its oldest record. It decides [`Lag::NoCommit`].
    pub fn starts_at_end(mut self) -> Self {
        self.starts_at_end = true;
        self
    }
}

impl<G: Into<String>> From<G> for LagQuery {
    fn from(group: G) -> Self {
        Self::new(group)
    }
}

/// The lag of a group. Returned by [`Admin::group_lag`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupLag {
    /// Its partitions, by topic and index.
    pub partitions: Vec<PartitionLag>,
}

impl GroupLag {
    /// The records that are left to read in all partitions whose lag is known; see [`PartitionLag::records`].
    pub fn records(&self) -> u64 {
        self.partitions.iter().filter_map(PartitionLag::records).fold(0, u64::saturating_add)
    }
}

/// The lag of a group in one partition. Part of a [`GroupLag`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionLag {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset that the group has committed; `None` if it has not.
    pub committed: Option<CommittedOffset>,
    /// The offset of the oldest record; `None` if it is not known.
    pub start: Option<i64>,
    /// The offset after the newest record, that of an open transaction included; `None` if it is not known.
    pub end: Option<i64>,
    /// How the committed offset stands to the log, or why that is not known.
    pub lag: Result<Lag, Error>,
}

impl PartitionLag {
    /// The number of offsets that the group has left to read: from the committed offset to the end, or from the start if the records
    /// before it are gone. `None` if nothing is committed, if the commit is ahead of the log, or after an error.
    ///
    /// A compacted log, or one with transactions, has fewer records than offsets.
    pub fn records(&self) -> Option<u64> {
        match self.lag {
            Ok(Lag::Behind(records)) => Some(records),
            Ok(Lag::Expired) => distance(self.start?, self.end?),
            Ok(Lag::Ahead | Lag::NoCommit { .. }) | Err(_) => None,
        }
    }

    /// As [`Self::records`], and where nothing is committed, the offsets from where consumers of the group would start.
    pub fn to_read(&self) -> Option<u64> {
        match self.lag {
            Ok(Lag::NoCommit { would_start_at }) => distance(would_start_at, self.end?),
            _ => self.records(),
        }
    }
}

/// How a committed offset stands to the log of its partition.
///
/// ```
/// use ottla::admin::Lag;
///
/// fn is_alarming(lag: Lag) -> bool {
///     match lag {
///         Lag::Behind(records) => records > 10_000,
///         Lag::NoCommit { .. } => false,
///         Lag::Expired | Lag::Ahead => true,
///     }
/// }
/// # let _ = is_alarming;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// It is within the log, so many offsets before its end.
    Behind(u64),
    /// It is beyond the end of the log: the log lost records, or the topic was recreated.
    Ahead,
    /// It is before the start of the log: records that the group had not read are deleted.
    Expired,
    /// There is none. Consumers of the group would start here: see [`LagQuery::starts_at_end`].
    NoCommit {
        /// The offset of the first record that they would read.
        would_start_at: i64,
    },
}

impl Lag {
    fn of(committed: Option<i64>, (start, end): (i64, i64), starts_at_end: bool) -> Self {
        match committed {
            None => Self::NoCommit { would_start_at: if starts_at_end { end } else { start } },
            Some(committed) if committed < start => Self::Expired,
            Some(committed) => distance(committed, end).map_or(Self::Ahead, Self::Behind),
        }
    }
}

/// The offsets from `from` to `to`; `None` if `to` comes first.
fn distance(from: i64, to: i64) -> Option<u64> {
    to.checked_sub(from).and_then(|distance| u64::try_from(distance).ok())
}

/// Where the log of a partition begins and ends.
type Bounds = HashMap<TopicPartition, Result<(i64, i64), Error>>;

/// A request for the lag of groups, which is made when it is awaited. Created by [`Admin::group_lag`].
#[must_use = "nothing is requested until it is awaited"]
pub struct GroupLagRequest {
    admin: Admin,
    queries: Vec<LagQuery>,
}

impl GroupLagRequest {
    /// Only these topics, with all their partitions, of every group: as [`LagQuery::topic`].
    pub fn topics<T: Into<TopicName>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        let topics: BTreeSet<TopicName> = topics.into_iter().map(Into::into).collect();
        self.queries.iter_mut().for_each(|query| query.topics.extend(topics.iter().cloned()));
        self
    }

    /// The time within which the call ends, instead of [`Admin::timeout`]. What was not found out by then is an error of its group or
    /// partition.
    pub fn deadline(mut self, timeout: Duration) -> Self {
        self.admin = self.admin.timeout(timeout);
        self
    }
}

impl fmt::Debug for GroupLagRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupLagRequest").field("queries", &self.queries).finish_non_exhaustive()
    }
}

impl IntoFuture for GroupLagRequest {
    type Output = Vec<(String, Result<GroupLag, Error>)>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let deadline = self.admin.deadline();
            self.admin.group_lag_by(self.queries, deadline).await
        })
    }
}

impl Admin {
    /// Computes the lag of groups. Each group has an outcome of its own, in the order of the call, and each partition of it.
    ///
    /// Committed offsets come from the coordinators, several groups in one request ([`Admin::group_offsets`]). Then each leader is
    /// asked for the starts and, at the same time, for the ends of all its partitions, whichever groups read them
    /// ([`Admin::list_offsets`]). Metadata of topics that the client does not know comes in one request. No group is joined, and no topic
    /// created. The offsets have to come within two thirds of the time of the call, so that a coordinator that is silent does not hide the
    /// lag of groups of others.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use std::time::Duration;
    ///
    /// use ottla::admin::Lag;
    ///
    /// for (group, lag) in admin.group_lag(["billing", "audit"]).deadline(Duration::from_secs(3)).await {
    ///     for partition in lag?.partitions {
    ///         match partition.lag? {
    ///             Lag::Behind(records) => println!("{group} has {records} left in {}", partition.partition),
    ///             other => println!("{group} in {}: {other:?}", partition.partition),
    ///         }
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn group_lag<Q: Into<LagQuery>>(&self, queries: impl IntoIterator<Item = Q>) -> GroupLagRequest {
        let queries = queries.into_iter().map(Into::into).collect();
        GroupLagRequest { admin: self.clone(), queries }
    }

    async fn group_lag_by(&self, queries: Vec<LagQuery>, deadline: Instant) -> Outcomes<GroupLag> {
        let topics: BTreeSet<TopicName> = inserted(queries.iter().flat_map(|query| &query.topics).cloned());
        // A silent coordinator leaves time to look up the logs for the groups of the others.
        let now = clock::now();
        let offsets_by = now + deadline.saturating_duration_since(now) / 3 * 2;
        let topics = self.partitions_of(topics, offsets_by).await;
        let wanted = |query: &LagQuery| GroupOffsetsQuery::new(&*query.group);
        // Offsets are read before the ends of the logs: a group that reads on is never ahead because of the order.
        let committed = self.group_offsets_by(queries.iter().map(wanted).collect(), offsets_by).await;
        let mut groups = Vec::with_capacity(queries.len());
        for (query, (group, offsets)) in queries.iter().zip(committed) {
            groups.push((group, offsets.map(|offsets| completed(query, offsets, &topics))));
        }
        let named = groups.iter().filter_map(|(_, offsets)| offsets.as_ref().ok()).flat_map(BTreeMap::keys);
        let bounds = self.bounds(inserted(named.cloned()), deadline).await;
        let lag = |(query, (group, offsets)): (LagQuery, (String, Result<GroupOffsets, Error>))| {
            (group, offsets.map(|offsets| lag(offsets, &bounds, query.starts_at_end)))
        };
        queries.into_iter().zip(groups).map(lag).collect()
    }

    /// The partitions of topics. A topic that cannot be described has an error in the place of its first partition.
    async fn partitions_of(
        &self,
        topics: BTreeSet<TopicName>,
        deadline: Instant,
    ) -> HashMap<TopicName, Result<Vec<i32>, Error>> {
        let missing = |topic: &TopicName| Error::protocol("the response lacks the topic").in_topic(topic);
        let initial = |topic: &TopicName| Err(check_name(topic).err().unwrap_or_else(|| missing(topic)));
        let mut partitions: HashMap<TopicName, Result<Vec<i32>, Error>> =
            topics.iter().map(|topic| (topic.clone(), initial(topic))).collect();
        let valid: Vec<TopicName> = topics.into_iter().filter(|topic| check_name(topic).is_ok()).collect();
        if valid.is_empty() {
            return partitions;
        }
        // Metadata has all topics in one response, where descriptions come in pages of 2,000 partitions.
        match self.request_metadata(Some(valid.clone()), deadline).await {
            Ok(response) => partitions.extend(response.topics.into_iter().map(|topic| {
                let name = TopicName::from(&*topic.name);
                let indexes = match topic.error {
                    Some(code) => Err(Error::no_topic(code, &name)),
                    None => Ok(topic.partitions.iter().map(|partition| partition.index).collect()),
                };
                (name, indexes)
            })),
            Err(error) => partitions.extend(valid.into_iter().map(|topic| (topic, Err(error.clone())))),
        }
        partitions
    }

    /// The start and the end of each log. Partitions of topics that do not exist get their errors.
    async fn bounds(&self, partitions: BTreeSet<TopicPartition>, deadline: Instant) -> Bounds {
        let topics: BTreeSet<TopicName> = inserted(partitions.iter().map(|key| key.topic.clone()));
        let snapshot = self.cluster.snapshot();
        let is_unknown = |topic: &TopicName| snapshot.topic(topic).is_none_or(|topic| topic.error.is_some());
        let unknown: BTreeSet<TopicName> = inserted(topics.into_iter().filter(|topic| is_unknown(topic)));
        // One request tells which exist, and one brings the leaders of all that do, before each of them is waited for.
        let described = self.partitions_of(unknown.clone(), deadline).await;
        let exists = |topic: &TopicName| described.get(topic).is_none_or(Result::is_ok);
        let existing: Vec<TopicName> = unknown.into_iter().filter(|topic| exists(topic)).collect();
        let _held = self.cluster.hold(&existing, AutoCreate::Forbid);
        let (open, missing): (Vec<_>, Vec<_>) = partitions.into_iter().partition(|key| exists(&key.topic));
        let missing = missing.into_iter().filter_map(|key| {
            let error = described.get(&key.topic)?.as_ref().err()?.clone();
            Some((key, Err(error)))
        });
        let mut bounds: Bounds = missing.collect();
        let at = |spec| open.iter().map(move |key| (key.clone(), spec)).collect::<Vec<_>>();
        let (admin, starts) = (self.clone(), at(OffsetSpec::Earliest));
        let mut listing = JoinSet::new();
        let starts = async move { admin.list_offsets_by(starts, deadline).await };
        // A request may name a partition once, so that starts and ends are two, sent at the same time.
        listing.spawn_on(starts, self.cluster.runtime().handle());
        let ends = self.list_offsets_by(at(OffsetSpec::Latest), deadline).await;
        let Some(Ok(starts)) = listing.join_next().await else { return bounds };
        let offset = |listed: ListedOffset| listed.offset.ok_or_else(|| Error::protocol("the leader gave no offset"));
        let pair = |((key, start), (_, end)): ((_, Result<_, Error>), (_, Result<_, Error>))| {
            let bounds = start.and_then(offset).and_then(|start| Ok((start, end.and_then(offset)?)));
            (key, bounds)
        };
        bounds.extend(starts.into_iter().zip(ends).map(pair));
        bounds
    }
}

/// Adds the partitions of a query to those that have offsets, and drops those of other topics.
fn completed(
    query: &LagQuery,
    mut offsets: GroupOffsets,
    topics: &HashMap<TopicName, Result<Vec<i32>, Error>>,
) -> GroupOffsets {
    for topic in &query.topics {
        match topics.get(topic) {
            Some(Ok(partitions)) => {
                for partition in partitions {
                    offsets.entry(TopicPartition::new(topic.clone(), *partition)).or_insert(Ok(None));
                }
            }
            Some(Err(error)) => {
                offsets.entry(TopicPartition::new(topic.clone(), 0)).or_insert(Err(error.clone()));
            }
            None => {}
        }
    }
    for partition in &query.partitions {
        offsets.entry(partition.clone()).or_insert(Ok(None));
    }
    offsets.retain(|partition, _| query.topics.is_empty() || query.topics.contains(&partition.topic));
    offsets
}

fn lag(offsets: GroupOffsets, bounds: &Bounds, starts_at_end: bool) -> GroupLag {
    let one = |(partition, committed): (TopicPartition, Result<Option<CommittedOffset>, Error>)| {
        let bounds = bounds
            .get(&partition)
            .cloned()
            .unwrap_or_else(|| Err(Error::new(Kind::Closed, "the runtime is shutting down")));
        let known = bounds.as_ref().ok().copied();
        let lag = committed.as_ref().map_err(Error::clone).and_then(|committed| {
            Ok(Lag::of(committed.as_ref().map(|committed| committed.offset), bounds?, starts_at_end))
        });
        let (start, end) = known.unzip();
        PartitionLag { partition, committed: committed.ok().flatten(), start, end, lag }
    };
    GroupLag { partitions: offsets.into_iter().map(one).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_outside_the_log_is_expired_or_ahead() {
        let of = |committed, start, end| Lag::of(committed, (start, end), false);
        assert_eq!(of(Some(10), 10, 30), Lag::Behind(20));
        assert_eq!(of(Some(30), 10, 30), Lag::Behind(0));
        assert_eq!(of(Some(9), 10, 30), Lag::Expired);
        assert_eq!(of(Some(31), 10, 30), Lag::Ahead);
        assert_eq!(of(None, 10, 30), Lag::NoCommit { would_start_at: 10 });
        assert_eq!(Lag::of(None, (10, 30), true), Lag::NoCommit { would_start_at: 30 });
        assert_eq!(of(Some(i64::MIN), i64::MIN, i64::MAX), Lag::Ahead, "no panic");
    }
}
