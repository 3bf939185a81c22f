//! The command-line tool: data on standard output, everything else on standard error.
//!
//! The exit status is 0 only if all of it worked, 1 for a failure, 2 for wrong usage.

mod args;
mod base64;
mod cluster;
mod connect;
mod consume;
mod demo;
mod escape;
mod format;
mod mock;
mod perf;
mod produce;
mod topics;
mod usage;

use std::error::Error as _;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

/// The end of a command: success, or one line for standard error.
type Outcome = Result<(), Failure>;

/// A command that did not succeed.
#[derive(Debug)]
enum Failure {
    /// The command ran and failed: status 1.
    Failed(String),
    /// The reader of standard output went away (`| head`), which is not a failure: status 0.
    Quiet,
    /// The command is not valid: status 2.
    Usage(String),
}

impl From<ottla::Error> for Failure {
    fn from(error: ottla::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        if !text.contains("check its name") {
            text.push_str(remedy(&error));
        }
        if error.kind() == ottla::error::Kind::Config { Self::Usage(text) } else { Self::Failed(text) }
    }
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
        ottla::error::Kind::RecordTooLarge if error.code().is_some() => "; raise max.message.bytes of the topic",
        _ => "",
    }
}

/// Prints one line to standard output; unlike `println!`, it does not panic when nobody reads.
fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}")
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Failed(format!("could not start the runtime: {error}"))),
    };
    let outcome = runtime.block_on(run(args));
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

async fn run(args: Args) -> Outcome {
    let Args { common, command } = args;
    match command {
        Command::Cluster => cluster::run(&common).await,
        Command::Consume(options) => consume::run(&common, options).await,
        Command::Demo(options) => demo::run(&common, options).await,
        Command::Mock(options) => mock::run(&common, options).await,
        Command::Perf(options) => perf::run(&common, options).await,
        Command::Produce(options) => produce::run(&common, options).await,
        Command::Topics(options) => topics::run(&common, options).await,
    }
}

fn report(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Failed(text) => {
            eprintln!("ottla: {text}");
            ExitCode::from(1)
        }
        Failure::Quiet => ExitCode::SUCCESS,
        Failure::Usage(text) => {
            eprintln!("ottla: {text}");
            ExitCode::from(2)
        }
    }
}
