//! The promises that hold at every moment, checked with all sides in view: the logs, the sent batches, the outcomes, the records
//! that were read.
//!
//! Nothing here knows how the client works. The first broken promise ends the run.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use ottla::error::Written;
use ottla::internals::metadata::Snapshot;
use ottla::internals::producer::Entry;
use ottla::mock;
use ottla::types::LeaderEpoch;
use ottla::types::Sequence;
use ottla::types::TopicId;
use ottla::types::TopicName;

use super::chronicle::Chronicle;
use super::owners::Owners;
use super::reading::Asked;
use super::reading::Follow;
use super::setting::Promise;
use super::stream::Stream;
use super::trace::fingerprint;

/// How late after its deadline a record may be decided, in microseconds: the slack of timers.
const SLACK_US: u64 = 200;

/// The limit of batches in flight for a partition: as many as a broker remembers.
const IN_FLIGHT_MAX: usize = 5;
/// The time that a client may take to recover once the world has healed, in virtual microseconds: twice the longest request
/// timeout, for a request that was lost before, and the back-offs between.
const RECOVERY_US: u64 = 8_000_000;

/// The limit of requests of one client without a result, in one virtual second.
const STORM: u64 = 600;

/// A partition, by the number of its topic.
pub(super) type Place = (usize, i32);

/// The outcome that a producer reported of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Acknowledged(Option<i64>),
    NotWritten,
    MaybeWritten,
}

impl From<Written> for Said {
    fn from(written: Written) -> Self {
        match written {
            Written::No => Self::NotWritten,
            Written::Maybe => Self::MaybeWritten,
        }
    }
}

/// A record's place in a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placing {
    pub(super) incarnation: u32,
    pub(super) offset: i64,
    /// The record before it at the time of the append.
    pub(super) before: Option<(i64, u64)>,
    /// It is still there, or retention deleted it.
    live: bool,
    /// Compaction removed it: a reader may skip it.
    pub(super) compacted: bool,
}

/// The state of a transaction in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Aborted,
    Committed,
}

/// The transaction that a record is part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    producer: i64,
    pub(super) fate: Fate,
    /// The offset of the marker.
    marker: Option<i64>,
    /// The log lost its marker, so readers may have seen another end of it.
    pub(super) wavered: bool,
}

#[derive(Debug)]
pub(super) struct Record {
    /// The number of the producer, and how often it was started.
    writer: (usize, u32),
    promise: Promise,
    pub(super) place: Place,
    deadline: u64,
    /// It must be acknowledged.
    must: bool,
    said: Option<Said>,
    pub(super) placings: Vec<Placing>,
    /// The cluster lost part of the log while the record was in flight, so its order is not promised.
    disturbed: bool,
    /// It was written by a producer that is not ours.
    pub(super) transaction: Option<Transaction>,
}

/// A partition's log.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    pub(super) incarnation: u32,
    pub(super) start: i64,
    pub(super) end: i64,
    /// The high watermark, which limits what consumers see.
    pub(super) high_watermark: i64,
    /// Whether the partition exists.
    pub(super) exists: bool,
    /// How often it ceased to exist.
    pub(super) absences: u32,
    /// The last stable offset.
    pub(super) stable: i64,
    pub(super) entries: Vec<(i64, u64)>,
    last_of: BTreeMap<(usize, u32), u64>,
    /// How often part of it was deleted, truncated or replaced.
    pub(super) upheavals: u32,
    /// It forgot producers, so it accepted any sequence: the order of records is not promised.
    forgetful: bool,
    /// How often it was truncated or replaced.
    pub(super) breaks: u32,
}

/// A batch in flight.
#[derive(Debug)]
struct Flight {
    place: Place,
    /// The id of the topic that it was sent to, which may be recreated before the response comes.
    topic: TopicId,
    /// The identity, and the range of sequences.
    stamp: Option<((i64, i16), u32, u32)>,
}

#[derive(Debug, Default)]
struct Asking {
    second: u64,
    vain: i64,
}

/// The observer of all sides.
#[derive(Debug, Default)]
pub(super) struct Ghost {
    broken: Option<String>,
    pub(super) records: Vec<Record>,
    pub(super) logs: BTreeMap<Place, Shadow>,
    due: BTreeSet<(u64, u64)>,
    /// Nothing could happen before this time.
    grace: u64,
    streams: BTreeMap<(i64, i16, Place), Stream>,
    in_flight: BTreeMap<(usize, Place), usize>,
    /// The promise of each producer, and its first sequence under a new id.
    pub(super) promises: Vec<(Promise, Sequence)>,
    requests: BTreeMap<(usize, u64), Vec<Flight>>,
    budgets: BTreeMap<usize, i64>,
    pub(super) epochs: BTreeMap<(usize, TopicName, i32), (TopicId, LeaderEpoch)>,
    /// Each id that a topic has had.
    pub(super) ids: Vec<(usize, TopicId)>,
    asking: BTreeMap<usize, Asking>,
    pub(super) follows: BTreeMap<(usize, Place), Follow>,
    pub(super) committed: BTreeMap<(usize, Place), Vec<i64>>,
    pub(super) asked: BTreeMap<(usize, Place), Asked>,
    /// The end of a log when a consumer began, and how often it had been truncated by then.
    pub(super) bounds: BTreeMap<(usize, Place), (i64, u32)>,
    /// How many responses may report offsets as out of range that are not.
    pub(super) lies: u32,
    /// Consumers that read committed records only.
    pub(super) committed_only: BTreeSet<usize>,
    /// The group, where there is one.
    pub(super) owners: Owners,
    /// The same run, for another judge.
    pub(super) chronicle: Chronicle,
    /// Once the world has healed: records that are accepted since and due after this must be acknowledged.
    healthy_from: Option<u64>,
    now: u64,
}

impl Ghost {
    /// Notes a broken promise; the first one counts.
    pub(super) fn fail(&mut self, what: impl FnOnce() -> String) {
        self.broken.get_or_insert_with(what);
    }

    pub(super) fn broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    // The logs.

    /// Takes the records that were appended since the last time.
    pub(super) fn observe(&mut self, mock: &mock::Cluster, topics: &[String], partitions: i32) {
        for (topic, name) in topics.iter().enumerate() {
            for partition in 0..partitions {
                let Some((start, end)) = mock.offsets(name, partition) else {
                    self.vanished((topic, partition));
                    continue;
                };
                self.appeared((topic, partition));
                let shadow = self.logs.entry((topic, partition)).or_default();
                shadow.start = start;
                if end < shadow.end {
                    self.truncated((topic, partition), end);
                }
                let shadow = self.logs.entry((topic, partition)).or_default();
                shadow.high_watermark = mock.high_watermark(name, partition).unwrap_or(end);
                shadow.stable = mock.last_stable_offset(name, partition).unwrap_or(end);
                if end > shadow.end {
                    let from = shadow.end;
                    shadow.end = end;
                    let fresh = mock.log_from(name, partition, from);
                    for record in fresh.iter().filter(|record| record.offset >= from) {
                        self.appended((topic, partition), record);
                    }
                }
            }
        }
    }

    /// The partition does not exist.
    fn vanished(&mut self, place: Place) {
        let shadow = self.logs.entry(place).or_default();
        shadow.absences += u32::from(std::mem::replace(&mut shadow.exists, false));
    }

    /// The partition exists. One that is added later is read from its beginning, whatever the start of the reader is.
    fn appeared(&mut self, place: Place) {
        let is_later = !self.promises.is_empty() || !self.follows.is_empty();
        let shadow = self.logs.entry(place).or_default();
        if !std::mem::replace(&mut shadow.exists, true) && is_later {
            shadow.breaks += 1;
            shadow.upheavals += 1;
            self.chronicle.forsaken(place);
        }
    }

    fn appended(&mut self, place: Place, stored: &mock::StoredRecord) {
        let offset = stored.offset;
        let Some(value) = stored.value.as_ref().and_then(|value| parse(value)) else {
            return self.fail(|| format!("a record at {place:?}@{offset} that no producer sent"));
        };
        let index = usize::try_from(value).unwrap_or(usize::MAX);
        let Some(record) = self.records.get_mut(index).filter(|record| record.place == place) else {
            return self.fail(|| format!("record {value} is at {place:?}@{offset}, where no producer sent it"));
        };
        let shadow = self.logs.entry(place).or_default();
        let incarnation = shadow.incarnation;
        let before = shadow.entries.last().copied();
        let twice = record.placings.iter().find(|placing| placing.live && placing.incarnation == incarnation).copied();
        record.placings.push(Placing { incarnation, offset, before, live: true, compacted: false });
        let (said, disturbed, forgetful) = (record.said, record.disturbed, shadow.forgetful);
        let promise = record.promise;
        shadow.entries.push((offset, value));
        let last = shadow.last_of.insert(record.writer, value);
        if let Some(twice) = twice.filter(|_| !disturbed && !promise.repeats()) {
            self.fail(|| format!("record {value} is in {place:?} twice: at {} and {offset}", twice.offset));
        }
        if said == Some(Said::NotWritten) {
            self.fail(|| format!("record {value} was said not to be written and came to be at {place:?}@{offset}"));
        }
        if let Some(last) = last.filter(|last| *last > value && promise == Promise::Once && !disturbed && !forgetful) {
            self.fail(|| format!("record {value} is behind {last} in {place:?}"));
        }
    }

    /// A topic was deleted and recreated, with empty logs.
    pub(super) fn recreated(&mut self, topic: usize) {
        let places: Vec<Place> = self.logs.keys().copied().filter(|place| place.0 == topic).collect();
        for place in places {
            let shadow = self.logs.entry(place).or_default();
            let fresh = Shadow {
                incarnation: shadow.incarnation + 1,
                upheavals: shadow.upheavals + 1,
                breaks: shadow.breaks + 1,
                absences: shadow.absences + 1,
                ..Shadow::default()
            };
            let lost = std::mem::replace(shadow, fresh).entries;
            self.chronicle.forsaken(place);
            self.lose(place, &lost);
        }
    }

    /// A log was truncated.
    fn truncated(&mut self, place: Place, end: i64) {
        let shadow = self.logs.entry(place).or_default();
        let kept = shadow.entries.partition_point(|(offset, _)| *offset < end);
        let lost = shadow.entries.split_off(kept);
        shadow.end = end;
        shadow.upheavals += 1;
        shadow.breaks += 1;
        shadow.last_of.clear();
        self.chronicle.forsaken(place);
        let shadow = self.logs.entry(place).or_default();
        let entries = shadow.entries.clone();
        for (_, value) in &entries {
            let record = self.record(*value);
            if let Some(transaction) = record.transaction.as_mut().filter(|of| of.marker.is_some_and(|at| at >= end)) {
                *transaction = Transaction { fate: Fate::Open, marker: None, wavered: true, ..*transaction };
            }
            let writer = record.writer;
            self.logs.entry(place).or_default().last_of.insert(writer, *value);
        }
        self.lose(place, &lost);
    }

    fn lose(&mut self, place: Place, lost: &[(i64, u64)]) {
        for (_, value) in lost {
            for placing in &mut self.record(*value).placings {
                placing.live = false;
            }
        }
        let undecided = self.records.iter_mut().filter(|record| record.place == place && record.said.is_none());
        undecided.for_each(|record| record.disturbed = true);
    }

    /// Retention deleted the oldest records of a partition.
    pub(super) fn retained(&mut self, place: Place, start: i64) {
        self.chronicle.retained(place, start);
        let shadow = self.logs.entry(place).or_default();
        shadow.start = start;
        shadow.upheavals += 1;
    }

    /// Compaction left only these of a partition's records.
    pub(super) fn compacted(&mut self, place: Place, kept: &BTreeSet<i64>) {
        self.chronicle.forsaken(place);
        let Some(shadow) = self.logs.get(&place) else { return };
        let (incarnation, start) = (shadow.incarnation, shadow.start);
        for (offset, value) in shadow.entries.clone() {
            if offset >= start && !kept.contains(&offset) {
                let placings = self.record(value).placings.iter_mut();
                let here = placings.filter(|placing| placing.incarnation == incarnation && placing.offset == offset);
                here.for_each(|placing| placing.compacted = true);
            }
        }
    }

    /// The number of a record that another producer is going to write in a transaction.
    pub(super) fn foreign(&mut self, place: Place, producer: i64) -> u64 {
        let value = self.next_value();
        let transaction = Transaction { producer, fate: Fate::Open, marker: None, wavered: false };
        self.records.push(Record {
            writer: (usize::MAX, u32::try_from(producer).expect("small")),
            promise: Promise::Kept,
            place,
            deadline: 0,
            must: false,
            said: None,
            placings: Vec::new(),
            disturbed: false,
            transaction: Some(transaction),
        });
        value
    }

    /// A transaction ended in a partition.
    pub(super) fn transaction_ended(&mut self, place: Place, producer: i64, commit: bool, marker: i64) {
        let entries = self.logs.get(&place).map(|shadow| shadow.entries.clone()).unwrap_or_default();
        for (_, value) in entries {
            let open = self.record(value).transaction.as_mut();
            if let Some(open) = open.filter(|open| open.producer == producer && open.fate == Fate::Open) {
                open.fate = if commit { Fate::Committed } else { Fate::Aborted };
                open.marker = Some(marker);
            }
        }
    }

    /// A partition forgot its producers.
    pub(super) fn forgot(&mut self, place: Place) {
        self.logs.entry(place).or_default().forgetful = true;
        self.chronicle.forsaken(place);
    }

    /// A broker reports offsets as out of range that are not.
    pub(super) fn lied(&mut self, times: u32) {
        self.lies += times;
        self.logs.values_mut().for_each(|shadow| shadow.upheavals += times);
    }

    fn record(&mut self, value: u64) -> &mut Record {
        &mut self.records[usize::try_from(value).expect("values count records")]
    }

    /// The world heals at `now`: records with enough time to recover must be acknowledged.
    pub(super) fn healed(&mut self, now: u64) {
        self.healthy_from = Some(now + RECOVERY_US);
    }

    /// Whether the time has jumped since.
    pub(super) fn has_jumped_since(&self, since: u64) -> bool {
        self.grace >= since
    }

    /// Whether the faults have ended.
    pub(super) fn has_healed(&self) -> bool {
        self.healthy_from.is_some()
    }

    /// Whether the faults have ended so long ago that everything has recovered.
    pub(super) fn is_healthy(&self) -> bool {
        self.healthy_from.is_some_and(|from| self.now >= from)
    }

    // Writing.

    /// The promise of the next producer, and its first sequence under a new id.
    pub(super) fn promised(&mut self, writer: usize, promise: Promise, first: Sequence) {
        debug_assert_eq!(writer, self.promises.len(), "producers come in the order of their numbers");
        self.promises.push((promise, first));
    }

    /// A record is accepted under the next number. Its own deadline, if earlier than the producer's, may leave it too little time.
    pub(super) fn accepted(&mut self, writer: (usize, u32), place: Place, [own, general]: [u64; 2], bytes: usize) {
        let deadline = own.min(general);
        let value = self.records.len() as u64;
        let (promise, _) = self.promises[writer.0];
        self.chronicle.accepted(writer, place, value, deadline, promise == Promise::Once);
        let must = deadline == general && self.healthy_from.is_some_and(|from| deadline >= from);
        self.records.push(Record {
            writer,
            promise,
            place,
            deadline,
            must,
            said: None,
            placings: Vec::new(),
            disturbed: false,
            transaction: None,
        });
        self.due.insert((deadline, value));
        *self.budgets.entry(writer.0).or_default() += signed(bytes);
    }

    /// A producer got a fatal error.
    pub(super) fn doomed(&mut self, writer: (usize, u32)) {
        let undecided = self.records.iter_mut().filter(|record| record.writer == writer && record.said.is_none());
        undecided.for_each(|record| record.must = false);
    }

    /// The number that the next record gets.
    pub(super) fn next_value(&self) -> u64 {
        self.records.len() as u64
    }

    /// A producer reported the outcome of a record.
    pub(super) fn decided(&mut self, now: u64, value: u64, said: Said) {
        let record = self.record(value);
        let (place, before, deadline) = (record.place, record.said.replace(said), record.deadline);
        let (must, writer, promise) = (record.must, record.writer, record.promise);
        let placings = record.placings.clone();
        // With acks = 0 an acknowledgement means only that the record was sent.
        let unanswered = promise == Promise::Sent && said == Said::Acknowledged(None);
        self.chronicle.decided(writer, place, value, if unanswered { Said::MaybeWritten } else { said });
        self.due.remove(&(deadline, value));
        if let Some(before) = before {
            return self.fail(|| format!("record {value} was decided twice: {before:?}, then {said:?}"));
        }
        match said {
            Said::Acknowledged(_) if unanswered => {}
            Said::Acknowledged(offset) => {
                if !placings.iter().any(|placing| offset.is_none_or(|offset| offset == placing.offset)) {
                    self.fail(|| {
                        format!("record {value} was said to be at {place:?}@{offset:?} and is at {placings:?}")
                    });
                }
                let promised = matches!(promise, Promise::Kept | Promise::Once);
                let mine = |placing: &&Placing| offset.is_none_or(|offset| offset == placing.offset);
                let log = self.logs.get(&place).filter(|log| promised && log.breaks == 0);
                if let Some(end) = log.map(|log| log.high_watermark)
                    && placings.iter().filter(mine).all(|placing| placing.offset >= end)
                {
                    self.fail(|| {
                        format!(
                            "record {value} was acknowledged at {placings:?} of {place:?}, and all replicas have {end}"
                        )
                    });
                }
            }
            Said::NotWritten if placings.iter().any(|placing| placing.live) => {
                self.fail(|| format!("record {value} was said not to be written and is at {place:?} {placings:?}"));
            }
            Said::NotWritten | Said::MaybeWritten => {}
        }
        if !must && !matches!(said, Said::Acknowledged(_)) {
            // Its missing sequence may put the records after it in doubt.
            let follows =
                |record: &&mut Record| record.writer == writer && record.place == place && record.said.is_none();
            self.records.iter_mut().filter(follows).for_each(|record| record.must = false);
        }
        // Where a log lost its tail, or the state of its producers, doubt can be final.
        let whole = self.logs.get(&place).is_none_or(|shadow| !shadow.forgetful && shadow.breaks == 0);
        if must && whole && !matches!(said, Said::Acknowledged(_)) {
            self.fail(|| {
                format!("record {value} of {writer:?} was accepted in a healed world, and at {now} was {said:?}")
            });
        }
    }

    /// Bytes were released to a producer's budget.
    pub(super) fn released(&mut self, writer: usize, bytes: usize) {
        let used = self.budgets.entry(writer).or_default();
        *used -= signed(bytes);
        if *used < 0 {
            let used = *used;
            self.fail(|| format!("the budget of producer {writer} got back more than it gave: {used}"));
        }
    }

    /// The undecided bytes of a producer.
    pub(super) fn held(&self, writer: usize) -> i64 {
        self.budgets.get(&writer).copied().unwrap_or_default()
    }

    /// Whether a producer has nothing in flight for a partition, and nothing undecided.
    pub(super) fn is_quiet(&self, place: Place) -> bool {
        let in_flight = self.in_flight.iter().any(|((_, of), count)| *of == place && *count > 0);
        let undecided =
            self.due.iter().any(|(_, value)| self.records[usize::try_from(*value).expect("small")].place == place);
        !in_flight && !undecided
    }

    /// A batch goes into a request.
    pub(super) fn sent(&mut self, writer: usize, request: u64, place: Place, entry: &Entry) {
        let in_flight = self.in_flight.entry((writer, place)).or_default();
        *in_flight += 1;
        let count = *in_flight;
        if count > IN_FLIGHT_MAX {
            self.fail(|| format!("{count} batches of producer {writer} in flight for {place:?}"));
        }
        let topic = entry.id;
        let (promise, begin) = self.promises[writer];
        if promise.repeats() && count > 1 {
            self.fail(|| {
                format!("{count} batches of producer {writer}, which has no identity, in flight for {place:?}")
            });
        }
        let Some((identity, sequence)) = entry.stamp.identity.filter(|_| promise == Promise::Once) else {
            if promise == Promise::Once || entry.stamp.identity.is_some() {
                let identity = entry.stamp.identity;
                self.fail(|| format!("a batch of producer {writer} ({promise:?}) for {place:?} has {identity:?}"));
            }
            return self.requests.entry((writer, request)).or_default().push(Flight { place, topic, stamp: None });
        };
        // Counted from where the identity began, so that nothing here wraps.
        let begin = if identity.epoch == 0 { begin } else { Sequence::ZERO };
        let first = since(begin, sequence);
        let end = since(begin, sequence.advance(entry.batch.count()));
        let flight = Flight { place, topic, stamp: Some(((identity.id, identity.epoch), first, end)) };
        self.requests.entry((writer, request)).or_default().push(flight);
        let print = fingerprint(&entry.batch.to_bytes(&entry.stamp));
        let stream = self.streams.entry((identity.id, identity.epoch, place)).or_default();
        let part = stream.take(first, end);
        let (known, next) = (stream.sent.insert(first, print), stream.next);
        if known.is_none() && !part {
            stream.next = end;
        }
        match known {
            Some(known) if known != print => {
                self.fail(|| format!("the batch {identity:?} {first} of {place:?} was sent again with other bytes"));
            }
            None if !part && first != next => {
                self.fail(|| format!("{identity:?} continues in {place:?} with sequence {first} where {next} is next"));
            }
            _ => {}
        }
    }

    /// A request has a response or is lost. The sequences of a batch that was refused as too large may be sent with other bytes.
    pub(super) fn landed(&mut self, writer: usize, request: u64, is_too_large: impl Fn(Place, TopicId) -> bool) {
        for Flight { place, topic, stamp } in self.requests.remove(&(writer, request)).unwrap_or_default() {
            *self.in_flight.entry((writer, place)).or_default() -= 1;
            if let Some((identity, first, end)) = stamp.filter(|_| is_too_large(place, topic)) {
                let stream = self.streams.entry((identity.0, identity.1, place)).or_default();
                stream.sent.remove(&first);
                stream.free.insert(first, end);
            }
        }
    }

    /// A producer was given up with all its requests.
    pub(super) fn abandoned(&mut self, writer: usize) {
        let requests: Vec<u64> =
            self.requests.range((writer, 0)..=(writer, u64::MAX)).map(|((_, request), _)| *request).collect();
        for request in requests {
            self.landed(writer, request, |_, _| false);
        }
    }

    // Metadata and requests.

    /// A client's metadata has changed.
    pub(super) fn knows(&mut self, client: usize, snapshot: &Snapshot) {
        for topic in snapshot.topics().filter(|topic| !topic.id.is_zero()) {
            for (index, partition) in (0..).zip(&topic.partitions) {
                let Some(epoch) = partition.epoch else { continue };
                let fresh = (topic.id, epoch);
                let known = self.epochs.entry((client, topic.name.clone(), index)).or_insert(fresh);
                if known.0 == topic.id && known.1 > epoch {
                    let known = known.1;
                    let name = topic.name.clone();
                    return self.fail(|| {
                        format!("client {client} goes back from epoch {known} to {epoch} of {name}[{index}]")
                    });
                }
                *known = fresh;
            }
        }
    }

    /// A client sends a request.
    pub(super) fn asked(&mut self, now: u64, client: usize) {
        let asking = self.asking.entry(client).or_default();
        if asking.second != now / 1_000_000 {
            *asking = Asking { second: now / 1_000_000, vain: 0 };
        }
        asking.vain += 1;
        let vain = asking.vain;
        if vain > signed(usize::try_from(STORM).expect("small")) {
            self.fail(|| format!("client {client} sent {vain} requests in a second that brought it nothing"));
        }
    }

    /// A response had a result.
    pub(super) fn gained(&mut self, client: usize, worth: i64) {
        self.asking.entry(client).or_default().vain -= worth;
    }

    // Time.

    /// Nothing could happen before `now`.
    pub(super) fn jumped(&mut self, now: u64) {
        self.grace = now;
        self.chronicle.jumped(now);
    }

    /// Checks whether a record is overdue.
    pub(super) fn check_time(&mut self, now: u64) {
        self.chronicle.at(now);
        self.now = now;
        let Some((deadline, value)) = self.due.first().copied() else { return };
        if now > deadline.max(self.grace) + SLACK_US {
            self.fail(|| format!("record {value} was due at {deadline} and is not decided at {now}"));
        }
    }

    /// Whether every accepted record is decided.
    pub(super) fn is_all_decided(&self) -> bool {
        self.due.is_empty()
    }

    /// Lets the judge of histories check the finished run.
    pub(super) fn judge(&mut self) {
        let chronicle = std::mem::take(&mut self.chronicle);
        let ours = |(_, value): &&(i64, u64)| {
            self.records[usize::try_from(*value).expect("values count records")].transaction.is_none()
        };
        let logs: Vec<(Place, [i64; 2], Vec<_>)> = self
            .logs
            .iter()
            .map(|(place, log)| (*place, [log.start, log.end], log.entries.iter().filter(ours).copied().collect()))
            .collect();
        let logs = logs.iter().map(|(place, bounds, entries)| (*place, *bounds, &**entries));
        if let Some(anomaly) = chronicle.judge(logs, std::time::Duration::from_micros(SLACK_US)) {
            self.fail(|| format!("the judge of histories says {anomaly}"));
        }
    }

    /// How many records were acknowledged, surely not written, and in doubt.
    pub(super) fn tally(&self) -> [u64; 3] {
        let count =
            |said: fn(&Said) -> bool| self.records.iter().filter_map(|record| record.said).filter(said).count() as u64;
        [
            count(|said| matches!(said, Said::Acknowledged(_))),
            count(|said| *said == Said::NotWritten),
            count(|said| *said == Said::MaybeWritten),
        ]
    }
}

/// The number in a record's value, if the rest of it is as it was written too.
pub(super) fn parse(value: &[u8]) -> Option<u64> {
    let (number, rest) = std::str::from_utf8(value).ok()?.split_once('.')?;
    let is_whole = rest == "foreign" || rest.bytes().all(|byte| byte == b'x');
    number.parse().ok().filter(|_| is_whole)
}

/// The distance of two sequences, which wrap at 31 bits.
fn since(begin: Sequence, sequence: Sequence) -> u32 {
    sequence.to_wire().unsigned_abs().wrapping_sub(begin.to_wire().unsigned_abs()) & 0x7fff_ffff
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("small")
}
