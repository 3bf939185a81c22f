//! Commits offsets for a group: in order, retried by partition, until each commit's deadline.
//!
//! ```text
//! commit ──> queued ──one request at a time──> in flight ──> result of each commit
//!               ^                                  │
//!               └─── pause, as the error code says ┘
//! ```
//!
//! One request is in flight at most, so an older offset never overwrites a newer one. A commit of a partition that is queued
//! already replaces its offset, and both commits end with the newer one. Error codes are read by
//! [`Code::commit_recovery`]: a refused partition is retried alone, and a partition that a response leaves out was not
//! committed. The owner sends each request to the group's coordinator, once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::offset_to_commit::OffsetToCommit;
use crate::conn::backoff::Backoff;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::commit::CommitRecovery;
use crate::group::GroupMetadata;
use crate::metadata::Snapshot;
use crate::metadata::by_topic;
use crate::reading::Position;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;
use crate::wire::message::CommitPartition;
use crate::wire::message::CommitTopic;
use crate::wire::message::OffsetCommitRequest;
use crate::wire::message::OffsetCommitResponse;

/// The broker's own retention.
const DEFAULT_RETENTION: i64 = -1;

/// One call to [`Committer::commit`].
pub type Ticket = u64;

/// The next thing that the owner has to do for a committer.
#[derive(Clone, Debug, PartialEq)]
pub enum CommitAction {
    /// Send a request to the group's coordinator, once. The response or the error is given back with the tag, by the deadline.
    Commit { tag: u64, deadline: Instant, request: OffsetCommitRequest },
    /// Find the group's coordinator again before the next request.
    ForgetCoordinator,
    /// Ask for metadata of these topics.
    RefreshMetadata { topics: Vec<TopicName> },
}

/// Pauses between the attempts for something.
#[derive(Debug)]
struct Pause {
    backoff: Backoff,
    until: Option<Instant>,
}

impl Pause {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    fn begin(&mut self, now: Instant, rng: &mut Rng) -> Instant {
        *self.until.insert(now + self.backoff.next(rng))
    }

    fn clear(&mut self) {
        self.backoff.reset();
        self.until = None;
    }
}

/// An offset to commit, and the commits that wait for it.
#[derive(Debug)]
struct Wanted {
    position: Position,
    /// The topic of the position; zero where it was not known.
    topic_id: TopicId,
    metadata: String,
    tickets: Vec<Ticket>,
    pause: Pause,
}

/// A partition in a request.
#[derive(Debug)]
struct Sent {
    key: TopicPartition,
    topic_id: TopicId,
    wanted: Wanted,
    /// The member has given the partition up since: another member may have committed it, also where it came back.
    is_given_up: bool,
}

impl Sent {
    /// Whether the topic is another one than that of the position.
    fn is_recreated(&self) -> bool {
        let ids = [self.topic_id, self.wanted.topic_id];
        ids[0] != ids[1] && !ids.iter().any(|id| id.is_zero())
    }
}

fn id_of(snapshot: &Snapshot, topic: &TopicName) -> TopicId {
    snapshot.topic(topic).map_or(TopicId::ZERO, |topic| topic.id)
}

/// A commit that has no result yet.
#[derive(Debug)]
struct Commit {
    /// Partitions without a result.
    left: usize,
    deadline: Instant,
    /// The last error, which is the cause of a timeout.
    problem: Option<Error>,
}

/// Commits that were decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitCounters {
    /// Commits that the coordinator took.
    pub commits: u64,
    /// Commits that failed.
    pub failures: u64,
}

/// Decides which offsets are sent when, and what becomes of each commit.
#[derive(Debug)]
pub struct Committer {
    identity: GroupMetadata,
    snapshot: Arc<Snapshot>,
    rng: Rng,
    backoff: Backoff,
    queue: BTreeMap<TopicPartition, Wanted>,
    in_flight: Option<(u64, Vec<Sent>)>,
    /// Pauses after a request that failed as a whole.
    pause: Pause,
    commits: HashMap<Ticket, Commit>,
    numbers: u64,
    actions: VecDeque<CommitAction>,
    results: VecDeque<(Ticket, Result<(), Error>)>,
    /// The partitions that may be committed; `None` where the group has no members.
    owned: Option<BTreeSet<TopicPartition>>,
    /// The identity of the request in flight.
    sent_as: GroupMetadata,
    /// The last refusal because of the membership, with the identity that was refused.
    refusal: Option<(Code, GroupMetadata)>,
    counters: CommitCounters,
}

impl Committer {
    /// A committer with nothing to do. Pauses grow from `first` to `longest`.
    pub fn new(identity: GroupMetadata, (first, longest): (Duration, Duration), seed: u64) -> Self {
        let backoff = Backoff::new(first, longest);
        Self {
            sent_as: identity.clone(),
            identity,
            snapshot: Arc::default(),
            rng: Rng::with_seed(seed),
            backoff,
            queue: BTreeMap::new(),
            in_flight: None,
            pause: Pause { backoff, until: None },
            commits: HashMap::new(),
            numbers: 0,
            actions: VecDeque::new(),
            results: VecDeque::new(),
            owned: None,
            refusal: None,
            counters: CommitCounters::default(),
        }
    }

    /// Commits offsets by `deadline`. Its result comes from [`Committer::poll_result`].
    pub fn commit(
        &mut self,
        now: Instant,
        offsets: impl IntoIterator<Item: Into<OffsetToCommit>>,
        deadline: Instant,
    ) -> Ticket {
        let ticket = self.number();
        let offsets = offsets.into_iter().map(Into::into);
        let offsets: BTreeMap<TopicPartition, (Position, String)> =
            inserted(offsets.map(|offset| (offset.partition, (offset.position, offset.metadata))));
        let left = offsets.len();
        let foreign = offsets.keys().find(|key| !self.may_commit(key)).cloned();
        self.commits.insert(ticket, Commit { left, deadline, problem: None });
        if let Some(key) = foreign {
            self.finish(ticket, Err(not_owned(&key)));
            return ticket;
        }
        for (key, (position, metadata)) in offsets {
            let topic_id = id_of(&self.snapshot, &key.topic);
            let pause = Pause { backoff: self.backoff, until: None };
            let fresh = || Wanted { position, topic_id, metadata: String::new(), tickets: Vec::new(), pause };
            let wanted = self.queue.entry(key).or_insert_with(fresh);
            (wanted.position, wanted.topic_id, wanted.metadata) = (position, topic_id, metadata);
            wanted.tickets.push(ticket);
        }
        if left == 0 {
            self.finish(ticket, Ok(()));
        }
        self.plan(now);
        ticket
    }

    /// Commits as this member from now on, and only the partitions that it owns.
    ///
    /// Pending commits of partitions that it still owns continue under the new generation. The others fail, a request in flight when it
    /// is refused: another member may have committed these partitions since.
    pub fn handle_membership(&mut self, identity: GroupMetadata, owned: BTreeSet<TopicPartition>) {
        self.identity = identity;
        self.owned = Some(owned);
        let foreign: Vec<TopicPartition> = self.queue.keys().filter(|key| !self.may_commit(key)).cloned().collect();
        for key in foreign {
            let Some(wanted) = self.queue.remove(&key) else { continue };
            let error = not_owned(&key);
            self.fail(&wanted.tickets, &error);
        }
        let sent = self.in_flight.iter_mut().flat_map(|(_, sent)| sent);
        for sent in sent.filter(|sent| self.owned.as_ref().is_some_and(|owned| !owned.contains(&sent.key))) {
            sent.is_given_up = true;
        }
    }

    fn may_commit(&self, key: &TopicPartition) -> bool {
        self.owned.as_ref().is_none_or(|owned| owned.contains(key))
    }

    /// Takes the state of the cluster.
    pub fn handle_metadata(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
    }

    /// Takes the response to the request with this tag, or the error of the attempt.
    pub fn handle_response(&mut self, now: Instant, tag: u64, response: Result<OffsetCommitResponse, Error>) {
        let Some((_, sent)) = self.in_flight.take_if(|(awaited, _)| *awaited == tag) else { return };
        match response {
            Ok(response) => self.responded(now, sent, &response),
            Err(error) => self.attempt_failed(now, sent, &error),
        }
        self.handle_timeout(now);
    }

    /// Does what is due: ends commits whose deadline has passed, and sends what may be sent.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late = self.waiting().filter(|(_, commit)| commit.deadline <= now).map(|(ticket, _)| ticket);
        let mut late: Vec<Ticket> = late.collect();
        late.sort_unstable();
        for ticket in late {
            let error = match self.commits.get(&ticket).and_then(|commit| commit.problem.clone()) {
                Some(problem) => {
                    Error::new(Kind::Timeout, "the offsets were not committed by the deadline").caused_by(problem)
                }
                None => Error::new(Kind::Timeout, "the offsets were not committed by the deadline"),
            };
            self.finish(ticket, Err(error));
        }
        self.plan(now);
    }

    /// Fails all commits: nothing is sent any more.
    pub fn close(&mut self) {
        self.fail_all(&Error::new(Kind::Closed, "the consumer is closed"));
        self.in_flight = None;
        self.actions.clear();
    }

    /// Takes the next thing to do.
    pub fn poll_action(&mut self) -> Option<CommitAction> {
        self.actions.pop_front()
    }

    /// Takes the result of a commit.
    pub fn poll_result(&mut self) -> Option<(Ticket, Result<(), Error>)> {
        self.results.pop_front()
    }

    /// Takes a refusal because of the membership: the member must join again, or was fenced. A commit was refused with the code.
    pub fn poll_refusal(&mut self) -> Option<(Code, GroupMetadata)> {
        self.refusal.take()
    }

    /// The time at which the committer needs attention if nothing else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.waiting().map(|(_, commit)| commit.deadline);
        let pauses = self.queue.values().filter_map(|wanted| wanted.pause.until.max(self.pause.until));
        let pauses = pauses.filter(|_| self.in_flight.is_none());
        deadlines.chain(pauses).min()
    }

    /// Commits so far.
    pub fn counters(&self) -> CommitCounters {
        self.counters
    }

    // Private.

    /// The commits that have nothing in flight. The others end with their request, which has the earliest of their deadlines.
    fn waiting(&self) -> impl Iterator<Item = (Ticket, &Commit)> {
        let sent = self.in_flight.iter().flat_map(|(_, sent)| sent);
        let in_flight: HashSet<Ticket> = sent.flat_map(|sent| &sent.wanted.tickets).copied().collect();
        self.commits
            .iter()
            .map(|(ticket, commit)| (*ticket, commit))
            .filter(move |(ticket, _)| !in_flight.contains(ticket))
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Sends all that may be sent, if nothing is in flight.
    fn plan(&mut self, now: Instant) {
        if self.in_flight.is_some() || !self.pause.is_over(now) {
            return;
        }
        let due = self.queue.iter().filter(|(_, wanted)| wanted.pause.is_over(now)).map(|(key, _)| key.clone());
        let due: Vec<TopicPartition> = due.collect();
        let due = due.into_iter().filter_map(|key| self.queue.remove_entry(&key));
        let snapshot = &self.snapshot;
        let sent =
            due.map(|(key, wanted)| Sent { topic_id: id_of(snapshot, &key.topic), key, wanted, is_given_up: false });
        let (sent, recreated): (Vec<Sent>, Vec<Sent>) = sent.partition(|sent| !sent.is_recreated());
        for Sent { key, wanted, .. } in recreated {
            let text = "the topic was deleted and created again: its old offset was not committed for the new topic";
            let error = Error::broker(Code::UnknownTopicId, text).in_partition(&key.topic, key.partition);
            self.fail(&wanted.tickets, &error);
        }
        let tickets = sent.iter().flat_map(|sent| &sent.wanted.tickets);
        let Some(deadline) = tickets.filter_map(|ticket| self.commits.get(ticket)).map(|commit| commit.deadline).min()
        else {
            return;
        };
        let (tag, request) = (self.number(), self.request(&sent));
        self.in_flight = Some((tag, sent));
        self.sent_as = self.identity.clone();
        self.actions.push_back(CommitAction::Commit { tag, deadline, request });
    }

    fn request(&self, sent: &[Sent]) -> OffsetCommitRequest {
        let topics = by_topic(sent.iter().map(|sent| (sent.key.topic.clone(), sent)));
        let partition = |sent: &&Sent| CommitPartition {
            index: sent.key.partition,
            offset: sent.wanted.position.offset,
            leader_epoch: sent.wanted.position.epoch,
            metadata: Some(sent.wanted.metadata.clone()),
        };
        let topic = |(name, sent): (TopicName, Vec<&Sent>)| CommitTopic {
            name,
            id: sent.first().map_or(TopicId::ZERO, |sent| sent.topic_id),
            partitions: sent.iter().map(partition).collect(),
        };
        OffsetCommitRequest {
            group: self.identity.group.clone(),
            generation_or_epoch: self.identity.generation,
            member: self.identity.member.clone(),
            instance: self.identity.instance.clone(),
            retention_ms: DEFAULT_RETENTION,
            topics: topics.into_iter().map(topic).collect(),
        }
    }

    fn responded(&mut self, now: Instant, sent: Vec<Sent>, response: &OffsetCommitResponse) {
        self.pause.clear();
        let codes = codes(&sent, response);
        let mut stale = BTreeSet::new();
        let (mut committed, mut moved) = (0_usize, false);
        let mut refused = Vec::new();
        for sent in sent {
            let (recovery, error) = match codes.get(&sent.key) {
                Some(None) => {
                    committed += 1;
                    self.committed(&sent.wanted.tickets);
                    continue;
                }
                Some(Some(code)) => (code.commit_recovery(), Error::broker(*code, "could not commit an offset")),
                // The topic may have another id by now.
                None => {
                    (CommitRecovery::RefreshMetadata, Error::protocol("the coordinator did not mention the partition"))
                }
            };
            let error = error.in_partition(&sent.key.topic, sent.key.partition);
            match recovery {
                // The generation changed meanwhile, or is about to. The partition is this member's all the same.
                CommitRecovery::Fenced if self.is_passing(&error) && !sent.is_given_up => {
                    self.note_refusal(&error);
                }
                CommitRecovery::Fail | CommitRecovery::Fenced => {
                    self.note_refusal(&error);
                    self.fail(&sent.wanted.tickets, &error);
                    continue;
                }
                CommitRecovery::FindCoordinator => moved = true,
                CommitRecovery::RefreshMetadata => drop(stale.insert(sent.key.topic.clone())),
                CommitRecovery::Retry => {}
            }
            refused.push((sent, error));
        }
        self.retry(now, refused);
        if committed > 0 {
            let group = &self.identity.group;
            tracing::debug!(target: "ottla::consumer", group, partitions = committed, "offsets committed");
        }
        if !stale.is_empty() {
            self.actions.push_back(CommitAction::RefreshMetadata { topics: stale.into_iter().collect() });
        }
        if moved {
            self.actions.push_back(CommitAction::ForgetCoordinator);
        }
    }

    /// There is no response: the coordinator was not found or not reached, or did not respond.
    fn attempt_failed(&mut self, now: Instant, sent: Vec<Sent>, error: &Error) {
        let is_final = match error.code().map(Code::commit_recovery) {
            Some(recovery) => matches!(recovery, CommitRecovery::Fail | CommitRecovery::Fenced),
            None => !error.is_retriable(),
        };
        if is_final {
            return sent.iter().for_each(|sent| self.fail(&sent.wanted.tickets, error));
        }
        self.report_retry(sent.len(), error);
        self.pause.begin(now, &mut self.rng);
        for sent in sent {
            self.requeue(sent, error);
        }
    }

    /// Whether a refusal because of the membership passes by itself.
    fn is_passing(&self, error: &Error) -> bool {
        let passes = matches!(error.code(), Some(Code::RebalanceInProgress | Code::StaleMemberEpoch));
        self.owned.is_some() && (passes || self.sent_as != self.identity)
    }

    /// Notes that the membership is to be renewed. Only the latest refusal counts.
    fn note_refusal(&mut self, error: &Error) {
        let Some(code) = error.code().filter(|code| code.commit_recovery() == CommitRecovery::Fenced) else { return };
        self.refusal = Some((code, self.sent_as.clone()));
    }

    /// Retries partitions together, after the longest of their pauses, so that one response is followed by one request.
    fn retry(&mut self, now: Instant, mut refused: Vec<(Sent, Error)>) {
        if let Some((_, error)) = refused.first() {
            self.report_retry(refused.len(), error);
        }
        let pauses = refused.iter_mut().map(|(sent, _)| sent.wanted.pause.begin(now, &mut self.rng));
        let until = pauses.max();
        for (mut sent, error) in refused {
            sent.wanted.pause.until = until;
            self.requeue(sent, &error);
        }
    }

    fn report_retry(&self, partitions: usize, error: &Error) {
        let (group, error) = (&self.identity.group, error.chain());
        tracing::debug!(target: "ottla::consumer", group, partitions, %error, "commit retried");
    }

    /// Queues a partition again, behind nothing: a newer offset that was queued meanwhile is the one that counts.
    fn requeue(&mut self, sent: Sent, error: &Error) {
        let Sent { key, mut wanted, is_given_up, .. } = sent;
        wanted.tickets.retain(|ticket| self.commits.contains_key(ticket));
        for ticket in &wanted.tickets {
            if let Some(commit) = self.commits.get_mut(ticket) {
                commit.problem = Some(error.clone());
            }
        }
        if is_given_up {
            let error = not_owned(&key);
            self.fail(&wanted.tickets, &error);
        } else if let Some(newer) = self.queue.get_mut(&key) {
            newer.tickets.splice(0..0, wanted.tickets);
            newer.pause = wanted.pause;
        } else if !wanted.tickets.is_empty() {
            self.queue.insert(key, wanted);
        }
    }

    fn committed(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            let Some(commit) = self.commits.get_mut(ticket) else { continue };
            commit.left -= 1;
            if commit.left == 0 {
                self.finish(*ticket, Ok(()));
            }
        }
    }

    fn fail(&mut self, tickets: &[Ticket], error: &Error) {
        for ticket in tickets {
            self.finish(*ticket, Err(error.clone()));
        }
    }

    /// Fails every commit. A request in flight is awaited all the same, so that the next one cannot overtake it.
    fn fail_all(&mut self, error: &Error) {
        let mut tickets: Vec<Ticket> = self.commits.keys().copied().collect();
        tickets.sort_unstable();
        self.fail(&tickets, error);
    }

    /// Ends a commit. Offsets that no other commit contains are not sent any more.
    fn finish(&mut self, ticket: Ticket, result: Result<(), Error>) {
        if self.commits.remove(&ticket).is_none() {
            return;
        }
        match &result {
            Ok(()) => self.counters.commits += 1,
            Err(error) => {
                self.counters.failures += 1;
                let error = error.chain();
                tracing::warn!(target: "ottla::consumer", group = self.identity.group, %error, "commit failed");
                self.queue.retain(|_, wanted| {
                    wanted.tickets.retain(|waiting| *waiting != ticket);
                    !wanted.tickets.is_empty()
                });
            }
        }
        self.results.push_back((ticket, result));
    }
}

fn not_owned(key: &TopicPartition) -> Error {
    let text =
        "the partition is not this member's any more, so its offset was not committed: commit before it is revoked";
    Error::broker(Code::IllegalGeneration, text).in_partition(&key.topic, key.partition)
}

/// The code of each partition that was sent, by the first mention of it. A response names topics as its request did, by name or
/// by id.
fn codes(sent: &[Sent], response: &OffsetCommitResponse) -> HashMap<TopicPartition, Option<Code>> {
    let ids = sent.iter().map(|sent| (sent.topic_id, &sent.key.topic)).filter(|(id, _)| !id.is_zero());
    let ids: HashMap<TopicId, &TopicName> = ids.collect();
    let mut codes = HashMap::new();
    for topic in &response.topics {
        let name = if topic.name.is_empty() { ids.get(&topic.id).copied() } else { Some(&topic.name) };
        let Some(name) = name else { continue };
        for (partition, code) in &topic.partitions {
            codes.entry(TopicPartition { topic: name.clone(), partition: *partition }).or_insert(*code);
        }
    }
    codes
}
