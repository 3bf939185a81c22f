//! The state of a group, as tests read it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::Classic;
use super::Group;
use super::Member;
use super::Phase;
use super::Rules;
use super::kind::Members;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// The state of a group (`ClassicGroupState`, `ConsumerGroupState`).
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
    /// The generation has its assignment; of KIP-848, every member has all partitions of its target.
    Stable,
    /// KIP-848: an epoch has begun, and the next heartbeat computes its target assignment.
    Assigning,
    /// KIP-848: members are on their way to the target assignment.
    Reconciling,
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
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
    /// Its generation, of KIP-848 its epoch; 0 before the first.
    pub generation: i32,
    /// The epoch of the target assignment of KIP-848; `None` in the classic protocol.
    pub assignment_epoch: Option<i32>,
    /// The kind of its members, `consumer` for consumers; `None` where none has joined.
    pub protocol_type: Option<String>,
    /// The protocol that the coordinator chose, of consumers the name of an assignor; `None` without a generation. In KIP-848 the
    /// assignor of the coordinator.
    pub protocol: Option<String>,
    /// The id of the member that leads; `None` in KIP-848.
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
    /// The id that the coordinator gave it, or that it gave itself (KIP-1082).
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
    /// Its state in a group of KIP-848; `None` in the classic protocol.
    pub modern: Option<ModernMember>,
}

/// A member of a group of KIP-848; see [`MemberDescription::modern`].
///
/// # Examples
///
/// ```
/// use ottla::mock::GroupDescription;
///
/// /// Whether every member has what the coordinator wants it to have.
/// fn has_settled(group: &GroupDescription) -> bool {
///     group.members.iter().filter_map(|member| member.modern.as_ref()).all(|member| member.assigned == member.target)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModernMember {
    /// Its epoch; −2 of a static member that left and may return.
    pub epoch: i32,
    /// Its rack.
    pub rack: Option<String>,
    /// The assignor of the coordinator that it names.
    pub assignor: Option<String>,
    /// The topics to which it subscribes.
    pub topics: Vec<TopicName>,
    /// The regular expression to which it subscribes.
    pub regex: Option<String>,
    /// The partitions that it has, or gets by the response to its last heartbeat.
    pub assigned: Vec<TopicPartition>,
    /// The partitions that it has to give up.
    pub revoking: Vec<TopicPartition>,
    /// The partitions that it is to have.
    pub target: Vec<TopicPartition>,
}

impl Group {
    pub(in crate::mock) fn describe(
        &self,
        rules: Rules,
        name_of: &dyn Fn(TopicId) -> Option<TopicName>,
    ) -> GroupDescription {
        match &self.members {
            Members::Classic(classic) => classic.describe(),
            Members::Modern(modern) => modern.describe(rules.session_timeout, name_of),
        }
    }
}

impl From<Phase> for GroupState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Empty => Self::Empty,
            Phase::PreparingRebalance => Self::PreparingRebalance,
            Phase::CompletingRebalance => Self::CompletingRebalance,
            Phase::Stable => Self::Stable,
        }
    }
}

impl Classic {
    fn describe(&self) -> GroupDescription {
        let text = |text: &Option<kafka_protocol::protocol::StrBytes>| text.as_ref().map(ToString::to_string);
        let protocol = self.protocol.as_deref().unwrap_or_default();
        GroupDescription {
            state: self.state.into(),
            generation: self.generation,
            assignment_epoch: None,
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
            modern: None,
        }
    }
}
