//! Sets up a cluster before anything is sent to it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mock::access::Access;
use crate::mock::api;
use crate::mock::cluster::Cluster;
use crate::mock::features::Features;
use crate::mock::group;
use crate::mock::key;
use crate::mock::release::Release;
use crate::mock::sasl::SaslUsers;
use crate::mock::state::Broker;
use crate::mock::state::Settings;
use crate::mock::state::State;
use crate::types::TopicName;

/// Builds a [`Cluster`].
///
/// # Examples
///
/// ```
/// use ottla::mock::Cluster;
///
/// let cluster = Cluster::builder().brokers(3).topic("events", 6).auto_create(false).seed(7).build();
/// assert_eq!(cluster.brokers(), [1, 2, 3]);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    brokers: i32,
    topics: Vec<(String, i32)>,
    racks: bool,
    seed: u64,
    has_authorizer: bool,
    features: Features,
    settings: Settings,
}

impl Default for Builder {
    fn default() -> Self {
        let settings = Settings {
            cluster_id: "ottla-mock-cluster-000".to_owned(),
            auto_create: true,
            partitions_default: 1,
            replication_default: 3,
            batch_bytes_max: 1_048_588,
            timestamp_after_max_ms: Some(3_600_000),
            fetch_sessions: 1_000,
            versions: api::versions(),
            requests_kept: 65_536,
            follower_reads: false,
            min_insync: 1,
            unknown_groups: false,
            groups: group::Rules {
                initial_delay: Duration::ZERO,
                session_min: Duration::from_secs(6),
                size_max: usize::MAX,
                heartbeat_interval: Duration::from_secs(5),
                session_timeout: Duration::from_secs(45),
                assignment_interval: Duration::ZERO,
            },
            sasl: None,
        };
        let features = Features::of(Release::V4_3);
        Self { brokers: 1, topics: Vec::new(), racks: false, seed: 1, has_authorizer: true, features, settings }
    }
}

impl Builder {
    /// Sets the number of brokers, whose ids start at 1; one by default.
    pub fn brokers(mut self, count: i32) -> Self {
        self.brokers = count.max(1);
        self
    }

    /// Creates a topic with this many partitions.
    pub fn topic(mut self, name: &str, partitions: i32) -> Self {
        self.topics.push((name.to_owned(), partitions));
        self
    }

    /// Whether a Metadata request for an unknown topic creates it (`auto.create.topics.enable`); yes by default.
    pub fn auto_create(mut self, enabled: bool) -> Self {
        self.settings.auto_create = enabled;
        self
    }

    /// The number of partitions of a topic that is created without a number (`num.partitions`); 1 by default.
    pub fn partitions_default(mut self, partitions: i32) -> Self {
        self.settings.partitions_default = partitions.max(1);
        self
    }

    /// The largest batch that a topic accepts (`message.max.bytes`); 1,048,588 bytes by default.
    pub fn batch_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.batch_bytes_max = bytes;
        self
    }

    /// How far a timestamp may lie in the future (`log.message.timestamp.after.max.ms`), one hour by default;
    /// `None` accepts any, as brokers before 3.6 did.
    pub fn timestamp_after_max_ms(mut self, limit: Option<i64>) -> Self {
        self.settings.timestamp_after_max_ms = limit;
        self
    }

    /// The number of fetch sessions that each broker keeps (`max.incremental.fetch.session.cache.slots`); 1,000 by default,
    /// 0 for none.
    pub fn fetch_sessions(mut self, slots: usize) -> Self {
        self.settings.fetch_sessions = slots;
        self
    }

    /// Limits the versions of an API that the brokers support, within those of the mock.
    ///
    /// An empty range removes the API. By default the brokers support every version of the mock.
    pub fn versions(mut self, api_key: i16, min: i16, max: i16) -> Self {
        let Some((low, high)) = api::versions().get(&api_key).copied() else { return self };
        let range = (min.max(low), max.min(high));
        if range.0 <= range.1 {
            self.settings.versions.insert(api_key, range);
        } else {
            self.settings.versions.remove(&api_key);
        }
        self
    }

    /// Makes the brokers announce the versions of a release, within those of the mock: from Produce 3 and Fetch 4 on.
    /// Before 3.6 they also accept timestamps of any future. The cluster has the features of the release, as `metadata.version`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::{Cluster, Release, key};
    ///
    /// let cluster = Cluster::builder().release(Release::V2_8).build();
    /// assert_eq!(cluster.versions(key::FETCH), Some((4, 12)));
    /// ```
    pub fn release(mut self, release: Release) -> Self {
        self.settings.timestamp_after_max_ms = release.timestamp_after_max_ms();
        self.features = Features::of(release);
        self.settings.versions.clear();
        for (api_key, (min, max)) in release.versions() {
            self = self.versions(api_key, min, max);
        }
        self
    }

    /// Puts each broker into a rack of its own, `rack-1` and so on; brokers have no rack by default.
    pub fn racks(mut self) -> Self {
        self.racks = true;
        self
    }

    /// Refers clients that name their rack to the replica in it (KIP-392, `RackAwareReplicaSelector`), and puts each broker
    /// into a rack of its own, as [`Builder::racks`] does; no by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::Cluster;
    ///
    /// let mut cluster = Cluster::builder().brokers(3).topic("events", 1).follower_reads().build();
    /// // The copy of broker 2 is behind: consumers in rack-2 read from the leader beyond offset 0.
    /// cluster.set_follower_end("events", 0, 2, Some(0));
    /// ```
    pub fn follower_reads(mut self) -> Self {
        self.settings.follower_reads = true;
        self.racks()
    }

    /// The number of live replicas without which `acks=all` is refused (`min.insync.replicas`); 1 by default.
    pub fn min_insync_replicas(mut self, replicas: usize) -> Self {
        self.settings.min_insync = replicas;
        self
    }

    /// Answers OffsetFetch for a group that has no member and has committed nothing with `GROUP_ID_NOT_FOUND` (69), as franz-go's kfake does;
    /// Kafka reports that nothing is committed, which is the default.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::Cluster;
    ///
    /// let cluster = Cluster::builder().topic("events", 1).unknown_groups().build();
    /// assert_eq!(cluster.committed("no-such-group", "events", 0), None);
    /// ```
    pub fn unknown_groups(mut self) -> Self {
        self.settings.unknown_groups = true;
        self
    }

    /// Removes the authorizer: requests about entries of access control are answered with `SECURITY_DISABLED` (54). By default there is
    /// one, which keeps the entries and enforces none.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::Cluster;
    ///
    /// let cluster = Cluster::builder().topic("events", 1).without_authorizer().build();
    /// assert_eq!(cluster.brokers(), [1]);
    /// ```
    pub fn without_authorizer(mut self) -> Self {
        self.has_authorizer = false;
        self
    }

    /// The time that the first member of an empty group waits for others (`group.initial.rebalance.delay.ms`); none by default,
    /// where Kafka has 3 s.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ottla::mock::Cluster;
    ///
    /// let cluster = Cluster::builder().initial_rebalance_delay(Duration::from_secs(3)).group_size_max(2).build();
    /// assert_eq!(cluster.describe_group("audit"), None);
    /// ```
    pub fn initial_rebalance_delay(mut self, delay: Duration) -> Self {
        self.settings.groups.initial_delay = delay;
        self
    }

    /// The shortest session timeout of a member of the classic protocol (`group.min.session.timeout.ms`), 6 s by default. A shorter
    /// one is refused with `INVALID_SESSION_TIMEOUT` (26).
    pub fn session_timeout_min(mut self, timeout: Duration) -> Self {
        self.settings.groups.session_min = timeout;
        self
    }

    /// The interval of heartbeats in groups of KIP-848 (`group.consumer.heartbeat.interval.ms`); 5 s by default, as in Kafka.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ottla::mock::Cluster;
    ///
    /// let builder = Cluster::builder().consumer_heartbeat_interval(Duration::from_secs(1));
    /// let cluster = builder.consumer_session_timeout(Duration::from_secs(6)).build();
    /// assert_eq!(cluster.describe_group("audit"), None);
    /// ```
    pub fn consumer_heartbeat_interval(mut self, interval: Duration) -> Self {
        self.settings.groups.heartbeat_interval = interval;
        self
    }

    /// The time without a heartbeat after which a member of KIP-848 is removed (`group.consumer.session.timeout.ms`); 45 s by
    /// default, as in Kafka.
    pub fn consumer_session_timeout(mut self, timeout: Duration) -> Self {
        self.settings.groups.session_timeout = timeout;
        self
    }

    /// The shortest time between two target assignments of a group of KIP-848 (`group.consumer.assignment.interval.ms`); none by
    /// default, where Kafka has 1 s since 4.3. Members that join meanwhile get nothing yet.
    pub fn consumer_assignment_interval(mut self, interval: Duration) -> Self {
        self.settings.groups.assignment_interval = interval;
        self
    }

    /// The most members of a group (`group.max.size`, `group.consumer.max.size`); by default there is no limit. One more is refused
    /// with `GROUP_MAX_SIZE_REACHED` (81).
    pub fn group_size_max(mut self, members: usize) -> Self {
        self.settings.groups.size_max = members;
        self
    }

    /// Authenticates every connection by SASL, and lets only these users in. By default there is no SASL.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::Client;
    /// use ottla::mock::{Cluster, SaslUsers, Server};
    /// use ottla::sasl::Sasl;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// // In a #[tokio::test(start_paused = true)].
    /// let users = SaslUsers::new().plain("alice", "correct horse");
    /// let server = Server::in_memory(Cluster::builder().sasl(users).build());
    /// let client = |password: &str| {
    ///     let sasl = Sasl::plain("alice", password).allow_plaintext_credentials();
    ///     Ok::<_, ottla::Error>(Client::builder([server.bootstrap()])?.connector(server.connector()).sasl(sasl))
    /// };
    /// client("correct horse")?.connect().await?;
    /// let error = client("battery staple")?.connect().await.expect_err("the password is wrong");
    /// assert_eq!(error.kind(), ottla::error::Kind::Authentication);
    /// # Ok::<(), ottla::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sasl(mut self, users: SaslUsers) -> Self {
        self.settings.sasl = Some(users);
        self
    }

    /// The number of requests that the request log keeps, the newest; 65,536 by default.
    pub fn requests_kept(mut self, requests: usize) -> Self {
        self.settings.requests_kept = requests;
        self
    }

    /// The seed of random ids; the same seed gives the same cluster.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Builds the cluster. Its brokers advertise `127.0.0.1`, ports from 9092 on, until [`Cluster::advertise`] changes that.
    pub fn build(mut self) -> Cluster {
        if self.settings.sasl.is_none() {
            self.settings.versions.retain(|api, _| !matches!(*api, key::SASL_HANDSHAKE | key::SASL_AUTHENTICATE));
        }
        let broker = |id: i32| Broker {
            host: "127.0.0.1".to_owned(),
            port: u16::try_from(9_091 + id).unwrap_or(u16::MAX),
            rack: self.racks.then(|| format!("rack-{id}")),
            up: true,
        };
        let brokers: BTreeMap<i32, Broker> = (1..=self.brokers).map(|id| (id, broker(id))).collect();
        let mut state = State::new(self.settings, brokers, self.seed);
        state.features = self.features;
        state.access = self.has_authorizer.then(Access::default);
        let replicas = state.settings.replication_default;
        for (name, partitions) in &self.topics {
            state.create_topic(&TopicName::from(name.as_str()), *partitions, replicas);
        }
        Cluster::new(state)
    }
}
