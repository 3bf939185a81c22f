//! Removes members from groups.

use super::super::Admin;
use super::Attempt;
use super::Outcomes;
use super::failed;
use super::left_out;
use super::refused;
use crate::client::Target;
use crate::error::Error;
use crate::wire::message as m;

/// A member to be removed from its group.
///
/// ```
/// use ottla::admin::MemberToRemove;
///
/// let stale = MemberToRemove::instance("worker-3").because("its machine is gone");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberToRemove {
    id: String,
    instance_id: Option<String>,
    reason: Option<String>,
}

impl MemberToRemove {
    /// A static member, by its instance id (`group.instance.id`).
    pub fn instance(id: impl Into<String>) -> Self {
        Self { id: String::new(), instance_id: Some(id.into()), reason: None }
    }

    /// A dynamic member, by the id that [`Admin::describe_groups`] shows.
    pub fn member(id: impl Into<String>) -> Self {
        Self { id: id.into(), instance_id: None, reason: None }
    }

    /// Why, for the log of the broker; at most 255 characters are sent (KIP-800, Kafka 3.2).
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Its id, or its instance id.
    pub fn name(&self) -> &str {
        self.instance_id.as_deref().unwrap_or(&self.id)
    }

    fn to_wire(&self) -> m::LeavingMember {
        const REASON_MAX: usize = 255;
        let cut = |reason: &String| reason.chars().take(REASON_MAX).collect();
        m::LeavingMember {
            member: self.id.clone(),
            instance: self.instance_id.clone(),
            reason: self.reason.as_ref().map(cut),
        }
    }

    fn is(&self, left: &m::LeftMember) -> bool {
        left.instance.as_deref() == self.instance_id.as_deref()
            && (self.instance_id.is_some() || *left.member == *self.id)
    }
}

impl Admin {
    /// Removes members from a group, so that it rebalances at once. Each has an outcome of its own, in the order of the call.
    ///
    /// The request goes to the group's coordinator (API LeaveGroup, KIP-345). A member that is not in the group has the error
    /// [`UNKNOWN_MEMBER_ID`](crate::error::Code::UnknownMemberId). A member that still runs joins again, unless it is a static one, which fails. A
    /// request without a response is repeated, so that a member that the first request removed may be reported as unknown.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::MemberToRemove;
    ///
    /// for (member, removed) in admin.remove_members("billing", [MemberToRemove::instance("worker-3")]).await {
    ///     removed?;
    ///     println!("removed {}", member.name());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn remove_members(
        &self,
        group: impl Into<String>,
        members: impl IntoIterator<Item = MemberToRemove>,
    ) -> Vec<(MemberToRemove, Result<(), Error>)> {
        let (group, members): (String, Vec<MemberToRemove>) = (group.into(), members.into_iter().collect());
        if members.is_empty() {
            return Vec::new();
        }
        let leaving: Vec<m::LeavingMember> = members.iter().map(MemberToRemove::to_wire).collect();
        let attempt = |attempt: Attempt| leave(attempt, leaving.clone());
        let left = self.at_coordinators([group.clone()], self.deadline(), attempt).await;
        let left = left.into_values().next().unwrap_or_else(|| Err(left_out(&group)));
        let outcome = |member: MemberToRemove| {
            let outcome = match &left {
                Ok(left) => outcome(&group, &member, left),
                Err(error) => Err(error.clone()),
            };
            (member, outcome)
        };
        members.into_iter().map(outcome).collect()
    }

    /// As [`Self::remove_members`], of all members that the group has now. Fails if the group cannot be described.
    pub async fn remove_all_members(
        &self,
        group: impl Into<String>,
        reason: &str,
    ) -> Result<Vec<(MemberToRemove, Result<(), Error>)>, Error> {
        let group = group.into();
        let described = self.describe_groups([group.as_str()]).await;
        let described = described.into_iter().next().map_or_else(|| Err(left_out(&group)), |(_, outcome)| outcome)?;
        let member = |member: super::GroupMember| {
            let named = member.instance_id.map(MemberToRemove::instance);
            named.unwrap_or_else(|| MemberToRemove::member(member.id)).because(reason)
        };
        Ok(self.remove_members(group, described.members.into_iter().map(member)).await)
    }
}

async fn leave(
    (admin, broker, groups, until): Attempt,
    members: Vec<m::LeavingMember>,
) -> Outcomes<Vec<m::LeftMember>> {
    let Some(group) = groups.first().cloned() else { return Vec::new() };
    let request = m::LeaveGroupRequest { group: group.clone(), members };
    match admin.cluster.call(Target::Broker(broker), request, until).await {
        Ok(m::LeaveGroupResponse { error: Some(code), .. }) => {
            vec![(group.clone(), Err(refused(code, "remove members of", &group, None)))]
        }
        Ok(response) => vec![(group, Ok(response.members))],
        Err(error) => failed(groups, &error),
    }
}

fn outcome(group: &str, member: &MemberToRemove, left: &[m::LeftMember]) -> Result<(), Error> {
    let text = format!("could not remove member {} of group {group}", member.name());
    match left.iter().find(|left| member.is(left)) {
        Some(m::LeftMember { error: None, .. }) => Ok(()),
        Some(m::LeftMember { error: Some(code), .. }) => Err(Error::broker(*code, text)),
        None => Err(Error::protocol(format!("{text}: the coordinator did not mention it"))),
    }
}
