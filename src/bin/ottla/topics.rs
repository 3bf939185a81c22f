//! `ottla topics`: list, describe, create, alter, delete.

use ottla::admin::Admin;
use ottla::admin::NewPartitions;
use ottla::admin::NewTopic;
use ottla::admin::TopicDescription;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::admin::Topics;
use crate::args::admin::TopicsVerb;
use crate::confirm::confirm;
use crate::connect;
use crate::groups::fail_with;
use crate::say;
use crate::table::Table;
use crate::terminal;

pub(crate) async fn run(common: &Common, options: Topics) -> Outcome {
    let client = connect::client(&connect::properties(common)?).await?;
    let admin = client.admin();
    match options.verb {
        TopicsVerb::List => {
            for topic in admin.list_topics().await? {
                if common.json { say(json!({ "topic": &*topic }))? } else { say(topic)? }
            }
            Ok(())
        }
        TopicsVerb::Describe { names } => describe(common, &admin, names).await,
        TopicsVerb::Create { names, partitions, replication, config } => {
            let mut topics = Vec::with_capacity(names.len());
            for name in &names {
                let mut topic = NewTopic::new(name.as_str()).partitions(partitions).replication(replication);
                for setting in &config {
                    let (key, value) = connect::pair("--config", setting)?;
                    topic = topic.config(key, value);
                }
                topics.push(topic);
            }
            report("created", admin.create_topics(topics).await?)
        }
        TopicsVerb::Alter { names, partitions } => {
            let topics = names.iter().map(|name| NewPartitions::new(name.as_str(), partitions));
            report("added partitions to", admin.create_partitions(topics).await?)
        }
        TopicsVerb::Delete { names, yes } => delete(common, &admin, names, yes).await,
    }
}

async fn describe(common: &Common, admin: &Admin, names: Vec<String>) -> Outcome {
    let names: Vec<String> =
        if names.is_empty() { admin.list_topics().await?.iter().map(ToString::to_string).collect() } else { names };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (count, mut missing) = (names.len(), Vec::new());
    let mut table = Table::new(&["TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN SYNC", "OFFLINE"]);
    for topic in admin.describe_topics(names).await? {
        if let Some(code) = topic.error {
            missing.push(format!("topic {}: {code}", topic.name));
            continue;
        }
        for partition in &topic.partitions {
            if common.json {
                say(json!({
                    "topic": &*topic.name, "id": topic.id.to_string(), "partition": partition.index,
                    "leader": partition.leader, "replicas": partition.replicas, "isr": partition.isr,
                    "offline": partition.offline,
                }))?;
            }
            table.add([
                topic.name.to_string(),
                partition.index.to_string(),
                partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
                list(&partition.replicas),
                list(&partition.isr),
                list(&partition.offline),
            ]);
        }
    }
    if !common.json && missing.len() < count {
        table.print()?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!("could not describe {}; `ottla topics list` has the names", missing.join(", "))))
}

fn list(brokers: &[i32]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Shows what will be deleted, asks, and deletes it. Topics that do not exist fail, and the others are deleted all the same.
async fn delete(common: &Common, admin: &Admin, names: Vec<String>, yes: bool) -> Outcome {
    if !yes {
        let described = admin.describe_topics(names.iter().map(String::as_str)).await?;
        let mut table = Table::new(&["TOPIC", "PARTITIONS"]);
        let found: Vec<&TopicDescription> = described.iter().filter(|topic| topic.error.is_none()).collect();
        for topic in &found {
            table.add([topic.name.to_string(), topic.partitions.len().to_string()]);
        }
        if !common.json && !found.is_empty() {
            table.print()?;
        }
        confirm(yes, &format!("{} will be deleted with all records.", names.join(", ")))?;
    }
    report("deleted", admin.delete_topics(names.iter().map(String::as_str)).await?)
}

/// Prints the outcome of each topic; fails if one of them failed.
fn report(done: &str, outcomes: ottla::admin::Outcomes) -> Outcome {
    let mut failed = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => terminal::note(format_args!("{done} {name}")),
            Err(error) => failed.push(crate::describe(&error)),
        }
    }
    fail_with(failed.into_iter())
}
