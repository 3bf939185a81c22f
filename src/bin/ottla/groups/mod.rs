//! `ottla groups`: list, describe, delete, and move offsets.

use std::collections::BTreeMap;

use ottla::admin::Admin;
use ottla::admin::GroupDescription;
use ottla::admin::GroupFilter;
use ottla::admin::GroupMember;
use ottla::admin::GroupState;
use ottla::admin::GroupType;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::groups::Groups;
use crate::args::groups::GroupsVerb;
use crate::connect;
use crate::say;
use crate::table::Table;
use crate::terminal;

mod plan;
mod reset;

pub(crate) async fn run(common: &Common, options: Groups) -> Outcome {
    match options.verb {
        GroupsVerb::List { state, kind } => {
            let filter = filter(&state, &kind)?;
            list(common, &connect::admin(common).await?, filter).await
        }
        GroupsVerb::Describe { groups } => describe(common, &connect::admin(common).await?, groups).await,
        GroupsVerb::Delete { groups } => delete(&connect::admin(common).await?, groups).await,
        GroupsVerb::ResetOffsets(options) => reset::run(common, options).await,
    }
}

fn filter(states: &[String], kinds: &[String]) -> Result<GroupFilter, Failure> {
    let mut filter = GroupFilter::all();
    for text in states {
        let state: GroupState = text.parse().unwrap_or_else(|never| match never {});
        if matches!(state, GroupState::Unknown(_)) {
            let known = "Empty, PreparingRebalance, CompletingRebalance, Stable, Assigning, Reconciling or Dead";
            return Err(Failure::Usage(format!("--state {text}: give {known}")));
        }
        filter = filter.state(state);
    }
    for text in kinds {
        let kind: GroupType = text.parse().unwrap_or_else(|never| match never {});
        if matches!(kind, GroupType::Unknown(_)) {
            return Err(Failure::Usage(format!("--type {text}: give classic, consumer, share or streams")));
        }
        filter = filter.kind(kind);
    }
    Ok(filter)
}

async fn list(common: &Common, admin: &Admin, filter: GroupFilter) -> Outcome {
    let listing = admin.list_groups(filter).await?;
    let mut table = Table::new(&["GROUP", "STATE", "TYPE", "PROTOCOL", "COORDINATOR"]);
    for group in listing.groups {
        let (state, kind) = (group.state.map(|state| state.to_string()), group.kind.map(|kind| kind.to_string()));
        if common.json {
            say(json!({
                "group": group.group, "state": state, "type": kind, "protocol_type": group.protocol_type,
                "coordinator": group.coordinator,
            }))?;
        }
        let cells = [state.unwrap_or_default(), kind.unwrap_or_default(), group.protocol_type];
        table.add(std::iter::once(group.group).chain(cells).chain([group.coordinator.to_string()]));
    }
    if !common.json {
        table.print()?;
    }
    fail_with(listing.failed.iter().map(|(broker, error)| {
        let why = crate::describe(error);
        format!("the groups that broker {broker} coordinates are missing: {why}")
    }))
}

async fn describe(common: &Common, admin: &Admin, groups: Vec<String>) -> Outcome {
    let mut failed = Vec::new();
    let mut is_first = true;
    for (group, described) in admin.describe_groups(groups).await {
        match described {
            Err(error) => failed.push(missing(&error)),
            Ok(described) if common.json => say(object(&group, &described))?,
            Ok(described) => {
                if !std::mem::take(&mut is_first) {
                    say("")?;
                }
                print(&group, &described)?;
            }
        }
    }
    fail_with(failed.into_iter())
}

/// The error, and the command that has the names.
pub(crate) fn missing(error: &ottla::Error) -> String {
    let hint = match error.code() {
        Some(ottla::error::Code::GroupIdNotFound) => "; `ottla groups list` has the names",
        _ => "",
    };
    format!("{}{hint}", crate::describe(error))
}

fn print(group: &str, described: &GroupDescription) -> Outcome {
    let GroupDescription { kind, state, protocol, coordinator, members, .. } = described;
    let count = members.len();
    let protocol = if protocol.is_empty() { "-" } else { protocol };
    say(format_args!(
        "group {group}  state {state}  type {kind}  assignor {protocol}  coordinator {}:{} ({})  members {count}",
        coordinator.host, coordinator.port, coordinator.id
    ))?;
    if members.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["MEMBER", "INSTANCE", "CLIENT", "HOST", "COUNT", "PARTITIONS", "TOPICS"]);
    for member in members {
        let subscribed = member.topics.iter().flatten().map(ToString::to_string);
        let pattern = member.pattern.iter().map(|pattern| format!("/{pattern}/"));
        table.add([
            member.id.clone(),
            member.instance_id.clone().unwrap_or_default(),
            member.client_id.clone(),
            member.host.clone(),
            member.partitions().len().to_string(),
            assigned(member),
            subscribed.chain(pattern).collect::<Vec<_>>().join(","),
        ]);
    }
    Ok(table.print()?)
}

/// The partitions of a member as `topic:0,1,2 other:0`.
fn assigned(member: &GroupMember) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for partition in member.partitions() {
        topics.entry(&partition.topic).or_default().push(partition.partition.to_string());
    }
    let topic = |(topic, partitions): (&str, Vec<String>)| format!("{topic}:{}", partitions.join(","));
    topics.into_iter().map(topic).collect::<Vec<_>>().join(" ")
}

fn object(group: &str, described: &GroupDescription) -> serde_json::Value {
    let partitions = |partitions: &[ottla::types::TopicPartition]| -> Vec<serde_json::Value> {
        let one = |key: &ottla::types::TopicPartition| json!({ "topic": &*key.topic, "partition": key.partition });
        partitions.iter().map(one).collect()
    };
    let names = |topics: &Vec<ottla::types::TopicName>| topics.iter().map(ToString::to_string).collect::<Vec<_>>();
    let member = |member: &GroupMember| {
        json!({
            "member": member.id, "instance": member.instance_id, "client": member.client_id, "host": member.host,
            "rack": member.rack, "epoch": member.epoch, "topics": member.topics.as_ref().map(names),
            "pattern": member.pattern, "partitions": member.assignment.as_deref().map(partitions),
        })
    };
    json!({
        "group": group, "state": described.state.to_string(), "type": described.kind.to_string(),
        "protocol_type": described.protocol_type, "assignor": described.protocol, "epoch": described.epoch,
        "coordinator": described.coordinator.id,
        "members": described.members.iter().map(member).collect::<Vec<_>>(),
    })
}

async fn delete(admin: &Admin, groups: Vec<String>) -> Outcome {
    let mut failed = Vec::new();
    for (group, deleted) in admin.delete_groups(groups).await {
        match deleted {
            Ok(()) => terminal::note(format_args!("deleted {group}")),
            Err(error) => failed.push(missing(&error)),
        }
    }
    fail_with(failed.into_iter())
}

/// Fails if there is a failure, with the first few of them: a group may have thousands of partitions.
pub(crate) fn fail_with(failures: impl Iterator<Item = String>) -> Outcome {
    const SHOWN: usize = 5;
    let mut failures: Vec<String> = failures.collect();
    if failures.is_empty() {
        return Ok(());
    }
    let hidden = failures.len().saturating_sub(SHOWN);
    failures.truncate(SHOWN);
    if hidden > 0 {
        failures.push(format!("and {hidden} more"));
    }
    Err(Failure::Failed(failures.join("; ")))
}
