//! Keys of AWS, and where they come from.

use std::fmt;
use std::future::Future;
use std::future::ready;
use std::pin::Pin;

use crate::error::Error;
use crate::sasl::BoxError;
use crate::secret::Secret;

/// The keys of a user or a role of AWS.
///
/// ```
/// use ottla::sasl::AwsCredentials;
///
/// let keys = AwsCredentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI").session_token("FwoGZXIvYXdzE");
/// assert!(!format!("{keys:?}").contains("wJalr"));
/// ```
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: Secret,
    pub(super) session_token: Option<Secret>,
}

impl AwsCredentials {
    /// The id of an access key, and its secret.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<Secret>) -> Self {
        Self { access_key_id: access_key_id.into(), secret_access_key: secret_access_key.into(), session_token: None }
    }

    /// The token of a session, which temporary keys have.
    pub fn session_token(mut self, token: impl Into<Secret>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Whether requests can be signed by them.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let token = self.session_token.as_ref().map(|token| token.expose_text().unwrap_or_default());
        let texts = [Some(&*self.access_key_id), self.secret_access_key.expose_text(), Some(token.unwrap_or("none"))];
        if texts.into_iter().all(|text| text.is_some_and(is_plain)) {
            return Ok(());
        }
        let text = "the AWS keys cannot be used: id, secret or session token is empty, or has a space or another character that \
                    none of them has";
        Err(Error::authentication(text))
    }
}

/// The future of [`AwsCredentialSource::credentials`].
pub type FetchingCredentials<'a> = Pin<Box<dyn Future<Output = Result<AwsCredentials, BoxError>> + Send + 'a>>;

/// Gives the keys of AWS for each authentication: [`AwsCredentials`] that stay the same, [`AwsEnvironment`], or a source of yours that
/// asks an instance's metadata, a profile or the token service.
///
/// An [`Error`] of [`Kind::Authentication`](crate::error::Kind::Authentication) is fatal; after any other the client connects again
/// later. `Debug` must not show a secret.
///
/// ```
/// use ottla::sasl::{AwsCredentialSource, AwsCredentials, FetchingCredentials};
///
/// # async fn of_the_sdk() -> Result<(String, String, String), std::io::Error> { Err(std::io::ErrorKind::NotFound.into()) }
/// #[derive(Debug)]
/// struct Sdk;
///
/// impl AwsCredentialSource for Sdk {
///     fn credentials(&self) -> FetchingCredentials<'_> {
///         Box::pin(async {
///             let (id, secret, token) = of_the_sdk().await?;
///             Ok(AwsCredentials::new(id, secret).session_token(token))
///         })
///     }
/// }
/// ```
pub trait AwsCredentialSource: fmt::Debug + Send + Sync {
    /// Gives the keys. They should be kept until they expire: this is called for every connection. The future may be dropped at any
    /// point.
    fn credentials(&self) -> FetchingCredentials<'_>;

    /// The region of brokers whose names have none. The default is none.
    fn region(&self) -> Option<String> {
        None
    }
}

impl AwsCredentialSource for AwsCredentials {
    fn credentials(&self) -> FetchingCredentials<'_> {
        Box::pin(ready(Ok(self.clone())))
    }
}

/// The keys in the environment of this process: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and `AWS_SESSION_TOKEN` if there is one;
/// and the region, `AWS_REGION` or else `AWS_DEFAULT_REGION`. Read for each authentication.
///
/// ```
/// use ottla::sasl::{AwsEnvironment, MskIam, Sasl};
///
/// let sasl = Sasl::mechanism(MskIam::new(AwsEnvironment));
/// assert_eq!(sasl.name(), "AWS_MSK_IAM");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsEnvironment;

impl AwsCredentialSource for AwsEnvironment {
    fn credentials(&self) -> FetchingCredentials<'_> {
        Box::pin(ready(of(variable)))
    }

    fn region(&self) -> Option<String> {
        variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The keys by these variables.
fn of(variable: impl Fn(&str) -> Option<String>) -> Result<AwsCredentials, BoxError> {
    let needed = |name: &str| {
        variable(name).ok_or_else(|| {
            let remedy = "set it, or implement sasl::AwsCredentialSource for profiles, instances and containers";
            Error::authentication(format!("the environment has no {name}: {remedy}"))
        })
    };
    let keys = AwsCredentials::new(needed("AWS_ACCESS_KEY_ID")?, needed("AWS_SECRET_ACCESS_KEY")?);
    Ok(match variable("AWS_SESSION_TOKEN") {
        Some(token) => keys.session_token(token),
        None => keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_variables_are_named() {
        let all = |name: &str| Some(format!("value-of-{name}"));
        let keys = of(all).expect("all are there");
        assert_eq!(keys.access_key_id, "value-of-AWS_ACCESS_KEY_ID");
        assert!(keys.session_token.is_some() && keys.check().is_ok());
        let error = of(|name| all(name).filter(|_| name != "AWS_SECRET_ACCESS_KEY")).expect_err("one is missing");
        assert!(error.to_string().contains("no AWS_SECRET_ACCESS_KEY"), "{error}");
    }

    #[test]
    fn keys_that_cannot_sign_are_refused_without_showing_them() {
        let good = || AwsCredentials::new("id", "hunter2");
        assert!(good().check().is_ok() && good().session_token("t").check().is_ok());
        for keys in [
            AwsCredentials::new("", "hunter2"),
            AwsCredentials::new("id", ""),
            AwsCredentials::new("id", "hunter2\n"),
            AwsCredentials::new("id", vec![0xff]),
            good().session_token(""),
            good().session_token(vec![0xff]),
        ] {
            let error = keys.check().expect_err("refused").to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
