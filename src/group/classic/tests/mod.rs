//! The member by scripts of calls and responses. Times are milliseconds.

mod bench;
mod heartbeats;
mod leading;
mod rebalances;
mod refusals;

use self::bench::check;
use self::bench::check_with;
