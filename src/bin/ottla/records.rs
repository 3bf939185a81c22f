//! `ottla records delete`: deletes the oldest records of partitions.

use ottla::admin::Admin;
use ottla::admin::DeleteBefore;
use ottla::admin::OffsetSpec;
use ottla::types::TopicPartition;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::admin::Records;
use crate::args::admin::RecordsVerb;
use crate::confirm::confirm;
use crate::connect;
use crate::groups::fail_with;
use crate::say;
use crate::table::Table;

/// A partition, and the first offset that is to stay: its end if none is given.
type Place = (String, Option<i32>, Option<i64>);

pub(crate) async fn run(common: &Common, options: Records) -> Outcome {
    let RecordsVerb::Delete { places, yes } = options.verb;
    let places = places.iter().map(|text| place(text)).collect::<Result<Vec<_>, _>>()?;
    let admin = connect::client(&connect::properties(common)?).await?.admin();
    let wanted = partitions(&admin, places).await?;
    let ends = offsets(&admin, &wanted, OffsetSpec::Latest).await?;
    let starts = offsets(&admin, &wanted, OffsetSpec::Earliest).await?;
    let mut table = Table::new(&["TOPIC", "PARTITION", "START", "NEW START", "DELETED AT MOST"]);
    for (((partition, before), start), end) in wanted.iter().zip(&starts).zip(&ends) {
        let to = before.unwrap_or(*end);
        let count = to.saturating_sub(*start).max(0);
        table.add([
            partition.topic.to_string(),
            partition.partition.to_string(),
            start.to_string(),
            to.to_string(),
            count.to_string(),
        ]);
    }
    if !common.json {
        table.print()?;
    }
    confirm(yes, "These records will be deleted for good.")?;
    let before = |((key, before), end): (&(TopicPartition, Option<i64>), &i64)| {
        (key.clone(), DeleteBefore::Offset(before.unwrap_or(*end)))
    };
    let mut failed = Vec::new();
    for (partition, start) in admin.delete_records(wanted.iter().zip(&ends).map(before)).await {
        match start {
            Ok(start) if common.json => {
                say(json!({ "topic": &*partition.topic, "partition": partition.partition, "start": start }))?;
            }
            Ok(start) => crate::terminal::note(format_args!("{partition} begins at {start}")),
            Err(error) => failed.push(crate::describe(&error)),
        }
    }
    fail_with(failed.into_iter())
}

fn place(text: &str) -> Result<Place, Failure> {
    let wrong = || Failure::Usage(format!("{text}: write it as TOPIC, TOPIC:PARTITION or TOPIC:PARTITION:OFFSET"));
    let mut parts = text.split(':');
    let topic = parts.next().filter(|topic| !topic.is_empty()).ok_or_else(wrong)?.to_owned();
    let partition = parts.next().map(|part| part.parse::<i32>().ok().filter(|index| *index >= 0).ok_or_else(wrong));
    let offset = parts.next().map(|part| part.parse::<i64>().ok().filter(|offset| *offset >= 0).ok_or_else(wrong));
    if parts.next().is_some() {
        return Err(wrong());
    }
    Ok((topic, partition.transpose()?, offset.transpose()?))
}

/// The partitions of each place, all of a topic if none is given.
async fn partitions(admin: &Admin, places: Vec<Place>) -> Result<Vec<(TopicPartition, Option<i64>)>, Failure> {
    let mut wanted = Vec::new();
    for (topic, partition, offset) in places {
        if let Some(partition) = partition {
            wanted.push((TopicPartition::new(topic.as_str(), partition), offset));
            continue;
        }
        let described = admin.describe_topics([topic.as_str()]).await?.remove(0);
        if let Some(code) = described.error {
            return Err(Failure::Failed(format!("topic {topic}: {code}; `ottla topics list` has the names")));
        }
        let keys = described.partitions.iter().map(|found| TopicPartition::new(topic.as_str(), found.index));
        wanted.extend(keys.map(|key| (key, None)));
    }
    Ok(wanted)
}

async fn offsets(
    admin: &Admin,
    wanted: &[(TopicPartition, Option<i64>)],
    spec: OffsetSpec,
) -> Result<Vec<i64>, Failure> {
    let listed = admin.list_offsets(wanted.iter().map(|(key, _)| (key.clone(), spec))).await;
    listed.into_iter().map(|(_, listed)| Ok(listed?.offset.unwrap_or(0))).collect()
}
