//! `ottla offsets`: the offset of a timestamp, of the beginning or of the end of partitions, as kcat's `-Q` prints it.

use std::io;

use ottla::admin::Admin;
use ottla::admin::ListedOffset;
use ottla::admin::OffsetSpec;
use ottla::types::TopicPartition;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Offsets;
use crate::connect;
use crate::describe;
use crate::partitions;
use crate::say;

/// A place as the user writes it: TOPIC, TOPIC:PARTITION or TOPIC:PARTITION:WHEN.
struct Place<'a> {
    topic: &'a str,
    /// All of them if `None`.
    partition: Option<i32>,
    at: OffsetSpec,
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Result<Self, Failure> {
        let wrong = || {
            let forms =
                "TOPIC, TOPIC:PARTITION or TOPIC:PARTITION:WHEN, where WHEN is a timestamp in ms, beginning or end";
            Failure::Usage(format!("{text}: write it as {forms}"))
        };
        let mut parts = text.splitn(3, ':');
        let topic = parts.next().filter(|topic| !topic.is_empty()).ok_or_else(wrong)?;
        let partition = parts.next().map(|partition| partition.parse().ok().filter(|partition| *partition >= 0));
        let partition = partition.map(|partition| partition.ok_or_else(wrong)).transpose()?;
        let at = match parts.next() {
            None | Some("end") => OffsetSpec::Latest,
            Some("beginning") => OffsetSpec::Earliest,
            Some(timestamp) => {
                let timestamp = timestamp.parse().ok().filter(|timestamp| *timestamp >= 0);
                OffsetSpec::Timestamp(timestamp.ok_or_else(wrong)?)
            }
        };
        Ok(Self { topic, partition, at })
    }
}

pub(crate) async fn run(common: &Common, options: Offsets) -> Outcome {
    let places = options.places.iter().map(|text| Place::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let client = connect::client(&connect::properties(common)?).await?;
    let admin = client.admin();
    let mut failed = Vec::new();
    // One after the other: several may name the same partition.
    for Place { topic, partition, at } in places {
        let partitions = match partition {
            Some(partition) => {
                partitions::check(&client, &[topic], "partition", &[partition]).await?;
                vec![partition]
            }
            None => partitions_of(&admin, topic).await?,
        };
        let wanted = partitions.into_iter().map(|partition| (TopicPartition::new(topic, partition), at));
        for (partition, listed) in admin.list_offsets(wanted).await {
            match listed {
                Ok(listed) => print(common, &partition, &listed)?,
                Err(error) => failed.push(describe(&error)),
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Failed(failed.join("; "))) }
}

fn print(
    common: &Common,
    TopicPartition { topic, partition }: &TopicPartition,
    listed: &ListedOffset,
) -> io::Result<()> {
    let ListedOffset { offset, timestamp, .. } = *listed;
    if common.json {
        return say(json!({ "topic": &**topic, "partition": partition, "offset": offset, "timestamp": timestamp }));
    }
    // No record is so late: −1, as in kcat.
    say(format_args!("{topic} [{partition}] offset {}", offset.unwrap_or(-1)))
}

async fn partitions_of(admin: &Admin, topic: &str) -> Result<Vec<i32>, Failure> {
    let described = admin.describe_topics([topic]).await?;
    match described.first() {
        Some(topic) if topic.error.is_none() => Ok(topic.partitions.iter().map(|partition| partition.index).collect()),
        found => {
            let code = found.and_then(|topic| topic.error).map_or(String::new(), |code| format!(": {code}"));
            Err(Failure::Failed(format!("topic {topic}{code}; `ottla topics list` has the names")))
        }
    }
}
