//! `ottla quotas`: describe and alter the quotas of users, clients and addresses.

use ottla::admin::QuotaChange;
use ottla::admin::QuotaEntity;
use ottla::admin::QuotaFilter;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::operating::QuotaOf;
use crate::args::operating::Quotas;
use crate::args::operating::QuotasVerb;
use crate::connect;
use crate::say;
use crate::table::Table;
use crate::terminal;

/// The word that stands for all names without a quota of their own.
const DEFAULT: &str = "default:";

pub(crate) async fn run(common: &Common, options: Quotas) -> Outcome {
    match options.verb {
        QuotasVerb::Describe(of) => describe(common, filter(of)).await,
        QuotasVerb::Alter { of, set, remove } => {
            let change = remove.into_iter().fold(QuotaChange::of(entity(of)), QuotaChange::remove);
            let change = set.iter().try_fold(change, |change, text| {
                let (key, value) = connect::pair("--set", text)?;
                let refused = || Failure::Usage(format!("--set {text}: {value:?} is not a number"));
                Ok::<_, Failure>(change.set(key, value.parse().map_err(|_| refused())?))
            })?;
            for (change, outcome) in connect::admin(common).await?.alter_quotas([change]).await {
                outcome?;
                terminal::note(format_args!("changed the quotas of {}", change.entity()));
            }
            Ok(())
        }
    }
}

fn filter(of: QuotaOf) -> QuotaFilter {
    let mut filter = QuotaFilter::all();
    match of.user {
        Some(user) if user == DEFAULT => filter = filter.default_user(),
        Some(user) => filter = filter.user(user),
        None => {}
    }
    match of.client_id {
        Some(id) if id == DEFAULT => filter = filter.default_client_id(),
        Some(id) => filter = filter.client_id(id),
        None => {}
    }
    match of.ip {
        Some(ip) if ip == DEFAULT => filter.default_ip(),
        Some(ip) => filter.ip(ip),
        None => filter,
    }
}

fn entity(of: QuotaOf) -> QuotaEntity {
    let mut entity = QuotaEntity::new();
    match of.user {
        Some(user) if user == DEFAULT => entity = entity.default_user(),
        Some(user) => entity = entity.user(user),
        None => {}
    }
    match of.client_id {
        Some(id) if id == DEFAULT => entity = entity.default_client_id(),
        Some(id) => entity = entity.client_id(id),
        None => {}
    }
    match of.ip {
        Some(ip) if ip == DEFAULT => entity.default_ip(),
        Some(ip) => entity.ip(ip),
        None => entity,
    }
}

async fn describe(common: &Common, filter: QuotaFilter) -> Outcome {
    let mut table = Table::new(&["ENTITY", "QUOTA", "VALUE"]);
    for (entity, quotas) in connect::admin(common).await?.describe_quotas(filter).await? {
        let parts: serde_json::Map<String, serde_json::Value> =
            entity.parts().map(|(kind, name)| (kind.to_owned(), name.unwrap_or("<default>").into())).collect();
        for (quota, value) in quotas {
            if common.json {
                say(json!({ "entity": parts, "quota": quota, "value": value }))?;
            }
            table.add([entity.to_string(), quota, value.to_string()]);
        }
    }
    if common.json { Ok(()) } else { Ok(table.print()?) }
}
