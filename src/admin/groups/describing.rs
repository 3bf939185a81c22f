//! Describes groups of both protocols, and their members.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::Admin;
use super::super::BrokerDescription;
use super::Attempt;
use super::GroupState;
use super::GroupType;
use super::Outcomes;
use super::each;
use super::failed;
use super::in_order;
use super::left_out;
use super::refused;
use crate::client::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::consumer_protocol::Assignment;
use crate::wire::consumer_protocol::Subscription;
use crate::wire::consumer_protocol::TopicPartitions;
use crate::wire::message as m;

/// A group and its members. Returned by [`Admin::describe_groups`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// By which protocol its members join.
    pub kind: GroupType,
    /// Its state.
    pub state: GroupState,
    /// `consumer` for consumers, `connect` for Kafka Connect; empty for a classic group that never had members.
    pub protocol_type: String,
    /// The assignor; empty for a classic group without a generation.
    pub protocol: String,
    /// The broker that coordinates it.
    pub coordinator: BrokerDescription,
    /// Its epoch; `None` for a classic group.
    pub epoch: Option<i32>,
    /// Its members, by their ids.
    pub members: Vec<GroupMember>,
}

impl GroupDescription {
    /// The member that has a partition.
    pub fn owner(&self, partition: &TopicPartition) -> Option<&GroupMember> {
        self.members.iter().find(|member| member.partitions().contains(partition))
    }
}

/// A member of a group. Part of a [`GroupDescription`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// Its id.
    pub id: String,
    /// The name of a static member (`group.instance.id`).
    pub instance_id: Option<String>,
    /// Its client id (`client.id`).
    pub client_id: String,
    /// The address from which it is connected, as its coordinator sees it.
    pub host: String,
    /// Its rack (`client.rack`); `None` if it has none, or for a classic group.
    pub rack: Option<String>,
    /// Its epoch; `None` for a classic group.
    pub epoch: Option<i32>,
    /// The topics that it subscribes to. `None` where they are not known: its subscription is not that of a consumer, or a classic
    /// group rebalances.
    pub topics: Option<Vec<TopicName>>,
    /// The pattern of topics that it subscribes to, if the coordinator matches it (KIP-848).
    pub pattern: Option<String>,
    /// The partitions that it has, sorted. `None` where they are not known, as for [`GroupMember::topics`].
    pub assignment: Option<Vec<TopicPartition>>,
    /// The partitions that it is to have, sorted; `None` for a classic group.
    pub target: Option<Vec<TopicPartition>>,
}

impl GroupMember {
    /// The partitions that it has, none where they are not known.
    pub fn partitions(&self) -> &[TopicPartition] {
        self.assignment.as_deref().unwrap_or_default()
    }
}

impl Admin {
    /// Describes groups: state, assignor, coordinator and members. Each has an outcome of its own, in the order of the call.
    ///
    /// Groups of both protocols have one result type. A group that does not exist has the error
    /// [`GROUP_ID_NOT_FOUND`](Code::GroupIdNotFound), whatever the release of its broker. Share and streams groups have it too, with
    /// the broker's message.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// for (group, described) in admin.describe_groups(["billing", "audit"]).await {
    ///     let described = described?;
    ///     println!("{group} is {}, coordinated by broker {}", described.state, described.coordinator.id);
    ///     for member in &described.members {
    ///         println!("  {} at {} has {} partitions", member.client_id, member.host, member.partitions().len());
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn describe_groups<G: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = G>,
    ) -> Vec<(String, Result<GroupDescription, Error>)> {
        let groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        let described = self.at_coordinators(groups.clone(), self.deadline(), describe).await;
        in_order(groups, &described)
    }
}

/// Describes groups of one coordinator as those of KIP-848, and the others as classic ones (`DescribeConsumerGroupsHandler`).
async fn describe((admin, broker, mut groups, until): Attempt) -> Outcomes<GroupDescription> {
    let request = m::ConsumerGroupDescribeRequest { groups: groups.clone(), include_authorized_operations: false };
    let mut outcomes = match admin.cluster.call(Target::Broker(broker), request, until).await {
        Ok(response) => consumers(&admin, broker, &mut groups, response),
        Err(error) if error.kind() == Kind::Unsupported => Vec::new(),
        Err(error) => return failed(groups, &error),
    };
    if groups.is_empty() {
        return outcomes;
    }
    let request = m::DescribeGroupsRequest { groups: groups.clone(), include_authorized_operations: false };
    match admin.cluster.call(Target::Broker(broker), request, until).await {
        Ok(response) => outcomes.extend(classics(&admin, broker, groups, response)),
        Err(error) => outcomes.extend(failed(groups, &error)),
    }
    outcomes
}

/// Takes the groups of KIP-848 out of `groups`. Those that stay may be classic ones.
fn consumers(
    admin: &Admin,
    broker: i32,
    groups: &mut Vec<String>,
    response: m::ConsumerGroupDescribeResponse,
) -> Outcomes<GroupDescription> {
    let mut found: HashMap<Box<str>, m::DescribedConsumerGroup> =
        response.groups.into_iter().map(|group| (group.group.clone(), group)).collect();
    let mut outcomes = Vec::new();
    groups.retain(|group| {
        let outcome = match found.remove(&**group) {
            Some(m::DescribedConsumerGroup {
                error: Some(Code::GroupIdNotFound | Code::UnsupportedVersion), ..
            }) => {
                return true;
            }
            Some(m::DescribedConsumerGroup { error: Some(code), error_message, .. }) => {
                Err(refused(code, "describe", group, error_message.as_deref()))
            }
            Some(described) => Ok(consumer_group(admin, broker, described)),
            None => Err(left_out(group)),
        };
        outcomes.push((group.clone(), outcome));
        false
    });
    outcomes
}

fn consumer_group(admin: &Admin, broker: i32, group: m::DescribedConsumerGroup) -> GroupDescription {
    let member = |member: m::DescribedConsumer| GroupMember {
        id: member.names.text(0).to_owned(),
        instance_id: member.names.get(1).map(str::to_owned),
        client_id: member.client.text(0).to_owned(),
        host: host(member.client.text(1)),
        rack: member.names.get(2).map(str::to_owned),
        epoch: Some(member.epoch),
        topics: Some(member.topics.iter().flatten().map(TopicName::from).collect()),
        pattern: member.regex.map(Into::into).filter(|pattern: &String| !pattern.is_empty()),
        assignment: Some(partitions(member.assignment)),
        target: Some(partitions(member.target)),
    };
    GroupDescription {
        kind: GroupType::Consumer,
        state: GroupState::parse(&group.state),
        protocol_type: "consumer".to_owned(),
        protocol: group.assignor.into(),
        coordinator: coordinator(admin, broker),
        epoch: Some(group.epoch),
        members: sorted(group.members.into_iter().map(member).collect()),
    }
}

fn partitions(assignment: m::ConsumerAssignment) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for topic in assignment.topics {
        let name = TopicName::from(&*topic.name);
        partitions.extend(topic.partitions.into_iter().map(|partition| TopicPartition::new(name.clone(), partition)));
    }
    partitions.sort();
    partitions
}

fn classics(
    admin: &Admin,
    broker: i32,
    groups: Vec<String>,
    response: m::DescribeGroupsResponse,
) -> Outcomes<GroupDescription> {
    let mut found: HashMap<Box<str>, m::DescribedGroup> =
        response.groups.into_iter().map(|group| (group.group.clone(), group)).collect();
    each(groups, |group| match found.remove(group) {
        Some(m::DescribedGroup { error: Some(code), error_message, .. }) => {
            Err(refused(code, "describe", group, error_message.as_deref().map(|text| &**text)))
        }
        // Before version 6 a group that does not exist is described as dead.
        Some(described) if GroupState::parse(&described.state) == GroupState::Dead => {
            Err(refused(Code::GroupIdNotFound, "describe", group, None))
        }
        Some(described) => Ok(classic_group(admin, broker, described)),
        None => Err(left_out(group)),
    })
}

fn classic_group(admin: &Admin, broker: i32, group: m::DescribedGroup) -> GroupDescription {
    let of_consumers = &*group.protocol_type == "consumer";
    let member = |member: m::DescribedMember| {
        let metadata = of_consumers.then(|| Bytes::from(member.metadata.to_vec()));
        let assigned = of_consumers.then(|| Bytes::from(member.assignment.to_vec()));
        let flat = |assignment: Assignment| {
            let mut partitions = TopicPartitions::flatten(&assignment.partitions);
            partitions.sort();
            partitions
        };
        GroupMember {
            id: member.member().to_owned(),
            instance_id: member.instance().map(str::to_owned),
            client_id: member.client_id().to_owned(),
            host: host(member.host()),
            rack: None,
            epoch: None,
            topics: metadata.and_then(|bytes| Subscription::decode(bytes).ok()).map(|decoded| decoded.topics),
            pattern: None,
            // A member without partitions may have an empty assignment.
            assignment: assigned
                .and_then(|bytes| if bytes.is_empty() { None } else { Assignment::decode(bytes).ok() })
                .map(flat),
            target: None,
        }
    };
    GroupDescription {
        kind: GroupType::Classic,
        state: GroupState::parse(&group.state),
        protocol_type: group.protocol_type.into(),
        protocol: group.protocol.into(),
        coordinator: coordinator(admin, broker),
        epoch: None,
        members: sorted(group.members.into_iter().map(member).collect()),
    }
}

fn sorted(mut members: Vec<GroupMember>) -> Vec<GroupMember> {
    members.sort_by(|one, other| one.id.cmp(&other.id));
    members
}

/// Java's `InetAddress` prints a slash before the address.
fn host(host: &str) -> String {
    host.strip_prefix('/').unwrap_or(host).to_owned()
}

fn coordinator(admin: &Admin, broker: i32) -> BrokerDescription {
    let node = admin.cluster.snapshot().broker(broker).cloned();
    let m::Node { id, host, port, rack } = node.unwrap_or(m::Node { id: broker, port: -1, ..m::Node::default() });
    BrokerDescription { id, host, port, rack }
}
