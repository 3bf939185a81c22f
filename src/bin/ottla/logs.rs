//! `-d`: prints the library's log events to standard error.
#![allow(clippy::disallowed_methods, reason = "a log line has the time, and a tool may read the clock")]

use std::fmt;
use std::fmt::Write;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tracing::Event;
use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::level_filters::LevelFilter;
use tracing::span;

use crate::Failure;
use crate::terminal;

/// The targets, which `docs/LOGS.md` describes, without `ottla::`.
const TARGETS: [&str; 8] = ["admin", "config", "connection", "consumer", "group", "metadata", "producer", "queue"];

/// Turns logs on for each `TARGET` or `TARGET=LEVEL`, or for `all`. Without any, nothing is logged.
pub(crate) fn start(wanted: &[String]) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut levels = [LevelFilter::OFF; TARGETS.len()];
    for text in wanted {
        let (name, level) = text.split_once('=').unwrap_or((text, "debug"));
        let wrong = || {
            let known = TARGETS.join(", ");
            Failure::Usage(format!("-d {text}: give all, {known}, or one of them as NAME=LEVEL (error to trace)"))
        };
        let level: LevelFilter = level.parse().ok().filter(|_| !level.is_empty()).ok_or_else(wrong)?;
        let chosen = |target: &&str| name == "all" || name == *target;
        if !TARGETS.iter().any(chosen) {
            return Err(wrong());
        }
        for (slot, _) in levels.iter_mut().zip(TARGETS).filter(|(_, target)| chosen(target)) {
            *slot = level;
        }
    }
    let logs = Logs { levels, has_colours: terminal::has_colours() };
    tracing::subscriber::set_global_default(logs).map_err(|error| Failure::Failed(error.to_string()))
}

/// Whether logs are printed, which a progress bar would disturb.
pub(crate) fn are_on() -> bool {
    tracing::dispatcher::has_been_set()
}

struct Logs {
    /// By the index of [`TARGETS`].
    levels: [LevelFilter; TARGETS.len()],
    has_colours: bool,
}

impl Subscriber for Logs {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target().strip_prefix("ottla::");
        let index = TARGETS.iter().position(|known| Some(*known) == target);
        index.is_some_and(|index| *metadata.level() <= self.levels[index])
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.levels.iter().max().copied()
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line::default();
        event.record(&mut line);
        let Line { message, fields } = line;
        let (target, level) = (metadata.target(), *metadata.level());
        let word = format!("{level:>5}");
        let word = if self.has_colours { terminal::coloured(&word, colour(level)) } else { word };
        terminal::note(format_args!("{} {word} {target}: {message}{fields}", time_of_day()));
    }

    // The library has no spans.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        _ => "2",
    }
}

/// The time of day in UTC, to the millisecond.
fn time_of_day() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let seconds = millis / 1_000;
    format!("{:02}:{:02}:{:02}.{:03}Z", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60, millis % 1_000)
}

/// The message of an event and its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if value.contains(char::is_whitespace) {
            self.record_debug(field, &value);
        } else {
            self.record_debug(field, &format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
