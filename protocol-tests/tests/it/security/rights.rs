//! Access control entries of a real broker: who lacks a right is refused for it by name, once, and nothing else is.

use std::time::Duration;

use ottla::Client;
use ottla::Error;
use ottla::Record;
use ottla::admin::Acl;
use ottla::admin::AclFilter;
use ottla::admin::AclOperation;
use ottla::admin::NewTopic;
use ottla::client::ClientBuilder;
use ottla::consumer::GroupProtocol;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::error::Written;
use ottla::mock::key;
use ottla::producer::Guarantee;
use ottla::sasl::Sasl;
use protocol_tests::proxy::Direction;
use protocol_tests::proxy::Frame;
use protocol_tests::proxy::Proxy;
use protocol_tests::proxy::Through;
use protocol_tests::rig;
use protocol_tests::rig::secure;
use protocol_tests::rig::secure::eventually;

/// A client of a user of [`secure::user`].
fn of_user(user: &str) -> ClientBuilder {
    secure::builder(secure::CLEAR).sasl(Sasl::scram_sha_256(user, user))
}

async fn connect(builder: ClientBuilder) -> Client {
    builder.connect().await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// The right of a user to do something; the resource is added by the caller.
fn may(user: &str, operation: AclOperation) -> Acl {
    Acl::allow(format!("User:{user}"), operation)
}

async fn forget(admin: &Client, user: &str) {
    let filter = AclFilter::all().principal(format!("User:{user}"));
    for (_, deleted) in admin.admin().delete_acls([filter]).await {
        deleted.expect("a controller");
    }
    secure::delete_user(admin, user).await;
}

fn is_request(api: i16) -> impl Fn(&&Frame) -> bool {
    move |frame| frame.direction == Direction::Request && frame.api_key == api
}

/// Requests for more time than a refusal may take.
async fn send(client: &Client, guarantee: Guarantee, topic: &str) -> Result<(), Error> {
    let producer = client.producer().guarantee(guarantee).delivery_timeout(Duration::from_secs(60)).build();
    let producer = producer.expect("a producer");
    let sent = producer.send(Record::to(topic).value("v"));
    tokio::time::timeout(Duration::from_secs(20), sent).await.expect("it is refused at once").map(drop)
}

/// Whoever lacks every right: nobody in particular, the owner of a certificate, and a user.
#[tokio::test]
async fn client_without_rights_is_refused_for_the_topic_at_once() {
    if !secure::is_node_up() {
        return;
    }
    let admin = secure::admin().await;
    let topic = secure::topic(&admin, "secret", 1).await;
    let guest = Sasl::scram_sha_512("guest", "guest-secret");
    let rows = [
        ("ANONYMOUS", secure::builder(secure::PLAIN), secure::PLAIN),
        ("a certificate", secure::builder(secure::MTLS).tls(secure::tls_of("guest")), secure::MTLS),
        ("a user", secure::builder(secure::CLEAR).sasl(guest), secure::CLEAR),
    ];
    for (row, builder, listener) in rows {
        let broker = rig::address(secure::NODE + listener).parse().expect("an address");
        let proxy = Proxy::start(broker).await.expect("a port");
        let client = connect(builder.connector(Through::proxies([&proxy]))).await;
        let before = proxy.frames().len();
        let error = send(&client, Guarantee::AllAcks, &topic).await.expect_err(row);
        let found = (error.code(), error.topic(), error.is_retriable(), error.is_written());
        let expected = (Some(Code::TopicAuthorizationFailed), Some(&*topic), false, Some(Written::No));
        assert_eq!(found, expected, "{row}: {error:#}");
        assert!(format!("{error:#}").contains("grant the principal"), "{row}: {error:#}");
        // Metadata says so: nothing is produced. Frames of TLS show no API.
        let after = proxy.frames();
        assert_eq!(after.iter().filter(is_request(key::PRODUCE)).count(), 0, "{row}");
        if listener != secure::MTLS {
            let asked = after[before..].iter().filter(is_request(key::METADATA)).count();
            assert_eq!(asked, 1, "{row}: it is not asked again");
        }
        let consumer = client.consumer().assign([topic.as_str()]).start(Start::Earliest).until_end().build();
        let error = consumer.expect("a consumer").poll().await.expect_err(row);
        assert_eq!((error.code(), error.topic()), (Some(Code::TopicAuthorizationFailed), Some(&*topic)), "{error:#}");
    }
    admin.admin().delete_topics([topic.as_str()]).await.expect("a controller");
}

#[tokio::test]
async fn refused_topic_of_a_request_fails_alone_and_is_not_sent_again() {
    if !secure::is_node_up() {
        return;
    }
    let admin = secure::admin().await;
    let user = secure::user(&admin, "reader").await;
    let (open, shut) = (secure::topic(&admin, "open", 1).await, secure::topic(&admin, "shut", 1).await);
    secure::grant(
        &admin,
        [
            may(&user, AclOperation::Write).on_topic(&open),
            may(&user, AclOperation::Read).on_topic(&open),
            may(&user, AclOperation::Describe).on_topic(&shut),
        ],
    )
    .await;
    let broker = rig::address(secure::NODE + secure::CLEAR).parse().expect("an address");
    let proxy = Proxy::start(broker).await.expect("a port");
    let client = connect(of_user(&user).connector(Through::proxies([&proxy]))).await;
    eventually(async || send(&client, Guarantee::AllAcks, &open).await).await;
    let before = proxy.frames().iter().filter(is_request(key::PRODUCE)).count();
    let producer = client.producer().linger(Duration::from_millis(200)).build().expect("a producer");
    let sent = [&open, &shut].map(|topic| producer.send(Record::to(topic).value("v")));
    let [written, refused] = sent;
    let (written, refused) = tokio::join!(written, refused);
    written.expect("acknowledged");
    let error = refused.expect_err("it may not write there");
    let found = (error.code(), error.topic(), error.is_retriable(), error.is_written());
    assert_eq!(found, (Some(Code::TopicAuthorizationFailed), Some(&*shut), false, Some(Written::No)), "{error:#}");
    let produced = proxy.frames().iter().filter(is_request(key::PRODUCE)).count() - before;
    assert!(produced <= 2, "{produced} requests");
    assert_eq!(client.metrics().producers.iter().map(|producer| producer.retries).sum::<u64>(), 0);

    // The consumer reports the topic, and reads the other one.
    let consumer = client.consumer().assign([&*open, &*shut]).start(Start::Earliest).build();
    let mut consumer = consumer.expect("a consumer");
    let (mut read, mut code) = (0, None);
    while read < 2 || code.is_none() {
        match tokio::time::timeout(Duration::from_secs(20), consumer.poll()).await.expect("both happen soon") {
            Ok(records) => read += records.expect("no end").count(),
            Err(error) => code = Some((error.code(), error.topic().map(str::to_owned))),
        }
    }
    assert_eq!(code, Some((Some(Code::TopicAuthorizationFailed), Some(shut.clone()))));
    admin.admin().delete_topics([&*open, &*shut]).await.expect("a controller");
    forget(&admin, &user).await;
}

/// The right of idempotence comes with the right to write to any topic (KIP-679).
#[tokio::test]
async fn idempotent_producer_needs_the_right_to_write() {
    if !secure::is_node_up() {
        return;
    }
    let admin = secure::admin().await;
    let user = secure::user(&admin, "writer").await;
    let topic = secure::topic(&admin, "idempotent", 1).await;
    secure::grant(&admin, [may(&user, AclOperation::Describe).on_topic(&topic)]).await;
    let client = connect(of_user(&user)).await;
    let code = async |expected: Code| {
        eventually(async || match send(&client, Guarantee::Idempotent, &topic).await {
            Ok(()) => panic!("it may not write"),
            Err(error) if error.code() == Some(expected) => Ok(error),
            Err(error) => Err(error),
        })
        .await
    };
    let error = code(Code::ClusterAuthorizationFailed).await;
    assert_eq!((error.is_retriable(), error.is_written()), (false, Some(Written::No)), "{error:#}");
    assert!(format!("{error:#}").contains("IdempotentWrite"), "{error:#}");
    secure::grant(&admin, [may(&user, AclOperation::IdempotentWrite)]).await;
    let error = code(Code::TopicAuthorizationFailed).await;
    assert_eq!((error.topic(), error.is_retriable()), (Some(&*topic), false), "{error:#}");
    secure::grant(&admin, [may(&user, AclOperation::Write).on_topic(&topic)]).await;
    eventually(async || send(&client, Guarantee::Idempotent, &topic).await).await;
    admin.admin().delete_topics([topic.as_str()]).await.expect("a controller");
    forget(&admin, &user).await;
}

#[tokio::test]
async fn group_without_the_right_to_it_is_refused_in_both_protocols() {
    if !secure::is_node_up() {
        return;
    }
    let admin = secure::admin().await;
    let user = secure::user(&admin, "member").await;
    let topic = secure::topic(&admin, "grouped", 1).await;
    secure::grant(
        &admin,
        [AclOperation::Write, AclOperation::Read].map(|operation| may(&user, operation).on_topic(&topic)),
    )
    .await;
    let client = connect(of_user(&user)).await;
    eventually(async || send(&client, Guarantee::AllAcks, &topic).await).await;
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        let group = rig::fresh("group");
        let consumer = || {
            let start = Start::Stored { otherwise: Box::new(Start::Earliest) };
            let builder = client.consumer().group(&group).subscribe([topic.as_str()]).start(start);
            builder.group_protocol(protocol).build().expect("a consumer")
        };
        let polled = tokio::time::timeout(Duration::from_secs(20), consumer().poll()).await;
        let error = polled.expect("it is refused at once").expect_err("it may not join");
        assert_eq!(error.code(), Some(Code::GroupAuthorizationFailed), "{protocol:?}: {error:#}");
        assert!(!error.is_retriable(), "{protocol:?}: {error:#}");
        secure::grant(&admin, [may(&user, AclOperation::Read).on_group(&group)]).await;
        let read = eventually(async || {
            let mut consumer = consumer();
            let count = consumer.poll().await?.map_or(0, |records| records.count());
            consumer.commit().await?;
            consumer.close().await?;
            Ok::<usize, Error>(count)
        });
        assert_eq!(read.await, 1, "{protocol:?}");
    }
    admin.admin().delete_topics([topic.as_str()]).await.expect("a controller");
    forget(&admin, &user).await;
}

#[tokio::test]
async fn administration_without_rights_is_refused_for_each_item() {
    if !secure::is_node_up() {
        return;
    }
    let admin = secure::admin().await;
    let user = secure::user(&admin, "nobody").await;
    let own = rig::fresh("own");
    secure::grant(&admin, [may(&user, AclOperation::Create).on_topic(&own)]).await;
    let client = connect(of_user(&user)).await;
    let topics = [own.clone(), rig::fresh("foreign")];
    let create = async || {
        let wanted = topics.iter().map(|name| NewTopic::new(name.as_str()).partitions(1));
        let made = client.admin().create_topics(wanted).await?;
        let code = |outcome: Result<_, Error>| outcome.err().and_then(|error| error.code());
        Ok::<Vec<Option<Code>>, Error>(made.into_iter().map(|(_, outcome)| code(outcome)).collect())
    };
    let codes = eventually(async || match create().await {
        Ok(codes) if codes.first() == Some(&None) => Ok(codes),
        Ok(codes) => Err(format!("{codes:?}")),
        Err(error) => Err(format!("{error:#}")),
    })
    .await;
    assert_eq!(codes, [None, Some(Code::TopicAuthorizationFailed)], "each topic has an outcome of its own");
    let described = client.admin().describe_acls(AclFilter::all()).await.expect_err("it may not see them");
    assert_eq!((described.code(), described.is_retriable()), (Some(Code::ClusterAuthorizationFailed), false));
    for (acl, outcome) in client.admin().create_acls([may(&user, AclOperation::All)]).await {
        let error = outcome.expect_err("it may not grant itself rights");
        assert_eq!(error.code(), Some(Code::ClusterAuthorizationFailed), "{acl}: {error:#}");
    }
    admin.admin().delete_topics([own.as_str()]).await.expect("a controller");
    forget(&admin, &user).await;
}
