//! `ottla users`: list, set and delete SCRAM credentials.

use std::io;
use std::io::IsTerminal;

use ottla::admin::ScramChange;
use ottla::types::ScramMechanism;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::operating::Users;
use crate::args::operating::UsersVerb;
use crate::confirm::confirm;
use crate::connect;
use crate::groups::fail_with;
use crate::say;
use crate::table::Table;
use crate::terminal;

pub(crate) async fn run(common: &Common, options: Users) -> Outcome {
    match options.verb {
        UsersVerb::List { users } => list(common, users).await,
        UsersVerb::Set { user, mechanism } => {
            let mechanism = parse(&mechanism)?;
            let change = ScramChange::password(user, mechanism, &password()?);
            alter(common, change, "set").await
        }
        UsersVerb::Delete { user, mechanism, yes } => {
            let mechanism = parse(&mechanism)?;
            confirm(yes, &format!("Delete the {mechanism} password of user {user}?"))?;
            alter(common, ScramChange::delete(user, mechanism), "deleted").await
        }
    }
}

fn parse(mechanism: &str) -> Result<ScramMechanism, Failure> {
    mechanism.parse().map_err(|error| Failure::Usage(format!("--mechanism {error}")))
}

/// The first line of standard input. A password on the command line would be visible to every user of the machine.
fn password() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        terminal::note("password, which the terminal shows:");
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::Usage("no password: give it as the first line of standard input".to_owned()));
    }
    Ok(password.to_owned())
}

async fn alter(common: &Common, change: ScramChange, done: &str) -> Outcome {
    for (change, outcome) in connect::admin(common).await?.alter_scram_users([change]).await {
        outcome?;
        terminal::note(format_args!("{done} the {} password of user {}", change.mechanism(), change.user()));
    }
    Ok(())
}

async fn list(common: &Common, users: Vec<String>) -> Outcome {
    let admin = connect::admin(common).await?;
    let found =
        if users.is_empty() { admin.list_scram_users().await? } else { admin.describe_scram_users(users).await };
    let mut table = Table::new(&["USER", "MECHANISM", "ITERATIONS"]);
    let mut failed = Vec::new();
    for (user, credentials) in found {
        let credentials = match credentials {
            Ok(credentials) => credentials,
            Err(error) => {
                failed.push(crate::describe(&error));
                continue;
            }
        };
        for credential in credentials {
            let mechanism = credential.mechanism.map_or_else(|| "unknown".to_owned(), |one| one.to_string());
            if common.json {
                say(json!({ "user": user, "mechanism": mechanism, "iterations": credential.iterations }))?;
            }
            table.add([user.clone(), mechanism, credential.iterations.to_string()]);
        }
    }
    if !common.json {
        table.print()?;
    }
    fail_with(failed.into_iter())
}
