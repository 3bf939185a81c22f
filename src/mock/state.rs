//! The state that the brokers share: topics, partitions and their leaders, groups, producer ids.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;

use crate::codec::Codecs;
use crate::mock::access::Access;
use crate::mock::check::Checked;
use crate::mock::check::Head;
use crate::mock::check::TRANSACTIONAL;
use crate::mock::encode::Draft;
use crate::mock::encode::Entry;
use crate::mock::encode::NewBatch;
use crate::mock::features::Features;
use crate::mock::group;
use crate::mock::group::Group;
use crate::mock::log::Log;
use crate::mock::quotas::Quotas;
use crate::mock::release::Release;
use crate::mock::sasl::SaslUsers;
use crate::mock::sasl::Stages;
use crate::mock::session::Sessions;
use crate::types::TopicId;
use crate::types::TopicName;

/// A broker.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) rack: Option<String>,
    pub(super) up: bool,
}

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: TopicId,
    pub(super) partitions: Vec<Partition>,
    /// `max.message.bytes`.
    pub(super) batch_bytes_max: usize,
    /// The other entries of its configuration that were set. They have no effect.
    pub(super) configs: BTreeMap<String, String>,
}

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) placement: Placement,
    pub(super) log: Log,
    /// The broker that has the records between the high watermark and the end of the log.
    tail_at: Option<i32>,
    /// The end offsets of followers that lag behind the high watermark.
    pub(super) lagging: BTreeMap<i32, i64>,
}

/// The replicas and the leader of a partition, as in metadata.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    pub(super) replicas: Vec<i32>,
    /// The replicas that are added and do not have all records yet.
    pub(super) adding: Vec<i32>,
    /// The replicas that are removed once all others have all records.
    pub(super) removing: Vec<i32>,
    pub(super) leader: Option<i32>,
    pub(super) leader_epoch: i32,
}

impl Partition {
    /// Gives the partition another leader, or none, under a new epoch. Records that only the old one had are lost.
    pub(super) fn elect(&mut self, leader: Option<i32>) {
        if leader.is_some() {
            // A log that loses nothing keeps its producers, also those whose batches retention deleted.
            let has_tail = self.log.high_watermark() < self.log.end();
            if has_tail && self.tail_at.is_some() && self.tail_at != leader {
                self.log.truncate(self.log.high_watermark());
            }
            self.tail_at = leader;
        }
        self.placement.leader = leader;
        self.placement.leader_epoch += 1;
        self.log.begin_epoch(self.placement.leader_epoch);
    }

    /// Appends a batch that a test wrote.
    pub(super) fn append(&mut self, batch: &NewBatch, timestamp: i64, codecs: &Codecs) -> Option<i64> {
        let entry = |(index, (key, value)): (i32, &(Option<Bytes>, Option<Bytes>))| Entry {
            offset_delta: index,
            timestamp,
            key: key.clone(),
            value: value.clone(),
            headers: Vec::new(),
        };
        let last_offset_delta = i32::try_from(batch.records.len()).ok()?.checked_sub(1).filter(|last| *last >= 0)?;
        let transactional = if batch.transactional { TRANSACTIONAL } else { 0 };
        let draft = Draft {
            base_offset: 0,
            leader_epoch: self.placement.leader_epoch,
            attributes: i16::from(batch.compression.id()) | transactional,
            last_offset_delta,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer: batch.producer,
            entries: (0..).zip(&batch.records).map(entry).collect(),
        };
        let bytes = draft.write(codecs)?;
        let numbered = Head::read(bytes.first_chunk()?).numbered();
        let checked =
            Checked { last_offset_delta, max_timestamp: timestamp, numbered, transactional: batch.transactional };
        Some(self.log.append(&bytes, &checked, self.placement.leader_epoch))
    }

    /// The end of a follower's copy for consumers.
    pub(super) fn follower_end(&self, broker: i32) -> i64 {
        let end = self.log.high_watermark();
        self.lagging.get(&broker).map_or(end, |lag| end.min(*lag))
    }
}

/// The metadata of a broker that is stale.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) live: Vec<i32>,
    pub(super) topics: BTreeMap<TopicName, (TopicId, Vec<Placement>)>,
    coordinators: HashMap<(i8, String), i32>,
}

/// A consumer group's committed offset.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: StrBytes,
}

/// The state of a transactional id at its coordinator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transactional {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
    pub(super) timeout_ms: i32,
}

/// A user's credential of one SCRAM mechanism.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credential {
    pub(super) iterations: i32,
}

/// The settings of a builder.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cluster_id: String,
    pub(super) auto_create: bool,
    pub(super) partitions_default: i32,
    pub(super) replication_default: i16,
    pub(super) batch_bytes_max: usize,
    pub(super) timestamp_after_max_ms: Option<i64>,
    pub(super) fetch_sessions: usize,
    pub(super) versions: BTreeMap<i16, (i16, i16)>,
    pub(super) requests_kept: usize,
    /// Whether clients are sent to replicas in their own rack (KIP-392).
    pub(super) follower_reads: bool,
    pub(super) min_insync: usize,
    /// Whether a group that does not exist is answered with `GROUP_ID_NOT_FOUND`.
    pub(super) unknown_groups: bool,
    pub(super) groups: group::Rules,
    /// Who may connect; `None` lets everybody.
    pub(super) sasl: Option<SaslUsers>,
}

/// The state of all brokers.
#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) brokers: BTreeMap<i32, Broker>,
    pub(super) topics: BTreeMap<TopicName, Topic>,
    names: HashMap<TopicId, TopicName>,
    pub(super) groups: HashMap<String, Group>,
    /// The last time that the caller passed.
    pub(super) now: Option<Instant>,
    /// The stale brokers, with their metadata.
    views: HashMap<i32, View>,
    /// Coordinators that were moved, by key type and key.
    coordinators: HashMap<(i8, String), i32>,
    pub(super) transactional: HashMap<String, Transactional>,
    /// The entries of access control; `None` without an authorizer.
    pub(super) access: Option<Access>,
    /// SCRAM credentials by user and mechanism.
    pub(super) credentials: BTreeMap<(String, i8), Credential>,
    pub(super) features: Features,
    pub(super) quotas: Quotas,
    next_producer_id: i64,
    pub(super) sessions: Sessions,
    /// How far the authentication of each connection is.
    pub(super) sasl: Stages,
    pub(super) codecs: Codecs,
    /// The buffer for decompressed batches.
    pub(super) scratch: Vec<u8>,
    pub(super) rng: fastrand::Rng,
    /// Grows with every change that may end the wait of a fetch.
    pub(super) changes: u64,
    /// The throttle time of every response.
    pub(super) throttle_ms: i32,
}

impl State {
    pub(super) fn new(settings: Settings, brokers: BTreeMap<i32, Broker>, seed: u64) -> Self {
        Self {
            settings,
            brokers,
            topics: BTreeMap::new(),
            names: HashMap::new(),
            groups: HashMap::new(),
            now: None,
            views: HashMap::new(),
            coordinators: HashMap::new(),
            transactional: HashMap::new(),
            access: Some(Access::default()),
            credentials: BTreeMap::new(),
            features: Features::of(Release::V4_3),
            quotas: Quotas::default(),
            next_producer_id: 1_000,
            sessions: Sessions::default(),
            sasl: Stages::default(),
            codecs: Codecs::default(),
            scratch: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            changes: 0,
            throttle_ms: 0,
        }
    }

    /// Whether a connection may send a request of this API now.
    pub(super) fn admits(&mut self, now: Instant, connection: u64, api_key: i16) -> bool {
        let Some(users) = &self.settings.sasl else { return true };
        self.sasl.admits(now, users.apart(), connection, api_key)
    }

    /// Creates a topic; the leaders of its partitions go round the live brokers.
    pub(super) fn create_topic(&mut self, name: &TopicName, partitions: i32, replicas: i16) -> &mut Topic {
        let count = usize::try_from(partitions).unwrap_or(0);
        let partitions = self.new_partitions(0..count, usize::try_from(replicas).unwrap_or(1));
        let id = TopicId(self.rng.u128(1..).to_be_bytes());
        self.names.insert(id, name.clone());
        self.changes += 1;
        let batch_bytes_max = self.settings.batch_bytes_max;
        let topic = Topic { id, partitions, batch_bytes_max, configs: BTreeMap::new() };
        self.topics.insert(name.clone(), topic);
        self.topics.get_mut(name).expect("it was inserted just now")
    }

    /// Adds partitions until a topic has `count` of them; whether there is such a topic.
    pub(super) fn add_partitions(&mut self, name: &str, count: i32) -> bool {
        let Some(known) = self.topics.get(name).map(|topic| topic.partitions.len()) else { return false };
        let replicas = usize::try_from(self.settings.replication_default).unwrap_or(1);
        let added = self.new_partitions(known..usize::try_from(count).unwrap_or(0), replicas);
        if let Some(topic) = self.topics.get_mut(name) {
            topic.partitions.extend(added);
        }
        self.changes += 1;
        true
    }

    /// Partitions of these indexes, with so many replicas where there are as many brokers.
    fn new_partitions(&self, indexes: Range<usize>, replicas: usize) -> Vec<Partition> {
        let live: Vec<i32> = self.live().collect();
        let all: Vec<i32> = if live.is_empty() { self.brokers.keys().copied().collect() } else { live };
        let replicas = replicas.clamp(1, all.len());
        let place = |index: usize| (0..replicas).map(|step| all[(index + step) % all.len()]).collect();
        indexes.map(|index| self.new_partition(place(index))).collect()
    }

    fn new_partition(&self, replicas: Vec<i32>) -> Partition {
        let leader = replicas.iter().copied().find(|id| self.is_up(*id));
        let mut log = Log::default();
        log.begin_epoch(0);
        Partition {
            placement: Placement { replicas, adding: Vec::new(), removing: Vec::new(), leader, leader_epoch: 0 },
            log,
            tail_at: leader,
            lagging: BTreeMap::new(),
        }
    }

    /// Deletes a topic, with the offsets that groups committed for it.
    pub(super) fn delete_topic(&mut self, name: &str) -> bool {
        let Some(topic) = self.topics.remove(name) else { return false };
        self.names.remove(&topic.id);
        for group in self.groups.values_mut() {
            group.offsets.retain(|(topic, _), _| **topic != *name);
        }
        self.changes += 1;
        true
    }

    pub(super) fn name_of(&self, id: TopicId) -> Option<&TopicName> {
        self.names.get(&id)
    }

    /// The stored name of the topic, or a new one where the topic does not exist.
    pub(super) fn intern(&self, name: &str) -> TopicName {
        self.topics.get_key_value(name).map_or_else(|| TopicName::from(name), |(known, _)| known.clone())
    }

    pub(super) fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)
    }

    pub(super) fn partition_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        self.topics.get_mut(topic)?.partitions.get_mut(usize::try_from(partition).ok()?)
    }

    /// The partition, if this broker leads it and the client's leader epoch (or −1) is current.
    pub(super) fn led(
        &self,
        broker: i32,
        topic: &str,
        partition: i32,
        leader_epoch: i32,
    ) -> Result<&Partition, ResponseError> {
        let found = self.fenced(topic, partition, leader_epoch)?;
        if found.placement.leader != Some(broker) {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        Ok(found)
    }

    /// The partition, if the client's leader epoch (or −1) is current.
    pub(super) fn fenced(&self, topic: &str, partition: i32, leader_epoch: i32) -> Result<&Partition, ResponseError> {
        let found = self.partition(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        if leader_epoch >= 0 && leader_epoch < found.placement.leader_epoch {
            return Err(ResponseError::FencedLeaderEpoch);
        }
        if leader_epoch > found.placement.leader_epoch {
            return Err(ResponseError::UnknownLeaderEpoch);
        }
        Ok(found)
    }

    /// The replica in a client's rack that it should read from instead of the leader (`RackAwareReplicaSelector`).
    pub(super) fn preferred(&self, found: &Partition, rack: &str, offset: i64) -> Option<i32> {
        let in_rack =
            |id: &i32| self.brokers.get(id).is_some_and(|broker| broker.up && broker.rack.as_deref() == Some(rack));
        let has = |id: &i32| (found.log.start()..=found.follower_end(*id)).contains(&offset);
        if !self.settings.follower_reads || rack.is_empty() || found.placement.leader.is_some_and(|id| in_rack(&id)) {
            return None;
        }
        found.placement.replicas.iter().copied().filter(in_rack).filter(has).max_by_key(|id| found.follower_end(*id))
    }

    /// The number of live replicas of a partition, which are all in sync.
    pub(super) fn in_sync(&self, found: &Partition) -> usize {
        let live: Vec<i32> = self.live().collect();
        found.placement.in_sync(&live).len()
    }

    /// Makes a broker's metadata stale, or brings it up to date.
    pub(super) fn set_stale(&mut self, broker: i32, stale: bool) {
        if !stale {
            self.views.remove(&broker);
            return;
        }
        let placements = |topic: &Topic| topic.partitions.iter().map(|partition| partition.placement.clone()).collect();
        let topics = self.topics.iter().map(|(name, topic)| (name.clone(), (topic.id, placements(topic)))).collect();
        let view = View { live: self.live().collect(), topics, coordinators: self.coordinators.clone() };
        self.views.insert(broker, view);
    }

    /// The metadata of a stale broker; `None` for one that is up to date.
    pub(super) fn view(&self, broker: i32) -> Option<&View> {
        self.views.get(&broker)
    }

    pub(super) fn is_up(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.up)
    }

    /// The ids of the live brokers, ascending.
    pub(super) fn live(&self) -> impl Iterator<Item = i32> {
        self.brokers.iter().filter(|(_, broker)| broker.up).map(|(id, _)| *id)
    }

    /// The controller: a live broker.
    pub(super) fn controller(&self) -> BrokerId {
        BrokerId(self.live().next().unwrap_or(-1))
    }

    /// Moves a partition's leadership; returns whether partition and broker exist.
    pub(super) fn move_leader(&mut self, topic: &str, partition: i32, broker: i32) -> bool {
        if !self.brokers.contains_key(&broker) {
            return false;
        }
        let Some(found) = self.partition_mut(topic, partition) else { return false };
        if !found.placement.replicas.contains(&broker) {
            found.placement.replicas.push(broker);
        }
        found.elect(Some(broker));
        self.changes += 1;
        true
    }

    /// Stops a broker or starts it again. Another live replica takes over its partitions.
    pub(super) fn set_up(&mut self, broker: i32, up: bool) {
        let coordinators = self.group_coordinators();
        let Some(known) = self.brokers.get_mut(&broker).filter(|known| known.up != up) else { return };
        known.up = up;
        self.move_groups(&coordinators);
        self.views.remove(&broker);
        self.sessions.close_all(broker);
        let live: Vec<i32> = self.live().collect();
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            let heir = partition.placement.in_sync(&live).first().copied();
            let lost = partition.placement.leader.is_none_or(|leader| !live.contains(&leader));
            if lost && heir != partition.placement.leader {
                partition.elect(heir);
            }
        }
        self.settle_moves();
        self.changes += 1;
    }

    /// Replicates everything that a broker leads, where a follower lives.
    pub(super) fn hand_over(&mut self, broker: i32) {
        let others: Vec<i32> = self.live().filter(|id| *id != broker).collect();
        let partitions = self.topics.values_mut().flat_map(|topic| &mut topic.partitions);
        for partition in partitions.filter(|partition| partition.placement.leader == Some(broker)) {
            if partition.placement.replicas.iter().any(|id| others.contains(id)) {
                partition.log.replicate();
            }
        }
    }

    /// Truncates a partition's log, as the election of a leader that lacks the records after `offset` does; returns its end.
    pub(super) fn truncate(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        let found = self.partition_mut(topic, partition)?;
        let end = found.log.truncate(offset);
        found.elect(found.placement.leader);
        self.changes += 1;
        Some(end)
    }

    /// The coordinator of a key: the broker that it was moved to, or a live one by the hash of the key.
    pub(super) fn coordinator(&self, key_type: i8, key: &str) -> Option<i32> {
        let live: Vec<i32> = self.live().collect();
        coordinator_among(&live, &self.coordinators, key_type, key)
    }

    /// The coordinator of a key, as far as a broker knows.
    pub(super) fn coordinator_known_to(&self, broker: i32, key_type: i8, key: &str) -> Option<i32> {
        match self.views.get(&broker) {
            Some(view) => coordinator_among(&view.live, &view.coordinators, key_type, key),
            None => self.coordinator(key_type, key),
        }
    }

    pub(super) fn move_coordinator(&mut self, key_type: i8, key: &str, broker: i32) {
        let coordinators = self.group_coordinators();
        self.coordinators.insert((key_type, key.to_owned()), broker);
        self.move_groups(&coordinators);
    }

    /// The coordinator of each group.
    fn group_coordinators(&self) -> Vec<(String, Option<i32>)> {
        self.groups.keys().map(|name| (name.clone(), self.coordinator(GROUP, name))).collect()
    }

    /// Moves the groups that had another coordinator before.
    fn move_groups(&mut self, before: &[(String, Option<i32>)]) {
        let Some(now) = self.now else { return };
        let rules = self.settings.groups;
        for (name, coordinator) in before {
            if self.coordinator(GROUP, name) != *coordinator
                && let Some(group) = self.groups.get_mut(name)
            {
                group.move_away(now, rules);
            }
        }
        self.changes += 1;
    }

    /// Does what is due in groups.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = Some(now);
        let rules = self.settings.groups;
        for group in self.groups.values_mut() {
            self.changes += u64::from(group.handle_timeout(now, rules));
        }
    }

    /// When something is due in a group.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.groups.values().filter_map(Group::poll_timeout).min()
    }

    pub(super) fn take_producer_id(&mut self) -> i64 {
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        id
    }
}

fn coordinator_among(live: &[i32], moved: &HashMap<(i8, String), i32>, key_type: i8, key: &str) -> Option<i32> {
    let moved = moved.get(&(key_type, key.to_owned())).copied();
    if let Some(broker) = moved.filter(|broker| live.contains(broker)) {
        return Some(broker);
    }
    let hash = key.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
    live.get(hash.checked_rem(live.len())?).copied()
}

/// The key type of groups.
pub(super) const GROUP: i8 = 0;

/// Converts a string to that of the message crate.
pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Converts a topic name to that of the message crate.
pub(super) fn wire_name(name: &str) -> kafka_protocol::messages::TopicName {
    kafka_protocol::messages::TopicName(text(name))
}

/// Converts an id to that of the message crate, whose type we do not depend on by name.
pub(super) fn wire_id<U: TryFrom<Vec<u8>> + Default>(id: TopicId) -> U {
    U::try_from(id.0.to_vec()).unwrap_or_default()
}
