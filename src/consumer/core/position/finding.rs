//! Moves the position: start, rewind, reset and halt of reading, and the end of a bounded read.

use super::Bound;
use super::Item;
use super::Partition;
use super::State;
use super::Target;
use crate::consumer::core::start::Reset;
use crate::consumer::core::start::ResetPolicy;
use crate::consumer::core::start::Start;
use crate::error::Error;
use crate::error::Kind;
use crate::reading::Position;
use crate::types::LeaderEpoch;
use crate::wire::message::EpochEnd;
use crate::wire::message::ListedPartition;

const TRUNCATED: &str = "the log was truncated below the position";
const OUT_OF_RANGE: &str = "the position is out of the log's range";

impl Partition {
    /// Drops the fetched records and moves to `start`.
    pub(in super::super) fn start(&mut self, start: &Start, generation: u64) {
        self.drop_queue(generation);
        self.retry.clear();
        self.end_reported = None;
        self.returned = None;
        self.awaited_epoch = None;
        self.contradicted = None;
        self.state = match start {
            Start::Ago(age) => Self::find(Target::Ago(*age)),
            Start::Earliest => Self::find(Target::Earliest),
            Start::FromEnd(records) => Self::find(Target::FromEnd(*records)),
            Start::Latest => Self::find(Target::Latest),
            Start::Offset(offset) => {
                self.settle(Position::from(*offset));
                State::Fetching
            }
            Start::Stored { otherwise } => State::Initializing { otherwise: (**otherwise).clone() },
            Start::StoredOnly => State::Initializing { otherwise: Start::StoredOnly },
            Start::Timestamp(timestamp) => Self::find(Target::Timestamp(*timestamp)),
        };
    }

    fn find(target: Target) -> State {
        State::AwaitReset { target, reset: None }
    }

    /// Puts both positions somewhere, with nothing queued.
    fn settle(&mut self, position: Position) {
        self.fetch = position;
        self.note_returned(position);
    }

    // The committed offset.

    /// Whether the committed offset is waited for.
    pub(in super::super) fn awaits_stored(&self) -> bool {
        matches!(self.state, State::Initializing { .. })
    }

    /// Nothing is committed.
    pub(in super::super) fn start_otherwise(&mut self, generation: u64) {
        let State::Initializing { otherwise } = self.state.clone() else { return };
        let (topic, partition) = (&self.key.topic, self.key.partition);
        tracing::debug!(target: "ottla::consumer", %topic, partition, "no committed offset");
        let otherwise = match otherwise {
            Start::StoredOnly => {
                // No policy says where to start: the range is listed first, to report it (`NoOffsetForPartitionException`).
                self.drop_queue(generation);
                self.state = Self::find(Target::RangeStart);
                return;
            }
            Start::Stored { .. } => Start::Earliest,
            other => other,
        };
        self.start(&otherwise, generation);
    }

    /// Starts where the group committed.
    ///
    /// The offset may have been committed under a leader whose log was truncated since, so it is validated first. If it is
    /// of a later epoch than the metadata's, the known leader may not be the leader any more, and its response would look like a
    /// truncation (`Metadata.updateLastSeenEpochIfNewer` in Java).
    pub(in super::super) fn start_stored(&mut self, position: Position) {
        self.found(position, None);
        if position.epoch.is_some() && self.leader_epoch.is_some() {
            self.state = State::AwaitValidation;
            self.awaited_epoch = position.epoch.filter(|epoch| Some(*epoch) > self.leader_epoch);
        }
    }

    /// Whether validation waits for metadata with a later leader epoch.
    pub(in super::super) fn awaits_epoch(&self) -> bool {
        self.state == State::AwaitValidation && self.awaited_epoch.is_some()
    }

    /// No broker knows the awaited epoch: it was of a topic that was deleted, so the known leader decides.
    pub(in super::super) fn give_up_epoch(&mut self) {
        let awaited = LeaderEpoch::to_wire(self.awaited_epoch.take());
        let known = LeaderEpoch::to_wire(self.leader_epoch);
        let (topic, partition) = (&self.key.topic, self.key.partition);
        tracing::warn!(target: "ottla::consumer", %topic, partition, awaited, known, "committed epoch is unknown");
        self.retry.retry_now();
    }

    // Offsets that were listed.

    /// Whether this target is looked for.
    pub(in super::super) fn awaits_offset(&self, target: Target) -> bool {
        matches!(self.state, State::AwaitReset { target: awaited, .. } if awaited == target)
    }

    /// Takes an offset that the leader listed.
    pub(in super::super) fn listed(&mut self, target: Target, listed: &ListedPartition, policy: ResetPolicy) {
        let State::AwaitReset { reset, .. } = self.state else { return };
        let found = Position { offset: listed.offset, epoch: listed.leader_epoch };
        let next = match target {
            Target::FromEnd(records) if found.offset > records => Target::NotBefore(found.offset - records),
            Target::FromEnd(_) => Target::Earliest,
            Target::RangeStart => Target::RangeEnd(found),
            Target::RangeEnd(start) => return self.measured(reset, start, found, policy),
            // No record is of that time or later.
            Target::Ago(_) | Target::Timestamp(_) if found.offset < 0 => Target::Latest,
            Target::NotBefore(offset) if offset > found.offset => return self.found(Position::from(offset), reset),
            Target::Ago(_) | Target::Earliest | Target::Latest | Target::NotBefore(_) | Target::Timestamp(_) => {
                return self.found(found, reset);
            }
        };
        self.state = State::AwaitReset { target: next, reset };
    }

    /// A position was found. Records that are queued before it are returned first.
    fn found(&mut self, position: Position, reset: Option<(i64, &'static str)>) {
        let (topic, partition) = (self.key.topic.clone(), self.key.partition);
        match reset {
            // Errors that are queued say nothing about where reading begins.
            None => {
                let offset = position.offset;
                tracing::debug!(target: "ottla::consumer", %topic, partition, offset, "partition started");
                self.note_returned(position);
            }
            // A reset moves the position when its turn comes.
            Some((from, reason)) => {
                let to = position.offset;
                tracing::warn!(target: "ottla::consumer", %topic, partition, from, to, reason, "position reset");
                self.queue.push_back(Item::Reset(Reset { topic, partition, from, to, reason }, position.epoch));
            }
        }
        self.state = State::Fetching;
        // The fetch finds out whether the position is in the log.
        self.retry.retry_now();
        self.fetch = position;
    }

    /// The log begins and ends here. Without a `reset` there is no position.
    ///
    /// Fetching continues if the position is in this range after all.
    fn measured(&mut self, reset: Option<(i64, &'static str)>, start: Position, end: Position, policy: ResetPolicy) {
        let offset = self.fetch.offset;
        let range = format!("{} to {}", start.offset, end.offset);
        if reset.is_none() {
            let message = format!(
                "the group has committed no offset and the reset policy is none: \
                 seek to an offset of the log, which has {range}, or set another policy"
            );
            let error = self.place(Error::new(Kind::NoOffset, message));
            return self.halt(error);
        }
        // With read_committed the end is the last stable offset, so a false error about a position above it, which only a seek
        // or the commit of another reader gives, still moves that position.
        let is_inside = (start.offset..=end.offset).contains(&offset);
        if is_inside && self.contradicted != Some(offset) {
            let (topic, partition) = (&self.key.topic, self.key.partition);
            tracing::debug!(target: "ottla::consumer", %topic, partition, offset, %range, "position is in range after all");
            self.contradicted = Some(offset);
            return self.proceed();
        }
        let to = match policy {
            ResetPolicy::ByDuration(age) => {
                self.forget_bound();
                self.state = State::AwaitReset { target: Target::Ago(age), reset };
                return;
            }
            ResetPolicy::Earliest => start,
            ResetPolicy::Latest => end,
            ResetPolicy::None if is_inside => {
                return self.truncated(&format!(
                    "the leader reports the position as out of the log's range, which is {range}"
                ));
            }
            ResetPolicy::None => {
                return self.truncated(&format!("the position is out of the log's range, which is {range}"));
            }
        };
        self.forget_bound();
        self.found(to, reset);
    }

    // The position is not in the log.

    /// The leader says that the position is out of range. Before the position is moved, the range is listed.
    ///
    /// A fetch without a leader epoch is not fenced, so a broker that led before answers it as a follower, which may be behind.
    /// Only a leader lists offsets. A leader that lists a range with the position and still reports it is believed, so that the
    /// partition cannot hang.
    pub(in super::super) fn out_of_range(&mut self, policy: ResetPolicy) {
        if policy != ResetPolicy::None && self.contradicted == Some(self.fetch.offset) {
            return self.lost(policy, OUT_OF_RANGE);
        }
        let reset = Some((self.fetch.offset, OUT_OF_RANGE));
        self.state = State::AwaitReset { target: Target::RangeStart, reset };
        self.asking = false;
    }

    /// The leader has changed: the new one decides whether the position is in its log, and where the position's epoch ends.
    pub(super) fn doubt_range(&mut self) {
        self.contradicted = None;
        if matches!(self.state, State::AwaitReset { reset: Some((_, OUT_OF_RANGE)), .. }) {
            self.proceed();
        }
    }

    /// The position is not in the log. Follows the policy, or reports it once and waits for a seek.
    pub(super) fn lost(&mut self, policy: ResetPolicy, reason: &'static str) {
        self.forget_bound();
        let target = match policy {
            ResetPolicy::ByDuration(age) => Target::Ago(age),
            ResetPolicy::Earliest => Target::Earliest,
            ResetPolicy::Latest => Target::Latest,
            ResetPolicy::None => return self.truncated(reason),
        };
        self.state = State::AwaitReset { target, reset: Some((self.fetch.offset, reason)) };
        self.asking = false;
    }

    fn truncated(&mut self, reason: &str) {
        let error = self.place(Error::new(Kind::Truncated, reason)).at_offset(self.fetch.offset);
        self.halt(error);
    }

    /// Waits for a seek, which `error` reports.
    fn halt(&mut self, error: Error) {
        self.forget_bound();
        self.report_surely(error);
        self.state = State::Halted;
    }

    // Validation.

    /// Whether the end of the position's epoch is waited for.
    pub(in super::super) fn awaits_validation(&self) -> bool {
        self.state == State::AwaitValidation
    }

    /// Continues to fetch without validation.
    pub(in super::super) fn skip_validation(&mut self) {
        self.state = State::Fetching;
    }

    /// The log may have been cut.
    pub(super) fn must_validate(&mut self) {
        self.state = State::AwaitValidation;
    }

    /// Takes what the leader says about the end of the position's epoch
    /// (`SubscriptionState.maybeCompleteValidation` in Java).
    pub(in super::super) fn validated(&mut self, end: &EpochEnd, policy: ResetPolicy, generation: u64) {
        let is_known = end.leader_epoch.is_some() && end.end_offset >= 0;
        if is_known && end.end_offset >= self.fetch.offset {
            self.state = State::Fetching;
            // A leader that may insist on an error is asked less often, until a fetch succeeds.
            if self.contradicted.is_none() {
                self.retry.clear();
            }
            return;
        }
        let (topic, partition) = (&self.key.topic, self.key.partition);
        let (offset, end_offset) = (self.fetch.offset, end.end_offset);
        tracing::debug!(target: "ottla::consumer", %topic, partition, offset, end_offset, "truncation found");
        if self.base().is_some_and(|base| base != self.fetch) {
            self.go_back(generation);
            self.proceed();
            return;
        }
        match (policy, is_known) {
            (ResetPolicy::None, _) => self.truncated(TRUNCATED),
            (_, false) => self.lost(policy, TRUNCATED),
            (_, true) => {
                let to = Position { offset: end.end_offset, epoch: end.leader_epoch };
                self.go_back(generation);
                self.forget_bound();
                self.found(to, Some((self.fetch.offset, TRUNCATED)));
            }
        }
    }

    // Going back.

    /// Goes back to the returned position.
    pub(in super::super) fn rewind(&mut self, generation: u64) {
        let was_moved = self.queue.iter().any(|item| item.leads_to().is_some());
        self.drop_queue(generation);
        if let Some(returned) = self.returned {
            self.fetch = returned;
        }
        // A position that has no epoch cannot be validated: the response would be the one for a truncated log.
        if was_moved || self.is_lost() || self.state == State::AwaitValidation {
            self.proceed();
        }
    }

    /// Whether the fetch position is not in the log. That is not reported where reading rewinds before it: if the target of the
    /// rewind is not in the log either, the leader reports that again.
    fn is_lost(&self) -> bool {
        matches!(self.state, State::Halted | State::AwaitReset { reset: Some(_), .. })
    }

    /// The earliest position to go back to: the returned one, or the target of a move that was not reported yet. Records
    /// before such a move mean nothing after it.
    fn base(&self) -> Option<Position> {
        self.queue.iter().rev().find_map(Item::leads_to).or(self.returned)
    }

    /// Goes back there.
    pub(in super::super) fn go_back(&mut self, generation: u64) {
        let Some(at) = self.queue.iter().rposition(|item| item.leads_to().is_some()) else {
            return self.rewind(generation);
        };
        self.buffered -= self.queue.drain(at + 1..).map(|item| item.bytes()).sum::<usize>();
        self.blocked = false;
        self.asking = false;
        // Records before the move are still good, so the generation stays; responses about offsets behind it are recognized
        // by their offsets.
        self.fetch = self.base().unwrap_or(self.fetch);
        if self.is_lost() || self.state == State::AwaitValidation {
            self.proceed();
        }
    }

    /// Goes on where it is, once the leader, which may be another than before, has confirmed the records before it.
    fn proceed(&mut self) {
        self.state = if self.fetch.epoch.is_some() { State::AwaitValidation } else { State::Fetching };
    }

    // Bounded reads.

    /// The log may be shorter than it was when the bound was found: the read ends at its current end, or at the bound, if
    /// that is less. A leader that does not know its high watermark yet refuses the request (KIP-207).
    pub(super) fn forget_bound(&mut self) {
        if let Bound::At(bound) = self.bound {
            self.bound = Bound::Unknown(bound);
        }
    }

    /// The log ends here.
    pub(in super::super) fn bound_found(&mut self, end: i64) {
        if let Bound::Unknown(most) = self.bound {
            self.bound = Bound::At(end.min(most));
        }
    }

    /// Whether a bounded read of it is over.
    pub(in super::super) fn is_done(&self) -> bool {
        if self.gone {
            return self.queue.is_empty();
        }
        match (self.bound, self.returned) {
            (Bound::At(bound), Some(returned)) => {
                returned.offset >= bound && matches!(self.state, State::Fetching | State::AwaitValidation)
            }
            _ => false,
        }
    }
}
