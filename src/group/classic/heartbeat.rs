//! Heartbeats, the time between polls, and leaving when that is too long.

use std::time::Duration;
use std::time::Instant;

use super::Action;
use super::Classic;
use super::Phase;
use crate::error::Error;
use crate::error::membership::MembershipRecovery;
use crate::group::NO_GENERATION;
use crate::wire::message::HeartbeatRequest;
use crate::wire::message::HeartbeatResponse;

/// When heartbeats are sent.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    due: Option<Instant>,
    /// The request in flight, and the generation that it carries.
    in_flight: Option<(u64, i32)>,
}

impl Heartbeats {
    /// The first heartbeat of a generation is due after one interval.
    pub(super) fn begin(&mut self, now: Instant, interval: Duration) {
        *self = Self { due: Some(now + interval), in_flight: None };
    }

    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.filter(|_| self.in_flight.is_none())
    }
}

impl Classic {
    /// Whether the coordinator expects heartbeats. While it holds JoinGroup, it expects none.
    pub(super) fn beats(&self) -> bool {
        self.standing.identity.generation != NO_GENERATION
            && match self.phase {
                Phase::Preparing { .. }
                | Phase::Assigning { .. }
                | Phase::Syncing { .. }
                | Phase::Applying { .. }
                | Phase::Stable => true,
                Phase::Idle | Phase::Joining { .. } | Phase::Late | Phase::Failed { .. } => false,
            }
    }

    pub(super) fn plan_heartbeat(&mut self, now: Instant) {
        let is_due = self.heartbeats.poll_timeout().is_some_and(|due| due <= now);
        if !is_due || !self.beats() {
            return;
        }
        let tag = self.tag();
        self.heartbeats.in_flight = Some((tag, self.standing.identity.generation));
        let request = HeartbeatRequest {
            group: self.standing.identity.group.clone(),
            generation: self.standing.identity.generation,
            member: self.standing.identity.member.clone(),
            instance: self.standing.identity.instance.clone(),
        };
        // A later answer says nothing of a session that has ended meanwhile.
        let longest = self.settings.session_timeout.min(self.settings.request_timeout);
        self.actions.push_back(Action::Heartbeat { tag, deadline: now + longest, request });
    }

    /// Takes the response to Heartbeat, or the error of the attempt.
    pub fn handle_heartbeat(&mut self, now: Instant, tag: u64, response: Result<HeartbeatResponse, Error>) {
        let Some((_, generation)) = self.heartbeats.in_flight.take_if(|(awaited, _)| *awaited == tag) else { return };
        self.heartbeats.due = Some(now + self.settings.heartbeat_interval);
        match response.map(|response| response.error) {
            _ if generation != self.standing.identity.generation => {}
            Ok(None) => self.standing.counters.heartbeats += 1,
            Ok(Some(code)) => self.heartbeat_refused(now, code),
            // Credentials and certificates that are refused stay wrong, and the broker's words say why.
            Err(error) if error.is_rejection() => self.fail(error),
            Err(error) => match error.code() {
                Some(code) => self.heartbeat_refused(now, code),
                // The coordinator is sought again. Reading goes on: only a coordinator can say that the session has ended.
                None => self.heartbeats.due = Some(now + self.settings.retry_backoff),
            },
        }
        self.plan(now);
    }

    fn heartbeat_refused(&mut self, now: Instant, code: crate::error::Code) {
        match code.membership_recovery() {
            MembershipRecovery::FindCoordinator => {
                self.actions.push_back(Action::ForgetCoordinator);
                self.heartbeats.due = Some(now + self.settings.retry_backoff);
            }
            MembershipRecovery::Retry => self.heartbeats.due = Some(now + self.settings.retry_backoff),
            MembershipRecovery::Rejoin => self.want_rejoin("the group is rebalancing"),
            MembershipRecovery::Fail | MembershipRecovery::NewGeneration | MembershipRecovery::NewMember => {
                self.refused(now, code, "a heartbeat was refused");
            }
        }
    }

    /// The application did not poll for `max.poll.interval.ms`: others are to have its partitions (KIP-62).
    pub(super) fn poll_too_late(&mut self, now: Instant) {
        match self.phase {
            Phase::Idle | Phase::Late | Phase::Failed { .. } => return,
            Phase::Preparing { .. }
            | Phase::Joining { .. }
            | Phase::Assigning { .. }
            | Phase::Syncing { .. }
            | Phase::Applying { .. }
            | Phase::Stable => {}
        }
        self.standing.polled_too_late(self.settings.poll_interval_max);
        // A static member keeps its place until its session ends (KIP-345).
        if self.settings.instance.is_none() {
            self.send_leave(now, "the application did not poll in time");
        }
        self.lose_generation(true);
        self.want_rejoin("the application polls again");
        self.phase = Phase::Late;
    }
}
