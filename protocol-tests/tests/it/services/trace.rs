//! Trace context from a producer to a consumer, and headers of others that are hostile.

use ottla::Record;
use ottla::error::Kind;
use ottla::trace::TraceContext;

use super::cluster;
use super::records;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(start_paused = true)]
async fn trace_context_goes_through_the_headers_of_a_record() {
    let (_server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    let context = TraceContext::parse(PARENT, "congo=t61rcWkgMzE,rojo=1").expect("it is good");
    let plain = TraceContext::new(1, 2, false).expect("the ids are not zero");
    for record in [Record::to("t").trace(&context), Record::to("t").header("id", "7").trace(&plain), Record::to("t")] {
        producer.send(record).await.expect("acknowledged");
    }
    let records = records(&client).await;
    let read: Vec<_> = records.iter().map(|record| record.trace().expect("it is good")).collect();
    assert_eq!(read, [Some(context.clone()), Some(plain), None]);
    let first = records.iter().next().expect("three records");
    let headers: Vec<_> = first.headers().map(|header| (header.key, header.value)).collect();
    let expected: [(&[u8], &[u8]); 2] =
        [(b"traceparent", PARENT.as_bytes()), (b"tracestate", b"congo=t61rcWkgMzE,rojo=1")];
    assert_eq!(headers, expected.map(|(key, value)| (key, Some(value))));
    assert_eq!(first.to_owned().trace().expect("it is good"), Some(context));
}

#[tokio::test(start_paused = true)]
async fn hostile_trace_headers_are_errors_of_their_record_only() {
    let (_server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    let many = "a=1,".repeat(5_000);
    let hostile = [
        Record::to("t").header("traceparent", "").header("id", "1"),
        Record::to("t").header("traceparent", b"\xff\xfe\xfd"),
        Record::to("t").header("traceparent", PARENT).header("TraceParent", PARENT),
        Record::to("t").header("traceparent", &many),
        Record::to("t").header("tracestate", &many),
        Record::to("t").header("tracestate", &many).header("Traceparent", PARENT),
        Record::to("t").header("traceparent", PARENT).header("tracestate", "a=1").header("tracestate", "b=2"),
    ];
    for record in hostile {
        producer.send(record).await.expect("acknowledged");
    }
    let records = records(&client).await;
    let read: Vec<_> = records.iter().map(|record| record.trace()).collect();
    for (offset, refused) in read[..4].iter().enumerate() {
        let error = refused.as_ref().expect_err("malformed");
        assert_eq!((error.kind(), error.offset()), (Kind::Payload, i64::try_from(offset).ok()), "{error}");
        assert!(error.to_string().len() < 200, "it does not repeat the header: {error}");
    }
    assert_eq!(read[4].as_ref().expect("no trace"), &None);
    let states = read[5..].iter().map(|read| read.as_ref().expect("good").as_ref().expect("a trace").state());
    assert_eq!(states.collect::<Vec<_>>(), ["", "a=1,b=2"]);
}
