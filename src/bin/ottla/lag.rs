//! `ottla lag`: how far groups are behind, partition by partition.

mod screen;
mod view;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use ottla::admin::Admin;
use ottla::admin::GroupDescription;
use ottla::admin::GroupMember;
use ottla::admin::Lag as Standing;
use ottla::admin::LagQuery;
use ottla::admin::PartitionLag;
use ottla::error::Code;
use ottla::types::TopicPartition;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::groups::Lag;
use crate::connect;
use crate::groups::fail_with;
use crate::groups::missing;
use crate::lag::view::View;
use crate::say;
use crate::signals;
use crate::table::Table;
use crate::terminal;

/// The outcome of one check.
#[derive(Debug)]
struct Page {
    rows: Vec<Row>,
    /// The failures of whole groups.
    failed: Vec<String>,
}

impl Page {
    /// The failures of groups and of partitions.
    fn failures(&self) -> Vec<String> {
        let errors = self.rows.iter().filter_map(|row| row.lag.lag.as_ref().err().map(crate::describe));
        self.failed.iter().cloned().chain(errors).collect()
    }

    /// The failure of the command, or a lag above the threshold.
    fn verdict(&self, threshold: Option<u64>) -> Outcome {
        fail_with(self.failures().into_iter())?;
        let Some(threshold) = threshold else { return Ok(()) };
        let above: Vec<&Row> = self.rows.iter().filter(|row| row.is_above(threshold)).collect();
        let Some(first) = above.first() else { return Ok(()) };
        let (group, partition, state) = (&first.group, &first.lag.partition, first.state());
        let text = format!(
            "{} of {} partitions are above the threshold of {threshold}; the first is {partition} of group {group} ({state})",
            above.len(),
            self.rows.len()
        );
        Err(Failure::Above(text))
    }
}

/// A partition of a group, as it is printed.
#[derive(Debug)]
struct Row {
    group: String,
    lag: PartitionLag,
    /// The id of the member that has the partition, and its host.
    owner: Option<(String, String)>,
}

impl Row {
    /// One word for how the commit stands to the log.
    fn state(&self) -> &'static str {
        match self.lag.lag {
            Ok(Standing::Behind(_)) => "ok",
            Ok(Standing::NoCommit { .. }) => "no commit",
            Ok(Standing::Expired) => "expired",
            Ok(Standing::Ahead) => "ahead",
            Err(_) => "error",
        }
    }

    /// Whether it is above a threshold. Without a commit all records of the partition count.
    fn is_above(&self, threshold: u64) -> bool {
        match self.lag.lag {
            Ok(Standing::Behind(_) | Standing::NoCommit { .. }) => {
                self.lag.to_read().is_some_and(|left| left > threshold)
            }
            Ok(Standing::Ahead | Standing::Expired) => true,
            Err(_) => false,
        }
    }

    fn committed(&self) -> Option<i64> {
        self.lag.committed.as_ref().map(|committed| committed.offset)
    }
}

pub(crate) async fn run(common: &Common, options: Lag) -> Outcome {
    let client = connect::client(&connect::properties(common)?).await?;
    let admin = client.admin();
    let Some(seconds) = options.watch else { return show(common, &admin, &options).await };
    let pause = Duration::from_secs(seconds.max(1));
    if !common.json && std::io::stdout().is_terminal() {
        let view = View::new(pause, options.threshold, terminal::may_colour());
        let last = screen::watch(view, pause, async || check(&admin, &options).await).await?;
        return last.map_or(Ok(()), |page| page.verdict(options.threshold));
    }
    let mut interrupted = std::pin::pin!(signals::interrupted());
    loop {
        let outcome = show(common, &admin, &options).await;
        if matches!(outcome, Err(Failure::Quiet | Failure::Usage(_))) {
            return outcome;
        }
        if let Err(failure) = &outcome {
            crate::report(failure);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = &mut interrupted => return outcome,
        }
        if !common.json {
            say("")?;
        }
    }
}

/// Prints the lag once.
async fn show(common: &Common, admin: &Admin, options: &Lag) -> Outcome {
    let page = check(admin, options).await;
    let mut table =
        Table::new(&["GROUP", "TOPIC", "PARTITION", "COMMITTED", "START", "END", "LAG", "STATE", "MEMBER", "HOST"]);
    for row in &page.rows {
        if common.json {
            say(object(row))?;
        } else {
            table.add(cells(row));
        }
    }
    if !common.json && !page.rows.is_empty() {
        table.print()?;
    }
    page.verdict(options.threshold)
}

/// The rows of all groups, and what could not be found out.
async fn check(admin: &Admin, options: &Lag) -> Page {
    let described = admin.describe_groups(options.group.iter().map(String::as_str)).await;
    let query = |(group, described): &(String, Result<GroupDescription, ottla::Error>)| {
        let query =
            options.topic.iter().fold(LagQuery::new(group.as_str()), |query, topic| query.topic(topic.as_str()));
        let members = described.iter().flat_map(|described| &described.members);
        members.flat_map(GroupMember::partitions).cloned().fold(query, LagQuery::partition)
    };
    let lags = admin.group_lag(described.iter().map(query)).await;
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for ((group, described), (_, lag)) in described.into_iter().zip(lags) {
        // A topic that is named shows a group without any offsets too.
        let is_unknown = described.as_ref().is_err_and(|error| error.code() == Some(Code::GroupIdNotFound));
        if let Err(error) = &described
            && (!is_unknown || options.topic.is_empty())
        {
            failed.push(missing(error));
            continue;
        }
        match lag {
            Err(error) => failed.push(missing(&error)),
            Ok(lag) => {
                let members = described.iter().flat_map(|described| &described.members);
                let owned = members.flat_map(|member| member.partitions().iter().map(move |key| (key, member)));
                let owners: BTreeMap<&TopicPartition, &GroupMember> = owned.collect();
                rows.extend(lag.partitions.into_iter().map(|lag| {
                    let owner = owners.get(&lag.partition).map(|member| (member.id.clone(), member.host.clone()));
                    Row { group: group.clone(), lag, owner }
                }));
            }
        }
    }
    Page { rows, failed }
}

fn object(row: &Row) -> serde_json::Value {
    let (member, host) = row.owner.clone().unzip();
    json!({
        "group": row.group, "topic": &*row.lag.partition.topic, "partition": row.lag.partition.partition,
        "committed": row.committed(), "start": row.lag.start, "end": row.lag.end, "lag": row.lag.records(),
        "state": row.state(), "member": member, "host": host,
    })
}

fn cells(row: &Row) -> Vec<String> {
    let (member, host) = row.owner.clone().unwrap_or_default();
    let number = |offset: Option<i64>| offset.map(|offset| offset.to_string()).unwrap_or_default();
    vec![
        row.group.clone(),
        row.lag.partition.topic.to_string(),
        row.lag.partition.partition.to_string(),
        number(row.committed()),
        number(row.lag.start),
        number(row.lag.end),
        row.lag.records().map(|records| records.to_string()).unwrap_or_default(),
        row.state().to_owned(),
        member,
        host,
    ]
}
