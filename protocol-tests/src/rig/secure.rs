//! The secured nodes of the rig: their listeners, and what a client needs to be let in.
//!
//! Nobody may do anything there without an access control entry, except the super users `admin`, `alice` and the certificates of
//! `client` and `client-ec`. The user `guest` and the certificate of that name have no rights. See `docker/secure.sh`.

use std::fmt::Display;
use std::time::Duration;

use ottla::Client;
use ottla::admin::Acl;
use ottla::admin::NewTopic;
use ottla::admin::ScramChange;
use ottla::client::ClientBuilder;
use ottla::sasl::Sasl;
use ottla::tls::Pem;
use ottla::tls::Tls;
use ottla::types::ScramMechanism;

use super::fresh;
use super::is_up;
use super::pki;

/// The first port of the single node. Its listeners count from it.
pub const NODE: u16 = super::SECURE;

/// The first ports of the three nodes, which have the same listeners.
pub const TRIO: [u16; 3] = [29_600, 29_700, 29_800];

/// TLS; the client may show a certificate.
pub const TLS: u16 = 0;
/// TLS; the client must show a certificate.
pub const MTLS: u16 = 1;
/// The certificate is for another host.
pub const WRONG_HOST: u16 = 2;
/// The certificate has expired.
pub const EXPIRED: u16 = 3;
/// The certificate is self-signed.
pub const SELF_SIGNED: u16 = 4;
/// The certificate is signed by another CA.
pub const OTHER_CA: u16 = 5;
/// TLS 1.2 alone.
pub const TLS_12: u16 = 6;
/// TLS 1.3 alone.
pub const TLS_13: u16 = 7;
/// The certificate is not valid yet.
pub const FUTURE: u16 = 8;
/// SCRAM and PLAIN over TLS.
pub const SCRAM: u16 = 10;
/// OAUTHBEARER over TLS, with tokens that nobody signed.
pub const OAUTH_UNSECURED: u16 = 11;
/// OAUTHBEARER over TLS, with tokens that are signed by `jwt.key`.
pub const OAUTH_SIGNED: u16 = 12;
/// SCRAM and PLAIN without TLS.
pub const CLEAR: u16 = 13;
/// As [`CLEAR`], with sessions of 2 s.
pub const REAUTH_2: u16 = 14;
/// As [`SCRAM`], with sessions of 30 s.
pub const REAUTH_30: u16 = 15;
/// As [`SCRAM`], for delegation tokens.
pub const TOKEN: u16 = 16;
/// As [`SCRAM`], with sessions of 2 s.
pub const REAUTH_2_TLS: u16 = 17;
/// Neither TLS nor SASL. It is the last listener that opens.
pub const PLAIN: u16 = 20;

/// Whether the single node runs, as [`is_up`].
pub fn is_node_up() -> bool {
    is_up(NODE + PLAIN)
}

/// Whether the three nodes run. The gate does not start them: they take too much of its time.
pub fn is_trio_up() -> bool {
    let is_up = |first: &u16| std::net::TcpStream::connect(("127.0.0.1", first + PLAIN)).is_ok();
    let up = TRIO.iter().all(is_up);
    if !up {
        eprintln!("NOT RUN: protocol-tests/rig up securetrio starts the three secured nodes");
    }
    up
}

/// The addresses of a listener of the three nodes.
pub fn trio(listener: u16) -> [String; 3] {
    TRIO.map(|first| format!("localhost:{}", first + listener))
}

/// A client of a listener of the single node, without TLS and SASL.
pub fn builder(listener: u16) -> ClientBuilder {
    Client::builder([format!("localhost:{}", NODE + listener)]).expect("an address")
}

/// Trusts the CA of the nodes.
pub fn tls() -> Tls {
    Tls::builder().ca(Pem::file(pki("ca.pem"))).build().expect("the rig has made it")
}

/// As [`tls`], and shows the certificate of `client`, `guest` or another.
pub fn tls_of(identity: &str) -> Tls {
    let pem = || Pem::file(pki(&format!("{identity}.pem")));
    Tls::builder().ca(Pem::file(pki("ca.pem"))).identity(pem(), pem()).build().expect("the rig has made it")
}

/// The user who may do everything, by SCRAM.
pub fn alice() -> Sasl {
    Sasl::scram_sha_512("alice", "alice-secret")
}

/// The administrator of the single node.
pub async fn admin() -> Client {
    let builder = builder(CLEAR).sasl(Sasl::scram_sha_256("admin", "admin-secret"));
    builder.connect().await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Creates a topic that no other run has, and returns its name.
pub async fn topic(client: &Client, name: &str, partitions: i32) -> String {
    let topic = fresh(name);
    let created = client.admin().create_topics([NewTopic::new(topic.as_str()).partitions(partitions)]).await;
    created.expect("a controller").into_iter().for_each(|(_, outcome)| outcome.expect("a topic"));
    topic
}

/// Adds a user without rights, whose password is its name, by SCRAM-SHA-256. Returns the user when a broker knows it.
pub async fn user(admin: &Client, name: &str) -> String {
    let user = fresh(name);
    let change = ScramChange::password(user.as_str(), ScramMechanism::Sha256, user.as_str());
    for (_, outcome) in admin.admin().alter_scram_users([change]).await {
        outcome.expect("added");
    }
    eventually(|| builder(CLEAR).sasl(Sasl::scram_sha_256(user.as_str(), user.as_str())).connect()).await;
    user
}

/// Adds access control entries. Brokers know them a moment later.
pub async fn grant(admin: &Client, acls: impl IntoIterator<Item = Acl>) {
    for (acl, outcome) in admin.admin().create_acls(acls).await {
        outcome.unwrap_or_else(|error| panic!("{acl}: {error:#}"));
    }
}

/// Deletes such a user.
pub async fn delete_user(admin: &Client, user: &str) {
    for (_, outcome) in admin.admin().alter_scram_users([ScramChange::delete(user, ScramMechanism::Sha256)]).await {
        outcome.expect("deleted");
    }
}

/// Every record of a topic, as librdkafka reads it from a listener that takes certificates. Debian's cannot log in by SCRAM.
pub fn records_by_kcat(address: &str, topic: &str) -> Vec<(i32, i64, String)> {
    let path = |name: &str| pki(name).display().to_string();
    let properties = [
        ("security.protocol", "ssl".to_owned()),
        ("ssl.ca.location", path("ca.pem")),
        ("ssl.certificate.location", path("client.crt")),
        ("ssl.key.location", path("client.key")),
    ];
    super::kcat_records_by(address, &properties, topic)
}

/// Repeats an attempt until it succeeds: brokers learn of changes a moment after the controller. It has 20 s.
pub async fn eventually<T, E: Display, F: Future<Output = Result<T, E>>>(mut attempt: impl FnMut() -> F) -> T {
    let last = tokio::sync::watch::Sender::new(String::new());
    let repeat = async {
        loop {
            match attempt().await {
                Ok(outcome) => return outcome,
                Err(error) => last.send_replace(format!("{error:#}")),
            };
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(20), repeat).await;
    outcome.unwrap_or_else(|_| panic!("still after 20 s: {}", *last.borrow()))
}
