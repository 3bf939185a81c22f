//! Log events of an outage: one when it begins and one when it ends, however long it lasts.

use std::fmt::Debug;

use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::span;

use super::*;
use crate::producer::Record;

/// Notes the messages of events that are more urgent than debug.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() < Level::DEBUG && metadata.target().starts_with("ottla")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.0.lock().expect("no panic").push(format!("{} {}", event.metadata().level(), message.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Notes {
    /// The messages since the last call, without those about metadata that was learned.
    fn take(&self) -> Vec<String> {
        let notes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let expected = ["broker added", "cluster id learned", "producer id acquired", "connection lost"];
        notes.into_iter().filter(|note| !expected.iter().any(|expected| note.contains(expected))).collect()
    }
}

/// Refuses connections to some ports.
#[derive(Clone, Debug)]
struct Gate {
    brokers: crate::mock::MemoryConnector,
    closed: Arc<Mutex<Vec<u16>>>,
}

impl Connector for Gate {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        if self.closed.lock().expect("no panic").contains(&port) {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        self.brokers.connect(host, port)
    }
}

#[tokio::test(start_paused = true)]
async fn outage_is_logged_once_when_it_begins_and_once_when_it_ends() {
    let mock = Mock::builder().brokers(3).topic("t", 3).build();
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let ports = server.bootstrap().split(',').map(|at| at.rsplit(':').next().expect("a port").parse());
    let ports: Vec<u16> = ports.collect::<Result<_, _>>().expect("numbers");
    let leader = usize::try_from(server.with(|mock| mock.leader("t", 0)).expect("it has one").0).expect("an id");
    let one = vec![ports[leader - 1]];
    for (closed, who, warnings) in [(one, "broker", 1), (ports, "cluster", 3)] {
        let notes = Notes::default();
        let _noting = tracing::subscriber::set_default(notes.clone());
        let gate = Gate { brokers: server.connector(), closed: Arc::default() };
        let builder = Client::builder([server.bootstrap()]).expect("well-formed").connector(gate.clone());
        // One of the others answers.
        let client =
            if warnings == 1 { builder.connect().await } else { builder.connect_lazy() }.expect("it can be had");
        *gate.closed.lock().expect("no panic") = closed;
        let producer = client.producer().delivery_timeout(Duration::from_secs(7_200)).build().expect("it is fine");
        let outage = async {
            tokio::time::sleep(Duration::from_secs(1_200)).await;
            gate.closed.lock().expect("no panic").clear();
            notes.take()
        };
        let (sent, noted) = tokio::join!(producer.send(Record::to("t").partition(0).value("v")), outage);
        sent.expect("it is acknowledged in the end");
        let count = |noted: &[String], what: &str| noted.iter().filter(|note| note.starts_with(what)).count();
        assert_eq!(count(&noted, &format!("WARN {who} unreachable")), 1, "{noted:#?}");
        assert!(count(&noted, "WARN") <= warnings, "{noted:#?}");
        let noted = notes.take();
        assert_eq!(noted, [format!("INFO {who} reachable again")], "{noted:#?}");
    }
}
