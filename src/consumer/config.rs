//! Settings of a consumer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Consumer;
use super::acks::Settings as AckSettings;
use super::core;
use super::core::ConsumerCore;
use super::core::Isolation;
use super::core::ResetPolicy;
use super::core::Start;
use super::listener::RebalanceListener;
use super::rebalance;
use crate::client::AutoCreate;
use crate::client::Client;
use crate::client::Cluster;
use crate::codec::Codecs;
use crate::config;
use crate::config::Properties;
use crate::error::Error;
use crate::group::GroupProtocol;
use crate::group::assignor::Assignor;
use crate::group::pattern::TopicPattern;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::bounded;

mod acks;
mod membership;

use self::membership::Membership;

/// The longest wait that a Fetch request can carry.
const FETCH_WAIT_LONGEST: Duration = Duration::from_millis(0x7fff_ffff);

/// Settings of a [`Consumer`]. Made by [`Client::consumer`](crate::client::Client::consumer).
///
/// ```no_run
/// # async fn run(client: ottla::client::Client) -> Result<(), ottla::Error> {
/// use ottla::consumer::Start;
///
/// let mut consumer = client.consumer().assign(["events"]).start(Start::Earliest).until_end().build()?;
/// while let Some(records) = consumer.poll().await? {
///     println!("{} records", records.count());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ConsumerBuilder {
    cluster: Cluster,
    topics: Vec<TopicName>,
    partitions: Vec<TopicPartition>,
    start: Option<Start>,
    core: core::Config,
    pub(super) codecs: Codecs,
    pub(super) limits: Limits,
    auto_create: AutoCreate,
    membership: Membership,
    acks: AckSettings,
}

impl Client {
    /// Returns a builder for a consumer.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// let consumer = client.consumer().assign(["events"]).build()?;
    /// # Ok(()) }
    /// ```
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(self.cluster())
    }
}

/// The limits of one poll, and of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Decompressed bytes after which a poll returns.
    pub(super) poll_bytes: usize,
    /// The most decompressed bytes of one batch.
    pub(super) batch_bytes: usize,
    /// The longest time that a commit or a request for offsets takes.
    pub(super) timeout: Duration,
}

impl ConsumerBuilder {
    fn new(cluster: Cluster) -> Self {
        let settings = cluster.settings();
        let core = core::Config {
            retry_backoff: settings.retry_backoff,
            retry_backoff_max: settings.retry_backoff_max,
            patience: settings.request_timeout,
            replica_lease: settings.metadata_age_max,
            seed: clock::seed(),
            ..core::Config::default()
        };
        let timeout = settings.api_timeout;
        Self {
            cluster,
            topics: Vec::new(),
            partitions: Vec::new(),
            start: None,
            core,
            codecs: Codecs::default(),
            limits: Limits { poll_bytes: 1 << 20, batch_bytes: 128 << 20, timeout },
            auto_create: AutoCreate::Forbid,
            membership: Membership::default(),
            acks: AckSettings::default(),
        }
    }

    /// The group whose offsets are committed and read (`group.id`). The default is none, without which nothing can be committed. The
    /// consumer joins it if it [subscribes](Self::subscribe). Otherwise it reads the partitions that are [assigned](Self::assign) here.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.core.group = Some(group.into());
        self
    }

    /// Whether a broker may create topics that are assigned and do not exist (`allow.auto.create.topics`). The default is `false`. Where
    /// it may, `auto.create.topics.enable` of the broker decides.
    pub fn allow_auto_create_topics(mut self, allow: bool) -> Self {
        self.auto_create = AutoCreate::from(allow);
        self
    }

    /// Reads all partitions of these topics. Partitions that are added later are read from their beginning.
    pub fn assign<T: Into<TopicName>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Reads these partitions.
    pub fn assign_partitions<T: Into<TopicName>>(mut self, partitions: impl IntoIterator<Item = (T, i32)>) -> Self {
        let partitions = partitions.into_iter().map(|(topic, partition)| TopicPartition::new(topic, partition));
        self.partitions.extend(partitions);
        self
    }

    /// Where reading starts. The default is the offset that the group committed, if there is a group. Where there is none, the
    /// reset policy decides: with [`ResetPolicy::None`] it is an error ([`Start::StoredOnly`]). Without a group, reading starts
    /// at the beginning, or at the end with [`ResetPolicy::Latest`].
    pub fn start(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// The reaction to a position that the log does not have (`auto.offset.reset`): see [`ResetPolicy`]. The default is
    /// [`ResetPolicy::Earliest`], which continues with the oldest record.
    ///
    /// Where the group has committed nothing, the policy also says where reading starts. A partition that was created after the consumer
    /// had subscribed to its topic starts with its first record, whatever the policy: all its records are new.
    pub fn reset(mut self, policy: ResetPolicy) -> Self {
        self.core.reset = policy;
        self
    }

    /// The records of transactions that are returned (`isolation.level`). The default is all of them,
    /// [`Isolation::ReadUncommitted`].
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.core.isolation = isolation;
        self
    }

    /// The rack of this consumer (`client.rack`). A broker may name a replica in the same rack to fetch from (KIP-392). The default is
    /// none: the leader is fetched from.
    pub fn rack(mut self, rack: impl Into<String>) -> Self {
        self.core.rack = rack.into();
        self
    }

    /// The size of a fetch response in bytes, about (`fetch.max.bytes`). The default is 8 MiB; from 1 byte to 2 GiB. A larger batch is
    /// fetched all the same.
    pub fn fetch_bytes_max(mut self, bytes: usize) -> Self {
        self.core.fetch_bytes_max = i32::try_from(bytes).unwrap_or(i32::MAX);
        self
    }

    /// The bytes of one partition in a fetch response (`max.partition.fetch.bytes`). The default is 1 MiB; from 1 byte to 2 GiB. A larger
    /// batch is fetched all the same.
    pub fn partition_fetch_bytes_max(mut self, bytes: usize) -> Self {
        self.core.partition_fetch_bytes_max = i32::try_from(bytes).unwrap_or(i32::MAX);
        self
    }

    /// The bytes that are fetched ahead of `poll`, about, over all brokers (`queued.max.messages.kbytes`, in units of 1024 bytes). The
    /// default is 32 MiB, and 1 byte the least.
    pub fn prefetch_bytes(mut self, bytes: usize) -> Self {
        self.core.prefetch_bytes = bytes;
        self
    }

    /// The bytes that a broker waits for before it responds (`fetch.min.bytes`). The default is 1; at most 2 GiB. It waits no longer than
    /// [`Self::fetch_wait_max`].
    pub fn fetch_bytes_min(mut self, bytes: usize) -> Self {
        self.core.fetch_bytes_min = i32::try_from(bytes).unwrap_or(i32::MAX);
        self
    }

    /// The longest time that a broker waits for data (`fetch.max.wait.ms`). The default is 500 ms, the maximum about 24 days.
    pub fn fetch_wait_max(mut self, wait: Duration) -> Self {
        self.core.fetch_wait_max = wait.min(FETCH_WAIT_LONGEST);
        self
    }

    /// Bytes, when decompressed, after which a poll returns. It returns at least one batch, and exactly one with zero. The default is
    /// 1 MiB. Java bounds records instead (`max.poll.records`).
    pub fn poll_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.poll_bytes = bytes.max(1);
        self
    }

    /// The most bytes of one decompressed batch. The default is 128 MiB, and 1 byte the least. No property sets it. A larger batch is an error of kind
    /// [`Kind::RecordTooLarge`](crate::error::Kind::RecordTooLarge); the position stays before it.
    pub fn batch_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.batch_bytes = bytes;
        self
    }

    /// The longest time that a commit or a request for offsets takes, its retries included. The default is that of the client
    /// (`default.api.timeout.ms`), 60 s; ten years are the longest.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = bounded(timeout);
        self
    }

    /// The codecs by which batches are decompressed. The default is those that are compiled in. A batch without a codec is an error of
    /// kind [`Kind::Unsupported`](crate::error::Kind::Unsupported), and the position stays before it.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// Reads up to the offsets that are the ends when reading begins. Then `poll` returns `None`. The default is to read on forever.
    pub fn until_end(mut self) -> Self {
        self.core.until_end = true;
        self
    }

    /// Joins the [group](Self::group) and reads the partitions of these topics that it assigns to this consumer.
    ///
    /// Partitions change hands while the application polls: see [`RebalanceListener`]. Offsets are committed by themselves unless
    /// [`auto_commit`](Self::auto_commit) says otherwise. A topic that does not exist yet is read once it does.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// let mut consumer = client.consumer().group("audit").subscribe(["events"]).build()?;
    /// while let Some(records) = consumer.poll().await? {
    ///     for record in &records {
    ///         println!("{}[{}]@{}", record.topic, record.partition, record.offset);
    ///     }
    /// }
    /// consumer.close().await
    /// # }
    /// ```
    pub fn subscribe<T: Into<TopicName>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.membership.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Joins the [group](Self::group) and reads the topics that match a pattern, as [`subscribe`](Self::subscribe) does with topics.
    ///
    /// All topics are listed when the consumer begins, and then every `metadata.max.age.ms` (5 min): topics that were created meanwhile
    /// are read from their first record, and those that were deleted are given up. The coordinator does that with
    /// [`TopicPattern::server`]. A pattern that matches no topic is no error: the group is joined, and waits for one.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use ottla::consumer::TopicPattern;
    ///
    /// let pattern = TopicPattern::regex("logs-.*")?;
    /// let consumer = client.consumer().group("audit").subscribe_pattern(pattern).build()?;
    /// # Ok(()) }
    /// ```
    pub fn subscribe_pattern(mut self, pattern: TopicPattern) -> Self {
        self.membership.pattern = Some(pattern);
        self
    }

    /// Whether Kafka's own topics (`__consumer_offsets` …) match no [pattern](Self::subscribe_pattern) of the client
    /// (`exclude.internal.topics`). The default is `true`. They can be named all the same.
    pub fn exclude_internal_topics(mut self, exclude: bool) -> Self {
        self.membership.excludes_internal = exclude;
        self
    }

    /// The name of a static member (`group.instance.id`, KIP-345): one that returns within the
    /// [session timeout](Self::session_timeout) gets the partitions back that it had, without a rebalance. The default is none.
    pub fn group_instance_id(mut self, name: impl Into<String>) -> Self {
        self.membership.instance = Some(name.into());
        self
    }

    /// The protocol by which the consumer is a member of its group (`group.protocol`). The default is
    /// [`GroupProtocol::Classic`], as in Java.
    ///
    /// With [`GroupProtocol::Consumer`] (KIP-848) the brokers have the settings that members of the classic protocol have, so
    /// [`build`](Self::build) refuses them: [`assignors`](Self::assignors), [`session_timeout`](Self::session_timeout) and
    /// [`heartbeat_interval`](Self::heartbeat_interval). Where the brokers do not have the protocol, polls return an error of kind
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported).
    pub fn group_protocol(mut self, protocol: GroupProtocol) -> Self {
        self.membership.protocol = protocol;
        self
    }

    /// The name of the assignor that the coordinator uses (`group.remote.assignor`), for [`GroupProtocol::Consumer`]: `uniform` or
    /// `range`, unless the brokers have others (`group.consumer.assignors`). The default leaves it to the coordinator. Where members name
    /// different ones, the coordinator takes the one that most of them name.
    pub fn group_remote_assignor(mut self, name: impl Into<String>) -> Self {
        self.membership.remote_assignor = Some(name.into());
        self
    }

    /// The ways of assigning partitions that this consumer supports, the preferred one first (`partition.assignment.strategy`).
    /// The group takes one that all its members support. The default is Java's: range, then cooperative-sticky.
    pub fn assignors(mut self, assignors: impl IntoIterator<Item = Arc<dyn Assignor>>) -> Self {
        self.membership.assignors = Some(assignors.into_iter().collect());
        self
    }

    /// The time without a heartbeat after which the group takes this consumer for dead (`session.timeout.ms`). The default is 45 s.
    /// The broker limits it: `group.min.session.timeout.ms`, `group.max.session.timeout.ms`. With [`GroupProtocol::Consumer`] the broker
    /// sets it: `group.consumer.session.timeout.ms`.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.membership.session_timeout = Some(timeout);
        self
    }

    /// The time between heartbeats (`heartbeat.interval.ms`). The default is 3 s. Must be shorter than the session timeout. With
    /// [`GroupProtocol::Consumer`] the broker sets it: `group.consumer.heartbeat.interval.ms`.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.membership.heartbeat_interval = Some(interval);
        self
    }

    /// The longest time between polls, and so of a rebalance (`max.poll.interval.ms`, KIP-62). A consumer that polls later has left
    /// the group, which the next poll returns as an error of kind `Timeout`; the poll after it joins the group again. The default is
    /// 5 min.
    pub fn poll_interval_max(mut self, interval: Duration) -> Self {
        self.membership.poll_interval_max = interval;
        self
    }

    /// Whether a consumer that is closed or dropped leaves its group (`internal.leave.group.on.close`). The default is `true`. With
    /// `false` its partitions wait until its session ends, so that a program that is restarted causes no rebalance by leaving. A static
    /// member stays in any case. [`CloseOptions`](super::CloseOptions) decides for one call.
    pub fn leave_group_on_close(mut self, leave: bool) -> Self {
        self.membership.leaves_on_close = leave;
        self
    }

    /// How often the consumer commits by itself what polls have returned (`auto.commit.interval.ms`); `None` turns it off
    /// (`enable.auto.commit`). The default is 5 s for a consumer that subscribes, and off for one that assigns its partitions.
    ///
    /// A poll commits what the polls before it have returned, so records count as processed once the next poll begins. It is also
    /// committed before partitions are given up, and by [`Consumer::close`].
    pub fn auto_commit(mut self, interval: Option<Duration>) -> Self {
        self.membership.auto_commit = Some(interval.is_some());
        self.membership.auto_commit_interval = interval.unwrap_or(self.membership.auto_commit_interval);
        self
    }

    /// Hooks that are called when the group gives partitions to this consumer, and takes them.
    pub fn listener(mut self, listener: impl RebalanceListener) -> Self {
        self.membership.listener = Some(Arc::new(listener));
        self
    }

    /// Puts another listener in the place of the one that is set.
    #[cfg(feature = "queue")]
    pub(crate) fn wrap_listener<L: RebalanceListener>(
        mut self,
        wrap: impl FnOnce(Option<Arc<dyn RebalanceListener>>) -> L,
    ) -> Self {
        let inner = self.membership.listener.take();
        self.membership.listener = Some(Arc::new(wrap(inner)));
        self
    }

    /// Applies the properties of consumers.
    pub fn properties(mut self, properties: &Properties) -> Result<Self, Error> {
        let core = &mut self.core;
        if let Some(group) = properties.get("group.id") {
            core.group = Some(group.to_owned());
        }
        if let Some(rack) = properties.get("client.rack") {
            rack.clone_into(&mut core.rack);
        }
        match properties.get("isolation.level") {
            Some("read_committed") => core.isolation = Isolation::ReadCommitted,
            Some(_) => core.isolation = Isolation::ReadUncommitted,
            None => {}
        }
        core.reset = match properties.get("auto.offset.reset") {
            Some("earliest" | "smallest" | "beginning") => ResetPolicy::Earliest,
            Some("latest" | "largest" | "end") => ResetPolicy::Latest,
            Some("none" | "error") => ResetPolicy::None,
            Some(other) => reset_by_duration(other).unwrap_or(core.reset),
            None => core.reset,
        };
        let bytes = |name, slot: &mut i32| {
            *slot = properties.bytes(name).map_or(*slot, |bytes| i32::try_from(bytes).unwrap_or(i32::MAX));
        };
        bytes("fetch.max.bytes", &mut core.fetch_bytes_max);
        bytes("fetch.min.bytes", &mut core.fetch_bytes_min);
        bytes("max.partition.fetch.bytes", &mut core.partition_fetch_bytes_max);
        if let Some(kilobytes) = properties.bytes("queued.max.messages.kbytes") {
            core.prefetch_bytes = kilobytes.saturating_mul(1024);
        }
        if let Some(allow) = properties.get("allow.auto.create.topics") {
            self.auto_create = AutoCreate::from(allow == "true");
        }
        core.fetch_wait_max =
            properties.millis("fetch.max.wait.ms").unwrap_or(core.fetch_wait_max).min(FETCH_WAIT_LONGEST);
        self.membership.apply(properties)?;
        Ok(self)
    }

    /// Starts the consumer. Its task runs on the runtime of the client, and this may be called on any thread.
    pub fn build(self) -> Result<Consumer, Error> {
        self.start_with(None)
    }

    fn start_with(mut self, acks: Option<AckSettings>) -> Result<Consumer, Error> {
        self.core.start = self.starting();
        self.check()?;
        let membership = (self.rebalancing(), self.membership.member(&self.core, &self.cluster)?);
        let mut core = ConsumerCore::new(self.core.clone());
        let now = clock::now();
        core.handle_metadata(now, self.cluster.snapshot());
        core.assign_topics(now, self.topics);
        core.assign_partitions(now, self.partitions);
        let reading = (core, self.core, self.codecs);
        Ok(Consumer::start(self.cluster, reading, self.limits, self.auto_create, membership, acks))
    }

    /// The application's part of a group: it takes part in rebalances, or commits by itself.
    fn rebalancing(&self) -> Option<rebalance::Settings> {
        let membership = &self.membership;
        let subscribes = membership.subscribes();
        let commits = membership.auto_commit.unwrap_or(subscribes) && self.core.group.is_some();
        (subscribes || commits).then(|| rebalance::Settings {
            listener: membership.listener.clone(),
            auto_commit: commits.then_some(bounded(membership.auto_commit_interval)),
            hook_timeout: bounded(membership.poll_interval_max),
        })
    }

    fn starting(&self) -> Start {
        let otherwise = match self.core.reset {
            ResetPolicy::ByDuration(age) => Start::Ago(age),
            ResetPolicy::Latest => Start::Latest,
            ResetPolicy::Earliest | ResetPolicy::None => Start::Earliest,
        };
        match (&self.start, &self.core.group) {
            (Some(start), _) => start.clone(),
            (None, Some(_)) if self.core.reset == ResetPolicy::None => Start::StoredOnly,
            (None, Some(_)) => Start::Stored { otherwise: Box::new(otherwise) },
            (None, None) => otherwise,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let assigns = !self.topics.is_empty() || !self.partitions.is_empty();
        if !self.membership.subscribes() && !assigns {
            return Err(Error::config(
                "no topics or partitions to read: call `subscribe` to join a group, or `assign` or `assign_partitions`",
            ));
        }
        if self.core.group.as_deref() == Some("") {
            return Err(Error::config("`group` / `group.id` is empty: name a group, or leave it out"));
        }
        self.check_membership(assigns)?;
        check_topics(&self.topics)?;
        check_partitions(&self.partitions)?;
        check_start(&self.core.start, self.core.group.is_some())?;
        let core = &self.core;
        let limits = [
            ("`fetch_bytes_max` / `fetch.max.bytes`", core.fetch_bytes_max < 1),
            ("`partition_fetch_bytes_max` / `max.partition.fetch.bytes`", core.partition_fetch_bytes_max < 1),
            ("`prefetch_bytes` / `queued.max.messages.kbytes`", core.prefetch_bytes == 0),
            ("`batch_bytes_max`", self.limits.batch_bytes == 0),
        ];
        match limits.into_iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(Error::config(format!("{name} is 0, so that nothing could be read: raise it"))),
            None => Ok(()),
        }
    }

    fn check_membership(&self, assigns: bool) -> Result<(), Error> {
        let membership = &self.membership;
        if !membership.subscribes() {
            return Ok(());
        }
        let wrong = |text: &str| Err(Error::config(text));
        if assigns {
            return wrong(
                "the consumer subscribes and assigns: with subscribe the group assigns partitions, with assign the caller does",
            );
        }
        match &membership.pattern {
            None => check_subscription(&membership.topics)?,
            Some(_) if membership.topics.is_empty() => {}
            Some(_) => {
                return wrong(
                    "the consumer subscribes to topics and to a pattern: choose one, or let the pattern match those topics too",
                );
            }
        }
        if self.core.group.as_deref().is_none_or(str::is_empty) {
            return wrong("to subscribe, a consumer needs a group: name one by `group` / `group.id`");
        }
        if self.core.until_end {
            return wrong(
                "until_end reads up to the ends of assigned partitions: use assign, or poll a group until it suffices",
            );
        }
        if membership.instance.as_deref() == Some("") {
            return wrong("`group_instance_id` / `group.instance.id` is empty: name the member, or leave it out");
        }
        membership.check_protocol()?;
        if membership.poll_interval_max < Duration::from_millis(1) {
            return wrong("`poll_interval_max` / `max.poll.interval.ms` is zero: it must be at least a millisecond");
        }
        Ok(())
    }
}

/// The policy of `by_duration:PnDTnHnMn.nS` (KIP-1106).
fn reset_by_duration(text: &str) -> Option<ResetPolicy> {
    config::duration(text.strip_prefix(config::BY_DURATION)?).map(ResetPolicy::ByDuration)
}

pub(super) fn check_subscription(topics: &BTreeSet<TopicName>) -> Result<(), Error> {
    if topics.is_empty() {
        return Err(Error::config("no topics to subscribe to: name one, or call unsubscribe to leave the group"));
    }
    check_topics(topics)
}

pub(super) fn check_topics<'t>(topics: impl IntoIterator<Item = &'t TopicName>) -> Result<(), Error> {
    for topic in topics {
        if let Some(problem) = TopicName::problem(topic) {
            return Err(Error::config(format!("not a topic's name: {problem}")).in_topic(topic));
        }
    }
    Ok(())
}

pub(super) fn check_partitions<'p>(
    partitions: impl IntoIterator<Item = &'p TopicPartition> + Clone,
) -> Result<(), Error> {
    check_topics(partitions.clone().into_iter().map(|partition| &partition.topic))?;
    match partitions.into_iter().find(|partition| partition.partition < 0) {
        Some(wrong) => {
            let error = Error::config("a partition number is negative: partitions are numbered from 0");
            Err(error.in_partition(&wrong.topic, wrong.partition))
        }
        None => Ok(()),
    }
}

pub(super) fn check_start(start: &Start, has_group: bool) -> Result<(), Error> {
    match start {
        Start::Offset(offset) if *offset < 0 => {
            Err(Error::config(format!("the start offset is {offset}: offsets are numbered from 0")))
        }
        Start::FromEnd(records) if *records < 0 => {
            Err(Error::config(format!("the start is {records} records before the end: give 0 or more")))
        }
        Start::Timestamp(timestamp) if *timestamp < 0 => {
            Err(Error::config(format!("the start timestamp is {timestamp}: give milliseconds since 1970")))
        }
        Start::Stored { .. } | Start::StoredOnly if !has_group => Err(Error::config(
            "committed offsets belong to a group: name one by `group` / `group.id`, or choose another start",
        )),
        Start::Stored { otherwise } if matches!(**otherwise, Start::Stored { .. } | Start::StoredOnly) => {
            Err(Error::config(
                "where no offset is committed, reading cannot start at a committed one: choose another start",
            ))
        }
        Start::Stored { otherwise } => check_start(otherwise, has_group),
        Start::Ago(_)
        | Start::Earliest
        | Start::FromEnd(_)
        | Start::Latest
        | Start::Offset(_)
        | Start::StoredOnly
        | Start::Timestamp(_) => Ok(()),
    }
}
