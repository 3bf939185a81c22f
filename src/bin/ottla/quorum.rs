//! `ottla quorum`, `ottla elect` and `ottla reassign`: controllers, leaders and replicas.

use ottla::admin::Election;
use ottla::admin::QuorumReplica;
use ottla::admin::Reassignment;
use ottla::types::TopicPartition;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::operating::Elect;
use crate::args::operating::Reassign;
use crate::args::operating::ReassignVerb;
use crate::confirm::confirm;
use crate::connect;
use crate::groups::fail_with;
use crate::partitions;
use crate::say;
use crate::table::Table;
use crate::terminal;

/// `ottla quorum`.
pub(crate) async fn run(common: &Common) -> Outcome {
    let quorum = connect::admin(common).await?.describe_quorum().await?;
    let mut table = Table::new(&["NODE", "ROLE", "LOG END", "BEHIND", "LAST FETCH", "LAST CAUGHT UP", "DIRECTORY"]);
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let end = quorum.voters.iter().filter(|one| Some(one.id) == quorum.leader).find_map(|one| one.log_end_offset);
    let behind = |one: &QuorumReplica| Some(end?.saturating_sub(one.log_end_offset?).max(0));
    let voters = quorum.voters.iter().map(|one| (if Some(one.id) == quorum.leader { "leader" } else { "voter" }, one));
    for (role, one) in voters.chain(quorum.observers.iter().map(|one| ("observer", one))) {
        let directory = one.directory.map(|directory| directory.to_string());
        if common.json {
            say(json!({
                "node": one.id, "role": role, "log_end": one.log_end_offset, "behind": behind(one),
                "last_fetch_ms": one.last_fetch_ms, "last_caught_up_ms": one.last_caught_up_ms, "directory": directory,
            }))?;
        }
        table.add([
            one.id.to_string(),
            role.to_owned(),
            number(one.log_end_offset),
            number(behind(one)),
            number(one.last_fetch_ms),
            number(one.last_caught_up_ms),
            directory.unwrap_or_default(),
        ]);
    }
    if common.json {
        return Ok(());
    }
    let leader = quorum.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    let (epoch, committed) = (quorum.leader_epoch, quorum.high_watermark);
    say(format_args!("leader {leader}  epoch {epoch}  committed up to {committed}"))?;
    Ok(table.print()?)
}

/// `ottla elect`.
pub(crate) async fn elect(common: &Common, options: Elect) -> Outcome {
    let places: Vec<TopicPartition> =
        options.places.iter().map(|text| partitions::place(text)).collect::<Result<_, Failure>>()?;
    let election = if options.unclean { Election::Unclean } else { Election::Preferred };
    if options.unclean {
        let question =
            format!("Records may be lost for good. Elect leaders of {} partitions all the same?", places.len());
        confirm(options.yes, &question)?;
    }
    let admin = connect::admin(common).await?;
    let elected = if options.all {
        admin.elect_all_leaders(election).await?
    } else {
        admin.elect_leaders(election, places).await
    };
    let mut failed = Vec::new();
    for (place, outcome) in elected {
        match outcome {
            Ok(()) => terminal::note(format_args!("elected a leader of {place}")),
            Err(error) if error.code() == Some(ottla::error::Code::ElectionNotNeeded) => {
                terminal::note(format_args!("{place} has that leader already"));
            }
            Err(error) => failed.push(crate::describe(&error)),
        }
    }
    fail_with(failed.into_iter())
}

/// `ottla reassign`.
pub(crate) async fn reassign(common: &Common, options: Reassign) -> Outcome {
    match options.verb {
        ReassignVerb::List => list(common).await,
        ReassignVerb::To { moves, yes } => {
            let moves: Vec<Reassignment> = moves.iter().map(|text| parse(text)).collect::<Result<_, Failure>>()?;
            confirm(yes, &format!("Move the replicas of {} partitions?", moves.len()))?;
            alter(common, moves, "moving").await
        }
        ReassignVerb::Cancel { places } => {
            let places = places.iter().map(|text| partitions::place(text)).collect::<Result<Vec<_>, Failure>>()?;
            alter(common, places.into_iter().map(Reassignment::cancel).collect(), "cancelled").await
        }
    }
}

/// Reads `TOPIC:PARTITION=BROKER,BROKER…`.
fn parse(text: &str) -> Result<Reassignment, Failure> {
    let wrong = || Failure::Usage(format!("{text}: write it as TOPIC:PARTITION=BROKER,BROKER…"));
    let (place, brokers) = text.split_once('=').ok_or_else(wrong)?;
    let brokers = brokers.split(',').map(|broker| broker.trim().parse::<i32>().ok().filter(|broker| *broker >= 0));
    let brokers = brokers.collect::<Option<Vec<i32>>>().ok_or_else(wrong)?;
    Ok(Reassignment::to(partitions::place(place)?, brokers))
}

async fn alter(common: &Common, moves: Vec<Reassignment>, done: &str) -> Outcome {
    let mut failed = Vec::new();
    for (one, outcome) in connect::admin(common).await?.alter_reassignments(moves).await {
        match outcome {
            Ok(()) => terminal::note(format_args!("{done}: {}", one.partition())),
            Err(error) => failed.push(crate::describe(&error)),
        }
    }
    fail_with(failed.into_iter())
}

async fn list(common: &Common) -> Outcome {
    let mut table = Table::new(&["TOPIC", "PARTITION", "REPLICAS", "ADDING", "REMOVING"]);
    let brokers = |brokers: &[i32]| brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    for one in connect::admin(common).await?.list_reassignments().await? {
        if common.json {
            say(json!({
                "topic": &*one.partition.topic, "partition": one.partition.partition, "replicas": one.replicas,
                "adding": one.adding, "removing": one.removing,
            }))?;
        }
        table.add([
            one.partition.topic.to_string(),
            one.partition.partition.to_string(),
            brokers(&one.replicas),
            brokers(&one.adding),
            brokers(&one.removing),
        ]);
    }
    if common.json { Ok(()) } else { Ok(table.print()?) }
}
