//! Responses that come after their callers stopped waiting: the connection stays open, and no other caller loses a request.

use std::time::Duration;

use ottla::admin::NewTopic;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::mock::On;
use ottla::mock::key;
use tokio::time::Instant;

use super::net::Net;
use super::run;
use super::world::TOPIC;

/// A cluster of one broker that every request goes to.
fn net() -> Net {
    Net::new(Cluster::builder().brokers(1).topic(TOPIC, 1).auto_create(false).build())
}

#[test]
fn slow_create_topics_succeeds_though_requests_beside_it_expire() {
    run(async {
        let net = net();
        let client = net.client().connect().await.expect("the broker answers");
        net.with(|cluster| cluster.play(On::api(key::CREATE_TOPICS).then(Fault::Hold(Duration::from_secs(8)))));
        let begun = Instant::now();
        let list = |after: u64| {
            let client = client.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(after)).await;
                client.admin().list_topics().await
            })
        };
        let others = [list(0), list(1), list(2)];
        let created = client.admin().create_topics([NewTopic::new("slow")]).await.expect("the broker answers");
        assert!(created.iter().all(|(_, outcome)| outcome.is_ok()), "{created:?}");
        assert_eq!(begun.elapsed().as_secs(), 8);
        for other in others {
            other.await.expect("no panic").expect("the broker answers these, too");
        }
    });
}

#[test]
fn metadata_response_of_six_seconds_is_received() {
    run(async {
        let net = net();
        let delay = On::api(key::METADATA).then(Fault::Delay(Duration::from_secs(6))).forever();
        net.with(|cluster| cluster.play(delay));
        let begun = Instant::now();
        let client = net.client().connect().await.expect("the broker answers in the end");
        assert_eq!(begun.elapsed().as_secs(), 6);
        let topics = client.admin().list_topics().await.expect("the broker answers in the end");
        assert_eq!(topics.len(), 1);
    });
}
