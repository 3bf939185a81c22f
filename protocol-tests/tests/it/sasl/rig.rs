//! SASL at the secured broker of the rig, Kafka 4.3.1.

use std::time::Duration;
use std::time::Instant;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::admin::ScramChange;
use ottla::client::ClientBuilder;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::error::Kind;
use ottla::sasl::Sasl;
use ottla::tls::Pem;
use ottla::tls::Tls;
use ottla::types::ScramMechanism;
use protocol_tests::rig;

use super::sum;
use super::text_of;

/// Listeners, by the table of `docker/secure.sh`.
const SCRAM: u16 = rig::SECURE + 10;
const OAUTHU: u16 = rig::SECURE + 11;
const CLEAR: u16 = rig::SECURE + 13;
const REAUTH2: u16 = rig::SECURE + 14;

fn builder(port: u16, sasl: Sasl) -> ClientBuilder {
    let builder = Client::builder([format!("localhost:{port}")]).expect("an address");
    builder.sasl(sasl.allow_plaintext_credentials())
}

fn tls() -> Tls {
    Tls::builder().ca(Pem::file(rig::pki("ca.pem"))).build().expect("a CA")
}

/// Creates a topic, and returns its name.
async fn topic(client: &Client, name: &str) -> String {
    let topic = rig::fresh(name);
    let created = client.admin().create_topics([NewTopic::new(topic.as_str()).partitions(1)]).await;
    created.expect("answered").into_iter().for_each(|(_, outcome)| outcome.expect("created"));
    topic
}

/// Writes one record and reads it.
async fn round_trip(client: &Client, topic: &str, value: &str) {
    let producer = client.producer().build().expect("a producer");
    producer.send(Record::to(topic).value(value)).await.expect("acknowledged");
    let consumer = client.consumer().assign([topic]).start(Start::Earliest).until_end().build();
    let mut consumer = consumer.expect("a consumer");
    let mut read = Vec::new();
    while let Some(records) = consumer.poll().await.expect("readable") {
        read.extend(records.iter().map(|record| text_of(record.value)));
    }
    assert_eq!(read.last().map(String::as_str), Some(value));
}

#[tokio::test]
async fn mechanisms_lead_to_records_at_a_real_broker() {
    if !rig::is_up(CLEAR) {
        return;
    }
    let admin = builder(CLEAR, Sasl::scram_sha_512("admin", "admin-secret")).connect().await.expect("let in");
    let topic = topic(&admin, "sasl").await;
    let all = [
        (CLEAR, Sasl::plain("alice", "alice-secret")),
        (CLEAR, Sasl::scram_sha_256("alice", "alice-secret")),
        (CLEAR, Sasl::scram_sha_512("alice", "alice-secret")),
        (SCRAM, Sasl::plain("alice", "alice-secret")),
        (SCRAM, Sasl::scram_sha_256("admin", "admin-secret")),
        (OAUTHU, Sasl::unsecured_tokens("alice")),
    ];
    for (port, sasl) in all {
        let name = format!("{sasl} at {port}");
        let builder = builder(port, sasl);
        let builder = if port == CLEAR { builder } else { builder.tls(tls()) };
        round_trip(&builder.connect().await.expect(&name), &topic, &name).await;
    }
}

#[tokio::test]
async fn wrong_password_is_refused_by_a_real_broker_in_time() {
    if !rig::is_up(CLEAR) {
        return;
    }
    for (sasl, words) in [
        (Sasl::plain("alice", "hunter2"), "Authentication failed: Invalid username or password"),
        (Sasl::scram_sha_256("alice", "hunter2"), "invalid credentials with SASL mechanism SCRAM-SHA-256"),
        (Sasl::scram_sha_512("nobody", "hunter2"), "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    ] {
        let begun = Instant::now();
        let error = builder(CLEAR, sasl).connect().await.expect_err("refused");
        assert_eq!((error.kind(), error.code()), (Kind::Authentication, Some(Code::SaslAuthenticationFailed)));
        assert!(format!("{error:#}").contains(words), "{error:#}");
        // One attempt: the set-up timeout, within which attempts are repeated, is 10 s.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    let error = builder(CLEAR, Sasl::unsecured_tokens("alice")).connect().await.expect_err("not enabled");
    assert_eq!(error.code(), Some(Code::UnsupportedSaslMechanism));
    assert!(format!("{error:#}").contains("SCRAM-SHA-512"), "{error:#}");
    let error = builder(rig::SECURE_PLAIN, Sasl::plain("alice", "alice-secret")).connect().await.expect_err("no SASL");
    assert_eq!(error.code(), Some(Code::IllegalSaslState), "{error:#}");
}

/// The admin of this crate adds a user, who logs in at once; then deletes it.
#[tokio::test]
async fn user_that_the_admin_adds_can_log_in() {
    if !rig::is_up(CLEAR) {
        return;
    }
    let client = builder(CLEAR, Sasl::scram_sha_256("admin", "admin-secret")).connect().await.expect("let in");
    let user = rig::fresh("user");
    let password = "pässword, with = and ,";
    let change = ScramChange::password(user.as_str(), ScramMechanism::Sha512, password);
    for (_, outcome) in client.admin().alter_scram_users([change]).await {
        outcome.expect("added");
    }
    let connect = || builder(CLEAR, Sasl::scram_sha_512(user.as_str(), password)).connect();
    // The broker that authenticates learns of the user from the controller.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = connect().await {
        assert_eq!(error.kind(), Kind::Authentication, "{error:#}");
        assert!(Instant::now() < deadline, "{error:#}");
        tokio::task::yield_now().await;
    }
    for (_, outcome) in
        client.admin().alter_scram_users([ScramChange::delete(user.as_str(), ScramMechanism::Sha512)]).await
    {
        outcome.expect("deleted");
    }
}

/// Sessions end every 2 s. `OTTLA_REAUTH_SECONDS=60` makes it as long as the measure wants.
#[tokio::test]
async fn sessions_of_two_seconds_are_renewed_under_load() {
    if !rig::is_up(REAUTH2) {
        return;
    }
    let seconds = std::env::var("OTTLA_REAUTH_SECONDS").map_or(6, |text| text.parse().expect("seconds"));
    let client = builder(REAUTH2, Sasl::scram_sha_512("alice", "alice-secret")).connect().await.expect("let in");
    let topic = topic(&client, "reauth").await;
    let producer = client.producer().build().expect("a producer");
    let consumer = client.consumer().assign([topic.as_str()]).start(Start::Earliest).build();
    let mut consumer = consumer.expect("a consumer");
    let ended = Instant::now() + Duration::from_secs(seconds);
    let writing = tokio::spawn({
        let topic = topic.clone();
        async move {
            let (mut sent, mut deliveries) = (0_u64, Vec::new());
            while Instant::now() < ended {
                for _ in 0..50 {
                    let record = sent.to_string();
                    let accepted = producer.enqueue(Record::to(topic.as_str()).value(&record)).await;
                    deliveries.push(accepted.expect("accepted"));
                    sent += 1;
                }
                for delivery in deliveries.drain(..) {
                    delivery.await.expect("acknowledged");
                }
            }
            sent
        }
    });
    let (mut read, mut sent) = (0_u64, None);
    let mut writing = Box::pin(writing);
    while sent.is_none_or(|sent| read < sent) {
        tokio::select! {
            done = &mut writing, if sent.is_none() => sent = Some(done.expect("no panic")),
            records = consumer.poll() => {
                for record in &records.expect("readable").expect("no end") {
                    assert_eq!(text_of(record.value), read.to_string(), "lost, repeated or out of order");
                    read += 1;
                }
            }
        }
    }
    assert_eq!(sum(&client, |counters| counters.disconnects), 0, "{:?}", client.metrics().connections);
    let renewed = sum(&client, |counters| counters.reauthentications);
    // Two busy connections, each of which renews its session after 1.9 s at the latest.
    assert!(renewed >= (seconds / 2 - 1) * 2, "{renewed} of {seconds} s");
    println!("{read} records, {renewed} authentications in {seconds} s");
}
