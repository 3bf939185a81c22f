//! Groups: which there are, their members, their offsets and their lag.
//!
//! Requests go to the coordinator of each group, several groups of one coordinator in one request. A coordinator that moved is found
//! again (`AdminApiDriver` and `CoordinatorStrategy` of the Java client).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::future::Future;
use std::time::Instant;

use tokio::task::JoinSet;

use super::Admin;
use super::TARGET;
use crate::client::Coordinated;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::types::inserted;

mod committed;
mod deleting;
mod describing;
mod lag;
mod listing;
mod removing;
mod state;
#[cfg(all(test, feature = "mock"))]
mod tests;

pub use self::committed::CommittedOffset;
pub use self::committed::GroupOffsets;
pub use self::committed::GroupOffsetsQuery;
pub use self::describing::GroupDescription;
pub use self::describing::GroupMember;
pub use self::lag::GroupLag;
pub use self::lag::GroupLagRequest;
pub use self::lag::Lag;
pub use self::lag::LagQuery;
pub use self::lag::PartitionLag;
pub use self::listing::GroupFilter;
pub use self::listing::GroupListing;
pub use self::listing::ListedGroup;
pub use self::removing::MemberToRemove;
pub use self::state::GroupState;
pub use self::state::GroupType;

/// The outcome of each group of a request.
pub(super) type Outcomes<T> = Vec<(String, Result<T, Error>)>;

/// A request to one coordinator: the admin, the broker, its groups, and the time by which the response has to arrive.
pub(super) type Attempt = (Admin, i32, Vec<String>, Instant);

impl Admin {
    /// Sends requests about groups to their coordinators, until each group has an outcome or `deadline` has passed.
    async fn at_coordinators<T, F>(
        &self,
        groups: impl IntoIterator<Item = String>,
        deadline: Instant,
        attempt: impl Fn(Attempt) -> F,
    ) -> HashMap<String, Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Outcomes<T>> + Send + 'static,
    {
        self.at_coordinators_of(Coordinated::group, groups, deadline, attempt).await
    }

    /// As [`Self::at_coordinators`], about groups or transactional ids, as `kind` says.
    pub(super) async fn at_coordinators_of<T, F>(
        &self,
        kind: fn(String) -> Coordinated,
        groups: impl IntoIterator<Item = String>,
        deadline: Instant,
        attempt: impl Fn(Attempt) -> F,
    ) -> HashMap<String, Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Outcomes<T>> + Send + 'static,
    {
        let mut open = BTreeSet::new();
        let mut decided = HashMap::new();
        for group in groups {
            match check_key(&kind(group.clone())) {
                Ok(()) => drop(open.insert(group)),
                Err(error) => drop(decided.insert(group, Err(error))),
            }
        }
        let mut retry = self.cluster.retry(deadline);
        loop {
            let again = self.ask_coordinators(kind, &open, deadline, &attempt, &mut decided).await;
            let Some(error) = again.values().next().cloned() else { return decided };
            tracing::debug!(target: TARGET, groups = again.len(), error = %error.chain(), "group request retried");
            if retry.pause(error).await.is_err() {
                let late = |error: Error| error.out_of_time("the deadline passed before an attempt succeeded");
                decided.extend(again.into_iter().map(|(group, error)| (group, Err(late(error)))));
                return decided;
            }
            open = inserted(again.into_keys());
        }
    }

    /// Sends one request to each coordinator, all at the same time. Returns the groups that are worth another request, with their
    /// errors.
    async fn ask_coordinators<T, F>(
        &self,
        kind: fn(String) -> Coordinated,
        open: &BTreeSet<String>,
        deadline: Instant,
        attempt: &impl Fn(Attempt) -> F,
        decided: &mut HashMap<String, Result<T, Error>>,
    ) -> BTreeMap<String, Error>
    where
        T: Send + 'static,
        F: Future<Output = Outcomes<T>> + Send + 'static,
    {
        let mut again = BTreeMap::new();
        let mut by_broker: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let groups = open.iter().cloned().map(kind).collect();
        for (group, broker) in self.cluster.coordinators_of(groups, deadline).await {
            let group = group.key().to_owned();
            match broker {
                Ok(broker) => by_broker.entry(broker).or_default().push(group),
                Err(error) if error.is_retriable() => drop(again.insert(group, error)),
                Err(error) => drop(decided.insert(group, Err(error))),
            }
        }
        let mut requests = JoinSet::new();
        for (broker, groups) in by_broker {
            let until = self.cluster.request_deadline(deadline);
            requests.spawn_on(attempt((self.clone(), broker, groups, until)), self.cluster.runtime().handle());
        }
        while let Some(finished) = requests.join_next().await {
            for (group, outcome) in finished.unwrap_or_default() {
                match outcome {
                    Err(error) if error.is_retriable() => {
                        if has_moved(&error) {
                            self.cluster.forget_coordinator(&kind(group.clone()));
                        }
                        again.insert(group, error);
                    }
                    outcome => drop(decided.insert(group, outcome)),
                }
            }
        }
        for group in open.iter().filter(|group| !again.contains_key(*group)) {
            let closed = || Err(Error::new(Kind::Closed, "the runtime is shutting down"));
            decided.entry(group.clone()).or_insert_with(closed);
        }
        again
    }
}

/// Whether another broker may coordinate the group: this one says so, or did not respond.
fn has_moved(error: &Error) -> bool {
    matches!(error.code(), None | Some(Code::CoordinatorNotAvailable | Code::NotCoordinator))
}

/// Refuses a name that a request would cut.
fn check_key(whom: &Coordinated) -> Result<(), Error> {
    let limit = usize::from(i16::MAX.unsigned_abs());
    if whom.key().len() <= limit {
        return Ok(());
    }
    let start: String = whom.to_string().chars().take(60).collect();
    Err(Error::config(format!("{start}… is not valid: its name has more than {limit} bytes")))
}

/// The outcomes in the order of the call.
pub(super) fn in_order<T: Clone>(groups: Vec<String>, decided: &HashMap<String, Result<T, Error>>) -> Outcomes<T> {
    each(groups, |group| decided.get(group).cloned().unwrap_or_else(|| Err(left_out(group))))
}

/// The outcome of each group, in the same order.
pub(super) fn each<T>(groups: Vec<String>, mut outcome: impl FnMut(&str) -> Result<T, Error>) -> Outcomes<T> {
    let paired = |group: String| {
        let outcome = outcome(&group);
        (group, outcome)
    };
    groups.into_iter().map(paired).collect()
}

/// The same error for each group of a request.
pub(super) fn failed<T>(groups: Vec<String>, error: &Error) -> Outcomes<T> {
    each(groups, |_| Err(error.clone()))
}

/// The error for a group that a response leaves out.
fn left_out(group: &str) -> Error {
    Error::protocol(format!("the coordinator did not mention group {group}"))
}

/// The error of a broker for a group, with its own message where it has one.
fn refused(code: Code, action: &str, group: &str, message: Option<&str>) -> Error {
    super::refused(code, &format!("could not {action} group {group}"), message)
}
