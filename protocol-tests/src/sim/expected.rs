//! Events that must occur in enough seeds: a fault that never strikes, and a way to recover that is never taken, are not tested.

use std::collections::BTreeMap;

use super::Fault;

/// The events that are missing in 2,000 seeds, or in 500 with a group in each.
pub fn never_happened(counts: &BTreeMap<&'static str, u64>, groups: bool) -> Vec<&'static str> {
    let expected: Vec<&str> = if groups {
        OF_GROUPS.to_vec()
    } else {
        Fault::ALL.iter().map(|fault| fault.name()).chain(RECOVERIES.iter().copied()).collect()
    };
    expected.into_iter().filter(|what| !counts.contains_key(what)).collect()
}

/// Beside the faults, in some thousand seeds.
const RECOVERIES: &[&str] = &[
    "acknowledged",
    "assignment replaced",
    "authenticated",
    "batch split",
    "client refused",
    "commit",
    "commit given up",
    "connection lost",
    "consumer started again",
    "coordinator moved",
    "end reported",
    "error reported",
    "fatal error",
    "fetch session forgotten",
    "foreign abort",
    "foreign commit",
    "idle connection closed",
    "fetch: another epoch",
    "fetch: no such topic",
    "fetch: not the leader",
    "fetch: out of range",
    "in doubt",
    "leader hinted",
    "not written",
    "partition assigned",
    "partition revoked",
    "pause or resume",
    "position validated",
    "producer started again",
    "refused: identity",
    "refused: no such topic",
    "refused: not the leader",
    "refused: out of order",
    "refused: too large",
    "refused without an attempt",
    "renewal failed",
    "request timed out",
    "reset reported",
    "revoked while being read",
    "seek",
    "session ended at the broker",
    "session renewed",
    "set-up timed out",
    "started over from the bootstrap addresses",
    "unreadable",
    "unreadable and overtaken",
    "waited for capacity",
];

/// The same with a group in every seed.
const OF_GROUPS: &[&str] = &[
    "commit by interval",
    "commit failed",
    "commit of the group",
    "commit refused because of the membership",
    "eviction",
    "group joined",
    "member closed",
    "member's life ended",
    "membership error",
    "no poll for a while",
    "partition assigned by the group",
    "partition revoked by the group",
    "partitions lost",
    "process stalled",
    "slow hook",
    "subscription changed",
];
