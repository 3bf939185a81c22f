//! A mechanism of the user's that does not answer: each of its steps has a time limit.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla::Record;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::SaslAnswer;
use ottla::mock::SaslUsers;
use ottla::mock::Server;
use ottla::sasl::Exchange;
use ottla::sasl::Mechanism;
use ottla::sasl::Sasl;
use ottla::sasl::Starting;
use ottla::sasl::Step;
use ottla::sasl::Stepping;

use super::builder;
use super::connect;
use super::write_one;

/// Asks somebody for a ticket, who is silent while `is_silent`.
#[derive(Clone, Debug, Default)]
struct Ticket {
    is_silent: Arc<AtomicBool>,
    is_sent: bool,
}

impl Mechanism for Ticket {
    fn name(&self) -> &'static str {
        "X-TICKET"
    }

    fn start<'a>(&'a self, _: &'a str) -> Starting<'a> {
        Box::pin(async move { Ok(Box::new(self.clone()) as Box<dyn Exchange>) })
    }
}

impl Exchange for Ticket {
    fn step<'a>(&'a mut self, _: &'a [u8]) -> Stepping<'a> {
        Box::pin(async move {
            if self.is_silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let is_sent = std::mem::replace(&mut self.is_sent, true);
            Ok(if is_sent { Step::Done } else { Step::Respond(b"ticket".to_vec().into()) })
        })
    }
}

fn server(lifetime: Duration) -> Server {
    let accept = |_: usize, _: &[u8]| SaslAnswer::Accept { user: "alice".into(), message: Vec::new() };
    let users = SaslUsers::new().mechanism("X-TICKET", accept).session_lifetime(lifetime);
    // One broker, so that a step is awaited once.
    Server::in_memory(Cluster::builder().brokers(1).topic("t", 2).sasl(users).build())
}

#[tokio::test(start_paused = true)]
async fn step_that_takes_too_long_is_named_and_tried_again() {
    let server = server(Duration::from_secs(60));
    let ticket = Ticket::default();
    ticket.is_silent.store(true, Ordering::Relaxed);
    let sasl = Sasl::mechanism(ticket.clone());
    // The limit of the set-up is longer than that of a step, which is 30 s.
    let limit = Duration::from_secs(45);
    let begun = tokio::time::Instant::now();
    let error = builder(&server, sasl.clone()).setup_timeout(limit, limit).connect().await.expect_err("no ticket");
    assert_eq!(error.kind(), Kind::Connect, "{error:#}");
    assert!(format!("{error:#}").contains("the mechanism X-TICKET did not answer within 30 s"), "{error:#}");
    assert!(begun.elapsed() <= 2 * limit, "{:?}", begun.elapsed());
    ticket.is_silent.store(false, Ordering::Relaxed);
    connect(&server, sasl).await.expect("let in");
}

/// The connection is given up by the limit of the step, and the record is sent on the next one, whether or not its first request has
/// expired meanwhile.
#[tokio::test(start_paused = true)]
async fn renewal_that_takes_too_long_delays_records_and_loses_none() {
    let seconds = Duration::from_secs;
    for request_timeout in [seconds(60), seconds(10)] {
        let server = server(seconds(600));
        let ticket = Ticket::default();
        let builder = builder(&server, Sasl::mechanism(ticket.clone())).request_timeout(request_timeout);
        let client = builder.connect().await.expect("let in");
        write_one(&client).await.expect("acknowledged");
        tokio::time::sleep(seconds(590)).await;
        ticket.is_silent.store(true, Ordering::Relaxed);
        let producer = client.producer().delivery_timeout(seconds(100)).build().expect("a producer");
        let mut sending = Box::pin(producer.send(Record::to("t").value("late")));
        let waiting = tokio::time::timeout(seconds(29), &mut sending).await;
        assert!(waiting.is_err(), "it waits for the session to be renewed");
        // A step that has begun stays silent.
        ticket.is_silent.store(false, Ordering::Relaxed);
        let begun = tokio::time::Instant::now();
        sending.await.expect("acknowledged");
        assert!(begun.elapsed() <= seconds(5), "a step may take 30 s, {request_timeout:?}: {:?}", begun.elapsed());
        let late = server.with(|cluster| {
            let records = (0..2).flat_map(|partition| cluster.log("t", partition));
            records.filter(|record| record.value.as_deref() == Some(&b"late"[..])).count()
        });
        assert_eq!(late, 1, "{request_timeout:?}");
    }
}
