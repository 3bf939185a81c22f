//! The orders of Java's strings and hash tables, where they decide a result.

use std::cmp::Ordering;

/// Compares strings as `String.compareTo` does: by UTF-16 units, which puts characters beyond U+FFFF before U+E000.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

/// `String.hashCode`.
pub(super) fn hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

/// `TopicPartition.hashCode`, given the hash of the topic's name.
pub(super) fn hash_of_partition(topic: u32, partition: u32) -> u32 {
    31_u32.wrapping_add(partition).wrapping_mul(31).wrapping_add(topic)
}

/// Distinct keys in the order in which a `HashMap` or `HashSet` of default size returns them.
///
/// A bucket keeps the order of insertion, and a table that grows keeps it too. There is one exception: nine or more keys in one bucket
/// of a table of at least 64 become a tree, which changes their order in Java. That happens by intent only, since their hashes must
/// agree in at least six bits.
#[derive(Debug)]
pub(super) struct HashOrder<K> {
    buckets: Vec<Vec<(u32, K)>>,
    len: usize,
}

/// `HashMap.DEFAULT_INITIAL_CAPACITY`.
const BUCKETS_MIN: usize = 16;
/// `HashMap.TREEIFY_THRESHOLD` and `MIN_TREEIFY_CAPACITY`: a bucket longer than this makes a table smaller than that grow.
const BUCKET_MAX: usize = 8;
const BUCKETS_OF_TREES: usize = 64;

impl<K> Default for HashOrder<K> {
    fn default() -> Self {
        Self { buckets: Vec::new(), len: 0 }
    }
}

impl<K: PartialEq> HashOrder<K> {
    /// The keys in this order; `hash` is Java's `hashCode` of a key.
    pub(super) fn sort(keys: impl IntoIterator<Item = K>, hash: impl Fn(&K) -> u32) -> Vec<K> {
        let mut order = Self::default();
        for key in keys {
            order.insert(hash(&key), key);
        }
        order.into_keys()
    }

    /// Adds a key that is not there yet.
    pub(super) fn insert(&mut self, hash: u32, key: K) {
        if self.buckets.is_empty() {
            self.resize(BUCKETS_MIN);
        }
        let spread = spread(hash);
        let bucket = self.bucket(spread);
        self.buckets[bucket].push((spread, key));
        self.len += 1;
        if self.buckets[bucket].len() > BUCKET_MAX && self.buckets.len() < BUCKETS_OF_TREES {
            self.resize(self.buckets.len() * 2);
        }
        if self.is_full() {
            self.resize(self.buckets.len() * 2);
        }
    }

    /// The keys in the order that `computeIfAbsent` gives them: it puts a key before the others of its bucket, and lets the table grow one
    /// key later.
    pub(super) fn sort_computed(keys: impl IntoIterator<Item = K>, hash: impl Fn(&K) -> u32) -> Vec<K> {
        let mut order = Self::default();
        for key in keys {
            if order.buckets.is_empty() {
                order.resize(BUCKETS_MIN);
            } else if order.is_full() {
                order.resize(order.buckets.len() * 2);
            }
            let spread = spread(hash(&key));
            let bucket = order.bucket(spread);
            order.buckets[bucket].insert(0, (spread, key));
            order.len += 1;
            if order.buckets[bucket].len() >= BUCKET_MAX && order.buckets.len() < BUCKETS_OF_TREES {
                order.resize(order.buckets.len() * 2);
            }
        }
        order.into_keys()
    }

    /// Removes a key if it is there.
    pub(super) fn remove(&mut self, hash: u32, key: &K) {
        if self.len == 0 {
            return;
        }
        let bucket = self.bucket(spread(hash));
        let bucket = &mut self.buckets[bucket];
        if let Some(at) = bucket.iter().position(|(_, other)| other == key) {
            bucket.remove(at);
            self.len -= 1;
        }
    }

    /// The first key.
    pub(super) fn first(&self) -> Option<&K> {
        self.buckets.iter().find_map(|bucket| bucket.first()).map(|(_, key)| key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there are more keys than three quarters of the buckets.
    fn is_full(&self) -> bool {
        self.len > self.buckets.len() / 4 * 3
    }

    fn into_keys(self) -> Vec<K> {
        self.buckets.into_iter().flatten().map(|(_, key)| key).collect()
    }

    fn bucket(&self, spread: u32) -> usize {
        spread as usize & (self.buckets.len() - 1)
    }

    fn resize(&mut self, buckets: usize) {
        let old = std::mem::take(&mut self.buckets);
        self.buckets.resize_with(buckets, Vec::new);
        for (spread, key) in old.into_iter().flatten() {
            let bucket = self.bucket(spread);
            self.buckets[bucket].push((spread, key));
        }
    }
}

/// `HashMap.hash`: the upper bits count in small tables too.
fn spread(hash: u32) -> u32 {
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_compare_by_utf16_units() {
        assert_eq!(compare("a", "b"), Ordering::Less);
        assert_eq!(compare("a", "ab"), Ordering::Less);
        // U+1F600 is D83D DE00 in UTF-16, and after U+FFFD in UTF-8.
        assert_eq!(compare("\u{1f600}", "\u{fffd}"), Ordering::Less);
        assert_eq!("\u{1f600}".cmp("\u{fffd}"), Ordering::Greater);
    }

    /// Values printed by Java 17.
    #[test]
    fn hashes_are_those_of_java() {
        assert_eq!(hash(""), 0);
        assert_eq!(hash("Aa"), hash("BB"));
        assert_eq!(hash("consumer-1"), 0xf617_641a);
        assert_eq!(hash("\u{1f600}"), 0x001b_0d63);
        assert_eq!(hash_of_partition(hash("t"), 3), 1170);
    }

    #[test]
    fn keys_are_in_the_order_of_their_buckets_then_of_insertion() {
        let sort = |keys: &[u32]| HashOrder::sort(keys.to_vec(), |key| *key);
        assert_eq!(sort(&[17, 3, 1, 33]), [17, 1, 33, 3]);
        // The thirteenth key makes it 32 buckets.
        assert_eq!(sort(&[17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), [17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(sort(&[17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17]);
    }

    #[test]
    fn long_bucket_makes_a_small_table_grow() {
        let keys: Vec<u32> = (0..9).map(|key| key * 16).collect();
        let grown = HashOrder::sort(keys, |key| *key);
        assert_eq!(grown, [0, 32, 64, 96, 128, 16, 48, 80, 112]);
    }

    #[test]
    fn computed_keys_are_before_older_ones_and_the_table_grows_later() {
        let sort = |keys: &[u32]| HashOrder::sort_computed(keys.to_vec(), |key| *key);
        assert_eq!(sort(&[1, 17, 3, 33]), [33, 17, 1, 3]);
        let thirteen = [1, 17, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(sort(&thirteen), [17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(sort(&[&thirteen[..], &[13]].concat()), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17]);
    }

    #[test]
    fn removed_keys_leave_the_table_as_large_as_it_was() {
        let mut order = HashOrder::default();
        for key in 0..13 {
            order.insert(key, key);
        }
        for key in 0..13 {
            order.remove(key, &key);
        }
        assert!(order.is_empty());
        order.insert(17, 17);
        order.insert(1, 1);
        assert_eq!(order.first(), Some(&1));
    }
}
