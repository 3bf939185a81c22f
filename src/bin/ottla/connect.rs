//! Makes a client from the options that every command shares.

use ottla::client::Client;
use ottla::config::Properties;

use crate::Failure;
use crate::args::Common;

/// The properties given with `-X`, and the brokers given with `-b`.
pub(crate) fn properties(common: &Common) -> Result<Properties, Failure> {
    let mut properties = Properties::new();
    for pair in &common.properties {
        let (key, value) = pair.split_once('=').ok_or_else(|| no_value(pair))?;
        properties.set(key.trim(), value.trim())?;
    }
    if let Some(brokers) = &common.brokers {
        properties.set("bootstrap.servers", brokers)?;
    }
    Ok(properties)
}

/// Shows only the part that looks like a name: the rest may be a password.
fn no_value(pair: &str) -> Failure {
    let name: String = pair.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    Failure::Usage(format!("-X {name}: write it as KEY=VALUE"))
}

/// Connects to the brokers named by `-b` or `-X bootstrap.servers=…`.
pub(crate) async fn client(properties: &Properties) -> Result<Client, Failure> {
    if properties.get("bootstrap.servers").is_none() {
        return Err(Failure::Usage("no brokers: name them with -b HOST:PORT".to_owned()));
    }
    Ok(Client::from_properties(properties).await?)
}

/// Splits `NAME=VALUE` as `-H` and `--config` take it.
pub(crate) fn pair<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=').ok_or_else(|| Failure::Usage(format!("{option} {text}: write it as NAME=VALUE")))
}
