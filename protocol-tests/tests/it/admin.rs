//! Administration of topics, configurations, records and the cluster on real brokers of three releases.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::admin::Admin;
use ottla::admin::ConfigChange;
use ottla::admin::ConfigQuery;
use ottla::admin::ConfigResource;
use ottla::admin::DeleteBefore;
use ottla::admin::Ensured;
use ottla::admin::NewPartitions;
use ottla::admin::NewTopic;
use ottla::admin::OffsetSpec;
use ottla::admin::TopicConflict;
use ottla::admin::TopicSpec;
use ottla::error::Code;
use ottla::error::Kind;
use ottla::types::TopicId;
use ottla::types::TopicPartition;
use protocol_tests::rig;

/// The port of the release that is the oldest of the rig.
const OLDEST: u16 = rig::RELEASES[2].1;

/// Runs a test on each release that is up.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(Client, u16) -> F) {
    for (release, port) in rig::RELEASES {
        if rig::is_up(port) {
            eprintln!("{release}");
            let client = Client::connect([rig::address(port)]).await.expect("a broker");
            test(client, port).await;
        }
    }
}

async fn value(admin: &Admin, topic: &str, key: &str) -> Option<String> {
    let query = ConfigQuery::new([ConfigResource::topic(topic)]).keys([key]);
    let entries = admin.describe_configs(query).await.remove(0).1.expect("a topic");
    entries.into_iter().find(|entry| entry.name == key).and_then(|entry| entry.value)
}

async fn ensure(admin: &Admin, spec: TopicSpec) -> Ensured {
    admin.clone().timeout(Duration::from_secs(30)).ensure_topic(spec).await.expect("an outcome")
}

#[tokio::test]
async fn ensured_topic_is_created_left_grown_changed_or_in_conflict() {
    on_each(|client, _| async move {
        let admin = client.admin();
        let name = rig::fresh("ensured");
        let spec = || TopicSpec::new(name.as_str()).partitions(2).retention(Duration::from_secs(1_800));
        assert_eq!(ensure(&admin, spec()).await, Ensured::Created);
        assert_eq!(value(&admin, &name, "retention.ms").await.as_deref(), Some("1800000"));
        assert_eq!(ensure(&admin, spec()).await, Ensured::Unchanged);
        assert_eq!(ensure(&admin, TopicSpec::new(name.as_str())).await, Ensured::Unchanged);
        let grown = ensure(&admin, spec().partitions(4).retention(Duration::from_secs(60))).await;
        let configs = vec![("retention.ms".to_owned(), Some("1800000".to_owned()), "60000".to_owned())];
        assert_eq!(grown, Ensured::Changed { partitions: Some((2, 4)), configs });
        let conflict = ensure(&admin, spec().partitions(3)).await;
        assert_eq!(conflict, Ensured::Conflict(TopicConflict::Partitions { has: 4, wanted: 3 }));
        let conflict = ensure(&admin, TopicSpec::new(name.as_str()).replication(3)).await;
        assert_eq!(conflict, Ensured::Conflict(TopicConflict::Replication { has: 1, wanted: 3 }));
        assert_eq!(value(&admin, &name, "retention.ms").await.as_deref(), Some("60000"), "a conflict changes nothing");
        let described = admin.describe_topics([name.as_str()]).await.expect("an answer").remove(0);
        assert!(described.partitions.len() == 4 && described.partitions.iter().all(|found| found.leader.is_some()));
    })
    .await;
}

#[tokio::test]
async fn processes_that_ensure_one_topic_at_once_all_succeed() {
    on_each(|client, _| async move {
        let name = rig::fresh("ensured-twice");
        let spec = TopicSpec::new(name.as_str()).partitions(5).config("cleanup.policy", "compact");
        let others = (0..6).map(|_| {
            let (admin, spec) = (client.admin(), spec.clone());
            tokio::spawn(async move { ensure(&admin, spec).await })
        });
        let mut created = 0;
        for outcome in others.collect::<Vec<_>>() {
            match outcome.await.expect("it does not panic") {
                Ensured::Created => created += 1,
                outcome => assert_eq!(outcome, Ensured::Unchanged),
            }
        }
        assert_eq!(created, 1);
    })
    .await;
}

#[tokio::test]
async fn topics_are_described_and_deleted_by_their_ids() {
    on_each(|client, port| async move {
        let admin = client.admin();
        let name = rig::fresh("by-id");
        assert_eq!(ensure(&admin, TopicSpec::new(name.as_str()).partitions(3)).await, Ensured::Created);
        let id = admin.describe_topics([name.as_str()]).await.expect("an answer")[0].id;
        let unknown = TopicId([7; 16]);
        match admin.describe_topics_by_id([unknown, id]).await {
            Ok(described) => {
                assert_eq!(described[0].1.as_ref().expect_err("no such topic").code(), Some(Code::UnknownTopicId));
                let found = described[1].1.as_ref().expect("it exists");
                assert_eq!((&*found.name, found.partitions.len()), (name.as_str(), 3));
            }
            Err(error) => assert_eq!((error.kind(), port), (Kind::Unsupported, OLDEST)),
        }
        let deleted = admin.delete_topics_by_id([unknown, id]).await;
        assert_eq!(deleted[0].1.as_ref().expect_err("no such topic").code(), Some(Code::UnknownTopicId));
        deleted[1].1.as_ref().expect("it exists");
        // With ZooKeeper the name is free a moment later.
        let again = || NewTopic::new(name.as_str()).assignments([[1], [1]]);
        loop {
            match admin.create_topics([again()]).await.expect("an answer").remove(0).1 {
                Err(error) if error.code() == Some(Code::TopicAlreadyExists) => tokio::task::yield_now().await,
                outcome => break outcome.expect("its name is free again"),
            }
        }
        let spec = TopicSpec::new(name.as_str()).partitions(2).replication(1);
        assert_eq!(ensure(&admin, spec).await, Ensured::Unchanged);
    })
    .await;
}

#[tokio::test]
async fn half_of_a_batch_fails_and_the_rest_is_done() {
    on_each(|client, _| async move {
        let admin = client.admin();
        let (good, bad) = (rig::fresh("half"), rig::fresh("half-bad"));
        let new = [NewTopic::new(good.as_str()), NewTopic::new(bad.as_str()).config("no.such.entry", "1")];
        let validated = admin.validate_topics(new.clone()).await.expect("an answer");
        assert!(validated[0].1.is_ok() && validated[1].1.is_err());
        let created = admin.create_topics(new).await.expect("an answer");
        created[0].1.as_ref().expect("validation created nothing");
        let error = created[1].1.as_ref().expect_err("an unknown entry");
        assert_eq!((error.code(), error.topic()), (Some(Code::InvalidConfig), Some(bad.as_str())));
        ensure(&admin, TopicSpec::new(good.as_str())).await;
        let more = [NewPartitions::new(good.as_str(), 1), NewPartitions::new(bad.as_str(), 9)];
        let outcomes = admin.create_partitions(more).await.expect("an answer");
        let codes: Vec<_> = outcomes.iter().map(|(_, outcome)| outcome.as_ref().expect_err("refused").code()).collect();
        assert_eq!(codes, [Some(Code::InvalidPartitions), Some(Code::UnknownTopicOrPartition)]);
        let changes = [
            ConfigChange::new(ConfigResource::topic(good.as_str())).set("retention.ms", "5000"),
            ConfigChange::new(ConfigResource::topic(good.as_str())).append("cleanup.policy", "compact"),
            ConfigChange::new(ConfigResource::topic(bad.as_str())).set("retention.ms", "5000"),
            ConfigChange::new(ConfigResource::topic("a/b")).set("retention.ms", "5000"),
        ];
        let validated = admin.validate_configs(changes.clone()).await;
        assert_eq!(
            validated.iter().map(|(_, outcome)| outcome.is_ok()).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        assert_ne!(value(&admin, &good, "retention.ms").await.as_deref(), Some("5000"));
        let altered = admin.alter_configs(changes).await;
        assert_eq!(altered.iter().map(|(_, outcome)| outcome.is_ok()).collect::<Vec<_>>(), [true, true, false, false]);
        // A broker applies a change of its own a moment later.
        let spec =
            TopicSpec::new(good.as_str()).config("cleanup.policy", "delete,compact").config("retention.ms", "5000");
        ensure(&admin, spec).await;
        assert_eq!(value(&admin, &good, "cleanup.policy").await.as_deref(), Some("delete,compact"));
        assert!(admin.create_topics([]).await.expect("nothing to do").is_empty());
        assert!(admin.describe_topics([""; 0]).await.expect("nothing to do").is_empty());
        assert!(admin.alter_configs([]).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn records_are_deleted_and_offsets_listed_for_each_spec() {
    on_each(|client, port| async move {
        let admin = client.admin();
        let name = rig::fresh("deleted-records");
        ensure(&admin, TopicSpec::new(name.as_str()).partitions(1).retention(Duration::MAX)).await;
        let producer = client.producer().build().expect("the defaults are fine");
        for at in [1_000, 3_000, 2_000, 2_500] {
            producer.send(Record::to(&name).value("v").timestamp(at)).await.expect("written");
        }
        let place = || TopicPartition::new(name.as_str(), 0);
        let beyond = admin.delete_records([(place(), DeleteBefore::Offset(9))]).await.remove(0).1;
        assert_eq!(beyond.expect_err("the log ends before").code(), Some(Code::OffsetOutOfRange));
        let none = admin.delete_records([(TopicPartition::new(name.as_str(), 7), DeleteBefore::End)]).await.remove(0).1;
        assert_eq!(none.expect_err("no such partition").kind(), Kind::UnknownTopic);
        let two = [(place(), DeleteBefore::Offset(1)), (place(), DeleteBefore::Offset(-5))];
        let deleted = admin.delete_records(two).await;
        assert_eq!(*deleted[0].1.as_ref().expect("deleted"), 1);
        assert_eq!(deleted[1].1.as_ref().expect_err("below zero").kind(), Kind::Config);
        let specs = [
            (OffsetSpec::Earliest, Some(1)),
            (OffsetSpec::Latest, Some(4)),
            (OffsetSpec::Timestamp(2_600), Some(1)),
            (OffsetSpec::MaxTimestamp, Some(1)),
            (OffsetSpec::EarliestLocal, Some(1)),
            (OffsetSpec::LatestTiered, None),
        ];
        let listed = admin.list_offsets(specs.map(|(spec, _)| (place(), spec))).await;
        for ((_, listed), (spec, expected)) in listed.into_iter().zip(specs) {
            match listed {
                Ok(listed) => assert_eq!(listed.offset, expected, "{spec:?}"),
                Err(error) => assert_eq!((error.kind(), port), (Kind::Unsupported, OLDEST), "{spec:?}: {error:#}"),
            }
        }
        let deleted = admin.delete_records([(place(), DeleteBefore::End)]).await.remove(0).1;
        assert_eq!(deleted.expect("deleted"), 4);
    })
    .await;
}

#[tokio::test]
async fn broker_and_its_loggers_are_configured_by_that_broker() {
    on_each(|client, _| async move {
        let admin = client.admin();
        let broker = admin.describe_cluster().await.expect("an answer").brokers[0].id;
        let change = ConfigChange::new(ConfigResource::Broker(broker)).set("log.cleaner.threads", "2");
        admin.alter_configs([change]).await.remove(0).1.expect("a dynamic entry");
        let change = ConfigChange::new(ConfigResource::Broker(broker)).delete("log.cleaner.threads");
        admin.alter_configs([change]).await.remove(0).1.expect("a dynamic entry");
        let loggers = ConfigQuery::new([ConfigResource::BrokerLoggers(broker)]);
        match admin.describe_configs(loggers).await.remove(0).1 {
            Ok(loggers) => assert!(loggers.iter().any(|entry| entry.name == "root" && entry.value.is_some())),
            // A broker whose logging library has no levels.
            Err(error) => assert_eq!(error.code(), Some(Code::UnknownServerError)),
        }
        let missing = ConfigQuery::new([ConfigResource::Broker(broker + 70)]);
        let missing = admin.clone().timeout(Duration::from_millis(500)).describe_configs(missing).await.remove(0).1;
        assert_eq!(missing.expect_err("no such broker").kind(), Kind::Timeout);
    })
    .await;
}

#[tokio::test]
async fn groups_and_metrics_are_configured_where_brokers_know_them() {
    on_each(|client, port| async move {
        let admin = client.admin();
        let (group, metrics) = (ConfigResource::Group(rig::fresh("g")), ConfigResource::ClientMetrics(rig::fresh("m")));
        let changes = [
            ConfigChange::new(group.clone()).set("consumer.session.timeout.ms", "46000"),
            ConfigChange::new(metrics.clone()).set("interval.ms", "60000"),
        ];
        let altered = admin.alter_configs(changes).await;
        let newest = port == rig::RELEASES[0].1;
        for (resource, outcome) in altered {
            if newest {
                outcome.unwrap_or_else(|error| panic!("{resource:?}: {error:#}"));
            } else if port == OLDEST {
                outcome.expect_err("a broker that knows no such resource");
            }
        }
        let described = admin.describe_configs(ConfigQuery::new([group, metrics])).await;
        if newest {
            let has = |at: usize, value: &str| {
                let entries: &Vec<_> = described[at].1.as_ref().expect("described");
                entries.iter().any(|entry: &ottla::admin::ConfigEntry| entry.value.as_deref() == Some(value))
            };
            assert!(has(0, "46000") && has(1, "60000"), "{described:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn probe_tells_what_each_broker_serves() {
    on_each(|client, port| async move {
        let probe = client.probe(Duration::from_secs(10)).await.expect("a broker answers");
        assert!(probe.is_healthy(), "{probe:?}");
        let served = probe.brokers[0].served.as_ref().expect("it answers");
        let fetch = served.iter().find(|api| api.name == Some("Fetch")).expect("each broker serves it");
        assert_eq!((fetch.key, fetch.last >= 12), (1, true));
        let cluster = client.admin().describe_cluster().await.expect("an answer");
        assert_eq!((&probe.cluster_id, probe.brokers.len()), (&cluster.id, cluster.brokers.len()));
        let operations = cluster.authorized_operations.expect("brokers since 2.8 tell them");
        assert!(operations.contains(&ottla::admin::AclOperation::Alter), "{operations:?}");
        assert!(cluster.fenced.is_empty(), "port {port}");
    })
    .await;
}

#[tokio::test]
async fn probe_of_a_cluster_that_is_down_names_the_reason() {
    let client = Client::connect_lazy(["127.0.0.1:1"]).expect("an address");
    let error = client.probe(Duration::from_millis(300)).await.expect_err("nothing listens there");
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(format!("{error:#}").contains("127.0.0.1:1"), "{error:#}");
}
