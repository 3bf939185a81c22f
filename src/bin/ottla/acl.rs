//! `ottla acl`: list, add and remove access control entries.

use ottla::admin::Acl as Entry;
use ottla::admin::AclFilter;
use ottla::admin::AclOperation;
use ottla::admin::AclPattern;
use ottla::admin::AclPermission;
use ottla::admin::AclResourceType;
use ottla::admin::Admin;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::operating::Acl;
use crate::args::operating::AclOptions;
use crate::args::operating::AclVerb;
use crate::confirm::confirm;
use crate::connect;
use crate::groups::fail_with;
use crate::say;
use crate::table::Table;
use crate::terminal;

pub(crate) async fn run(common: &Common, options: Acl) -> Outcome {
    match options.verb {
        AclVerb::List(options) => {
            let filters = filters(&options)?;
            print(common, &find(&connect::admin(common).await?, filters).await?)
        }
        AclVerb::Add(options) => {
            let entries = entries(&options)?;
            add(&connect::admin(common).await?, entries).await
        }
        AclVerb::Remove { entries, yes } => {
            let filters = filters(&entries)?;
            remove(common, &connect::admin(common).await?, filters, yes).await
        }
    }
}

/// The type and the name of the resource that the options name.
fn resource(options: &AclOptions) -> Option<(AclResourceType, &str)> {
    if let Some(topic) = &options.topic {
        return Some((AclResourceType::Topic, topic));
    }
    if let Some(group) = &options.group {
        return Some((AclResourceType::Group, group));
    }
    if let Some(id) = &options.transactional_id {
        return Some((AclResourceType::TransactionalId, id));
    }
    options.cluster.then_some((AclResourceType::Cluster, "kafka-cluster"))
}

fn operations(options: &AclOptions) -> Result<Vec<AclOperation>, Failure> {
    Ok(options.operation.iter().map(|text| text.parse()).collect::<Result<Vec<_>, ottla::Error>>()?)
}

/// One filter for each operation, or one.
fn filters(options: &AclOptions) -> Result<Vec<AclFilter>, Failure> {
    let mut filter = AclFilter::all();
    if let Some((kind, name)) = resource(options) {
        filter = filter.resource_type(kind).resource(name);
    }
    if options.prefixed {
        filter = filter.pattern(AclPattern::Prefixed);
    }
    if options.applying {
        filter = filter.pattern(AclPattern::Match);
    }
    if let Some(principal) = &options.principal {
        filter = filter.principal(principal);
    }
    if let Some(host) = &options.host {
        filter = filter.host(host);
    }
    if options.deny {
        filter = filter.permission(AclPermission::Deny);
    }
    let operations = operations(options)?;
    if operations.is_empty() {
        return Ok(vec![filter]);
    }
    Ok(operations.into_iter().map(|operation| filter.clone().operation(operation)).collect())
}

/// One entry for each operation.
fn entries(options: &AclOptions) -> Result<Vec<Entry>, Failure> {
    let missing = |what: &str| Failure::Usage(format!("an entry needs {what}; see ottla acl add --help"));
    if options.applying {
        return Err(Failure::Usage("--applying finds entries: it cannot be added".to_owned()));
    }
    let principal = options.principal.as_ref().ok_or_else(|| missing("--principal User:NAME"))?;
    let (kind, name) = resource(options).ok_or_else(|| missing("--topic, --group, --transactional-id or --cluster"))?;
    let operations = operations(options)?;
    if operations.is_empty() {
        return Err(missing("--operation"));
    }
    let entry = |operation| {
        let made = if options.deny { Entry::deny(principal, operation) } else { Entry::allow(principal, operation) };
        let made = made.on(kind, name).from_host(options.host.as_deref().unwrap_or("*"));
        if options.prefixed { made.prefixed() } else { made }
    };
    Ok(operations.into_iter().map(entry).collect())
}

/// The entries that match any of the filters, sorted, each once.
async fn find(admin: &Admin, filters: Vec<AclFilter>) -> Result<Vec<Entry>, Failure> {
    let mut found = Vec::new();
    for filter in filters {
        found.extend(admin.describe_acls(filter).await?);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn print(common: &Common, entries: &[Entry]) -> Outcome {
    let mut table = Table::new(&["PRINCIPAL", "PERMISSION", "OPERATION", "RESOURCE", "NAME", "PATTERN", "HOST"]);
    for entry in entries {
        let Entry { resource_type, resource, pattern, principal, host, operation, permission, .. } = entry;
        if common.json {
            say(json!({
                "principal": principal, "permission": permission.to_string(), "operation": operation.to_string(),
                "resource": resource_type.to_string(), "name": resource, "pattern": pattern.to_string(), "host": host,
            }))?;
        }
        table.add([
            principal.clone(),
            permission.to_string(),
            operation.to_string(),
            resource_type.to_string(),
            resource.clone(),
            pattern.to_string(),
            host.clone(),
        ]);
    }
    if common.json { Ok(()) } else { Ok(table.print()?) }
}

async fn add(admin: &Admin, entries: Vec<Entry>) -> Outcome {
    let mut failed = Vec::new();
    for (entry, added) in admin.create_acls(entries).await {
        match added {
            Ok(()) => terminal::note(format_args!("added: {entry}")),
            Err(error) => failed.push(format!("{entry}: {}", crate::describe(&error))),
        }
    }
    fail_with(failed.into_iter())
}

/// Removes exactly the entries that it has shown.
async fn remove(common: &Common, admin: &Admin, filters: Vec<AclFilter>, yes: bool) -> Outcome {
    let entries = find(admin, filters).await?;
    if entries.is_empty() {
        return Err(Failure::Failed("no entry matches; `ottla acl list` shows all".to_owned()));
    }
    print(common, &entries)?;
    confirm(yes, &format!("Remove {}?", count(entries.len())))?;
    let mut failed = Vec::new();
    for (_, deleted) in admin.delete_acls(entries.into_iter().map(AclFilter::from)).await {
        for (entry, outcome) in deleted? {
            match outcome {
                Ok(()) => terminal::note(format_args!("removed: {entry}")),
                Err(error) => failed.push(format!("{entry}: {}", crate::describe(&error))),
            }
        }
    }
    fail_with(failed.into_iter())
}

fn count(entries: usize) -> String {
    if entries == 1 { "this entry".to_owned() } else { format!("these {entries} entries") }
}
