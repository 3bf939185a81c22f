//! Taking records: leases windows of partitions, reads them, and settles what was not read.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use super::Promise;
use super::StartAt;
use super::batch::Batch;
use super::batch::Leased;
use super::batch::change_all;
use super::core;
use super::core::Asked;
use super::core::Decision;
use super::core::LeaseId;
use super::core::Log;
use super::core::Notice;
use super::core::Refused;
use super::core::Rules;
use super::core::Span;
use super::core::Stored;
use super::core::Watch;
use super::cursors::Cursors;
use super::cursors::Entry;
use super::cursors::Verdict;
use super::ranges::Ranges;
use super::source::Source;
use super::source::Window;
use crate::client::AutoCreate;
use crate::client::Cluster;
use crate::consumer::last::shares;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::bounded;

/// The target of log events.
const TARGET: &str = "ottla::queue";

/// The pauses between looks when nothing is there to take.
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_LONGEST: Duration = Duration::from_millis(250);

/// The time before the deadline at which reading stops, so that what was not read is given back by then: this, or an eighth of the time.
const RESERVE: Duration = Duration::from_millis(500);

/// How long a partition is left out whose records did not come.
const PENALTY: Duration = Duration::from_secs(5);

/// How often a partition that is refused is reported.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// Partitions leased by one take.
const LEASES_MAX: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) promise: Promise,
    pub(super) start: StartAt,
    pub(super) rules: Rules,
    pub(super) lease: Duration,
    /// Bytes of records after which a take returns.
    pub(super) bytes_max: usize,
}

/// The state of one take.
#[derive(Debug, Default)]
struct Taken {
    windows: Vec<(LeaseId, Span, Window)>,
    notices: Vec<(TopicPartition, Notice)>,
    records: usize,
    bytes: usize,
    leased_at: Option<Instant>,
}

/// The state of each partition, and the mark after which it was read: see [`Ranges::mark`].
type Entries = BTreeMap<i32, (Entry, u64)>;

/// The outcome of a decision about one partition.
enum Made {
    Nothing,
    Outdated,
    Refused(Refused),
    Leased(LeaseId, Span),
}

/// Takes records of one topic for one group.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) cluster: Cluster,
    pub(super) topic: TopicName,
    pub(super) cursors: Cursors,
    pub(super) ranges: Ranges,
    pub(super) source: Source,
    pub(super) settings: Settings,
    pub(super) worker: u64,
    pub(super) leases: u64,
    pub(super) turn: usize,
    pub(super) watches: BTreeMap<i32, Watch>,
    pub(super) entries: BTreeMap<i32, Entry>,
    /// Partitions that are left out until then.
    pub(super) left_out: BTreeMap<i32, Instant>,
    /// When a partition that is refused is reported again.
    pub(super) reported: BTreeMap<i32, Instant>,
    /// Returned by the next take.
    pub(super) error: Option<Error>,
}

impl Reader {
    pub(super) async fn take(&mut self, count: usize, timeout: Duration) -> Result<Batch, Error> {
        let begun = clock::now();
        let timeout = bounded(timeout);
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut taken = Taken::default();
        if count > 0 {
            let stop = begun + timeout.saturating_sub(RESERVE.min(timeout / 8));
            if let Err(error) = self.gather(count, stop, &mut taken).await {
                self.error.get_or_insert(error);
            }
        }
        let batch = self.settle(taken, begun + timeout).await;
        match self.error.take() {
            // Records before an error are returned first.
            error if !batch.is_empty() || !batch.notices.is_empty() => self.error = error,
            Some(error) => return Err(error),
            None => {}
        }
        Ok(batch)
    }

    /// Takes until there is enough, or time is up. A take that has records does not wait longer than half of their lease.
    async fn gather(&mut self, count: usize, stop: Instant, taken: &mut Taken) -> Result<(), Error> {
        let mut pause = PAUSE_FIRST;
        let (mut failed, mut looked) = (None, false);
        loop {
            let wanted = count.saturating_sub(taken.records);
            let half = taken.leased_at.map(|leased_at| leased_at + self.settings.lease / 2);
            let until = half.map_or(stop, |half| half.min(stop));
            let now = clock::now();
            if wanted == 0 || taken.bytes >= self.settings.bytes_max || now >= until {
                let failed = failed.or_else(|| self.ranges.error()).filter(|_| taken.windows.is_empty());
                return failed.map_or(Ok(()), Err);
            }
            match self.lease(wanted, until, taken).await {
                Ok(0) => looked = true,
                Ok(windows) => {
                    self.read(windows, until, taken).await?;
                    (pause, failed, looked) = (PAUSE_FIRST, None, true);
                    continue;
                }
                // The time of the take ended while it looked again: nothing is wrong.
                Err(error) if looked && clock::now() >= until && error.kind() != Kind::UnknownTopic => drop(error),
                Err(error) if error.kind() == Kind::Storage || error.is_retriable() => failed = Some(error),
                Err(error) => return Err(error),
            }
            self.runtime().sleep_until(until.min(clock::now() + pause)).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    fn runtime(&self) -> crate::net::runtime::Runtime {
        self.cluster.runtime().clone()
    }

    /// The partitions of the topic. A topic that is missing is reported after half of the time.
    pub(super) async fn partitions(&self, until: Instant) -> Result<Vec<i32>, Error> {
        let left = until.saturating_duration_since(clock::now());
        let grace = self.cluster.settings().propagation.min(left / 2);
        let topics = std::slice::from_ref(&self.topic);
        let snapshot = self.cluster.known_or_created(topics, AutoCreate::Forbid, grace, until).await?;
        Ok(partitions_of(&snapshot, &self.topic))
    }

    /// Leases windows of up to `wanted` offsets. Returns how many windows.
    async fn lease(&mut self, wanted: usize, until: Instant, taken: &mut Taken) -> Result<usize, Error> {
        let partitions = self.partitions(until).await?;
        let mut entries = BTreeMap::new();
        let loaded = self.cursors.load(partitions.iter().copied(), until).await?;
        let (mark, read_at) = (self.ranges.mark(), clock::now());
        for (partition, entry) in loaded {
            match entry {
                Ok(entry) => drop(entries.insert(partition, (entry, mark))),
                Err(error) => self.report(partition, error),
            }
        }
        for (partition, (entry, _)) in &entries {
            if let Some(cursor) = entry.cursor() {
                self.watches.entry(*partition).or_default().see(read_at, cursor);
            }
        }
        self.left_out.retain(|_, over| *over > read_at);
        let mut open: Vec<i32> =
            partitions.iter().copied().filter(|partition| !self.left_out.contains_key(partition)).collect();
        if !open.is_empty() {
            let turn = self.turn % open.len();
            open.rotate_left(turn);
            self.turn = self.turn.wrapping_add(1);
        }
        loop {
            let (leased, outdated) = self.lease_of(&open, &mut entries, (wanted, until), taken).await?;
            if leased > 0 || outdated.is_empty() || clock::now() >= until {
                return Ok(leased);
            }
            self.ranges.ask(self.to_ask(&outdated, &entries, &partitions));
            if !self.ranges.answered(until.min(clock::now() + PAUSE_LONGEST)).await {
                return Ok(0);
            }
        }
    }

    /// The partitions to ask for: all of them where a start is counted over all.
    fn to_ask(&self, outdated: &[i32], entries: &Entries, all: &[i32]) -> Vec<i32> {
        let starts = outdated
            .iter()
            .any(|partition| entries.get(partition).is_some_and(|(entry, _)| entry.stored == Stored::Missing));
        if starts && matches!(self.settings.start, StartAt::LastOfAll(_)) { all.to_vec() } else { outdated.to_vec() }
    }

    /// Leases of partitions in turn. Returns how many windows, and the partitions whose range is to be asked for.
    async fn lease_of(
        &mut self,
        partitions: &[i32],
        entries: &mut Entries,
        (wanted, until): (usize, Instant),
        taken: &mut Taken,
    ) -> Result<(usize, Vec<i32>), Error> {
        let (mut windows, mut outdated) = (0, Vec::new());
        let mut left = u64::try_from(wanted).unwrap_or(u64::MAX);
        let mut failed = None;
        for partition in partitions {
            if left == 0 || windows >= LEASES_MAX {
                break;
            }
            let Some((entry, mark)) = entries.get(partition).cloned() else { continue };
            let start = self.start_of(*partition, &entry.stored, mark);
            let (Some(log), Some(start)) = (self.ranges.of(*partition, mark), start) else {
                outdated.push(*partition);
                continue;
            };
            let leased_at = clock::now();
            let made = self.lease_one(*partition, entry.clone(), (log, start, left, until), taken).await;
            if let Some(now) = self.entries.get(partition).filter(|now| made.is_ok() && now.stored != entry.stored) {
                // Where somebody else has changed it, the range is older than the state.
                let mark = if matches!(made, Ok(Made::Outdated)) { self.ranges.mark() } else { mark };
                entries.insert(*partition, (now.clone(), mark));
            }
            match made {
                Ok(Made::Leased(id, span)) => {
                    let window = Window { partition: *partition, at: span.from, to: span.to, records: Vec::new() };
                    taken.windows.push((id, span, window));
                    taken.leased_at.get_or_insert(leased_at);
                    windows += 1;
                    left = left.saturating_sub(u64::try_from(span.to.saturating_sub(span.from)).unwrap_or(0));
                }
                Ok(Made::Outdated) => outdated.push(*partition),
                Ok(Made::Refused(refused)) => self.report(*partition, refusal(&self.topic, *partition, refused)),
                Ok(Made::Nothing) => {}
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        match failed {
            Some(error) if windows == 0 => Err(error),
            _ => Ok((windows, outdated)),
        }
    }

    /// Where a partition begins that has no stored offset. `None`: ranges are missing.
    pub(super) fn start_of(&self, partition: i32, stored: &Stored, mark: u64) -> Option<i64> {
        if matches!(stored, Stored::Current(_)) {
            return Some(0);
        }
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let log = self.ranges.of(partition, mark).filter(|log| log.is_newer)?;
        match self.settings.start {
            StartAt::Earliest => Some(log.start),
            StartAt::Latest => Some(log.end),
            StartAt::LastOfEach(n) => Some(log.end.saturating_sub(count(n)).max(log.start)),
            StartAt::LastOfAll(n) => self.last_of_all(n)?.get(&partition).copied(),
        }
    }

    /// Where each partition begins so that together they have `n` offsets.
    pub(super) fn last_of_all(&self, n: u64) -> Option<BTreeMap<i32, i64>> {
        let snapshot = self.cluster.snapshot();
        let all = partitions_of(&snapshot, &self.topic);
        let logs: BTreeMap<i32, Log> =
            all.into_iter().map(|partition| Some((partition, self.ranges.of(partition, 0)?))).collect::<Option<_>>()?;
        let length = |log: &Log| u64::try_from(log.end.saturating_sub(log.start)).unwrap_or(0);
        let lengths: Vec<u64> = logs.values().map(length).collect();
        let begin = |((partition, log), share): ((i32, Log), u64)| {
            (partition, log.end.saturating_sub(i64::try_from(share).unwrap_or(i64::MAX)))
        };
        Some(logs.into_iter().zip(shares(&lengths, n)).map(begin).collect())
    }

    async fn lease_one(
        &mut self,
        partition: i32,
        entry: Entry,
        (log, start, count, until): (Log, i64, u64, Instant),
        taken: &mut Taken,
    ) -> Result<Made, Error> {
        self.leases += 1;
        let id = LeaseId { worker: self.worker, number: self.leases };
        let lasts_ms = u64::try_from(self.settings.lease.as_millis()).unwrap_or(u64::MAX);
        let asked = Asked { lease: core::Lease { id, beat: 0, lasts_ms }, count, start };
        let (rules, now) = (self.settings.rules, clock::now());
        let watch = self.watches.get(&partition).cloned().unwrap_or_default();
        let decide = |_, stored: &Stored, round| {
            // Somebody else has changed the state since the range was asked for.
            let log = Log { is_newer: log.is_newer && round == 0, ..log };
            match core::decide(stored, log, rules, asked, |lease| watch.has_expired(now, lease)) {
                Decision::Lease { cursor, span, notices } => Verdict::Store(cursor, (Made::Leased(id, span), notices)),
                Decision::Store { cursor, notices } => Verdict::Store(cursor, (Made::Nothing, notices)),
                Decision::Nothing => Verdict::Leave((Made::Nothing, Vec::new())),
                Decision::Outdated => Verdict::Leave((Made::Outdated, Vec::new())),
                Decision::Refuse(refused) => Verdict::Leave((Made::Refused(refused), Vec::new())),
            }
        };
        let mut changed = self.cursors.update(BTreeMap::from([(partition, entry)]), until, decide).await;
        let lacking =
            || Error::storage("the offset store did not answer for the partition").in_partition(&self.topic, partition);
        let (entry, (made, notices)) = changed.remove(&partition).ok_or_else(lacking)??;
        self.entries.insert(partition, entry);
        let key = TopicPartition { topic: self.topic.clone(), partition };
        for notice in notices {
            log_notice(&key, &notice);
            taken.notices.push((key.clone(), notice));
        }
        if matches!(made, Made::Leased(..)) {
            self.reported.remove(&partition);
        }
        Ok(made)
    }

    /// Reads the last `count` windows.
    async fn read(&mut self, count: usize, until: Instant, taken: &mut Taken) -> Result<(), Error> {
        let first = taken.windows.len().saturating_sub(count);
        let leased = taken.windows.split_off(first);
        let (names, mut windows): (Vec<_>, Vec<_>) =
            leased.into_iter().map(|(id, span, window)| ((id, span), window)).unzip();
        let half = taken.leased_at.map(|leased_at| leased_at + self.settings.lease / 2);
        let result = self.source.read(&mut windows, half.map_or(until, |half| half.min(until))).await;
        let now = clock::now();
        for window in windows.iter().filter(|window| window.at < window.to) {
            self.left_out.insert(window.partition, now + PENALTY);
        }
        taken.records += windows.iter().map(|window| window.records.len()).sum::<usize>();
        let size = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
        let records = windows.iter().flat_map(|window| &window.records);
        taken.bytes += records.map(|record| size(&record.key) + size(&record.value) + 64).sum::<usize>();
        taken.windows.extend(names.into_iter().zip(windows).map(|((id, span), window)| (id, span, window)));
        match result {
            // Retention was faster: the next look at the range of the log finds it.
            Err(error) if error.kind() == Kind::Truncated => {
                if let Some(partition) = error.partition() {
                    self.ranges.forget(partition);
                    self.source.drop_buffer(partition);
                    self.left_out.remove(&partition);
                }
                Ok(())
            }
            Err(error) if error.partition().is_some() && error.kind() != Kind::Closed => {
                if let Some(partition) = error.partition() {
                    self.report(partition, error);
                }
                Ok(())
            }
            result => result,
        }
    }

    /// Gives back what was not read, and with [`Promise::AtMostOnce`] ends the leases before anything is handed out.
    async fn settle(&mut self, taken: Taken, deadline: Instant) -> Batch {
        let ends_now = |window: &Window| self.settings.promise == Promise::AtMostOnce || window.records.is_empty();
        let mut records = BTreeMap::new();
        let (mut leases, mut open) = (Vec::new(), Vec::new());
        for (id, span, window) in taken.windows {
            let leased = Leased { partition: window.partition, id, span };
            if ends_now(&window) || window.at < window.to {
                open.push((leased, window.at, ends_now(&window)));
            }
            let kept = Span { from: span.from, to: window.at };
            if !window.records.is_empty() {
                leases.push(Leased { span: kept, ..leased });
                records.insert(id, window.records);
            }
        }
        let refused = self.settle_leases(&open, deadline).await;
        if self.settings.promise == Promise::AtMostOnce {
            records.retain(|id, _| !refused.contains(id));
            leases.clear();
        }
        let entries = std::mem::take(&mut self.entries);
        let leased_at = taken.leased_at.filter(|_| !leases.is_empty());
        Batch {
            records: records.into_values().flatten().collect(),
            notices: taken.notices,
            entries: entries
                .into_iter()
                .filter(|(key, _)| leases.iter().any(|lease| lease.partition == *key))
                .collect(),
            leases,
            cursors: Some(self.cursors.clone()),
            expires_at: leased_at.map(|leased_at| leased_at + self.settings.lease),
            lasts: self.settings.lease,
        }
    }

    /// Ends or shortens leases. Returns those that were lost, or whose end is unknown.
    async fn settle_leases(&mut self, open: &[(Leased, i64, bool)], deadline: Instant) -> Vec<LeaseId> {
        let entries: BTreeMap<i32, Entry> = open
            .iter()
            .filter_map(|(lease, ..)| Some((lease.partition, self.entries.get(&lease.partition)?.clone())))
            .collect();
        let of = |partition| open.iter().filter(move |(lease, ..)| lease.partition == partition);
        let update = self.cursors.update(entries, deadline, |partition, stored, _| {
            let mut ended = Vec::new();
            let verdict = change_all(stored, of(partition).map(|(lease, ..)| lease), |cursor, lease| {
                let found = open.iter().find(|(other, ..)| other.id == lease.id);
                let (_, at, ends) = found.expect("it is one of them");
                let changed = match ends {
                    true => cursor.finish(lease.id, lease.span, *at),
                    false => cursor.shorten(lease.id, lease.span, *at),
                };
                if changed.is_err() {
                    ended.push(lease.id);
                }
                changed
            });
            match verdict {
                Verdict::Store(cursor, _) => Verdict::Store(cursor, ended),
                Verdict::Leave(lost) => {
                    ended.extend(lost.map(|lease| lease.id));
                    Verdict::Leave(ended)
                }
            }
        });
        let mut refused = Vec::new();
        for (partition, result) in update.await {
            match result {
                Ok((entry, ended)) => {
                    self.entries.insert(partition, entry);
                    refused.extend(ended);
                }
                Err(error) => {
                    tracing::debug!(target: TARGET, group = %self.cursors.group, topic = %self.topic, partition, error = %error.chain(), "leases not settled");
                    refused.extend(of(partition).map(|(lease, ..)| lease.id));
                    if self.settings.promise == Promise::AtMostOnce {
                        self.error.get_or_insert(error);
                    }
                }
            }
        }
        refused
    }

    /// Returns the error of a partition by a take, unless it was returned not long ago.
    fn report(&mut self, partition: i32, error: Error) {
        let now = clock::now();
        if self.reported.get(&partition).is_none_or(|again| *again <= now) {
            self.reported.insert(partition, now + REPORT_EVERY);
            tracing::warn!(target: TARGET, group = %self.cursors.group, topic = %self.topic, partition, error = %error.chain(), "partition not read");
            self.error.get_or_insert(error);
        }
    }
}

fn partitions_of(snapshot: &Snapshot, topic: &TopicName) -> Vec<i32> {
    let count = snapshot.topic(topic).map_or(0, |topic| topic.partitions.len());
    (0..i32::try_from(count).unwrap_or(i32::MAX)).collect()
}

fn refusal(topic: &TopicName, partition: i32, refused: Refused) -> Error {
    let error = match refused {
        Refused::Ahead { stored, end } => {
            let text = format!(
                "the stored offset {stored} is beyond the end of the log, {end}: the topic was created again, the log was truncated, or \
                 this is another cluster; call `Queue::reset`, or choose by `QueueBuilder::on_ahead`"
            );
            Error::new(Kind::Truncated, text).at_offset(stored)
        }
        Refused::Expired { stored } => {
            let text = "the stored offset is older than the store keeps offsets: call `Queue::reset`, or choose by `QueueBuilder::on_expired`";
            Error::new(Kind::NoOffset, text).at_offset(stored)
        }
    };
    error.in_partition(topic, partition)
}

fn log_notice(key: &TopicPartition, notice: &Notice) {
    let TopicPartition { topic, partition } = key;
    match notice {
        Notice::Ahead { stored, end, at } => {
            tracing::warn!(target: TARGET, %topic, partition, stored, end, at, "stored offset beyond the end of the log");
        }
        Notice::Deleted { from, to } => {
            tracing::warn!(target: TARGET, %topic, partition, from, to, "records deleted before they were taken");
        }
        Notice::Expired { stored, at } => {
            tracing::warn!(target: TARGET, %topic, partition, stored, at, "stored offset expired");
        }
        Notice::Started { at } => tracing::info!(target: TARGET, %topic, partition, at, "partition started"),
        Notice::TakenOver { from, to } => {
            tracing::info!(target: TARGET, %topic, partition, from, to, "expired lease taken over");
        }
    }
}
