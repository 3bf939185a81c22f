//! Access control entries: list, add, delete.

use std::fmt;
use std::str::FromStr;

use super::Admin;
use super::items::InOrder;
use super::items::accepted;
use super::items::check_text;
use super::items::left_out;
use super::items::of_valid;
use super::refused;
use crate::error::Error;
use crate::wire::message as m;

/// An enum with the numbers of one of Java's, and `Unknown` for all others.
macro_rules! numbered {
    ($(#[$attr:meta])* $name:ident: $what:literal { $($(#[$doc:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// A number that this release does not know.
            Unknown(i8),
        }

        impl $name {
            pub(super) fn from_wire(number: i8) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    number => Self::Unknown(number),
                }
            }

            /// Refuses `Unknown`: a broker ends the connection of a client that sends one.
            fn check(self) -> Result<(), Error> {
                if let Self::Unknown(number) = self {
                    return Err(Error::config(format!("{number} is not {}", $what)));
                }
                Ok(())
            }

            fn to_wire(self) -> i8 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Unknown(number) => number,
                }
            }
        }

        /// Kafka's name of it.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.pad($text),)*
                    Self::Unknown(number) => f.pad(&format!("unknown ({number})")),
                }
            }
        }

        /// Kafka's name, in any case, with or without `_` and `-`.
        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
                let texts = [$($text),*];
                $(if plain(text) == plain($text) {
                    return Ok(Self::$variant);
                })*
                Err(Error::config(format!("{text:?} is not {}: give one of {}", $what, texts.join(", "))))
            }
        }
    };
}

numbered! {
    /// A type of resource that entries are about (`org.apache.kafka.common.resource.ResourceType`).
    ///
    /// ```
    /// use ottla::admin::AclResourceType;
    ///
    /// assert_eq!("transactional-id".parse::<AclResourceType>()?, AclResourceType::TransactionalId);
    /// # Ok::<(), ottla::Error>(())
    /// ```
    AclResourceType: "a type of resource" {
        /// A topic.
        Topic = 2 "Topic",
        /// A group.
        Group = 3 "Group",
        /// The cluster, whose name is `kafka-cluster`.
        Cluster = 4 "Cluster",
        /// A transactional id.
        TransactionalId = 5 "TransactionalId",
        /// A delegation token.
        DelegationToken = 6 "DelegationToken",
        /// A user, on whose behalf tokens are created.
        User = 7 "User",
    }
}

numbered! {
    /// How the name of an entry's resource is compared (`org.apache.kafka.common.resource.PatternType`).
    AclPattern: "a type of pattern" {
        /// In a filter: literal, prefixed or wildcard, whatever applies to a resource of this name.
        Match = 2 "Match",
        /// The whole name; `*` stands for every name.
        Literal = 3 "Literal",
        /// The beginning of the name.
        Prefixed = 4 "Prefixed",
    }
}

numbered! {
    /// An operation that an entry allows or denies (`org.apache.kafka.common.acl.AclOperation`).
    #[allow(missing_docs, reason = "Java's names of operations")]
    AclOperation: "an operation" {
        All = 2 "All",
        Read = 3 "Read",
        Write = 4 "Write",
        Create = 5 "Create",
        Delete = 6 "Delete",
        Alter = 7 "Alter",
        Describe = 8 "Describe",
        ClusterAction = 9 "ClusterAction",
        DescribeConfigs = 10 "DescribeConfigs",
        AlterConfigs = 11 "AlterConfigs",
        IdempotentWrite = 12 "IdempotentWrite",
        CreateTokens = 13 "CreateTokens",
        DescribeTokens = 14 "DescribeTokens",
        TwoPhaseCommit = 15 "TwoPhaseCommit",
    }
}

numbered! {
    /// Whether an entry allows or denies (`org.apache.kafka.common.acl.AclPermissionType`).
    AclPermission: "a permission" {
        /// Denies the operation, whatever other entries allow.
        Deny = 2 "Deny",
        /// Allows the operation.
        Allow = 3 "Allow",
    }
}

/// The number of Java's enums that matches anything in a filter.
const ANY: i8 = 1;

/// The name of the resource of type [`Cluster`](AclResourceType::Cluster).
const CLUSTER: &str = "kafka-cluster";

/// An access control entry: a principal may, or may not, carry out an operation on a resource from a host.
///
/// ```
/// use ottla::admin::Acl;
/// use ottla::admin::AclOperation;
///
/// let read = Acl::allow("User:alice", AclOperation::Read).on_topic("orders");
/// let write = Acl::allow("User:etl", AclOperation::Write).on_topic("etl-").prefixed().from_host("10.0.0.7");
/// assert_eq!(read.to_string(), "User:alice may Read Topic orders from *");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Acl {
    /// The type of the resource.
    pub resource_type: AclResourceType,
    /// The name of the resource; `*` stands for every name.
    pub resource: String,
    /// How the name is compared.
    pub pattern: AclPattern,
    /// The principal, as `User:alice`; `User:*` stands for everybody.
    pub principal: String,
    /// The address from which the principal connects; `*` stands for every address.
    pub host: String,
    /// The operation.
    pub operation: AclOperation,
    /// Whether it is allowed or denied.
    pub permission: AclPermission,
}

impl Acl {
    fn new(principal: String, operation: AclOperation, permission: AclPermission) -> Self {
        Self {
            resource_type: AclResourceType::Cluster,
            resource: CLUSTER.to_owned(),
            pattern: AclPattern::Literal,
            principal,
            host: "*".to_owned(),
            operation,
            permission,
        }
    }

    /// Allows the principal, as `User:alice`, an operation on the cluster from every host.
    pub fn allow(principal: impl Into<String>, operation: AclOperation) -> Self {
        Self::new(principal.into(), operation, AclPermission::Allow)
    }

    /// As [`Self::allow`], and denies it.
    pub fn deny(principal: impl Into<String>, operation: AclOperation) -> Self {
        Self::new(principal.into(), operation, AclPermission::Deny)
    }

    /// The resource, instead of the cluster.
    pub fn on(mut self, resource_type: AclResourceType, name: impl Into<String>) -> Self {
        (self.resource_type, self.resource) = (resource_type, name.into());
        self
    }

    /// The resource is this topic.
    pub fn on_topic(self, name: impl Into<String>) -> Self {
        self.on(AclResourceType::Topic, name)
    }

    /// The resource is this group.
    pub fn on_group(self, name: impl Into<String>) -> Self {
        self.on(AclResourceType::Group, name)
    }

    /// All resources whose names begin with the given one (KIP-290).
    pub fn prefixed(mut self) -> Self {
        self.pattern = AclPattern::Prefixed;
        self
    }

    /// Only from this address, instead of every one.
    pub fn from_host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Refuses an entry that no broker can store, and one that a request would cut.
    fn check(&self) -> Result<(), Error> {
        let texts = [("resource", &self.resource), ("principal", &self.principal), ("host", &self.host)];
        texts.into_iter().try_for_each(|(name, text)| check_text(name, text))?;
        self.resource_type.check()?;
        self.pattern.check()?;
        self.operation.check()?;
        self.permission.check()?;
        if self.pattern == AclPattern::Match {
            return Err(Error::config("an entry is Literal or Prefixed: Match is for filters"));
        }
        if !self.principal.contains(':') {
            let text = format!("the principal {:?} has no type: write it as User:NAME", self.principal);
            return Err(Error::config(text));
        }
        Ok(())
    }

    fn to_wire(&self) -> m::AclBinding {
        m::AclBinding {
            resource_kind: self.resource_type.to_wire(),
            resource_name: self.resource.as_str().into(),
            pattern: self.pattern.to_wire(),
            principal: self.principal.as_str().into(),
            host: self.host.as_str().into(),
            operation: self.operation.to_wire(),
            permission: self.permission.to_wire(),
        }
    }

    fn from_wire(binding: m::AclBinding) -> Self {
        Self {
            resource_type: AclResourceType::from_wire(binding.resource_kind),
            resource: binding.resource_name.into(),
            pattern: AclPattern::from_wire(binding.pattern),
            principal: binding.principal.into(),
            host: binding.host.into(),
            operation: AclOperation::from_wire(binding.operation),
            permission: AclPermission::from_wire(binding.permission),
        }
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may = if self.permission == AclPermission::Deny { "may not" } else { "may" };
        let beginning = if self.pattern == AclPattern::Prefixed { "*" } else { "" };
        let Self { principal, operation, resource_type, resource, host, .. } = self;
        write!(f, "{principal} {may} {operation} {resource_type} {resource}{beginning} from {host}")
    }
}

/// Which entries to describe or to delete. Whatever is not said matches everything.
///
/// ```
/// use ottla::admin::AclFilter;
/// use ottla::admin::AclPattern;
/// use ottla::admin::AclResourceType;
///
/// let of_alice = AclFilter::all().principal("User:alice");
/// let that_apply_to_orders = AclFilter::all().resource_type(AclResourceType::Topic).resource("orders").pattern(AclPattern::Match);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AclFilter {
    resource_type: Option<AclResourceType>,
    resource: Option<String>,
    pattern: Option<AclPattern>,
    principal: Option<String>,
    host: Option<String>,
    operation: Option<AclOperation>,
    permission: Option<AclPermission>,
}

impl AclFilter {
    /// Every entry.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only entries for resources of this type.
    pub fn resource_type(mut self, resource_type: AclResourceType) -> Self {
        self.resource_type = Some(resource_type);
        self
    }

    /// Only entries with this name of a resource; see [`Self::pattern`].
    pub fn resource(mut self, name: impl Into<String>) -> Self {
        self.resource = Some(name.into());
        self
    }

    /// Only entries of this pattern. [`AclPattern::Match`] finds all that apply to a resource of the name.
    pub fn pattern(mut self, pattern: AclPattern) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// Only entries of this principal, as `User:alice`.
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// Only entries for this address.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Only entries for this operation. [`AclOperation::All`] finds only entries with that operation.
    pub fn operation(mut self, operation: AclOperation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only entries with this permission.
    pub fn permission(mut self, permission: AclPermission) -> Self {
        self.permission = Some(permission);
        self
    }

    fn check(&self) -> Result<(), Error> {
        let texts = [("resource", &self.resource), ("principal", &self.principal), ("host", &self.host)];
        let given = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        given.into_iter().try_for_each(|(name, text)| check_text(name, text))?;
        self.resource_type.map_or(Ok(()), AclResourceType::check)?;
        self.pattern.map_or(Ok(()), AclPattern::check)?;
        self.operation.map_or(Ok(()), AclOperation::check)?;
        self.permission.map_or(Ok(()), AclPermission::check)
    }

    fn to_wire(&self) -> m::AclFilter {
        m::AclFilter {
            resource_kind: self.resource_type.map_or(ANY, AclResourceType::to_wire),
            resource_name: self.resource.clone(),
            pattern: self.pattern.map_or(ANY, AclPattern::to_wire),
            principal: self.principal.clone(),
            host: self.host.clone(),
            operation: self.operation.map_or(ANY, AclOperation::to_wire),
            permission: self.permission.map_or(ANY, AclPermission::to_wire),
        }
    }
}

/// Exactly this entry.
impl From<Acl> for AclFilter {
    fn from(acl: Acl) -> Self {
        Self {
            resource_type: Some(acl.resource_type),
            resource: Some(acl.resource),
            pattern: Some(acl.pattern),
            principal: Some(acl.principal),
            host: Some(acl.host),
            operation: Some(acl.operation),
            permission: Some(acl.permission),
        }
    }
}

impl Admin {
    /// The access control entries that match a filter, sorted. Any broker answers (API DescribeAcls).
    ///
    /// Fails with [`SECURITY_DISABLED`](crate::error::Code::SecurityDisabled) if the brokers have no authorizer.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::AclFilter;
    ///
    /// for acl in admin.describe_acls(AclFilter::all().principal("User:alice")).await? {
    ///     println!("{acl}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn describe_acls(&self, filter: AclFilter) -> Result<Vec<Acl>, Error> {
        filter.check()?;
        let request = m::DescribeAclsRequest { filter: filter.to_wire() };
        let response = self.cluster.call_any(request, self.deadline()).await?;
        accepted(response.error, "could not describe access control entries", response.error_message.as_deref())?;
        let mut acls: Vec<Acl> = response.resources.into_iter().flat_map(entries).collect();
        acls.sort();
        Ok(acls)
    }

    /// Adds access control entries. Each has an outcome of its own, in the order of the call. One that exists is added with success.
    ///
    /// Requests go to the controller (API CreateAcls). The authorizer of a broker learns of an entry a moment later. If the response to
    /// a change was lost, the errors say that its outcome is unknown (`is_written`); it can be repeated without harm.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::Acl;
    /// use ottla::admin::AclOperation;
    ///
    /// let read = Acl::allow("User:alice", AclOperation::Read);
    /// for (acl, created) in admin.create_acls([read.clone().on_topic("orders"), read.on_group("billing")]).await {
    ///     created?;
    ///     println!("added: {acl}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn create_acls(&self, acls: impl IntoIterator<Item = Acl>) -> Vec<(Acl, Result<(), Error>)> {
        let request = |acls: &[&Acl], _| {
            let bindings = acls.iter().map(|acl| acl.to_wire()).collect();
            m::CreateAclsRequest { bindings }
        };
        let outcomes = |acls: &[&Acl], response: m::CreateAclsResponse| {
            let failed = "could not add the access control entry";
            let outcome = |one: m::CreatedAcl| accepted(one.error, failed, one.error_message.as_deref());
            in_order(acls.len(), response.results.into_iter().map(outcome), failed)
        };
        let create = async |acls: Vec<Acl>| self.each_at_controller(&acls, request, outcomes).await;
        of_valid(acls.into_iter().collect(), Acl::check, create).await
    }

    /// Deletes the access control entries that match each filter. Returns the entries for each filter, each with an outcome of its
    /// own. An entry that several filters match may be returned for each.
    ///
    /// Requests go to the controller (API DeleteAcls). If the response to a change was lost, the errors say that its outcome is unknown
    /// (`is_written`).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::AclFilter;
    ///
    /// for (_, deleted) in admin.delete_acls([AclFilter::all().principal("User:alice")]).await {
    ///     for (acl, outcome) in deleted? {
    ///         outcome?;
    ///         println!("deleted: {acl}");
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn delete_acls(
        &self,
        filters: impl IntoIterator<Item = AclFilter>,
    ) -> Vec<(AclFilter, Result<DeletedAcls, Error>)> {
        let request = |filters: &[&AclFilter], _| {
            let filters = filters.iter().map(|filter| filter.to_wire()).collect();
            m::DeleteAclsRequest { filters }
        };
        let outcomes = |filters: &[&AclFilter], response: m::DeleteAclsResponse| {
            in_order(filters.len(), response.results.into_iter().map(deleted), DELETE_FAILED)
        };
        let delete = async |filters: Vec<AclFilter>| self.each_at_controller(&filters, request, outcomes).await;
        of_valid(filters.into_iter().collect(), AclFilter::check, delete).await
    }
}

/// The entries that matched a filter, each with its outcome. Returned by [`Admin::delete_acls`].
pub type DeletedAcls = Vec<(Acl, Result<(), Error>)>;

const DELETE_FAILED: &str = "could not delete access control entries";

fn entries(resource: m::AclResource) -> Vec<Acl> {
    let m::AclResource { kind, name, pattern, entries } = resource;
    let entry = |entry: m::AclEntry| Acl {
        resource_type: AclResourceType::from_wire(kind),
        resource: name.clone().into(),
        pattern: AclPattern::from_wire(pattern),
        principal: entry.principal.into(),
        host: entry.host.into(),
        operation: AclOperation::from_wire(entry.operation),
        permission: AclPermission::from_wire(entry.permission),
    };
    entries.into_iter().map(entry).collect()
}

fn deleted(result: m::DeletedAcls) -> Result<DeletedAcls, Error> {
    if let Some(code) = result.error {
        return Err(refused(code, DELETE_FAILED, result.error_message.as_deref()));
    }
    let one = |one: m::DeletedAcl| {
        let outcome = accepted(one.error, "could not delete the access control entry", one.error_message.as_deref());
        (Acl::from_wire(one.binding), outcome)
    };
    Ok(result.matching.into_iter().map(one).collect())
}

/// As many outcomes as items. A response that lacks some gives an error to each of those.
fn in_order<T>(items: usize, outcomes: impl Iterator<Item = Result<T, Error>>, failed: &str) -> InOrder<T> {
    let missing = std::iter::repeat_with(|| Err(left_out(failed)));
    outcomes.chain(missing).take(items).collect()
}
