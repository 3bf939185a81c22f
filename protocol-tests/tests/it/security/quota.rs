//! Quotas of a real broker make a client slow and nothing else.

use ottla::Client;
use ottla::Record;
use ottla::admin::Acl;
use ottla::admin::AclOperation;
use ottla::admin::QuotaChange;
use ottla::admin::QuotaEntity;
use ottla::admin::QuotaFilter;
use ottla::consumer::Start;
use ottla::metrics::ConnectionCounters;
use ottla::sasl::Sasl;
use protocol_tests::rig::secure;
use tokio::time::Instant;

/// Kafka's shares of a second are counted over ten of them, so the first 200 kB pass at once.
const BYTES_PER_SECOND: f64 = 20_000.0;
const RECORDS: usize = 230;
const VALUE_BYTES: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quota_of_twenty_kilobytes_slows_down_and_loses_nothing() {
    if !secure::is_node_up() {
        return;
    }
    let admin = secure::admin().await;
    let user = secure::user(&admin, "slow").await;
    let topic = secure::topic(&admin, "quota", 1).await;
    let may = |operation| Acl::allow(format!("User:{user}"), operation).on_topic(&topic);
    secure::grant(&admin, [AclOperation::Write, AclOperation::Read].map(may)).await;
    let of_user = || QuotaChange::of(QuotaEntity::new().user(&user));
    let quota = of_user().set("producer_byte_rate", BYTES_PER_SECOND).set("consumer_byte_rate", BYTES_PER_SECOND);
    alter(&admin, quota).await;
    let is_known = async || match admin.admin().describe_quotas(QuotaFilter::all().user(&user)).await {
        Ok(found) if found.is_empty() => Err("the broker does not know the quota yet".to_owned()),
        outcome => outcome.map(drop).map_err(|error| format!("{error:#}")),
    };
    secure::eventually(is_known).await;

    let connect = || secure::builder(secure::CLEAR).sasl(Sasl::scram_sha_256(&*user, &*user)).connect();
    let (writer, reader) = (connect().await.expect("let in"), connect().await.expect("let in"));
    let begun = Instant::now();
    tokio::join!(write(&writer, &topic), read(&reader, &topic));
    for (what, client) in [("writer", &writer), ("reader", &reader)] {
        let count = |counter: fn(&ConnectionCounters) -> u64| {
            let metrics = client.metrics();
            let live = metrics.connections.iter().map(|connection| counter(&connection.counters));
            live.sum::<u64>() + counter(&metrics.retired)
        };
        let (throttles, throttled_ms) = (count(|counters| counters.throttles), count(|counters| counters.throttled_ms));
        println!("{what}: throttled {throttles} times, {throttled_ms} ms of {:?}", begun.elapsed());
        assert!(throttles > 0 && throttled_ms >= throttles, "{what}: {throttles} times, {throttled_ms} ms");
        assert_eq!((count(|counters| counters.disconnects), count(|counters| counters.timeouts)), (0, 0), "{what}");
    }
    assert_eq!(writer.metrics().producers.iter().map(|producer| producer.retries).sum::<u64>(), 0);
    alter(&admin, of_user().remove("producer_byte_rate").remove("consumer_byte_rate")).await;
    secure::delete_user(&admin, &user).await;
    admin.admin().delete_topics([topic.as_str()]).await.expect("a controller");
}

async fn alter(admin: &Client, change: QuotaChange) {
    for (change, outcome) in admin.admin().alter_quotas([change]).await {
        outcome.unwrap_or_else(|error| panic!("{}: {error:#}", change.entity()));
    }
}

async fn write(client: &Client, topic: &str) {
    // Many small requests, each of which the broker can hold up.
    let producer = client.producer().batch_bytes(10_000).build().expect("a producer");
    let padding = "x".repeat(VALUE_BYTES);
    let mut deliveries = Vec::new();
    for number in 0..RECORDS {
        let value = format!("{number} {padding}");
        deliveries.push(producer.enqueue(Record::to(topic).value(&value)).await.expect("accepted"));
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let receipt = delivery.await.expect("acknowledged");
        assert_eq!(receipt.offset, i64::try_from(number).ok(), "in order");
    }
}

async fn read(client: &Client, topic: &str) {
    let consumer = client.consumer().assign([topic]).start(Start::Earliest).build();
    let mut consumer = consumer.expect("a consumer");
    let mut next = 0;
    while next < RECORDS {
        for record in &consumer.poll().await.expect("readable").expect("no end") {
            let value = String::from_utf8_lossy(record.value.unwrap_or_default());
            let number = value.split(' ').next().and_then(|number| number.parse().ok());
            assert_eq!(number, Some(next), "lost, repeated or out of order");
            next += 1;
        }
    }
}
