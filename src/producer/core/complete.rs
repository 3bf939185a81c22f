//! The end of a batch: its outcome is reported, counted, and its bytes come back.

use std::time::Instant;

use super::Action;
use super::Key;
use super::Outcome;
use super::ProducerCore;
use super::batch::Batch;
use super::dues::gaps;
use crate::config::HostPort;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::record::SealedBatch;

impl<T: Clone> ProducerCore<T> {
    /// Reports the outcome of a batch and gives its bytes back.
    pub(super) fn complete(&mut self, key: Key, mut batch: Batch<T>, outcome: Outcome) {
        self.outstanding.remove(&batch.id);
        if let Some(partition) = self.partitions.get_mut(key).filter(|partition| !partition.dues.is_empty()) {
            partition.dues.forget(batch.id);
        }
        if !batch.reported.is_empty() && !batch.abandoned {
            self.report_left(&batch, batch.first..batch.first + batch.count, &outcome);
            batch.abandoned = true;
        }
        let Batch { ticket, first, count, whole, bytes, abandoned, sealed, .. } = batch;
        if let Some(body) = sealed.map(SealedBatch::into_body)
            && let Ok(mut buffer) = body.try_into_mut()
        {
            buffer.clear();
            self.recycle(buffer.into());
        }
        if abandoned {
            self.actions.push_back(Action::Release { bytes });
        } else {
            self.report(ticket, first, (count, whole), outcome, bytes);
        }
    }

    /// Reports the outcome of `count` records from `first` on, which are all of the ticket's if they are `whole`.
    pub(super) fn report(
        &mut self,
        ticket: T,
        first: u32,
        (count, whole): (u32, bool),
        outcome: Outcome,
        bytes: usize,
    ) {
        let counter = match &outcome {
            Outcome::Acknowledged { .. } => &mut self.counters.acknowledged,
            Outcome::Failed(error) if error.is_written() == Some(Written::No) => &mut self.counters.not_written,
            Outcome::Failed(_) => &mut self.counters.maybe_written,
        };
        *counter += u64::from(count);
        self.actions.push_back(Action::Complete { ticket, first, count, whole, outcome, bytes });
    }

    pub(super) fn fail(&mut self, key: Key, batch: Batch<T>, unclear: bool, error: Error) {
        let (batch, error) = self.failed(key, batch, unclear, error);
        self.complete(key, batch, Outcome::Failed(error));
    }

    /// Notes the sequences that are lost with a batch that is given up, and completes its error.
    pub(super) fn failed(&mut self, key: Key, mut batch: Batch<T>, unclear: bool, error: Error) -> (Batch<T>, Error) {
        batch.fate = batch.fate.failed(unclear);
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.hole |= batch.stamp.is_some();
            partition.recovering |= batch.stamp.is_some();
        }
        let name = &self.topics[key.topic as usize].name;
        let error = error.in_partition(name, key.partition).written(batch.fate.written());
        (batch, error)
    }

    /// Decides the records and the batches that are past their delivery deadline.
    pub(super) fn expire(&mut self, now: Instant, key: Key) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        if partition.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if partition.dues.first().is_some_and(|deadline| deadline <= now) {
            self.expire_records(now, key);
        }
        self.expire_batches(now, key);
    }

    fn expire_batches(&mut self, now: Instant, key: Key) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        if partition.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if partition.open.as_ref().is_some_and(|open| open.deadline <= now) {
            self.close_open(key);
        }
        let timed_out = self.timed_out(key);
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let mut expired = Vec::new();
        while partition.ready.front().is_some_and(|batch| batch.deadline <= now) {
            let Some(batch) = partition.ready.pop_front() else { break };
            // Its sequences were assigned, and no broker will see them.
            partition.hole |= batch.stamp.is_some();
            expired.push(batch);
        }
        let mut late = Vec::new();
        for batch in partition.in_flight.iter_mut().filter(|batch| batch.deadline <= now && !batch.abandoned) {
            // The response may still come: it decides the sequence, and the bytes are held until then. The outcome is reported now.
            batch.abandoned = true;
            self.outstanding.remove(&batch.id);
            let whole = batch.whole && batch.reported.is_empty();
            let left = gaps(batch.first..batch.first + batch.count, &batch.reported);
            late.push((batch.ticket.clone(), whole, left));
        }
        let left = late.iter().flat_map(|(_, _, left)| left).map(|left| left.end - left.start);
        let ready = expired.iter().map(|batch| batch.count - u32::try_from(batch.reported.len()).unwrap_or(0));
        let records: u32 = ready.chain(left).sum();
        self.counters.expired += u64::from(records);
        let (topic, partition) = (&*self.topics[key.topic as usize].name, key.partition);
        if records > 0 {
            tracing::warn!(target: "ottla::producer", topic, partition, records, "records expired");
        }
        for (ticket, whole, left) in late {
            for left in left {
                let outcome = Outcome::Failed(timed_out.clone().written(Written::Maybe));
                self.report(ticket.clone(), left.start, (left.end - left.start, whole), outcome, 0);
            }
        }
        for batch in expired {
            let written = batch.fate.written();
            self.complete(key, batch, Outcome::Failed(timed_out.clone().written(written)));
        }
    }

    /// Gives up the batches of a partition that its topic no longer has. Those in flight are given up when they come back.
    pub(super) fn give_up_removed(&mut self, key: Key) {
        self.close_open(key);
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let given_up = std::mem::take(&mut partition.ready);
        let records: u32 = given_up.iter().map(|batch| batch.count).sum();
        let (topic, partition) = (&*self.topics[key.topic as usize].name, key.partition);
        tracing::warn!(target: "ottla::producer", topic, partition, records, "partition no longer exists");
        let error = self.removed(key);
        for batch in given_up {
            // It is not on its way: only an earlier attempt can be in doubt.
            self.fail(key, batch, false, error.clone());
        }
    }

    /// The error of records for a partition that its topic no longer has.
    pub(super) fn removed(&self, key: Key) -> Error {
        let count = self.topics[key.topic as usize].count;
        let text = format!(
            "the partition no longer exists: the topic was recreated with {count} partitions; send the record again"
        );
        Error::new(Kind::UnknownTopic, text)
    }

    /// Gives up everything. Batches that were sent may have been written.
    pub fn abort(&mut self, error: &Error) {
        self.fatal = Some(error.clone());
        for key in self.partitions.busy() {
            self.close_open(key);
            let Some(partition) = self.partitions.get_mut(key) else { continue };
            partition.timer = None;
            let batches = partition.drain();
            let cause = self.failure_of(key).filter(|_| error.kind() == Kind::Closed);
            let error = cause.map_or_else(|| error.clone(), |cause| error.clone().caused_by(cause));
            for batch in batches {
                let outcome = Outcome::Failed(error.clone().written(batch.fate.written()));
                self.complete(key, batch, outcome);
            }
        }
        self.actions.retain(|action| matches!(action, Action::Complete { .. } | Action::Release { .. }));
        for topic in &mut self.topics {
            topic.refreshing = false;
        }
        self.timers.clear();
        self.requests.clear();
    }

    /// The error of a record that was not decided in time, with the broker that leads its partition. Its cause is the reason why the
    /// record is still here: the last failure of the partition, of the request for an identity, or that there is no leader.
    pub(super) fn timed_out(&mut self, key: Key) -> Error {
        let timeout = self.settings.delivery_timeout;
        let text =
            format!("the record was not acknowledged within {timeout:?} (`delivery_timeout` / `delivery.timeout.ms`)");
        self.late(key, text)
    }

    /// As [`Self::timed_out`], with another text.
    pub(super) fn late(&mut self, key: Key, text: String) -> Error {
        let error = Error::new(Kind::Timeout, text);
        let leader = self.topics[key.topic as usize].leader(key.partition).and_then(|partition| partition.leader);
        let topic = &self.topics[key.topic as usize].name;
        let error = error.in_partition(topic, key.partition);
        let error = match leader {
            Some(leader) => {
                let node = self.snapshot.broker(leader);
                let address = node.and_then(|node| Some((node.host.clone(), u16::try_from(node.port).ok()?)));
                let address = address.map(|(host, port)| format!(" ({})", HostPort { host, port }));
                error.in_api("Produce").at_broker(format!("{leader}{}", address.unwrap_or_default()))
            }
            None => error,
        };
        match self.failure_of(key) {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }

    /// Why the records of a partition have to wait, if that is known.
    fn failure_of(&mut self, key: Key) -> Option<Error> {
        let leader = self.topics[key.topic as usize].leader(key.partition).and_then(|partition| partition.leader);
        let failure = self.partitions.get_mut(key).and_then(|partition| partition.failure.clone());
        let failure = failure.or_else(|| self.identity.failure().cloned());
        // The verdict is that of the records, and not of one attempt.
        let failure = failure.map(Error::of_read_only_request);
        let no_leader = || Error::broker(Code::LeaderNotAvailable, "the partition has no leader");
        failure.or_else(|| leader.is_none().then(no_leader))
    }

    /// The first failure of any partition: the cause of a buffer that stays full.
    pub fn failure(&mut self) -> Option<Error> {
        self.partitions.busy().into_iter().find_map(|key| self.failure_of(key))
    }
}
