//! Watches the lag of groups of several clusters: who is congested, who has recovered, and who is not known.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::admin::GroupLag;
use crate::admin::LagQuery;
use crate::client::Client;
use crate::error::Error;
use crate::net::clock;
use crate::net::side_by_side::all;
use crate::types::TopicName;
use crate::types::bounded;

mod judge;
#[cfg(all(test, feature = "mock"))]
mod tests;
mod threshold;

use self::judge::Judge;
pub use self::judge::LagEvent;
pub use self::judge::LagState;
pub use self::judge::LagSubject;
use self::threshold::Thresholds;

/// Watches the lag of groups in any number of clusters.
///
/// It was `RealTimeTopicStatus` and its five siblings, which joined groups, created topics, asked for one partition after the other, and
/// reported "done" when a group was congested. Here nothing is joined or created, each cluster is asked in batches
/// ([`Admin::group_lag`](crate::admin::Admin::group_lag)), all at the same time, and a cluster that is down has errors of its own.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use std::time::Duration;
///
/// use ottla::queue::LagMonitor;
///
/// let monitor = LagMonitor::new()
///     .cluster("main", &client, ["real_time_access", "alert.builder"])
///     .partition_threshold(10_000)
///     .topic_threshold("orders", 100_000)
///     .deadline(Duration::from_secs(3));
/// for event in monitor.check().await.events() {
///     println!("{event}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LagMonitor {
    clusters: Vec<Watched>,
    thresholds: Thresholds,
    timeout: Duration,
}

#[derive(Clone, Debug)]
struct Watched {
    name: String,
    client: Client,
    queries: Vec<LagQuery>,
}

/// The default of [`LagMonitor::deadline`].
const TIMEOUT: Duration = Duration::from_secs(3);

impl Default for LagMonitor {
    fn default() -> Self {
        Self { clusters: Vec::new(), thresholds: Thresholds::default(), timeout: TIMEOUT }
    }
}

impl LagMonitor {
    /// Watches nothing yet. Without a threshold no lag is too much; a commit outside its log always is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds groups of a cluster. The name is for the events; a name that is used again replaces the cluster. A client that connects
    /// [in the background](Client::connect_lazy) may be down when the monitor starts.
    pub fn cluster<Q: Into<LagQuery>>(
        mut self,
        name: impl Into<String>,
        client: &Client,
        queries: impl IntoIterator<Item = Q>,
    ) -> Self {
        let (name, queries) = (name.into(), queries.into_iter().map(Into::into).collect());
        self.clusters.retain(|watched| watched.name != name);
        self.clusters.push(Watched { name, client: client.clone(), queries });
        self
    }

    /// The most records that a group may have left to read in one partition. One more is congested.
    pub fn partition_threshold(mut self, records: u64) -> Self {
        self.thresholds.partition = Some(records);
        self
    }

    /// The most records that a group may have left to read in all partitions of this topic. It counts beside
    /// [`Self::partition_threshold`].
    pub fn topic_threshold(mut self, topic: impl Into<TopicName>, records: u64) -> Self {
        self.thresholds.topics.insert(topic.into(), records);
        self
    }

    /// The time within which [`Self::check`] ends. The default is 3 s.
    pub fn deadline(mut self, timeout: Duration) -> Self {
        self.timeout = bounded(timeout);
        self
    }

    /// Computes the lag of all groups once. It ends within [`Self::deadline`]; what could not be found out by then is an error of its
    /// group or partition.
    ///
    /// Cancel safety: dropping the future has no effect.
    pub async fn check(&self) -> LagReport {
        let check = |watched: &Watched| {
            let (admin, queries, timeout) = (watched.client.admin(), watched.queries.clone(), self.timeout);
            Box::pin(async move { admin.group_lag(queries).deadline(timeout).await })
        };
        let lags = all(self.clusters.iter().map(check).collect()).await;
        let cluster = |(watched, groups): (&Watched, _)| ClusterLag { name: watched.name.clone(), groups };
        let clusters = self.clusters.iter().zip(lags).map(cluster).collect();
        LagReport { clusters, thresholds: self.thresholds.clone() }
    }

    /// Checks again and again, with this pause between the beginnings of two checks, and returns what changes: see [`LagWatch::next`].
    pub fn watch(self, every: Duration) -> LagWatch {
        let (judge, events, checking) = (Judge::default(), VecDeque::new(), JoinSet::new());
        LagWatch { monitor: self, every: bounded(every), due: None, checking, judge, events }
    }
}

/// The lag of the groups of a cluster. Part of a [`LagReport`].
#[derive(Debug)]
#[non_exhaustive]
pub struct ClusterLag {
    /// The name that the monitor has for the cluster.
    pub name: String,
    /// Its groups, in the order of [`LagMonitor::cluster`].
    pub groups: Vec<(String, Result<GroupLag, Error>)>,
}

/// The lag of all groups at one time. Returned by [`LagMonitor::check`].
#[derive(Debug)]
pub struct LagReport {
    clusters: Vec<ClusterLag>,
    thresholds: Thresholds,
}

impl LagReport {
    /// The clusters, in the order in which they were added.
    pub fn clusters(&self) -> &[ClusterLag] {
        &self.clusters
    }

    /// The records that all groups have left to read, where that is known.
    pub fn records(&self) -> u64 {
        let groups = self.clusters.iter().flat_map(|cluster| &cluster.groups);
        groups.filter_map(|(_, lag)| lag.as_ref().ok()).map(GroupLag::records).fold(0, u64::saturating_add)
    }

    /// The subjects that are congested or not known.
    pub fn events(&self) -> Vec<LagEvent> {
        Judge::default().handle_report(self)
    }
}

/// The changes that a [`LagMonitor`] sees. Created by [`LagMonitor::watch`].
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use std::time::Duration;
///
/// use ottla::queue::LagMonitor;
/// use ottla::queue::LagState;
///
/// let monitor = LagMonitor::new().cluster("main", &client, ["billing"]).partition_threshold(10_000);
/// let mut watch = monitor.watch(Duration::from_secs(15));
/// loop {
///     let event = watch.next().await;
///     match &event.state {
///         LagState::Congested { .. } => eprintln!("{event}"),
///         LagState::Recovered { .. } | LagState::Unknown(_) => println!("{event}"),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct LagWatch {
    monitor: LagMonitor,
    every: Duration,
    /// When the next check begins; the first one begins at once.
    due: Option<Instant>,
    /// The check that runs, also while nobody waits for it.
    checking: JoinSet<LagReport>,
    judge: Judge,
    events: VecDeque<LagEvent>,
}

impl LagWatch {
    /// Waits for the next change. A state that stays is reported once.
    ///
    /// It waits as long as nothing changes; forever if there is no cluster. Cancel safety: dropping the future loses no event.
    pub async fn next(&mut self) -> LagEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let Some(watched) = self.monitor.clusters.first() else { return std::future::pending().await };
            let runtime = watched.client.cluster().runtime().clone();
            if self.checking.is_empty() {
                if let Some(due) = self.due {
                    runtime.sleep_until(due).await;
                }
                self.due = Some(clock::now() + self.every);
                let monitor = self.monitor.clone();
                self.checking.spawn_on(async move { monitor.check().await }, runtime.handle());
            }
            let Some(Ok(report)) = self.checking.join_next().await else { continue };
            self.events.extend(self.judge.handle_report(&report));
        }
    }
}
