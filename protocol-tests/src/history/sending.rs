//! The rules of sends: each is decided once and in time, and the logs agree with the decisions, once and in order.

use std::collections::HashMap;
use std::time::Duration;

use ottla::types::TopicPartition;

use super::Anomaly;
use super::Outcome;
use super::Rule;
use super::check::Index;
use super::check::Log;
use super::check::Send;

pub(super) fn check(index: &Index<'_>, slack: Duration, anomalies: &mut Vec<Anomaly>) {
    for send in &index.sends {
        count(index, send, anomalies);
        lateness(send, slack, anomalies);
        failed(index, send, anomalies);
        route(index, send, anomalies);
        duplicate(index, send, anomalies);
    }
    phantoms(index, anomalies);
    for (partition, log) in &index.logs {
        contradictions(partition, log, anomalies);
        order(index, partition, log, anomalies);
    }
}

fn count(index: &Index<'_>, send: &Send<'_>, anomalies: &mut Vec<Anomaly>) {
    let times = send.decided.len();
    if times == 1 || times == 0 && index.crashed.contains(&send.process) {
        return;
    }
    let events = send.decided.iter().map(|decision| decision.event).chain([send.invoked]);
    anomalies.push(Anomaly::new(
        Rule::DeliveryReportCount,
        format!("{} was decided {times} times", send.value),
        events,
    ));
}

fn lateness(send: &Send<'_>, slack: Duration, anomalies: &mut Vec<Anomaly>) {
    for decision in send.decided.iter().filter(|decision| decision.at > send.deadline + slack) {
        let late = decision.at.saturating_sub(send.deadline);
        let detail = format!("{} was decided {late:?} after its deadline", send.value);
        let events = [send.invoked, decision.event].into_iter().chain(send.accepted);
        anomalies.push(Anomaly::new(Rule::LateDecision, detail, events));
    }
}

fn failed(index: &Index<'_>, send: &Send<'_>, anomalies: &mut Vec<Anomaly>) {
    let Some(places) = index.read.get(send.value) else { return };
    for decision in &send.decided {
        if let (Outcome::NotWritten(_), Some((partition, offset, seen))) = (decision.outcome, places.first()) {
            let detail = format!("{} was said not to be written and is at {partition}@{offset}", send.value);
            anomalies.push(Anomaly::new(Rule::ReadOfFailed, detail, [send.invoked, decision.event, *seen]));
        }
    }
}

fn route(index: &Index<'_>, send: &Send<'_>, anomalies: &mut Vec<Anomaly>) {
    let acknowledged = send.acknowledged();
    let mut wrong = |place: &TopicPartition, event: u64, other: u64| {
        let detail = format!("{} was sent to {}[{:?}] and is in {place}", send.value, send.topic, send.partition);
        anomalies.push(Anomaly::new(Rule::Misrouted, detail, [send.invoked, event, other]));
    };
    if let Some((place, _, event)) = &acknowledged
        && send.partition.is_some_and(|asked| asked != place.partition)
    {
        wrong(place, *event, *event);
    }
    for (place, _, event) in index.read.get(send.value).into_iter().flatten() {
        let asked = place.topic == *send.topic && send.partition.is_none_or(|asked| asked == place.partition);
        let said = acknowledged.as_ref().is_none_or(|(said, _, _)| said == place);
        if !asked || !said {
            wrong(place, *event, acknowledged.as_ref().map_or(*event, |(_, _, event)| *event));
        }
    }
}

fn duplicate(index: &Index<'_>, send: &Send<'_>, anomalies: &mut Vec<Anomaly>) {
    if index.lenient.contains(&send.process) {
        return;
    }
    let mut places: Vec<(TopicPartition, i64, u64)> = index.read.get(send.value).cloned().unwrap_or_default();
    if let Some((place, Some(offset), event)) = send.acknowledged()
        && !places.iter().any(|known| known.0 == place && known.1 == offset)
    {
        places.push((place, offset, event));
    }
    if places.len() > 1 {
        let at: Vec<String> = places.iter().map(|(place, offset, _)| format!("{place}@{offset}")).collect();
        let detail = format!("{} is at {}", send.value, at.join(" and "));
        let events = places.iter().map(|(_, _, event)| *event).chain([send.invoked]);
        anomalies.push(Anomaly::new(Rule::Duplicate, detail, events));
    }
}

fn phantoms(index: &Index<'_>, anomalies: &mut Vec<Anomaly>) {
    let mut unsent: Vec<_> = index.read.iter().filter(|(value, _)| !index.by_value.contains_key(*value)).collect();
    unsent.sort();
    for (value, places) in unsent {
        for (partition, offset, event) in places {
            let detail = format!("{value:?} at {partition}@{offset} was sent by no one");
            anomalies.push(Anomaly::new(Rule::Phantom, detail, [*event]));
        }
    }
}

fn contradictions(partition: &TopicPartition, log: &Log<'_>, anomalies: &mut Vec<Anomaly>) {
    for (offset, known) in log.iter().filter(|(_, known)| known.len() > 1) {
        let values: Vec<&str> = known.iter().map(|known| &**known.value).collect();
        let detail = format!("{partition}@{offset} is {}", values.join(" and "));
        anomalies.push(Anomaly::new(Rule::InconsistentOffsets, detail, known.iter().map(|known| known.event)));
    }
}

fn order(index: &Index<'_>, partition: &TopicPartition, log: &Log<'_>, anomalies: &mut Vec<Anomaly>) {
    // Per process, its send that was made last among those met so far, and where it was met.
    let mut latest: HashMap<u32, (&Send<'_>, u64)> = HashMap::new();
    for known in log.values().flatten() {
        let Some(send) = index.by_value.get(known.value).map(|number| &index.sends[*number]) else { continue };
        if index.lenient.contains(&send.process) {
            continue;
        }
        match latest.get(&send.process) {
            Some((before, seen)) if before.invoked > send.invoked => {
                let detail =
                    format!("in {partition}, {} comes after {}, which was sent later", send.value, before.value);
                let events = [before.invoked, send.invoked, *seen, known.event];
                anomalies.push(Anomaly::new(Rule::NonmonotonicSend, detail, events));
            }
            Some(_) | None => drop(latest.insert(send.process, (send, known.event))),
        }
    }
}
