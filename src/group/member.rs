//! A member of a group, by either protocol.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::GroupMetadata;
use super::NO_GENERATION;
use super::classic;
use super::classic::Classic;
use super::modern;
use super::modern::Modern;
use super::standing::Standing;
use super::step::GroupCounters;
use super::step::Step;
use crate::error::Code;
use crate::error::Error;
use crate::metadata::Snapshot;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// The machine of a member. What both protocols have is here; their requests differ.
#[derive(Debug)]
pub(crate) enum Member {
    Classic(Box<Classic>),
    Modern(Box<Modern>),
}

/// The next thing to do for a member.
#[derive(Debug)]
pub(crate) enum Action {
    Classic(classic::Action),
    Modern(modern::Action),
}

/// Calls the same method of either machine.
macro_rules! either {
    ($member:expr, $machine:ident => $call:expr) => {
        match $member {
            Member::Classic($machine) => $call,
            Member::Modern($machine) => $call,
        }
    };
}

impl Member {
    fn standing(&self) -> &Standing {
        either!(self, machine => machine.standing())
    }

    /// Subscribes to these topics and no others.
    pub(crate) fn subscribe(&mut self, now: Instant, topics: BTreeSet<TopicName>) {
        either!(self, machine => machine.subscribe(now, topics));
    }

    pub(crate) fn handle_metadata(&mut self, now: Instant, snapshot: Arc<Snapshot>) {
        either!(self, machine => machine.handle_metadata(now, snapshot));
    }

    /// The application polls.
    pub(crate) fn handle_poll(&mut self, now: Instant) {
        either!(self, machine => machine.handle_poll(now));
    }

    /// A request as this member was refused with this code.
    pub(crate) fn handle_refusal(&mut self, now: Instant, code: Code, identity: &GroupMetadata) {
        either!(self, machine => machine.handle_refusal(now, code, identity));
    }

    /// The application has done the present step.
    pub(crate) fn handle_step_done(&mut self, now: Instant) {
        either!(self, machine => machine.handle_step_done(now));
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        either!(self, machine => machine.handle_timeout(now));
    }

    /// Leaves the group. A static member stays in it, unless `even_static`.
    pub(crate) fn leave(&mut self, now: Instant, even_static: bool, reason: &str) {
        either!(self, machine => machine.leave(now, even_static, reason));
    }

    /// Whether the coordinator has not confirmed yet that the member has left.
    pub(crate) fn is_leaving(&self) -> bool {
        either!(self, machine => machine.is_leaving())
    }

    /// Takes the step that the application has to do next.
    pub(crate) fn step(&mut self) -> Option<Step> {
        either!(self, machine => machine.step())
    }

    pub(crate) fn has_step(&self) -> bool {
        either!(self, machine => machine.has_step())
    }

    pub(crate) fn has_actions(&self) -> bool {
        either!(self, machine => machine.has_actions())
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        match self {
            Self::Classic(machine) => machine.poll_action().map(Action::Classic),
            Self::Modern(machine) => machine.poll_action().map(Action::Modern),
        }
    }

    /// Takes the next error that the application is to know.
    pub(crate) fn poll_error(&mut self) -> Option<Error> {
        either!(self, machine => machine.standing_mut()).poll_error()
    }

    pub(crate) fn has_error(&self) -> bool {
        self.standing().has_error()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        either!(self, machine => machine.poll_timeout())
    }

    /// Grows whenever [`Self::identity`] or [`Self::owned`] may have changed.
    pub(crate) fn version(&self) -> u64 {
        self.standing().version()
    }

    /// Under which identity offsets are committed.
    pub(crate) fn identity(&self) -> &GroupMetadata {
        self.standing().identity()
    }

    /// Under which identity committed offsets are read. The classic protocol has none for that.
    pub(crate) fn reads_as(&self) -> Option<&GroupMetadata> {
        match self {
            Self::Classic(_) => None,
            Self::Modern(machine) => {
                Some(machine.standing().identity()).filter(|identity| identity.generation != NO_GENERATION)
            }
        }
    }

    /// The partitions that the application has taken and not given up.
    pub(crate) fn owned(&self) -> &BTreeSet<TopicPartition> {
        self.standing().owned()
    }

    pub(crate) fn subscription(&self) -> &BTreeSet<TopicName> {
        self.standing().subscription()
    }

    pub(crate) fn counters(&self) -> GroupCounters {
        self.standing().counters()
    }

    /// Whether the member has an assignment, and no rebalance is known to be on.
    pub(crate) fn is_stable(&self) -> bool {
        either!(self, machine => machine.is_stable())
    }
}
