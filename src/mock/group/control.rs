//! The commands of tests to groups.

use super::GroupDescription;
use crate::mock::cluster::Cluster;

/// Commands of tests to groups, and the state that they read.
impl Cluster {
    /// The state and the members of a group; `None` where it has neither members nor offsets, and never had any.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::Client;
    /// use ottla::mock::{Cluster, GroupState, Server};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// // In a #[tokio::test(start_paused = true)].
    /// let server = Server::in_memory(Cluster::builder().topic("orders", 6).build());
    /// let client = Client::builder([server.bootstrap()])?.connector(server.connector()).connect().await?;
    /// let mut consumer = client.consumer().group("audit").subscribe(["orders"]).build()?;
    /// consumer.wait_for_assignment(std::time::Duration::from_secs(10)).await?;
    ///
    /// let group = server.with(|cluster| cluster.describe_group("audit")).expect("it has a member");
    /// assert_eq!((group.state, group.generation, group.members.len()), (GroupState::Stable, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn describe_group(&self, group: &str) -> Option<GroupDescription> {
        let name_of = |id| self.state.name_of(id).cloned();
        self.state.groups.get(group).map(|group| group.describe(self.state.settings.groups, &name_of))
    }

    /// Ends the session of a member now, as if its heartbeats had failed to come; returns whether the group has this member.
    ///
    /// The others learn by their next heartbeat that the group rebalances. The member learns by its own that it is unknown.
    pub fn expire_member(&mut self, group: &str, member_id: &str) -> bool {
        let rules = self.state.settings.groups;
        let Some(now) = self.state.now else { return false };
        let Some(group) = self.state.groups.get_mut(group) else { return false };
        self.state.changes += 1;
        group.expire(now, rules, member_id)
    }

    /// Makes the generation or epoch that a member has one that its coordinator refuses; returns whether the group has this member.
    ///
    /// The next heartbeat of a member of KIP-848 is answered with `FENCED_MEMBER_EPOCH` (110), after which it gives up its partitions
    /// and joins again. Members of the classic protocol share the generation: all get `ILLEGAL_GENERATION` (22) and join again.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::mock::Cluster;
    ///
    /// let mut cluster = Cluster::builder().build();
    /// assert!(!cluster.fence_member("audit", "nobody"));
    /// ```
    pub fn fence_member(&mut self, group: &str, member_id: &str) -> bool {
        let Some(group) = self.state.groups.get_mut(group) else { return false };
        self.state.changes += 1;
        group.fence(member_id)
    }

    /// Begins a rebalance of a group, as a member that joins does; returns whether it has a generation to end.
    ///
    /// Members of the classic protocol learn by their next heartbeat that they have to join again, and those that do not within their
    /// rebalance timeout are removed. A group of KIP-848 gets another epoch, for which the coordinator assigns again: members keep
    /// what they have where that is balanced.
    pub fn rebalance_group(&mut self, group: &str) -> bool {
        let rules = self.state.settings.groups;
        let Some(now) = self.state.now else { return false };
        let Some(group) = self.state.groups.get_mut(group) else { return false };
        self.state.changes += 1;
        group.force_rebalance(now, rules)
    }
}
