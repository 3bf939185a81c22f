//! Tests of administration while brokers are down, on a paused clock.

use std::time::Duration;

use crate::admin::Acl;
use crate::admin::AclFilter;
use crate::admin::AclOperation;
use crate::admin::Admin;
use crate::admin::QuotaChange;
use crate::admin::QuotaEntity;
use crate::admin::QuotaFilter;
use crate::admin::ScramChange;
use crate::client::Client;
use crate::error::Code;
use crate::error::Error;
use crate::error::Written;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::Server;
use crate::mock::key;
use crate::types::ScramMechanism;

const TIMEOUT: Duration = Duration::from_secs(20);

async fn serve() -> (Server, Admin) {
    let server = Server::in_memory(Mock::builder().brokers(3).topic("orders", 3).build());
    let builder = Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
    let client = builder.connector(server.connector()).connect().await.expect("it answers");
    (server, client.admin().timeout(TIMEOUT))
}

/// The outcome of each call on access control, quotas and SCRAM users.
async fn each_call(admin: &Admin) -> Vec<(&'static str, Result<(), Error>)> {
    let acl = || Acl::allow("User:alice", AclOperation::Read).on_topic("orders");
    let entity = || QuotaEntity::new().user("alice");
    vec![
        ("create acls", admin.create_acls([acl()]).await.remove(0).1),
        ("describe acls", admin.describe_acls(AclFilter::all()).await.map(|_| ())),
        ("delete acls", admin.delete_acls([AclFilter::all()]).await.remove(0).1.map(|_| ())),
        (
            "alter quotas",
            admin.alter_quotas([QuotaChange::of(entity()).set("request_percentage", 7.0)]).await.remove(0).1,
        ),
        ("describe quotas", admin.describe_quotas(QuotaFilter::all()).await.map(|_| ())),
        ("list users", admin.list_scram_users().await.map(|_| ())),
        ("describe users", admin.describe_scram_users(["alice"]).await.remove(0).1.map(|_| ())),
        (
            "alter users",
            admin.alter_scram_users([ScramChange::delete("alice", ScramMechanism::Sha256)]).await.remove(0).1,
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn calls_end_by_their_timeout_while_all_brokers_are_down() {
    let (server, admin) = serve().await;
    server.with(|mock| (1..=3).for_each(|broker| mock.set_down(broker)));
    let begun = tokio::time::Instant::now();
    let outcomes = each_call(&admin).await;
    let most = TIMEOUT * u32::try_from(outcomes.len()).expect("a few") + Duration::from_secs(1);
    assert!(begun.elapsed() <= most, "{:?}", begun.elapsed());
    for (call, outcome) in outcomes {
        let error = outcome.expect_err(call);
        assert!(error.is_timeout() && error.is_written() != Some(Written::Maybe), "{call}: {error:#}");
        assert!(format!("{error:#}").contains("check"), "it names no remedy: {call}: {error:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_succeed_while_one_broker_of_three_is_down() {
    for down in 1..=3 {
        let (server, admin) = serve().await;
        server.with(|mock| mock.set_down(down));
        let begun = tokio::time::Instant::now();
        for (call, outcome) in each_call(&admin).await {
            let is_missing = outcome.as_ref().err().and_then(Error::code) == Some(Code::ResourceNotFound);
            assert!(outcome.is_ok() || (call.ends_with("users") && is_missing), "{call}: {outcome:?}");
        }
        assert!(begun.elapsed() < TIMEOUT, "the others answer at once: {:?}", begun.elapsed());
        // The controller or a broker that was down may have been tried, but no change is made twice.
        assert_eq!(server.with(|mock| mock.requests_count(key::CREATE_ACLS)), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn outcome_of_a_change_is_unknown_if_its_broker_dies() {
    let (server, admin) = serve().await;
    let lost = [key::CREATE_ACLS, key::DELETE_ACLS, key::ALTER_CLIENT_QUOTAS, key::ALTER_USER_SCRAM_CREDENTIALS];
    for api in lost {
        server.with(|mock| mock.inject(api, Fault::CloseAfter, 1));
    }
    for (call, outcome) in each_call(&admin).await {
        let is_change = ["create", "delete", "alter"].iter().any(|verb| call.starts_with(verb));
        let written = outcome.as_ref().err().and_then(Error::is_written);
        assert_eq!(written, Some(Written::Maybe).filter(|_| is_change), "{call}: {outcome:?}");
    }
    let acls = admin.describe_acls(AclFilter::all()).await.expect("a broker answers");
    assert_eq!(acls.len(), 0, "it was added, and then deleted");
    let quotas = admin.describe_quotas(QuotaFilter::all()).await.expect("a broker answers");
    assert_eq!(quotas.len(), 1);
}
