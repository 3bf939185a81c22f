//! What tests do to a cluster, and what they look at.

use bytes::Bytes;

use crate::mock::cluster::Cluster;
use crate::mock::encode::NewBatch;
use crate::mock::fault::Fault;
use crate::mock::fault::On;
use crate::mock::fault::Script;
use crate::mock::fault::ScriptId;
use crate::mock::log::StoredRecord;
use crate::mock::seen::SeenRequest;
use crate::types::TopicId;
use crate::types::TopicName;

/// What tests do to a cluster, and what they look at.
impl Cluster {
    /// Makes a topic, whatever was there under its name; answers its id.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> TopicId {
        self.state.delete_topic(name);
        let replicas = self.state.settings.replication_default;
        self.state.create_topic(&TopicName::from(name), partitions, replicas).id
    }

    /// Deletes a topic; whether there was one.
    pub fn delete_topic(&mut self, name: &str) -> bool {
        self.state.delete_topic(name)
    }

    /// A topic's id.
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.state.topics.get(name).map(|topic| topic.id)
    }

    /// Makes a topic refuse batches larger than this (`max.message.bytes`); whether there is such a topic.
    pub fn set_batch_bytes_max(&mut self, topic: &str, bytes: usize) -> bool {
        let topic = self.state.topics.get_mut(topic);
        topic.map(|topic| topic.batch_bytes_max = bytes).is_some()
    }

    /// Makes a broker the leader of a partition, under a new epoch; whether there is such a partition and broker.
    ///
    /// What only the old leader had, because [`Cluster::hold_replication`] kept it from the others, is lost.
    pub fn move_leader(&mut self, topic: &str, partition: i32, broker: i32) -> bool {
        self.state.move_leader(topic, partition, broker)
    }

    /// Who leads a partition, and under which epoch.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(i32, i32)> {
        let seat = &self.state.partition(topic, partition)?.seat;
        Some((seat.leader?, seat.leader_epoch))
    }

    /// Makes another broker coordinate a group (key type 0) or a transactional id (1).
    pub fn move_coordinator(&mut self, key_type: i8, key: &str, broker: i32) {
        self.state.move_coordinator(key_type, key, broker);
    }

    /// Stops telling a broker of changes, or tells it all that it has missed.
    ///
    /// Until told, its Metadata and FindCoordinator say what was true when it was cut off, and it points nobody to a new
    /// leader. What it leads and what it refuses stays the truth.
    pub fn set_stale(&mut self, broker: i32, stale: bool) {
        self.state.set_stale(broker, stale);
    }

    /// Takes a broker away in good order: live replicas have all it had and take over, and it closes every connection
    /// that asks it anything.
    pub fn set_down(&mut self, broker: i32) {
        self.state.hand_over(broker);
        self.state.set_up(broker, false);
    }

    /// Takes a broker away at once: what only it had, because [`Cluster::hold_replication`] kept it from the others, is
    /// lost where another replica takes over.
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

    /// Brings a broker back. It leads only what nobody else could, and knows no fetch session of before.
    pub fn set_up(&mut self, broker: i32) {
        self.state.set_up(broker, true);
    }

    /// Stops replicating a partition, or goes on and catches up; whether there is such a partition.
    ///
    /// Meanwhile its high watermark stays, consumers see nothing new, and `acks=all` waits.
    pub fn hold_replication(&mut self, topic: &str, partition: i32, held: bool) -> bool {
        self.state.changes += 1;
        self.state.partition_mut(topic, partition).map(|found| found.log.hold(held)).is_some()
    }

    /// Lets the followers of a partition have everything up to now, though replication is held.
    pub fn replicate(&mut self, topic: &str, partition: i32) -> bool {
        self.state.changes += 1;
        self.state.partition_mut(topic, partition).map(|found| found.log.replicate()).is_some()
    }

    /// Makes a follower have records only up to an offset, where consumers read from it (KIP-392); `None` for all that
    /// are replicated.
    pub fn set_follower_end(&mut self, topic: &str, partition: i32, broker: i32, end: Option<i64>) -> bool {
        self.state.changes += 1;
        let Some(found) = self.state.partition_mut(topic, partition) else { return false };
        match end {
            Some(end) => found.lagging.insert(broker, end),
            None => found.lagging.remove(&broker),
        };
        true
    }

    /// Loses what a partition has at and after an offset, committed or not, as an unclean election does. Its leader stays,
    /// under a new epoch. Answers where the log then ends: batches go as a whole.
    pub fn truncate(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        self.state.truncate(topic, partition, offset)
    }

    /// Compacts the stable part of a partition before an offset, as the log cleaner does: of each key its last record
    /// stays, offsets stay, and of a batch without records only that which is its producer's last. Records without a key
    /// go. Answers how many records went.
    pub fn compact(&mut self, topic: &str, partition: i32, until: i64) -> Option<usize> {
        self.state.changes += 1;
        // `delete.retention.ms` is a day.
        let horizon_ms = self.wall_ms().saturating_add(86_400_000);
        let codecs = self.state.codecs.clone();
        Some(self.state.partition_mut(topic, partition)?.log.compact(until, horizon_ms, &codecs))
    }

    /// Appends a batch without any client; the offset of its first record, or nothing where there is no such partition, no
    /// codec, or no record.
    pub fn append(&mut self, topic: &str, partition: i32, batch: &NewBatch) -> Option<i64> {
        let timestamp = batch.timestamp.unwrap_or_else(|| self.wall_ms());
        let codecs = self.state.codecs.clone();
        let found = self.state.partition_mut(topic, partition)?;
        let base_offset = found.append(batch, timestamp, &codecs)?;
        self.state.changes += 1;
        Some(base_offset)
    }

    /// Ends the transaction of a producer in a partition by the marker that a coordinator would write; the marker's offset,
    /// or nothing where the partition does not know the producer.
    pub fn end_transaction(&mut self, topic: &str, partition: i32, producer_id: i64, commit: bool) -> Option<i64> {
        let timestamp = self.wall_ms();
        let codecs = self.state.codecs.clone();
        let found = self.state.partition_mut(topic, partition)?;
        let marker = found.log.mark(producer_id, commit, timestamp, found.seat.leader_epoch, &codecs)?;
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

    /// The last wall-clock time that the cluster was told.
    fn wall_ms(&self) -> i64 {
        self.unix.map_or(0, |(_, unix_ms)| unix_ms)
    }

    /// The first and the last version of an API that the brokers speak.
    pub fn versions(&self, api_key: i16) -> Option<(i16, i16)> {
        self.state.settings.versions.get(&api_key).copied()
    }

    /// Whether a broker is there.
    pub fn is_up(&self, broker: i32) -> bool {
        self.state.is_up(broker)
    }

    /// Applies a fault to the next `times` requests of an API, on whichever broker.
    pub fn inject(&mut self, api_key: i16, fault: Fault, times: u32) {
        self.scripts.play(On::api(api_key).then(fault).times(times));
    }

    /// Applies a fault to the next `times` requests of an API that come to one broker.
    pub fn inject_at(&mut self, broker: i32, api_key: i16, fault: Fault, times: u32) {
        self.scripts.play(On::api(api_key).broker(broker).then(fault).times(times));
    }

    /// Plays a script from now on.
    ///
    /// A request plays one step of the oldest script that selects it, and of the oldest for each topic or partition of it
    /// that scripts are confined to; what these steps say is then done together.
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

    /// How many requests a script has struck.
    pub fn strikes(&self, script: ScriptId) -> u64 {
        self.scripts.strikes(script)
    }

    /// Ends every script.
    pub fn clear_faults(&mut self) {
        self.scripts.clear();
    }

    /// Makes every reply from now on claim that the client was held back for so long.
    pub fn set_throttle_ms(&mut self, throttle_ms: i32) {
        self.state.throttle_ms = throttle_ms;
    }

    /// Makes a partition forget the producers without an open transaction, as brokers do some time after they fell silent.
    pub fn expire_producers(&mut self, topic: &str, partition: i32) -> bool {
        let found = self.state.partition_mut(topic, partition);
        found.map(|partition| partition.log.expire_producers()).is_some()
    }

    /// Drops what lies before `offset`, up to the high watermark, as retention and DeleteRecords do; answers the offset the
    /// log then starts at.
    pub fn delete_before(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        self.state.changes += 1;
        Some(self.state.partition_mut(topic, partition)?.log.delete_before(offset))
    }

    /// The records of a partition that a reader with `read_committed` sees, in order.
    pub fn log_committed(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.committed(&self.state.codecs)).unwrap_or_default()
    }

    /// Every record of a partition, in order, replicated or not, of aborted transactions too; nothing where there is no
    /// such partition.
    pub fn log(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.records(&self.state.codecs)).unwrap_or_default()
    }

    /// As [`Cluster::log`], but only from the batch on that holds `offset`.
    pub fn log_from(&self, topic: &str, partition: i32, offset: i64) -> Vec<StoredRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.records_from(offset, &self.state.codecs)).unwrap_or_default()
    }

    /// Every batch of a partition as a consumer gets it.
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<Bytes> {
        self.state.partition(topic, partition).map(|found| found.log.batches().collect()).unwrap_or_default()
    }

    /// Where a partition's log starts and where it ends.
    pub fn offsets(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let log = &self.state.partition(topic, partition)?.log;
        Some((log.start(), log.end()))
    }

    /// Where what all replicas of a partition have ends.
    pub fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        Some(self.state.partition(topic, partition)?.log.high_watermark())
    }

    /// Before which offset all transactions of a partition are decided.
    pub fn last_stable_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        Some(self.state.partition(topic, partition)?.log.stable())
    }

    /// What a group has committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let offsets = self.state.groups.get(group)?;
        offsets.get(&(TopicName::from(topic), partition)).map(|committed| committed.offset)
    }

    /// The requests that arrived, oldest first: the newest 65,536, or what [`Builder::requests_kept`] says, and fewer
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

    /// The requests that arrived and are of a kind.
    pub fn requests_on<'a>(&'a self, on: &'a On) -> impl DoubleEndedIterator<Item = &'a SeenRequest> {
        self.journal.requests().filter(|seen| on.selects(seen, &[]))
    }

    /// As [`Cluster::requests`], emptying the log.
    pub fn take_requests(&mut self) -> Vec<SeenRequest> {
        self.journal.take()
    }

    /// How many requests of an API arrived since the cluster was built.
    pub fn requests_count(&self, api_key: i16) -> u64 {
        self.journal.count(api_key)
    }
}
