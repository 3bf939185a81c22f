//! From the properties `sasl.oauthbearer.*` and the options of Java's login module to a source of tokens.

use std::time::Duration;

use crate::config::Properties;
use crate::config::jaas::Login;
use crate::error::Error;
use crate::sasl::Assertion;
use crate::sasl::AssertionAlgorithm;
use crate::sasl::OAuthBearer;
use crate::sasl::SignedAssertion;
use crate::sasl::TokenEndpoint;
use crate::sasl::TokenEndpointBuilder;
use crate::sasl::TokenFile;
use crate::secret::Secret;
use crate::tls::Pem;
use crate::tls::Tls;

const URL: &str = "sasl.oauthbearer.token.endpoint.url";
const CLASS: &str = "sasl.oauthbearer.jwt.retriever.class";
const ASSERTION_FILE: &str = "sasl.oauthbearer.assertion.file";
const ISSUER: &str = "sasl.oauthbearer.assertion.claim.iss";

/// The mechanism with the source of tokens that properties name, if they name one.
pub(super) fn mechanism(properties: &Properties, login: Option<&Login>) -> Result<Option<OAuthBearer>, Error> {
    let settings = Settings { properties, login };
    let Some(url) = properties.get(URL) else {
        let is_set = [CLASS, "sasl.oauthbearer.client.credentials.client.id", ASSERTION_FILE, ISSUER];
        let has_method = properties.get("sasl.oauthbearer.method") == Some("oidc");
        let option = login.is_some_and(|login| login.option("clientId").is_some());
        return match is_set.iter().find(|name| properties.get(name).is_some()) {
            Some(name) => Err(missing(name)),
            None if has_method => Err(missing("sasl.oauthbearer.method")),
            None if option => Err(missing("the option clientId of sasl.jaas.config")),
            None => Ok(None),
        };
    };
    let path = of_file(url);
    let retriever = match (properties.get(CLASS), path) {
        (Some("FileJwtRetriever"), None) => {
            return Err(Error::config(format!(
                "{CLASS} is FileJwtRetriever, and {URL} is no file: write file:///PATH"
            )));
        }
        (Some("ClientCredentialsJwtRetriever" | "JwtBearerJwtRetriever"), Some(_)) => {
            return Err(Error::config(format!("{URL} is a file, and {CLASS} is not FileJwtRetriever: give its URL")));
        }
        (_, Some(path)) => return settings.file(path).map(Some),
        (Some("JwtBearerJwtRetriever"), None) => Retriever::Bearer,
        (_, None) => settings.by_grant_type(),
    };
    let builder = match retriever {
        Retriever::Bearer => TokenEndpoint::jwt_bearer(url, settings.assertion()?),
        Retriever::Client => settings.of_client(url)?,
    };
    let endpoint = settings.applied(builder)?.build()?;
    Ok(Some(OAuthBearer::new(endpoint)))
}

/// How tokens are asked for.
enum Retriever {
    Bearer,
    Client,
}

fn missing(name: &str) -> Error {
    Error::config(format!("{name} is set and {URL} is not: set it to the URL of the token endpoint"))
}

/// The path of an URL of the scheme `file`.
fn of_file(url: &str) -> Option<&str> {
    let rest = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("file:")).map(|_| &url[5..])?;
    match rest.strip_prefix("//") {
        // A host, which is this machine.
        Some(rest) => Some(rest.find('/').map_or(rest, |at| &rest[at..])),
        None => Some(rest),
    }
}

struct Settings<'a> {
    properties: &'a Properties,
    login: Option<&'a Login>,
}

impl Settings<'_> {
    /// A property, or else the option of the login module that came before it.
    fn either(&self, property: &str, option: &str) -> Option<&str> {
        self.properties.get(property).or_else(|| self.login?.option(option)).filter(|value| !value.trim().is_empty())
    }

    fn is_true(&self, property: &str) -> bool {
        self.properties.get(property) == Some("true")
    }

    fn file(&self, path: &str) -> Result<OAuthBearer, Error> {
        let file = TokenFile::new(path);
        let extensions = self.extensions()?;
        Ok(OAuthBearer::new(extensions.into_iter().fold(file, |file, (name, value)| file.extension(name, value))))
    }

    fn by_grant_type(&self) -> Retriever {
        match self.properties.get("sasl.oauthbearer.grant.type") {
            Some("client_credentials") | None => Retriever::Client,
            Some(_) => Retriever::Bearer,
        }
    }

    /// Client credentials: by an assertion if one is set, as Java's client decides it, or else by a secret.
    fn of_client(&self, url: &str) -> Result<TokenEndpointBuilder, Error> {
        const ID: &str = "sasl.oauthbearer.client.credentials.client.id";
        const SECRET: &str = "sasl.oauthbearer.client.credentials.client.secret";
        let id = self.either(ID, "clientId");
        if self.properties.get(ASSERTION_FILE).is_some() || self.properties.get(ISSUER).is_some() {
            let builder = TokenEndpoint::client_assertion(url, self.assertion()?);
            return Ok(match id {
                Some(id) => builder.client_id(id),
                None => builder,
            });
        }
        match (id, self.either(SECRET, "clientSecret")) {
            (Some(id), Some(secret)) => Ok(TokenEndpoint::client_credentials(url, id, Secret::from(secret))),
            (None, _) => Err(Error::config(format!("{URL} is set, and the client has no id: set {ID}"))),
            (_, None) => Err(Error::config(format!("{URL} is set, and the client has no secret: set {SECRET}"))),
        }
    }

    fn assertion(&self) -> Result<Assertion, Error> {
        const FILE: &str = "sasl.oauthbearer.assertion.private.key.file";
        const TEXT: &str = "sasl.oauthbearer.assertion.private.key.pem";
        let get = |name| self.properties.get(name);
        let key = match (get(ASSERTION_FILE), get(FILE), get(TEXT)) {
            (Some(path), None, None) => return Ok(Assertion::file(path)),
            (Some(_), ..) => {
                return Err(Error::config(format!("{ASSERTION_FILE} and a private key are both set: keep one")));
            }
            (None, Some(path), None) => Pem::file(path),
            (None, None, Some(text)) => Pem::text(text),
            (None, Some(_), Some(_)) => {
                return Err(Error::config(format!("{FILE} and {TEXT} both give the private key: keep one")));
            }
            (None, None, None) => {
                return Err(Error::config(format!("an assertion needs a key: set {FILE}, or {ASSERTION_FILE}")));
            }
        };
        let mut signed = SignedAssertion::new(key);
        if get("sasl.oauthbearer.assertion.algorithm") == Some("ES256") {
            signed = signed.algorithm(AssertionAlgorithm::Es256);
        }
        for (name, set) in [
            (ISSUER, SignedAssertion::issuer as fn(SignedAssertion, String) -> SignedAssertion),
            ("sasl.oauthbearer.assertion.claim.sub", SignedAssertion::subject),
            ("sasl.oauthbearer.assertion.claim.aud", SignedAssertion::audience),
            ("sasl.oauthbearer.assertion.template.file", SignedAssertion::template),
        ] {
            signed = get(name).into_iter().fold(signed, |signed, value| set(signed, value.to_owned()));
        }
        let seconds = |name| self.properties.number(name).and_then(|number| u64::try_from(number).ok());
        if let Some(seconds) = seconds("sasl.oauthbearer.assertion.claim.exp.seconds") {
            signed = signed.lifetime(Duration::from_secs(seconds));
        }
        if let Some(seconds) = seconds("sasl.oauthbearer.assertion.claim.nbf.seconds") {
            signed = signed.not_before(Duration::from_secs(seconds));
        }
        let is_unique = self.is_true("sasl.oauthbearer.assertion.claim.jti.include");
        Ok(if is_unique { signed.unique() } else { signed }.into())
    }

    /// Takes the settings that do not depend on the way tokens are asked for.
    fn applied(&self, mut builder: TokenEndpointBuilder) -> Result<TokenEndpointBuilder, Error> {
        if let Some(scope) = self.either("sasl.oauthbearer.scope", "scope") {
            builder = builder.scope(scope);
        }
        if let Some(claim) = self.properties.get("sasl.oauthbearer.sub.claim.name") {
            builder = builder.subject_claim(claim);
        }
        if self.is_true("sasl.oauthbearer.header.urlencode") {
            builder = builder.url_encoded_credentials();
        }
        for (name, set) in [
            (
                "sasl.login.connect.timeout.ms",
                TokenEndpointBuilder::connect_timeout as fn(TokenEndpointBuilder, Duration) -> TokenEndpointBuilder,
            ),
            ("sasl.login.read.timeout.ms", TokenEndpointBuilder::read_timeout),
            ("sasl.login.retry.backoff.ms", TokenEndpointBuilder::retry_backoff),
            ("sasl.login.retry.backoff.max.ms", TokenEndpointBuilder::retry_backoff_max),
        ] {
            builder = self.properties.millis(name).into_iter().fold(builder, set);
        }
        for (name, value) in self.extensions()? {
            builder = builder.extension(name, value);
        }
        Ok(match self.tls()? {
            Some(tls) => builder.tls(tls),
            None => builder,
        })
    }

    /// Extensions, from the options `extension_NAME` of Java and the list `NAME=VALUE,…` of librdkafka.
    fn extensions(&self) -> Result<Vec<(String, String)>, Error> {
        const LIST: &str = "sasl.oauthbearer.extensions";
        let options = self.login.into_iter().flat_map(Login::options);
        let options = options.filter_map(|(name, value)| Some((name.strip_prefix("extension_")?, value)));
        let mut found: Vec<(String, String)> =
            options.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let list = self.properties.get(LIST).unwrap_or_default();
        for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let wrong = || Error::config(format!("{LIST} has an extension without a value: write NAME=VALUE,…"));
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            found.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(found)
    }

    /// The CAs of the token endpoint, from librdkafka's properties or from Java's options `ssl.*` of the login module.
    fn tls(&self) -> Result<Option<Tls>, Error> {
        let file = self.properties.get("https.ca.location").filter(|path| *path != "probe");
        let ca = match (file, self.properties.get("https.ca.pem")) {
            (Some(_), Some(_)) => {
                return Err(Error::config("https.ca.location and https.ca.pem both give a CA: keep one"));
            }
            (Some(path), None) => Some(Pem::file(path)),
            (None, text) => text.map(Pem::text),
        };
        if let Some(ca) = ca {
            return Tls::builder().ca(ca).build().map(Some);
        }
        let mut of_login = Properties::new();
        let options = self.login.into_iter().flat_map(Login::options).filter(|(name, _)| name.starts_with("ssl."));
        for (name, value) in options {
            let within = |error: Error| Error::config("an option ssl.* of sasl.jaas.config is wrong").caused_by(error);
            of_login.set(name, value).map_err(within)?;
        }
        if of_login == Properties::new() { Ok(None) } else { Tls::from_properties(&of_login).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::jaas;

    const URL: (&str, &str) = ("sasl.oauthbearer.token.endpoint.url", "https://idp.example/token");
    const JAAS: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";

    fn built(pairs: &[(&str, &str)], options: &str) -> Result<String, String> {
        let config = Config::from_properties(pairs.iter().copied()).map_err(|error| error.to_string())?;
        let login = jaas::parse(&format!("{JAAS} {options};")).expect("a login");
        match mechanism(config.properties(), Some(&login)) {
            Ok(mechanism) => Ok(format!("{:?}", mechanism.expect("a source is named"))),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn names_of_java_and_librdkafka_lead_to_the_same_endpoint() {
        let librdkafka = [
            URL,
            ("sasl.oauthbearer.method", "OIDC"),
            ("sasl.oauthbearer.client.id", "me"),
            ("sasl.oauthbearer.client.secret", "hunter2"),
            ("sasl.oauthbearer.scope", "s"),
            ("sasl.oauthbearer.extensions", "traceId=7, tenant=a=b"),
        ];
        let java = [
            URL,
            (
                "sasl.login.callback.handler.class",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
            ),
            (
                "sasl.oauthbearer.jwt.retriever.class",
                "org.apache.kafka.common.security.oauthbearer.ClientCredentialsJwtRetriever",
            ),
        ];
        let options = "clientId=\"me\" clientSecret='hunter2' scope=s extension_traceId=\"7\" extension_tenant=\"a=b\"";
        let (one, other) = (built(&librdkafka, "").expect("complete"), built(&java, options).expect("complete"));
        assert_eq!(one, other);
        assert!(
            one.contains("https://idp.example/token") && one.contains("traceId") && !one.contains("hunter2"),
            "{one}"
        );
        // Properties count before options.
        let both = built(&[URL, ("sasl.oauthbearer.client.credentials.client.id", "you")], options).expect("complete");
        assert!(both.contains("\"you\""), "{both}");
    }

    #[test]
    fn files_are_named_by_an_url() {
        for url in ["file:/run/token", "file:///run/token", "FILE://localhost/run/token"] {
            let file = built(&[("sasl.oauthbearer.token.endpoint.url", url)], "").expect(url);
            assert!(file.contains("TokenFile") && file.contains("\"/run/token\""), "{file}");
        }
    }

    #[test]
    fn contradictions_and_gaps_name_the_property() {
        let id = ("sasl.oauthbearer.client.id", "me");
        let secret = ("sasl.oauthbearer.client.secret", "hunter2");
        let bearer = ("sasl.oauthbearer.grant.type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let class = "sasl.oauthbearer.jwt.retriever.class";
        let key = ("sasl.oauthbearer.assertion.private.key.pem", "hunter2");
        let file = ("sasl.oauthbearer.assertion.file", "/nonexistent");
        for (pairs, what) in [
            (&[id, secret][..], "sasl.oauthbearer.token.endpoint.url is not"),
            (&[("sasl.oauthbearer.method", "oidc")], "sasl.oauthbearer.token.endpoint.url is not"),
            (&[URL], "set sasl.oauthbearer.client.credentials.client.id"),
            (&[URL, id], "set sasl.oauthbearer.client.credentials.client.secret"),
            (&[("sasl.oauthbearer.token.endpoint.url", "http://idp/"), id, secret], "use https"),
            (&[URL, bearer], "set sasl.oauthbearer.assertion.private.key.file"),
            (&[URL, bearer, key, file], "both set"),
            (&[URL, bearer, key], "is not PEM"),
            (&[URL, (class, "JwtBearerJwtRetriever"), file], "/nonexistent"),
            (&[URL, (class, "FileJwtRetriever")], "is no file"),
            (&[("sasl.oauthbearer.token.endpoint.url", "file:/x"), (class, "JwtBearerJwtRetriever")], "is a file"),
            (&[URL, (class, "com.example.MyRetriever")], "give "),
            (&[URL, ("sasl.oauthbearer.metadata.authentication.type", "azure_imds")], "TokenSource"),
            (&[URL, ("sasl.oauthbearer.assertion.private.key.passphrase", "hunter2")], "openssl pkey"),
            (&[URL, id, secret, ("sasl.oauthbearer.extensions", "x")], "NAME=VALUE"),
            (&[URL, id, secret, ("sasl.oauthbearer.extensions", "auth=x")], "\"auth\" cannot name"),
            (&[URL, id, secret, ("https.ca.location", "/nonexistent.pem")], "/nonexistent.pem"),
            (&[URL, id, secret, ("https.ca.location", "a"), ("https.ca.pem", "b")], "both give a CA"),
        ] {
            let error = built(pairs, "").expect_err(what);
            assert!(error.contains(what) && !error.contains("hunter2"), "{what}: {error}");
        }
        let error =
            built(&[URL, id, secret], "ssl.truststore.location=\"/nonexistent.pem\"").expect_err("no such file");
        assert!(error.contains("/nonexistent.pem"), "{error}");
        let error = built(&[URL, id, secret], "ssl.truststore.type=\"JKS\"").expect_err("no PEM");
        assert!(error.contains("keytool"), "{error}");
    }
}
