//! Fetch sessions (KIP-227): each broker's state of incremental fetches.

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;

use crate::types::TopicId;
use crate::types::TopicName;

/// One partition that a fetch requests.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Empty where the request has an unknown topic id.
    pub(super) topic: TopicName,
    pub(super) id: TopicId,
    pub(super) partition: i32,
    pub(super) leader_epoch: i32,
    pub(super) offset: i64,
    pub(super) last_epoch: i32,
    pub(super) bytes_max: usize,
}

impl Wanted {
    fn is(&self, topic: &TopicName, id: TopicId, partition: i32) -> bool {
        // Versions before 13 have topic names, later ones have ids; one session has only one kind.
        self.partition == partition && if id.is_zero() { self.topic == *topic } else { self.id == id }
    }
}

/// A partition of a session, with the last state that its client received.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) wanted: Wanted,
    pub(super) high_watermark: i64,
    pub(super) log_start: i64,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    /// The epoch of the next request.
    epoch: i32,
    by_id: bool,
    pub(super) partitions: Vec<Cached>,
}

/// The sessions of all brokers.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: HashMap<(i32, i32), Session>,
}

impl Sessions {
    /// Opens a session with the state that its client just received, unless the broker has `slots` of them already.
    pub(super) fn open(
        &mut self,
        broker: i32,
        slots: usize,
        by_id: bool,
        partitions: Vec<Cached>,
        rng: &mut fastrand::Rng,
    ) -> Option<i32> {
        if self.open.keys().filter(|(owner, _)| *owner == broker).count() >= slots {
            return None;
        }
        let id = std::iter::repeat_with(|| rng.i32(1..)).find(|id| !self.open.contains_key(&(broker, *id)))?;
        self.open.insert((broker, id), Session { epoch: 1, by_id, partitions });
        Some(id)
    }

    pub(super) fn close(&mut self, broker: i32, id: i32) {
        self.open.remove(&(broker, id));
    }

    /// Forgets every session of a broker, as when it restarts.
    pub(super) fn close_all(&mut self, broker: i32) {
        self.open.retain(|(owner, _), _| *owner != broker);
    }

    /// Advances a session to its next request.
    pub(super) fn advance(
        &mut self,
        broker: i32,
        id: i32,
        epoch: i32,
        by_id: bool,
    ) -> Result<&mut Session, ResponseError> {
        let session = self.open.get_mut(&(broker, id)).ok_or(ResponseError::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.by_id != by_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(session)
    }

    pub(super) fn find(&self, broker: i32, id: i32) -> Option<&Session> {
        self.open.get(&(broker, id))
    }

    pub(super) fn find_mut(&mut self, broker: i32, id: i32) -> Option<&mut Session> {
        self.open.get_mut(&(broker, id))
    }
}

impl Session {
    /// Adds a partition, or replaces its request.
    pub(super) fn want(&mut self, wanted: Wanted) {
        let known = self.partitions.iter_mut().find(|c| c.wanted.is(&wanted.topic, wanted.id, wanted.partition));
        match known {
            Some(cached) => cached.wanted = wanted,
            None => self.partitions.push(Cached { wanted, high_watermark: -1, log_start: -1 }),
        }
    }

    pub(super) fn forget(&mut self, topic: &TopicName, id: TopicId, partition: i32) {
        self.partitions.retain(|cached| !cached.wanted.is(topic, id, partition));
    }
}
