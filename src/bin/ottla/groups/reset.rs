//! `ottla groups reset-offsets`: shows a plan, and carries it out.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use ottla::admin::Admin;
use ottla::admin::GroupOffsetsQuery;
use ottla::admin::OffsetSpec;
use ottla::client::Client;
use ottla::error::Code;
use ottla::types::TopicPartition;
use serde_json::json;

use super::fail_with;
use super::missing;
use super::plan::Goal;
use super::plan::Known;
use super::plan::Move;
use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::groups::ResetOffsets;
use crate::connect;
use crate::describe;
use crate::partitions;
use crate::say;
use crate::table::Table;
use crate::terminal;

/// A partition, what is known of it, and its new offset.
type Step = (TopicPartition, Known, Move);

pub(crate) async fn run(common: &Common, options: ResetOffsets) -> Outcome {
    let goal = Goal::parse(&options, now_ms())?;
    let places = options.topic.iter().map(|text| place(text)).collect::<Result<Vec<_>, _>>()?;
    let client = connect::client(&connect::properties(common)?).await?;
    let admin = client.admin();
    check_members(&admin, &options.group).await?;
    let wanted = named(&client, &admin, places).await?;
    let steps = plan(&admin, &options, goal, wanted).await?;
    print(common, &options.group, &steps)?;
    if options.dry_run {
        terminal::note(format_args!("dry run: nothing was changed; --execute moves {} offsets", steps.len()));
        return Ok(());
    }
    let offsets = steps.iter().map(|(partition, _, moved)| (partition.clone(), moved.to));
    let altered = admin.alter_group_offsets(options.group.as_str(), offsets).await;
    let moved = altered.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    terminal::note(format_args!("moved {moved} offsets of group {}", options.group));
    fail_with(altered.iter().filter_map(|(_, outcome)| outcome.as_ref().err()).map(describe))
}

#[expect(clippy::disallowed_methods, reason = "a tool may read the clock")]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A topic and its partitions, all if none are named.
fn place(text: &str) -> Result<(String, Vec<i32>), Failure> {
    let wrong = || Failure::Usage(format!("--topic {text}: write it as TOPIC or TOPIC:PARTITION,PARTITION…"));
    let Some((topic, list)) = text.split_once(':') else { return Ok((text.to_owned(), Vec::new())) };
    let partition = |text: &str| text.parse::<i32>().ok().filter(|partition| *partition >= 0).ok_or_else(wrong);
    Ok((topic.to_owned(), list.split(',').map(partition).collect::<Result<_, _>>()?))
}

/// Refuses a group with members: they would go on from where they are, and commit over the new offsets.
async fn check_members(admin: &Admin, group: &str) -> Outcome {
    match admin.describe_groups([group]).await.remove(0).1 {
        Ok(described) if described.members.is_empty() => Ok(()),
        Ok(described) => {
            let (count, state) = (described.members.len(), described.state);
            let members = if count == 1 { "member" } else { "members" };
            let text =
                format!("group {group} has {count} {members} and is {state}: stop them first, then reset its offsets");
            Err(Failure::Failed(text))
        }
        // It is created, which is the way to give a group its first offsets.
        Err(error) if error.code() == Some(Code::GroupIdNotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The partitions of the named topics; `None` for all that have an offset.
async fn named(
    client: &Client,
    admin: &Admin,
    places: Vec<(String, Vec<i32>)>,
) -> Result<Option<BTreeSet<TopicPartition>>, Failure> {
    if places.is_empty() {
        return Ok(None);
    }
    let mut wanted = BTreeSet::new();
    for (topic, indexes) in places {
        let indexes = if indexes.is_empty() {
            let described = admin.describe_topics([topic.as_str()]).await?.remove(0);
            if let Some(code) = described.error {
                return Err(Failure::Failed(format!("topic {topic}: {code}; `ottla topics list` has the names")));
            }
            described.partitions.iter().map(|partition| partition.index).collect()
        } else {
            partitions::check(client, &[&topic], "partition", &indexes).await?;
            indexes
        };
        wanted.extend(indexes.into_iter().map(|partition| TopicPartition::new(topic.as_str(), partition)));
    }
    Ok(Some(wanted))
}

/// Looks up what is known of each partition, and decides its new offset.
async fn plan(
    admin: &Admin,
    options: &ResetOffsets,
    goal: Goal,
    wanted: Option<BTreeSet<TopicPartition>>,
) -> Result<Vec<Step>, Failure> {
    let query = GroupOffsetsQuery::new(options.group.as_str());
    let is_all = wanted.is_none();
    let query = wanted.into_iter().fold(query, GroupOffsetsQuery::partitions);
    let committed = admin.group_offsets([query]).await.remove(0).1.map_err(|error| Failure::Failed(missing(&error)))?;
    if committed.is_empty() && is_all {
        let text =
            format!("group {} has committed no offsets; name topics with --topic to give it some", options.group);
        return Err(Failure::Failed(text));
    }
    let keys: Vec<TopicPartition> = committed.keys().cloned().collect();
    let (starts, ends) = (look_up(admin, &keys, OffsetSpec::Earliest), look_up(admin, &keys, OffsetSpec::Latest));
    let (starts, ends) = tokio::try_join!(starts, ends)?;
    let timed = match goal {
        Goal::Timestamp(at) => look_up(admin, &keys, OffsetSpec::Timestamp(at)).await?,
        _ => BTreeMap::new(),
    };
    let mut steps = Vec::with_capacity(committed.len());
    let mut failed = Vec::new();
    for (partition, committed) in committed {
        let known = Known {
            committed: committed?.map(|committed| committed.offset),
            start: starts[&partition].unwrap_or(0),
            end: ends[&partition].unwrap_or(0),
            at_timestamp: timed.get(&partition).copied().flatten(),
        };
        match goal.apply(known) {
            Some(moved) => steps.push((partition, known, moved)),
            None => failed.push(format!("{partition}: nothing is committed that --shift-by could move")),
        }
    }
    fail_with(failed.into_iter())?;
    Ok(steps)
}

async fn look_up(
    admin: &Admin,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, Option<i64>>, Failure> {
    let listed = admin.list_offsets(partitions.iter().map(|partition| (partition.clone(), spec))).await;
    let mut offsets = BTreeMap::new();
    for (partition, listed) in listed {
        offsets.insert(partition, listed?.offset);
    }
    Ok(offsets)
}

fn print(common: &Common, group: &str, steps: &[Step]) -> Outcome {
    let mut table = Table::new(&["GROUP", "TOPIC", "PARTITION", "COMMITTED", "NEW"]);
    for (partition, known, moved) in steps {
        let (topic, index) = (&*partition.topic, partition.partition);
        if common.json {
            say(json!({
                "group": group, "topic": topic, "partition": index, "committed": known.committed, "new": moved.to,
            }))?;
        }
        let old = known.committed.map_or("no commit".to_owned(), |offset| offset.to_string());
        table.add([group.to_owned(), topic.to_owned(), index.to_string(), old, moved.to.to_string()]);
        if let Some(wanted) = moved.clamped_from {
            let (start, end, to) = (known.start, known.end, moved.to);
            terminal::note(format_args!("{partition}: the log has {start} to {end}, not {wanted}: {to} is taken"));
        }
    }
    if common.json { Ok(()) } else { Ok(table.print()?) }
}
