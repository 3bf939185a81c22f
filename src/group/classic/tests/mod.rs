//! The member by scripts of calls and responses. Times are milliseconds.

mod bench;
mod heartbeats;
mod leading;
mod rebalances;
mod refusals;
mod states;

use self::bench::check;
use self::bench::check_with;

/// The life of a member up to its first assignment.
const STABLE: &str = "subscribe a
                      joined 1 m1
                      synced a0
                      done
                      ";
/// The log of that.
const JOINED: &str = "follow a
                      join - a
                      follow a
                      sync g1 m1
                      assign g1 a0 added a0
                      ";
