//! The options of `ottla topics`, `ottla configs` and `ottla records`.

use clap::Args as ClapArgs;
use clap::Subcommand;
use clap::ValueEnum;

#[derive(Debug, ClapArgs)]
#[command(after_help = TOPICS_EXAMPLES)]
pub(crate) struct Topics {
    #[command(subcommand)]
    pub(crate) verb: TopicsVerb,
}

const TOPICS_EXAMPLES: &str = r"Examples:
  ottla topics -b localhost:9092 list
  ottla topics -b localhost:9092 create events -p 6 -r 3 -c retention.ms=86400000
  ottla topics -b localhost:9092 describe events --json
  ottla topics -b localhost:9092 alter events -p 12
  ottla topics -b localhost:9092 delete events --yes";

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsVerb {
    /// Names of all topics
    #[command(after_help = "Examples:\n  ottla topics list -b localhost:9092")]
    List,
    /// Partitions, leaders, replicas; of all topics if none is named
    #[command(after_help = "Examples:\n  ottla topics describe -b localhost:9092 events")]
    Describe { names: Vec<String> },
    /// Create topics
    #[command(after_help = "Examples:\n  ottla topics create -b localhost:9092 events -p 6 -c retention.ms=86400000")]
    Create {
        #[arg(required = true)]
        names: Vec<String>,
        /// Partitions; the broker's default if not given
        #[arg(short, long, default_value_t = -1, allow_hyphen_values = true)]
        partitions: i32,
        /// Replicas of each; the broker's default if not given
        #[arg(short, long, default_value_t = -1, allow_hyphen_values = true)]
        replication: i16,
        /// A setting of the topic, repeatable
        #[arg(short, long, value_name = "KEY=VALUE")]
        config: Vec<String>,
    },
    /// Add partitions to topics; `ottla configs alter` changes their settings
    #[command(after_help = "Examples:\n  ottla topics alter -b localhost:9092 events -p 12")]
    Alter {
        #[arg(required = true)]
        names: Vec<String>,
        /// Partitions of each topic afterwards; Kafka takes none away
        #[arg(short, long)]
        partitions: i32,
    },
    /// Delete topics with their records
    #[command(after_help = "Examples:\n  ottla topics delete -b localhost:9092 events --yes")]
    Delete {
        #[arg(required = true)]
        names: Vec<String>,
        /// Delete without asking
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = CONFIGS_EXAMPLES)]
pub(crate) struct Configs {
    #[command(subcommand)]
    pub(crate) verb: ConfigsVerb,
}

const CONFIGS_EXAMPLES: &str = r"Examples:
  ottla configs -b localhost:9092 describe topic events
  ottla configs -b localhost:9092 alter topic events --set retention.ms=86400000
  ottla configs -b localhost:9092 alter broker 1 --delete log.cleaner.threads";

/// A resource with settings.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Resource {
    /// A topic
    Topic,
    /// A broker by its id, or `default` for what all brokers share
    Broker,
    /// The loggers of a broker
    BrokerLoggers,
    /// A consumer group
    Group,
    /// A subscription to clients' metrics
    ClientMetrics,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigsVerb {
    /// Settings that were made for a resource
    #[command(after_help = "Examples:\n  ottla configs describe -b localhost:9092 topic events --all")]
    Describe {
        /// topic, broker, broker-loggers, group or client-metrics
        kind: Resource,
        #[arg(required = true)]
        names: Vec<String>,
        /// Also settings that have their defaults
        #[arg(long)]
        all: bool,
    },
    /// Change single settings; others stay as they are
    #[command(
        after_help = "Examples:\n  ottla configs alter -b localhost:9092 topic events --set retention.ms=86400000"
    )]
    Alter(AlterConfigs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AlterConfigs {
    /// topic, broker, broker-loggers, group or client-metrics
    pub(crate) kind: Resource,
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
    /// Set a value, repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Give a setting its default again, repeatable
    #[arg(long, value_name = "KEY")]
    pub(crate) delete: Vec<String>,
    /// Add an element to a list, repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) append: Vec<String>,
    /// Take an element from a list, repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) subtract: Vec<String>,
    /// Let the brokers check the change, and make none
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = RECORDS_EXAMPLES)]
pub(crate) struct Records {
    #[command(subcommand)]
    pub(crate) verb: RecordsVerb,
}

const RECORDS_EXAMPLES: &str = r"Examples:
  all records of two topics:
    ottla records -b localhost:9092 delete events alerts
  the records of partition 0 before offset 1000:
    ottla records -b localhost:9092 delete events:0:1000 --yes";

#[derive(Debug, Subcommand)]
pub(crate) enum RecordsVerb {
    /// Delete the oldest records of partitions
    #[command(after_help = RECORDS_EXAMPLES)]
    Delete {
        /// TOPIC, TOPIC:PARTITION or TOPIC:PARTITION:OFFSET; the records before OFFSET, or all that there are now
        #[arg(required = true, value_name = "PLACE")]
        places: Vec<String>,
        /// Delete without asking
        #[arg(long)]
        yes: bool,
    },
}
