//! The table of a store, and compare-and-set by every store.

use std::time::Duration;

use super::table::Table;
use super::*;

fn key(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn change(partition: i32, offset: i64, expected: Expected) -> Change {
    Change { partition: key(partition), position: Position::from(offset), metadata: String::new(), expected }
}

#[test]
fn expired_offset_is_distinct_from_a_missing_one() {
    let mut table = Table { retention: Some(Duration::from_millis(100)), ..Table::default() };
    table.compare_and_set(1_000, "g", vec![change(0, 5, Expected::Missing)]);
    let found = |table: &Table, now| table.load(now, "g", vec![key(0), key(1)]);
    assert!(matches!(&found(&table, 1_100)[..], [Lookup::Found(stored), Lookup::Missing] if stored.version == 1));
    assert!(
        matches!(&found(&table, 1_101)[..], [Lookup::Expired(stored), Lookup::Missing] if stored.position.offset == 5)
    );
    // A clock that was set back expires nothing.
    assert!(matches!(found(&table, 0)[0], Lookup::Found(_)));
    let outcomes = table.compare_and_set(2_000, "g", vec![change(0, 6, Expected::Missing)]);
    assert!(matches!(&outcomes[..], [Outcome::Conflict(Lookup::Expired(_))]), "{outcomes:?}");
    let outcomes = table.compare_and_set(2_000, "g", vec![change(0, 6, Expected::Version(1))]);
    assert_eq!(outcomes, [Outcome::Stored(2)]);
    table.retention = Some(Duration::MAX);
    assert!(matches!(found(&table, i64::MAX)[0], Lookup::Found(_)));
}

#[test]
fn each_change_is_decided_by_itself_and_each_group_has_its_own_offsets() {
    let mut table = Table::default();
    let first = vec![change(0, 1, Expected::Missing), change(1, 1, Expected::Version(9)), change(2, 1, Expected::Any)];
    let outcomes = table.compare_and_set(0, "g", first);
    assert_eq!(outcomes, [Outcome::Stored(1), Outcome::Conflict(Lookup::Missing), Outcome::Stored(1)]);
    let outcomes = table.compare_and_set(0, "g", vec![change(0, 7, Expected::Any), change(0, 8, Expected::Version(1))]);
    assert!(
        matches!(&outcomes[..], [Outcome::Stored(2), Outcome::Conflict(Lookup::Found(stored))] if stored.version == 2)
    );
    assert_eq!(table.load(0, "h", vec![key(0)]), [Lookup::Missing]);
}
