//! A reading of the metrics says what happened, no more and no less.

use super::*;
use crate::metrics::Metrics;
use crate::metrics::Purpose;

/// Reads until the reading is as `expected`: a task that was dropped ends in its own time.
async fn settled(client: &Client, expected: impl Fn(&Metrics) -> bool) -> Metrics {
    let reading = async {
        loop {
            let metrics = client.metrics();
            if expected(&metrics) {
                return metrics;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it settles within 10 seconds")
}

#[tokio::test]
async fn producers_and_consumers_are_listed_while_they_live() {
    let (_server, builder) = serve(Mock::builder().topic("t", 3).build()).await;
    let client = builder.connect().await.expect("it answers");
    let producer = client.producer().build().expect("the defaults are fine");
    let consumer = client.consumer().assign(["t"]).build().expect("the defaults are fine");
    let metrics = settled(&client, |metrics| metrics.consumers[0].assigned_partitions == 3).await;
    let ids = |metrics: &Metrics| -> (Vec<u64>, Vec<u64>) {
        let producers = metrics.producers.iter().map(|producer| producer.id);
        (producers.collect(), metrics.consumers.iter().map(|consumer| consumer.id).collect())
    };
    assert_eq!(ids(&metrics), (vec![1], vec![2]));
    assert_eq!((metrics.metadata.brokers, metrics.metadata.topics), (1, 1));
    drop((producer, consumer));
    settled(&client, |metrics| ids(metrics) == (vec![], vec![])).await;
    let _third = client.producer().build().expect("the defaults are fine");
    assert_eq!(ids(&client.metrics()), (vec![3], vec![]), "numbers are not given out again");
}

#[tokio::test]
async fn connections_that_were_given_up_stay_in_the_sum() {
    let (_server, builder) = serve(Mock::builder().topic("t", 1).build()).await;
    let client = builder.connect().await.expect("it answers");
    let sum = |metrics: &Metrics| -> u64 {
        metrics.retired.connects + metrics.connections.iter().map(|open| open.counters.connects).sum::<u64>()
    };
    // The bootstrap connection is given up for one to the broker.
    let metrics = settled(&client, |metrics| metrics.retired.connects == 1).await;
    assert_eq!(sum(&metrics), 1);
    let cluster = client.cluster();
    let deadline = clock::now() + Duration::from_secs(5);
    cluster.known(&[TopicName::from("t")], deadline).await.expect("it is there");
    let metrics = client.metrics();
    let open = &metrics.connections[..];
    assert_eq!(open.iter().map(|open| (open.broker, open.purpose)).collect::<Vec<_>>(), [(Some(1), Purpose::Control)]);
    assert_eq!(sum(&metrics), 2);
}

#[tokio::test(start_paused = true)]
async fn each_failure_to_connect_is_counted() {
    let connections = connections(&Refusing::default());
    let handle = connections.handle(Endpoint::Broker(7), ConnectionKind::Produce, at("b"));
    for failures in 1..=3 {
        dial(&handle).await;
        let mut metrics = Metrics::default();
        connections.metrics(&mut metrics);
        let open = &metrics.connections[0];
        assert_eq!((open.broker, &*open.address, open.purpose), (Some(7), "b:9092", Purpose::Produce));
        assert_eq!((open.counters.connect_failures, open.counters.connects), (failures, 0));
    }
}
