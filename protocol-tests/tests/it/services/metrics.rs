//! The counters that an exporter publishes, to a recorder of these tests; the page and the dashboard that name them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use metrics::Counter;
use metrics::CounterFn;
use metrics::Gauge;
use metrics::GaugeFn;
use metrics::Histogram;
use metrics::HistogramFn;
use metrics::Key;
use metrics::KeyName;
use metrics::Metadata;
use metrics::Recorder;
use metrics::SharedString;
use metrics::Unit;
use ottla::Record;
use ottla::export::Exporter;
use ottla::export::instruments;

use super::cluster;
use super::reader;
use super::records;

/// The value of each metric, by its name with its labels.
type Values = Arc<Mutex<BTreeMap<String, f64>>>;

#[derive(Default)]
struct Memory {
    values: Values,
    described: Mutex<BTreeSet<String>>,
}

struct Slot(Values, String);

impl Slot {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut values = self.0.lock().expect("nobody panicked");
        let value = values.entry(self.1.clone()).or_default();
        *value = change(*value);
    }
}

fn float(value: u64) -> f64 {
    f64::from(u32::try_from(value).expect("small"))
}

impl CounterFn for Slot {
    fn increment(&self, value: u64) {
        self.change(|old| old + float(value));
    }

    fn absolute(&self, _value: u64) {
        panic!("an exporter publishes what was added");
    }
}

impl GaugeFn for Slot {
    fn increment(&self, value: f64) {
        self.change(|old| old + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|old| old - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Slot {
    fn record(&self, _value: f64) {
        self.change(|old| old + 1.0);
    }
}

impl Memory {
    fn slot(&self, key: &Key) -> Arc<Slot> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Slot(Arc::clone(&self.values), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    fn value(&self, key: &str) -> f64 {
        let values = self.values.lock().expect("nobody panicked");
        *values.get(key).unwrap_or_else(|| panic!("no {key} in {values:#?}"))
    }

    fn describe(&self, name: &KeyName) {
        self.described.lock().expect("nobody panicked").insert(name.as_str().to_owned());
    }
}

impl Recorder for Memory {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _description: SharedString) {
        assert!(unit.is_some(), "{name:?} has no unit");
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _unit: Option<Unit>, _description: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _unit: Option<Unit>, _description: SharedString) {
        self.describe(&name);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.slot(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.slot(key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.slot(key))
    }
}

#[tokio::test(start_paused = true)]
async fn exporter_publishes_what_was_counted_since_the_last_time() {
    let (_server, client) = cluster().await;
    let memory = Memory::default();
    let mut exporter = Exporter::new(&client).label("cluster", "a");
    let mut publish = || metrics::with_local_recorder(&memory, || exporter.publish());
    let producer = client.producer().build().expect("the defaults are fine");
    for expected in [1.0, 2.0] {
        producer.send(Record::to("t").value("v")).await.expect("acknowledged");
        publish();
        assert!((memory.value("ottla_producer_acknowledged_total{cluster=a}") - expected).abs() < 0.1);
        let sent = "messaging.client.sent.messages{messaging.system=kafka,messaging.operation.name=send,cluster=a}";
        assert!((memory.value(sent) - expected).abs() < 0.1);
    }
    // Another producer adds up; the number of one that is gone stays.
    drop(producer);
    let other = client.producer().build().expect("the defaults are fine");
    other.send(Record::to("t").value("v")).await.expect("acknowledged");
    drop(records(&client).await);
    publish();
    assert!((memory.value("ottla_producer_acknowledged_total{cluster=a}") - 3.0).abs() < 0.1);
    let counters = client.metrics();
    let requests: u64 = counters.connections.iter().map(|open| open.counters.requests).sum();
    let published: f64 = ["admin", "control", "fetch", "produce"]
        .iter()
        .filter_map(|purpose| {
            let key = format!("ottla_connection_requests_total{{purpose={purpose},cluster=a}}");
            memory.values.lock().expect("nobody panicked").get(&key).copied()
        })
        .sum();
    assert!((published - float(requests + counters.retired.requests)).abs() < 0.1, "{published}: {counters:?}");
    let measured = memory.value("ottla_connection_request_duration_seconds{purpose=produce,cluster=a}");
    assert!((measured - 3.0).abs() < 0.1, "one measurement for each request: {measured}");
}

#[tokio::test(start_paused = true)]
async fn lag_is_published_as_a_gauge_that_goes_down() {
    let (_server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    for _ in 0..3 {
        producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    }
    let mut consumer = reader(&client);
    while consumer.poll().await.expect("the leader responds").is_some() {}
    let memory = Memory::default();
    metrics::with_local_recorder(&memory, || Exporter::new(&client).publish());
    assert!(memory.value("ottla_consumer_lag_records{}").abs() < 0.1);
    assert!((memory.value("ottla_consumer_records_total{}") - 3.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn every_metric_that_is_published_is_described_and_in_the_table() {
    let (_server, client) = cluster().await;
    let _producer = client.producer().build().expect("the defaults are fine");
    let memory = Memory::default();
    let mut exporter = Exporter::new(&client);
    metrics::with_local_recorder(&memory, || {
        exporter.describe();
        exporter.publish();
    });
    let names: BTreeSet<String> = instruments().map(|instrument| instrument.name.to_owned()).collect();
    assert_eq!(*memory.described.lock().expect("nobody panicked"), names);
    let values = memory.values.lock().expect("nobody panicked");
    for key in values.keys() {
        assert!(names.contains(key.split('{').next().unwrap_or_default()), "{key}");
    }
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `OTTLA_WRITE_DOCS=1` with this test writes the table.
#[test]
fn page_of_metrics_lists_the_table() {
    let row = |instrument: &ottla::export::Instrument| {
        let constant = instrument.constant.iter().map(|(key, value)| format!("`{key}`=`{value}`"));
        let labels = instrument.labels.iter().map(|label| format!("`{label}`")).chain(constant);
        let labels = labels.collect::<Vec<_>>().join(" ");
        let (kind, unit) = (instrument.kind.name(), instrument.unit.name());
        format!("| `{}` | {kind} | {unit} | {labels} | {} |\n", instrument.name, instrument.description)
    };
    let rows: String = instruments().map(row).collect();
    let text = page("METRICS.md");
    let (head, _) = text.split_once("|---|---|---|---|---|\n").expect("the page has a table");
    let expected = format!("{head}|---|---|---|---|---|\n{rows}");
    if std::env::var("OTTLA_WRITE_DOCS").is_ok_and(|value| value == "1") {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md"), &expected).expect("written");
    }
    assert_eq!(page("METRICS.md"), expected, "run it with OTTLA_WRITE_DOCS=1");
}

#[test]
fn dashboard_names_only_metrics_that_exist() {
    let text = page("grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let names: BTreeSet<&str> = instruments().map(|instrument| instrument.name).collect();
    let mut used = BTreeSet::new();
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().expect("a panel has targets")) {
        let expression = target["expr"].as_str().expect("a target has an expression");
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        used.extend(expression.split(|c| !is_of_name(c)).filter(|word| word.starts_with("ottla_")));
    }
    assert!(used.len() > 20, "{used:?}");
    for name in used {
        // Prometheus makes two more of a histogram.
        let base = name.strip_suffix("_sum").or_else(|| name.strip_suffix("_count")).unwrap_or(name);
        assert!(names.contains(name) || names.contains(base), "there is no metric {name}");
    }
}
