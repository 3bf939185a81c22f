//! Membership in consumer groups, as pure machines: they get the time, the metadata and the responses as arguments.
//!
//! A machine says by steps which partitions the application gives up and takes. Its [`GroupMetadata`] fences commits: one that belongs
//! to an earlier generation is refused.

pub(crate) mod arrivals;
pub mod assignor;
pub(crate) mod choosing;
pub(crate) mod classic;
pub(crate) mod matching;
pub(crate) mod member;
pub(crate) mod modern;
pub(crate) mod pattern;
pub(crate) mod standing;
pub(crate) mod step;
#[cfg(test)]
mod tests;

/// The generation of a member that is in no group.
pub(crate) const NO_GENERATION: i32 = -1;

/// The protocol by which a consumer is a member of a group (`group.protocol`).
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::consumer::GroupProtocol;
///
/// let builder = client.consumer().group("audit").group_protocol(GroupProtocol::Consumer);
/// let consumer = builder.subscribe(["events"]).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupProtocol {
    /// [`Self::Consumer`] where the brokers have it, the settings allow it, and the group has no members of the classic protocol; otherwise
    /// [`Self::Classic`]. So no running group is converted: stop its members first, or name the protocol. A group without members is
    /// joined by the new protocol, and keeps its offsets.
    ///
    /// The coordinator is asked before the group is joined, which needs the operation DESCRIBE on the group; READ implies it. The log event
    /// `group protocol chosen` says which protocol was chosen, and why. A member keeps it. Settings of the classic protocol alone choose
    /// that one: [assignors](crate::consumer::ConsumerBuilder::assignors),
    /// [session timeout](crate::consumer::ConsumerBuilder::session_timeout) and
    /// [heartbeat interval](crate::consumer::ConsumerBuilder::heartbeat_interval).
    Auto,
    /// Members assign: one of them leads the group, and decides by the [assignor] that all support. Brokers of every release
    /// have it. The default, as in Java.
    #[default]
    Classic,
    /// The coordinator assigns, and members only send heartbeats (KIP-848). Only partitions that move are given up, and nobody waits for
    /// slow members. It needs brokers of Kafka 4.0 or later.
    ///
    /// A group changes from one protocol to the other while it runs, member by member, where the brokers allow it
    /// (`group.consumer.migration.policy`).
    Consumer,
}

/// On whose behalf offsets are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMetadata {
    /// The group.
    pub group: String,
    /// The generation of the group, or the member's epoch; −1 without membership.
    pub generation: i32,
    /// The member's id; empty without membership.
    pub member: String,
    /// The static member's name.
    pub instance: Option<String>,
}

impl GroupMetadata {
    /// A group that has no members: its offsets may be committed by anyone.
    pub(crate) fn none(group: impl Into<String>, instance: Option<String>) -> Self {
        Self { group: group.into(), generation: NO_GENERATION, member: String::new(), instance }
    }
}
