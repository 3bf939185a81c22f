//! `ottla mock`: serves the mock cluster until interrupted.

use ottla::mock::Cluster;
use ottla::mock::Server;

use crate::Failure;
use crate::Outcome;
use crate::args::Mock;

pub(crate) async fn run(options: Mock) -> Outcome {
    let mut builder = Cluster::builder().brokers(options.count).auto_create_topics(true);
    for topic in &options.topic {
        let (name, partitions) = topic.split_once(':').unwrap_or((topic, "4"));
        let partitions = partitions
            .parse()
            .map_err(|_| Failure::Usage(format!("-t {topic}: after the colon comes the number of partitions")))?;
        builder = builder.topic(name, partitions);
    }
    let listen = options
        .listen
        .parse()
        .map_err(|_| Failure::Usage(format!("--listen {}: write it as an address and a port", options.listen)))?;
    let server = Server::start(builder.build(), listen).await?;
    eprintln!("serving on {}; interrupt to stop", server.bootstrap());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
