//! Heartbeats that failed, or that were answered with an error.

use std::time::Instant;

use super::Action;
use super::Event;
use super::Modern;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::membership::HeartbeatRecovery;
use crate::group::NO_GENERATION;

/// How a group is joined where the brokers do not have this protocol.
const USE_CLASSIC: &str = "the brokers do not have the protocol `consumer` (KIP-848): it needs Kafka 4.0, and group.version 1; until then \
                           use GroupProtocol::Classic (group.protocol=classic)";

impl Modern {
    /// The heartbeat was not answered: the coordinator was not found or not reached, or did not respond in time. Reading goes on: only
    /// a coordinator can say that the member is out.
    pub(super) fn attempt_failed(&mut self, now: Instant, error: Error) {
        match error.code() {
            // A broker that refuses the connection has a code, too, and words of its own.
            Some(code) if !error.is_rejection() => self.refused(now, code, None),
            // A response that cannot be read ends its connection, not the membership.
            _ if error.kind() == Kind::Protocol => {
                if !self.is_joined() && self.standing.errors.is_empty() {
                    self.standing.errors.push_back(error);
                }
                self.pause(now);
            }
            _ if error.is_retriable() => {
                let (group, error) = (&self.settings.group, error.chain());
                tracing::debug!(target: "ottla::group", group, %error, "heartbeat retried");
                self.pause(now);
            }
            _ if error.kind() == Kind::Unsupported => {
                self.fail(self.standing.error(Kind::Unsupported, USE_CLASSIC).caused_by(error));
            }
            _ => self.fail(error),
        }
    }

    /// The coordinator answered with an error. The next heartbeat says everything.
    pub(super) fn refused(&mut self, now: Instant, code: Code, message: Option<String>) {
        let (group, message) = (&self.settings.group, message.unwrap_or_default());
        tracing::debug!(target: "ottla::group", group, code = code.name(), message, "heartbeat refused");
        match code.heartbeat_recovery() {
            HeartbeatRecovery::Fail => self.fail(self.refusal(code, &message)),
            HeartbeatRecovery::FindCoordinator => {
                self.actions.push_back(Action::ForgetCoordinator);
                self.pause(now);
            }
            HeartbeatRecovery::Rejoin => self.fenced(now, code),
            HeartbeatRecovery::Report => {
                self.standing.report(self.refusal(code, &message));
                self.pause(now);
            }
            HeartbeatRecovery::Retry => self.pause(now),
        }
    }

    /// The coordinator does not know this member, or its epoch, any more. It joins again with its id: without a pause, unless it was
    /// joining.
    fn fenced(&mut self, now: Instant, code: Code) {
        let (group, epoch) = (&self.settings.group, self.standing.identity.generation);
        let was_in_group = self.is_joined();
        if was_in_group {
            self.standing.counters.losses += 1;
            tracing::warn!(target: "ottla::group", group, epoch, code = code.name(), "epoch lost");
        }
        self.lose_epoch();
        self.transition(Event::Fenced);
        if !was_in_group {
            self.pause(now);
        }
    }

    pub(super) fn fail(&mut self, error: Error) {
        let group = &self.settings.group;
        tracing::error!(target: "ottla::group", group, error = %error.chain(), "membership failed");
        self.lose_epoch();
        self.standing.poll_by = None;
        self.transition(Event::Failed);
        self.standing.failure = Some(error);
    }

    fn is_joined(&self) -> bool {
        self.standing.identity.generation != NO_GENERATION
    }

    fn pause(&mut self, now: Instant) {
        self.heartbeats.failed(now + self.backoff.next(&mut self.rng));
    }

    fn refusal(&self, code: Code, message: &str) -> Error {
        let instance = self.settings.instance.as_deref().unwrap_or_default();
        let assignor = self.settings.assignor.as_deref().unwrap_or_default();
        // The error adds the remedy of its code, where it has one.
        let remedy = match code {
            Code::FencedInstanceId | Code::UnreleasedInstanceId => format!("the name {instance:?} is another member's"),
            Code::UnsupportedAssignor => format!(
                "the brokers have no assignor {assignor:?}: group_remote_assignor (group.remote.assignor) must be one of their \
                 group.consumer.assignors, which are uniform and range unless configured otherwise"
            ),
            Code::GroupMaxSizeReached => "the group is full".to_owned(),
            Code::GroupAuthorizationFailed => "the client may not read in the group".to_owned(),
            Code::TopicAuthorizationFailed => {
                "the client may not see a topic that it subscribes to: allow it the operation DESCRIBE, or subscribe to others"
                    .to_owned()
            }
            Code::GroupIdNotFound => {
                "the group has members of the classic protocol, and its coordinator converts it not: use GroupProtocol::Classic \
                 (group.protocol=classic), let the members leave first, or choose another group.id"
                    .to_owned()
            }
            Code::UnsupportedVersion => USE_CLASSIC.to_owned(),
            Code::InvalidRegularExpression => format!(
                "the coordinator cannot compile the pattern {:?}, which must be an expression of RE2/J: subscribe to another pattern",
                self.regex.as_deref().unwrap_or_default()
            ),
            _ => "a heartbeat was refused".to_owned(),
        };
        let said = if message.is_empty() { String::new() } else { format!(" (the coordinator says: {message})") };
        Error::broker(code, format!("group {}: {remedy}{said}", self.settings.group))
    }
}
