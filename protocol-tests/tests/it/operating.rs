//! Administration beyond topics and groups on real brokers: access control, quotas, SCRAM users, transactions, producers, the quorum,
//! features, log directories, elections, reassignments, members.

use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use ottla::Client;
use ottla::admin::Acl;
use ottla::admin::AclFilter;
use ottla::admin::AclOperation;
use ottla::admin::AclPattern;
use ottla::admin::AclResourceType;
use ottla::admin::Admin;
use ottla::admin::Election;
use ottla::admin::FeatureUpdate;
use ottla::admin::HangingTransaction;
use ottla::admin::MemberToRemove;
use ottla::admin::NewTopic;
use ottla::admin::QuotaChange;
use ottla::admin::QuotaEntity;
use ottla::admin::QuotaFilter;
use ottla::admin::Reassignment;
use ottla::admin::ReplicaMove;
use ottla::admin::TransactionFilter;
use ottla::admin::TransactionState;
use ottla::error::Code;
use ottla::error::Error;
use ottla::error::Kind;
use ottla::types::TopicPartition;
use protocol_tests::rig;

/// The releases that are up, each with an admin. `OTTLA_AUTHORIZER_PORT` adds a broker of 4.3.1.
async fn admins() -> Vec<(&'static str, u16, Admin)> {
    let extra = std::env::var("OTTLA_AUTHORIZER_PORT").ok().and_then(|port| port.parse().ok());
    let mut admins = Vec::new();
    for (release, port) in rig::RELEASES.into_iter().chain(extra.map(|port| ("4.3.1", port))) {
        if rig::is_up(port) {
            let builder = Client::builder([rig::address(port)]).expect("an address");
            let client = builder.connect().await.expect("a broker");
            admins.push((release, port, client.admin().timeout(Duration::from_secs(20))));
        }
    }
    admins
}

async fn topic(admin: &Admin, name: &str, partitions: i32) -> String {
    let topic = rig::fresh(name);
    let made = admin.create_topics([NewTopic::new(topic.as_str()).partitions(partitions)]).await;
    made.expect("a controller").into_iter().for_each(|(_, outcome)| outcome.expect("a topic"));
    topic
}

fn code<T>(outcome: &Result<T, Error>) -> Option<Code> {
    outcome.as_ref().err().and_then(Error::code)
}

/// Repeats a read until it shows the change, which brokers apply with a delay.
macro_rules! eventually {
    ($read:expr, $expected:expr) => {{
        let (mut seen, expected) = ($read, $expected);
        for _ in 0..400 {
            if seen == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            seen = $read;
        }
        assert_eq!(seen, expected);
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acls_are_added_found_and_deleted() {
    for (release, port, admin) in admins().await {
        let (principal, topic) = (format!("User:{}", rig::fresh("alice")), rig::fresh("acl"));
        let of_alice = || AclFilter::all().principal(principal.as_str());
        let read = Acl::allow(principal.as_str(), AclOperation::Read).on_topic(topic.as_str());
        let write =
            Acl::deny(principal.as_str(), AclOperation::Write).on_topic(&topic[..5]).prefixed().from_host("10.1.2.3");
        let invalid = Acl::allow(principal.as_str(), AclOperation::Unknown(0)).on_topic(topic.as_str());
        let untyped = Acl::allow("alice", AclOperation::Read);
        let made = admin.create_acls([read.clone(), invalid, untyped, write.clone()]).await;
        let described = admin.describe_acls(of_alice()).await;
        if code(&described) == Some(Code::SecurityDisabled) {
            println!("{release} at {port} has no authorizer");
            assert_eq!(code(&made[0].1), Some(Code::SecurityDisabled), "{made:?}");
            assert!(made[0].1.as_ref().expect_err("refused").to_string().contains("authorizer.class.name"));
            let deleted = admin.delete_acls([of_alice()]).await;
            assert_eq!(code(&deleted[0].1), Some(Code::SecurityDisabled));
            continue;
        }
        assert!(made[0].1.is_ok() && made[3].1.is_ok(), "{release}: {made:?}");
        assert!([1, 2].map(|at: usize| made[at].1.as_ref().expect_err("refused").kind()) == [Kind::Config; 2]);
        let nameless = admin.create_acls([read.clone().on_topic(""), read.clone()]).await;
        assert_eq!((code(&nameless[0].1), nameless[1].1.is_ok()), (Some(Code::InvalidRequest), true), "{nameless:?}");
        let mut both = vec![read.clone(), write.clone()];
        both.sort();
        eventually!(admin.describe_acls(of_alice()).await.expect("entries"), both);
        // By the name of a resource that both apply to.
        let applying =
            of_alice().resource_type(AclResourceType::Topic).resource(topic.as_str()).pattern(AclPattern::Match);
        assert_eq!(admin.describe_acls(applying).await.expect("entries").len(), 2);
        assert_eq!(admin.describe_acls(of_alice().operation(AclOperation::Alter)).await.expect("none"), []);
        let deleted = admin.delete_acls([read.clone().into(), of_alice().host("nowhere")]).await;
        let [(_, Ok(one)), (_, Ok(none))] = &deleted[..] else { panic!("{release}: {deleted:?}") };
        assert!(matches!(&one[..], [(acl, Ok(()))] if *acl == read) && none.is_empty(), "{deleted:?}");
        eventually!(admin.describe_acls(of_alice()).await.expect("entries"), vec![write.clone()]);
        let rest = admin.delete_acls([of_alice()]).await;
        assert_eq!(rest[0].1.as_ref().expect("deleted").len(), 1);
        assert!(admin.create_acls([]).await.is_empty() && admin.delete_acls([]).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_are_set_found_and_removed() {
    for (release, _, admin) in admins().await {
        let user = rig::fresh("alice");
        let (alone, pair) =
            (QuotaEntity::new().user(user.as_str()), QuotaEntity::new().user(user.as_str()).default_client_id());
        let set = |entity: &QuotaEntity, rate| QuotaChange::of(entity.clone()).set("producer_byte_rate", rate);
        let bad = QuotaChange::of(QuotaEntity::new().user(rig::fresh("bob"))).set("no_such_quota", 1.0);
        let changes =
            [set(&alone, 1_000.0), bad, set(&pair, 2_000.0), set(&alone, 3.0), QuotaChange::of(QuotaEntity::new())];
        let changed = admin.alter_quotas(changes).await;
        assert!(changed[0].1.is_ok() && changed[2].1.is_ok(), "{release}: {changed:?}");
        assert_eq!(code(&changed[1].1), Some(Code::InvalidRequest), "{changed:?}");
        assert!([3, 4].map(|at: usize| changed[at].1.as_ref().expect_err("refused").kind()) == [Kind::Config; 2]);
        let of_user = || QuotaFilter::all().user(user.as_str());
        let rates = |found: std::collections::BTreeMap<QuotaEntity, std::collections::BTreeMap<String, f64>>| {
            found.into_iter().map(|(entity, quotas)| (entity, quotas["producer_byte_rate"])).collect::<Vec<_>>()
        };
        let mut both = vec![(alone.clone(), 1_000.0), (pair.clone(), 2_000.0)];
        both.sort_by(|(one, _), (other, _)| one.cmp(other));
        eventually!(rates(admin.describe_quotas(of_user()).await.expect("quotas")), both);
        assert_eq!(rates(admin.describe_quotas(of_user().strict()).await.expect("quotas")), [(alone.clone(), 1_000.0)]);
        let removed = [alone, pair].map(|entity| QuotaChange::of(entity).remove("producer_byte_rate"));
        assert!(admin.alter_quotas(removed).await.iter().all(|(_, outcome)| outcome.is_ok()));
        eventually!(admin.describe_quotas(of_user()).await.expect("quotas").len(), 0);
        assert!(admin.alter_quotas([]).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scram_users_are_set_found_and_deleted() {
    use ottla::admin::ScramChange;
    use ottla::types::ScramMechanism::Sha256;
    use ottla::types::ScramMechanism::Sha512;
    for (release, _, admin) in admins().await {
        let (alice, nobody) = (rig::fresh("alice"), rig::fresh("nobody"));
        let set = [Sha256, Sha512].map(|mechanism| ScramChange::password(alice.as_str(), mechanism, "pencil"));
        let changed =
            admin.alter_scram_users(set.into_iter().chain([ScramChange::delete(nobody.as_str(), Sha256)])).await;
        assert!(changed[0].1.is_ok() && changed[1].1.is_ok(), "{release}: {changed:?}");
        assert_eq!(code(&changed[2].1), Some(Code::ResourceNotFound), "{changed:?}");
        let shown = async || {
            let found = admin.describe_scram_users([alice.as_str()]).await.remove(0).1;
            let mut found: Vec<_> = found.into_iter().flatten().map(|one| (one.mechanism, one.iterations)).collect();
            found.sort();
            found
        };
        eventually!(shown().await, vec![(Some(Sha256), 8_192), (Some(Sha512), 8_192)]);
        let several = admin.describe_scram_users([nobody.as_str(), alice.as_str(), alice.as_str()]).await;
        assert_eq!(code(&several[0].1), Some(Code::ResourceNotFound));
        assert!(several[1].1.is_ok() && several[2].1.is_ok(), "{several:?}");
        let all = admin.list_scram_users().await.expect("users");
        assert!(all.iter().any(|(user, _)| *user == alice), "{all:?}");
        let deleted = [Sha256, Sha512].map(|mechanism| ScramChange::delete(alice.as_str(), mechanism));
        assert!(admin.alter_scram_users(deleted).await.iter().all(|(_, outcome)| outcome.is_ok()));
        eventually!(
            code(&admin.describe_scram_users([alice.as_str()]).await.remove(0).1),
            Some(Code::ResourceNotFound)
        );
    }
}

/// A producer of librdkafka with an open transaction. Dropping it kills the process.
struct Open(Child);

impl Open {
    fn new(port: u16, topic: &str, id: &str) -> Self {
        let mut kcat = Command::new("kcat")
            .args(["-b", &rig::address(port), "-P", "-t", topic, "-p", "0", "-X", &format!("transactional.id={id}")])
            .args(["-X", "queue.buffering.max.ms=0"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("kcat");
        // It reads blocks, not lines. Standard input stays open, and so does the transaction.
        let lines = "a line that is written within a transaction\n".repeat(30_000);
        kcat.stdin.as_mut().expect("a pipe").write_all(lines.as_bytes()).expect("written");
        Self(kcat)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_transaction_is_listed_described_and_aborted() {
    for (release, port, admin) in admins().await {
        let (topic, id) = (topic(&admin, "open", 2).await, rig::fresh("billing"));
        let partition = TopicPartition::new(topic.as_str(), 0);
        let _open = Open::new(port, &topic, &id);
        let start = async || {
            let (_, producers) = admin.describe_producers([partition.clone()]).await.remove(0);
            producers.expect("producers").into_iter().find(|producer| producer.transaction_start.is_some())
        };
        eventually!(start().await.map(|producer| producer.transaction_start), Some(Some(0)));
        let producer = start().await.expect("it is open");

        if release == "2.8.2" {
            let listed = admin.list_transactions(TransactionFilter::all()).await.expect("brokers are known");
            assert_eq!(listed.failed[0].1.kind(), Kind::Unsupported, "{listed:?}");
            let described = admin.describe_transactions([id.as_str()]).await;
            assert_eq!(described[0].1.as_ref().expect_err("too old").kind(), Kind::Unsupported);
        } else {
            let ongoing = TransactionFilter::all().state(TransactionState::Ongoing);
            let listed = admin.list_transactions(ongoing.producer_id(producer.id)).await.expect("brokers are known");
            assert_eq!(listed.transactions.len(), 1, "{listed:?}");
            assert_eq!((&listed.transactions[0].transactional_id, listed.failed.len()), (&id, 0));
            let described = admin.describe_transactions([id.as_str(), "no-such-id"]).await;
            let of_id = described[0].1.as_ref().expect("it exists");
            assert_eq!((&of_id.partitions[..], of_id.producer_id), (&[partition.clone()][..], producer.id));
            assert!(of_id.started_ms.is_some() && of_id.state == TransactionState::Ongoing, "{of_id:?}");
            assert_eq!(code(&described[1].1), Some(Code::TransactionalIdNotFound), "{described:?}");
            let unknown = TransactionFilter::all().state(TransactionState::Unknown("Sleeping".into()));
            let listed = admin.list_transactions(unknown).await.expect("brokers are known");
            assert!(listed.failed[0].1.to_string().contains("Sleeping"), "{listed:?}");
        }

        let stale = HangingTransaction::new(partition.clone(), producer.id, -1, 0);
        let elsewhere = HangingTransaction::new(TopicPartition::new(topic.as_str(), 7), producer.id, 0, 0);
        let aborted =
            admin.abort_transactions([stale, elsewhere, HangingTransaction::of(partition.clone(), &producer)]).await;
        assert!(code(&aborted[0].1).is_some(), "{release}: {aborted:?}");
        assert_eq!(aborted[1].1.as_ref().expect_err("no such partition").kind(), Kind::UnknownTopic);
        assert!(aborted[2].1.is_ok(), "{release}: {aborted:?}");
        assert_eq!(start().await, None, "{release}");
        let missing = admin.describe_producers([TopicPartition::new("no-such-topic", 0), partition.clone()]).await;
        assert!(missing[0].1.is_err() && missing[1].1.is_ok(), "{missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_that_a_broker_lacks_are_refused() {
    for (release, _, admin) in admins().await {
        for (filter, since) in [
            (TransactionFilter::all().running_for(Duration::from_secs(1)), "3.8"),
            (TransactionFilter::all().pattern("billing-.*"), "4.1"),
        ] {
            let listed = admin.list_transactions(filter).await.expect("brokers are known");
            let unsupported = listed.failed.iter().all(|(_, error)| error.kind() == Kind::Unsupported);
            assert_eq!(listed.failed.is_empty(), release >= since, "{release}: {listed:?}");
            assert!(unsupported, "{release}: {listed:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quorum_and_features_are_described() {
    for (release, _, admin) in admins().await {
        let (quorum, features) = (admin.describe_quorum().await, admin.describe_features().await.expect("features"));
        let update = admin.update_features([FeatureUpdate::upgrade("no.such.feature", 2)]).await;
        assert!(update[0].1.is_err(), "{release}: {update:?}");
        if release == "2.8.2" {
            assert_eq!(quorum.expect_err("ZooKeeper").kind(), Kind::Unsupported);
            continue;
        }
        let quorum = quorum.expect("a quorum");
        assert_eq!((quorum.leader, quorum.voters.len()), (Some(1), 1), "{quorum:?}");
        assert!(quorum.high_watermark > 0 && quorum.voters[0].log_end_offset >= Some(quorum.high_watermark));
        let level = features.finalized["metadata.version"];
        let (low, high) = features.supported["metadata.version"];
        assert!((low..=high).contains(&level), "{features:?}");
        let missing = ottla::admin::QuorumVoter { id: 77, directory: quorum.voters[0].directory.unwrap_or_default() };
        assert!(admin.remove_voter(missing).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_dirs_are_described_and_moves_are_refused_by_name() {
    for (release, _, admin) in admins().await {
        let topic = topic(&admin, "dirs", 2).await;
        let of_topic = async || {
            let all = admin.list_log_dirs().await.expect("brokers are known");
            let directories: Vec<_> = all.into_iter().flat_map(|(_, outcome)| outcome.expect("directories")).collect();
            let directories = directories.into_iter().map(|one| one.expect("a directory"));
            let replicas = directories.flat_map(|one| one.replicas).filter(|one| *one.partition.topic == *topic);
            replicas.map(|one| one.partition.partition).collect::<Vec<_>>()
        };
        eventually!(of_topic().await, vec![0, 1]);
        let several = admin.describe_log_dirs([1, 99]).await;
        let directory = several[0].1.as_ref().expect("broker 1")[0].as_ref().expect("a directory");
        assert_eq!(directory.total_bytes.is_some(), release != "2.8.2", "{directory:?}");
        let error = several[1].1.as_ref().expect_err("no such broker");
        assert!(error.to_string().contains("no broker 99"), "{error}");

        let here = ReplicaMove::new(TopicPartition::new(topic.as_str(), 0), 1, directory.path.as_str());
        let nowhere = ReplicaMove::new(TopicPartition::new(topic.as_str(), 1), 1, "/nowhere");
        let moved = admin.alter_replica_log_dirs([here, nowhere]).await;
        assert!(moved[0].1.is_ok(), "{release}: {moved:?}");
        assert_eq!(code(&moved[1].1), Some(Code::LogDirNotFound), "{release}: {moved:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_elected_and_reassignments_refused_one_by_one() {
    for (release, _, admin) in admins().await {
        let topic = topic(&admin, "elect", 2).await;
        let at = |partition| TopicPartition::new(topic.as_str(), partition);
        let elected = admin.elect_leaders(Election::Preferred, [at(0), at(9)]).await;
        assert_eq!(code(&elected[0].1), Some(Code::ElectionNotNeeded), "{release}: {elected:?}");
        assert_eq!(code(&elected[1].1), Some(Code::UnknownTopicOrPartition), "{release}: {elected:?}");
        assert!(admin.elect_all_leaders(Election::Preferred).await.is_ok(), "{release}");
        let altered = admin
            .alter_reassignments([
                Reassignment::to(at(0), [1]),
                Reassignment::to(at(1), [99]),
                Reassignment::cancel(at(0)),
                Reassignment::to(TopicPartition::new("no-such-topic", 0), [1]),
            ])
            .await;
        assert!(altered[0].1.is_ok(), "{release}: {altered:?}");
        assert_eq!(code(&altered[1].1), Some(Code::InvalidReplicaAssignment), "{altered:?}");
        assert_eq!(altered[2].1.as_ref().expect_err("there twice").kind(), Kind::Config);
        assert_eq!(code(&altered[3].1), Some(Code::UnknownTopicOrPartition), "{altered:?}");
        assert_eq!(admin.list_reassignments().await.expect("none"), [], "{release}");
        let cancelled = admin.alter_reassignments([Reassignment::cancel(at(0))]).await;
        assert_eq!(code(&cancelled[0].1), Some(Code::NoReassignmentInProgress), "{release}: {cancelled:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_removed_by_id_and_by_instance() {
    for (release, port, admin) in admins().await {
        let (topic, group) = (topic(&admin, "members", 2).await, rig::fresh("members"));
        let client = Client::builder([rig::address(port)]).expect("an address").connect().await.expect("a broker");
        let consumer = client.consumer().group(group.as_str()).group_instance_id("w-1").subscribe([topic.as_str()]);
        let mut consumer = consumer.build().expect("a consumer");
        consumer.wait_for_assignment(Duration::from_secs(30)).await.expect("the only member");
        let members = [
            MemberToRemove::instance("w-2"),
            MemberToRemove::instance("w-1").because("a test"),
            MemberToRemove::member("m"),
        ];
        let removed = admin.remove_members(group.as_str(), members).await;
        let outcomes: Vec<Option<Code>> = removed.iter().map(|(_, outcome)| code(outcome)).collect();
        assert_eq!(
            outcomes,
            [Some(Code::UnknownMemberId), None, Some(Code::UnknownMemberId)],
            "{release}: {removed:?}"
        );
        let left = async || admin.describe_groups([group.as_str()]).await.remove(0).1.expect("a group").members.len();
        assert_eq!(left().await, 0, "{release}");
        assert!(admin.remove_all_members(group.as_str(), "a test").await.expect("a group").is_empty());
        let missing = admin.remove_all_members("no-such-group", "a test").await;
        assert_eq!(code(&missing), Some(Code::GroupIdNotFound));
        assert!(admin.remove_members(group.as_str(), []).await.is_empty());
        drop(consumer);
    }
}
