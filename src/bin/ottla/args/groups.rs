//! The options of `ottla groups` and `ottla lag`.

use clap::ArgGroup;
use clap::Args as ClapArgs;
use clap::Subcommand;

#[derive(Debug, ClapArgs)]
#[command(after_help = GROUPS_EXAMPLES)]
pub(crate) struct Groups {
    #[command(subcommand)]
    pub(crate) verb: GroupsVerb,
}

const GROUPS_EXAMPLES: &str = r"Examples:
  ottla groups -b localhost:9092 list
  ottla groups -b localhost:9092 list --state empty --json | jq -r .group
  ottla groups -b localhost:9092 describe audit
  ottla groups -b localhost:9092 delete audit-test";

#[derive(Debug, Subcommand)]
pub(crate) enum GroupsVerb {
    /// Groups of all brokers
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Only groups in this state, repeatable; needs Kafka 2.6: Empty, PreparingRebalance, CompletingRebalance, Stable, …
        #[arg(long)]
        state: Vec<String>,
        /// Only groups of this type, repeatable: classic, consumer, share or streams
        #[arg(long = "type", value_name = "TYPE")]
        kind: Vec<String>,
    },
    /// State, coordinator and members, with their partitions; `ottla lag` has the offsets
    #[command(after_help = DESCRIBE_EXAMPLES)]
    Describe {
        #[arg(required = true)]
        groups: Vec<String>,
    },
    /// Delete groups without members, with their offsets
    #[command(after_help = DELETE_EXAMPLES)]
    Delete {
        #[arg(required = true)]
        groups: Vec<String>,
    },
    /// Move the offsets of a group without members
    #[command(after_help = RESET_EXAMPLES)]
    ResetOffsets(ResetOffsets),
}

const LIST_EXAMPLES: &str = r"Examples:
  ottla groups list -b localhost:9092
  ottla groups list -b localhost:9092 --type consumer --state stable";

const DESCRIBE_EXAMPLES: &str = r"Examples:
  ottla groups describe -b localhost:9092 audit billing
  the partitions of each member:
    ottla groups describe -b localhost:9092 audit --json | jq '.members[] | {member, partitions}'";

const DELETE_EXAMPLES: &str = r"Examples:
  ottla groups delete -b localhost:9092 audit-test";

/// Exactly one goal, one set of topics, and either a dry run or the change.
#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("goal").required(true)))]
#[command(group(ArgGroup::new("topics").required(true)))]
#[command(group(ArgGroup::new("how").required(true)))]
#[command(override_usage = RESET_USAGE)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct ResetOffsets {
    /// The group; it must have no members, and is created if it does not exist
    #[arg(short, long)]
    pub(crate) group: String,
    /// A topic, or some of its partitions, repeatable
    #[arg(short, long, value_name = "TOPIC[:PARTITION,…]", group = "topics")]
    pub(crate) topic: Vec<String>,
    /// Every partition for which the group has committed
    #[arg(long, group = "topics", conflicts_with = "topic")]
    pub(crate) all_topics: bool,
    /// To the oldest record
    #[arg(long, group = "goal")]
    pub(crate) to_earliest: bool,
    /// To the end
    #[arg(long, group = "goal")]
    pub(crate) to_latest: bool,
    /// To this offset
    #[arg(long, value_name = "OFFSET", group = "goal", allow_hyphen_values = true)]
    pub(crate) to_offset: Option<i64>,
    /// To the first record of this time or later, as 2026-01-31T12:00:00 (UTC), with +02:00, or in milliseconds since 1970
    #[arg(long, alias = "to-timestamp", value_name = "TIME", group = "goal", allow_hyphen_values = true)]
    pub(crate) to_datetime: Option<String>,
    /// To the first record that is at most so old, as PT15M or P1DT2H
    #[arg(long, value_name = "DURATION", group = "goal")]
    pub(crate) by_duration: Option<String>,
    /// By so many offsets from the committed one, back if negative
    #[arg(long, value_name = "N", group = "goal", allow_hyphen_values = true)]
    pub(crate) shift_by: Option<i64>,
    /// Print the plan, and change nothing
    #[arg(long, group = "how")]
    pub(crate) dry_run: bool,
    /// Print the plan, and carry it out without asking
    #[arg(long, alias = "yes", group = "how")]
    pub(crate) execute: bool,
}

const RESET_USAGE: &str =
    "ottla groups reset-offsets -g GROUP (-t TOPIC[:PARTITION,…]… | --all-topics) GOAL (--dry-run | --execute)";

const RESET_EXAMPLES: &str = r"A new offset outside the log is moved into it, and a note says so.
Examples:
  see what would change, then change it:
    ottla groups reset-offsets -b localhost:9092 -g audit --all-topics --to-earliest --dry-run
    ottla groups reset-offsets -b localhost:9092 -g audit --all-topics --to-earliest --execute
  read the last quarter of an hour of two partitions again:
    ottla groups reset-offsets -b localhost:9092 -g audit -t events:0,1 --by-duration PT15M --execute";

#[derive(Debug, ClapArgs)]
#[command(after_help = LAG_EXAMPLES)]
pub(crate) struct Lag {
    /// Groups, as a,b or repeated
    #[arg(short, long, required = true, value_delimiter = ',')]
    pub(crate) group: Vec<String>,
    /// Only these topics, with all their partitions; otherwise every partition that is committed or assigned
    #[arg(short, long, value_delimiter = ',')]
    pub(crate) topic: Vec<String>,
    /// Check every so many seconds, until interrupted: a live view on a terminal, else lines; the exit status is that of the last check
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    pub(crate) watch: Option<u64>,
    /// Exit with status 3 if a partition lags by more, is expired or ahead, or has no commit and more records than this
    #[arg(long, value_name = "N")]
    pub(crate) threshold: Option<u64>,
}

const LAG_EXAMPLES: &str = r"STATE is ok, or else: no commit; expired, if records that were not read are deleted; ahead, if the commit
is beyond the end; error. LAG counts from the commit, or from START if it is expired.
Examples:
  ottla lag -b localhost:9092 -g audit
  an alarm for scripts:
    ottla lag -b localhost:9092 -g audit,billing --threshold 10000 > lag.txt || echo 'look at lag.txt'
  the worst partition:
    ottla lag -b localhost:9092 -g audit --json | jq -s 'max_by(.lag)'";
