//! Log events about changes of the metadata, of target `ottla::metadata`.

use std::sync::Arc;

use crate::metadata::Snapshot;
use crate::metadata::Topic;
use crate::types::LeaderEpoch;

/// Reports the differences between two states of the metadata. Returns how many partitions got another leader.
pub(super) fn report(before: &Snapshot, after: &Snapshot) -> u64 {
    if before.cluster_id() != after.cluster_id()
        && let Some(id) = after.cluster_id()
    {
        tracing::info!(target: "ottla::metadata", cluster_id = id, from = before.cluster_id(), "cluster id learned");
    }
    report_brokers(before, after);
    let mut leader_changes = 0;
    for topic in after.topics() {
        if let Some(known) = before.topic(&topic.name).filter(|known| !Arc::ptr_eq(known, topic)) {
            leader_changes += report_topic(known, topic);
        }
    }
    leader_changes
}

fn report_brokers(before: &Snapshot, after: &Snapshot) {
    for broker in after.brokers() {
        let (id, host, port) = (broker.id, &broker.host, broker.port);
        match before.broker(id) {
            None => tracing::info!(target: "ottla::metadata", broker = id, %host, port, "broker added"),
            Some(known) if (&known.host, known.port) != (host, port) => {
                let from = format_args!("{}:{}", known.host, known.port);
                tracing::info!(target: "ottla::metadata", broker = id, %host, port, %from, "broker moved");
            }
            Some(_) => {}
        }
    }
    for broker in before.brokers().filter(|broker| after.broker(broker.id).is_none()) {
        tracing::info!(target: "ottla::metadata", broker = broker.id, "broker removed");
    }
}

fn report_topic(before: &Topic, after: &Topic) -> u64 {
    let topic = &*after.name;
    if before.id != after.id && !before.id.is_zero() {
        tracing::info!(target: "ottla::metadata", topic, from = %before.id, to = %after.id, "topic recreated");
        return 0;
    }
    if before.error != after.error {
        if let Some(error) = after.error {
            tracing::info!(target: "ottla::metadata", topic, %error, "topic became unavailable");
        } else {
            tracing::info!(target: "ottla::metadata", topic, "topic became available");
        }
    }
    if before.partitions.len() != after.partitions.len() && !before.partitions.is_empty() {
        let (from, to) = (before.partitions.len(), after.partitions.len());
        tracing::info!(target: "ottla::metadata", topic, from, to, "number of partitions changed");
    }
    let mut leader_changes = 0;
    for (partition, (old, new)) in before.partitions.iter().zip(&after.partitions).enumerate() {
        if old.leader != new.leader {
            let epoch = LeaderEpoch::to_wire(new.epoch);
            let (from, to) = (old.leader, new.leader);
            tracing::info!(target: "ottla::metadata", topic, partition, from, to, epoch, "leader changed");
            leader_changes += u64::from(to.is_some());
        }
    }
    leader_changes
}
