//! From the properties `sasl.*` to a mechanism with its credentials.

use std::time::Duration;

use crate::config::Properties;
use crate::config::jaas;
use crate::config::jaas::Login;
use crate::config::jaas::Module;
use crate::error::Error;
#[cfg(feature = "aws-msk-iam")]
use crate::sasl::AwsEnvironment;
#[cfg(feature = "aws-msk-iam")]
use crate::sasl::MskIam;
use crate::sasl::OAuthBearer;
use crate::sasl::Plain;
use crate::sasl::Refresh;
use crate::sasl::Sasl;
use crate::sasl::Unsecured;
use crate::secret::Secret;

/// The mechanism that properties demand. `None` if they name no mechanism, so that the program has to.
pub(super) fn sasl(properties: &Properties) -> Result<Option<Sasl>, Error> {
    let login = properties.get("sasl.jaas.config").map(jaas::parse).transpose()?;
    let Some(name) = properties.get("sasl.mechanism") else {
        return match properties.sasl_name() {
            Some(name) => Err(Error::config(format!(
                "{name} is set and sasl.mechanism is not: set it to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM"
            ))),
            None => Ok(None),
        };
    };
    let credentials = Credentials { properties, login: login.as_ref(), name };
    let sasl = match name {
        "PLAIN" => {
            let (user, password) = credentials.of(Module::Plain)?;
            Sasl::mechanism(Plain::new(user, password))
        }
        "OAUTHBEARER" => match credentials.bearer()? {
            Some(bearer) => Sasl::mechanism(bearer.refresh(credentials.refresh())),
            // The source of tokens is the program's.
            None => return Ok(None),
        },
        "AWS_MSK_IAM" => credentials.iam()?,
        _ => credentials.scram()?,
    };
    // The name of the protocol says that nothing is encrypted.
    let unencrypted = properties.get("security.protocol") == Some("sasl_plaintext");
    Ok(Some(if unencrypted { sasl.allow_plaintext_credentials() } else { sasl }))
}

struct Credentials<'a> {
    properties: &'a Properties,
    login: Option<&'a Login>,
    /// The mechanism.
    name: &'a str,
}

impl Credentials<'_> {
    /// The user and the password, from `sasl.jaas.config` or from `sasl.username` and `sasl.password`.
    fn of(&self, module: Module) -> Result<(String, Secret), Error> {
        let names = [self.properties.get("sasl.username"), self.properties.get("sasl.password")];
        let [user, password] = match self.login {
            Some(_) if names.iter().any(Option::is_some) => {
                let text = "sasl.jaas.config is set beside sasl.username or sasl.password: leave one of them out";
                return Err(Error::config(text));
            }
            Some(login) => {
                self.check(login, module)?;
                [login.option("username"), login.option("password")]
            }
            None => names,
        };
        match (user, password) {
            (Some(user), Some(password)) => Ok((user.to_owned(), password.into())),
            _ => Err(Error::config(format!(
                "{} needs a user and a password: set sasl.username and sasl.password, or both in sasl.jaas.config",
                self.name
            ))),
        }
    }

    /// Whether the login module is that of the mechanism.
    fn check(&self, login: &Login, module: Module) -> Result<(), Error> {
        if login.module == module {
            return Ok(());
        }
        let text = format!("sasl.jaas.config has a login module that does not belong to sasl.mechanism {}", self.name);
        Err(Error::config(format!("{text}: use its own module, or another mechanism")))
    }

    #[cfg(feature = "scram")]
    fn scram(&self) -> Result<Sasl, Error> {
        let mechanism =
            self.name.parse().map_err(|error| Error::config("sasl.mechanism is unknown").caused_by(error))?;
        let (user, password) = self.of(Module::Scram)?;
        let is_token = self.login.and_then(|login| login.option("tokenauth"));
        let scram = crate::sasl::Scram::new(mechanism, user, password);
        let is_token = is_token.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(Sasl::mechanism(if is_token { scram.token() } else { scram }))
    }

    #[cfg(not(feature = "scram"))]
    fn scram(&self) -> Result<Sasl, Error> {
        let text = format!("sasl.mechanism = {} needs the feature `scram` of ottla, which this build lacks", self.name);
        Err(Error::config(text))
    }

    /// The source of tokens: an endpoint or a file, or else unsecured tokens.
    fn bearer(&self) -> Result<Option<OAuthBearer>, Error> {
        self.login.map_or(Ok(()), |login| self.check(login, Module::OAuthBearer))?;
        if self.properties.get("sasl.login.callback.handler.class") == Some("IAMOAuthBearerLoginCallbackHandler") {
            return self.iam_tokens().map(Some);
        }
        #[cfg(feature = "sasl-oauth")]
        if let Some(bearer) = super::oauth::mechanism(self.properties, self.login)? {
            return Ok(Some(bearer));
        }
        self.login.map(Self::unsecured).transpose()
    }

    /// Unsecured tokens, as Java's login module makes them.
    fn unsecured(login: &Login) -> Result<OAuthBearer, Error> {
        let Some(subject) = login.option("unsecuredLoginStringClaim_sub") else {
            let text = "OAUTHBEARER has no source of tokens: set sasl.oauthbearer.token.endpoint.url (feature `sasl-oauth`), call \
                        ClientBuilder::sasl with Sasl::oauth_bearer, or for tests give sasl.jaas.config the option \
                        unsecuredLoginStringClaim_sub";
            return Err(Error::config(text));
        };
        let lifetime = match login.option("unsecuredLoginLifetimeSeconds").map(str::parse) {
            None => Duration::from_secs(3_600),
            Some(Ok(seconds)) => Duration::from_secs(seconds),
            Some(Err(_)) => return Err(Error::config("unsecuredLoginLifetimeSeconds is not a number of seconds")),
        };
        Ok(OAuthBearer::new(Unsecured { subject: subject.to_owned(), lifetime }))
    }

    /// The keys of AWS in the environment, which Java's classes for Amazon MSK look at first.
    #[cfg(feature = "aws-msk-iam")]
    fn iam(&self) -> Result<Sasl, Error> {
        self.login.map_or(Ok(()), |login| self.check(login, Module::Iam))?;
        self.check_aws_options()?;
        Ok(Sasl::mechanism(MskIam::new(AwsEnvironment)))
    }

    #[cfg(feature = "aws-msk-iam")]
    fn iam_tokens(&self) -> Result<OAuthBearer, Error> {
        self.check_aws_options()?;
        Ok(OAuthBearer::new(MskIam::new(AwsEnvironment).tokens()))
    }

    /// Refuses options that choose other keys than those of the environment.
    #[cfg(feature = "aws-msk-iam")]
    fn check_aws_options(&self) -> Result<(), Error> {
        let chooses =
            |name: &str| name.starts_with("awsRole") || ["awsProfileName", "awsMskRegionProvider"].contains(&name);
        match self.login.into_iter().flat_map(Login::options).find(|(name, _)| chooses(name)) {
            Some((name, _)) => Err(Error::config(format!(
                "the option {name} of sasl.jaas.config is not supported: give keys by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                 implement sasl::AwsCredentialSource and pass a sasl::MskIam to ClientBuilder::sasl"
            ))),
            None => Ok(()),
        }
    }

    #[cfg(not(feature = "aws-msk-iam"))]
    fn iam(&self) -> Result<Sasl, Error> {
        let text =
            format!("sasl.mechanism = {} needs the feature `aws-msk-iam` of ottla, which this build lacks", self.name);
        Err(Error::config(text))
    }

    #[cfg(not(feature = "aws-msk-iam"))]
    fn iam_tokens(&self) -> Result<OAuthBearer, Error> {
        let text =
            format!("{} for Amazon MSK needs the feature `aws-msk-iam` of ottla, which this build lacks", self.name);
        Err(Error::config(text))
    }

    fn refresh(&self) -> Refresh {
        let number = |name: &str| self.properties.get(name).and_then(|value| value.parse::<f64>().ok());
        let seconds = |name: &str, default| {
            number(name).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(default)
        };
        let java = Refresh::default();
        Refresh {
            window_factor: number("sasl.login.refresh.window.factor").unwrap_or(java.window_factor),
            window_jitter: number("sasl.login.refresh.window.jitter").unwrap_or(java.window_jitter),
            min_period: seconds("sasl.login.refresh.min.period.seconds", java.min_period),
            buffer: seconds("sasl.login.refresh.buffer.seconds", java.buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        Config::from_properties(pairs.iter().copied()).expect("each is valid").properties().clone()
    }

    fn jaas(module: &str, options: &str) -> String {
        format!("org.apache.kafka.common.security.{module} required {options};")
    }

    #[test]
    fn each_vocabulary_leads_to_the_same_mechanism() {
        let plain = jaas("plain.PlainLoginModule", "username=\"alice\" password=\"hunter2\"");
        for pairs in [
            &[("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &*plain)][..],
            &[("sasl.mechanisms", "plain"), ("sasl.username", "alice"), ("sasl.password", "hunter2")],
        ] {
            let sasl = sasl(&properties(pairs)).expect("a mechanism").expect("it is named");
            assert_eq!(sasl.to_string(), "user alice by PLAIN");
            assert!(!format!("{sasl:?}").contains("hunter2"));
            assert!(sasl.check(false).is_err() && sasl.check(true).is_ok());
        }
        let tokens = jaas("oauthbearer.OAuthBearerLoginModule", "unsecuredLoginStringClaim_sub=\"alice\"");
        let pairs = [("sasl.mechanism", "OAUTHBEARER"), ("sasl.jaas.config", &*tokens)];
        assert_eq!(sasl(&properties(&pairs)).expect("a mechanism").expect("it is named").name(), "OAUTHBEARER");
        assert!(sasl(&Properties::new()).expect("nothing is set").is_none());
        assert!(sasl(&properties(&[("sasl.mechanism", "OAUTHBEARER")])).expect("a source follows").is_none());
    }

    /// A text in quotation marks, as a login module has it.
    fn quoted(text: &str) -> String {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
        format!("\"{escaped}\"")
    }

    /// Any text, and those that take escapes.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), Just("two\nlines\r\"and\"\\more';\t".to_owned())]
    }

    proptest! {
        #[test]
        fn any_credentials_are_the_same_by_each_vocabulary(user in text(), password in text()) {
            let login = jaas("plain.PlainLoginModule", &format!("username={} password={}", quoted(&user), quoted(&password)));
            let rest = [("bootstrap.servers", "a"), ("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN")];
            let by_jaas = properties(&[&rest[..], &[("sasl.jaas.config", &login)]].concat());
            let by_names = [&rest[..], &[("sasl.username", &user), ("sasl.password", &password)]].concat();
            let by_names = Config::from_properties(by_names).expect("each is valid");
            let by_dsn = Config::from_dsn(by_names.to_dsn().expect("brokers").expose_text().expect("text")).expect("a DSN");
            for properties in [&by_jaas, by_names.properties(), by_dsn.properties()] {
                let login = properties.get("sasl.jaas.config").map(jaas::parse).transpose().expect("a login module");
                let credentials = Credentials { properties, login: login.as_ref(), name: "PLAIN" };
                let (found, secret) = credentials.of(Module::Plain).expect("both are set");
                prop_assert_eq!((found.as_str(), secret.expose_text()), (user.as_str(), Some(password.as_str())));
            }
        }
    }

    #[cfg(feature = "scram")]
    #[test]
    fn scram_and_its_tokens_are_read() {
        let token = jaas("scram.ScramLoginModule", "username=\"id\" password=\"hunter2\" tokenauth=\"true\"");
        let pairs = [("sasl.mechanism", "scram-sha-512"), ("sasl.jaas.config", &*token)];
        let sasl = sasl(&properties(&pairs)).expect("a mechanism").expect("it is named");
        assert_eq!(sasl.to_string(), "user id by SCRAM-SHA-512");
        assert!(format!("{sasl:?}").contains("token: true"), "{sasl:?}");
        assert!(sasl.check(false).is_ok());
    }

    #[cfg(feature = "aws-msk-iam")]
    #[test]
    fn classes_of_amazon_lead_to_the_keys_of_the_environment() {
        let iam = "software.amazon.msk.auth.iam.IAMLoginModule required";
        let bare = format!("{iam};");
        let mechanism = ("sasl.mechanism", "AWS_MSK_IAM");
        let handler = ("sasl.client.callback.handler.class", "software.amazon.msk.auth.iam.IAMClientCallbackHandler");
        let found = sasl(&properties(&[mechanism, ("sasl.jaas.config", &bare), handler])).expect("a mechanism");
        let found = found.expect("it is named");
        assert_eq!(found.name(), "AWS_MSK_IAM");
        assert!(found.check(false).is_err() && found.check(true).is_ok());
        let bearer = jaas("oauthbearer.OAuthBearerLoginModule", "");
        let handler = "software.amazon.msk.auth.iam.IAMOAuthBearerLoginCallbackHandler";
        let pairs = [
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.jaas.config", &*bearer),
            ("sasl.login.callback.handler.class", handler),
        ];
        assert!(format!("{:?}", sasl(&properties(&pairs)).expect("tokens")).contains("MskIamTokens"));
        for option in ["awsProfileName", "awsRoleArn", "awsRoleAccessKeyId", "awsMskRegionProvider"] {
            let text = format!("{iam} awsDebugCreds=\"true\" {option}=\"hunter2\";");
            let error = sasl(&properties(&[mechanism, ("sasl.jaas.config", &text)])).expect_err(option).to_string();
            assert!(
                error.contains(option) && error.contains("AwsCredentialSource") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn unencrypted_protocol_allows_what_it_says() {
        let pairs = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "alice"),
            ("sasl.password", "hunter2"),
        ];
        assert!(sasl(&properties(&pairs)).expect("a mechanism").expect("it is named").check(false).is_ok());
    }

    #[test]
    fn contradictions_are_named_without_a_secret() {
        let scram = jaas("scram.ScramLoginModule", "username=\"a\" password=\"hunter2\"");
        let bearer = jaas("oauthbearer.OAuthBearerLoginModule", "clientId=\"a\" clientSecret=\"hunter2\"");
        for (pairs, what) in [
            (&[("sasl.username", "a"), ("sasl.password", "hunter2")][..], "sasl.mechanism is not"),
            (&[("sasl.mechanism", "PLAIN"), ("sasl.password", "hunter2")], "needs a user"),
            (&[("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &*scram)], "does not belong to sasl.mechanism PLAIN"),
            (
                &[("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &*scram), ("sasl.password", "hunter2")],
                "leave one of them out",
            ),
            (
                &[("sasl.mechanism", "OAUTHBEARER"), ("sasl.jaas.config", &*bearer)],
                "sasl.oauthbearer.token.endpoint.url",
            ),
        ] {
            let error = sasl(&properties(pairs)).expect_err(what).to_string();
            assert!(error.contains(what) && !error.contains("hunter2"), "{error}");
        }
    }
}
