//! What an answer, or its absence, means for each batch that was sent.

use std::time::Instant;

use super::Action;
use super::BatchId;
use super::Identity;
use super::Key;
use super::ProducerCore;
use super::batch::Batch;
use super::batch::Fate;
use super::batch::Outcome;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::error::code::ProduceRecovery;
use crate::record::ClosedBatch;
use crate::types::ProducerIdentity;
use crate::wire::message::ProduceResponse;
use crate::wire::message::ProducedPartition;

/// What an attempt came to.
enum Attempt<'a> {
    Answered(&'a ProducedPartition),
    /// No answer: the error says whether the request left this process.
    Lost(&'a Error),
    /// The response does not mention the partition.
    Omitted,
}

impl<T: Clone> ProducerCore<T> {
    /// Takes the answer to a request.
    pub fn handle_response(&mut self, now: Instant, request: u64, response: &Result<ProduceResponse, Error>) {
        let Some((broker, sent)) = self.requests.remove(&request) else { return };
        if let Some(state) = self.brokers.get_mut(&broker) {
            state.in_flight -= 1;
        }
        for (key, id) in &sent {
            let attempt = match response {
                Err(error) => Attempt::Lost(error),
                Ok(response) => self.find(response, *key),
            };
            self.handle_attempt(now, *key, *id, &attempt);
        }
        for (key, _) in sent {
            self.service(now, key);
        }
        self.wake_broker(now, broker);
    }

    /// A broker that has nothing to do takes what is open.
    fn wake_broker(&mut self, now: Instant, broker: i32) {
        let Some(state) = self.brokers.get_mut(&broker).filter(|state| state.in_flight == 0) else { return };
        for key in std::mem::take(&mut state.opened) {
            self.service(now, key);
        }
    }

    fn find<'a>(&self, response: &'a ProduceResponse, key: Key) -> Attempt<'a> {
        if self.settings.acks == 0 {
            return Attempt::Omitted;
        }
        let name = &self.topics[key.topic as usize].name;
        let id = self.snapshot.topic(name).map(|topic| topic.id);
        let topic =
            response.topics.iter().find(|topic| topic.name == *name || (topic.name.is_empty() && Some(topic.id) == id));
        let partition = topic.and_then(|topic| topic.partitions.iter().find(|found| found.index == key.partition));
        partition.map_or(Attempt::Omitted, Attempt::Answered)
    }

    fn handle_attempt(&mut self, now: Instant, key: Key, id: BatchId, attempt: &Attempt<'_>) {
        let Some(batch) = self.partitions.get_mut(&key).and_then(|partition| partition.answered(id)) else { return };
        match attempt {
            Attempt::Omitted if self.settings.acks == 0 => self.acknowledged(key, batch, None, None),
            Attempt::Omitted => self.retry(now, key, batch, true, true),
            Attempt::Lost(error) if error.is_retriable() => {
                self.retry(now, key, batch, error.is_written() != Some(Written::No), true);
            }
            Attempt::Lost(error) => {
                let unclear = error.is_written() != Some(Written::No);
                self.fail(key, batch, unclear, (*error).clone());
            }
            Attempt::Answered(answer) => match answer.error {
                None => {
                    let append_time = Some(answer.log_append_time).filter(|time| *time >= 0);
                    self.acknowledged(key, batch, Some(answer.base_offset).filter(|offset| *offset >= 0), append_time);
                }
                Some(code) => self.refused(now, key, batch, code, answer),
            },
        }
    }

    fn acknowledged(&mut self, key: Key, batch: Batch<T>, base_offset: Option<i64>, log_append_time: Option<i64>) {
        if let Some(partition) = self.partitions.get_mut(&key) {
            partition.succeeded();
        }
        self.complete(batch, Outcome::Acknowledged { base_offset, log_append_time });
    }

    fn refused(&mut self, now: Instant, key: Key, batch: Batch<T>, code: Code, answer: &ProducedPartition) {
        match code.produce_recovery() {
            ProduceRecovery::Duplicate => self.acknowledged(key, batch, None, None),
            ProduceRecovery::Retry { doubtful } => self.retry(now, key, batch, doubtful, false),
            ProduceRecovery::RefreshMetadata { doubtful } => self.retry(now, key, batch, doubtful, true),
            ProduceRecovery::Split if batch.count > 1 && !batch.abandoned => self.split(key, batch),
            ProduceRecovery::NewEpoch if self.settings.idempotent => self.new_epoch(now, key, batch, code),
            ProduceRecovery::Split | ProduceRecovery::NewEpoch => self.denied(key, batch, code, answer, false),
            ProduceRecovery::Fail { doubtful } => self.denied(key, batch, code, answer, doubtful),
            ProduceRecovery::Fatal => {
                let error =
                    Error::broker(code, "the producer cannot go on").in_topic(&self.topics[key.topic as usize].name);
                self.fail(key, batch, false, error.clone());
                self.abort(&error);
            }
        }
    }

    fn denied(&mut self, key: Key, batch: Batch<T>, code: Code, answer: &ProducedPartition, unclear: bool) {
        let why = answer.error_message.clone().unwrap_or_else(|| "the broker refused the record".to_owned());
        self.fail(key, batch, unclear, Error::broker(code, why));
    }

    /// Sends the same bytes again, after a pause unless the leader changes.
    fn retry(&mut self, now: Instant, key: Key, mut batch: Batch<T>, unclear: bool, refresh: bool) {
        batch.fate = batch.fate.failed(unclear);
        let topic = self.topics[key.topic as usize].name.clone();
        if refresh {
            self.actions.push_back(Action::RefreshMetadata(topic));
        }
        let failures = self.partitions.get(&key).map_or(1, |partition| partition.failures + 1);
        let wait = self.back_off(failures);
        let idempotent = self.settings.idempotent;
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        partition.failures = failures;
        partition.retry_at = Some(now + wait);
        if batch.abandoned {
            // Its records were told long ago: only its sequences are left, and they are lost.
            partition.hole |= idempotent;
            partition.recovering = true;
            return;
        }
        partition.retry(batch);
    }

    /// The broker's idea of the sequence is another one.
    fn new_epoch(&mut self, now: Instant, key: Key, mut batch: Batch<T>, code: Code) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        let earlier = partition.in_flight.iter().chain(&partition.ready);
        let first = !earlier.into_iter().any(|other| other.stamp.is_some() && other.id < batch.id);
        if !first {
            // An earlier batch is on its way again: this one is out of order only until that has arrived.
            return self.retry(now, key, batch, false, false);
        }
        if code == Code::OutOfOrderSequenceNumber {
            // Had an earlier attempt been written, the broker would have called it a duplicate.
            batch.fate = Fate::Absent;
        } else if batch.fate == (Fate::InFlight { doubtful: true }) {
            // The broker forgot this producer: nobody can say any more whether the lost attempt was written.
            return self.fail(key, batch, true, Error::broker(code, "the broker forgot the producer"));
        }
        partition.hole = true;
        self.retry(now, key, batch, false, false);
    }

    fn fail(&mut self, key: Key, mut batch: Batch<T>, unclear: bool, error: Error) {
        batch.fate = batch.fate.failed(unclear);
        if let Some(partition) = self.partitions.get_mut(&key) {
            partition.hole |= batch.stamp.is_some();
            partition.recovering |= batch.stamp.is_some();
        }
        let name = self.topics[key.topic as usize].name.clone();
        let error = error.in_partition(&name, key.partition).written(batch.fate.written());
        self.complete(batch, Outcome::Failed(error));
    }

    fn split(&mut self, key: Key, mut batch: Batch<T>) {
        batch.fate = batch.fate.failed(false);
        let Some(sealed) = batch.sealed.clone() else { return };
        let id = batch.id;
        // It waits in line, unsealed, until its parts take its place; its sequences go unused.
        batch.sealed = None;
        if let Some(partition) = self.partitions.get_mut(&key) {
            partition.hole |= batch.stamp.take().is_some();
            partition.recovering = true;
            let at = partition.ready.iter().position(|other| other.id > id).unwrap_or(partition.ready.len());
            partition.ready.insert(at, batch);
        }
        self.actions.push_back(Action::Split { key, id, sealed });
    }

    /// Takes the parts that a batch was split into, each to be sealed.
    pub fn handle_split(&mut self, now: Instant, key: Key, id: BatchId, parts: Result<Vec<ClosedBatch>, Error>) {
        let Some(parent) = self.partitions.get_mut(&key).and_then(|partition| partition.remove(id)) else { return };
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => {
                let written = parent.fate.written();
                return self.complete(parent, Outcome::Failed(error.written(written)));
            }
        };
        self.outstanding.remove(&id);
        let mut first = parent.first;
        let mut left = parent.bytes;
        let last = parts.len() - 1;
        for (number, closed) in parts.into_iter().enumerate() {
            // Parts keep the parent's place in line: ids are compared, and no other batch has one between.
            let part_id = if number == last { id } else { self.part_id(id) };
            let bytes = if number == last { left } else { closed.records.len().min(left) };
            left -= bytes;
            let child = Batch {
                id: part_id,
                ticket: parent.ticket.clone(),
                first,
                count: closed.count,
                whole: false,
                bytes,
                deadline: parent.deadline,
                attempts: 0,
                sealed: None,
                stamp: None,
                fate: parent.fate,
                abandoned: false,
            };
            first += closed.count;
            self.outstanding.insert(part_id);
            if let Some(partition) = self.partitions.get_mut(&key) {
                let at = partition.ready.iter().position(|other| other.id > part_id).unwrap_or(partition.ready.len());
                partition.ready.insert(at, child);
            }
            self.actions.push_back(Action::Seal { key, id: part_id, closed });
        }
        self.service(now, key);
    }

    /// Takes the answer to `Action::InitProducerId`.
    pub fn handle_identity(&mut self, now: Instant, answer: Result<ProducerIdentity, Error>) {
        match answer {
            Ok(identity) => self.identity = Identity::Known(identity),
            Err(error) if error.is_retriable() || error.kind() == Kind::Connect => {
                let wait = self.back_off(2);
                self.identity = Identity::Failed(now + wait);
            }
            Err(error) => return self.abort(&error),
        }
        for key in self.partitions.busy() {
            self.service(now, key);
        }
    }
}
