//! Standard error: progress bars and colours only where it is a terminal.

use std::fmt;
use std::io;
use std::io::IsTerminal;
use std::io::Write;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use crate::logs;

/// Whether standard error takes colours: a terminal, unless the user turned them off (<https://no-color.org>).
pub(crate) fn has_colours() -> bool {
    io::stderr().is_terminal() && may_colour()
}

/// Whether the user wants colours where there is a terminal.
pub(crate) fn may_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !is_set("NO_COLOR") && !is_dumb
}

/// A text in an ANSI colour, if standard error takes colours.
pub(crate) fn coloured(text: &str, colour: &str) -> String {
    if has_colours() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Prints a line to standard error in one write: a task that logs while the tool exits leaves no half of a line. Unlike `eprintln!`, it
/// does not panic when nobody reads.
pub(crate) fn note(line: impl fmt::Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Prints an error or a warning to standard error, after the name of the tool.
pub(crate) fn warn(text: impl fmt::Display) {
    note(format_args!("{} {text}", coloured("ottla:", "1;31")));
}

/// A bar of records.
pub(crate) fn records_bar(records: u64) -> ProgressBar {
    bar(records, "{wide_bar} {human_pos}/{human_len} records, {per_sec}, {eta} left")
}

/// A bar of bytes.
pub(crate) fn bytes_bar(bytes: u64) -> ProgressBar {
    bar(bytes, "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
}

/// The library of the bars draws only on a terminal.
fn bar(length: u64, template: &str) -> ProgressBar {
    if logs::are_on() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(length).with_style(ProgressStyle::with_template(template).expect("a valid template"))
}
