//! The coordinators of groups and of transactions: found by kind and key, and remembered until they move.
//!
//! Each call is one attempt whose error codes the caller sees. The caller decides whether to retry.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use super::cluster::Cluster;
use super::connections::ConnectionKind;
use super::routing::Target;
use crate::error::Error;
use crate::error::Kind;
use crate::wire::Call;
use crate::wire::message::FindCoordinatorRequest;
use crate::wire::message::FindCoordinatorResponse;

/// The kinds of keys that brokers coordinate, with their numbers in a FindCoordinator request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CoordinatorKind {
    Group = 0,
    Transaction = 1,
}

/// A group or a transactional id, whose coordinator is a broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Coordinated {
    kind: CoordinatorKind,
    key: String,
}

impl Coordinated {
    pub(crate) fn new(kind: CoordinatorKind, key: impl Into<String>) -> Self {
        Self { kind, key: key.into() }
    }

    /// The consumer group of this name.
    pub(crate) fn group(name: impl Into<String>) -> Self {
        Self::new(CoordinatorKind::Group, name)
    }

    /// A transactional id.
    pub(crate) fn transactional_id(id: impl Into<String>) -> Self {
        Self::new(CoordinatorKind::Transaction, id)
    }

    /// The group, or the transactional id.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Coordinated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            CoordinatorKind::Group => write!(f, "group {}", self.key),
            CoordinatorKind::Transaction => write!(f, "transactional id {}", self.key),
        }
    }
}

/// The coordinators that were found.
#[derive(Debug, Default)]
pub(super) struct Coordinators {
    found: Mutex<HashMap<Coordinated, i32>>,
}

impl Coordinators {
    fn found(&self) -> MutexGuard<'_, HashMap<Coordinated, i32>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// The broker that coordinates `whom`: the one that is cached, or else the result of one FindCoordinator request to any broker.
    pub(crate) async fn coordinator(&self, whom: &Coordinated, deadline: Instant) -> Result<i32, Error> {
        if let Some(broker) = self.coordinators().found().get(whom) {
            return Ok(*broker);
        }
        let request = FindCoordinatorRequest { keys: vec![whom.key.clone()], kind: whom.kind as i8 };
        let found = self.call_any_once(&request, deadline).await?;
        self.note_coordinator(whom, &found)
    }

    /// The brokers that coordinate several groups, or several transactional ids. Those that are not cached are found by one request to any broker, or one after the
    /// other where brokers are older than Kafka 3.0 (KIP-699).
    pub(crate) async fn coordinators_of(
        &self,
        groups: Vec<Coordinated>,
        deadline: Instant,
    ) -> Vec<(Coordinated, Result<i32, Error>)> {
        let unknown: HashSet<Coordinated> = {
            let known = self.coordinators().found();
            groups.iter().filter(|group| !known.contains_key(group)).cloned().collect()
        };
        let keys = unknown.iter().map(|group| group.key.clone()).collect();
        let kind = groups.first().map_or(CoordinatorKind::Group, |group| group.kind);
        let request = FindCoordinatorRequest { keys, kind: kind as i8 };
        let found = match unknown.len() {
            0 | 1 => None,
            _ => Some(self.call_any_once(&request, deadline).await),
        };
        let found = found.filter(|found| !found.as_ref().is_err_and(|error| error.kind() == Kind::Unsupported));
        let mut coordinators = Vec::with_capacity(groups.len());
        for group in groups {
            let broker = match &found {
                Some(found) if unknown.contains(&group) => {
                    found.as_ref().map_err(Error::clone).and_then(|found| self.note_coordinator(&group, found))
                }
                _ => self.coordinator(&group, deadline).await,
            };
            coordinators.push((group, broker));
        }
        coordinators
    }

    /// Caches the coordinator that a response names.
    fn note_coordinator(&self, whom: &Coordinated, found: &FindCoordinatorResponse) -> Result<i32, Error> {
        let Some(found) = found.of(&whom.key) else {
            return Err(Error::protocol(format!("the response does not mention the coordinator of {whom}")));
        };
        if let Some(code) = found.error {
            return Err(Error::broker(code, format!("could not find the coordinator of {whom}")));
        }
        let broker = found.id;
        if self.snapshot().broker(broker).is_none() {
            self.refresh(&[]);
            let text = format!("broker {broker}, the coordinator of {whom}, is not in the metadata yet");
            return Err(Error::new(Kind::Connect, text));
        }
        tracing::info!(target: "ottla::metadata", coordinated = %whom, broker, "coordinator found");
        self.coordinators().found().insert(whom.clone(), broker);
        Ok(broker)
    }

    /// Forgets a coordinator that has moved or does not respond.
    pub(crate) fn forget_coordinator(&self, whom: &Coordinated) {
        if let Some(broker) = self.coordinators().found().remove(whom) {
            tracing::info!(target: "ottla::metadata", coordinated = %whom, broker, "coordinator lost");
        }
    }

    /// Sends a request to a coordinator, once. If no response comes, the coordinator is forgotten. If the response says that the
    /// coordinator moved, the caller calls [`Self::forget_coordinator`].
    pub(crate) async fn call_coordinator<C: Call>(
        &self,
        whom: &Coordinated,
        request: C,
        deadline: Instant,
    ) -> Result<C::Response, Error> {
        let broker = self.coordinator(whom, deadline).await?;
        let response = self.call(Target::Broker(broker), request, self.request_deadline(deadline)).await;
        if response.is_err() {
            self.forget_coordinator(whom);
        }
        response
    }

    /// As [`Self::call_coordinator`], for a reader that is a member of a group: over a connection of its own, and without a limit
    /// but `deadline`, because a coordinator holds some requests until every member has joined.
    pub(crate) async fn call_as_member<C: Call>(
        &self,
        reader: u64,
        whom: &Coordinated,
        request: C,
        deadline: Instant,
    ) -> Result<C::Response, Error> {
        let broker = self.coordinator(whom, deadline).await?;
        let kind = ConnectionKind::Membership { reader };
        let response = self.call_over(kind, Target::Broker(broker), request, deadline).await;
        if response.is_err() {
            self.forget_coordinator(whom);
        }
        response
    }
}
