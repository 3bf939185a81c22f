//! Leaving the group: by the application's wish, or because it does not poll.

use std::time::Instant;

use super::Action;
use super::Event;
use super::Modern;
use super::State;
use crate::error::Code;
use crate::error::Error;
use crate::wire::message::ConsumerGroupHeartbeatRequest;
use crate::wire::message::ConsumerGroupHeartbeatResponse;

/// The epoch of a member that leaves.
const LEAVES: i32 = -1;
/// The epoch of a static member that leaves, and will return. Its partitions are kept until its session ends.
const LEAVES_FOR_A_WHILE: i32 = -2;

impl Modern {
    /// Leaves the group, so that others get its partitions at once. A static member only says that it will return, unless
    /// `even_static` (KIP-345, KIP-1092). What it owned is not revoked by a step: the owner does that before.
    pub fn leave(&mut self, now: Instant, even_static: bool, reason: &str) {
        if self.state.is_in_group() {
            tracing::debug!(target: "ottla::group", group = self.settings.group, reason, "leaving the group");
        }
        self.depart(Some((now, even_static)));
    }

    /// Ends the membership here. The coordinator keeps it until the session ends (KIP-1092); only a static member says that it will
    /// return, as in Java.
    pub fn stay(&mut self, now: Instant) {
        self.depart(self.settings.instance.is_some().then_some((now, false)));
    }

    /// Ends the membership, with a heartbeat that says so or without one.
    fn depart(&mut self, says_so: Option<(Instant, bool)>) {
        if self.state == State::Leaving {
            return self.unsubscribe();
        }
        let is_known = self.state.is_in_group() && self.heartbeats.has_begun();
        let says_so = says_so.filter(|_| is_known);
        self.transition(Event::LeaveWanted);
        if let Some((now, even_static)) = says_so {
            self.send_leave(now, even_static);
        }
        self.lose_epoch();
        self.standing.owned.clear();
        self.unsubscribe();
        self.names.clear();
        (self.taken, self.standing.poll_by) = (None, None);
        if self.state == State::Leaving && says_so.is_none() {
            self.transition(Event::Left);
        }
    }

    /// Whether the coordinator has not confirmed yet that the member has left.
    pub fn is_leaving(&self) -> bool {
        self.state == State::Leaving
    }

    /// The heartbeat that leaves is answered, or lost. Either way the member is gone: at the latest, its session ends.
    pub(super) fn left(&mut self, now: Instant, response: &Result<ConsumerGroupHeartbeatResponse, Error>) {
        let group = &self.settings.group;
        match response {
            Ok(response) => {
                let code = response.error.map(Code::name);
                tracing::info!(target: "ottla::group", group, code, "group left");
            }
            Err(error) => {
                tracing::info!(target: "ottla::group", group, error = %error.chain(), "could not say goodbye");
            }
        }
        if self.state == State::Leaving {
            self.transition(Event::Left);
            if self.standing.is_subscribed {
                self.standing.poll_by = Some(now + self.settings.poll_interval_max);
                self.transition(Event::Subscribed);
            }
        }
    }

    fn unsubscribe(&mut self) {
        self.standing.unsubscribe();
        self.regex = None;
    }

    fn send_leave(&mut self, now: Instant, even_static: bool) {
        let is_static = self.settings.instance.is_some() && !even_static;
        let epoch = if is_static { LEAVES_FOR_A_WHILE } else { LEAVES };
        let request = ConsumerGroupHeartbeatRequest { epoch, ..self.request() };
        let tag = self.number();
        self.heartbeats.leaving = Some(tag);
        self.actions.push_back(Action::Leave { tag, deadline: now + self.settings.request_timeout, request });
    }

    /// The application did not poll for `max.poll.interval.ms`: others are to have its partitions (KIP-62).
    pub(super) fn poll_too_late(&mut self, now: Instant) {
        self.standing.polled_too_late(self.settings.poll_interval_max);
        if self.heartbeats.has_begun() {
            self.send_leave(now, false);
        }
        self.lose_epoch();
        self.transition(Event::PollExpired);
    }
}
