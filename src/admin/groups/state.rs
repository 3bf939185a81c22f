//! The states and the types of groups.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The state of a group (`org.apache.kafka.common.GroupState`).
///
/// ```
/// use ottla::admin::GroupState;
///
/// assert_eq!("stable".parse(), Ok(GroupState::Stable));
/// assert_eq!(GroupState::PreparingRebalance.to_string(), "PreparingRebalance");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// Consumer protocol: the coordinator computes an assignment.
    Assigning,
    /// Classic protocol: the coordinator waits for the leader's assignment.
    CompletingRebalance,
    /// The group does not exist, or is being deleted.
    Dead,
    /// It has no members; it may have offsets.
    Empty,
    /// Streams protocol: topics of the topology are missing.
    NotReady,
    /// Classic protocol: the coordinator waits until the members have joined.
    PreparingRebalance,
    /// Consumer protocol: members give up and take over partitions.
    Reconciling,
    /// Every member has its assignment.
    Stable,
    /// A name that this release does not know.
    Unknown(String),
}

/// The type of a group, which says by which protocol its members join (`org.apache.kafka.common.GroupType`).
///
/// ```
/// use ottla::admin::GroupType;
///
/// assert_eq!("Consumer".parse(), Ok(GroupType::Consumer));
/// assert_eq!(GroupType::Classic.to_string(), "Classic");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GroupType {
    /// By JoinGroup, or without members: all groups of brokers before 3.7.
    Classic,
    /// By the protocol of KIP-848.
    Consumer,
    /// Share groups (KIP-932).
    Share,
    /// Streams groups (KIP-1071).
    Streams,
    /// A name that this release does not know.
    Unknown(String),
}

/// Names of variants, read in any case and written as Kafka writes them.
macro_rules! named {
    ($type:ident: $($name:ident,)*) => {
        impl FromStr for $type {
            type Err = Infallible;

            fn from_str(name: &str) -> Result<Self, Infallible> {
                Ok(match () {
                    $(() if name.eq_ignore_ascii_case(stringify!($name)) => Self::$name,)*
                    () => Self::Unknown(name.to_owned()),
                })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Unknown(name) => name,
                })
            }
        }

        impl $type {
            pub(super) fn parse(name: &str) -> Self {
                name.parse().unwrap_or_else(|never: Infallible| match never {})
            }
        }
    };
}

named! { GroupState: Assigning, CompletingRebalance, Dead, Empty, NotReady, PreparingRebalance, Reconciling, Stable, }
named! { GroupType: Classic, Consumer, Share, Streams, }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_unknown_ones_kept() {
        assert_eq!(GroupState::parse("COMPLETINGREBALANCE"), GroupState::CompletingRebalance);
        assert_eq!(GroupType::parse("consumer"), GroupType::Consumer);
        let (state, kind) = (GroupState::parse("Moving"), GroupType::parse("relay"));
        assert_eq!((state.to_string().as_str(), kind.to_string().as_str()), ("Moving", "relay"));
    }
}
