//! The options of `ottla acl`, `quotas`, `users`, `transactions`, `producers`, `quorum`, `elect` and `reassign`.

use clap::ArgGroup;
use clap::Args as ClapArgs;
use clap::Subcommand;

#[derive(Debug, ClapArgs)]
#[command(after_help = ACL_EXAMPLES)]
pub(crate) struct Acl {
    #[command(subcommand)]
    pub(crate) verb: AclVerb,
}

const ACL_EXAMPLES: &str = r"Examples:
  ottla acl list -b localhost:9092 --principal User:alice
  ottla acl add -b localhost:9092 --principal User:alice --operation Read,Describe --topic orders
  ottla acl remove -b localhost:9092 --principal User:alice";

#[derive(Debug, Subcommand)]
pub(crate) enum AclVerb {
    /// Entries that match all options that are given
    List(AclOptions),
    /// Add an entry for each operation
    Add(AclOptions),
    /// Show the entries that match all options that are given, and remove them
    Remove {
        #[command(flatten)]
        entries: AclOptions,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("resource")))]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct AclOptions {
    /// The principal, as User:NAME; User:* is everybody
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite or All; as a,b or
    /// repeated
    #[arg(long, value_delimiter = ',')]
    pub(crate) operation: Vec<String>,
    /// A topic; * is every topic
    #[arg(long, group = "resource")]
    pub(crate) topic: Option<String>,
    /// A group
    #[arg(long, group = "resource")]
    pub(crate) group: Option<String>,
    /// A transactional id
    #[arg(long, value_name = "ID", group = "resource")]
    pub(crate) transactional_id: Option<String>,
    /// The cluster
    #[arg(long, group = "resource")]
    pub(crate) cluster: bool,
    /// The name is a beginning of names
    #[arg(long)]
    pub(crate) prefixed: bool,
    /// List and remove: every entry that applies to a resource of this name
    #[arg(long, conflicts_with = "prefixed")]
    pub(crate) applying: bool,
    /// The address from which the principal connects; every one if not given
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// The operation is denied
    #[arg(long)]
    pub(crate) deny: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = QUOTAS_EXAMPLES)]
pub(crate) struct Quotas {
    #[command(subcommand)]
    pub(crate) verb: QuotasVerb,
}

const QUOTAS_EXAMPLES: &str = r"Examples:
  ottla quotas describe -b localhost:9092
  ottla quotas alter -b localhost:9092 --user batch --set producer_byte_rate=1048576
  ottla quotas alter -b localhost:9092 --user batch --remove producer_byte_rate";

#[derive(Debug, Subcommand)]
pub(crate) enum QuotasVerb {
    /// Quotas of the entities that match all options that are given
    Describe(QuotaOf),
    /// Set and remove quotas of one entity
    #[command(group(ArgGroup::new("change").required(true).multiple(true)))]
    Alter {
        #[command(flatten)]
        of: QuotaOf,
        /// Set a quota, repeatable: producer_byte_rate, consumer_byte_rate, request_percentage, controller_mutation_rate,
        /// connection_creation_rate
        #[arg(long, value_name = "QUOTA=NUMBER", group = "change")]
        set: Vec<String>,
        /// Remove a quota, so that the default applies, repeatable
        #[arg(long, value_name = "QUOTA", group = "change")]
        remove: Vec<String>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct QuotaOf {
    /// A user; default: is all users without a quota of their own
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// A client id, or default:
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// An address, or default:
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = USERS_EXAMPLES)]
pub(crate) struct Users {
    #[command(subcommand)]
    pub(crate) verb: UsersVerb,
}

const USERS_EXAMPLES: &str = r"Examples:
  ottla users list -b localhost:9092
  cat password.txt | ottla users set -b localhost:9092 alice
  ottla users delete -b localhost:9092 alice --mechanism SCRAM-SHA-256";

#[derive(Debug, Subcommand)]
pub(crate) enum UsersVerb {
    /// Users with SCRAM credentials, all of them or those that are named
    List { users: Vec<String> },
    /// Set the password of a user, which is the first line of standard input
    Set {
        user: String,
        /// SCRAM-SHA-256 or SCRAM-SHA-512
        #[arg(long, default_value = "SCRAM-SHA-512")]
        mechanism: String,
    },
    /// Delete the password of a user
    Delete {
        user: String,
        /// SCRAM-SHA-256 or SCRAM-SHA-512
        #[arg(long, default_value = "SCRAM-SHA-512")]
        mechanism: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = TRANSACTIONS_EXAMPLES)]
pub(crate) struct Transactions {
    #[command(subcommand)]
    pub(crate) verb: TransactionsVerb,
}

const TRANSACTIONS_EXAMPLES: &str = r"Examples:
  transactions that have been open for more than a quarter of an hour:
    ottla transactions list -b localhost:9092 --state Ongoing --running-for PT15M
  the end of one that its coordinator forgot:
    ottla producers -b localhost:9092 orders:0
    ottla transactions abort -b localhost:9092 orders:0 --start-offset 4711";

#[derive(Debug, Subcommand)]
pub(crate) enum TransactionsVerb {
    /// Transactional ids of all brokers
    List {
        /// Only ids in this state, repeatable: Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort
        #[arg(long)]
        state: Vec<String>,
        /// Only ids with this producer id, repeatable
        #[arg(long, value_name = "ID")]
        producer_id: Vec<i64>,
        /// Only transactions that have been open for longer, as PT15M; needs Kafka 3.8
        #[arg(long, value_name = "DURATION")]
        running_for: Option<String>,
        /// Only ids that match this regular expression; needs Kafka 4.1
        #[arg(long)]
        pattern: Option<String>,
    },
    /// State, producer and partitions of transactional ids
    Describe {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Abort the open transaction of a partition that its coordinator does not know
    Abort {
        /// TOPIC:PARTITION
        place: String,
        /// The offset at which the transaction begins, as `ottla producers` shows it
        #[arg(long, value_name = "OFFSET")]
        start_offset: i64,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = PRODUCERS_EXAMPLES)]
pub(crate) struct Producers {
    /// TOPIC:PARTITION, or TOPIC for all its partitions
    #[arg(required = true, value_name = "PLACE")]
    pub(crate) places: Vec<String>,
}

const PRODUCERS_EXAMPLES: &str = r"Examples:
  ottla producers -b localhost:9092 orders
  the open transactions:
    ottla producers -b localhost:9092 orders --json | jq 'select(.transaction_start)'";

pub(crate) const QUORUM_EXAMPLES: &str = r#"BEHIND counts from the leader's log. Times are in milliseconds since 1970.
Examples:
  ottla quorum -b localhost:9092
  ottla quorum -b localhost:9092 --json | jq 'select(.role == "observer")'"#;

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("which").required(true)))]
#[command(after_help = ELECT_EXAMPLES)]
pub(crate) struct Elect {
    /// TOPIC:PARTITION
    #[arg(value_name = "PLACE", group = "which")]
    pub(crate) places: Vec<String>,
    /// Every partition whose leader is not the preferred one
    #[arg(long, group = "which", conflicts_with = "unclean")]
    pub(crate) all: bool,
    /// Elect any replica that runs, where none in sync does: records that it lacks are lost
    #[arg(long)]
    pub(crate) unclean: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

const ELECT_EXAMPLES: &str = r"Examples:
  ottla elect -b localhost:9092 --all
  ottla elect -b localhost:9092 orders:0 --unclean";

#[derive(Debug, ClapArgs)]
#[command(after_help = REASSIGN_EXAMPLES)]
pub(crate) struct Reassign {
    #[command(subcommand)]
    pub(crate) verb: ReassignVerb,
}

const REASSIGN_EXAMPLES: &str = r"Examples:
  ottla reassign to -b localhost:9092 orders:0=2,3,4 orders:1=3,4,2
  ottla reassign list -b localhost:9092
  ottla reassign cancel -b localhost:9092 orders:0";

#[derive(Debug, Subcommand)]
pub(crate) enum ReassignVerb {
    /// Partitions whose replicas are moving
    List,
    /// Move the replicas of partitions to these brokers
    To {
        /// TOPIC:PARTITION=BROKER,BROKER…; the first is the preferred leader
        #[arg(required = true, value_name = "MOVE")]
        moves: Vec<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Cancel moves that are under way
    Cancel {
        /// TOPIC:PARTITION
        #[arg(required = true, value_name = "PLACE")]
        places: Vec<String>,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct Completions {
    /// bash, zsh, fish, elvish or powershell
    pub(crate) shell: clap_complete::Shell,
}

const COMPLETIONS_EXAMPLES: &str = r"Examples:
  ottla completions bash > ~/.local/share/bash-completion/completions/ottla
  ottla completions zsh > ~/.zfunc/_ottla
  ottla completions fish > ~/.config/fish/completions/ottla.fish";
