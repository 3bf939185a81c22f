//! Sends requests to the brokers that can answer them: the controller, one broker, several brokers, the leaders of partitions.
//!
//! Each helper repeats what a retry can help until a deadline, and returns one outcome for each item, in the order of the call. A
//! change whose response was lost is not repeated: its outcome is unknown ([`Error::is_written`]). What each API needs, is in
//! `KafkaAdminClient` of the Java client: `ControllerNodeProvider`, `ConstantBrokerIdProvider`, `PartitionLeaderStrategy`.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::Admin;
use super::TARGET;
use super::check_name;
use super::millis_until;
use crate::client::AutoCreate;
use crate::client::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::metadata::ByLeader;
use crate::metadata::ByTopic;
use crate::metadata::Snapshot;
use crate::metadata::by_leader;
use crate::metadata::by_topic;
use crate::net::side_by_side::all;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::Call;

/// The outcome of each item of a request.
pub(super) type Each<K, T> = Vec<(K, Result<T, Error>)>;

/// The outcomes that are final.
type Decided<K, T> = HashMap<K, Result<T, Error>>;

impl Admin {
    /// Sends a request about `items` to the controller, until each item has an outcome or `deadline` has passed. The controller is
    /// found again when it moved.
    ///
    /// `request` gets the items that are open and the time that is left, in milliseconds. `outcomes` gets the same items: an error
    /// of the whole response is repeated for each of them. Outcomes of other items, and second ones, are ignored.
    pub(super) async fn at_controller<K: Clone + Eq + Hash, T: Clone, C: Call>(
        &self,
        items: Vec<K>,
        deadline: Instant,
        request: impl Fn(&[K], i32) -> C,
        outcomes: impl Fn(&[K], C::Response) -> Each<K, T>,
    ) -> Each<K, T> {
        let mut retry = self.cluster.retry(deadline);
        let mut decided: Decided<K, T> = HashMap::new();
        loop {
            let open = open(&items, &decided);
            if open.is_empty() {
                break;
            }
            let target = self.cluster.snapshot().controller().map_or(Target::Any, Target::Broker);
            let answer_by = self.cluster.request_deadline(deadline);
            let request = request(&open, millis_until(answer_by));
            let error = match self.cluster.call(target, request, answer_by).await {
                Ok(response) => match note::<_, _, C>(&open, outcomes(&open, response), &mut decided) {
                    Some(error) => error,
                    None => continue,
                },
                Err(error) => error,
            };
            if !may_repeat::<C>(&error) {
                decide_rest::<_, _, C>(&open, &error, &mut decided);
                continue;
            }
            tracing::debug!(target: TARGET, api = C::API.name(), items = open.len(), error = %error.chain(), "request to the controller retried");
            self.cluster.refresh(&[]);
            if let Err(error) = retry.pause(error).await {
                decide_rest::<_, _, C>(&open, &error, &mut decided);
            }
        }
        log_changes::<_, _, C>(&decided);
        in_order(items, &decided)
    }

    /// Sends a request to this broker, until it responds or `deadline` has passed. The caller looks at errors within the response.
    pub(super) async fn at_broker<C: Call + Clone>(
        &self,
        broker: i32,
        request: C,
        deadline: Instant,
    ) -> Result<C::Response, Error> {
        let mut retry = self.cluster.retry(deadline);
        loop {
            let until = self.cluster.request_deadline(deadline);
            let error = match self.cluster.call(Target::Broker(broker), request.clone(), until).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if !may_repeat::<C>(&error) {
                return Err(error);
            }
            tracing::debug!(target: TARGET, api = C::API.name(), broker, error = %error.chain(), "request to a broker retried");
            retry.pause(error).await?;
        }
    }

    /// Sends its request to each broker, all at the same time, as [`Self::at_broker`] does. A broker that fails delays no other.
    pub(super) async fn at_brokers<C>(
        &self,
        requests: BTreeMap<i32, C>,
        deadline: Instant,
    ) -> BTreeMap<i32, Result<C::Response, Error>>
    where
        C: Call<Response: Send + 'static> + Clone + Send + Sync + 'static,
    {
        let closed = || Err(Error::new(Kind::Closed, "the runtime is shutting down"));
        let mut responses: BTreeMap<_, _> = requests.keys().map(|broker| (*broker, closed())).collect();
        let mut running = JoinSet::new();
        for (broker, request) in requests {
            let admin = self.clone();
            let response = async move { (broker, admin.at_broker(broker, request, deadline).await) };
            running.spawn_on(response, self.cluster.runtime().handle());
        }
        while let Some(finished) = running.join_next().await {
            responses.extend(finished.ok());
        }
        responses
    }

    /// The ids of all brokers, as any of them lists them.
    pub(super) async fn broker_ids(&self, deadline: Instant) -> Result<Vec<i32>, Error> {
        Ok(self.describe_cluster_by(deadline).await?.brokers.into_iter().map(|broker| broker.id).collect())
    }

    /// Sends requests about partitions to their leaders, all at the same time, until each partition has an outcome or `deadline`
    /// has passed. Leaders that moved are found again. A partition that is there twice is in two requests.
    ///
    /// `request` gets the partitions of one leader, each with its parameter, and the time that is left, in milliseconds. Only for
    /// requests that may be repeated. No topic is created.
    pub(super) async fn at_leaders<P: Clone, T: Clone, C: Call>(
        &self,
        items: Vec<(TopicPartition, P)>,
        deadline: Instant,
        request: impl Fn(&ByTopic<(i32, P)>, i32) -> C,
        outcomes: impl Fn(C::Response) -> Each<TopicPartition, T>,
    ) -> Each<TopicPartition, T> {
        let mut found: Vec<Option<Result<T, Error>>> = vec![None; items.len()];
        for round in rounds(&items) {
            let distinct: Vec<_> = round.iter().map(|at| items[*at].clone()).collect();
            let mut decided = self.at_leaders_of_distinct(&distinct, deadline, &request, &outcomes).await;
            for (at, (key, _)) in round.into_iter().zip(&distinct) {
                found[at] = decided.remove(key);
            }
        }
        let missing = || Err(Error::protocol("the response lacks the partition"));
        let named = |(key, _): (TopicPartition, P), outcome: Option<Result<T, Error>>| {
            let outcome = outcome.unwrap_or_else(missing);
            // The error of a name that is refused names its beginning.
            let placed = |error: Error| match error.topic() {
                Some(_) => error,
                None => error.in_partition(&key.topic, key.partition),
            };
            let outcome = outcome.map_err(placed);
            (key, outcome)
        };
        items.into_iter().zip(found).map(|(item, outcome)| named(item, outcome)).collect()
    }

    /// As [`Self::at_leaders`], for partitions none of which is there twice.
    async fn at_leaders_of_distinct<P: Clone, T: Clone, C: Call>(
        &self,
        items: &[(TopicPartition, P)],
        deadline: Instant,
        request: &impl Fn(&ByTopic<(i32, P)>, i32) -> C,
        outcomes: &impl Fn(C::Response) -> Each<TopicPartition, T>,
    ) -> Decided<TopicPartition, T> {
        let mut decided = HashMap::new();
        self.find_partitions(items.iter().map(|(key, _)| key), deadline, &mut decided).await;
        let mut retry = self.cluster.retry(deadline).when(may_move);
        loop {
            let open: Vec<_> = items.iter().filter(|(key, _)| !decided.contains_key(key)).cloned().collect();
            if open.is_empty() {
                return decided;
            }
            let again = self.ask_leaders(open, deadline, request, outcomes, &mut decided).await;
            let Some(error) = again.values().next().cloned() else { continue };
            let topics: Vec<TopicName> = again.keys().map(|key| key.topic.clone()).collect();
            tracing::debug!(target: TARGET, api = C::API.name(), partitions = again.len(), error = %error.chain(), "request to leaders retried");
            self.cluster.refresh(&topics);
            if retry.pause(error).await.is_err() {
                decided.extend(again.into_iter().map(|(key, error)| (key, Err(error))));
            }
        }
    }

    /// Waits for the metadata of the topics, of all at the same time. Partitions that do not exist get their errors.
    async fn find_partitions<'a, T>(
        &self,
        keys: impl Iterator<Item = &'a TopicPartition>,
        deadline: Instant,
        decided: &mut Decided<TopicPartition, T>,
    ) {
        let topics = by_topic(keys.map(|key| (key.topic.clone(), key.partition)));
        let valid = topics.iter().map(|(topic, _)| topic).filter(|topic| check_name(topic).is_ok());
        let valid: Vec<TopicName> = valid.cloned().collect();
        // Asks for all that are not known by one request.
        let _held = self.cluster.hold(&valid, AutoCreate::Forbid);
        let finding = topics.iter().map(|(topic, partitions)| Box::pin(self.find_topic(topic, partitions, deadline)));
        let found = all(finding.collect()).await;
        for ((topic, partitions), found) in topics.into_iter().zip(found) {
            for partition in partitions {
                let missing = match &found {
                    Err(error) => error.clone(),
                    Ok(snapshot) if snapshot.partition(&topic, partition).is_some() => continue,
                    Ok(_) => Error::new(Kind::UnknownTopic, "there is no such partition"),
                };
                decided.insert(TopicPartition { topic: topic.clone(), partition }, Err(missing));
            }
        }
    }

    /// Waits for the metadata of a topic, and for its last partition: some may have been added since the last refresh. Partitions that
    /// do not exist are not in it.
    async fn find_topic(
        &self,
        topic: &TopicName,
        partitions: &[i32],
        deadline: Instant,
    ) -> Result<Arc<Snapshot>, Error> {
        check_name(topic)?;
        let last = partitions.iter().copied().max().unwrap_or(0);
        let grace = self.cluster.settings().propagation;
        match self.cluster.known_partition(topic, last, AutoCreate::Forbid, grace, deadline).await {
            Err(error) if error.kind() == Kind::UnknownTopic && error.code().is_none() => Ok(self.cluster.snapshot()),
            known => known,
        }
    }

    /// Sends one request to each leader, all at the same time. Returns the partitions that are worth another request, with their
    /// errors.
    async fn ask_leaders<P, T, C: Call>(
        &self,
        open: Vec<(TopicPartition, P)>,
        deadline: Instant,
        request: &impl Fn(&ByTopic<(i32, P)>, i32) -> C,
        outcomes: &impl Fn(C::Response) -> Each<TopicPartition, T>,
        decided: &mut Decided<TopicPartition, T>,
    ) -> BTreeMap<TopicPartition, Error> {
        let ByLeader { leaders, leaderless } = by_leader(&self.cluster.snapshot(), open);
        let no_leader = || Error::broker(Code::LeaderNotAvailable, "the partition has no leader");
        let mut again: BTreeMap<TopicPartition, Error> = BTreeMap::new();
        again.extend(leaderless.into_iter().map(|(key, _)| (key, no_leader())));
        let mut requests = Vec::new();
        for (leader, topics) in leaders {
            let answer_by = self.cluster.request_deadline(deadline);
            // The request is sent here, and awaited after all are sent.
            let request = request(&topics, millis_until(answer_by));
            requests.push((topics, self.cluster.call(Target::Broker(leader), request, answer_by)));
        }
        for (topics, response) in requests {
            let mut answers = response.await.map(|response| first_of_each(outcomes(response)));
            let keys = topics.into_iter().flat_map(|(topic, partitions)| {
                partitions.into_iter().map(move |(partition, _)| TopicPartition { topic: topic.clone(), partition })
            });
            for key in keys {
                let answer = match &mut answers {
                    Ok(answers) => answers.remove(&key),
                    Err(error) => Some(Err(error.clone())),
                };
                let silent = || Err(Error::protocol("the response lacks the partition"));
                match answer.unwrap_or_else(silent) {
                    Err(error) if may_move(&error) => {
                        again.insert(key.clone(), error.in_partition(&key.topic, key.partition));
                    }
                    outcome => drop(decided.insert(key, outcome)),
                }
            }
        }
        again
    }
}

/// Records the outcomes that are final. Returns an error that is worth another request.
fn note<K: Clone + Eq + Hash, T, C: Call>(
    open: &[K],
    outcomes: Each<K, T>,
    decided: &mut Decided<K, T>,
) -> Option<Error> {
    let mut again = None;
    let mut answers = first_of_each(outcomes);
    for item in open {
        let missing = || Err(Error::protocol("the response lacks an item of the request").in_api(C::API.name()));
        match answers.remove(item).unwrap_or_else(missing) {
            Err(error) if changed_nothing::<C>(&error) => again = Some(error),
            // The controller ran out of time, and may complete the change later.
            Err(error) if !C::READ_ONLY && error.code() == Some(Code::RequestTimedOut) => {
                decided.insert(item.clone(), Err(error.written(Written::Maybe)));
            }
            outcome => drop(decided.insert(item.clone(), outcome)),
        }
    }
    again
}

/// Whether the controller refused an item for a reason that passes, without a change.
fn changed_nothing<C: Call>(error: &Error) -> bool {
    let refused = matches!(error.code(), Some(Code::NotController | Code::ThrottlingQuotaExceeded));
    refused || C::READ_ONLY && error.is_retriable()
}

/// Whether a request that failed may be sent again: it is read-only, or it changed nothing.
fn may_repeat<C: Call>(error: &Error) -> bool {
    C::READ_ONLY || changed_nothing::<C>(error) || error.is_written() == Some(Written::No)
}

/// Whether the partition may have another leader, or its topic may become known.
fn may_move(error: &Error) -> bool {
    error.is_retriable() || error.kind() == Kind::UnknownTopic
}

/// The same error for each item that is open.
fn decide_rest<K: Clone + Eq + Hash, T, C: Call>(open: &[K], error: &Error, decided: &mut Decided<K, T>) {
    if !C::READ_ONLY && error.is_written() == Some(Written::Maybe) {
        let api = C::API.name();
        tracing::warn!(target: TARGET, api, items = open.len(), error = %error.chain(), "outcome of a change unknown");
    }
    for item in open {
        decided.entry(item.clone()).or_insert_with(|| Err(error.clone()));
    }
}

fn log_changes<K, T, C: Call>(decided: &Decided<K, T>) {
    if C::READ_ONLY || decided.is_empty() {
        return;
    }
    let changed = decided.values().filter(|outcome| outcome.is_ok()).count();
    let refused = decided.len() - changed;
    tracing::info!(target: TARGET, api = C::API.name(), changed, refused, "change requested of the controller");
}

/// The items without an outcome, each once, in the order of the call.
fn open<K: Clone + Eq + Hash, T>(items: &[K], decided: &Decided<K, T>) -> Vec<K> {
    let mut seen = HashSet::new();
    items.iter().filter(|item| !decided.contains_key(*item) && seen.insert(*item)).cloned().collect()
}

fn first_of_each<K: Eq + Hash, T>(outcomes: Each<K, T>) -> Decided<K, T> {
    let mut first = HashMap::new();
    for (key, outcome) in outcomes {
        first.entry(key).or_insert(outcome);
    }
    first
}

/// The outcomes in the order of the call.
fn in_order<K: Clone + Eq + Hash, T: Clone>(items: Vec<K>, decided: &Decided<K, T>) -> Each<K, T> {
    let outcome = |item: &K| decided.get(item).expect("every item was decided").clone();
    items.into_iter().map(|item| (item.clone(), outcome(&item))).collect()
}

/// Indexes of items, so that no round has a partition twice: a request names each partition once.
fn rounds<P>(items: &[(TopicPartition, P)]) -> Vec<Vec<usize>> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut times: HashMap<&TopicPartition, usize> = HashMap::new();
    for (at, (key, _)) in items.iter().enumerate() {
        let round = times.entry(key).or_default();
        if rounds.len() == *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(at);
        *round += 1;
    }
    rounds
}
