//! Asks before something is destroyed.

use std::io;
use std::io::IsTerminal;
use std::io::Write;

use crate::Failure;
use crate::Outcome;

/// Goes on if the user said `--yes`, or answers the question with yes on a terminal. The caller has printed the plan.
pub(crate) fn confirm(yes: bool, question: &str) -> Outcome {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage("nothing was changed: add --yes to carry it out without asking".to_owned()));
    }
    let mut answer = String::new();
    write!(io::stderr(), "{question} [y/N] ")?;
    io::stderr().flush()?;
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Failed("nothing was changed".to_owned())),
    }
}
