//! What an answer, or its absence, means for each batch that was sent.

use std::time::Instant;

use super::Action;
use super::BatchId;
use super::Identity;
use super::Key;
use super::Mode;
use super::ProducerCore;
use super::batch::Batch;
use super::batch::Fate;
use super::batch::Outcome;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::error::code::ProduceRecovery;
use crate::types::LeaderEpoch;
use crate::types::ProducerIdentity;
use crate::wire::message::Node;
use crate::wire::message::ProduceResponse;
use crate::wire::message::ProducedPartition;

/// An earlier attempt of what is being answered was lost.
const DOUBTFUL: Fate = Fate::InFlight { doubtful: true };

/// What an attempt came to.
enum Attempt<'a> {
    Answered(&'a ProducedPartition, &'a [Node]),
    /// No answer: the error says whether the request left this process.
    Lost(&'a Error),
    /// The response does not mention the partition.
    Omitted,
}

/// Whether asking again may help. An answer that makes no sense ends its connection like any other loss.
fn may_pass(error: &Error) -> bool {
    error.is_retriable() || matches!(error.kind(), Kind::Connect | Kind::Protocol)
}

impl<T: Clone> ProducerCore<T> {
    /// Takes the answer to a request.
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

    /// A broker that has nothing to do takes what is open.
    fn wake_broker(&mut self, now: Instant, broker: i32) {
        let Some(state) = self.brokers.get_mut(&broker).filter(|state| state.in_flight == 0) else { return };
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
            found.name == topic.name || (found.name.is_empty() && found.id == topic.known.id)
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
                self.retry(now, key, batch, true);
            }
            Attempt::Lost(error) => {
                let unclear = error.is_written() != Some(Written::No);
                // What is sent once is not sent again unless it surely was not sent.
                if may_pass(error) && !(unclear && self.mode == Mode::Unanswered) {
                    self.refresh(key.topic);
                    self.retry(now, key, batch, unclear);
                } else {
                    self.fail(key, batch, unclear, (*error).clone());
                }
            }
            Attempt::Answered(answer, nodes) => match answer.error {
                None => {
                    let append_time = Some(answer.log_append_time).filter(|time| *time >= 0);
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
        self.complete(batch, Outcome::Acknowledged { base_offset, log_append_time });
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
        match code.produce_recovery() {
            ProduceRecovery::Duplicate => self.acknowledged(key, batch, None, None),
            ProduceRecovery::Retry { doubtful } => self.retry(now, key, batch, doubtful),
            ProduceRecovery::RefreshMetadata { doubtful } => {
                if !self.hint(key, code, answer, nodes) {
                    self.refresh(key.topic);
                }
                self.retry(now, key, batch, doubtful);
            }
            // Parts of what may be in the log already would be in it twice.
            ProduceRecovery::Split if batch.count > 1 && !batch.abandoned && batch.fate != DOUBTFUL => {
                self.split(key, batch);
            }
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

    /// Passes on who leads instead, where the broker says so (KIP-951); answers whether there is no need to ask.
    fn hint(&mut self, key: Key, code: Code, answer: &ProducedPartition, nodes: &[Node]) -> bool {
        let moved = matches!(code, Code::NotLeaderOrFollower | Code::FencedLeaderEpoch);
        let Some(leader) = answer.current_leader.filter(|leader| moved && leader.id >= 0) else { return false };
        let topic = &self.topics[key.topic as usize];
        let known = topic.leader(key.partition).and_then(|partition| partition.epoch);
        let news = LeaderEpoch::from_wire(leader.epoch).is_some_and(|epoch| known.is_none_or(|known| known < epoch));
        let reachable = nodes.iter().any(|node| node.id == leader.id) || self.snapshot.broker(leader.id).is_some();
        if !news || !reachable {
            return false;
        }
        let (topic, nodes) = (topic.name.clone(), nodes.to_vec());
        self.actions.push_back(Action::Hint { topic, partition: key.partition, leader, nodes });
        true
    }

    /// Sends the same bytes again, after a pause unless the leader changes.
    fn retry(&mut self, now: Instant, key: Key, mut batch: Batch<T>, unclear: bool) {
        batch.fate = batch.fate.failed(unclear);
        let Some(partition) = self.partitions.get_mut(key) else { return };
        // What comes back behind another is no failure of its own, and waits for that one anyway.
        if !partition.ready.front().is_some_and(|head| head.id < batch.id && head.attempts > 0) {
            partition.failures += 1;
            let failures = partition.failures;
            let until = now + self.back_off(failures);
            let Some(partition) = self.partitions.get_mut(key) else { return };
            partition.retry_at = Some(until);
        }
        let Some(partition) = self.partitions.get_mut(key) else { return };
        if batch.abandoned {
            // Its records were told long ago: only its sequences are left, and they are lost.
            partition.hole |= batch.stamp.is_some();
            partition.recovering = true;
            let error = self.timed_out(key);
            return self.complete(batch, Outcome::Failed(error));
        }
        partition.retry(batch);
    }

    /// The broker's idea of the sequence is another one.
    fn new_epoch(&mut self, now: Instant, key: Key, batch: Batch<T>, code: Code) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let mut others = partition.in_flight.iter().chain(&partition.ready);
        if others.any(|other| other.stamp.is_some() && other.id < batch.id) {
            // An earlier batch is on its way again: this one is out of order only until that has arrived.
            return self.retry(now, key, batch, false);
        }
        partition.hole = true;
        // What an earlier attempt came to, this refusal does not say: that one, and what was sent before it, may still be on the way
        // from a connection that was lost, and then all of it is accepted.
        // A broker that has forgotten a producer takes any sequence for the first, so that later batches may be in the log without
        // this one: written now, it would stand behind them. Nor can their doubt, or its own, be cleared up any more.
        let last = partition.last_maybe_written();
        if batch.id > last && batch.fate != DOUBTFUL {
            return self.retry(now, key, batch, false);
        }
        let overtaken = partition.take_until(last);
        let error = Error::broker(code, "the broker does not know this producer's last batches any more");
        for batch in std::iter::once(batch).chain(overtaken) {
            self.fail(key, batch, false, error.clone());
        }
    }

    fn fail(&mut self, key: Key, batch: Batch<T>, unclear: bool, error: Error) {
        let (batch, error) = self.failed(key, batch, unclear, error);
        self.complete(batch, Outcome::Failed(error));
    }

    /// What a batch that is given up leaves behind, and its error with all that is known of it.
    fn failed(&mut self, key: Key, mut batch: Batch<T>, unclear: bool, error: Error) -> (Batch<T>, Error) {
        batch.fate = batch.fate.failed(unclear);
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.hole |= batch.stamp.is_some();
            partition.recovering |= batch.stamp.is_some();
        }
        let name = &self.topics[key.topic as usize].name;
        let error = error.in_partition(name, key.partition).written(batch.fate.written());
        (batch, error)
    }

    /// The broker will not have the batch. Where it says which records it objects to (KIP-467), each gets its own message, and
    /// the others learn that they were refused with it, as `Sender.failBatch` has it.
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
            return self.complete(batch, Outcome::Failed(error));
        }
        // With one objection the code is about that record; with several it may be about any of them.
        let each = if bad.len() == 1 { code } else { Code::InvalidRecord };
        let name = self.topics[key.topic as usize].name.clone();
        let about = |code, text: &str| {
            Outcome::Failed(Error::broker(code, text).in_partition(&name, key.partition).written(batch.fate.written()))
        };
        let rest = about(code, "refused because other records of its batch are invalid");
        let tell = |actions: &mut std::collections::VecDeque<Action<T>>, from: u32, count: u32, outcome: Outcome| {
            if count > 0 {
                let (ticket, first) = (batch.ticket.clone(), batch.first + from);
                actions.push_back(Action::Complete { ticket, first, count, whole: false, outcome, bytes: 0 });
            }
        };
        let mut next = 0;
        for (index, text) in bad {
            tell(&mut self.actions, next, index - next, rest.clone());
            tell(&mut self.actions, index, 1, about(each, text));
            next = index + 1;
        }
        tell(&mut self.actions, next, batch.count - next, rest);
        // All are told; what is left is to give the bytes back.
        self.complete(Batch { abandoned: true, ..batch }, Outcome::Failed(error));
    }

    /// Takes the answer to `Action::InitProducerId`.
    pub fn handle_identity(&mut self, now: Instant, answer: Result<ProducerIdentity, Error>) {
        match answer {
            Ok(identity) => {
                self.identity = Identity::Known(identity);
                self.identity_failures = 0;
            }
            Err(error) if may_pass(&error) => {
                self.identity_failures += 1;
                let wait = self.back_off(self.identity_failures);
                self.identity = Identity::Failed(now + wait);
            }
            Err(error) => return self.abort(&error),
        }
        for key in self.partitions.busy() {
            self.service(now, key);
        }
    }
}

/// Where in a response the last partition was found: brokers answer in the order they were asked, so the next is most often
/// right behind, and a response of a thousand partitions is walked once.
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
