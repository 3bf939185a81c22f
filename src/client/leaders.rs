//! Connections to the leaders of topics, established before a record needs them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Instant;

use tokio::sync::oneshot;

use super::cluster::Cluster;
use super::connections::ConnectionKind;
use super::routing::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::net::connection::Reply;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::message::ApiVersionsRequest;

/// The partitions of each leader.
type Leaders = BTreeMap<i32, Vec<TopicPartition>>;

impl Cluster {
    /// Establishes the connections for Produce requests to the leaders of all partitions of these topics.
    ///
    /// The error at the deadline names a broker, and a partition that it leads; or a partition without a leader.
    pub(crate) async fn connect_leaders(&self, topics: &[TopicName], deadline: Instant) -> Result<(), Error> {
        let mut connected = BTreeSet::new();
        let mut retry = self.retry(deadline);
        loop {
            let missing = match leaders(&self.snapshot(), topics) {
                Ok(leaders) => self.connect_to(leaders, &mut connected, deadline).await,
                Err(leaderless) => Some(leaderless),
            };
            let Some(error) = missing else { return Ok(()) };
            self.refresh(topics);
            retry.pause(error).await?;
        }
    }

    /// Connects to those leaders that are not connected, all at once. Returns the error of one that could not be reached.
    async fn connect_to(&self, leaders: Leaders, connected: &mut BTreeSet<i32>, deadline: Instant) -> Option<Error> {
        let deadline = self.request_deadline(deadline);
        let mut attempts = Vec::new();
        for (broker, led) in leaders.into_iter().filter(|(broker, _)| !connected.contains(broker)) {
            let (sender, receiver) = oneshot::channel();
            let request = ApiVersionsRequest.into();
            self.submit_over(
                ConnectionKind::Produce,
                Target::Broker(broker),
                request,
                (deadline, None),
                Reply::Oneshot(sender),
            );
            attempts.push((broker, led, receiver));
        }
        let mut missing = None;
        for (broker, led, response) in attempts {
            let closed = || Error::new(Kind::Closed, "the client is closed");
            match response.await.unwrap_or_else(|_| Err(closed())) {
                Ok(_) => drop(connected.insert(broker)),
                Err(error) => missing = Some(not_connected(broker, &led, error)),
            }
        }
        missing
    }
}

/// The leaders of all partitions of topics, or the error of a partition that has none.
fn leaders(snapshot: &Snapshot, topics: &[TopicName]) -> Result<Leaders, Error> {
    let mut leaders = Leaders::new();
    for topic in topics.iter().filter_map(|topic| snapshot.topic(topic)) {
        for (index, partition) in (0..).zip(&topic.partitions) {
            let leaderless = || Error::broker(Code::LeaderNotAvailable, "the partition has no leader");
            let leader = partition.leader.ok_or_else(|| leaderless().in_partition(&topic.name, index))?;
            leaders.entry(leader).or_default().push(TopicPartition { topic: topic.name.clone(), partition: index });
        }
    }
    Ok(leaders)
}

fn not_connected(broker: i32, led: &[TopicPartition], error: Error) -> Error {
    let text = match led.len() {
        1 => format!("could not connect to broker {broker}, the leader of a partition"),
        count => format!("could not connect to broker {broker}, the leader of {count} partitions"),
    };
    let place = led.first().expect("a leader leads a partition");
    Error::new(error.kind(), text).in_partition(&place.topic, place.partition).caused_by(error)
}
