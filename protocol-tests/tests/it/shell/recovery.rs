//! How soon records flow again once brokers are ready, and at what cost until then.

use std::time::Duration;

use ottla::Record;
use ottla::error::Code;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use tokio::time::Instant;

use super::net::Net;
use super::run;
use super::world::soon;

const PRODUCE: i16 = 0;
const TOPIC: &str = "t";

/// A broker of a topic that was created just now names itself the leader of partitions that it does not lead yet
/// (`ReplicaManager.getPartitionOrError` while `applyDelta` creates the logs).
#[test]
fn partitions_of_a_new_topic_are_written_soon_after_their_broker_is_ready() {
    const PARTITIONS: i32 = 200;
    for outage in [300, 1_500, 3_000].map(Duration::from_millis) {
        run(async {
            let net = Net::new(Cluster::builder().brokers(1).topic(TOPIC, PARTITIONS).build());
            let client = soon("connect", net.client().connect()).await.expect("it answers");
            let producer = client.producer().build().expect("the settings are fine");
            net.with(|cluster| cluster.inject(PRODUCE, Fault::Error(Code::NotLeaderOrFollower), u32::MAX));
            let mut deliveries = Vec::new();
            for partition in 0..PARTITIONS {
                let record = Record::to(TOPIC).partition(partition).value("1");
                deliveries.push(soon("enqueue", producer.enqueue(record)).await.expect("the topic is known"));
            }
            tokio::time::sleep(outage).await;
            let requests = net.with(|cluster| {
                cluster.clear_faults();
                cluster.requests_count(PRODUCE)
            });
            let ready = Instant::now();
            for delivery in deliveries {
                soon("deliver", delivery).await.expect("the broker is ready");
            }
            let late = ready.elapsed();
            // A quarter of the outage, give or take a fifth, and the time of a request.
            assert!(late < outage.mul_f64(0.3).max(Duration::from_millis(150)), "{late:?} late after {outage:?}");
            // All partitions share their retries.
            assert!(requests < 40, "{requests} requests in {outage:?}");
        });
    }
}
