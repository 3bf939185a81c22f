//! The formats that members of a consumer group exchange through its coordinator (KIP-54, KIP-429, KIP-792, KIP-881).
//!
//! Coordinators do not read these bytes, so they may be anything. Versions after the last one are read as the last one, as in Java
//! (`ConsumerProtocol`): later versions only append fields.

use std::collections::HashMap;

use bytes::Bytes;

use super::buf::COST_MAX;
use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// The last version of both formats, which is also the one that Java writes.
pub const VERSION: i16 = 3;

/// Partitions of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic: TopicName,
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    /// The fewest bytes on the wire: an empty name and no partition.
    const MIN: usize = 2 + 4;

    /// Groups partitions by topic. Topics are in the order of their first partition, as in Java.
    pub fn group(partitions: &[TopicPartition]) -> Vec<Self> {
        let mut places: HashMap<&TopicName, usize> = HashMap::new();
        let mut topics: Vec<Self> = Vec::new();
        for TopicPartition { topic, partition } in partitions {
            let place = *places.entry(topic).or_insert_with(|| {
                topics.push(Self { topic: topic.clone(), partitions: Vec::new() });
                topics.len() - 1
            });
            topics[place].partitions.push(*partition);
        }
        topics
    }

    /// Returns each partition with its topic, in the same order.
    pub fn flatten(topics: &[Self]) -> Vec<TopicPartition> {
        let mut partitions = Vec::with_capacity(topics.iter().map(|topic| topic.partitions.len()).sum());
        for Self { topic, partitions: numbers } in topics {
            partitions.extend(numbers.iter().map(|partition| TopicPartition::new(topic.clone(), *partition)));
        }
        partitions
    }

    fn read_all(reader: &mut Reader) -> Result<Vec<Self>, DecodeError> {
        reader.array(Self::MIN, |reader| Ok(Self { topic: reader.topic()?, partitions: reader.i32s()? }))
    }

    fn write_all(topics: &[Self], out: &mut Chunks) {
        out.put_array(topics, |out, Self { topic, partitions }| {
            out.put_string(topic);
            out.put_array(partitions, |out, partition| out.put_i32(*partition));
        });
    }
}

const _: () = assert!(size_of::<TopicPartitions>() <= COST_MAX * TopicPartitions::MIN, "a topic takes too much memory");
const _: () = assert!(size_of::<TopicName>() <= COST_MAX * 2, "a name takes too much memory");

/// The topics that a member wants, and the partitions that it has (`ConsumerProtocolSubscription.json`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub topics: Vec<TopicName>,
    /// The assignor's own data.
    pub user_data: Option<Bytes>,
    /// The partitions that it had not given up when it joined; from version 1 on.
    pub owned: Vec<TopicPartitions>,
    /// The generation in which it got them; from version 2 on.
    pub generation: Option<i32>,
    /// The rack it runs in; from version 3 on.
    pub rack: Option<Box<str>>,
}

impl Subscription {
    /// Reads a version and the subscription of that version. Bytes after it are ignored.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let (mut reader, version) = versioned(bytes)?;
        let topics = reader.array(2, Reader::topic)?;
        let user_data = reader.nullable_bytes()?;
        let owned = if version >= 1 { TopicPartitions::read_all(&mut reader)? } else { Vec::new() };
        let generation = if version >= 2 { Some(reader.i32()?) } else { None };
        let rack = if version >= 3 { reader.nullable_str()? } else { None };
        Ok(Self {
            topics,
            user_data,
            owned,
            generation: generation.filter(|generation| *generation >= 0),
            rack: rack.filter(|rack| !rack.is_empty()),
        })
    }

    /// Writes a version from 0 to [`VERSION`], without the fields that it lacks.
    pub fn encode(&self, version: i16) -> Bytes {
        let mut out = Chunks::default();
        out.put_i16(version);
        out.put_array(&self.topics, |out, topic| out.put_string(topic));
        put_user_data(&mut out, self.user_data.as_ref());
        if version >= 1 {
            TopicPartitions::write_all(&self.owned, &mut out);
        }
        if version >= 2 {
            out.put_i32(self.generation.unwrap_or(-1));
        }
        if version >= 3 {
            out.put_nullable_string(self.rack.as_deref());
        }
        out.into_bytes()
    }
}

/// The partitions that a member gets (`ConsumerProtocolAssignment.json`). All versions are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    pub partitions: Vec<TopicPartitions>,
    /// The assignor's own data.
    pub user_data: Option<Bytes>,
}

impl Assignment {
    /// Reads a version and the assignment. Bytes after it are ignored.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let (mut reader, _) = versioned(bytes)?;
        Ok(Self { partitions: TopicPartitions::read_all(&mut reader)?, user_data: reader.nullable_bytes()? })
    }

    /// Writes a version from 0 to [`VERSION`].
    pub fn encode(&self, version: i16) -> Bytes {
        let mut out = Chunks::default();
        out.put_i16(version);
        TopicPartitions::write_all(&self.partitions, &mut out);
        put_user_data(&mut out, self.user_data.as_ref());
        out.into_bytes()
    }
}

fn put_user_data(out: &mut Chunks, data: Option<&Bytes>) {
    match data {
        Some(data) => out.put_bytes(Some(&[data])),
        None => out.put_bytes(None),
    }
}

/// Reads the version before the content, which is read as the last version at most.
fn versioned(bytes: Bytes) -> Result<(Reader, i16), DecodeError> {
    let mut reader = Reader::new(bytes, false);
    match reader.i16()? {
        version @ ..0 => Err(DecodeError::Version(version)),
        version => Ok((reader, version.min(VERSION))),
    }
}

/// The user data of the assignor `sticky`: the last assignment of the member (`StickyAssignor`, schemas 0 and 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StickyUserData {
    pub partitions: Vec<TopicPartitions>,
    /// The generation of that assignment. Members before 2.3 do not give it.
    pub generation: Option<i32>,
}

impl StickyUserData {
    /// Reads either schema: nothing in the bytes says which, so data that ends before the generation is of schema 0.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, false);
        Ok(Self { partitions: TopicPartitions::read_all(&mut reader)?, generation: reader.i32().ok() })
    }

    /// Writes schema 1 if there is a generation, and schema 0 otherwise.
    pub fn encode(&self) -> Bytes {
        let mut out = Chunks::default();
        TopicPartitions::write_all(&self.partitions, &mut out);
        if let Some(generation) = self.generation {
            out.put_i32(generation);
        }
        out.into_bytes()
    }
}

/// Reads the user data of `cooperative-sticky`: the generation of the member's last assignment, −1 if it had none.
pub fn decode_generation(bytes: Bytes) -> Result<i32, DecodeError> {
    Reader::new(bytes, false).i32()
}

/// Writes the user data of `cooperative-sticky`.
pub fn encode_generation(generation: i32) -> Bytes {
    Bytes::copy_from_slice(&generation.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, partitions: &[i32]) -> TopicPartitions {
        TopicPartitions { topic: name.into(), partitions: partitions.to_vec() }
    }

    fn whole() -> Subscription {
        Subscription {
            topics: vec!["a".into(), "b".into()],
            user_data: Some(Bytes::from_static(b"own")),
            owned: vec![topic("a", &[0, 2])],
            generation: Some(7),
            rack: Some("r1".into()),
        }
    }

    #[test]
    fn each_version_keeps_the_fields_it_has() {
        let kept = |version| Subscription::decode(whole().encode(version)).expect("a valid subscription");
        assert_eq!(kept(3), whole());
        assert_eq!(kept(2), Subscription { rack: None, ..whole() });
        assert_eq!(kept(1), Subscription { rack: None, generation: None, ..whole() });
        assert_eq!(kept(0), Subscription { rack: None, generation: None, owned: Vec::new(), ..whole() });
    }

    #[test]
    fn later_version_is_read_as_the_last_one() {
        let mut bytes = whole().encode(VERSION).to_vec();
        bytes[1] = 9;
        bytes.extend_from_slice(b"a field of version 9");
        assert_eq!(Subscription::decode(bytes.into()), Ok(whole()));
        let assignment = Assignment { partitions: vec![topic("a", &[1])], user_data: None };
        let mut bytes = assignment.encode(VERSION).to_vec();
        bytes[0] = 0x7f;
        assert_eq!(Assignment::decode(bytes.into()), Ok(assignment));
    }

    #[test]
    fn negative_version_is_refused() {
        let bytes = Bytes::from_static(&[0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Subscription::decode(bytes.clone()), Err(DecodeError::Version(-1)));
        assert_eq!(Assignment::decode(bytes), Err(DecodeError::Version(-1)));
    }

    #[test]
    fn absent_generation_and_empty_rack_are_none() {
        let absent = Subscription { generation: None, rack: Some("".into()), ..whole() };
        assert_eq!(Subscription::decode(absent.encode(3)), Ok(Subscription { rack: None, ..absent }));
    }

    #[test]
    fn partitions_are_grouped_by_the_first_of_each_topic() {
        let partitions = [("b", 1), ("a", 0), ("b", 0)].map(|(topic, partition)| TopicPartition::new(topic, partition));
        let grouped = TopicPartitions::group(&partitions);
        assert_eq!(grouped, [topic("b", &[1, 0]), topic("a", &[0])]);
        let flat = [("b", 1), ("b", 0), ("a", 0)].map(|(topic, partition)| TopicPartition::new(topic, partition));
        assert_eq!(TopicPartitions::flatten(&grouped), flat);
    }

    #[test]
    fn sticky_user_data_without_a_generation_is_schema_0() {
        let data = StickyUserData { partitions: vec![topic("a", &[3])], generation: None };
        assert_eq!(StickyUserData::decode(data.encode()), Ok(data.clone()));
        let data = StickyUserData { generation: Some(-1), ..data };
        assert_eq!(StickyUserData::decode(data.encode()), Ok(data));
    }
}
