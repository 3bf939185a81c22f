//! `ottla transactions` and `ottla producers`: open transactions, and the end of those that hang.

use ottla::admin::Admin;
use ottla::admin::HangingTransaction;
use ottla::admin::ProducerState;
use ottla::admin::TransactionFilter;
use ottla::admin::TransactionState;
use ottla::types::TopicPartition;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::operating::Producers;
use crate::args::operating::Transactions;
use crate::args::operating::TransactionsVerb;
use crate::confirm::confirm;
use crate::connect;
use crate::groups::fail_with;
use crate::partitions;
use crate::say;
use crate::table::Table;
use crate::terminal;
use crate::times;

pub(crate) async fn run(common: &Common, options: Transactions) -> Outcome {
    match options.verb {
        TransactionsVerb::List { state, producer_id, running_for, pattern } => {
            let filter = filter(&state, &producer_id, running_for.as_deref(), pattern)?;
            list(common, filter).await
        }
        TransactionsVerb::Describe { ids } => describe(common, ids).await,
        TransactionsVerb::Abort { place, start_offset, yes } => {
            let place = partitions::place(&place)?;
            abort(common, place, start_offset, yes).await
        }
    }
}

fn filter(
    states: &[String],
    producer_ids: &[i64],
    running_for: Option<&str>,
    pattern: Option<String>,
) -> Result<TransactionFilter, Failure> {
    let mut filter = producer_ids.iter().copied().fold(TransactionFilter::all(), TransactionFilter::producer_id);
    for text in states {
        let state: TransactionState = text.parse().unwrap_or_else(|never| match never {});
        if matches!(state, TransactionState::Unknown(_)) {
            let known = "Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit or CompleteAbort";
            return Err(Failure::Usage(format!("--state {text}: give {known}")));
        }
        filter = filter.state(state);
    }
    if let Some(text) = running_for {
        let refused = || Failure::Usage(format!("--running-for {text}: write it as PT15M, P1DT2H or the like"));
        filter = filter.running_for(times::duration(text).ok_or_else(refused)?);
    }
    Ok(pattern.into_iter().fold(filter, TransactionFilter::pattern))
}

async fn list(common: &Common, filter: TransactionFilter) -> Outcome {
    let listing = connect::admin(common).await?.list_transactions(filter).await?;
    let mut table = Table::new(&["TRANSACTIONAL ID", "STATE", "PRODUCER", "COORDINATOR"]);
    for one in listing.transactions {
        let state = one.state.to_string();
        if common.json {
            say(json!({
                "transactional_id": one.transactional_id, "state": state, "producer": one.producer_id,
                "coordinator": one.coordinator,
            }))?;
        }
        table.add([one.transactional_id, state, one.producer_id.to_string(), one.coordinator.to_string()]);
    }
    if !common.json {
        table.print()?;
    }
    fail_with(listing.failed.iter().map(|(broker, error)| {
        let why = crate::describe(error);
        format!("the transactional ids that broker {broker} coordinates are missing: {why}")
    }))
}

async fn describe(common: &Common, ids: Vec<String>) -> Outcome {
    let mut table =
        Table::new(&["TRANSACTIONAL ID", "STATE", "PRODUCER", "EPOCH", "COORDINATOR", "STARTED", "PARTITIONS"]);
    let mut failed = Vec::new();
    for (id, described) in connect::admin(common).await?.describe_transactions(ids).await {
        let one = match described {
            Ok(described) => described,
            Err(error) => {
                failed.push(crate::describe(&error));
                continue;
            }
        };
        let (state, partitions) = (one.state.to_string(), places(&one.partitions));
        if common.json {
            say(json!({
                "transactional_id": id, "state": state, "producer": one.producer_id, "epoch": one.producer_epoch,
                "coordinator": one.coordinator, "started_ms": one.started_ms, "timeout_ms": one.timeout.as_millis(),
                "partitions": partitions,
            }))?;
        }
        table.add([
            id,
            state,
            one.producer_id.to_string(),
            one.producer_epoch.to_string(),
            one.coordinator.to_string(),
            one.started_ms.map(|time| time.to_string()).unwrap_or_default(),
            partitions.join(" "),
        ]);
    }
    if !common.json {
        table.print()?;
    }
    fail_with(failed.into_iter())
}

fn places(partitions: &[TopicPartition]) -> Vec<String> {
    partitions.iter().map(|key| format!("{}:{}", key.topic, key.partition)).collect()
}

/// Finds the producer of the transaction that begins at this offset, shows it, and aborts the transaction.
async fn abort(common: &Common, place: TopicPartition, start: i64, yes: bool) -> Outcome {
    let admin = connect::admin(common).await?;
    let producers = producers_of(&admin, place.clone()).await?;
    let missing = || {
        let text = format!("{place} has no open transaction that begins at offset {start}");
        Failure::Failed(format!("{text}; `ottla producers {}:{}` shows them", place.topic, place.partition))
    };
    let producer = producers.iter().find(|one| one.transaction_start == Some(start)).ok_or_else(missing)?;
    let (id, epoch) = (producer.id, producer.epoch);
    confirm(yes, &format!("Abort the transaction of producer {id} (epoch {epoch}) in {place} from offset {start}?"))?;
    for (_, outcome) in admin.abort_transactions([HangingTransaction::of(place.clone(), producer)]).await {
        outcome?;
    }
    terminal::note(format_args!("aborted the transaction of producer {id} in {place}"));
    Ok(())
}

async fn producers_of(admin: &Admin, place: TopicPartition) -> Result<Vec<ProducerState>, Failure> {
    let mut producers = Vec::new();
    for (_, found) in admin.describe_producers([place]).await {
        producers.extend(found?);
    }
    Ok(producers)
}

/// `ottla producers`.
pub(crate) async fn producers(common: &Common, options: Producers) -> Outcome {
    let admin = connect::admin(common).await?;
    let mut all = Vec::new();
    for text in &options.places {
        if text.contains(':') {
            all.push(partitions::place(text)?);
            continue;
        }
        for topic in admin.describe_topics([text.as_str()]).await? {
            if let Some(code) = topic.error {
                let hint = "`ottla topics list` has the names";
                return Err(Failure::Failed(format!("could not describe topic {text}: {code}; {hint}")));
            }
            all.extend(topic.partitions.iter().map(|one| TopicPartition::new(text.as_str(), one.index)));
        }
    }
    let mut table = Table::new(&[
        "TOPIC",
        "PARTITION",
        "PRODUCER",
        "EPOCH",
        "SEQUENCE",
        "LAST WRITE",
        "COORDINATOR EPOCH",
        "TRANSACTION START",
    ]);
    let mut failed = Vec::new();
    for (place, found) in admin.describe_producers(all).await {
        match found {
            Err(error) => failed.push(crate::describe(&error)),
            Ok(producers) => {
                for producer in producers {
                    if common.json {
                        say(object(&place, &producer))?;
                    }
                    table.add(cells(&place, &producer));
                }
            }
        }
    }
    if !common.json {
        table.print()?;
    }
    fail_with(failed.into_iter())
}

fn object(place: &TopicPartition, producer: &ProducerState) -> serde_json::Value {
    json!({
        "topic": &*place.topic, "partition": place.partition, "producer": producer.id, "epoch": producer.epoch,
        "last_sequence": producer.last_sequence, "last_timestamp": producer.last_timestamp,
        "coordinator_epoch": producer.coordinator_epoch, "transaction_start": producer.transaction_start,
    })
}

fn cells(place: &TopicPartition, producer: &ProducerState) -> [String; 8] {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        place.topic.to_string(),
        place.partition.to_string(),
        producer.id.to_string(),
        producer.epoch.to_string(),
        number(producer.last_sequence.map(i64::from)),
        number(producer.last_timestamp),
        number(producer.coordinator_epoch.map(i64::from)),
        number(producer.transaction_start),
    ]
}
