//! `ottla completions` and `ottla man`: files for shells and for `man`, made from the options themselves.

use std::io;
use std::io::Write;

use crate::Outcome;
use crate::args::Args;
use crate::args::operating::Completions;

pub(crate) fn run(options: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Args::whole(), "ottla", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

/// `ottla man`: one page for the tool and all its commands.
pub(crate) fn man() -> Outcome {
    let mut command = Args::whole().disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands() {
        section(sub, &format!("ottla {}", sub.get_name()), &mut page)?;
    }
    Ok(io::stdout().write_all(&page)?)
}

/// A section for each command that does something: its usage, its description and its own options.
fn section(command: &clap::Command, name: &str, page: &mut Vec<u8>) -> Outcome {
    if command.has_subcommands() {
        for sub in command.get_subcommands() {
            section(sub, &format!("{name} {}", sub.get_name()), page)?;
        }
        return Ok(());
    }
    let man = clap_mangen::Man::new(command.clone());
    writeln!(page, ".SH {}", name.to_uppercase())?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    Ok(())
}
