//! Amazon MSK on the mock: the signed request that a client shows, and keys that cannot be had.

use std::time::Duration;

use ottla::client::ClientBuilder;
use ottla::config::Config;
use ottla::error::Kind;
use ottla::mock::SaslAnswer;
use ottla::mock::SaslUsers;
use ottla::mock::Server;
use ottla::sasl::AwsCredentialSource;
use ottla::sasl::AwsCredentials;
use ottla::sasl::FetchingCredentials;
use ottla::sasl::MskIam;
use ottla::sasl::Sasl;
use serde_json::Value;

use super::connect;
use super::endpoint::decode;
use super::serve;
use super::write_one;

fn keys() -> MskIam {
    MskIam::new(AwsCredentials::new("AKIDEXAMPLE", "hunter2").session_token("to/ken+==")).region("eu-west-1")
}

fn accepted(is_good: bool) -> SaslAnswer {
    if !is_good {
        return SaslAnswer::Refuse("Access denied".to_owned());
    }
    SaslAnswer::Accept { user: "arn".to_owned(), message: br#"{"version":"2020_10_22","request-id":"7"}"#.to_vec() }
}

/// A cluster that wants both forms of a signed request, whose sessions end.
fn cluster() -> Server {
    let users = SaslUsers::new().session_lifetime(Duration::from_secs(60));
    let users = users.mechanism("AWS_MSK_IAM", |_, message| {
        let fields: Value = serde_json::from_slice(message).unwrap_or_default();
        let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
        let is_signed = text("x-amz-signature").len() == 64 && text("x-amz-date").len() == 16;
        let has_scope = text("x-amz-credential").ends_with("/eu-west-1/kafka-cluster/aws4_request");
        let is_whole = text("x-amz-security-token") == "to/ken+==" && text("host") == "127.0.0.1";
        accepted(is_signed && has_scope && is_whole && text("action") == "kafka-cluster:Connect")
    });
    serve(users.mechanism("OAUTHBEARER", |_, message| {
        let message = String::from_utf8_lossy(message).into_owned();
        let token = message.strip_prefix("n,,\u{1}auth=Bearer ").and_then(|rest| rest.split('\u{1}').next());
        let url = token.map(|token| String::from_utf8(decode(token)).expect("text")).unwrap_or_default();
        let is_url = url.starts_with("https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-");
        match accepted(is_url && url.contains("&X-Amz-Signature=")) {
            SaslAnswer::Accept { user, .. } => SaslAnswer::Accept { user, message: Vec::new() },
            refused => refused,
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn signed_requests_lead_to_records_in_both_forms() {
    for sasl in [Sasl::mechanism(keys()), Sasl::oauth_bearer(keys().tokens())] {
        let (server, name) = (cluster(), sasl.to_string());
        let client = connect(&server, sasl).await.expect(&name);
        for _ in 0..3 {
            write_one(&client).await.expect(&name);
            // A session ends, and a request is signed again.
            tokio::time::sleep(Duration::from_secs(70)).await;
        }
    }
}

/// A source that has no keys.
#[derive(Debug)]
struct Broken;

impl AwsCredentialSource for Broken {
    fn credentials(&self) -> FetchingCredentials<'_> {
        Box::pin(async { Err("the instance has no role".into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn keys_and_regions_that_are_missing_are_named() {
    let server = cluster();
    let refused = AwsCredentials::new("AKIDEXAMPLE", "hunter2");
    for (sasl, kind, words) in [
        (Sasl::mechanism(MskIam::new(refused.clone())), Kind::Authentication, "names no AWS region"),
        (Sasl::oauth_bearer(MskIam::new(refused.clone()).tokens()), Kind::Authentication, "need a region"),
        (Sasl::mechanism(MskIam::new(refused).region("eu-west-1")), Kind::Authentication, "Access denied"),
        (Sasl::mechanism(MskIam::new(Broken).region("eu-west-1")), Kind::Connect, "the instance has no role"),
        (
            Sasl::mechanism(MskIam::new(AwsCredentials::new("id", "hunter2 ")).region("eu-west-1")),
            Kind::Authentication,
            "the AWS keys cannot be used",
        ),
    ] {
        let error = connect(&server, sasl).await.expect_err(words);
        let text = format!("{error:#} {error:?}");
        assert!(error.kind() == kind && text.contains(words) && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn configuration_of_amazons_library_is_read() {
    let server = cluster();
    let module = "software.amazon.msk.auth.iam.IAMLoginModule required;";
    let config = Config::from_properties([
        ("bootstrap.servers", "ignored:1"),
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "AWS_MSK_IAM"),
        ("sasl.jaas.config", module),
        ("sasl.client.callback.handler.class", "software.amazon.msk.auth.iam.IAMClientCallbackHandler"),
    ]);
    let builder: ClientBuilder = ottla::Client::builder([server.bootstrap()]).expect("addresses");
    let builder = builder.connector(server.connector()).properties(config.expect("each is valid").properties());
    // The environment of the tests has neither region nor keys.
    let error = builder.connect().await.expect_err("no keys");
    assert!(error.kind() == Kind::Authentication && format!("{error:#}").contains("AWS_"), "{error:#}");
}
