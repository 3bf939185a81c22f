//! Files of certificates and keys: what is wrong with them, and their rotation.

use std::fs;
use std::path::PathBuf;

use ottla::error::Kind;
use ottla::tls::Pem;
use ottla::tls::Tls;
use protocol_tests::pki::Authority;
use tempfile::TempDir;

use super::client;
use super::refusal;
use super::server;
use super::serving;

fn write(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("written");
    path
}

#[test]
fn unusable_files_are_named_with_the_remedy() {
    let folder = TempDir::new().expect("a folder");
    let authority = Authority::new("test-ca");
    let (one, two) = (authority.sign(&[]), authority.sign(&[]));
    let ca = write(&folder, "ca.pem", authority.pem());
    let certificate = write(&folder, "client.pem", &one.chain);
    let key = write(&folder, "client.key", &one.key);
    let other_key = write(&folder, "other.key", &two.key);
    let empty = write(&folder, "empty.pem", "\n");
    let garbage = write(&folder, "garbage.pem", [0x30, 0x82, 1, 0, 7, 7, 7]);
    let broken = write(&folder, "broken.pem", "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n");
    let identity = |certificate: &PathBuf, key: &PathBuf| {
        Tls::builder().ca(Pem::file(&ca)).identity(Pem::file(certificate), Pem::file(key))
    };
    let cases = [
        (identity(&certificate, &other_key), "other.key (private key) does not belong to the first certificate of "),
        (
            identity(&key, &key),
            "client.key (client certificate) has a private key: give the PEM text of the certificate",
        ),
        (
            identity(&certificate, &certificate),
            "client.pem (private key) has a certificate: give the PEM text of the private key",
        ),
        (identity(&certificate, &folder.path().join("nosuch.key")), "could not read"),
        (identity(&broken, &key), "the first certificate of "),
        (Tls::builder().ca(Pem::file(&empty)), "empty.pem (CA) is empty"),
        (Tls::builder().ca(Pem::file(&garbage)), "certificate 1 of "),
        (Tls::builder().ca(Pem::file(&broken)), "certificate 1 of "),
        (Tls::builder().ca(Pem::file(&key)), "client.key (CA) has a private key"),
    ];
    for (builder, part) in cases {
        let error = builder.build().expect_err(part);
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(part), "{part}: {error:#}");
        let secret = one.key.lines().nth(1).expect("the key");
        assert!(!format!("{error:#} {error:?}").contains(secret));
    }
    identity(&certificate, &key).build().expect("these belong together");
    assert!(
        Tls::builder().ca(Pem::file(folder.path())).build().is_err(),
        "a folder with files that are no certificates"
    );
}

#[test]
fn key_and_chain_may_be_in_one_file_and_the_ca_in_a_folder() {
    let folder = TempDir::new().expect("a folder");
    let authority = Authority::new("test-ca");
    let own = authority.sign(&[]);
    let cas = folder.path().join("cas");
    fs::create_dir(&cas).expect("a folder");
    fs::write(cas.join("a.pem"), authority.pem()).expect("written");
    fs::write(cas.join("README"), "not a certificate").expect("written");
    let both = write(&folder, "client.pem", format!("{}{}{}", own.key, own.chain, authority.pem()));
    let tls = Tls::builder().ca(Pem::file(&cas)).identity(Pem::file(&both), Pem::file(&both)).build();
    let printed = format!("{:?}", tls.expect("all of it is there"));
    assert!(printed.contains("client.pem") && !printed.contains("BEGIN"), "{printed}");
}

#[tokio::test]
async fn files_are_read_again_for_each_connection() {
    let folder = TempDir::new().expect("a folder");
    let (old, new) = (Authority::new("old-ca"), Authority::new("new-ca"));
    let ca = write(&folder, "ca.pem", old.pem());
    let tls = Tls::builder().ca(Pem::file(&ca)).build().expect("a CA");
    let server = server();
    server.set_tls(serving(&old.sign(&["localhost"])));
    let begun = client(&server, "localhost").tls(tls.clone()).connect().await.expect("the old CA is trusted");

    server.set_tls(serving(&new.sign(&["localhost"])));
    fs::write(&ca, new.pem()).expect("written");
    // A connection of a client that exists, and one of another client.
    begun.admin().list_topics().await.expect("the client reads the file again");
    client(&server, "localhost").tls(tls.clone()).connect().await.expect("the new CA is trusted");

    fs::write(&ca, "garbage").expect("written");
    let error = refusal(client(&server, "localhost").tls(tls)).await;
    assert!(
        format!("{error:#}").contains("is signed by \"new-ca\""),
        "it trusts what the `Tls` was built with: {error:#}"
    );
    // The client goes on with what it read last.
    server.with(|cluster| cluster.set_down(1));
    server.with(|cluster| cluster.set_up(1));
    begun.admin().list_topics().await.expect("the new CA is trusted still");
}
