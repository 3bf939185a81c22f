//! What tests do to a cluster, and what they look at.

use bytes::Bytes;

use crate::mock::cluster::Cluster;
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
    pub fn move_leader(&mut self, topic: &str, partition: i32, broker: i32) -> bool {
        self.state.move_leader(topic, partition, broker)
    }

    /// Who leads a partition, and under which epoch.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(i32, i32)> {
        let found = self.state.partition(topic, partition)?;
        Some((found.leader?, found.leader_epoch))
    }

    /// Makes another broker coordinate a group (key type 0) or a transactional id (1).
    pub fn move_coordinator(&mut self, key_type: i8, key: &str, broker: i32) {
        self.state.move_coordinator(key_type, key, broker);
    }

    /// Takes a broker away: it closes every connection that asks it anything, and live replicas take over.
    pub fn set_down(&mut self, broker: i32) {
        self.state.set_up(broker, false);
    }

    /// Brings a broker back. It leads only what nobody else could.
    pub fn set_up(&mut self, broker: i32) {
        self.state.set_up(broker, true);
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

    /// Makes a partition forget its producers, as brokers do some time after they fell silent.
    pub fn expire_producers(&mut self, topic: &str, partition: i32) -> bool {
        let found = self.state.partition_mut(topic, partition);
        found.map(|partition| partition.log.producers.expire()).is_some()
    }

    /// Drops what lies before `offset`, as retention does; answers the offset the log then starts at.
    pub fn delete_before(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        self.state.changes += 1;
        Some(self.state.partition_mut(topic, partition)?.log.delete_before(offset))
    }

    /// Every record of a partition, in order; nothing where there is no such partition.
    pub fn log(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.records(&self.state.codecs)).unwrap_or_default()
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
