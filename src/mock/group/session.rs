//! Timers: sessions that end, invitations, the time to join and to send SyncGroup.

use std::time::Instant;

use kafka_protocol::protocol::StrBytes;

use super::Classic;
use super::Member;
use super::Rules;

/// The timer that is due first.
enum Timer {
    Invitation(StrBytes),
    Joins,
    Session(usize),
    Syncs,
}

impl Classic {
    /// When [`Classic::handle_timeout`] has something to do if nothing else happens first.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers().map(|(at, _)| at).min()
    }

    /// Does what is due, in the order in which it became due; returns whether anything was.
    pub(super) fn handle_timeout(&mut self, now: Instant, rules: Rules) -> bool {
        let mut was_due = false;
        while let Some((_, timer)) = self.timers().filter(|(at, _)| *at <= now).min_by_key(|(at, _)| *at) {
            was_due = true;
            match timer {
                Timer::Invitation(id) => {
                    self.expire(now, rules, &id);
                }
                Timer::Joins => self.joins_are_due(now),
                Timer::Session(at) => self.session_ended(now, rules, at),
                Timer::Syncs => self.syncs_are_due(now, rules),
            }
        }
        was_due
    }

    fn timers(&self) -> impl Iterator<Item = (Instant, Timer)> {
        let invited = self.invited.iter().map(|(id, at)| (*at, Timer::Invitation(id.clone())));
        let session = |(at, member): (usize, &Member)| Some((member.expires?, Timer::Session(at)));
        let sessions = self.members.iter().enumerate().filter_map(session);
        let joins = self.joins_until.map(|joins| (joins.at(), Timer::Joins));
        let syncs = self.syncs_until.map(|at| (at, Timer::Syncs));
        invited.chain(sessions).chain(joins).chain(syncs)
    }

    /// A member whose request waits is alive (`hasSatisfiedHeartbeat`). Its session begins again with the response.
    fn session_ended(&mut self, now: Instant, rules: Rules, at: usize) {
        let member = &mut self.members[at];
        member.expires = None;
        let is_alive = !member.is_new && (member.joining.is_some() || member.syncing.is_some());
        let id = member.id.clone();
        if !is_alive {
            self.expire(now, rules, &id);
        }
    }
}
