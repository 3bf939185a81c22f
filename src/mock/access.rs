//! The entries of access control: which are stored, and which of them a filter matches.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;

/// An entry: who may do what to the resources of a pattern, or may not. Enumerations have Kafka's numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) resource_type: i8,
    pub(super) name: String,
    pub(super) pattern: i8,
    pub(super) principal: String,
    pub(super) host: String,
    pub(super) operation: i8,
    pub(super) permission: i8,
}

/// Matches entries. `None` matches everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) resource_type: i8,
    pub(super) name: Option<String>,
    pub(super) pattern: i8,
    pub(super) principal: Option<String>,
    pub(super) host: Option<String>,
    pub(super) operation: i8,
    pub(super) permission: i8,
}

/// The entries of a cluster.
#[derive(Debug, Default)]
pub(super) struct Access {
    entries: BTreeSet<Entry>,
}

impl Access {
    /// Adds an entry, which may be there already (`AclControlManager.validateNewAcl`).
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), (ResponseError, &'static str)> {
        let refuse = |reason| Err((ResponseError::InvalidRequest, reason));
        if entry.resource_type == CLUSTER && entry.name != "kafka-cluster" {
            return refuse("the only resource of the type cluster is kafka-cluster");
        }
        if entry.name.is_empty() {
            return refuse("the resource has no name");
        }
        if !RESOURCES.contains(&entry.resource_type) || ![LITERAL, PREFIXED].contains(&entry.pattern) {
            return refuse("the entry is not for one pattern of resources");
        }
        if !OPERATIONS.contains(&entry.operation) || !PERMISSIONS.contains(&entry.permission) {
            return refuse("the entry is not for one operation");
        }
        self.entries.insert(entry);
        Ok(())
    }

    pub(super) fn matching<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(|entry| filter.matches(entry))
    }

    pub(super) fn remove(&mut self, gone: &[Entry]) {
        self.entries.retain(|entry| !gone.contains(entry));
    }
}

impl Filter {
    /// Whether it has a number that is not Kafka's.
    pub(super) fn is_unknown(&self) -> bool {
        let known = |range: &std::ops::RangeInclusive<i8>, number: i8| number == ANY || range.contains(&number);
        !(known(&RESOURCES, self.resource_type)
            && known(&OPERATIONS, self.operation)
            && known(&PERMISSIONS, self.permission)
            && [ANY, MATCH, LITERAL, PREFIXED].contains(&self.pattern))
    }

    /// As `ResourcePatternFilter.matches` and `AccessControlEntryFilter.matches`.
    fn matches(&self, entry: &Entry) -> bool {
        let fits = |wanted: i8, number: i8| wanted == ANY || wanted == number;
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| *wanted == *text);
        fits(self.resource_type, entry.resource_type)
            && fits(self.operation, entry.operation)
            && fits(self.permission, entry.permission)
            && is(&self.principal, &entry.principal)
            && is(&self.host, &entry.host)
            && self.matches_name(entry)
    }

    fn matches_name(&self, entry: &Entry) -> bool {
        let name = self.name.as_deref();
        match self.pattern {
            // Every pattern that applies to the resource of this name.
            MATCH => name.is_none_or(|name| match entry.pattern {
                PREFIXED => name.starts_with(&entry.name),
                _ => entry.name == name || entry.name == "*",
            }),
            ANY => name.is_none_or(|name| entry.name == name),
            pattern => pattern == entry.pattern && name.is_none_or(|name| entry.name == name),
        }
    }
}

/// The number that matches everything, in each enumeration.
const ANY: i8 = 1;
/// `PatternType`.
const MATCH: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
/// `ResourceType`: from topics to users.
const RESOURCES: std::ops::RangeInclusive<i8> = 2..=7;
const CLUSTER: i8 = 4;
/// `AclOperation`: from all of them to two-phase commit.
const OPERATIONS: std::ops::RangeInclusive<i8> = 2..=15;
/// `AclPermissionType`: deny and allow.
const PERMISSIONS: std::ops::RangeInclusive<i8> = 2..=3;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, pattern: i8) -> Entry {
        Entry {
            resource_type: 2,
            name: name.to_owned(),
            pattern,
            principal: "User:alice".to_owned(),
            host: "*".to_owned(),
            operation: 3,
            permission: 3,
        }
    }

    fn filter(name: Option<&str>, pattern: i8) -> Filter {
        let name = name.map(str::to_owned);
        Filter { resource_type: ANY, name, pattern, principal: None, host: None, operation: ANY, permission: ANY }
    }

    #[test]
    fn patterns_match_literally_by_prefix_and_by_what_applies() {
        let mut access = Access::default();
        for (name, pattern) in [("orders", LITERAL), ("ord", PREFIXED), ("orders", PREFIXED), ("*", LITERAL)] {
            access.add(entry(name, pattern)).expect("it is valid");
        }
        let count = |name: Option<&str>, pattern| access.matching(&filter(name, pattern)).count();
        assert_eq!([LITERAL, PREFIXED, ANY, MATCH].map(|pattern| count(Some("orders"), pattern)), [1, 1, 2, 4]);
        assert_eq!([LITERAL, PREFIXED, ANY, MATCH].map(|pattern| count(None, pattern)), [2, 2, 4, 4]);
        assert_eq!((count(Some("ordinary"), MATCH), count(Some("other"), MATCH)), (2, 1));
    }

    #[test]
    fn entries_that_are_no_single_rule_are_refused() {
        let mut access = Access::default();
        let faults: [fn(&mut Entry); 6] = [
            |entry| entry.name.clear(),
            |entry| entry.resource_type = ANY,
            |entry| entry.resource_type = CLUSTER,
            |entry| entry.pattern = MATCH,
            |entry| entry.operation = ANY,
            |entry| entry.permission = ANY,
        ];
        for fault in faults {
            let mut entry = entry("orders", LITERAL);
            fault(&mut entry);
            assert!(access.add(entry).is_err());
        }
        assert_eq!(access.entries.len(), 0);
    }
}
