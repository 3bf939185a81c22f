//! Connections and knowledge that all handles of a client share.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;
use tokio::sync::oneshot;
use tokio::sync::watch;

use super::metrics::Registry;
use super::peers;
use super::peers::Lane;
use super::peers::Peer;
use super::peers::Peers;
use super::refresher;
use super::refresher::Refresher;
use crate::config::HostPort;
use crate::conn::backoff::Backoff;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::metadata::Cache;
use crate::metadata::Snapshot;
use crate::net::Connector;
use crate::net::clock;
use crate::net::connection;
use crate::net::connection::Outgoing;
use crate::net::connection::Reply;
use crate::types::TopicName;
use crate::wire::Api;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::message::FetchRequest;
use crate::wire::message::FindCoordinatorRequest;
use crate::wire::message::Leader;
use crate::wire::message::Node;

/// What a client goes by, with its defaults.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) bootstrap: Vec<HostPort>,
    pub(crate) client_id: String,
    pub(crate) request_timeout: Duration,
    pub(crate) api_timeout: Duration,
    pub(crate) metadata_age_max: Duration,
    /// How long a topic may be unknown to a broker after another created it.
    pub(crate) propagation: Duration,
    pub(crate) setup_timeout: Duration,
    pub(crate) setup_timeout_max: Duration,
    pub(crate) reconnect_backoff: Duration,
    pub(crate) reconnect_backoff_max: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
    pub(crate) idle_max: Option<Duration>,
    /// Whether to start over from the bootstrap addresses when no known broker answers (KIP-899).
    pub(crate) rebootstrap: bool,
    pub(crate) response_bytes_max: usize,
}

impl Settings {
    pub(crate) fn new(bootstrap: Vec<HostPort>) -> Self {
        Self {
            bootstrap,
            client_id: "ottla".to_owned(),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            metadata_age_max: Duration::from_secs(300),
            propagation: Duration::from_secs(3),
            setup_timeout: Duration::from_secs(10),
            setup_timeout_max: Duration::from_secs(30),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            idle_max: Some(Duration::from_secs(540)),
            rebootstrap: true,
            response_bytes_max: 100 << 20,
        }
    }

    /// Cuts what is too long to be counted, and puts in order what has to be.
    pub(crate) fn within_reason(mut self) -> Self {
        let Self { request_timeout, api_timeout, metadata_age_max, propagation, setup_timeout, .. } = &mut self;
        for duration in [request_timeout, api_timeout, metadata_age_max, propagation, setup_timeout] {
            *duration = (*duration).min(LONGEST);
        }
        self.setup_timeout_max = self.setup_timeout_max.clamp(self.setup_timeout, LONGEST);
        self.reconnect_backoff_max = self.reconnect_backoff_max.min(LONGEST);
        self.retry_backoff_max = self.retry_backoff_max.min(LONGEST);
        self.idle_max = self.idle_max.map(|idle| idle.min(LONGEST));
        self
    }
}

/// How long one broker is waited for where another may answer as well.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// No time is waited for longer than this: moments further off are beyond what some clocks can tell.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Who a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Whichever broker.
    Any,
    /// Whoever listens at this one of the bootstrap addresses.
    Bootstrap(usize),
    /// This broker.
    Broker(i32),
}

/// The shared part of a client. Dropping the last one ends its tasks.
#[derive(Clone, Debug)]
pub(crate) struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    peers: Peers,
    cache: Mutex<Cache>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    coordinators: Mutex<HashMap<String, i32>>,
    refresher: Arc<Refresher>,
    turn: AtomicUsize,
    /// The last reader that was numbered.
    readers: AtomicU64,
    registry: Registry,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole after every statement, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// Learns of the cluster from the first bootstrap address that answers.
    pub(crate) async fn connect(settings: Settings, connector: Box<dyn Connector>) -> Result<Self, Error> {
        let connections = connection::Settings {
            client_id: settings.client_id.clone(),
            connector,
            setup_timeout: settings.setup_timeout,
            setup_timeout_max: settings.setup_timeout_max,
            request_timeout: settings.request_timeout,
            reconnect_backoff: settings.reconnect_backoff,
            reconnect_backoff_max: settings.reconnect_backoff_max,
            idle_max: settings.idle_max,
            response_bytes_max: settings.response_bytes_max,
            in_flight_max: 64,
        };
        let seed = usize::try_from(clock::seed() >> 33).unwrap_or(0);
        let cluster = Self(Arc::new(Inner {
            settings,
            peers: Peers::new(connections),
            cache: Mutex::default(),
            snapshots: watch::Sender::new(Arc::default()),
            coordinators: Mutex::default(),
            refresher: Arc::default(),
            turn: AtomicUsize::new(seed),
            readers: AtomicU64::new(0),
            registry: Registry::default(),
        }));
        refresher::once(&cluster.downgrade(), BTreeSet::new()).await?;
        tokio::spawn(refresher::run(cluster.downgrade(), Arc::clone(&cluster.0.refresher)));
        Ok(cluster)
    }

    pub(super) fn downgrade(&self) -> Weak {
        Weak(Arc::downgrade(&self.0))
    }

    pub(super) fn refresher(&self) -> &Refresher {
        &self.0.refresher
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.0.peers
    }

    /// What is known now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.snapshots.borrow())
    }

    /// Tells of every change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.snapshots.subscribe()
    }

    /// Keeps knowledge of these topics fresh from now on; asks at once for those that are not known.
    pub(crate) fn want(&self, topics: &[TopicName]) {
        let snapshot = self.snapshot();
        let unknown = topics.iter().any(|topic| snapshot.topic(topic).is_none_or(|topic| topic.error.is_some()));
        self.0.refresher.want(topics, unknown);
    }

    /// Asks again about these topics, soon: requests are coalesced and spaced by a back-off.
    pub(crate) fn refresh(&self, topics: &[TopicName]) {
        self.0.refresher.want(topics, true);
    }

    /// Takes a leader that a response hinted at.
    pub(crate) fn hint(&self, topic: &TopicName, partition: i32, leader: Leader, nodes: &[Node]) {
        self.edit(|cache| cache.handle_hint(topic, partition, leader, nodes));
    }

    /// Changes what is known and tells everybody if it did change.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Cache) -> bool) {
        let mut cache = lock(&self.0.cache);
        if change(&mut cache) {
            let snapshot = cache.snapshot();
            self.0.peers.prune(&snapshot);
            self.0.snapshots.send_replace(snapshot);
        }
    }

    /// Where to send what is for `target`.
    fn peer(&self, target: Target) -> Result<(Peer, HostPort), Error> {
        let snapshot = self.snapshot();
        let bootstrap = &self.0.settings.bootstrap;
        let turn = || self.0.turn.fetch_add(1, Ordering::Relaxed);
        match target {
            Target::Bootstrap(index) => Ok((Peer::Bootstrap(index), bootstrap[index].clone())),
            Target::Broker(id) => {
                let address = snapshot.broker(id).and_then(peers::address).ok_or_else(|| {
                    self.refresh(&[]);
                    let error = Error::new(Kind::Connect, "the broker is not known any more");
                    error.at_broker(id.to_string()).written(Written::No)
                });
                Ok((Peer::Broker(id), address?))
            }
            Target::Any => {
                let mut brokers: Vec<i32> = snapshot.brokers().map(|broker| broker.id).collect();
                if brokers.is_empty() {
                    return self.peer(Target::Bootstrap(turn() % bootstrap.len()));
                }
                let from = turn() % brokers.len();
                brokers.rotate_left(from);
                let healthy = brokers.iter().find(|id| self.0.peers.is_healthy(**id, Lane::Control));
                self.peer(Target::Broker(*healthy.unwrap_or(&brokers[0])))
            }
        }
    }

    /// Everybody who can be asked, each once: the brokers that are known, from a different one on each time, then the bootstrap
    /// addresses.
    pub(super) fn everybody(&self) -> (Vec<Target>, Vec<Target>) {
        let mut known: Vec<Target> = self.snapshot().brokers().map(|broker| Target::Broker(broker.id)).collect();
        let mut bootstrap: Vec<Target> = (0..self.0.settings.bootstrap.len()).map(Target::Bootstrap).collect();
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        for targets in [&mut known, &mut bootstrap] {
            let from = turn % targets.len().max(1);
            targets.rotate_left(from);
        }
        (known, bootstrap)
    }

    /// Sends a request; the answer, or why there is none, comes by way of `reply`.
    ///
    /// It comes by `deadline`, to which time for which the broker silences the client is added (KIP-219).
    pub(crate) fn submit(&self, target: Target, request: Request, deadline: Instant, reply: Reply) {
        self.submit_over(Lane::of(&request), target, request, deadline, reply);
    }

    /// A number for one who fetches over connections of its own, until they are [released](Self::release).
    pub(crate) fn reader(&self) -> u64 {
        self.0.readers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// As [`Self::submit`], over a line of a reader's: a broker answers the requests of one connection in order, and takes
    /// its time with a fetch.
    pub(crate) fn submit_fetch(
        &self,
        (reader, line): (u64, usize),
        broker: i32,
        request: FetchRequest,
        deadline: Instant,
        reply: Reply,
    ) {
        let lane = Lane::Fetch { reader, line };
        self.submit_over(lane, Target::Broker(broker), Request::Fetch(request), deadline, reply);
    }

    /// Gives up a reader's connections, once what was sent over them is written.
    pub(crate) fn release(&self, reader: u64) {
        self.0.peers.release(reader);
    }

    fn submit_over(&self, lane: Lane, target: Target, request: Request, deadline: Instant, reply: Reply) {
        match self.peer(target) {
            Ok((peer, address)) => self.submit_to((peer, lane), address, request, deadline, reply),
            Err(error) => reply.send(Err(error.in_api(request.api().name()))),
        }
    }

    fn submit_to(
        &self,
        (peer, lane): (Peer, Lane),
        address: HostPort,
        request: Request,
        deadline: Instant,
        reply: Reply,
    ) {
        self.0.peers.handle(peer, lane, address).submit(Outgoing { request, deadline, reply });
    }

    /// Sends a request and waits for the answer, no longer than until `deadline`. The future does not keep the client alive.
    pub(crate) fn request(
        &self,
        target: Target,
        request: Request,
        deadline: Instant,
    ) -> impl Future<Output = Result<Response, Error>> + Send + use<> {
        let (api, is_question) = (request.api().name(), request.api().is_read_only());
        let (sender, receiver) = oneshot::channel();
        let asked = self.peer(target).map(|(peer, address)| {
            let name = address.to_string();
            let lane = Lane::of(&request);
            self.submit_to((peer, lane), address, request, deadline, Reply::Oneshot(sender));
            name
        });
        async move {
            let told = |error: Error| if is_question { error.of_a_question() } else { error }.in_api(api);
            let name = asked.map_err(told)?;
            // The connection answers by the deadline, unless the broker silenced it.
            match tokio::time::timeout_at(deadline.into(), receiver).await {
                Ok(Ok(answer)) => answer.map_err(told),
                Ok(Err(_)) => Err(Error::new(Kind::Closed, "the client is closed").in_api(api)),
                Err(_) => Err(Error::new(Kind::Timeout, "no answer by the deadline").in_api(api).at_broker(name)),
            }
        }
    }

    /// Asks one broker after the other a question that changes nothing, until one answers or `deadline` has passed.
    pub(crate) async fn ask_any(&self, request: Request, deadline: Instant) -> Result<Response, Error> {
        let mut backoff = self.retry_backoff();
        let mut rng = Rng::with_seed(clock::seed());
        loop {
            let error = match self.request(Target::Any, request.clone(), self.patience(deadline)).await {
                Err(error) if error.is_retriable() => error,
                answer => return answer,
            };
            let wait = clock::now() + backoff.next(&mut rng);
            if wait >= deadline {
                return Err(Error::new(Kind::Timeout, "no broker answered by the deadline").caused_by(error));
            }
            tokio::time::sleep_until(wait.into()).await;
        }
    }

    /// How long one broker is waited for where another may answer as well.
    pub(crate) fn patience(&self, deadline: Instant) -> Instant {
        self.request_deadline(deadline).min(clock::now() + PATIENCE)
    }

    /// When a request that is sent now is to be answered, `deadline` permitting.
    pub(crate) fn request_deadline(&self, deadline: Instant) -> Instant {
        deadline.min(clock::now() + self.0.settings.request_timeout)
    }

    pub(crate) fn retry_backoff(&self) -> Backoff {
        Backoff::new(self.0.settings.retry_backoff, self.0.settings.retry_backoff_max)
    }

    /// Sends a request to a group's coordinator, finding it anew while `moved` says that the answer came from another.
    pub(crate) async fn request_coordinator(
        &self,
        group: &str,
        request: Request,
        deadline: Instant,
        moved: impl Fn(&Response) -> Option<Code>,
    ) -> Result<Response, Error> {
        let mut backoff = self.retry_backoff();
        let mut rng = Rng::with_seed(clock::seed());
        loop {
            let error = match self.coordinator(group, deadline).await {
                Ok(broker) => {
                    let asked = self.request(Target::Broker(broker), request.clone(), self.request_deadline(deadline));
                    match asked.await {
                        Ok(response) => match moved(&response) {
                            None => return Ok(response),
                            Some(code) => {
                                Error::broker(code, format!("the coordinator of group {group} did not answer"))
                            }
                        },
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            lock(&self.0.coordinators).remove(group);
            if !error.is_retriable() {
                return Err(error);
            }
            let wait = clock::now() + backoff.next(&mut rng);
            if wait >= deadline {
                return Err(Error::new(Kind::Timeout, "no answer by the deadline").caused_by(error));
            }
            tokio::time::sleep_until(wait.into()).await;
        }
    }

    async fn coordinator(&self, group: &str, deadline: Instant) -> Result<i32, Error> {
        if let Some(broker) = lock(&self.0.coordinators).get(group) {
            return Ok(*broker);
        }
        let request = Request::FindCoordinator(FindCoordinatorRequest { key: group.to_owned(), kind: 0 });
        let Response::FindCoordinator(found) = self.request(Target::Any, request, self.patience(deadline)).await?
        else {
            return Err(Error::protocol("the answer is to another question"));
        };
        let Some(found) = found.of(group) else {
            return Err(Error::protocol(format!("the coordinator of group {group} is not in the answer")));
        };
        if let Some(code) = found.error {
            return Err(Error::broker(code, format!("could not find the coordinator of group {group}")));
        }
        let id = found.id;
        if self.snapshot().broker(id).is_none() {
            self.refresh(&[]);
            return Err(Error::new(Kind::Connect, format!("coordinator {id} is not known yet")));
        }
        lock(&self.0.coordinators).insert(group.to_owned(), id);
        Ok(id)
    }

    /// Waits until these topics are known, or are known not to exist.
    pub(crate) async fn known(&self, topics: &[TopicName], deadline: Instant) -> Result<Arc<Snapshot>, Error> {
        let mut changes = self.subscribe();
        // An error that was heard before is asked about again: the topic may have been made since.
        let begun = changes.borrow().generation();
        let grace = clock::now() + self.0.settings.propagation;
        self.want(topics);
        loop {
            let snapshot = Arc::clone(&changes.borrow_and_update());
            let mut missing = None;
            for name in topics {
                match snapshot.topic(name) {
                    Some(topic) if topic.error.is_none() => {}
                    Some(topic) => missing = Some((name, topic.error)),
                    None => missing = Some((name, None)),
                }
            }
            let Some((name, error)) = missing else { return Ok(snapshot) };
            let fresh = snapshot.generation() > begun;
            let over = clock::now() >= grace.min(deadline);
            let final_code = |code: &Code| !code.is_retriable() || (*code == Code::UnknownTopicOrPartition && over);
            if let Some(code) = error.filter(|code| fresh && final_code(code)) {
                return Err(Error::broker(
                    code,
                    "there is no such topic, or it cannot be used: check its name, or create it",
                )
                .in_topic(name));
            }
            if error.is_some() {
                self.refresh(topics);
            }
            if tokio::time::timeout_at(deadline.into(), changes.changed()).await.is_err() {
                let error = Error::new(Kind::Timeout, "nothing was learnt about the topic").in_topic(name);
                return Err(match self.0.refresher.failure() {
                    Some(failure) => error.caused_by(failure),
                    None => error.in_api(Api::Metadata.name()),
                });
            }
        }
    }
}

/// A cluster that does not keep it alive.
#[derive(Debug)]
pub(super) struct Weak(std::sync::Weak<Inner>);

impl Weak {
    /// The cluster, unless the last handle was dropped. Not to be held across an `.await` that waits for a broker.
    pub(super) fn upgrade(&self) -> Option<Cluster> {
        self.0.upgrade().map(Cluster)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.refresher.stop();
    }
}
