//! `ottla configs`: describe and alter.

use ottla::admin::Admin;
use ottla::admin::ConfigChange;
use ottla::admin::ConfigEntry;
use ottla::admin::ConfigQuery;
use ottla::admin::ConfigResource;
use ottla::admin::ConfigSource;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::admin::AlterConfigs;
use crate::args::admin::Configs;
use crate::args::admin::ConfigsVerb;
use crate::args::admin::Resource;
use crate::connect;
use crate::groups::fail_with;
use crate::say;
use crate::table::Table;
use crate::terminal;

pub(crate) async fn run(common: &Common, options: Configs) -> Outcome {
    match options.verb {
        ConfigsVerb::Describe { kind, names, all } => {
            let resources = names.iter().map(|name| resource(kind, name)).collect::<Result<Vec<_>, _>>()?;
            describe(common, &admin(common).await?, resources, all).await
        }
        ConfigsVerb::Alter(options) => {
            let changes = options.names.iter().map(|name| change(&options, name)).collect::<Result<Vec<_>, _>>()?;
            alter(&admin(common).await?, changes, options.dry_run).await
        }
    }
}

async fn admin(common: &Common) -> Result<Admin, Failure> {
    Ok(connect::client(&connect::properties(common)?).await?.admin())
}

fn resource(kind: Resource, name: &str) -> Result<ConfigResource, Failure> {
    let id = || {
        let wrong = || Failure::Usage(format!("broker {name}: give its id; `ottla cluster` has the ids"));
        name.parse::<i32>().map_err(|_| wrong())
    };
    Ok(match kind {
        Resource::Topic => ConfigResource::topic(name),
        Resource::Broker if name == "default" => ConfigResource::BrokerDefaults,
        Resource::Broker => ConfigResource::Broker(id()?),
        Resource::BrokerLoggers => ConfigResource::BrokerLoggers(id()?),
        Resource::Group => ConfigResource::Group(name.to_owned()),
        Resource::ClientMetrics => ConfigResource::ClientMetrics(name.to_owned()),
    })
}

/// The kind and the name of a resource, as on the command line.
fn label(resource: &ConfigResource) -> (&'static str, String) {
    match resource {
        ConfigResource::Topic(name) => ("topic", name.to_string()),
        ConfigResource::Broker(id) => ("broker", id.to_string()),
        ConfigResource::BrokerDefaults => ("broker", "default".to_owned()),
        ConfigResource::BrokerLoggers(id) => ("broker-loggers", id.to_string()),
        ConfigResource::Group(name) => ("group", name.clone()),
        ConfigResource::ClientMetrics(name) => ("client-metrics", name.clone()),
        other => ("resource", format!("{other:?}")),
    }
}

async fn describe(common: &Common, admin: &Admin, resources: Vec<ConfigResource>, all: bool) -> Outcome {
    let mut failed = Vec::new();
    let mut table = Table::new(&["RESOURCE", "NAME", "SETTING", "VALUE", "SOURCE", "READ-ONLY"]);
    for (resource, entries) in admin.describe_configs(ConfigQuery::new(resources)).await {
        let (kind, name) = label(&resource);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                failed.push(crate::describe(&error));
                continue;
            }
        };
        for entry in entries.iter().filter(|entry| all || is_own(&resource, entry)) {
            let value = if entry.sensitive { "(secret)".to_owned() } else { entry.value.clone().unwrap_or_default() };
            let source = source(entry.source);
            if common.json {
                say(json!({
                    "resource": kind, "name": name, "setting": entry.name, "value": entry.value, "source": source,
                    "read_only": entry.read_only, "sensitive": entry.sensitive,
                }))?;
            }
            let read_only = if entry.read_only { "yes" } else { "no" };
            table.add([kind.to_owned(), name.clone(), entry.name.clone(), value, source, read_only.to_owned()]);
        }
    }
    if !common.json {
        table.print()?;
    }
    fail_with(failed.into_iter())
}

/// Whether the entry was set for this resource, as `kafka-configs` shows them without `--all`.
fn is_own(resource: &ConfigResource, entry: &ConfigEntry) -> bool {
    let own = match resource {
        ConfigResource::Topic(_) => ConfigSource::Topic,
        ConfigResource::Broker(_) => ConfigSource::DynamicBroker,
        ConfigResource::BrokerDefaults => ConfigSource::DynamicDefaultBroker,
        ConfigResource::Group(_) => ConfigSource::Group,
        ConfigResource::ClientMetrics(_) => ConfigSource::ClientMetrics,
        _ => return true,
    };
    entry.source == own
}

fn source(source: ConfigSource) -> String {
    match source {
        ConfigSource::Topic => "topic".to_owned(),
        ConfigSource::DynamicBroker => "broker".to_owned(),
        ConfigSource::DynamicDefaultBroker => "all brokers".to_owned(),
        ConfigSource::StaticBroker => "file".to_owned(),
        ConfigSource::Default => "default".to_owned(),
        ConfigSource::DynamicBrokerLogger => "logger".to_owned(),
        ConfigSource::ClientMetrics => "client metrics".to_owned(),
        ConfigSource::Group => "group".to_owned(),
        other => format!("{other:?}"),
    }
}

fn change(options: &AlterConfigs, name: &str) -> Result<ConfigChange, Failure> {
    if [&options.set, &options.delete, &options.append, &options.subtract].iter().all(|list| list.is_empty()) {
        return Err(Failure::Usage("no change: give --set, --delete, --append or --subtract".to_owned()));
    }
    let mut change = ConfigChange::new(resource(options.kind, name)?);
    for setting in &options.set {
        let (key, value) = connect::pair("--set", setting)?;
        change = change.set(key, value);
    }
    for key in &options.delete {
        change = change.delete(key.as_str());
    }
    for setting in &options.append {
        let (key, value) = connect::pair("--append", setting)?;
        change = change.append(key, value);
    }
    for setting in &options.subtract {
        let (key, value) = connect::pair("--subtract", setting)?;
        change = change.subtract(key, value);
    }
    Ok(change)
}

async fn alter(admin: &Admin, changes: Vec<ConfigChange>, dry_run: bool) -> Outcome {
    let outcomes = if dry_run { admin.validate_configs(changes).await } else { admin.alter_configs(changes).await };
    let done = if dry_run { "dry run: the brokers accept the change of" } else { "changed" };
    let mut failed = Vec::new();
    for (resource, outcome) in outcomes {
        let (kind, name) = label(&resource);
        match outcome {
            Ok(()) => terminal::note(format_args!("{done} {kind} {name}")),
            Err(error) => failed.push(crate::describe(&error)),
        }
    }
    fail_with(failed.into_iter())
}
