//! What the brokers share: topics, partitions, groups, producer ids, and who leads what.

use std::collections::BTreeMap;
use std::collections::HashMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;

use crate::codec::Codecs;
use crate::mock::log::Log;
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
}

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) replicas: Vec<i32>,
    pub(super) leader: Option<i32>,
    pub(super) leader_epoch: i32,
    pub(super) log: Log,
}

impl Partition {
    /// Gives the partition another leader, or none, under a new epoch.
    fn elect(&mut self, leader: Option<i32>) {
        self.leader = leader;
        self.leader_epoch += 1;
        self.log.begin_epoch(self.leader_epoch);
    }
}

/// A consumer group's committed offset.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: StrBytes,
}

/// What a builder sets once.
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
}

/// Everything the brokers know.
#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) brokers: BTreeMap<i32, Broker>,
    pub(super) topics: BTreeMap<TopicName, Topic>,
    names: HashMap<TopicId, TopicName>,
    pub(super) groups: HashMap<String, BTreeMap<(TopicName, i32), Committed>>,
    /// Coordinators that were moved, by key type and key.
    coordinators: HashMap<(i8, String), i32>,
    pub(super) transactional: HashMap<String, (i64, i16)>,
    next_producer_id: i64,
    pub(super) sessions: Sessions,
    pub(super) codecs: Codecs,
    /// Where compressed batches are inflated.
    pub(super) scratch: Vec<u8>,
    pub(super) rng: fastrand::Rng,
    /// Grows with whatever may decide a waiting fetch.
    pub(super) changes: u64,
    /// What every reply claims the client was held back for.
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
            coordinators: HashMap::new(),
            transactional: HashMap::new(),
            next_producer_id: 1_000,
            sessions: Sessions::default(),
            codecs: Codecs::default(),
            scratch: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            changes: 0,
            throttle_ms: 0,
        }
    }

    /// Makes a topic whose partitions' leaders go round the live brokers.
    pub(super) fn create_topic(&mut self, name: &TopicName, partitions: i32, replicas: i16) -> &mut Topic {
        let live: Vec<i32> = self.live().collect();
        let all: Vec<i32> = if live.is_empty() { self.brokers.keys().copied().collect() } else { live };
        let replicas = usize::try_from(replicas).unwrap_or(1).clamp(1, all.len());
        let place = |index: usize| (0..replicas).map(|step| all[(index + step) % all.len()]).collect();
        let count = usize::try_from(partitions).unwrap_or(0);
        let partitions = (0..count).map(|index| self.new_partition(place(index))).collect();
        let id = TopicId(self.rng.u128(1..).to_be_bytes());
        self.names.insert(id, name.clone());
        self.changes += 1;
        let topic = Topic { id, partitions, batch_bytes_max: self.settings.batch_bytes_max };
        self.topics.insert(name.clone(), topic);
        self.topics.get_mut(name).expect("it was inserted just now")
    }

    fn new_partition(&self, replicas: Vec<i32>) -> Partition {
        let leader = replicas.iter().copied().find(|id| self.is_up(*id));
        let mut log = Log::default();
        log.begin_epoch(0);
        Partition { replicas, leader, leader_epoch: 0, log }
    }

    /// Deletes a topic, with what groups committed for it.
    pub(super) fn delete_topic(&mut self, name: &str) -> bool {
        let Some(topic) = self.topics.remove(name) else { return false };
        self.names.remove(&topic.id);
        for offsets in self.groups.values_mut() {
            offsets.retain(|(topic, _), _| **topic != *name);
        }
        self.changes += 1;
        true
    }

    pub(super) fn name_of(&self, id: TopicId) -> Option<&TopicName> {
        self.names.get(&id)
    }

    /// The topic's name as it is kept, or a new one where there is no such topic.
    pub(super) fn intern(&self, name: &str) -> TopicName {
        self.topics.get_key_value(name).map_or_else(|| TopicName::from(name), |(known, _)| known.clone())
    }

    pub(super) fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)
    }

    pub(super) fn partition_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        self.topics.get_mut(topic)?.partitions.get_mut(usize::try_from(partition).ok()?)
    }

    /// The partition, if this broker leads it and the client's idea of the leader epoch (or −1) is right.
    pub(super) fn led(
        &self,
        broker: i32,
        topic: &str,
        partition: i32,
        leader_epoch: i32,
    ) -> Result<&Partition, ResponseError> {
        let found = self.partition(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        if leader_epoch >= 0 && leader_epoch < found.leader_epoch {
            return Err(ResponseError::FencedLeaderEpoch);
        }
        if leader_epoch > found.leader_epoch {
            return Err(ResponseError::UnknownLeaderEpoch);
        }
        if found.leader != Some(broker) {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        Ok(found)
    }

    pub(super) fn is_up(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|broker| broker.up)
    }

    /// The ids of the live brokers, ascending.
    pub(super) fn live(&self) -> impl Iterator<Item = i32> {
        self.brokers.iter().filter(|(_, broker)| broker.up).map(|(id, _)| *id)
    }

    /// The live broker that answers for the whole cluster.
    pub(super) fn controller(&self) -> BrokerId {
        BrokerId(self.live().next().unwrap_or(-1))
    }

    /// Moves a partition's leadership; whether there is such a partition and broker.
    pub(super) fn move_leader(&mut self, topic: &str, partition: i32, broker: i32) -> bool {
        if !self.brokers.contains_key(&broker) {
            return false;
        }
        let Some(found) = self.partition_mut(topic, partition) else { return false };
        if !found.replicas.contains(&broker) {
            found.replicas.push(broker);
        }
        found.elect(Some(broker));
        self.changes += 1;
        true
    }

    /// Takes a broker away or brings it back. Another replica takes over what it led, if one lives.
    pub(super) fn set_up(&mut self, broker: i32, up: bool) {
        let Some(known) = self.brokers.get_mut(&broker).filter(|known| known.up != up) else { return };
        known.up = up;
        self.sessions.close_all(broker);
        let live: Vec<i32> = self.live().collect();
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            let heir = partition.replicas.iter().copied().find(|id| live.contains(id));
            let lost = partition.leader.is_none_or(|leader| !live.contains(&leader));
            if lost && heir != partition.leader {
                partition.elect(heir);
            }
        }
        self.changes += 1;
    }

    /// Which broker coordinates a key: the one it was moved to, or a live one by the key's hash.
    pub(super) fn coordinator(&self, key_type: i8, key: &str) -> Option<i32> {
        let moved = self.coordinators.get(&(key_type, key.to_owned())).copied();
        if let Some(broker) = moved.filter(|broker| self.is_up(*broker)) {
            return Some(broker);
        }
        let live: Vec<i32> = self.live().collect();
        let hash = key.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        live.get(hash.checked_rem(live.len())?).copied()
    }

    pub(super) fn move_coordinator(&mut self, key_type: i8, key: &str, broker: i32) {
        self.coordinators.insert((key_type, key.to_owned()), broker);
    }

    pub(super) fn take_producer_id(&mut self) -> i64 {
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        id
    }
}

/// Makes the crate's own string from ours.
pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Makes the crate's topic name from ours.
pub(super) fn wire_name(name: &str) -> kafka_protocol::messages::TopicName {
    kafka_protocol::messages::TopicName(text(name))
}

/// Makes the message crate's id, whose type we do not depend on by name, from ours.
pub(super) fn wire_id<U: TryFrom<Vec<u8>> + Default>(id: TopicId) -> U {
    U::try_from(id.0.to_vec()).unwrap_or_default()
}
