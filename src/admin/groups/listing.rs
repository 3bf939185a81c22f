//! Lists the groups of all brokers.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::task::JoinSet;

use super::super::Admin;
use super::super::TARGET;
use super::GroupState;
use super::GroupType;
use crate::client::Target;
use crate::error::Error;
use crate::error::Kind;
use crate::wire::message as m;

/// The groups to list.
///
/// ```
/// use ottla::admin::GroupFilter;
/// use ottla::admin::GroupState;
/// use ottla::admin::GroupType;
///
/// let empty = GroupFilter::all().state(GroupState::Empty);
/// let consumers = GroupFilter::all().kind(GroupType::Classic).kind(GroupType::Consumer);
/// ```
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    states: Vec<GroupState>,
    kinds: Vec<GroupType>,
}

impl GroupFilter {
    /// Every group.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only groups in this state, or in another one that is given. Brokers before 2.6 do not list states (KIP-518): they fail with
    /// [`Kind::Unsupported`].
    pub fn state(mut self, state: GroupState) -> Self {
        self.states.push(state);
        self
    }

    /// Only groups of this type, or of another one that is given. All groups of brokers before 3.8, which do not list types, are
    /// [classic](GroupType::Classic).
    pub fn kind(mut self, kind: GroupType) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Older brokers ignore filters that they do not know.
    fn request(&self) -> m::ListGroupsRequest {
        m::ListGroupsRequest {
            states: self.states.iter().map(ToString::to_string).collect(),
            types: self.kinds.iter().map(|kind| kind.to_string().to_ascii_lowercase()).collect(),
        }
    }

    fn admits(&self, group: &ListedGroup) -> bool {
        let has_state = self.states.is_empty() || group.state.as_ref().is_some_and(|state| self.states.contains(state));
        let kind = group.kind.as_ref().unwrap_or(&GroupType::Classic);
        has_state && (self.kinds.is_empty() || self.kinds.contains(kind))
    }
}

/// A group, as its coordinator lists it. Part of a [`GroupListing`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedGroup {
    /// Its id (`group.id`).
    pub group: String,
    /// Its type; `None` from brokers before 3.8.
    pub kind: Option<GroupType>,
    /// Its state; `None` from brokers before 2.6.
    pub state: Option<GroupState>,
    /// `consumer` for consumers, `connect` for Kafka Connect; empty for a group that never had members.
    pub protocol_type: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
}

/// The groups of a cluster. Returned by [`Admin::list_groups`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GroupListing {
    /// The groups, by their ids.
    pub groups: Vec<ListedGroup>,
    /// The brokers that did not list their groups, by their ids. The groups that they coordinate are missing.
    pub failed: Vec<(i32, Error)>,
}

impl Admin {
    /// Lists the groups that the principal may describe.
    ///
    /// Every broker is asked for the groups that it coordinates, all at the same time. A broker that fails does not hide the groups of
    /// the others: it is in [`GroupListing::failed`]. Fails only if no broker can say which brokers there are.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::GroupFilter;
    /// use ottla::admin::GroupState;
    ///
    /// let listing = admin.list_groups(GroupFilter::all().state(GroupState::Empty)).await?;
    /// for group in listing.groups {
    ///     println!("{} has no members", group.group);
    /// }
    /// for (broker, error) in listing.failed {
    ///     eprintln!("the groups of broker {broker} are missing: {error:#}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn list_groups(&self, filter: GroupFilter) -> Result<GroupListing, Error> {
        let deadline = self.deadline();
        let mut requests = JoinSet::new();
        for broker in self.broker_ids(deadline).await? {
            let (admin, request) = (self.clone(), filter.request());
            let listed = async move { (broker, admin.list_groups_of(broker, request, deadline).await) };
            requests.spawn_on(listed, self.cluster.runtime().handle());
        }
        let mut found = BTreeMap::new();
        let mut listing = GroupListing::default();
        while let Some(finished) = requests.join_next().await {
            let Ok((broker, groups)) = finished else { continue };
            match groups.and_then(|groups| filtered(&filter, broker, groups)) {
                // A group that moves may be listed by two brokers.
                Ok(groups) => found.extend(groups.into_iter().map(|group| (group.group.clone(), group))),
                Err(error) => listing.failed.push((broker, error)),
            }
        }
        listing.failed.sort_by_key(|(broker, _)| *broker);
        listing.groups = found.into_values().collect();
        Ok(listing)
    }

    /// Asks one broker for its groups, until it responds or `deadline` has passed: it may still be loading them.
    async fn list_groups_of(
        &self,
        broker: i32,
        request: m::ListGroupsRequest,
        deadline: Instant,
    ) -> Result<Vec<m::ListedGroup>, Error> {
        let mut retry = self.cluster.retry(deadline);
        loop {
            let until = self.cluster.request_deadline(deadline);
            let error = match self.cluster.call(Target::Broker(broker), request.clone(), until).await {
                Ok(m::ListGroupsResponse { error: None, groups, .. }) => return Ok(groups),
                Ok(m::ListGroupsResponse { error: Some(code), .. }) => {
                    Error::broker(code, "could not list groups").at_broker(broker.to_string())
                }
                Err(error) => error,
            };
            tracing::debug!(target: TARGET, broker, error = %error.chain(), "listing of groups retried");
            retry.pause(error).await?;
        }
    }
}

fn filtered(filter: &GroupFilter, broker: i32, groups: Vec<m::ListedGroup>) -> Result<Vec<ListedGroup>, Error> {
    if !filter.states.is_empty() && groups.iter().any(|group| group.state().is_none()) {
        let text = "the broker does not list the states of groups: it is older than Kafka 2.6";
        return Err(Error::new(Kind::Unsupported, text).at_broker(broker.to_string()));
    }
    let listed = |group: m::ListedGroup| ListedGroup {
        group: group.group().to_owned(),
        kind: group.kind().filter(|kind| !kind.is_empty()).map(GroupType::parse),
        state: group.state().map(GroupState::parse),
        protocol_type: group.protocol_type().to_owned(),
        coordinator: broker,
    };
    Ok(groups.into_iter().map(listed).filter(|group| filter.admits(group)).collect())
}
