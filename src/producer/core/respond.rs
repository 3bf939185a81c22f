//! Responses: how each batch of a request ends or continues.

use std::time::Instant;

use super::Action;
use super::BatchId;
use super::Key;
use super::ProducerCore;
use super::batch::Batch;
use super::batch::Fate;
use super::batch::Outcome;
use super::settings::Mode;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::error::recovery::IdentityRecovery;
use crate::error::recovery::ProduceRecovery;
use crate::types::LeaderEpoch;
use crate::types::ProducerIdentity;
use crate::wire::message::Node;
use crate::wire::message::ProduceResponse;
use crate::wire::message::ProducedPartition;

/// The fate of a batch in flight of which an earlier attempt was lost.
const DOUBTFUL: Fate = Fate::InFlight { doubtful: true };

/// The result of an attempt.
enum Attempt<'a> {
    Answered(&'a ProducedPartition, &'a [Node]),
    /// No response: the error says whether the request left this process.
    Lost(&'a Error),
    /// The response does not mention the partition.
    Omitted,
}

/// The cause of a retry.
enum Cause {
    /// The broker cannot be reached, or does not lead the partition yet. Other partitions share this cause.
    Broker(Error),
    /// Something is wrong with this partition.
    Partition(Error),
}

impl Cause {
    fn error(&self) -> &Error {
        let (Self::Broker(error) | Self::Partition(error)) = self;
        error
    }
}

/// The error of a batch that is sent again after this code.
fn refusal(code: Code) -> Error {
    Error::broker(code, "the broker refused the batch")
}

/// Whether a request that was lost may be repeated. A response that makes no sense ends its connection like any other loss.
fn may_repeat(error: &Error) -> bool {
    error.is_retriable() || matches!(error.kind(), Kind::Connect | Kind::Protocol)
}

fn may_identify(code: Code) -> bool {
    code.identity_recovery() == IdentityRecovery::Retry
}

impl<T: Clone> ProducerCore<T> {
    /// Takes the response to a request.
    pub fn handle_response(&mut self, now: Instant, request: u64, response: &Result<ProduceResponse, Error>) {
        let Some((broker, sent)) = self.requests.remove(&request) else { return };
        if let Some(state) = self.brokers.get_mut(&broker) {
            state.in_flight -= 1;
            self.work |= !state.ready.is_empty();
        }
        let mut places = Places::default();
        for (key, id) in &sent {
            let attempt = match response {
                Err(error) => Attempt::Lost(error),
                Ok(response) => self.find(response, *key, &mut places),
            };
            self.handle_attempt(now, *key, *id, &attempt);
        }
        for (key, _) in sent {
            self.service(now, key);
        }
        self.wake_broker(now, broker);
    }

    /// Makes open batches due at a broker without a request in flight.
    fn wake_broker(&mut self, now: Instant, broker: i32) {
        if self.brokers.get(&broker).is_some_and(|state| state.in_flight == 0) {
            self.take_opened(now, broker);
        }
    }

    /// Services the partitions whose open batch waits for this broker.
    pub(super) fn take_opened(&mut self, now: Instant, broker: i32) {
        let Some(state) = self.brokers.get_mut(&broker) else { return };
        for key in std::mem::take(&mut state.opened) {
            if let Some(partition) = self.partitions.get_mut(key).filter(|partition| partition.noted == Some(broker)) {
                partition.noted = None;
                self.service(now, key);
            }
        }
    }

    fn find<'a>(&self, response: &'a ProduceResponse, key: Key, places: &mut Places) -> Attempt<'a> {
        if self.mode == Mode::Unanswered {
            return Attempt::Omitted;
        }
        let topic = &self.topics[key.topic as usize];
        let is_it = |found: &crate::wire::message::ProducedTopic| {
            found.name == topic.name || (found.name.is_empty() && [topic.known.id, topic.former_id].contains(&found.id))
        };
        let Some(found) = places.topic(&response.topics, is_it) else { return Attempt::Omitted };
        let answer = places.partition(&found.partitions, |found| found.index == key.partition);
        answer.map_or(Attempt::Omitted, |answer| Attempt::Answered(answer, &response.nodes))
    }

    fn handle_attempt(&mut self, now: Instant, key: Key, id: BatchId, attempt: &Attempt<'_>) {
        let Some(batch) = self.partitions.get_mut(key).and_then(|partition| partition.answered(id)) else { return };
        match attempt {
            Attempt::Omitted if self.mode == Mode::Unanswered => self.acknowledged(key, batch, None, None),
            Attempt::Omitted => {
                self.refresh(key.topic);
                let error = Error::protocol("the response lacks the partition");
                self.retry(now, key, batch, true, Cause::Broker(error));
            }
            Attempt::Lost(error) => {
                let unclear = error.is_written() != Some(Written::No);
                // Without acknowledgements a batch is sent once: again only if it surely was not sent.
                if may_repeat(error) && !(unclear && self.mode == Mode::Unanswered) {
                    self.refresh(key.topic);
                    self.retry(now, key, batch, unclear, Cause::Broker((*error).clone()));
                } else {
                    self.fail(key, batch, unclear, (*error).clone());
                }
            }
            Attempt::Answered(answer, nodes) => match answer.error {
                None => {
                    let append_time = Some(answer.log_append_time).filter(|time| *time >= 0);
                    self.progressed(now, key, &batch);
                    self.acknowledged(key, batch, Some(answer.base_offset).filter(|offset| *offset >= 0), append_time);
                }
                Some(code) => self.refused(now, key, batch, code, answer, nodes),
            },
        }
    }

    fn acknowledged(&mut self, key: Key, batch: Batch<T>, base_offset: Option<i64>, log_append_time: Option<i64>) {
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.succeeded(batch.id);
        }
        self.complete(key, batch, Outcome::Acknowledged { base_offset, log_append_time });
    }

    fn refused(
        &mut self,
        now: Instant,
        key: Key,
        batch: Batch<T>,
        code: Code,
        answer: &ProducedPartition,
        nodes: &[Node],
    ) {
        match code.produce_recovery(self.mode.promise()) {
            ProduceRecovery::Duplicate => self.acknowledged(key, batch, None, None),
            ProduceRecovery::Retry { doubtful } => {
                self.retry(now, key, batch, doubtful, Cause::Partition(refusal(code)));
            }
            ProduceRecovery::RefreshMetadata { doubtful } => {
                if !self.hint(key, code, answer, nodes) {
                    self.refresh(key.topic);
                }
                self.retry(now, key, batch, doubtful, Cause::Broker(refusal(code)));
            }
            // The parts of a batch that may be in the log would be in it twice.
            ProduceRecovery::Split if batch.count > 1 && !batch.abandoned && batch.fate != DOUBTFUL => {
                self.split(key, batch);
            }
            ProduceRecovery::NewEpoch => self.new_epoch(now, key, batch, code),
            ProduceRecovery::Split => self.denied(key, batch, code, answer, false),
            ProduceRecovery::Fail { doubtful } => self.denied(key, batch, code, answer, doubtful),
            ProduceRecovery::Fatal => {
                let error =
                    Error::broker(code, "the producer cannot go on").in_topic(&self.topics[key.topic as usize].name);
                tracing::error!(target: "ottla::producer", error = %error.chain(), "producer failed");
                self.fail(key, batch, false, error.clone());
                self.abort(&error);
            }
        }
    }

    /// Passes on the new leader that a broker named (KIP-951); returns whether a metadata request is needless.
    fn hint(&mut self, key: Key, code: Code, answer: &ProducedPartition, nodes: &[Node]) -> bool {
        let moved = matches!(code, Code::NotLeaderOrFollower | Code::FencedLeaderEpoch);
        let Some(leader) = answer.current_leader.filter(|leader| moved && leader.id >= 0) else { return false };
        let topic = &self.topics[key.topic as usize];
        let known = topic.leader(key.partition).and_then(|partition| partition.epoch);
        let is_newer =
            LeaderEpoch::from_wire(leader.epoch).is_some_and(|epoch| known.is_none_or(|known| known < epoch));
        let reachable = nodes.iter().any(|node| node.id == leader.id) || self.snapshot.broker(leader.id).is_some();
        if !is_newer || !reachable {
            return false;
        }
        let (topic, nodes) = (topic.name.clone(), nodes.to_vec());
        self.actions.push_back(Action::Hint { topic, partition: key.partition, leader, nodes });
        true
    }

    /// Notes that a retried batch was acknowledged: its broker is ready, and other partitions that wait for it are sent soon.
    fn progressed(&mut self, now: Instant, key: Key, batch: &Batch<T>) {
        let Some((broker, _)) = self.partitions.get_mut(key).filter(|_| batch.attempts > 1).and_then(|one| one.at)
        else {
            return;
        };
        let Some(state) = self.brokers.get_mut(&broker) else { return };
        let Some((sooner, waiting)) = state.pace.succeeded(now, self.settings.retry_backoff) else { return };
        for key in waiting {
            if let Some(at) = self.partitions.get_mut(key).and_then(|partition| partition.retry_at.as_mut()) {
                *at = sooner.min(*at);
                self.arm(now, key);
            }
        }
    }

    /// Sends the same bytes again, after a pause unless the leader changes.
    fn retry(&mut self, now: Instant, key: Key, mut batch: Batch<T>, unclear: bool, cause: Cause) {
        let topic = &self.topics[key.topic as usize];
        if !topic.has(key.partition) {
            let error = self.removed(key);
            return self.fail(key, batch, unclear, error);
        }
        let (topic, partition, attempt) = (&*topic.name, key.partition, batch.attempts);
        tracing::debug!(target: "ottla::producer", topic, partition, attempt, error = %cause.error().chain(), "batch retried");
        batch.fate = batch.fate.failed(unclear);
        let Some(partition) = self.partitions.get_mut(key) else { return };
        // A batch that comes back behind another is no failure of its own, and waits for that one anyway.
        if !partition.ready.front().is_some_and(|head| head.id < batch.id && head.attempts > 0) {
            let until = self.tried_again_at(now, key, &cause);
            let Some(partition) = self.partitions.get_mut(key) else { return };
            partition.retry_at = Some(until);
        }
        let Some(partition) = self.partitions.get_mut(key) else { return };
        partition.failure = Some(cause.error().clone());
        if batch.abandoned {
            // Its records were reported before: only its sequences are left, and they are lost.
            partition.hole |= batch.stamp.is_some();
            partition.recovering = true;
            let error = self.timed_out(key);
            return self.complete(key, batch, Outcome::Failed(error));
        }
        let is_reported = batch.is_reported();
        partition.retry(batch);
        if is_reported {
            self.drop_reported(key);
        }
    }

    /// The time at which a partition that failed is tried again.
    fn tried_again_at(&mut self, now: Instant, key: Key, cause: &Cause) -> Instant {
        let back_off = [self.settings.retry_backoff, self.settings.retry_backoff_max];
        let Some(partition) = self.partitions.get_mut(key) else { return now };
        let broker = partition.at.map(|(broker, _)| broker).filter(|_| matches!(cause, Cause::Broker(_)));
        if let Some(broker) = broker.and_then(|broker| self.brokers.get_mut(&broker)) {
            return broker.pace.failed(now, key, back_off, &mut self.rng);
        }
        partition.failures += 1;
        let failures = partition.failures;
        now + self.settings.back_off(failures, &mut self.rng)
    }

    /// Handles a refusal of the batch's sequence: the broker expects another one.
    fn new_epoch(&mut self, now: Instant, key: Key, batch: Batch<T>, code: Code) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let mut others = partition.in_flight.iter().chain(&partition.ready);
        if others.any(|other| other.stamp.is_some() && other.id < batch.id) {
            // An earlier batch is being retried: this one is out of order only until that has arrived.
            return self.retry(now, key, batch, false, Cause::Partition(refusal(code)));
        }
        partition.hole = true;
        // This error rejects only this attempt. An earlier attempt on a lost connection may still be appended, with the batches sent
        // before it. A broker that has forgotten a producer takes any sequence as the first, so that later batches may be in the log
        // without this one: written now, it would come after them. Their doubt, and its own, can no longer be resolved.
        let last = partition.last_maybe_written();
        if batch.id > last && batch.fate != DOUBTFUL {
            return self.retry(now, key, batch, false, Cause::Partition(refusal(code)));
        }
        let overtaken = partition.take_until(last);
        let error = Error::broker(code, "the broker does not know this producer's last batches any more");
        for batch in std::iter::once(batch).chain(overtaken) {
            self.fail(key, batch, false, error.clone());
        }
    }

    /// Fails a batch that the broker refused. Where the broker names records (KIP-467), each gets its own message, and the others
    /// one that they were refused with them, as in `Sender.failBatch`.
    fn denied(&mut self, key: Key, batch: Batch<T>, code: Code, answer: &ProducedPartition, unclear: bool) {
        let why = answer.error_message.as_deref().unwrap_or("the broker refused the record");
        let (batch, error) = self.failed(key, batch, unclear, Error::broker(code, why));
        let mut bad: Vec<(u32, &str)> = answer
            .record_errors
            .iter()
            .filter_map(|(index, message)| Some((u32::try_from(*index).ok()?, message.as_deref().unwrap_or(why))))
            .filter(|(index, _)| *index < batch.count)
            .collect();
        bad.sort_by_key(|(index, _)| *index);
        bad.dedup_by_key(|(index, _)| *index);
        if bad.is_empty() || batch.abandoned {
            return self.complete(key, batch, Outcome::Failed(error));
        }
        // With one record named the code is about that record; with several it may be about any of them.
        let each = if bad.len() == 1 { code } else { Code::InvalidRecord };
        let name = self.topics[key.topic as usize].name.clone();
        let about = |code, text: &str| {
            Outcome::Failed(Error::broker(code, text).in_partition(&name, key.partition).written(batch.fate.written()))
        };
        let rest = about(code, "refused because other records of its batch are invalid");
        let mut next = 0;
        for (index, text) in bad {
            self.refuse_part(&batch, next..index, &rest);
            self.refuse_part(&batch, index..index + 1, &about(each, text));
            next = index + 1;
        }
        self.refuse_part(&batch, next..batch.count, &rest);
        // All are reported; only the bytes are left to be given back.
        self.complete(key, Batch { abandoned: true, ..batch }, Outcome::Failed(error));
    }

    /// Reports some of a batch's records as refused.
    fn refuse_part(&mut self, batch: &Batch<T>, records: std::ops::Range<u32>, outcome: &Outcome) {
        self.report_left(batch, batch.first + records.start..batch.first + records.end, outcome);
    }

    /// Takes the response to `Action::InitProducerId`.
    pub fn handle_identity(&mut self, now: Instant, answer: Result<ProducerIdentity, Error>) {
        match answer {
            Ok(identity) => {
                tracing::info!(target: "ottla::producer", id = identity.id, epoch = identity.epoch, "producer id acquired");
                self.identity.acquired(identity);
                self.warming = false;
            }
            Err(error) if error.code().map_or_else(|| may_repeat(&error), may_identify) => {
                tracing::debug!(target: "ottla::producer", error = %error.chain(), "producer id not acquired");
                let (settings, rng) = (&self.settings, &mut self.rng);
                self.identity.failed(now, error, |failures| settings.back_off(failures, rng));
            }
            Err(error) => return self.abort(&error),
        }
        self.service_all(now);
    }
}

/// The place in a response at which the last partition was found. Brokers respond in the order of the request, so the next one is
/// most often right behind it, and a response of a thousand partitions is walked once.
#[derive(Default)]
struct Places {
    topic: usize,
    partition: usize,
}

impl Places {
    fn topic<'a, I>(&mut self, topics: &'a [I], is_it: impl Fn(&I) -> bool) -> Option<&'a I> {
        let before = self.topic;
        let at = near(topics, before, &is_it)?;
        if at != before {
            (self.topic, self.partition) = (at, 0);
        }
        topics.get(at)
    }

    fn partition<'a, I>(&mut self, partitions: &'a [I], is_it: impl Fn(&I) -> bool) -> Option<&'a I> {
        let at = near(partitions, self.partition, &is_it)?;
        self.partition = at + 1;
        partitions.get(at)
    }
}

fn near<I>(items: &[I], guess: usize, is_it: &impl Fn(&I) -> bool) -> Option<usize> {
    if items.get(guess).is_some_and(is_it) { Some(guess) } else { items.iter().position(is_it) }
}
