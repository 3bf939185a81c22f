//! The state of a group, as tests read it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::Group;
use super::Member;

/// The state of a group (`ClassicGroupState`).
///
/// # Examples
///
/// ```
/// use ottla::mock::GroupState;
///
/// assert_eq!(GroupState::PreparingRebalance.to_string(), "PreparingRebalance");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupState {
    /// It has no members.
    Empty,
    /// The coordinator waits for JoinGroup of every member.
    PreparingRebalance,
    /// A generation has begun, and the coordinator waits for the leader's SyncGroup.
    CompletingRebalance,
    /// The generation has its assignment.
    Stable,
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        })
    }
}

/// A group with its members; see [`Cluster::describe_group`](crate::mock::Cluster::describe_group).
///
/// # Examples
///
/// ```
/// use ottla::mock::GroupDescription;
///
/// fn summary(group: &GroupDescription) -> String {
///     format!("{} in generation {}, {} members", group.state, group.generation, group.members.len())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its state.
    pub state: GroupState,
    /// Its generation; 0 before the first.
    pub generation: i32,
    /// The kind of its members, `consumer` for consumers; `None` where none has joined.
    pub protocol_type: Option<String>,
    /// The protocol that the coordinator chose, of consumers the name of an assignor; `None` without a generation.
    pub protocol: Option<String>,
    /// The id of the member that leads.
    pub leader: Option<String>,
    /// Its members, in the order in which they joined.
    pub members: Vec<MemberDescription>,
    /// The ids that were given to members, which have not joined with them (KIP-394).
    pub pending: Vec<String>,
}

/// A member of a group; see [`GroupDescription`].
///
/// # Examples
///
/// ```
/// use ottla::mock::{GroupDescription, MemberDescription};
///
/// /// The member of a client.
/// fn member_of<'a>(group: &'a GroupDescription, client: &str) -> Option<&'a MemberDescription> {
///     group.members.iter().find(|member| member.client_id == client)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberDescription {
    /// The id that the coordinator gave it.
    pub id: String,
    /// The name of a static member (`group.instance.id`).
    pub instance_id: Option<String>,
    /// The client id.
    pub client_id: String,
    /// The time without a heartbeat after which it is removed.
    pub session_timeout: Duration,
    /// The longest time that a rebalance waits for it.
    pub rebalance_timeout: Duration,
    /// The protocols that it offers, the preferred one first.
    pub protocols: Vec<String>,
    /// Its metadata for the chosen protocol: of consumers the subscription.
    pub metadata: Bytes,
    /// Its assignment; empty before the leader has assigned.
    pub assignment: Bytes,
    /// Whether the coordinator holds a JoinGroup or SyncGroup of it.
    pub is_waiting: bool,
}

impl Group {
    pub(in crate::mock) fn describe(&self) -> GroupDescription {
        let text = |text: &Option<kafka_protocol::protocol::StrBytes>| text.as_ref().map(ToString::to_string);
        let protocol = self.protocol.as_deref().unwrap_or_default();
        GroupDescription {
            state: self.state,
            generation: self.generation,
            protocol_type: text(&self.protocol_type),
            protocol: text(&self.protocol),
            leader: text(&self.leader),
            members: self.members.iter().map(|member| member.describe(protocol)).collect(),
            pending: self.invited.iter().map(|(id, _)| id.to_string()).collect(),
        }
    }
}

impl Member {
    fn describe(&self, protocol: &str) -> MemberDescription {
        MemberDescription {
            id: self.id.to_string(),
            instance_id: self.instance.as_ref().map(ToString::to_string),
            client_id: self.client_id.clone(),
            session_timeout: self.session_timeout,
            rebalance_timeout: self.rebalance_timeout,
            protocols: self.protocols.iter().map(|(name, _)| name.to_string()).collect(),
            metadata: self.metadata(protocol),
            assignment: self.assignment.clone(),
            is_waiting: self.joining.is_some() || self.syncing.is_some(),
        }
    }
}
