//! Quotas of users, clients and addresses (KIP-546).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use super::Admin;
use super::items::accepted;
use super::items::check_text;
use super::items::left_out;
use super::items::of_valid;
use crate::error::Error;
use crate::wire::message as m;

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// The holder of a quota: a user, a client id, both, or an address. Each is a name, or the default of all without one of their own.
///
/// ```
/// use ottla::admin::QuotaEntity;
///
/// let alice_with_any_client = QuotaEntity::new().user("alice").default_client_id();
/// assert_eq!(alice_with_any_client.to_string(), "client-id <default>, user alice");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaEntity(BTreeMap<String, Option<String>>);

impl QuotaEntity {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, kind: &str, name: Option<String>) -> Self {
        self.0.insert(kind.to_owned(), name);
        self
    }

    /// This user.
    pub fn user(self, name: impl Into<String>) -> Self {
        self.with(USER, Some(name.into()))
    }

    /// All users without a quota of their own.
    pub fn default_user(self) -> Self {
        self.with(USER, None)
    }

    /// Clients of this id (`client.id`).
    pub fn client_id(self, id: impl Into<String>) -> Self {
        self.with(CLIENT_ID, Some(id.into()))
    }

    /// All client ids without a quota of their own.
    pub fn default_client_id(self) -> Self {
        self.with(CLIENT_ID, None)
    }

    /// Clients that connect from this address (KIP-612).
    pub fn ip(self, address: impl Into<String>) -> Self {
        self.with(IP, Some(address.into()))
    }

    /// All addresses without a quota of their own.
    pub fn default_ip(self) -> Self {
        self.with(IP, None)
    }

    /// Its parts: `user`, `client-id` or `ip`, each with its name; `None` is the default.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(kind, name)| (&**kind, name.as_deref()))
    }

    fn check(&self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Err(Error::config("a quota needs a user, a client id or an address"));
        }
        self.0.iter().try_for_each(|(kind, name)| check_text(kind, name.as_deref().unwrap_or_default()))
    }

    fn from_parts<'a>(mut parts: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut entity = Self::new();
        while let (Some(kind), name) = (parts.next(), parts.next()) {
            entity.0.insert(kind.unwrap_or_default().to_owned(), name.flatten().map(str::to_owned));
        }
        entity
    }

    /// The type and the name of each part, one after the other.
    fn texts(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().flat_map(|(kind, name)| [Some(&**kind), name.as_deref()])
    }
}

impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, name)) in self.parts().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {}", name.unwrap_or("<default>"))?;
        }
        Ok(())
    }
}

/// Which quotas to describe. Kinds of which nothing is said match entities with and without them.
///
/// ```
/// use ottla::admin::QuotaFilter;
///
/// let of_alice = QuotaFilter::all().user("alice");
/// let of_single_users = QuotaFilter::all().any_user().strict();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaFilter {
    components: BTreeMap<&'static str, (i8, Option<String>)>,
    strict: bool,
}

/// The numbers of the three ways to match.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

impl QuotaFilter {
    /// Every quota.
    pub fn all() -> Self {
        Self::default()
    }

    fn with(mut self, kind: &'static str, match_kind: i8, name: Option<String>) -> Self {
        self.components.insert(kind, (match_kind, name));
        self
    }

    /// Only quotas of this user.
    pub fn user(self, name: impl Into<String>) -> Self {
        self.with(USER, EXACT, Some(name.into()))
    }

    /// Only the default of users.
    pub fn default_user(self) -> Self {
        self.with(USER, DEFAULT, None)
    }

    /// Only quotas of users, whatever their names.
    pub fn any_user(self) -> Self {
        self.with(USER, ANY, None)
    }

    /// Only quotas of this client id.
    pub fn client_id(self, id: impl Into<String>) -> Self {
        self.with(CLIENT_ID, EXACT, Some(id.into()))
    }

    /// Only the default of client ids.
    pub fn default_client_id(self) -> Self {
        self.with(CLIENT_ID, DEFAULT, None)
    }

    /// Only quotas of client ids, whatever they are.
    pub fn any_client_id(self) -> Self {
        self.with(CLIENT_ID, ANY, None)
    }

    /// Only quotas of this address.
    pub fn ip(self, address: impl Into<String>) -> Self {
        self.with(IP, EXACT, Some(address.into()))
    }

    /// Only the default of addresses.
    pub fn default_ip(self) -> Self {
        self.with(IP, DEFAULT, None)
    }

    /// Only quotas of addresses, whatever they are.
    pub fn any_ip(self) -> Self {
        self.with(IP, ANY, None)
    }

    /// Leaves out entities that have parts of other kinds.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

/// A change of the quotas of one entity.
///
/// ```
/// use ottla::admin::QuotaChange;
/// use ottla::admin::QuotaEntity;
///
/// let change = QuotaChange::of(QuotaEntity::new().user("alice"))
///     .set("producer_byte_rate", 1_048_576.0)
///     .remove("consumer_byte_rate");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaChange {
    entity: QuotaEntity,
    /// The new value of each quota; `None` removes it.
    values: BTreeMap<String, Option<f64>>,
}

impl QuotaChange {
    /// No change yet.
    pub fn of(entity: QuotaEntity) -> Self {
        Self { entity, values: BTreeMap::new() }
    }

    /// Sets a quota: `producer_byte_rate` and `consumer_byte_rate` in bytes a second, `request_percentage`,
    /// `controller_mutation_rate` in partitions a second, `connection_creation_rate` of addresses in connections a second.
    pub fn set(mut self, key: impl Into<String>, value: f64) -> Self {
        self.values.insert(key.into(), Some(value));
        self
    }

    /// Removes a quota, so that the default applies.
    pub fn remove(mut self, key: impl Into<String>) -> Self {
        self.values.insert(key.into(), None);
        self
    }

    /// The entity whose quotas change.
    pub fn entity(&self) -> &QuotaEntity {
        &self.entity
    }

    fn check(&self) -> Result<(), Error> {
        self.entity.check()?;
        self.values.keys().try_for_each(|key| check_text("quota", key))
    }

    fn to_wire(&self) -> m::QuotaChange {
        let operation = |(key, value): (&String, &Option<f64>)| m::QuotaOperation {
            key: key.clone(),
            value: value.unwrap_or_default().to_bits().cast_signed(),
            remove: value.is_none(),
        };
        m::QuotaChange {
            entity: self.entity.texts().collect(),
            operations: self.values.iter().map(operation).collect(),
        }
    }
}

impl Admin {
    /// The quotas that match a filter, by entity: the values by their keys. Any broker answers (API DescribeClientQuotas, Kafka 2.6).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::QuotaFilter;
    ///
    /// for (entity, quotas) in admin.describe_quotas(QuotaFilter::all().user("alice")).await? {
    ///     println!("{entity}: {quotas:?}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn describe_quotas(
        &self,
        filter: QuotaFilter,
    ) -> Result<BTreeMap<QuotaEntity, BTreeMap<String, f64>>, Error> {
        let names = filter.components.iter().filter_map(|(kind, (_, name))| Some((*kind, name.as_deref()?)));
        names.into_iter().try_for_each(|(kind, name)| check_text(kind, name))?;
        let component = |(kind, (match_kind, name)): (&str, (i8, Option<String>))| m::QuotaFilter {
            entity_kind: kind.to_owned(),
            match_kind,
            name,
        };
        let request = m::DescribeClientQuotasRequest {
            components: filter.components.into_iter().map(component).collect(),
            strict: filter.strict,
        };
        let response = self.cluster.call_any(request, self.deadline()).await?;
        accepted(response.error, "could not describe quotas", response.error_message.as_deref())?;
        let mut quotas: BTreeMap<QuotaEntity, BTreeMap<String, f64>> = BTreeMap::new();
        for entry in response.entries.into_iter().flatten() {
            let value = |value: m::QuotaValue| (value.key.into(), f64::from_bits(value.value.cast_unsigned()));
            let entity = QuotaEntity::from_parts(entry.entity.iter());
            quotas.entry(entity).or_default().extend(entry.values.into_iter().map(value));
        }
        Ok(quotas)
    }

    /// Changes quotas. Each entity has an outcome of its own, in the order of the call. An entity may be there once; later changes of it
    /// are refused.
    ///
    /// Requests go to the controller (API AlterClientQuotas, Kafka 2.6). Brokers follow a moment later. If the response to a change was
    /// lost, the errors say that its outcome is unknown (`is_written`); it can be repeated without harm.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::QuotaChange;
    /// use ottla::admin::QuotaEntity;
    ///
    /// let slow = QuotaChange::of(QuotaEntity::new().user("batch")).set("producer_byte_rate", 1_048_576.0);
    /// for (change, outcome) in admin.alter_quotas([slow]).await {
    ///     outcome?;
    ///     println!("changed the quotas of {}", change.entity());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn alter_quotas(
        &self,
        changes: impl IntoIterator<Item = QuotaChange>,
    ) -> Vec<(QuotaChange, Result<(), Error>)> {
        let request = |changes: &[&QuotaChange], _| m::AlterClientQuotasRequest {
            entries: changes.iter().map(|change| change.to_wire()).collect(),
            validate_only: false,
        };
        let outcomes = |changes: &[&QuotaChange], response: m::AlterClientQuotasResponse| {
            let mut found: BTreeMap<QuotaEntity, m::ChangedQuota> = BTreeMap::new();
            for entry in response.entries {
                found.entry(QuotaEntity::from_parts(entry.entity.iter())).or_insert(entry);
            }
            let outcome = |change: &&QuotaChange| {
                let failed = format!("could not change the quotas of {}", change.entity);
                let entry = found.get(&change.entity).ok_or_else(|| left_out(&failed))?;
                accepted(entry.error, &failed, entry.error_message.as_deref())
            };
            changes.iter().map(outcome).collect()
        };
        let mut seen = BTreeSet::new();
        let check = |change: &QuotaChange| {
            if !seen.insert(change.entity.clone()) {
                return Err(Error::config(format!("{} is there twice: put its changes into one", change.entity)));
            }
            change.check()
        };
        let alter = async |changes: Vec<QuotaChange>| self.each_at_controller(&changes, request, outcomes).await;
        of_valid(changes.into_iter().collect(), check, alter).await
    }
}
