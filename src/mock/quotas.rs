//! The quotas of users, client ids and addresses (KIP-546). They are stored, matched, and not enforced.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kafka_protocol::error::ResponseError;

/// The parts of an entity: `user`, `client-id` or `ip`, each with its name; `None` is the default.
pub(super) type Entity = BTreeMap<String, Option<String>>;

/// The name that a part of an entity has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Any name, or the default.
    Any,
    /// This name; `None` is the default.
    Exact(Option<String>),
}

type Refused = (ResponseError, &'static str);

/// The quotas of a cluster.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    stored: BTreeMap<Entity, BTreeMap<String, f64>>,
}

impl Quotas {
    /// The quotas that match (`ClientQuotasImage.describe`). With `strict`, entities have no other parts.
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a BTreeMap<String, Match>,
        strict: bool,
    ) -> impl Iterator<Item = (&'a Entity, &'a BTreeMap<String, f64>)> {
        self.stored.iter().filter(move |(entity, _)| {
            let fits = |(kind, wanted): (&String, &Match)| match (entity.get(kind), wanted) {
                (Some(name), Match::Exact(wanted)) => name == wanted,
                (Some(_), Match::Any) => true,
                (None, _) => false,
            };
            filter.iter().all(fits) && (!strict || filter.len() == entity.len())
        })
    }

    /// Sets values of an entity, or removes those that are `None`.
    pub(super) fn alter(
        &mut self,
        entity: &Entity,
        changes: &BTreeMap<String, Option<f64>>,
        validate_only: bool,
    ) -> Result<(), Refused> {
        let keys = keys(entity)?;
        for (key, value) in changes {
            if let Some(value) = value {
                check(keys, key, *value)?;
            }
        }
        if validate_only {
            return Ok(());
        }
        let values = self.stored.entry(entity.clone()).or_default();
        for (key, value) in changes {
            match value {
                Some(value) => drop(values.insert(key.clone(), *value)),
                None => drop(values.remove(key)),
            }
        }
        if values.is_empty() {
            self.stored.remove(entity);
        }
        Ok(())
    }
}

/// The quotas that an entity can have (`ClientQuotaControlManager.validateEntity`, `configKeysForEntityType`).
fn keys(entity: &Entity) -> Result<&'static [(&'static str, Option<f64>)], Refused> {
    let refuse = |reason| Err((ResponseError::InvalidRequest, reason));
    if entity.is_empty() {
        return refuse("the entity is empty");
    }
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
            return refuse("there is no such kind of entity");
        }
        if name.as_ref().is_some_and(String::is_empty) {
            return refuse("the name is empty");
        }
    }
    match entity.get(IP) {
        Some(_) if entity.len() > 1 => refuse("an address is not combined with a user or a client id"),
        Some(Some(address)) if address != "localhost" && address.parse::<IpAddr>().is_err() => {
            refuse("this is no address")
        }
        Some(_) => Ok(OF_ADDRESSES),
        None => Ok(OF_CLIENTS),
    }
}

/// As `ClientQuotaControlManager.validateQuotaKeyValue`.
fn check(keys: &[(&str, Option<f64>)], key: &str, value: f64) -> Result<(), Refused> {
    let refuse = |reason| Err((ResponseError::InvalidRequest, reason));
    let Some((_, whole_up_to)) = keys.iter().find(|(known, _)| *known == key) else {
        return refuse("the entity has no such quota");
    };
    if value <= 0.0 {
        return refuse("a quota is above 0");
    }
    let Some(limit) = *whole_up_to else { return Ok(()) };
    if value > limit {
        return refuse("the value is too large");
    }
    if (value % 1.0).abs() > 1e-6 {
        return refuse("the value is not a whole number");
    }
    Ok(())
}

pub(super) const USER: &str = "user";
pub(super) const CLIENT_ID: &str = "client-id";
pub(super) const IP: &str = "ip";

/// Quotas with their largest values, where these are whole numbers (`QuotaConfig`).
const OF_CLIENTS: &[(&str, Option<f64>)] = &[
    ("consumer_byte_rate", Some(9_223_372_036_854_775_808.0)),
    ("controller_mutation_rate", None),
    ("producer_byte_rate", Some(9_223_372_036_854_775_808.0)),
    ("request_percentage", None),
];
const OF_ADDRESSES: &[(&str, Option<f64>)] = &[("connection_creation_rate", Some(2_147_483_647.0))];
