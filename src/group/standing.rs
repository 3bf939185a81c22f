//! The standing of a member in its group, by either protocol: its identity, what it owns, and what its application is to know.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use std::time::Instant;

use super::GroupMetadata;
use super::step::GroupCounters;
use crate::error::Error;
use crate::error::Kind;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// The part of a member's machine that both protocols have.
#[derive(Debug)]
pub struct Standing {
    pub(super) identity: GroupMetadata,
    pub(super) subscription: BTreeSet<TopicName>,
    /// It has subscribed and not left. A pattern may match no topic.
    pub(super) is_subscribed: bool,
    /// The partitions that the application has taken and not given up.
    pub(super) owned: BTreeSet<TopicPartition>,
    /// When the application must have polled again.
    pub(super) poll_by: Option<Instant>,
    pub(super) errors: VecDeque<Error>,
    /// The error that ended the membership. Every poll returns it.
    pub(super) failure: Option<Error>,
    /// Grows whenever the identity or the owned partitions may have changed.
    pub(super) version: u64,
    pub(super) counters: GroupCounters,
}

impl Standing {
    /// A member that has subscribed to nothing.
    pub(super) fn new(group: &str, instance: Option<&str>) -> Self {
        Self {
            identity: GroupMetadata::none(group, instance.map(str::to_owned)),
            subscription: BTreeSet::new(),
            is_subscribed: false,
            owned: BTreeSet::new(),
            poll_by: None,
            errors: VecDeque::new(),
            failure: None,
            version: 0,
            counters: GroupCounters::default(),
        }
    }

    /// The application polled, and must do so again within `interval`.
    pub(super) fn polled(&mut self, now: Instant, interval: Duration) {
        if self.poll_by.is_some() {
            self.poll_by = Some(now + interval);
        }
    }

    /// The application did not poll for `interval` (KIP-62), which it is to know. The machine leaves the group.
    pub(super) fn polled_too_late(&mut self, interval: Duration) {
        let text = format!(
            "no poll for {interval:?} (poll_interval_max, max.poll.interval.ms), so the group was left: poll more often, \
             take less from each poll, or raise the interval"
        );
        self.errors.push_back(self.error(Kind::Timeout, text));
        tracing::warn!(target: "ottla::group", group = self.identity.group, ?interval, "left the group: no poll in time");
        self.counters.losses += 1;
    }

    /// The application is to know this error. One at a time is kept: a later one says nothing new before it is taken.
    pub(super) fn report(&mut self, error: Error) {
        if self.errors.is_empty() {
            self.errors.push_back(error);
        }
    }

    /// An error that names the group.
    pub(super) fn error(&self, kind: Kind, text: impl fmt::Display) -> Error {
        Error::new(kind, format!("group {}: {text}", self.identity.group))
    }

    /// Grows whenever [`Self::identity`] or [`Self::owned`] may have changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Under which identity offsets are committed.
    pub fn identity(&self) -> &GroupMetadata {
        &self.identity
    }

    /// The partitions that the application has taken and not given up.
    pub fn owned(&self) -> &BTreeSet<TopicPartition> {
        &self.owned
    }

    /// The topics that were subscribed to.
    pub fn subscription(&self) -> &BTreeSet<TopicName> {
        &self.subscription
    }

    /// It wants no topic any more.
    pub(super) fn unsubscribe(&mut self) {
        self.subscription.clear();
        self.is_subscribed = false;
    }

    /// The counters so far.
    pub fn counters(&self) -> GroupCounters {
        self.counters
    }

    /// Takes the next error that the application is to know. The error that ended the membership is returned again and again.
    pub fn poll_error(&mut self) -> Option<Error> {
        self.errors.pop_front().or_else(|| self.failure.clone())
    }

    /// Whether there is an error to take.
    pub fn has_error(&self) -> bool {
        !self.errors.is_empty() || self.failure.is_some()
    }
}
