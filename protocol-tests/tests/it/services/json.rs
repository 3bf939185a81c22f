//! JSON values between a producer and a consumer, and a value in between that is none.

use std::collections::BTreeMap;

use ottla::Record;
use ottla::consumer::OwnedRecord;
use ottla::error::Kind;
use ottla::error::Written;
use serde::Deserialize;
use serde::Serialize;

use super::cluster;
use super::records;

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Click {
    user: u64,
    page: String,
}

#[tokio::test(start_paused = true)]
async fn undecodable_record_is_named_and_those_after_it_are_read() {
    let (_server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    let click = |user| Click { user, page: "/\u{fc}".to_owned() };
    producer.send_json(Record::to("t").key("a"), &click(1)).await.expect("acknowledged");
    producer.send(Record::to("t").value("{\"user\": \"secret\"}")).await.expect("acknowledged");
    producer.send(Record::to("t").key("a")).await.expect("acknowledged");
    producer.send_json(Record::to("t").value("replaced"), &click(u64::MAX)).await.expect("acknowledged");

    let records = records(&client).await;
    let decoded: Vec<_> = records.json::<Click>().map(|(record, click)| (record.offset, click)).collect();
    assert_eq!(decoded.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 1, 2, 3], "none is left out");
    assert_eq!(decoded[0].1.as_ref().expect("it is a click"), &click(1));
    assert_eq!(decoded[3].1.as_ref().expect("it is a click"), &click(u64::MAX));
    for offset in [1, 2] {
        let error = decoded[offset].1.as_ref().expect_err("no click");
        let place = (error.topic(), error.partition(), error.offset());
        assert_eq!(place, (Some("t"), Some(0), i64::try_from(offset).ok()), "{error}");
        assert_eq!((error.kind(), error.is_written()), (Kind::Payload, None));
        assert!(!format!("{error:#}").contains("secret"), "{error:#}");
    }
    let owned: Vec<OwnedRecord> = records.iter().map(|record| record.to_owned()).collect();
    assert_eq!(owned[0].json::<Click>().expect("it is a click"), click(1));
    assert_eq!(owned[2].json::<Option<Click>>().expect("a tombstone"), None);
    assert_eq!(owned[1].json::<Click>().expect_err("no click").offset(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn value_that_json_cannot_express_is_not_written() {
    let (server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    let keys_are_lists = BTreeMap::from([(vec![1], 2)]);
    let error = producer.send_json(Record::to("t"), &keys_are_lists).await.expect_err("no JSON");
    assert_eq!((error.kind(), error.is_written(), error.topic()), (Kind::Payload, Some(Written::No), Some("t")));
    assert_eq!(server.with(|mock| mock.log("t", 0).len()), 0);
}
