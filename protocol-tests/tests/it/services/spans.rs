//! Spans by OpenTelemetry's conventions, to a subscriber of these tests.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Mutex;

use ottla::Record;
use ottla::error::Code;
use ottla::mock::Fault;
use ottla::mock::key;
use ottla::spans;
use tracing::Event;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::span::Attributes;
use tracing::span::Id;
use tracing::span::Record as Values;

use super::cluster;
use super::records;

type Fields = BTreeMap<&'static str, String>;

/// The fields of every span, in the order of their beginning.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Fields>>>);

struct Into<'f>(&'f mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ottla::spans"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut spans = self.0.lock().expect("nobody panicked");
        let mut fields = Fields::new();
        span.record(&mut Into(&mut fields));
        spans.push(fields);
        Id::from_u64(u64::try_from(spans.len()).expect("few"))
    }

    fn record(&self, span: &Id, values: &Values<'_>) {
        let at = usize::try_from(span.into_u64()).expect("few") - 1;
        values.record(&mut Into(&mut self.0.lock().expect("nobody panicked")[at]));
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, _event: &Event<'_>) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn spans_have_the_conventions_names_and_nothing_of_the_record() {
    let (server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    let spans = Spans::default();
    let listening = tracing::subscriber::set_default(spans.clone());
    producer.send_in_span(Record::to("t").key("secret").value("secret")).await.expect("acknowledged");
    server.with(|mock| mock.inject(key::PRODUCE, Fault::Error(Code::TopicAuthorizationFailed), 1));
    producer.send_in_span(Record::to("t").partition(0)).await.expect_err("refused");
    let records = records(&client).await;
    let record = records.iter().next().expect("one record");
    drop((spans::receive(&records, Some("g")), spans::process(&record, Some("g"))));
    drop(listening);

    let spans = spans.0.lock().expect("nobody panicked");
    let fields = |at: usize| spans[at].iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    let sent = [
        "messaging.destination.name=t",
        "messaging.destination.partition.id=0",
        "messaging.kafka.offset=0",
        "messaging.operation.name=send",
        "messaging.operation.type=send",
        "messaging.system=kafka",
        "otel.kind=producer",
        "otel.name=send t",
    ];
    assert_eq!(fields(0), sent);
    let refused = [
        "error.type=TOPIC_AUTHORIZATION_FAILED",
        "messaging.destination.name=t",
        "messaging.destination.partition.id=0",
        "messaging.kafka.message.tombstone=true",
        "messaging.operation.name=send",
        "messaging.operation.type=send",
        "messaging.system=kafka",
        "otel.kind=producer",
        "otel.name=send t",
        "otel.status_code=ERROR",
    ];
    assert_eq!(fields(1), refused);
    assert_eq!(spans[2]["messaging.batch.message_count"], "1");
    assert_eq!(spans[2]["messaging.operation.type"], "receive");
    assert_eq!((spans[3]["otel.name"].as_str(), spans[3]["otel.kind"].as_str()), ("process t", "consumer"));
    assert_eq!((spans[3]["messaging.kafka.offset"].as_str(), spans.len()), ("0", 4));
    assert!(!format!("{spans:?}").contains("secret"), "{spans:?}");
}
