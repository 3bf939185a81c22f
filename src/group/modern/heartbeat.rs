//! Heartbeats: when they are sent, what they say, and what their responses change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Action;
use super::Event;
use super::Held;
use super::Modern;
use super::State;
use crate::error::Error;
use crate::error::Kind;
use crate::group::NO_GENERATION;
use crate::types::TopicName;
use crate::types::millis_i32;
use crate::wire::message::ConsumerGroupHeartbeatRequest;
use crate::wire::message::ConsumerGroupHeartbeatResponse;

/// The epoch of a member that joins.
const JOINS: i32 = 0;
/// No coordinator makes a member send heartbeats more often than this.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// No coordinator makes a member silent for longer than this: sessions last for a minute at most (`group.consumer.max.session.timeout.ms`).
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Says that a number did not change.
const UNCHANGED: i32 = -1;

/// When heartbeats are sent, and what the coordinator knows by them.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    due: Option<Instant>,
    /// No heartbeat is sent before.
    paused_until: Option<Instant>,
    /// The next one does not wait for the interval.
    is_wanted: bool,
    /// The request in flight, and when it was sent.
    in_flight: Option<(u64, Instant)>,
    /// The heartbeat in flight that leaves the group. No other is sent before it is over.
    pub(super) leaving: Option<u64>,
    /// The fields that were sent since the last error. `None` says everything again.
    said: Option<Said>,
}

/// The fields of a heartbeat that may change.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    topics: BTreeSet<TopicName>,
    regex: Option<Arc<str>>,
    held: Option<Held>,
}

impl Heartbeats {
    /// Begins an epoch: everything is said again, at once.
    pub(super) fn begin(&mut self) {
        *self = Self { leaving: self.leaving, ..Self::default() };
    }

    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// The last heartbeat failed. The next one says everything, after a pause.
    pub(super) fn failed(&mut self, until: Instant) {
        self.said = None;
        (self.due, self.paused_until) = (Some(until), Some(until));
    }

    fn is_awaited(&self) -> bool {
        self.in_flight.is_some() || self.leaving.is_some()
    }

    fn next(&self, state: State) -> Option<Instant> {
        let due = self.due.filter(|_| !self.is_wanted && !state.is_urgent());
        due.max(self.paused_until)
    }

    fn is_due(&self, now: Instant, state: State) -> bool {
        state.is_in_group() && !self.is_awaited() && self.next(state).is_none_or(|at| at <= now)
    }

    pub(super) fn poll_timeout(&self, state: State) -> Option<Instant> {
        self.next(state).filter(|_| state.is_in_group() && !self.is_awaited())
    }

    /// Whether the coordinator may know the member.
    pub(super) fn has_begun(&self) -> bool {
        self.in_flight.is_some() || self.due.is_some()
    }
}

impl Modern {
    pub(super) fn plan_heartbeat(&mut self, now: Instant) {
        if !self.heartbeats.is_due(now, self.state) {
            return;
        }
        let (tag, request) = (self.number(), self.heartbeat());
        let deadline = now + self.settings.request_timeout;
        self.heartbeats.in_flight = Some((tag, now));
        self.heartbeats.is_wanted = false;
        let topics = self.standing.subscription.clone();
        self.heartbeats.said = Some(Said { topics, regex: self.regex.clone(), held: self.current.clone() });
        self.has_sent_regex |= self.regex.is_some();
        self.actions.push_back(Action::Heartbeat { tag, deadline, request });
        if self.state == State::Acknowledging {
            let is_all = self.current == self.target;
            self.transition(if is_all { Event::Acknowledged } else { Event::PartAcknowledged });
            if !is_all && self.taken.is_none() {
                self.reconcile(now);
            }
        }
    }

    fn heartbeat(&self) -> ConsumerGroupHeartbeatRequest {
        let said = self.heartbeats.said.as_ref();
        let is_full = said.is_none();
        let topics =
            (said.map(|said| &said.topics) != Some(&self.standing.subscription)).then_some(&self.standing.subscription);
        // An empty pattern takes back the one before it, which the coordinator keeps after any error.
        let is_regex_new = said.map(|said| &said.regex) != Some(&self.regex);
        let regex = is_regex_new.then(|| self.regex.as_deref().map(str::to_owned)).flatten();
        let regex = regex.or((is_regex_new && self.has_sent_regex).then(String::new));
        let is_held_new = said.is_none_or(|said| said.held != self.current);
        let held = is_held_new.then(|| self.claimed());
        ConsumerGroupHeartbeatRequest {
            epoch: if self.standing.identity.generation == NO_GENERATION {
                JOINS
            } else {
                self.standing.identity.generation
            },
            rack: Some(self.settings.rack.clone()).filter(|rack| is_full && !rack.is_empty()),
            rebalance_timeout_ms: if is_full { millis_i32(self.settings.poll_interval_max) } else { UNCHANGED },
            topics: topics.map(|topics| topics.iter().cloned().collect()),
            regex,
            assignor: self.settings.assignor.clone().filter(|_| is_full),
            owned: held,
            ..self.request()
        }
    }

    /// A request of this member that says nothing.
    pub(super) fn request(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group: self.settings.group.clone(),
            member: self.id.clone(),
            epoch: JOINS,
            instance: self.settings.instance.clone(),
            rack: None,
            rebalance_timeout_ms: UNCHANGED,
            topics: None,
            regex: None,
            assignor: None,
            owned: None,
        }
    }

    /// Takes the response to a heartbeat, or the error of the attempt.
    pub fn handle_heartbeat(
        &mut self,
        now: Instant,
        tag: u64,
        response: Result<ConsumerGroupHeartbeatResponse, Error>,
    ) {
        if self.heartbeats.leaving.take_if(|awaited| *awaited == tag).is_some() {
            self.left(now, &response);
            return self.plan(now);
        }
        let Some((_, sent)) = self.heartbeats.in_flight.take_if(|(awaited, _)| *awaited == tag) else { return };
        match response {
            Err(error) => self.attempt_failed(now, error),
            Ok(response) => match response.error {
                Some(code) => self.refused(now, code, response.error_message),
                None => self.answered(sent, response),
            },
        }
        self.plan(now);
    }

    fn answered(&mut self, sent: Instant, response: ConsumerGroupHeartbeatResponse) {
        let is_first = self.standing.identity.generation == NO_GENERATION;
        if response.epoch <= 0 {
            let text = format!("the coordinator answered a heartbeat with the epoch {}", response.epoch);
            return self.fail(self.standing.error(Kind::Protocol, text));
        }
        self.standing.counters.heartbeats += 1;
        self.backoff.reset();
        self.heartbeats.paused_until = None;
        let interval = u64::try_from(response.heartbeat_interval_ms).map(Duration::from_millis).unwrap_or_default();
        self.heartbeats.due = Some(sent + interval.clamp(INTERVAL_MIN, INTERVAL_MAX));
        // Below version 1, the coordinator names members (KIP-1082).
        if let Some(id) = response.member.filter(|id| !id.is_empty()) {
            self.id = id;
        }
        if self.standing.identity.generation != response.epoch || self.standing.identity.member != self.id {
            let (group, epoch, member) = (&self.settings.group, response.epoch, &self.id);
            if is_first {
                tracing::info!(target: "ottla::group", group, epoch, member, "group joined");
            } else {
                tracing::debug!(target: "ottla::group", group, epoch, member, "epoch changed");
            }
            self.standing.identity.generation = response.epoch;
            self.standing.identity.member.clone_from(&self.id);
            self.standing.version += 1;
        }
        match response.assignment {
            Some(assignment) => self.take_target(&assignment.topics),
            // A member that joins has nothing, unless the coordinator says otherwise.
            None if is_first => self.take_target(&[]),
            None => {}
        }
    }
}
