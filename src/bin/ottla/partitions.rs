//! Checks the partitions that the user names, before anything is read or written.

use ottla::client::Client;
use ottla::types::TopicPartition;

use crate::Failure;
use crate::Outcome;

/// Fails for a partition that does not exist, at once and with the number that exist. `named` is how the user names one.
pub(crate) async fn check(client: &Client, topics: &[impl AsRef<str>], named: &str, partitions: &[i32]) -> Outcome {
    if let Some(negative) = partitions.iter().find(|partition| **partition < 0) {
        return Err(Failure::Usage(format!("{named} {negative}: partitions are numbered from 0")));
    }
    if partitions.is_empty() {
        return Ok(());
    }
    let described = client.admin().describe_topics(topics.iter().map(AsRef::as_ref)).await?;
    // Reading or writing reports a topic that could not be described.
    for topic in described.iter().filter(|topic| topic.error.is_none()) {
        let is_missing = |wanted: &&i32| !topic.partitions.iter().any(|partition| partition.index == **wanted);
        if let Some(missing) = partitions.iter().find(is_missing) {
            let (name, count) = (&topic.name, topic.partitions.len());
            let plural = if count == 1 { "" } else { "s" };
            let text = format!("{named} {missing}: topic {name} has {count} partition{plural}, numbered from 0");
            return Err(Failure::Failed(text));
        }
    }
    Ok(())
}

/// Reads `TOPIC:PARTITION`.
pub(crate) fn place(text: &str) -> Result<TopicPartition, Failure> {
    let wrong = || Failure::Usage(format!("{text}: write it as TOPIC:PARTITION"));
    let (topic, partition) = text.rsplit_once(':').ok_or_else(wrong)?;
    let partition = partition.parse().ok().filter(|partition| *partition >= 0).ok_or_else(wrong)?;
    if topic.is_empty() {
        return Err(wrong());
    }
    Ok(TopicPartition::new(topic, partition))
}
