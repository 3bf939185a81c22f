//! `ottla topics`: list, describe, create, delete.

use ottla::admin::NewTopic;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Topics;
use crate::args::TopicsVerb;
use crate::connect;
use crate::say;
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
        TopicsVerb::Delete { names } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            report("deleted", admin.delete_topics(names).await?)
        }
    }
}

async fn describe(common: &Common, admin: &ottla::admin::Admin, names: Vec<String>) -> Outcome {
    let names: Vec<String> =
        if names.is_empty() { admin.list_topics().await?.iter().map(ToString::to_string).collect() } else { names };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut missing = Vec::new();
    for topic in admin.describe_topics(names).await? {
        if let Some(code) = topic.error {
            missing.push(format!("topic {}: {code}", topic.name));
            continue;
        }
        for partition in &topic.partitions {
            if common.json {
                let object = json!({
                    "topic": &*topic.name, "id": topic.id.to_string(), "partition": partition.index,
                    "leader": partition.leader, "replicas": partition.replicas, "isr": partition.isr,
                });
                say(object)?;
            } else {
                let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
                let (replicas, isr) = (&partition.replicas, &partition.isr);
                let (name, index) = (&topic.name, partition.index);
                say(format_args!("{name}[{index}] leader {leader} replicas {replicas:?} in sync {isr:?}"))?;
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!("could not describe {}; `ottla topics list` has the names", missing.join(", "))))
}

/// Prints the outcome of each topic; fails if one of them failed.
fn report(done: &str, outcomes: Vec<(ottla::types::TopicName, Result<(), ottla::Error>)>) -> Outcome {
    let mut failed = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => terminal::note(format_args!("{done} {name}")),
            Err(error) => failed.push(crate::describe(&error)),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Failed(failed.join("; "))) }
}
