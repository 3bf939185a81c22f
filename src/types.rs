//! Types that every layer shares: topics, partitions, epochs, sequences and producer identities, with their rules.
//!
//! Offsets, partition indexes and broker ids are plain integers, as in every Kafka API: their only rule is "not negative", which is
//! checked where they come from the wire or from a caller. Values with more rules have a type.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

/// The longest time that anything is waited for, ten years: some clocks cannot express a moment that is further off.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A duration as a user gives it, cut to [`LONGEST`], so that it can be added to an `Instant`: `Instant + Duration::MAX` panics.
pub(crate) fn bounded(duration: Duration) -> Duration {
    duration.min(LONGEST)
}

/// Collects into a map or a set, one item after the other.
///
/// `collect` sorts the items before it builds a map, and each type has a compiled copy of that.
pub(crate) fn inserted<T, C: Default + Extend<T>>(items: impl IntoIterator<Item = T>) -> C {
    let mut all = C::default();
    all.extend(items);
    all
}

/// A time in milliseconds since 1970, from a number or from a [`SystemTime`].
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use ottla::types::Timestamp;
///
/// assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500)), Timestamp(1_500));
/// assert_eq!(Timestamp::from(1_500), Timestamp(1_500));
/// assert_eq!(Timestamp(1_500).time(), SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time of the system's clock. A time that the system cannot represent is the beginning of 1970.
    pub fn time(self) -> SystemTime {
        let distance = Duration::from_millis(self.0.unsigned_abs());
        let time = if self.0 < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        };
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl From<i64> for Timestamp {
    fn from(millis: i64) -> Self {
        Self(millis)
    }
}

impl From<SystemTime> for Timestamp {
    /// Whole milliseconds. A time before 1970 is negative, and no record can have it.
    fn from(time: SystemTime) -> Self {
        Self(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            // Also a fraction of a millisecond before 1970 is before 1970.
            Err(before) => 0_i64.checked_sub_unsigned(ceil_millis(before.duration())).unwrap_or(i64::MIN),
        })
    }
}

fn ceil_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A topic's name, cheap to clone.
///
/// Any text can be one, since brokers have the last word; [`TopicName::problem`] applies their rules.
///
/// ```
/// use ottla::types::TopicName;
///
/// let name = TopicName::from("events");
/// assert_eq!(&*name, "events");
/// assert_eq!(TopicName::problem("events"), None);
/// assert_eq!(TopicName::problem(".."), Some("it cannot be \".\" or \"..\""));
/// ```
// Defaults share one allocation: responses that identify topics by id have no names.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The longest name a broker accepts, in bytes (`Topic.MAX_NAME_LENGTH`).
    pub const LEN_MAX: usize = 249;

    /// Returns the rule that `name` breaks as a topic name, if any (`Topic.validate`).
    pub fn problem(name: &str) -> Option<&'static str> {
        if name.is_empty() {
            return Some("it is empty");
        }
        if name == "." || name == ".." {
            return Some("it cannot be \".\" or \"..\"");
        }
        if name.len() > Self::LEN_MAX {
            return Some("it is longer than 249 characters");
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !name.bytes().all(legal) {
            return Some("it has a character other than ASCII letters, digits, '.', '_' and '-'");
        }
        None
    }
}

impl From<&str> for TopicName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for TopicName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl Deref for TopicName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id a topic got when it was created (KIP-516). A topic that was deleted and recreated has another one.
///
/// ```
/// use ottla::types::TopicId;
///
/// assert!(TopicId::default().is_zero());
/// assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w", "as Kafka's own tools print it");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// The absence of an id: topics of brokers before 2.8 have none.
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this is the absence of an id.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for TopicId {
    /// Kafka's own spelling: URL-safe base64 without padding, 22 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = u128::from_be_bytes(self.0);
        for position in 0..22_u32 {
            // The last character carries only two bits of the id, at its upper end.
            let index = if position == 21 { (bits & 0b11) << 4 } else { (bits >> (122 - 6 * position)) & 0x3f };
            let letter = ALPHABET[usize::try_from(index).expect("six bits fit")];
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One partition of one topic.
///
/// ```
/// use ottla::types::TopicPartition;
///
/// let partition = TopicPartition::new("events", 3);
/// assert_eq!(partition.to_string(), "events[3]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's index in it, from zero.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition of a topic.
    pub fn new(topic: impl Into<TopicName>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// The number of times that a partition's leader has changed. It only grows for one topic id (KIP-320).
///
/// The wire's −1 is `Option::None` here:
///
/// ```
/// use ottla::types::LeaderEpoch;
///
/// assert_eq!(LeaderEpoch::from_wire(-1), None);
/// assert!(LeaderEpoch::from_wire(4) < LeaderEpoch::from_wire(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// Reads an epoch from its wire form; a negative number means that there is none.
    pub fn from_wire(epoch: i32) -> Option<Self> {
        (epoch >= 0).then_some(Self(epoch))
    }

    /// Returns the wire form of an epoch or of its absence.
    pub fn to_wire(epoch: Option<Self>) -> i32 {
        epoch.map_or(-1, |epoch| epoch.0)
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a batch's first record among all records that a producer identity wrote to a partition.
///
/// It has 31 bits and wraps to zero (`DefaultRecordBatch.incrementSequence`).
///
/// ```
/// use ottla::types::Sequence;
///
/// let last = Sequence::from_wire(i32::MAX).unwrap();
/// assert_eq!(last.advance(1), Sequence::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u32);

impl Sequence {
    /// The sequence of the first batch under an identity.
    pub const ZERO: Self = Self(0);

    /// Reads a sequence from its wire form; a negative number means that there is none.
    pub fn from_wire(sequence: i32) -> Option<Self> {
        u32::try_from(sequence).ok().map(Self)
    }

    /// The wire form of the sequence.
    pub fn to_wire(self) -> i32 {
        i32::try_from(self.0).expect("31 bits fit")
    }

    /// The sequence after `records` more records.
    pub fn advance(self, records: u32) -> Self {
        Self(self.0.wrapping_add(records) & 0x7fff_ffff)
    }
}

/// The identity of an idempotent producer: an id, and an epoch that fences older uses of the id.
///
/// ```
/// use ottla::types::ProducerIdentity;
///
/// let identity = ProducerIdentity { id: 4000, epoch: 0 };
/// assert_eq!(identity.next_epoch(), Some(ProducerIdentity { id: 4000, epoch: 1 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerIdentity {
    /// The id, assigned by a broker.
    pub id: i64,
    /// The number of times that the id was renewed.
    pub epoch: i16,
}

impl ProducerIdentity {
    /// The same id with the next epoch, or `None` if epochs have run out and a new id is needed (KIP-360).
    ///
    /// The last epoch is never used, as in `TransactionManager.isEpochExhausted`.
    pub fn next_epoch(self) -> Option<Self> {
        (self.epoch < i16::MAX - 1).then(|| Self { id: self.id, epoch: self.epoch + 1 })
    }
}

/// A duration in milliseconds, as requests carry it. The longest one that they can carry is about 24 days.
pub(crate) fn millis_i32(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// As [`millis_i32`], as requests carry it in `int64`.
pub(crate) fn millis_i64(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A mechanism of SASL that proves a password without sending it (RFC 5802, RFC 7677).
///
/// ```
/// use ottla::types::ScramMechanism;
///
/// assert_eq!("scram-sha-256".parse(), Ok(ScramMechanism::Sha256));
/// assert_eq!(ScramMechanism::Sha512.to_string(), "SCRAM-SHA-512");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramMechanism {
    /// The mechanism of this number (KIP-554).
    pub(crate) fn from_wire(number: i8) -> Option<Self> {
        match number {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(crate) fn to_wire(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The bytes of its hash.
    #[cfg(feature = "scram")]
    pub(crate) fn hash_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for ScramMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        })
    }
}

/// A text that names no SCRAM mechanism.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMechanism(String);

impl fmt::Display for UnknownMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no mechanism: give SCRAM-SHA-256 or SCRAM-SHA-512", self.0)
    }
}

impl std::error::Error for UnknownMechanism {}

impl FromStr for ScramMechanism {
    type Err = UnknownMechanism;

    /// Its name in any case.
    fn from_str(text: &str) -> Result<Self, UnknownMechanism> {
        let named = |mechanism: &Self| mechanism.to_string().eq_ignore_ascii_case(text);
        [Self::Sha256, Self::Sha512].into_iter().find(named).ok_or_else(|| UnknownMechanism(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_wraps_to_zero_after_31_bits() {
        let last = Sequence::from_wire(i32::MAX).expect("not negative");
        assert_eq!(last.advance(1), Sequence::ZERO);
        assert_eq!(Sequence::from_wire(i32::MAX - 2).expect("not negative").advance(5).to_wire(), 2);
    }

    #[test]
    fn epochs_run_out_one_before_the_largest() {
        assert_eq!(ProducerIdentity { id: 7, epoch: i16::MAX - 1 }.next_epoch(), None);
        assert_eq!(ProducerIdentity { id: 7, epoch: 3 }.next_epoch(), Some(ProducerIdentity { id: 7, epoch: 4 }));
    }

    #[test]
    fn time_before_1970_is_negative_and_extremes_are_cut() {
        let before = |nanos| SystemTime::UNIX_EPOCH - Duration::from_nanos(nanos);
        assert_eq!([before(1), before(1_000_000), before(1_000_001)].map(Timestamp::from), [-1, -1, -2].map(Timestamp));
        assert_eq!(Timestamp(-1).time(), before(1_000_000));
        for extreme in [i64::MIN, i64::MAX] {
            let time = Timestamp(extreme).time();
            assert!(time == SystemTime::UNIX_EPOCH || Timestamp::from(time) == Timestamp(extreme), "{extreme}");
        }
    }

    #[test]
    fn topic_id_prints_as_in_java() {
        // org.apache.kafka.common.Uuid: METADATA_TOPIC_ID is (0, 1).
        let mut one = [0; 16];
        one[15] = 1;
        assert_eq!(TopicId(one).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn topic_names_are_checked_by_the_brokers_rules() {
        assert_eq!(TopicName::problem("a.b_c-9"), None);
        for bad in ["", ".", "..", "a b", "ä", &"x".repeat(250)] {
            assert!(TopicName::problem(bad).is_some(), "{bad}");
        }
    }
}
