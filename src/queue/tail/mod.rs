//! The newest records of a topic, over all of its partitions.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::admin::OffsetSpec;
use crate::client::Client;
use crate::consumer::Consumer;
use crate::consumer::Records;
use crate::consumer::Start;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::net::side_by_side::all;
use crate::reading::OwnedRecord;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::bounded;

#[cfg(all(test, feature = "mock"))]
mod tests;
mod window;

use self::window::Windows;

/// Reads the newest records of a topic.
///
/// It was the five Kafka tails, which returned the oldest part of the windows of the first partitions, dropped what they could not decode,
/// and left groups behind. Here no group is used, nothing is committed and no topic is created. Records keep their bytes.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::queue::Tail;
///
/// let newest = Tail::new(&client, "events").latest(10).await?;
/// for record in &newest.records {
///     println!("{}[{}] {}", record.timestamp, record.partition, record.offset);
/// }
/// for error in &newest.errors {
///     eprintln!("{error:#}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Tail {
    client: Client,
    topic: TopicName,
    timeout: Duration,
}

/// The default of [`Tail::deadline`].
const TIMEOUT: Duration = Duration::from_secs(10);

/// The newest records of a topic when the call began. Returned by [`Tail::latest`] and [`Tail::tail_per_partition`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Latest {
    /// The records, the newest last.
    pub records: Vec<OwnedRecord>,
    /// The reasons why partitions could not be read: each names its partition. Records of the other partitions are there.
    pub errors: Vec<Error>,
    /// The end of each partition when the call began, where it is known: no record at or after it is returned.
    pub ends: BTreeMap<TopicPartition, i64>,
}

/// The records of each partition, in order.
type Found = BTreeMap<TopicPartition, VecDeque<OwnedRecord>>;

impl Tail {
    /// A reader of this topic. It sends nothing yet.
    pub fn new(client: &Client, topic: impl Into<TopicName>) -> Self {
        Self { client: client.clone(), topic: topic.into(), timeout: TIMEOUT }
    }

    /// The time within which a call ends. The default is 10 s. Partitions that were not read by then have errors of their own.
    pub fn deadline(mut self, timeout: Duration) -> Self {
        self.timeout = bounded(timeout);
        self
    }

    /// The newest `count` records of the whole topic, ordered by timestamp, then by partition and offset.
    ///
    /// All partitions are read at the same time, each from `count` offsets before its end, and further back where markers of transactions
    /// or compaction leave fewer records. It takes the memory of `count` records of each partition, or of all it has.
    ///
    /// # Errors
    ///
    /// Of the whole topic: [`Kind::UnknownTopic`], or the topic could not be described by the deadline. Errors of single partitions are in
    /// [`Latest::errors`]. Cancel safety: dropping the future has no effect.
    pub async fn latest(&self, count: usize) -> Result<Latest, Error> {
        let mut latest = self.tail_per_partition(count).await?;
        latest.records.sort_by_key(|record| (record.timestamp, record.partition, record.offset));
        let extra = latest.records.len().saturating_sub(count);
        latest.records.drain(..extra);
        Ok(latest)
    }

    /// The newest `count` records of each partition, by partition and offset. Errors and memory are those of [`Self::latest`].
    pub async fn tail_per_partition(&self, count: usize) -> Result<Latest, Error> {
        let deadline = clock::now() + self.timeout;
        let mut latest = Latest::default();
        let mut windows = self.windows(count, deadline, &mut latest).await?;
        let mut found = Found::new();
        while !windows.is_empty() {
            self.read(&mut windows, &mut found, deadline, &mut latest.errors).await?;
            windows.widen(|key| found.get(key).map_or(0, VecDeque::len));
        }
        latest.records = found.into_values().flatten().collect();
        Ok(latest)
    }

    /// Reads on after the records of a [`Latest`]: no record is left out or returned twice. Partitions whose end is not known are read
    /// from now on, and those that are added later from their beginning.
    ///
    /// Waits for the topic's metadata. The [`Consumer`] is in no group and commits nothing.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use ottla::queue::Tail;
    ///
    /// let tail = Tail::new(&client, "events");
    /// let newest = tail.latest(10).await?;
    /// let mut consumer = tail.follow(&newest).await?;
    /// # ottla::Record::to("events");
    /// # if true { return Ok(()) }
    /// while let Some(records) = consumer.poll().await? {
    ///     println!("{} more", records.count());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn follow(&self, after: &Latest) -> Result<Consumer, Error> {
        let builder = self.client.consumer().assign([self.topic.clone()]).start(Start::Latest).timeout(self.timeout);
        let mut consumer = builder.build()?;
        // Partitions are known from here on, and can be sought.
        consumer.end_offsets().await?;
        for (partition, end) in &after.ends {
            consumer.seek(partition, Start::Offset(*end))?;
        }
        Ok(consumer)
    }

    /// The first windows to read, and the ends of the partitions.
    async fn windows(&self, count: usize, deadline: Instant, latest: &mut Latest) -> Result<Windows, Error> {
        let left = || deadline.saturating_duration_since(clock::now());
        let admin = self.client.admin().timeout(left());
        let described = admin.describe_topics([self.topic.clone()]).await?.remove(0);
        if let Some(code) = described.error {
            return Err(Error::no_topic(code, &self.topic));
        }
        let key = |index| TopicPartition::new(self.topic.clone(), index);
        // A partition without a leader leaves time to read the others.
        let admin = admin.timeout(left() / 2);
        let bounds = |spec| {
            let partitions: Vec<_> = described.partitions.iter().map(|one| (key(one.index), spec)).collect();
            Box::pin(admin.list_offsets(partitions))
        };
        let mut listed = all([OffsetSpec::Earliest, OffsetSpec::Latest].map(bounds).into()).await.into_iter();
        let (starts, ends) = (listed.next().unwrap_or_default(), listed.next().unwrap_or_default());
        let mut windows = Windows::new(count);
        for ((key, start), (_, end)) in starts.into_iter().zip(ends) {
            match start.and_then(|start| Ok((start.offset, end?.offset))) {
                Ok((Some(start), Some(end))) => {
                    windows.add(key.clone(), start, end);
                    latest.ends.insert(key, end);
                }
                Ok(_) => latest
                    .errors
                    .push(Error::protocol("the leader gave no offset").in_partition(&key.topic, key.partition)),
                Err(error) => latest.errors.push(error),
            }
        }
        Ok(windows)
    }

    /// Reads all windows. Those of partitions that fail are dropped.
    async fn read(
        &self,
        windows: &mut Windows,
        found: &mut Found,
        deadline: Instant,
        errors: &mut Vec<Error>,
    ) -> Result<(), Error> {
        let partitions = windows.open().map(|(key, _)| (key.topic.clone(), key.partition));
        let mut consumer = self.client.consumer().assign_partitions(partitions).until_end().build()?;
        for (key, window) in windows.open() {
            consumer.seek(key, Start::Offset(window.start))?;
        }
        let mut read = Found::new();
        let runtime = self.client.cluster().runtime().clone();
        while windows.is_reading() {
            let Ok(polled) = runtime.timeout_at(deadline, consumer.poll()).await else { break };
            match polled {
                Ok(None) => windows.finish_all(),
                Ok(Some(records)) => {
                    for finished in keep(&records, windows, found, &mut read) {
                        consumer.unassign_partitions([&finished]);
                    }
                }
                Err(error) if error.is_retriable() => {}
                Err(error) => {
                    let Some(partition) = error.partition() else { return Err(error) };
                    let key = TopicPartition::new(self.topic.clone(), partition);
                    consumer.unassign_partitions([&key]);
                    windows.fail(&key);
                    errors.push(error);
                }
            }
        }
        for key in windows.fail_unfinished() {
            let late = Error::new(Kind::Timeout, "the newest records did not arrive by the deadline");
            errors.push(late.in_partition(&key.topic, key.partition));
        }
        for (key, mut older) in read {
            let newer = found.entry(key).or_default();
            older.append(newer);
            *newer = older;
        }
        Ok(())
    }
}

/// Keeps the newest records within the windows, as many as are missing. Returns the partitions that were read to their stops.
fn keep(records: &Records, windows: &mut Windows, found: &Found, read: &mut Found) -> Vec<TopicPartition> {
    let mut finished = Vec::new();
    for partition in records.by_partition() {
        let key = partition.topic_partition();
        let Some(window) = windows.get(&key) else { continue };
        let missing = windows.missing(found.get(&key).map_or(0, VecDeque::len));
        let kept = read.entry(key.clone()).or_default();
        for record in partition.iter().filter(|record| record.offset < window.stop) {
            kept.push_back(record.to_owned());
            if kept.len() > missing {
                kept.pop_front();
            }
        }
        if partition.next_position().offset >= window.stop {
            windows.finish(&key);
            finished.push(key);
        }
    }
    finished
}
