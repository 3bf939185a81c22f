//! The order in which Java iterates over hash tables, which decides who gets what is left over.

use crate::types::TopicId;

/// Strings, or what has one, in the order of a `HashMap` that grew with them.
pub(super) fn strings<T>(items: &[T], text: impl Fn(&T) -> &str) -> Vec<&T> {
    let capacity = (items.len() * 4).div_ceil(3).max(16).next_power_of_two();
    ordered(items.iter(), capacity, |item| string_hash(text(item)))
}

/// Topics in the order of a `HashSet` that was made of a collection.
pub(super) fn topics<'a>(items: impl ExactSizeIterator<Item = &'a TopicId>) -> Vec<TopicId> {
    let capacity = (items.len() * 4 / 3 + 1).max(16).next_power_of_two();
    ordered(items, capacity, |id| topic_hash(*id)).into_iter().copied().collect()
}

/// Partitions in the order of a `HashSet` that was made of a collection.
pub(super) fn partitions(items: &[i32]) -> Vec<i32> {
    let capacity = (items.len() * 4 / 3 + 1).max(16).next_power_of_two();
    ordered(items.iter(), capacity, |index| index.cast_unsigned()).into_iter().copied().collect()
}

/// Elements by bucket; those of one bucket in the order in which they came.
fn ordered<'a, T>(items: impl Iterator<Item = &'a T>, capacity: usize, hash: impl Fn(&T) -> u32) -> Vec<&'a T> {
    let mask = u32::try_from(capacity - 1).unwrap_or(u32::MAX);
    let mut items: Vec<&T> = items.collect();
    items.sort_by_key(|item| {
        let hash = hash(item);
        (hash ^ (hash >> 16)) & mask
    });
    items
}

/// `String.hashCode`.
fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

/// `Uuid.hashCode`.
fn topic_hash(id: TopicId) -> u32 {
    id.0.chunks_exact(4).fold(0, |hash, word| {
        let word = word.iter().fold(0, |word: u32, byte| word << 8 | u32::from(*byte));
        hash ^ word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        assert_eq!(string_hash("range"), 0x0674_393d);
        assert_eq!(topic_hash(TopicId([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 8])), 15);
    }

    #[test]
    fn elements_come_by_bucket() {
        // "a" is 97 and "q" 113: both fall into bucket 1 of 16; "b" follows.
        let names = ["b".to_owned(), "q".to_owned(), "a".to_owned()];
        let order: Vec<&str> = strings(&names, |name| name).into_iter().map(String::as_str).collect();
        assert_eq!(order, ["q", "a", "b"]);
        assert_eq!(partitions(&[17, 1, 16, 0]), [16, 0, 17, 1]);
    }
}
