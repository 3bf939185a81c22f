//! The records that a consumer may hand out: each after the one before it in the log, unless the consumer reported why not.

use ottla::types::TopicId;

use super::ghost::Fate;
use super::ghost::Ghost;
use super::ghost::Place;
use super::ghost::Placing;
use super::ghost::Shadow;

/// The start of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Earliest,
    Latest,
    Offset(i64),
    /// The committed offset, or the earliest record where nothing is committed.
    Stored,
}

/// The progress of one consumer in one partition.
#[derive(Debug)]
pub(super) struct Follow {
    begin: Begin,
    /// The bounds of the log, and how much had happened to it, when reading began.
    start: i64,
    end: i64,
    breaks: u32,
    /// Without those that the consumer still had to learn of.
    upheavals: u32,
    absences: u32,
    /// How often it was moved.
    resets: u32,
    /// The number of commits then.
    commits: usize,
    /// The number of settled commits then.
    settled: usize,
    /// The next offset; unknown until the consumer has found where to begin.
    position: Option<i64>,
    /// The first offset.
    began: Option<i64>,
    /// The record that was returned last, unless the position has moved since.
    last: Option<u64>,
}

impl Follow {
    /// Whether a position was moved.
    pub(super) fn has_moved(&self) -> bool {
        self.resets > 0
    }

    /// The first offset, unless something has happened since that may have led to before it.
    pub(super) fn steady(&self, log: &Shadow) -> Option<i64> {
        self.began.filter(|_| self.resets == 0 && self.upheavals == log.upheavals && self.breaks == log.breaks)
    }
}

/// Whether a consumer has to return a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visibility {
    /// It has to.
    Must,
    /// It may, or not: compaction took it, or its transaction ended in two ways.
    May,
    /// It must not.
    Never,
}

/// The offsets of a consumer's commits.
#[derive(Debug, Default)]
pub(super) struct Asked {
    offsets: Vec<i64>,
    /// Those before this one took effect, or came too late.
    settled: usize,
}

impl Asked {
    /// Whether an offset was asked for.
    pub(super) fn has(&self, offset: i64) -> bool {
        self.offsets.contains(&offset)
    }

    /// This commit took effect.
    fn settle(&mut self, offset: i64) {
        let at = self.offsets[self.settled..].iter().position(|asked| *asked == offset);
        self.settled += at.map_or(0, |at| at + 1);
    }
}

impl Ghost {
    /// Whether a consumer has to return a record that is, or was, at an offset.
    fn visibility(&self, reader: usize, value: u64, incarnation: u32, offset: i64) -> Visibility {
        let Some(record) = self.records.get(usize::try_from(value).unwrap_or(usize::MAX)) else {
            return Visibility::Never;
        };
        let here = |placing: &&Placing| placing.incarnation == incarnation && placing.offset == offset;
        let compacted = record.placings.iter().find(here).is_some_and(|placing| placing.compacted);
        let transaction = record.transaction.filter(|_| self.committed_only.contains(&reader));
        match transaction {
            Some(transaction) if transaction.wavered => Visibility::May,
            Some(transaction) if transaction.fate == Fate::Aborted => Visibility::Never,
            _ if compacted => Visibility::May,
            _ => Visibility::Must,
        }
    }

    /// Whether a consumer has to return a record.
    pub(super) fn must_return(&self, reader: usize, value: u64, incarnation: u32, offset: i64) -> bool {
        self.visibility(reader, value, incarnation, offset) == Visibility::Must
    }

    /// The records that a consumer may have returned before this one; `None` is the beginning of the log.
    fn before(&self, reader: usize, placing: &Placing) -> Vec<Option<(i64, u64)>> {
        let mut all = Vec::new();
        let mut before = placing.before;
        while let Some((offset, value)) = before {
            let visibility = self.visibility(reader, value, placing.incarnation, offset);
            if visibility != Visibility::Never {
                all.push(before);
            }
            if visibility == Visibility::Must {
                return all;
            }
            let record = usize::try_from(value).ok().and_then(|index| self.records.get(index));
            let mut placings = record.into_iter().flat_map(|record| &record.placings);
            let found = placings.find(|other| other.incarnation == placing.incarnation && other.offset == offset);
            before = found.and_then(|found| found.before);
        }
        all.push(None);
        all
    }

    /// Whether a consumer may go from one offset to another without a record in between.
    fn passes(&self, reader: usize, place: Place, from: i64, to: i64) -> bool {
        let Some(shadow) = self.logs.get(&place) else { return false };
        let cut = self.follows.get(&(reader, place)).is_none_or(|follow| follow.breaks != shadow.breaks);
        let mut between = shadow.entries.iter().filter(|(offset, _)| (from..to).contains(offset));
        let must = |(offset, value): &(i64, u64)| {
            self.visibility(reader, *value, shadow.incarnation, *offset) == Visibility::Must
        };
        from < to && (cut || to <= self.readable(reader, shadow) && !between.any(must))
    }

    /// The end of what a consumer may see.
    fn readable(&self, reader: usize, shadow: &Shadow) -> i64 {
        if self.committed_only.contains(&reader) { shadow.stable } else { shadow.high_watermark }
    }

    /// A topic was created.
    pub(super) fn created(&mut self, topic: usize, id: Option<TopicId>) {
        self.ids.extend(id.map(|id| (topic, id)));
    }

    /// How often a topic was recreated since the state that a consumer's metadata shows. It learns of one after the other.
    fn unlearned(&self, reader: usize, topic: usize) -> usize {
        let client = self.promises.len() + reader;
        let ids = self.ids.iter().rev().filter(|(of, _)| *of == topic);
        let is_known = |id| self.epochs.iter().any(|((of, ..), (known, _))| *of == client && *known == id);
        ids.map(|(_, id)| *id).position(is_known).unwrap_or(0)
    }

    /// A consumer begins, or seeks.
    pub(super) fn begins(&mut self, reader: usize, place: Place, begin: Begin) {
        self.chronicle.begins(reader, place, &begin);
        let ledger = self.ledger(reader);
        let commits = self.committed.get(&(ledger, place)).map_or(0, Vec::len);
        let settled = self.asked.get(&(ledger, place)).map_or(0, |asked| asked.settled);
        self.logs.entry(place).or_default();
        let shadow = &self.logs[&place];
        let end = self.readable(reader, shadow);
        let (start, breaks) = (shadow.start, shadow.breaks);
        let unlearned = u32::try_from(self.unlearned(reader, place.0)).expect("few");
        let upheavals = shadow.upheavals.saturating_sub(unlearned);
        let follow = Follow {
            begin,
            start,
            end,
            breaks,
            upheavals,
            absences: shadow.absences,
            resets: 0,
            commits,
            settled,
            position: None,
            began: None,
            last: None,
        };
        self.follows.insert((reader, place), follow);
    }

    /// A partition is taken from a consumer.
    pub(super) fn revoked(&mut self, reader: usize, place: Place) {
        self.follows.remove(&(reader, place));
        self.bounds.remove(&(reader, place));
    }

    /// Whether a consumer began in a partition and its position was not checked since.
    pub(super) fn is_beginning(&self, reader: usize, place: Place) -> bool {
        self.follows.get(&(reader, place)).is_some_and(|follow| follow.position.is_none())
    }

    /// Something happened in a partition that the consumer does not have.
    fn not_assigned(&mut self, reader: usize, place: Place, what: &str) {
        self.fail(|| format!("consumer {reader} {what} {place:?}, which it does not have"));
    }

    /// Checks the consumer's position after the records that it returned.
    pub(super) fn position(&mut self, reader: usize, place: Place, reported: Option<i64>) {
        let Some(follow) = self.follows.get(&(reader, place)) else {
            if reported.is_some() {
                self.not_assigned(reader, place, "has a position in");
            }
            return;
        };
        match (follow.position, reported) {
            (Some(known), Some(reported)) if known == reported => {}
            (None, None) => {}
            (None, Some(reported)) => self.found(reader, place, reported),
            (Some(known), Some(reported)) if self.passes(reader, place, known, reported) => {
                self.passed(reader, place, reported);
            }
            // The position in a deleted partition has no meaning.
            (Some(_), reported) if self.is_absent(reader, place) => {
                if let Some(follow) = self.follows.get_mut(&(reader, place)) {
                    follow.position = reported;
                    follow.last = None;
                }
            }
            (Some(known), reported) => {
                self.fail(|| format!("consumer {reader} returned up to {known} of {place:?} and is at {reported:?}"));
            }
        }
    }

    /// Whether a partition did not exist at some time since reading began.
    fn is_absent(&self, reader: usize, place: Place) -> bool {
        let (Some(follow), Some(shadow)) = (self.follows.get(&(reader, place)), self.logs.get(&place)) else {
            return true;
        };
        !shadow.exists || follow.absences != shadow.absences
    }

    /// A consumer moved on to an offset without a record.
    fn passed(&mut self, reader: usize, place: Place, to: i64) {
        if let Some(follow) = self.follows.get_mut(&(reader, place)) {
            follow.position = Some(to);
        }
    }

    fn found(&mut self, reader: usize, place: Place, reported: i64) {
        let none = Vec::new();
        let ledger = self.ledger(reader);
        let commits = self.committed.get(&(ledger, place)).unwrap_or(&none);
        let Some(follow) = self.follows.get_mut(&(reader, place)) else { return };
        let asked = self.asked.get(&(ledger, place)).map_or(&[][..], |asked| &asked.offsets[follow.settled..]);
        let Some(shadow) = self.logs.get(&place) else { return };
        follow.position = Some(reported);
        follow.began = Some(reported);
        let earliest = reported >= follow.start && reported <= shadow.start;
        let fits = match follow.begin {
            Begin::Earliest => earliest,
            Begin::Latest => reported >= follow.end && reported <= shadow.end,
            Begin::Offset(offset) => reported == offset,
            Begin::Stored => {
                let known = follow.commits.saturating_sub(1);
                // A broker that was delayed may apply several commits at once, of which only the last is observed.
                commits[known..].contains(&reported) || asked.contains(&reported) || follow.commits == 0 && earliest
            }
        };
        // The old bounds mean nothing once a log was replaced or truncated.
        let excused = follow.begin != Begin::Stored && follow.breaks != shadow.breaks
            || follow.begin == Begin::Stored && shadow.breaks > 0;
        if !fits && !excused {
            let begin = follow.begin.clone();
            let (start, end) = (follow.start, follow.end);
            let log = (shadow.start, shadow.end);
            let commits = commits.clone();
            self.fail(|| {
                format!(
                    "consumer {reader} was to begin {begin:?} in {place:?} and begins at {reported}: the log was {start}..{end} and \
                     is {log:?}, committed {commits:?}"
                )
            });
        }
    }

    /// A consumer returned a record.
    pub(super) fn returned(&mut self, reader: usize, place: Place, offset: i64, value: Option<u64>) {
        let Some(value) = value else {
            return self.fail(|| format!("consumer {reader} returned what no producer wrote, at {place:?}@{offset}"));
        };
        let Some(record) = self.records.get(usize::try_from(value).unwrap_or(usize::MAX)) else {
            return self.fail(|| format!("consumer {reader} returned record {value}, which does not exist"));
        };
        let open = record.transaction.is_some_and(|open| open.fate == Fate::Open && !open.wavered);
        let early = open && self.committed_only.contains(&reader);
        if record.transaction.is_none() {
            self.chronicle.returned(reader, place, offset, value);
        }
        let was_at = record.place;
        let here: Vec<Placing> = record.placings.iter().filter(|placing| placing.offset == offset).copied().collect();
        let befores: Vec<_> = here.iter().flat_map(|placing| self.before(reader, placing)).collect();
        let never =
            |placing: &Placing| self.visibility(reader, value, placing.incarnation, offset) == Visibility::Never;
        if early || !here.is_empty() && here.iter().all(never) {
            return self.fail(|| {
                format!("consumer {reader} returned record {value} at {place:?}@{offset}, which is not committed")
            });
        }
        let Some(follow) = self.follows.get_mut(&(reader, place)) else {
            return self.not_assigned(reader, place, "returned a record of");
        };
        let (last, position) = (follow.last.replace(value), follow.position.replace(offset + 1));
        self.handed_out(reader, place, offset, value);
        if was_at != place || befores.is_empty() {
            return self.fail(|| {
                format!("consumer {reader} returned record {value} at {place:?}@{offset}, where it never was")
            });
        }
        let Some(position) = position else {
            return self
                .fail(|| format!("consumer {reader} returned {place:?}@{offset} before it knew where to begin"));
        };
        let follows = befores.iter().any(|before| match (last, before) {
            (Some(last), Some((_, before))) => last == *before,
            (Some(_), None) => false,
            (None, Some((before, _))) => *before < position,
            (None, None) => true,
        });
        if offset < position || !follows {
            self.fail(|| {
                format!(
                    "consumer {reader} at {position} of {place:?} (after record {last:?}) returned record {value} at \
                     {offset}, before which there was {befores:?}"
                )
            });
        }
    }

    /// The consumer reported that it moved a position.
    pub(super) fn reset(&mut self, reader: usize, place: Place, from: i64, to: i64) {
        self.chronicle.reset(reader, place, to);
        let Some(follow) = self.follows.get_mut(&(reader, place)) else {
            return self.not_assigned(reader, place, "was moved in");
        };
        let Some(shadow) = self.logs.get(&place) else { return };
        let before = follow.position.replace(to);
        follow.last = None;
        follow.resets += 1;
        // Each upheaval of a log moves a position once; a start out of range moves it once more.
        // A false response may still be due from before reading began.
        let often = follow.resets > 1 + self.lies + shadow.upheavals - follow.upheavals;
        let resets = follow.resets;
        let reason = shadow.upheavals > 0 || from < shadow.start || from > follow.end;
        let state = (follow.upheavals, shadow.upheavals, shadow.start, shadow.end);
        if before.is_some_and(|before| before != from && !self.passes(reader, place, before, from)) {
            self.fail(|| format!("consumer {reader} at {before:?} of {place:?} says it was moved from {from} to {to}"));
        }
        if often {
            self.fail(|| format!("consumer {reader} was moved {resets} times in {place:?}: {state:?}"));
        }
        if !reason {
            self.fail(|| {
                format!("consumer {reader} was moved from {from} to {to} in {place:?} for no reason: {state:?}")
            });
        }
    }

    /// The consumer reported the end of the partition.
    pub(super) fn ended(&mut self, reader: usize, place: Place, offset: i64) {
        let Some(follow) = self.follows.get(&(reader, place)) else {
            return self.not_assigned(reader, place, "reported the end of");
        };
        let known = follow.position;
        if known.is_some_and(|known| known != offset && !self.passes(reader, place, known, offset)) {
            self.fail(|| format!("consumer {reader} at {known:?} of {place:?} says that it ends at {offset}"));
        }
    }

    /// Whether the consumer has returned all records.
    pub(super) fn is_at_end(&self, reader: usize, place: Place) -> bool {
        let Some(end) = self.logs.get(&place).filter(|shadow| shadow.exists).map(|shadow| shadow.end) else {
            return true;
        };
        self.follows.get(&(reader, place)).is_none_or(|follow| follow.position == Some(end))
    }

    /// Notes the end that a bounded read which begins now has to reach.
    pub(super) fn bounded(&mut self, reader: usize, place: Place) {
        self.logs.entry(place).or_default();
        let shadow = &self.logs[&place];
        self.bounds.insert((reader, place), (self.readable(reader, shadow), shadow.breaks));
    }

    /// A bounded read has finished.
    pub(super) fn finished(&mut self, reader: usize, place: Place) {
        let Some((end, breaks)) = self.bounds.get(&(reader, place)).copied() else { return };
        let whole = self.logs.get(&place).is_some_and(|shadow| shadow.exists && shadow.breaks == breaks);
        let position = self.follows.get(&(reader, place)).and_then(|follow| follow.position);
        if whole && position.is_none_or(|position| position < end) {
            self.fail(|| {
                format!("consumer {reader} is finished at {position:?} of {place:?}, which had {end} when it began")
            });
        }
    }

    /// The consumer commits its position.
    pub(super) fn committing(&mut self, reader: usize, place: Place, offset: i64) {
        self.chronicle.commits(reader, place, offset);
        let ledger = self.ledger(reader);
        self.asked.entry((ledger, place)).or_default().offsets.push(offset);
        let Some(follow) = self.follows.get(&(reader, place)) else {
            return self.not_assigned(reader, place, "commits in");
        };
        let position = follow.position;
        if position != Some(offset) {
            self.fail(|| format!("consumer {reader} at {position:?} of {place:?} commits {offset}"));
        }
    }

    /// A commit took effect.
    pub(super) fn stored(&mut self, ledger: usize, place: Place, offset: i64) {
        let commits = self.committed.entry((ledger, place)).or_default();
        let before = commits.last().copied();
        if before != Some(offset) {
            commits.push(offset);
            if self.owners.first == Some(ledger) {
                self.stored_for_group(place, before, offset);
            }
            self.asked.entry((ledger, place)).or_default().settle(offset);
        }
    }
}
