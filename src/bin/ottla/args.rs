//! The command line: commands, options and their help.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::Parser;
use clap::Subcommand;

/// A Kafka tool without C: produce, consume, manage topics, measure, and serve a mock cluster.
#[derive(Debug, Parser)]
#[command(name = "ottla", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Common {
    /// Brokers for the first connection, as HOST:PORT[,HOST:PORT…]
    #[arg(short = 'b', long, global = true, value_name = "LIST")]
    pub(crate) brokers: Option<String>,
    /// A property by its Java or librdkafka name, repeatable
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE")]
    pub(crate) properties: Vec<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the cluster's brokers
    Cluster,
    /// Read records
    Consume(Consume),
    /// Write a million records, read them back, verify every one
    Demo(Demo),
    /// Serve an in-memory cluster for any Kafka client
    Mock(Mock),
    /// Measure
    Perf(Perf),
    /// Write records, one a line
    Produce(Produce),
    /// List, describe, create and delete topics
    Topics(Topics),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Number of records
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: u64,
    /// Bytes in each value
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Mock {
    /// Address of the first broker; the others take the next ports, or free ones if the port is 0;
    /// `--brokers N` sets their number
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    pub(crate) listen: String,
    /// A topic to create, as NAME or NAME:PARTITIONS, repeatable
    #[arg(short, long)]
    pub(crate) topic: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Produce {
    /// Topic to write to
    #[arg(short, long)]
    pub(crate) topic: String,
    /// Files to read, one record a line; standard input if none
    pub(crate) files: Vec<PathBuf>,
    /// Delimiter between key and value in each line, with kcat's escapes: \n \r \t \0 \\ \xNN
    #[arg(short = 'K', value_name = "DELIM")]
    pub(crate) key_delimiter: Option<String>,
    /// Refuse lines without the key delimiter; otherwise they are sent without a key, and counted on standard error
    #[arg(long, requires = "key_delimiter")]
    pub(crate) strict: bool,
    /// Partition to write to, instead of the partitioner's choice
    #[arg(short, long)]
    pub(crate) partition: Option<i32>,
    /// A header for every record, repeatable
    #[arg(short = 'H', value_name = "NAME=VALUE")]
    pub(crate) headers: Vec<String>,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(short = 'z', long, value_name = "CODEC")]
    pub(crate) compression: Option<String>,
    /// all, 1 or 0
    #[arg(long)]
    pub(crate) acks: Option<String>,
    /// Send an empty value as null
    #[arg(long)]
    pub(crate) tombstones: bool,
    /// Print a JSON line for each record: partition and offset, or the error
    #[arg(long)]
    pub(crate) report: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Consume {
    /// Topic to read
    #[arg(short, long)]
    pub(crate) topic: String,
    /// beginning, end, an offset, -N (the last N), s@TIMESTAMP_MS or stored; by default stored with -g, else beginning
    #[arg(short, long, allow_hyphen_values = true)]
    pub(crate) offset: Option<String>,
    /// Partitions to read, as 0,1,2; all if not given
    #[arg(short, long, value_delimiter = ',')]
    pub(crate) partitions: Vec<i32>,
    /// Exit after so many records
    #[arg(short, long)]
    pub(crate) count: Option<u64>,
    /// Exit at the end that each partition had at the start
    #[arg(short = 'e', long)]
    pub(crate) exit: bool,
    /// Commit offsets for this group (without joining it)
    #[arg(short, long)]
    pub(crate) group: Option<String>,
    /// read_uncommitted or read_committed
    #[arg(long)]
    pub(crate) isolation: Option<String>,
    /// kcat's letters %t %p %o %k %s %S %K %T %h %% and its escapes \n \r \t \0 \\ \xNN
    #[arg(short, long)]
    pub(crate) format: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Topics {
    #[command(subcommand)]
    pub(crate) verb: TopicsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsVerb {
    /// Names of all topics
    List,
    /// Partitions, leaders, replicas
    Describe { names: Vec<String> },
    /// Create topics
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
    /// Delete topics
    Delete {
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Perf {
    #[command(subcommand)]
    pub(crate) what: PerfWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PerfWhat {
    /// Write records as fast as they are acknowledged, awaiting each delivery
    Produce(PerfOptions),
    /// Read records as fast as possible
    Consume(PerfOptions),
    /// Write records at a rate and measure the time to each acknowledgement
    Latency(PerfOptions),
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct PerfOptions {
    /// Topic
    #[arg(short, long)]
    pub(crate) topic: String,
    /// Number of records
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: u64,
    /// Bytes in each value
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
    /// Largest batch, in bytes
    #[arg(long)]
    pub(crate) batch_bytes: Option<usize>,
    /// Longest time that a record waits for others, in milliseconds
    #[arg(long)]
    pub(crate) linger_ms: Option<u64>,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(short = 'z', long, value_name = "CODEC")]
    pub(crate) compression: Option<String>,
    /// Records a second; as fast as possible if not given (latency: 1000)
    #[arg(long)]
    pub(crate) rate: Option<u64>,
}
