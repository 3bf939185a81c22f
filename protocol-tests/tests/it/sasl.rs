//! SASL through the public API, on the mock: who is let in, who is refused and why, and sessions that end.

#![expect(clippy::disallowed_methods, reason = "tokens end by the clock of the wall, and real brokers take real time")]

mod canary;
mod endpoint;
mod msk;
mod oauth;
mod rig;
mod steps;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use ottla::Client;
use ottla::Error;
use ottla::Record;
use ottla::admin::GroupFilter;
use ottla::client::ClientBuilder;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::error::Kind;
use ottla::error::Written;
use ottla::metrics::ConnectionCounters;
use ottla::mock::Cluster;
use ottla::mock::Release;
use ottla::mock::SaslAnswer;
use ottla::mock::SaslUsers;
use ottla::mock::Server;
use ottla::mock::key;
use ottla::sasl::Plain;
use ottla::sasl::Sasl;
use ottla::sasl::Scram;
use ottla::sasl::Token;
use ottla::sasl::from_fn;
use ottla::types::ScramMechanism;

fn users() -> SaslUsers {
    SaslUsers::new()
        .plain("alice", "plain-secret")
        .scram("a=b,c", "scram-secret")
        .delegation_token("token-id", "aG1hYw==")
}

fn serve(users: SaslUsers) -> Server {
    Server::in_memory(Cluster::builder().brokers(2).topic("t", 2).sasl(users).build())
}

fn builder(server: &Server, sasl: Sasl) -> ClientBuilder {
    let builder = Client::builder([server.bootstrap()]).expect("addresses");
    builder.connector(server.connector()).sasl(sasl.allow_plaintext_credentials())
}

async fn connect(server: &Server, sasl: Sasl) -> Result<Client, Error> {
    builder(server, sasl).connect().await
}

/// How often a broker was sent a request of this API.
fn count(server: &Server, api: i16) -> usize {
    server.with(|cluster| cluster.requests().filter(|seen| seen.api_key == api).count())
}

#[tokio::test(start_paused = true)]
async fn each_mechanism_leads_to_a_record_in_the_log() {
    let server = serve(users());
    let all = [
        Sasl::plain("alice", "plain-secret"),
        Sasl::scram_sha_256("a=b,c", "scram-secret"),
        Sasl::scram_sha_512("a=b,c", "scram-secret"),
        Sasl::delegation_token("token-id", "aG1hYw=="),
        Sasl::mechanism(Scram::new(ScramMechanism::Sha256, "token-id", "aG1hYw==").token()),
    ];
    for sasl in all {
        let name = sasl.to_string();
        let client = connect(&server, sasl).await.expect(&name);
        let producer = client.producer().build().expect("a producer");
        producer.send(Record::to("t").value(&name)).await.expect("acknowledged");
    }
    let written = server.with(|cluster| cluster.log("t", 0).len() + cluster.log("t", 1).len());
    assert_eq!(written, 5);
}

#[tokio::test(start_paused = true)]
async fn wrong_password_is_refused_at_once_in_the_brokers_words() {
    let server = serve(users());
    let wrong = [
        (
            Sasl::plain("alice", "hunter2"),
            1,
            "user alice by PLAIN: Authentication failed: Invalid username or password",
        ),
        (Sasl::scram_sha_256("a=b,c", "hunter2"), 2, "user a=b,c by SCRAM-SHA-256: Authentication failed during"),
        (Sasl::scram_sha_512("nobody", "hunter2"), 1, "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    ];
    for (sasl, messages, words) in wrong {
        let before = (count(&server, key::SASL_HANDSHAKE), count(&server, key::SASL_AUTHENTICATE));
        let begun = tokio::time::Instant::now();
        let error = connect(&server, sasl).await.expect_err("refused");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!((error.kind(), error.is_retriable()), (Kind::Authentication, false));
        let text = format!("{error:#} {error:?}");
        assert!(text.contains(words) && text.contains("SASL_AUTHENTICATION_FAILED"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        let after = (count(&server, key::SASL_HANDSHAKE), count(&server, key::SASL_AUTHENTICATE));
        // One attempt at one broker: nothing is tried again.
        assert_eq!((after.0 - before.0, after.1 - before.1), (1, messages));
    }
}

/// Kafka's clients and brokers do not normalize passwords (`ScramFormatter.normalize`), so that what SASLprep makes equal differs.
#[tokio::test(start_paused = true)]
async fn password_that_saslprep_would_change_is_used_as_it_is() {
    let password = "\u{fb01}n\u{a0}Ⅸ\u{ad}";
    let server = serve(SaslUsers::new().plain("alice", password).scram("alice", password));
    let ways: [fn(&str) -> Sasl; 3] = [
        |password| Sasl::plain("alice", password),
        |password| Sasl::scram_sha_256("alice", password),
        |password| Sasl::scram_sha_512("alice", password),
    ];
    for sasl in ways {
        connect(&server, sasl(password)).await.expect("let in");
        let error = connect(&server, sasl("fin IX")).await.expect_err("another password");
        assert_eq!(error.kind(), Kind::Authentication, "{error:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_broker_is_not_dialled_again_before_the_pause() {
    let server = serve(users());
    let pause = Duration::from_secs(20);
    let lazy = builder(&server, Sasl::plain("alice", "hunter2")).reconnect_backoff(pause, pause).connect_lazy();
    let producer =
        lazy.expect("a client").producer().delivery_timeout(Duration::from_secs(15)).build().expect("a producer");
    producer.send(Record::to("t").value("v")).await.expect_err("nobody is let in");
    let dialled = count(&server, key::SASL_HANDSHAKE);
    assert!((1..=2).contains(&dialled), "one for each broker: {dialled}");
}

#[tokio::test(start_paused = true)]
async fn mechanism_that_is_not_enabled_names_those_that_are() {
    let server = serve(SaslUsers::new().plain("alice", "plain-secret"));
    let error = connect(&server, Sasl::scram_sha_256("alice", "plain-secret")).await.expect_err("not enabled");
    assert_eq!((error.kind(), error.code()), (Kind::Authentication, Some(Code::UnsupportedSaslMechanism)));
    let text = format!("{error:#}");
    assert!(text.contains("SCRAM-SHA-256") && text.contains("PLAIN"), "{text}");
    assert_eq!(count(&server, key::SASL_AUTHENTICATE), 0, "the list of the broker decides nothing");
}

#[tokio::test(start_paused = true)]
async fn listener_without_sasl_is_named() {
    let server = Server::in_memory(Cluster::builder().topic("t", 1).build());
    let error = connect(&server, Sasl::scram_sha_256("alice", "secret")).await.expect_err("there is no SASL");
    assert_eq!(error.kind(), Kind::Unsupported, "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn client_without_credentials_is_not_served() {
    let server = serve(users());
    let builder = Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector());
    let error =
        builder.setup_timeout(Duration::from_secs(1), Duration::from_secs(1)).connect().await.expect_err("closed");
    assert_eq!(error.kind(), Kind::Connect);
    assert!(format!("{error:#}").contains("SASL"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn secret_is_not_sent_unencrypted_unless_that_is_allowed() {
    let server = serve(users());
    let builder =
        |sasl| Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector()).sasl(sasl);
    let error = builder(Sasl::plain("alice", "plain-secret")).connect().await.expect_err("it could be read");
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("allow_plaintext_credentials"), "{error}");
    let error = builder(Sasl::mechanism(Plain::new("alice", ""))).connect_lazy().expect_err("no password");
    assert_eq!(error.kind(), Kind::Config);
    assert!(server.with(|cluster| cluster.requests().next().is_none()));
    builder(Sasl::scram_sha_512("a=b,c", "scram-secret")).connect().await.expect("it shows nothing");
}

#[tokio::test(start_paused = true)]
async fn releases_of_all_ages_authenticate() {
    for release in [Release::V2_1, Release::V2_8, Release::V4_3] {
        let cluster = Cluster::builder().release(release).topic("t", 1).sasl(users()).build();
        let server = Server::in_memory(cluster);
        connect(&server, Sasl::plain("alice", "plain-secret")).await.expect("let in");
    }
}

/// A server that answers each SCRAM message of the client by a function.
fn hostile(answer: impl Fn(usize, &str) -> SaslAnswer + Send + Sync + 'static) -> Server {
    let answer = move |round, message: &[u8]| answer(round, std::str::from_utf8(message).expect("text"));
    serve(SaslUsers::new().mechanism("SCRAM-SHA-256", answer))
}

/// A server's first message, made of the client's nonce.
type Challenge = fn(&str) -> String;

fn nonce(first: &str) -> &str {
    first.rsplit_once("r=").expect("a nonce").1
}

/// CVE-2026-10143 and its kind: a server that makes the client work without end, or proves nothing.
#[tokio::test(start_paused = true)]
async fn class_27_hostile_scram_servers_are_refused() {
    let challenges: [(&str, Challenge); 9] = [
        ("no iterations", |nonce| format!("r={nonce}x,s=QUJD,i=0")),
        ("2^31 - 1 iterations", |nonce| format!("r={nonce}x,s=QUJD,i=2147483647")),
        ("bad base64", |nonce| format!("r={nonce}x,s=QUJ,i=4096")),
        ("no salt", |nonce| format!("r={nonce}x,s=,i=4096")),
        ("another nonce", |_| "r=hostile,s=QUJD,i=4096".to_owned()),
        ("the client's own nonce", |nonce| format!("r={nonce},s=QUJD,i=4096")),
        ("an attribute twice", |nonce| format!("r={nonce}x,s=QUJD,i=4096,i=1")),
        ("a mandatory extension", |nonce| format!("m=x,r={nonce}x,s=QUJD,i=4096")),
        ("an error", |_| "e=other-error".to_owned()),
    ];
    for (name, challenge) in challenges {
        let server = hostile(move |_, first| SaslAnswer::Challenge(challenge(nonce(first)).into_bytes()));
        let error = connect(&server, Sasl::scram_sha_256("alice", "hunter2")).await.expect_err(name);
        assert_eq!(error.kind(), Kind::Authentication, "{name}: {error:#}");
        assert!(!format!("{error:#} {error:?}").contains("hunter2"));
        assert_eq!(count(&server, key::SASL_AUTHENTICATE), 1, "{name}: no proof is sent");
    }
    for last in ["", "v=", "v=AAAA", "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "e=invalid-proof", "noise"] {
        let server = hostile(move |round, message| match round {
            0 => SaslAnswer::Challenge(format!("r={}x,s=QUJD,i=4096", nonce(message)).into_bytes()),
            _ => SaslAnswer::Accept { user: "alice".into(), message: last.into() },
        });
        let error = connect(&server, Sasl::scram_sha_256("alice", "hunter2")).await.expect_err(last);
        assert_eq!(error.kind(), Kind::Authentication, "{last}: {error:#}");
        assert_eq!(count(&server, key::METADATA), 0, "{last}: nothing is asked of it");
    }
}

/// A mechanism that never ends, a server that is silent, and one that hangs up.
#[tokio::test(start_paused = true)]
async fn class_27_exchanges_without_end_come_to_one() {
    let server = serve(SaslUsers::new().mechanism("X-ENDLESS", |_, _| SaslAnswer::Challenge(b"again".to_vec())));
    let error = connect(&server, Sasl::mechanism(Endless::default())).await.expect_err("endless");
    assert_eq!(error.kind(), Kind::Authentication, "{error:#}");
    assert!(count(&server, key::SASL_AUTHENTICATE) <= 20);

    for answer in [SaslAnswer::Silent, SaslAnswer::Close] {
        let server = serve(SaslUsers::new().mechanism("X-ENDLESS", move |_, _| answer.clone()));
        let begun = tokio::time::Instant::now();
        let error = connect(&server, Sasl::mechanism(Endless::default())).await.expect_err("no answer");
        assert_eq!(error.kind(), Kind::Connect, "{error:#}");
        assert!(begun.elapsed() < Duration::from_secs(25));
    }
}

/// A user's own mechanism: it never says that it is done.
#[derive(Debug, Default)]
struct Endless(Arc<AtomicUsize>);

impl ottla::sasl::Mechanism for Endless {
    fn name(&self) -> &'static str {
        "X-ENDLESS"
    }

    fn start<'a>(&'a self, _: &'a str) -> ottla::sasl::Starting<'a> {
        Box::pin(async move { Ok(Box::new(Self(Arc::clone(&self.0))) as Box<dyn ottla::sasl::Exchange>) })
    }
}

impl ottla::sasl::Exchange for Endless {
    fn step<'a>(&'a mut self, _: &'a [u8]) -> ottla::sasl::Stepping<'a> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { Ok(ottla::sasl::Step::Respond(b"again".to_vec().into())) })
    }
}

/// The sum of a counter over the connections of a client, those that are gone too.
fn sum(client: &Client, counter: fn(&ConnectionCounters) -> u64) -> u64 {
    let metrics = client.metrics();
    metrics.connections.iter().map(|connection| counter(&connection.counters)).sum::<u64>() + counter(&metrics.retired)
}

/// Sends numbered records for two minutes, each at once and some of them in one request, and reads them meanwhile.
#[tokio::test(start_paused = true)]
async fn sessions_are_renewed_under_load_and_nothing_is_lost_or_reordered() {
    let server = serve(users().session_lifetime(Duration::from_secs(2)));
    let client = connect(&server, Sasl::scram_sha_256("a=b,c", "scram-secret")).await.expect("let in");
    let producer = client.producer().build().expect("a producer");
    let mut consumer = client.consumer().assign(["t"]).start(Start::Earliest).build().expect("a consumer");
    let writing = tokio::spawn(async move {
        for round in 0..1_200_u32 {
            let (one, two) = ((2 * round).to_string(), (2 * round + 1).to_string());
            let one = producer.enqueue(Record::to("t").partition(0).value(&one)).await.expect("accepted");
            let two = producer.enqueue(Record::to("t").partition(0).value(&two)).await.expect("accepted");
            one.await.and(two.await).expect("acknowledged");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut read = Vec::new();
    while read.len() < 2_400 {
        let records = consumer.poll().await.expect("readable").expect("no end");
        read.extend(records.iter().map(|record| text_of(record.value)));
    }
    writing.await.expect("all were sent");
    for (number, value) in read.iter().enumerate() {
        assert_eq!(value, &number.to_string());
    }
    let stored = server.with(|cluster| cluster.log("t", 0).len());
    assert_eq!(stored, 2_400, "none is there twice");
    // Two minutes are about 63 sessions for each of the busy connections. None of them was lost.
    assert!(sum(&client, |counters| counters.reauthentications) > 120, "{:?}", client.metrics().connections);
    assert_eq!(sum(&client, |counters| counters.disconnects), 0);
}

/// A broker refuses a renewal less than a second after it last began one, whatever the lifetime is (`KafkaChannel`).
#[tokio::test(start_paused = true)]
async fn sessions_that_are_too_short_are_renewed_once_a_second() {
    let server = serve(users().session_lifetime(Duration::from_millis(400)));
    let client = connect(&server, Sasl::plain("alice", "plain-secret")).await.expect("let in");
    let producer = client.producer().build().expect("a producer");
    for number in 0..200_u32 {
        let receipt = producer.send(Record::to("t").partition(0).value(&number.to_string())).await;
        assert_eq!(receipt.expect("acknowledged").offset, Some(i64::from(number)));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let renewals = sum(&client, |counters| counters.reauthentications);
    assert!((8..=60).contains(&renewals), "{renewals}");
    assert_eq!(sum(&client, |counters| counters.disconnects), 0);
}

fn text_of(value: Option<&[u8]>) -> String {
    String::from_utf8(value.expect("a value").to_vec()).expect("text")
}

/// The broker holds a fetch that finds no records, and looks at the handshake only after it.
#[tokio::test(start_paused = true)]
async fn responses_in_flight_arrive_before_the_session_is_renewed() {
    let server = serve(users().session_lifetime(Duration::from_secs(10)));
    let client = connect(&server, Sasl::plain("alice", "plain-secret")).await.expect("let in");
    let wait = Duration::from_secs(4);
    let consumer = client.consumer().assign(["t"]).start(Start::Earliest).fetch_wait_max(wait);
    let mut consumer = consumer.build().expect("a consumer");
    let producer = client.producer().build().expect("a producer");
    for number in 0..6_u32 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        producer.send(Record::to("t").partition(0).value(&number.to_string())).await.expect("acknowledged");
        let records = consumer.poll().await.expect("readable").expect("no end");
        assert_eq!(records.iter().map(|record| text_of(record.value)).collect::<Vec<_>>(), [number.to_string()]);
    }
    assert!(sum(&client, |counters| counters.reauthentications) >= 8);
    assert_eq!(sum(&client, |counters| counters.disconnects), 0);
}

/// The user is locked while the connection is in use.
#[tokio::test(start_paused = true)]
async fn refused_renewal_ends_the_connection_with_its_reason() {
    let times = AtomicUsize::new(0);
    let users = SaslUsers::new().session_lifetime(Duration::from_secs(60)).mechanism("PLAIN", move |_, _| {
        // Two connections are let in: one of a bootstrap address, and one of a broker.
        if times.fetch_add(1, Ordering::Relaxed) < 3 {
            SaslAnswer::Accept { user: "alice".into(), message: Vec::new() }
        } else {
            SaslAnswer::Refuse("alice is locked".into())
        }
    });
    let server = Server::in_memory(Cluster::builder().topic("t", 1).sasl(users).build());
    let client = connect(&server, Sasl::plain("alice", "hunter2")).await.expect("let in");
    let producer = client.producer().delivery_timeout(Duration::from_secs(20)).build().expect("a producer");
    producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    tokio::time::sleep(Duration::from_secs(70)).await;
    let error = producer.send(Record::to("t").value("v")).await.expect_err("locked");
    let text = format!("{error:#}");
    assert!(text.contains("alice is locked") && !text.contains("hunter2"), "{text}");
    assert_eq!(error.is_written(), Some(Written::No), "it waited: {text}");
}

/// The coordinator refuses the connection that a member has for itself. The code of that is no answer of a coordinator.
#[tokio::test(start_paused = true)]
async fn member_that_is_refused_says_so_in_the_brokers_words() {
    let is_locked = Arc::new(AtomicBool::new(false));
    let at_broker = Arc::clone(&is_locked);
    let users = SaslUsers::new().mechanism("PLAIN", move |_, _| {
        if at_broker.load(Ordering::Relaxed) {
            SaslAnswer::Refuse("alice is locked".into())
        } else {
            SaslAnswer::Accept { user: "alice".into(), message: Vec::new() }
        }
    });
    let server = Server::in_memory(Cluster::builder().topic("t", 1).sasl(users).build());
    let client = connect(&server, Sasl::plain("alice", "hunter2")).await.expect("let in");
    client.admin().list_groups(GroupFilter::default()).await.expect("a connection for what does not wait");
    is_locked.store(true, Ordering::Relaxed);
    let mut consumer = client.consumer().group("g").subscribe(["t"]).build().expect("a consumer");
    let error = consumer.poll().await.expect_err("locked");
    let text = format!("{error:#}");
    assert_eq!(error.kind(), Kind::Authentication, "{text}");
    assert!(text.contains("alice is locked"), "{text}");
}

/// A broker ends a session whose client comes too late, as after a process was stopped: the client connects again.
#[tokio::test(start_paused = true)]
async fn idle_connection_is_renewed_by_the_next_request() {
    let server = serve(users().session_lifetime(Duration::from_secs(60)));
    let client = connect(&server, Sasl::scram_sha_512("a=b,c", "scram-secret")).await.expect("let in");
    let producer = client.producer().build().expect("a producer");
    producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    let before = count(&server, key::SASL_HANDSHAKE);
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(count(&server, key::SASL_HANDSHAKE), before, "nothing was to be sent");
    producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    assert_eq!(sum(&client, |counters| counters.disconnects), 0);
    assert!(sum(&client, |counters| counters.reauthentications) >= 1);
}

/// A source of unsecured tokens that counts, and can be made to fail or to block.
#[derive(Clone, Debug)]
struct Counted {
    fetched: Arc<AtomicUsize>,
    lifetime: Duration,
    state: Arc<std::sync::Mutex<Source>>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Works,
    Fails,
    Blocks,
}

impl Counted {
    fn new(lifetime: Duration) -> Self {
        Self { fetched: Arc::default(), lifetime, state: Arc::new(std::sync::Mutex::new(Source::Works)) }
    }

    fn set(&self, state: Source) {
        *self.state.lock().expect("no panic") = state;
    }
}

impl ottla::sasl::TokenSource for Counted {
    fn token(&self) -> ottla::sasl::Fetching<'_> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let state = *self.state.lock().expect("no panic");
        Box::pin(async move {
            match state {
                Source::Works => Ok(Token::unsecured("alice", SystemTime::now(), self.lifetime)),
                Source::Fails => Err("the token endpoint is down".into()),
                Source::Blocks => std::future::pending().await,
            }
        })
    }
}

fn tokens() -> SaslUsers {
    SaslUsers::new().unsecured_tokens()
}

async fn write_one(client: &Client) -> Result<(), Error> {
    let producer = client.producer().delivery_timeout(Duration::from_secs(20)).build().expect("a producer");
    producer.send(Record::to("t").value("v")).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn one_token_serves_all_connections_until_it_is_replaced() {
    let server = serve(tokens().session_lifetime(Duration::from_secs(60)));
    let source = Counted::new(Duration::from_secs(3_600));
    let client = connect(&server, Sasl::oauth_bearer(source.clone())).await.expect("let in");
    write_one(&client).await.expect("acknowledged");
    assert!(count(&server, key::SASL_HANDSHAKE) >= 2);
    assert_eq!(source.fetched.load(Ordering::Relaxed), 1);
    // Java's times: after 80 to 85 % of an hour.
    tokio::time::sleep(Duration::from_secs(2_870)).await;
    write_one(&client).await.expect("acknowledged");
    assert_eq!(source.fetched.load(Ordering::Relaxed), 1);
    tokio::time::sleep(Duration::from_secs(200)).await;
    write_one(&client).await.expect("acknowledged");
    assert_eq!(source.fetched.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn token_that_lives_is_used_while_its_source_fails_or_blocks() {
    for state in [Source::Fails, Source::Blocks] {
        let server = serve(tokens().session_lifetime(Duration::from_secs(60)));
        let source = Counted::new(Duration::from_secs(3_600));
        let client = connect(&server, Sasl::oauth_bearer(source.clone())).await.expect("let in");
        source.set(state);
        tokio::time::sleep(Duration::from_secs(3_200)).await;
        let begun = tokio::time::Instant::now();
        write_one(&client).await.expect("by the old token");
        assert!(begun.elapsed() < Duration::from_secs(1), "{state:?}");
        // A failure is not repeated at once.
        let fetched = source.fetched.load(Ordering::Relaxed);
        assert!(fetched > 1, "{state:?}");
        write_one(&client).await.expect("by the old token");
        assert_eq!(source.fetched.load(Ordering::Relaxed), fetched, "{state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn source_that_fails_is_tried_again_and_named_in_the_error() {
    let server = serve(tokens());
    let source = Counted::new(Duration::from_secs(3_600));
    source.set(Source::Fails);
    let error = connect(&server, Sasl::oauth_bearer(source.clone())).await.expect_err("no token");
    assert_eq!(error.kind(), Kind::Connect);
    assert!(format!("{error:#}").contains("the token endpoint is down"), "{error:#}");
    assert!(source.fetched.load(Ordering::Relaxed) > 2);
    source.set(Source::Works);
    connect(&server, Sasl::oauth_bearer(source)).await.expect("let in");

    let expired = from_fn(|| async { Ok(Token::unsecured("alice", SystemTime::UNIX_EPOCH, Duration::from_secs(5))) });
    let error = connect(&server, Sasl::oauth_bearer(expired)).await.expect_err("expired");
    assert!(format!("{error:#}").contains("has expired"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn refused_token_is_fatal_with_the_servers_words() {
    let server = serve(tokens());
    let soon = SystemTime::now() + Duration::from_secs(3_600);
    let error = connect(&server, Sasl::oauth_bearer(from_fn(move || async move { Ok(Token::new("hunter2", soon)) })));
    let error = error.await.expect_err("no token of this kind");
    assert_eq!(error.kind(), Kind::Authentication);
    let text = format!("{error:#} {error:?}");
    assert!(text.contains("invalid_token") && !text.contains("hunter2"), "{text}");
    assert_eq!(count(&server, key::SASL_AUTHENTICATE), 2, "the answer was acknowledged");
    connect(&server, Sasl::unsecured_tokens("alice")).await.expect("let in");
}
