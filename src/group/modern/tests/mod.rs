//! The member by scripts of calls and responses. Times are milliseconds.

mod bench;
mod heartbeats;
mod leaving;
mod patterns;
mod reconciling;
mod refusals;
mod states;
mod table;

use self::bench::check;
use self::bench::check_with;
use self::bench::settings;
