//! Makes a client from the options that every command shares.

use ottla::admin::Admin;
use ottla::client::Client;
use ottla::config::Properties;
use ottla::config::keys;

use crate::Failure;
use crate::args::Common;
use crate::properties_file;

/// The properties given with `-F`, those given with `-X`, and the brokers given with `-b`. Later ones win.
pub(crate) fn properties(common: &Common) -> Result<Properties, Failure> {
    let mut properties = Properties::new();
    common.properties_files.iter().try_for_each(|file| properties_file::read(file, &mut properties))?;
    for pair in common.properties.iter().filter(|pair| *pair != "dump") {
        let (key, value) = pair.split_once('=').ok_or_else(|| no_value(pair))?;
        properties.set_from(key.trim(), value.trim(), "-X")?;
    }
    match common.brokers.as_deref() {
        Some("env:") => properties.set_from("bootstrap.servers", &brokers_of_environment()?, "KAFKA_BROKERS")?,
        Some(brokers) => properties.set_from("bootstrap.servers", brokers, "-b")?,
        None => {}
    }
    Ok(properties)
}

/// The environment names brokers only where the user says so: a variable that somebody forgot sends no record anywhere.
fn brokers_of_environment() -> Result<String, Failure> {
    let brokers = std::env::var("KAFKA_BROKERS").ok().filter(|brokers| !brokers.trim().is_empty());
    brokers.ok_or_else(|| Failure::Usage("-b env: KAFKA_BROKERS is not set: export it as HOST:PORT".to_owned()))
}

/// Shows only the part that looks like a name: the rest may be a password.
fn no_value(pair: &str) -> Failure {
    let name: String = pair.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    Failure::Usage(format!("-X {name}: write it as KEY=VALUE; -X list prints all keys"))
}

/// Connects to the brokers named by `-b` or `-X bootstrap.servers=…`.
pub(crate) async fn client(properties: &Properties) -> Result<Client, Failure> {
    if properties.get("bootstrap.servers").is_none() {
        return Err(Failure::Usage(
            "no brokers: name them with -b HOST:PORT, or with -b env: in KAFKA_BROKERS".to_owned(),
        ));
    }
    Ok(Client::from_properties(properties).await?)
}

/// Administrates the cluster that the common options name.
pub(crate) async fn admin(common: &Common) -> Result<Admin, Failure> {
    Ok(client(&properties(common)?).await?.admin())
}

/// The value of a property: the one that was set, or the default.
pub(crate) fn value<'p>(properties: &'p Properties, name: &str) -> Option<&'p str> {
    properties.get(name).or_else(|| keys().find(|key| key.name == name)?.defaults().here)
}

/// Splits `NAME=VALUE` as `-H` and `--config` take it.
pub(crate) fn pair<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=').ok_or_else(|| Failure::Usage(format!("{option} {text}: write it as NAME=VALUE")))
}
