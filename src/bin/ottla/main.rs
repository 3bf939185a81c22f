//! The command-line tool: data on standard output, everything else on standard error.
//!
//! The exit status is 0 only if all of it worked, 1 for a failure, 2 for wrong usage, 3 for a lag above a threshold.

mod acl;
mod args;
mod base64;
mod cluster;
mod completions;
mod configs;
mod confirm;
mod connect;
mod consume;
mod demo;
mod escape;
mod format;
mod groups;
mod input;
mod lag;
mod logs;
mod mock;
mod offsets;
mod outage;
mod partitions;
mod perf;
mod produce;
mod properties_file;
mod quorum;
mod quotas;
mod range;
mod records;
mod settings;
mod signals;
mod split;
mod table;
mod tail;
mod terminal;
mod times;
mod topics;
mod transactions;
mod usage;
mod users;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::args::Args;
use crate::args::Command;
use crate::args::Common;
use crate::args::ConfigCommand;

/// The end of a command: success, or one line for standard error.
type Outcome = Result<(), Failure>;

/// A command that did not succeed.
#[derive(Debug)]
enum Failure {
    /// A group lags more than the user allows: status 3.
    Above(String),
    /// The command ran and failed: status 1.
    Failed(String),
    /// The reader of standard output went away (`| head`), which is not a failure: status 0.
    Quiet,
    /// The command is not valid: status 2.
    Usage(String),
}

impl From<ottla::Error> for Failure {
    fn from(error: ottla::Error) -> Self {
        let text = describe(&error);
        if error.kind() == ottla::error::Kind::Config { Self::Usage(text) } else { Self::Failed(text) }
    }
}

/// The error with all its causes, and the remedy.
fn describe(error: &ottla::Error) -> String {
    let mut text = format!("{error:#}");
    if !text.contains("check its name") {
        text.push_str(remedy(error));
    }
    text
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::Quiet } else { Self::Failed(error.to_string()) }
    }
}

/// The remedy for an error that does not name one itself.
fn remedy(error: &ottla::Error) -> &'static str {
    match error.kind() {
        ottla::error::Kind::UnknownTopic if error.partition().is_none() => {
            "; check its name, or create it with `ottla topics create`"
        }
        _ => "",
    }
}

/// Prints one line to standard output; unlike `println!`, it does not panic when nobody reads.
fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}")
}

fn main() -> ExitCode {
    let (common, command) = Args::read();
    let outcome = match prepare(&common, command) {
        Ok(Some(command)) => start(common, command),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

/// Starts logs, and answers `-X list` and `-X dump`. Returns the command unless there is nothing left to do.
fn prepare(common: &Common, command: Option<Command>) -> Result<Option<Command>, Failure> {
    logs::start(&common.debug)?;
    if common.has("list") || common.has("help") {
        return settings::list(common.json).map(|()| None);
    }
    if common.has("dump") {
        let properties = match &command {
            Some(Command::Consume(options)) => consume::properties(common, options)?,
            Some(Command::Perf(options)) => perf::properties(common, options)?,
            Some(Command::Produce(options)) => produce::properties(common, options)?,
            _ => connect::properties(common)?,
        };
        return settings::dump(&properties, common.json).map(|()| None);
    }
    let missing = || Args::command().error(ErrorKind::MissingSubcommand, "give a command, or see --help");
    Ok(Some(command.unwrap_or_else(|| missing().exit())))
}

fn start(common: Common, command: Command) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(run(common, command));
    runtime.shutdown_background();
    outcome
}

async fn run(common: Common, command: Command) -> Outcome {
    match command {
        Command::Acl(options) => acl::run(&common, options).await,
        Command::Cluster => cluster::run(&common).await,
        Command::Completions(options) => completions::run(&options),
        Command::Config(ConfigCommand::Explain) => settings::explain(&connect::properties(&common)?, common.json),
        Command::Configs(options) => configs::run(&common, options).await,
        Command::Consume(options) => consume::run(&common, options).await,
        Command::Demo(options) => demo::run(&common, options).await,
        Command::Elect(options) => quorum::elect(&common, options).await,
        Command::Groups(options) => groups::run(&common, options).await,
        Command::Lag(options) => lag::run(&common, options).await,
        Command::Man => completions::man(),
        Command::Mock(options) => mock::run(&common, options).await,
        Command::Offsets(options) => offsets::run(&common, options).await,
        Command::Perf(options) => perf::run(&common, options).await,
        Command::Produce(options) => produce::run(&common, options).await,
        Command::Producers(options) => transactions::producers(&common, options).await,
        Command::Quorum => quorum::run(&common).await,
        Command::Quotas(options) => quotas::run(&common, options).await,
        Command::Reassign(options) => quorum::reassign(&common, options).await,
        Command::Tail(options) => tail::run(&common, options).await,
        Command::Records(options) => records::run(&common, options).await,
        Command::Topics(options) => topics::run(&common, options).await,
        Command::Transactions(options) => transactions::run(&common, options).await,
        Command::Users(options) => users::run(&common, options).await,
    }
}

fn report(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Above(text) => {
            terminal::warn(text);
            ExitCode::from(3)
        }
        Failure::Failed(text) => {
            terminal::warn(text);
            ExitCode::from(1)
        }
        Failure::Quiet => ExitCode::SUCCESS,
        Failure::Usage(text) => {
            terminal::warn(text);
            ExitCode::from(2)
        }
    }
}
