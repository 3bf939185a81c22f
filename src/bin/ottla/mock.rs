//! `ottla mock`: serves the mock cluster until interrupted.

use ottla::mock::Cluster;
use ottla::mock::Server;
use ottla::types::TopicName;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Mock;
use crate::signals;
use crate::terminal;

/// The most partitions of one topic: the limit of the mock cluster itself.
const PARTITIONS_MAX: i32 = 100_000;

pub(crate) async fn run(common: &Common, options: Mock) -> Outcome {
    // For other commands --brokers names brokers; here it is their number.
    let brokers = common.brokers.as_deref().unwrap_or("1");
    let brokers = brokers
        .parse()
        .ok()
        .filter(|count| (1..=100).contains(count))
        .ok_or_else(|| Failure::Usage(format!("--brokers {brokers}: give a number of brokers from 1 to 100")))?;
    let mut builder = Cluster::builder().brokers(brokers).auto_create(true);
    for topic in &options.topic {
        let (name, partitions) = topic.split_once(':').unwrap_or((topic, "4"));
        let partitions =
            partitions.parse().ok().filter(|count| (1..=PARTITIONS_MAX).contains(count)).ok_or_else(|| {
                Failure::Usage(format!(
                    "-t {topic}: after the colon comes the number of partitions, 1 to {PARTITIONS_MAX}"
                ))
            })?;
        if let Some(problem) = TopicName::problem(name) {
            return Err(Failure::Usage(format!("-t {topic}: {name:?} is not a valid topic name: {problem}")));
        }
        builder = builder.topic(name, partitions);
    }
    let listen = options
        .listen
        .parse()
        .map_err(|_| Failure::Usage(format!("--listen {}: write it as an address and a port", options.listen)))?;
    let server = Server::start(builder.build(), listen).await.map_err(|error| {
        Failure::Failed(format!("could not listen on {}: {error}; choose another port with --listen", options.listen))
    })?;
    terminal::note(format_args!("serving on {}; interrupt to stop", server.bootstrap()));
    signals::interrupted().await?;
    Ok(())
}
