//! The commands of tests to a cluster, and its state that they read.

use bytes::Bytes;

use crate::mock::cluster::Cluster;
use crate::mock::encode::NewBatch;
use crate::mock::fault::Fault;
use crate::mock::fault::On;
use crate::mock::fault::Script;
use crate::mock::fault::ScriptId;
use crate::mock::log::Marker;
use crate::mock::log::StoredRecord;
use crate::mock::seen::SeenRequest;
use crate::types::TopicId;
use crate::types::TopicName;

/// Commands of tests, and the state that they read.
impl Cluster {
    /// Creates a topic, in place of one of the same name; returns its id.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> TopicId {
        self.state.delete_topic(name);
        let replicas = self.state.settings.replication_default;
        self.state.create_topic(&TopicName::from(name), partitions, replicas).id
    }

    /// Deletes a topic; returns whether it existed.
    pub fn delete_topic(&mut self, name: &str) -> bool {
        self.state.delete_topic(name)
    }

    /// A topic's id.
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.state.topics.get(name).map(|topic| topic.id)
    }

    /// Makes a topic refuse batches larger than this (`max.message.bytes`); returns whether the topic exists.
    pub fn set_batch_bytes_max(&mut self, topic: &str, bytes: usize) -> bool {
        let topic = self.state.topics.get_mut(topic);
        topic.map(|topic| topic.batch_bytes_max = bytes).is_some()
    }

    /// Makes a broker the leader of a partition, under a new epoch; returns whether partition and broker exist.
    ///
    /// Records that only the old leader had, because of [`Cluster::hold_replication`], are lost.
    pub fn move_leader(&mut self, topic: &str, partition: i32, broker: i32) -> bool {
        self.state.move_leader(topic, partition, broker)
    }

    /// The leader of a partition, and its epoch.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(i32, i32)> {
        let placement = &self.state.partition(topic, partition)?.placement;
        Some((placement.leader?, placement.leader_epoch))
    }

    /// Makes a broker the coordinator of a group (key type 0) or of a transactional id (1).
    ///
    /// The old coordinator answers `NOT_COORDINATOR` (16), also to the members that wait there for a rebalance. The new one
    /// continues with the last generation that had an assignment, as Kafka does. The same happens to the groups of a broker that
    /// is stopped.
    pub fn move_coordinator(&mut self, key_type: i8, key: &str, broker: i32) {
        self.state.move_coordinator(key_type, key, broker);
    }

    /// The coordinator of a group (key type 0) or of a transactional id (1); `None` where no broker is running.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::Cluster;
    ///
    /// let mut cluster = Cluster::builder().brokers(3).build();
    /// cluster.move_coordinator(0, "audit", 2);
    /// assert_eq!(cluster.coordinator(0, "audit"), Some(2));
    /// ```
    pub fn coordinator(&self, key_type: i8, key: &str) -> Option<i32> {
        self.state.coordinator(key_type, key)
    }

    /// Makes a broker's metadata stale, or brings it up to date.
    ///
    /// While it is stale, its Metadata and FindCoordinator responses stay as they are now, and it hints at no new leader. Its
    /// other requests are answered by the current state.
    pub fn set_stale(&mut self, broker: i32, stale: bool) {
        self.state.set_stale(broker, stale);
    }

    /// Stops a broker in an orderly way: live replicas have all its records and take over, and it closes every connection on
    /// its next request.
    pub fn set_down(&mut self, broker: i32) {
        self.state.hand_over(broker);
        self.state.set_up(broker, false);
    }

    /// Stops a broker at once: records that only it had, because of [`Cluster::hold_replication`], are lost where another
    /// replica takes over.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::{Cluster, NewBatch};
    ///
    /// let mut cluster = Cluster::builder().brokers(3).topic("events", 1).build();
    /// cluster.append("events", 0, &NewBatch::of([("k", "kept")]));
    /// cluster.hold_replication("events", 0, true);
    /// cluster.append("events", 0, &NewBatch::of([("k", "lost")]));
    /// assert_eq!((cluster.high_watermark("events", 0), cluster.offsets("events", 0)), (Some(1), Some((0, 2))));
    /// cluster.crash(1);
    /// assert_eq!(cluster.leader("events", 0), Some((2, 1)));
    /// assert_eq!(cluster.log("events", 0).len(), 1);
    /// ```
    pub fn crash(&mut self, broker: i32) {
        self.state.set_up(broker, false);
    }

    /// Starts a broker again. It leads only partitions without another live replica, and has no fetch sessions.
    pub fn set_up(&mut self, broker: i32) {
        self.state.set_up(broker, true);
    }

    /// Stops replication of a partition, or resumes it; returns whether the partition exists.
    ///
    /// While replication is held, the high watermark stays, consumers see nothing new, `acks=all` waits, and a reassignment to other
    /// brokers stays in progress.
    pub fn hold_replication(&mut self, topic: &str, partition: i32, held: bool) -> bool {
        self.state.changes += 1;
        let is_known = self.state.partition_mut(topic, partition).map(|found| found.log.hold(held)).is_some();
        self.state.settle_moves();
        is_known
    }

    /// Replicates everything up to now to the followers of a partition, although replication is held.
    pub fn replicate(&mut self, topic: &str, partition: i32) -> bool {
        self.state.changes += 1;
        self.state.partition_mut(topic, partition).map(|found| found.log.replicate()).is_some()
    }

    /// Limits the records that consumers can read from a follower (KIP-392) to those before an offset; `None` ends the limit.
    pub fn set_follower_end(&mut self, topic: &str, partition: i32, broker: i32, end: Option<i64>) -> bool {
        self.state.changes += 1;
        let Some(found) = self.state.partition_mut(topic, partition) else { return false };
        match end {
            Some(end) => found.lagging.insert(broker, end),
            None => found.lagging.remove(&broker),
        };
        true
    }

    /// Removes the records of a partition at and after an offset, committed or not, as an unclean election does. Its leader
    /// stays, under a new epoch. Returns the end of the log: whole batches are removed.
    pub fn truncate(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        self.state.truncate(topic, partition, offset)
    }

    /// Compacts the stable part of a partition before an offset, as the log cleaner does: the last record of each key stays,
    /// offsets stay, and an empty batch stays only if it is the last of its producer. Records without a key are removed.
    /// Returns the number of removed records.
    pub fn compact(&mut self, topic: &str, partition: i32, until: i64) -> Option<usize> {
        self.state.changes += 1;
        // `delete.retention.ms` is a day.
        let horizon_ms = self.wall_ms().saturating_add(86_400_000);
        let codecs = self.state.codecs.clone();
        Some(self.state.partition_mut(topic, partition)?.log.compact(until, horizon_ms, &codecs))
    }

    /// Appends a batch without a client; returns the offset of its first record, or `None` where the partition or the codec
    /// does not exist, or the batch is empty.
    pub fn append(&mut self, topic: &str, partition: i32, batch: &NewBatch) -> Option<i64> {
        let timestamp = batch.timestamp.unwrap_or_else(|| self.wall_ms());
        let codecs = self.state.codecs.clone();
        let found = self.state.partition_mut(topic, partition)?;
        let base_offset = found.append(batch, timestamp, &codecs)?;
        self.state.changes += 1;
        Some(base_offset)
    }

    /// Ends the transaction of a producer in a partition with a marker, as a coordinator does; returns the offset of the
    /// marker, or `None` where the partition does not know the producer.
    pub fn end_transaction(&mut self, topic: &str, partition: i32, producer_id: i64, commit: bool) -> Option<i64> {
        let timestamp = self.wall_ms();
        let codecs = self.state.codecs.clone();
        let found = self.state.partition_mut(topic, partition)?;
        let epoch = found.log.producers.find(producer_id)?.epoch();
        let marker = Marker { producer_id, epoch, coordinator_epoch: 0, commit };
        let marker = found.log.mark(marker, timestamp, found.placement.leader_epoch, &codecs)?;
        self.state.changes += 1;
        Some(marker)
    }

    /// The producers that have an open transaction in a partition, ascending.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::{Cluster, NewBatch};
    ///
    /// let mut cluster = Cluster::builder().topic("events", 1).build();
    /// cluster.append("events", 0, &NewBatch::of([("k", "v")]).by(7, 0, 0).transactional());
    /// assert_eq!(cluster.open_transactions("events", 0), [7]);
    /// cluster.end_transaction("events", 0, 7, true);
    /// assert_eq!(cluster.open_transactions("events", 0), [] as [i64; 0]);
    /// ```
    pub fn open_transactions(&self, topic: &str, partition: i32) -> Vec<i64> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.transactions.open().collect()).unwrap_or_default()
    }

    /// Adds partitions until a topic has `partitions` of them, as CreatePartitions does; whether there is such a topic.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::Cluster;
    ///
    /// let mut cluster = Cluster::builder().topic("events", 1).build();
    /// assert!(cluster.add_partitions("events", 3));
    /// assert_eq!(cluster.offsets("events", 2), Some((0, 0)));
    /// ```
    pub fn add_partitions(&mut self, topic: &str, partitions: i32) -> bool {
        self.state.add_partitions(topic, partitions)
    }

    /// The last wall-clock time that the caller passed.
    fn wall_ms(&self) -> i64 {
        self.unix.map_or(0, |(_, unix_ms)| unix_ms)
    }

    /// The first and the last version of an API that the brokers support.
    pub fn versions(&self, api_key: i16) -> Option<(i16, i16)> {
        self.state.settings.versions.get(&api_key).copied()
    }

    /// Whether a broker is running.
    pub fn is_up(&self, broker: i32) -> bool {
        self.state.is_up(broker)
    }

    /// Applies a fault to the next `times` requests of an API, at any broker.
    pub fn inject(&mut self, api_key: i16, fault: Fault, times: u32) {
        self.scripts.play(On::api(api_key).then(fault).times(times));
    }

    /// Applies a fault to the next `times` requests of an API at one broker.
    pub fn inject_at(&mut self, broker: i32, api_key: i16, fault: Fault, times: u32) {
        self.scripts.play(On::api(api_key).broker(broker).then(fault).times(times));
    }

    /// Plays a script from now on.
    ///
    /// A request takes one step of the oldest script that selects it, and one of the oldest script for each of its topics or
    /// partitions; the faults of these steps are applied together.
    pub fn play(&mut self, script: Script) -> ScriptId {
        self.scripts.play(script)
    }

    /// Ends a script early.
    pub fn stop(&mut self, script: ScriptId) {
        self.scripts.stop(script);
    }

    /// Whether a script still has steps to play.
    pub fn is_playing(&self, script: ScriptId) -> bool {
        self.scripts.is_playing(script)
    }

    /// The number of requests that a script has hit.
    pub fn strikes(&self, script: ScriptId) -> u64 {
        self.scripts.strikes(script)
    }

    /// Ends every script.
    pub fn clear_faults(&mut self) {
        self.scripts.clear();
    }

    /// Makes every response from now on ask the client to be silent for so long (KIP-219).
    pub fn set_throttle_ms(&mut self, throttle_ms: i32) {
        self.state.throttle_ms = throttle_ms;
    }

    /// Makes a partition forget the producers without an open transaction, as brokers do some time after they fell silent.
    pub fn expire_producers(&mut self, topic: &str, partition: i32) -> bool {
        let found = self.state.partition_mut(topic, partition);
        found.map(|partition| partition.log.expire_producers()).is_some()
    }

    /// Deletes the records before `offset`, up to the high watermark, as retention and DeleteRecords do; returns the new start
    /// of the log.
    pub fn delete_before(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        self.state.changes += 1;
        Some(self.state.partition_mut(topic, partition)?.log.delete_before(offset))
    }

    /// The records of a partition that a `read_committed` consumer sees, in order.
    pub fn log_committed(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.committed(&self.state.codecs)).unwrap_or_default()
    }

    /// All records of a partition, in order, replicated or not, those of aborted transactions too; empty where the partition
    /// does not exist.
    pub fn log(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.records(&self.state.codecs)).unwrap_or_default()
    }

    /// As [`Cluster::log`], from the batch on that contains `offset`.
    pub fn log_from(&self, topic: &str, partition: i32, offset: i64) -> Vec<StoredRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.records_from(offset, &self.state.codecs)).unwrap_or_default()
    }

    /// The batches of a partition as a consumer receives them.
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<Bytes> {
        self.state.partition(topic, partition).map(|found| found.log.batches().collect()).unwrap_or_default()
    }

    /// The start and the end of a partition's log.
    pub fn offsets(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let log = &self.state.partition(topic, partition)?.log;
        Some((log.start(), log.end()))
    }

    /// The high watermark of a partition.
    pub fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        Some(self.state.partition(topic, partition)?.log.high_watermark())
    }

    /// The last stable offset of a partition: every transaction before it has ended.
    pub fn last_stable_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        Some(self.state.partition(topic, partition)?.log.stable())
    }

    /// The offset that a group has committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let offsets = &self.state.groups.get(group)?.offsets;
        offsets.get(&(TopicName::from(topic), partition)).map(|committed| committed.offset)
    }

    /// The requests that arrived, oldest first: the newest 65,536, or as many as [`Builder::requests_kept`] says, and fewer
    /// where they name more than 262,144 partitions together.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::{Cluster, key};
    ///
    /// let cluster = Cluster::builder().topic("events", 6).build();
    /// let produced = cluster.requests().filter(|seen| seen.api_key == key::PRODUCE && seen.names("events", 3));
    /// assert_eq!(produced.count(), 0);
    /// ```
    ///
    /// [`Builder::requests_kept`]: crate::mock::Builder::requests_kept
    pub fn requests(&self) -> impl DoubleEndedIterator<Item = &SeenRequest> + ExactSizeIterator {
        self.journal.requests()
    }

    /// The requests that arrived and match a selection.
    pub fn requests_on<'a>(&'a self, on: &'a On) -> impl DoubleEndedIterator<Item = &'a SeenRequest> {
        self.journal.requests().filter(|seen| on.selects(seen, &[]))
    }

    /// As [`Cluster::requests`], and empties the request log.
    pub fn take_requests(&mut self) -> Vec<SeenRequest> {
        self.journal.take()
    }

    /// The number of requests of an API since the cluster was built.
    pub fn requests_count(&self, api_key: i16) -> u64 {
        self.journal.count(api_key)
    }
}
