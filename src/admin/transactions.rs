//! Transactions: which there are, their states, and the end of those that hang (KIP-664).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Admin;
use super::groups::Attempt;
use super::groups::Outcomes;
use super::groups::each;
use super::groups::failed;
use super::groups::in_order;
use super::items::accepted;
use super::items::left_out;
use super::producers::ProducerState;
use super::refused;
use super::routing::Each;
use crate::client::Coordinated;
use crate::client::Target;
use crate::error::Error;
use crate::metadata::ByTopic;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::millis_i64;
use crate::wire::message as m;

/// The state of a transactional id (`org.apache.kafka.clients.admin.TransactionState`).
///
/// ```
/// use ottla::admin::TransactionState;
///
/// assert_eq!("Ongoing".parse(), Ok(TransactionState::Ongoing));
/// assert_eq!(TransactionState::PrepareCommit.to_string(), "PrepareCommit");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TransactionState {
    /// No transaction was begun.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// A transaction commits: its markers are being written.
    PrepareCommit,
    /// A transaction aborts: its markers are being written.
    PrepareAbort,
    /// The last transaction was committed.
    CompleteCommit,
    /// The last transaction was aborted.
    CompleteAbort,
    /// The coordinator aborts the transaction of a producer that took too long.
    PrepareEpochFence,
    /// A name that this release does not know.
    Unknown(String),
}

const STATES: [(TransactionState, &str); 7] = [
    (TransactionState::Empty, "Empty"),
    (TransactionState::Ongoing, "Ongoing"),
    (TransactionState::PrepareCommit, "PrepareCommit"),
    (TransactionState::PrepareAbort, "PrepareAbort"),
    (TransactionState::CompleteCommit, "CompleteCommit"),
    (TransactionState::CompleteAbort, "CompleteAbort"),
    (TransactionState::PrepareEpochFence, "PrepareEpochFence"),
];

impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, STATES.iter().find(|(state, _)| state == self)) {
            (Self::Unknown(name), _) => f.pad(name),
            (_, named) => f.pad(named.map_or("", |(_, name)| name)),
        }
    }
}

/// Kafka's name in any case. Every other text is [`TransactionState::Unknown`].
impl FromStr for TransactionState {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let named = STATES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        Ok(named.map_or_else(|| Self::Unknown(text.to_owned()), |(state, _)| state.clone()))
    }
}

impl TransactionState {
    fn parse(text: &str) -> Self {
        text.parse().unwrap_or_else(|never| match never {})
    }
}

/// Which transactional ids to list. Whatever is not said matches everything.
///
/// ```
/// use std::time::Duration;
///
/// use ottla::admin::TransactionFilter;
/// use ottla::admin::TransactionState;
///
/// let open = TransactionFilter::all().state(TransactionState::Ongoing);
/// let long = open.running_for(Duration::from_secs(900));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TransactionFilter {
    states: Vec<TransactionState>,
    producer_ids: Vec<i64>,
    running_for: Option<Duration>,
    pattern: Option<String>,
}

impl TransactionFilter {
    /// Every transactional id.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only ids in this state, or in another one that is given.
    pub fn state(mut self, state: TransactionState) -> Self {
        self.states.push(state);
        self
    }

    /// Only ids with this producer id, or with another one that is given.
    pub fn producer_id(mut self, id: i64) -> Self {
        self.producer_ids.push(id);
        self
    }

    /// Only transactions that have been open for longer (KIP-994). Brokers before 3.8 do not know it: they fail with
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported).
    pub fn running_for(mut self, duration: Duration) -> Self {
        self.running_for = Some(duration);
        self
    }

    /// Only ids that match a regular expression, in the dialect RE2/J (KIP-1152). Brokers before 4.1 do not know it: they fail with
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported).
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    fn request(&self) -> m::ListTransactionsRequest {
        m::ListTransactionsRequest {
            states: self.states.iter().map(ToString::to_string).collect(),
            producer_ids: self.producer_ids.clone(),
            duration_ms: self.running_for.map_or(-1, millis_i64),
            pattern: self.pattern.clone(),
        }
    }
}

/// A transactional id, as its coordinator lists it. Part of a [`TransactionListing`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedTransaction {
    /// The transactional id (`transactional.id`).
    pub transactional_id: String,
    /// The producer id of its producer.
    pub producer_id: i64,
    /// Its state.
    pub state: TransactionState,
    /// The broker that coordinates it.
    pub coordinator: i32,
}

/// The transactional ids of a cluster. Returned by [`Admin::list_transactions`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TransactionListing {
    /// The transactional ids, sorted.
    pub transactions: Vec<ListedTransaction>,
    /// The brokers that did not list theirs, by their ids. The transactional ids that they coordinate are missing.
    pub failed: Vec<(i32, Error)>,
}

/// A transactional id and its transaction. Returned by [`Admin::describe_transactions`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionDescription {
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// Its state.
    pub state: TransactionState,
    /// The producer id of its producer.
    pub producer_id: i64,
    /// The epoch of its producer.
    pub producer_epoch: i16,
    /// How long a transaction may be open (`transaction.timeout.ms`).
    pub timeout: Duration,
    /// When the open transaction began, in milliseconds since 1970; `None` if none is open.
    pub started_ms: Option<i64>,
    /// The partitions of the open transaction, sorted.
    pub partitions: Vec<TopicPartition>,
}

/// An open transaction of one partition that is to be aborted although its coordinator does not know it.
///
/// ```no_run
/// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
/// use ottla::admin::HangingTransaction;
/// use ottla::types::TopicPartition;
///
/// let partition = TopicPartition::new("orders", 0);
/// let (_, producers) = admin.describe_producers([partition.clone()]).await.remove(0);
/// let hanging = producers?.into_iter().find(|producer| producer.transaction_start == Some(4711));
/// if let Some(producer) = hanging {
///     let (_, aborted) = admin.abort_transactions([HangingTransaction::of(partition, &producer)]).await.remove(0);
///     aborted?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HangingTransaction {
    /// The partition.
    pub partition: TopicPartition,
    /// The producer id of the producer that wrote the transaction.
    pub producer_id: i64,
    /// The epoch of that producer.
    pub producer_epoch: i16,
    /// The epoch of the transaction coordinator; 0 is older than any that a leader has seen.
    pub coordinator_epoch: i32,
}

impl HangingTransaction {
    /// The transaction of a partition, by the numbers of its producer.
    pub fn new(partition: TopicPartition, producer_id: i64, producer_epoch: i16, coordinator_epoch: i32) -> Self {
        Self { partition, producer_id, producer_epoch, coordinator_epoch }
    }

    /// The open transaction of a producer that [`Admin::describe_producers`] found in the partition.
    pub fn of(partition: TopicPartition, producer: &ProducerState) -> Self {
        // Epochs of producers are `int16` in batches.
        let epoch = i16::try_from(producer.epoch).unwrap_or(i16::MAX);
        Self::new(partition, producer.id, epoch, producer.coordinator_epoch.unwrap_or(0))
    }
}

impl Admin {
    /// Lists transactional ids. Every broker is asked for those that it coordinates, all at the same time (API ListTransactions,
    /// Kafka 3.0).
    ///
    /// A broker that fails does not hide the ids of the others: it is in [`TransactionListing::failed`]. Fails only if no broker can say
    /// which brokers there are.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::TransactionFilter;
    /// use ottla::admin::TransactionState;
    ///
    /// let open = TransactionFilter::all().state(TransactionState::Ongoing);
    /// for transaction in admin.list_transactions(open).await?.transactions {
    ///     println!("{} has an open transaction", transaction.transactional_id);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn list_transactions(&self, filter: TransactionFilter) -> Result<TransactionListing, Error> {
        let deadline = self.deadline();
        let brokers = self.broker_ids(deadline).await?;
        let requests = brokers.into_iter().map(|broker| (broker, filter.request())).collect();
        let judge = |response: m::ListTransactionsResponse| {
            accepted(response.error, "could not list transactions", None)?;
            match response.unknown_states.iter().flatten().next() {
                Some(state) => {
                    Err(Error::config(format!("the broker does not know the state {state:?} of transactions")))
                }
                None => Ok(response.transactions),
            }
        };
        let mut found = BTreeMap::new();
        let mut listing = TransactionListing::default();
        for (broker, listed) in self.judged_at_brokers(requests, deadline, judge).await {
            match listed {
                // A transactional id that moves may be listed by two brokers.
                Ok(listed) => found.extend(listed.into_iter().map(|one| (one.transactional_id.clone(), (broker, one)))),
                Err(error) => listing.failed.push((broker, error)),
            }
        }
        let transaction = |(coordinator, listed): (i32, m::ListedTransaction)| ListedTransaction {
            transactional_id: listed.transactional_id.into(),
            producer_id: listed.producer_id,
            state: TransactionState::parse(&listed.state),
            coordinator,
        };
        listing.transactions = found.into_values().map(transaction).collect();
        Ok(listing)
    }

    /// The transactions of transactional ids. Each has an outcome of its own, in the order of the call.
    ///
    /// Requests go to the coordinators, one each (API DescribeTransactions, Kafka 3.0). An id that does not exist has the error
    /// [`TRANSACTIONAL_ID_NOT_FOUND`](crate::error::Code::TransactionalIdNotFound).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// for (id, described) in admin.describe_transactions(["billing-1"]).await {
    ///     let described = described?;
    ///     println!("{id} is {}, with {} partitions", described.state, described.partitions.len());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn describe_transactions<I: Into<String>>(
        &self,
        transactional_ids: impl IntoIterator<Item = I>,
    ) -> Vec<(String, Result<TransactionDescription, Error>)> {
        let ids: Vec<String> = transactional_ids.into_iter().map(Into::into).collect();
        let (kind, deadline) = (Coordinated::transactional_id, self.deadline());
        let described = self.at_coordinators_of(kind, ids.clone(), deadline, describe).await;
        in_order(ids, &described)
    }

    /// Aborts open transactions that hang: transactions of a partition that their coordinator does not know, and never ends. Each has an
    /// outcome of its own, in the order of the call.
    ///
    /// The leader of each partition writes an abort marker (API WriteTxnMarkers, as in Java's `abortTransaction`). It goes past the
    /// coordinator: a transaction that is not hanging would lose its records of this partition. A request whose response was lost is
    /// repeated, as in Java.
    pub async fn abort_transactions(
        &self,
        transactions: impl IntoIterator<Item = HangingTransaction>,
    ) -> Vec<(HangingTransaction, Result<(), Error>)> {
        let transactions: Vec<HangingTransaction> = transactions.into_iter().collect();
        let items = transactions.iter().map(|one| (one.partition.clone(), one)).collect();
        let aborted = self.at_leaders(items, self.deadline(), markers, written).await;
        let aborted: Vec<Result<(), Error>> = aborted.into_iter().map(|(_, outcome)| outcome).collect();
        transactions.into_iter().zip(aborted).collect()
    }
}

async fn describe((admin, broker, ids, until): Attempt) -> Outcomes<TransactionDescription> {
    let request = m::DescribeTransactionsRequest { transactional_ids: ids.clone() };
    let response = match admin.cluster.call(Target::Broker(broker), request, until).await {
        Ok(response) => response,
        Err(error) => return failed(ids, &error),
    };
    let mut found: BTreeMap<Box<str>, m::DescribedTransaction> =
        response.transactions.into_iter().map(|one| (one.transactional_id.clone(), one)).collect();
    each(ids, |id| {
        let text = || format!("could not describe transactional id {id}");
        match found.remove(id) {
            Some(m::DescribedTransaction { error: Some(code), .. }) => Err(refused(code, &text(), None)),
            Some(described) => Ok(description(broker, described)),
            None => Err(left_out(&text())),
        }
    })
}

fn description(coordinator: i32, described: m::DescribedTransaction) -> TransactionDescription {
    let mut partitions = Vec::new();
    for topic in described.topics {
        partitions.extend(topic.partitions.iter().map(|index| TopicPartition::new(&*topic.name, *index)));
    }
    partitions.sort();
    TransactionDescription {
        coordinator,
        state: TransactionState::parse(&described.state),
        producer_id: described.producer_id,
        producer_epoch: described.producer_epoch,
        timeout: Duration::from_millis(u64::try_from(described.timeout_ms).unwrap_or(0)),
        started_ms: Some(described.start_time_ms).filter(|time| *time >= 0),
        partitions,
    }
}

/// One marker for each partition: each may be of another producer.
fn markers(topics: &ByTopic<(i32, &HangingTransaction)>, _: i32) -> m::WriteTxnMarkersRequest {
    let marker = |topic: &TopicName, index: i32, transaction: &HangingTransaction| m::TransactionMarker {
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
        commits: false,
        topics: vec![m::TopicIndexes { name: topic.clone(), partitions: vec![index] }],
        coordinator_epoch: transaction.coordinator_epoch,
    };
    let of_topic = |(topic, partitions): &(TopicName, Vec<(i32, &HangingTransaction)>)| {
        partitions.iter().map(|(index, transaction)| marker(topic, *index, transaction)).collect::<Vec<_>>()
    };
    m::WriteTxnMarkersRequest { markers: topics.iter().flat_map(of_topic).collect() }
}

fn written(response: m::WriteTxnMarkersResponse) -> Each<TopicPartition, ()> {
    let mut outcomes = Vec::new();
    for topic in response.markers.into_iter().flat_map(|marker| marker.topics) {
        for partition in topic.partitions {
            let outcome = accepted(partition.error, "could not abort the transaction", None);
            outcomes.push((TopicPartition::new(&*topic.name, partition.index), outcome));
        }
    }
    outcomes
}
