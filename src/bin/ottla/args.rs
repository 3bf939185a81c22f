//! The command line: commands, options and their help.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;

pub(crate) mod admin;
pub(crate) mod groups;
pub(crate) mod operating;

/// A Kafka tool without C: produce, consume, manage topics and groups, measure, and serve a mock cluster.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Args {
    /// The command line with the common options of every command.
    pub(crate) fn whole() -> clap::Command {
        with_common(Self::command())
    }

    /// Reads the command line, or prints its error and exits. The common options may stand before and after the name of a command;
    /// those of a list add up. (clap's own `global` options drop the ones before the name.)
    pub(crate) fn read() -> (Common, Option<Command>) {
        let matches = Self::whole().get_matches();
        let mut common = Common::default();
        let mut level = Some(&matches);
        while let Some(matches) = level {
            common.add(Common::from_arg_matches(matches).unwrap_or_else(|error| error.exit()));
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        let Self { command } = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        (common, command)
    }
}

/// Adds the common options to a command and to all commands below it.
fn with_common(command: clap::Command) -> clap::Command {
    Common::augment_args(command).mut_subcommands(with_common)
}

const EXAMPLES: &str = r"Data goes to standard output, everything else to standard error. The exit status is 0 if all of it worked, 1 for a
failure, 2 for wrong usage, 3 for a lag above `ottla lag --threshold`.

Examples:
  ottla produce -b localhost:9092 -t events access.log
  ottla consume -b localhost:9092 -t events -o -10
  ottla -X list | grep linger
`ottla COMMAND --help` has more.";

// Options of every command. A doc comment would replace the description of each.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Common {
    /// Brokers for the first connection, as HOST:PORT[,HOST:PORT…]; env: takes them from KAFKA_BROKERS
    #[arg(short = 'b', long, value_name = "LIST")]
    pub(crate) brokers: Option<String>,
    /// Read properties from a file of KEY=VALUE lines, repeatable; default: is ~/.config/ottla.properties, kcat: is kcat's file
    #[arg(short = 'F', value_name = "FILE")]
    pub(crate) properties_files: Vec<String>,
    /// A property by its Java or librdkafka name, repeatable; list prints all of them, dump the values in effect
    #[arg(short = 'X', value_name = "KEY=VALUE|list|dump")]
    pub(crate) properties: Vec<String>,
    /// Print logs of admin, config, connection, consumer, group, metadata, producer, queue or all, also as NAME=LEVEL; debug if no level is
    /// given
    #[arg(short = 'd', long = "debug", value_name = "TARGETS", value_delimiter = ',')]
    pub(crate) debug: Vec<String>,
    /// Print JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,
}

impl Common {
    /// Adds the options that stand after those here.
    fn add(&mut self, later: Self) {
        self.brokers = later.brokers.or(self.brokers.take());
        self.properties_files.extend(later.properties_files);
        self.properties.extend(later.properties);
        self.debug.extend(later.debug);
        self.json |= later.json;
    }

    /// Whether `-X WORD` was given.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.properties.iter().any(|property| property == word)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List, add and remove access control entries
    Acl(operating::Acl),
    /// Show the cluster's brokers, its controller and the leader of its quorum
    #[command(after_help = CLUSTER_EXAMPLES)]
    Cluster,
    /// Print a completion script for a shell
    Completions(operating::Completions),
    /// Show the properties that this tool uses
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Describe and change the settings of topics, brokers, groups and subscriptions to metrics
    Configs(admin::Configs),
    /// Read records
    Consume(Consume),
    /// Write a million records, read them back, verify every one
    Demo(Demo),
    /// Elect leaders of partitions
    Elect(operating::Elect),
    /// List, describe and delete groups, and move their offsets
    Groups(groups::Groups),
    /// Show how far groups are behind
    Lag(groups::Lag),
    /// Print the manual page
    Man,
    /// Serve an in-memory cluster for any Kafka client
    Mock(Mock),
    /// Look up offsets, by timestamp too
    Offsets(Offsets),
    /// Measure
    Perf(Perf),
    /// Write records, one a line
    Produce(Produce),
    /// Show the producers whose state partitions keep
    Producers(operating::Producers),
    /// Show the controllers
    #[command(after_help = operating::QUORUM_EXAMPLES)]
    Quorum,
    /// Describe and alter quotas
    Quotas(operating::Quotas),
    /// Move replicas to other brokers
    Reassign(operating::Reassign),
    /// Delete the oldest records of partitions
    Records(admin::Records),
    /// Show the newest records of a topic, and follow it
    Tail(Tail),
    /// List, describe, create, extend and delete topics
    Topics(admin::Topics),
    /// List, describe and abort transactions
    Transactions(operating::Transactions),
    /// List, set and delete SCRAM users
    Users(operating::Users),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the properties in effect, and where each was set: by a file, -X, -b or as a default; secrets are hidden
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain,
}

const EXPLAIN_EXAMPLES: &str = r"No broker is contacted.
Examples:
  what a file of properties of a Java client means here:
    ottla config explain -F client.properties";

#[derive(Debug, ClapArgs)]
#[command(after_help = TAIL_EXAMPLES)]
pub(crate) struct Tail {
    /// Topic to read
    #[arg(short, long)]
    pub(crate) topic: String,
    /// Number of records: the newest of all partitions together, by their timestamps
    #[arg(short, long, default_value_t = 10, value_name = "N")]
    pub(crate) number: usize,
    /// Print so many of each partition
    #[arg(long)]
    pub(crate) per_partition: bool,
    /// Then print new records as they arrive, until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// Format of each record, as for `ottla consume`
    #[arg(short, long)]
    pub(crate) format: Option<String>,
    /// Seconds within which the newest records must arrive
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub(crate) timeout: u64,
}

const TAIL_EXAMPLES: &str = r"No group is used, nothing is committed and no topic is created.
Examples:
  the newest record:
    ottla tail -b localhost:9092 -t events -n 1
  the newest ten with their places, then all that follow:
    ottla tail -b localhost:9092 -t events --follow -f '%t[%p]@%o %s\n'";

#[derive(Debug, ClapArgs)]
#[command(after_help = OFFSETS_EXAMPLES)]
pub(crate) struct Offsets {
    /// TOPIC, TOPIC:PARTITION or TOPIC:PARTITION:WHEN, where WHEN is a timestamp in milliseconds since 1970, beginning or end;
    /// all partitions and the end if not given
    #[arg(required = true, value_name = "PLACE")]
    pub(crate) places: Vec<String>,
}

const OFFSETS_EXAMPLES: &str = r"Examples:
  the ends of all partitions:
    ottla offsets -b localhost:9092 events
  the first record of 2026 in partition 0; -1 if there is none:
    ottla offsets -b localhost:9092 events:0:1767225600000";

const CLUSTER_EXAMPLES: &str = r"Examples:
  ottla cluster -b localhost:9092
  ottla cluster -b localhost:9092 --json | jq -r 'select(.controller) | .host'";

#[derive(Debug, ClapArgs)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct Demo {
    /// Number of records
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: u64,
    /// Bytes in each value
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
}

const DEMO_EXAMPLES: &str = r"Examples:
  on a mock cluster in this process:
    ottla demo
  on real brokers, on a topic that is deleted afterwards:
    ottla demo -b localhost:9092 --records 100000";

#[derive(Debug, ClapArgs)]
#[command(after_help = MOCK_EXAMPLES)]
pub(crate) struct Mock {
    /// Address of the first broker; the others take the next ports, or free ones if the port is 0;
    /// `--brokers N` sets their number
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    pub(crate) listen: String,
    /// A topic to create, as NAME or NAME:PARTITIONS, repeatable
    #[arg(short, long)]
    pub(crate) topic: Vec<String>,
}

const MOCK_EXAMPLES: &str = r"Examples:
  three brokers from port 9092 on, and two topics:
    ottla mock --brokers 3 -t events:6 -t alerts
  a free port, which is printed:
    ottla mock --listen 127.0.0.1:0";

#[derive(Debug, ClapArgs)]
#[command(after_help = PRODUCE_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct Produce {
    /// Topic to write to
    #[arg(short, long)]
    pub(crate) topic: String,
    /// Files to read, one record a line; standard input if none. (kcat sends each file whole unless -l is given: see --whole)
    pub(crate) files: Vec<PathBuf>,
    /// Delimiter between records, a new line by default; escapes: \n \r \t \0 \\ \xNN
    #[arg(short = 'D', value_name = "DELIM", allow_hyphen_values = true)]
    pub(crate) delimiter: Option<String>,
    /// Send each file, or all of standard input, as one record
    #[arg(long, conflicts_with_all = ["delimiter", "key_delimiter", "lines"])]
    pub(crate) whole: bool,
    /// Send one record a line, which is the default; kcat needs this option for files
    #[arg(short, long)]
    pub(crate) lines: bool,
    /// Delimiter between key and value in each line; escapes as for -D
    #[arg(short = 'K', value_name = "DELIM", allow_hyphen_values = true)]
    pub(crate) key_delimiter: Option<String>,
    /// Key of every record; with -K, of lines without the key delimiter
    #[arg(short, long, allow_hyphen_values = true)]
    pub(crate) key: Option<String>,
    /// Refuse lines without the key delimiter; otherwise they are sent without a key, and counted on standard error
    #[arg(long, requires = "key_delimiter", conflicts_with = "key")]
    pub(crate) strict: bool,
    /// Partition to write to, instead of the partitioner's choice
    #[arg(short, long, allow_hyphen_values = true)]
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
    /// Send an empty value, and an empty key before -K's delimiter, as null
    #[arg(short = 'Z', long)]
    pub(crate) tombstones: bool,
    /// Print a JSON line for each record: partition and offset, or the error
    #[arg(long)]
    pub(crate) report: bool,
}

const PRODUCE_EXAMPLES: &str = r"Examples:
  lines of key, tab and value; lines without a tab are refused:
    ottla produce -b localhost:9092 -t events -K '\t' --strict events.tsv
  one picture, under its name:
    ottla produce -b localhost:9092 -t pictures -k cat.png --whole cat.png
  file names that end with a zero byte:
    find . -print0 | ottla produce -b localhost:9092 -t files -D '\0'";

#[derive(Debug, ClapArgs)]
#[command(after_help = CONSUME_EXAMPLES)]
pub(crate) struct Consume {
    /// Topics to read, as a,b or repeated; with -g, one that begins with ^ is a regular expression of whole names
    #[arg(short, long, required = true, value_delimiter = ',')]
    pub(crate) topic: Vec<String>,
    /// beginning, end, an offset, -N (the last N), s@TIMESTAMP_MS or stored; by default stored with -g, else beginning; a second
    /// one, e@TIMESTAMP_MS, stops each partition before the first record with that timestamp or a later one
    #[arg(short, long, allow_hyphen_values = true)]
    pub(crate) offset: Vec<String>,
    /// Partitions to read, as 0,1,2; all if not given
    #[arg(short, long, value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) partitions: Vec<i32>,
    /// Exit after so many records
    #[arg(short, long)]
    pub(crate) count: Option<u64>,
    /// Exit at the end that each partition had at the start
    #[arg(short = 'e', long)]
    pub(crate) exit: bool,
    /// Join this group and commit what was printed; with -p, -o or -e, read without joining it, and commit all the same
    #[arg(short, long)]
    pub(crate) group: Option<String>,
    /// Commit nothing for the group
    #[arg(long, requires = "group")]
    pub(crate) no_commit: bool,
    /// read_uncommitted or read_committed
    #[arg(long)]
    pub(crate) isolation: Option<String>,
    /// kcat's letters %t %p %o %k %s %S %R %K %T %h %% and its escapes \n \r \t \0 \\ \xNN
    #[arg(short, long)]
    pub(crate) format: Option<String>,
    /// Print the key and this delimiter before each value
    #[arg(short = 'K', value_name = "DELIM", allow_hyphen_values = true)]
    pub(crate) key_delimiter: Option<String>,
    /// Delimiter after each record, a new line by default
    #[arg(short = 'D', value_name = "DELIM", allow_hyphen_values = true)]
    pub(crate) delimiter: Option<String>,
    /// Print a null key or value as NULL
    #[arg(short = 'Z', long)]
    pub(crate) nulls: bool,
}

const CONSUME_EXAMPLES: &str = r"Examples:
  all records that there are now, as key and value:
    ottla consume -b localhost:9092 -t events -e -K '\t'
  the last ten of each partition, then those that follow, as JSON:
    ottla consume -b localhost:9092 -t events -o -10 --json
  a share of the records, together with other members of a group:
    ottla consume -b localhost:9092 -t events -g audit
  one day of two topics:
    ottla consume -b localhost:9092 -t a,b -o s@1767225600000 -o e@1767312000000 -e";

#[derive(Debug, ClapArgs)]
#[command(after_help = PERF_EXAMPLES)]
pub(crate) struct Perf {
    #[command(subcommand)]
    pub(crate) what: PerfWhat,
}

const PERF_EXAMPLES: &str = r"Examples:
  ottla perf produce -b localhost:9092 -t bench --records 1000000 --size 100 -z lz4
  ottla perf consume -b localhost:9092 -t bench --records 1000000 -g bench
  ottla perf latency -b localhost:9092 -t bench --rate 1000 --records 60000 --json";

#[derive(Debug, Subcommand)]
pub(crate) enum PerfWhat {
    /// Write records as fast as they are acknowledged, awaiting each delivery
    Produce(PerfOptions),
    /// Read records as fast as possible
    Consume(PerfConsume),
    /// Write records at a rate and measure the time to each acknowledgement
    Latency(PerfOptions),
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct PerfConsume {
    #[command(flatten)]
    pub(crate) options: PerfOptions,
    /// Join this group, start at its committed offsets, and commit the records that were read; measured from the first assignment on
    #[arg(short, long)]
    pub(crate) group: Option<String>,
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
