//! How the types of declared fields are encoded.

use std::marker::PhantomData;

use bytes::Bytes;

use super::buf::COST_MAX;
use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::ProducerIdentity;
use crate::types::TopicId;
use crate::types::TopicName;

/// An encoding that is read. Most types implement it for themselves. A type with several encodings has a type without values for each.
pub(super) trait Read {
    /// The type that is encoded.
    type Value;

    /// The fewest bytes in versions that are not flexible, and in those that are (KIP-482).
    const FEWEST: [usize; 2];
    /// The fewest bytes in any version. Counts of elements are checked against it.
    const MIN: usize = if Self::FEWEST[0] < Self::FEWEST[1] { Self::FEWEST[0] } else { Self::FEWEST[1] };
    /// Whether the elements of every array within take at most [`COST_MAX`] times their fewest bytes. Required of responses.
    const BOUNDED: bool = true;

    fn read(reader: &mut Reader, version: i16) -> Result<Self::Value, DecodeError>;

    /// Reads an array that is not null.
    fn read_array(reader: &mut Reader, version: i16) -> Result<Vec<Self::Value>, DecodeError> {
        reader.array(Self::MIN, |reader| Self::read(reader, version))
    }

    /// Skips a value.
    fn skip(reader: &mut Reader, version: i16) -> Result<(), DecodeError> {
        Self::read(reader, version).map(drop)
    }
}

/// An encoding that is written.
pub(super) trait Write {
    /// The type that is encoded.
    type Value;

    /// Whether a value keeps every field, so that it encodes to the bytes it was decoded from.
    const EXACT: bool = true;

    fn write(value: &Self::Value, out: &mut Chunks, version: i16);
}

/// Types with a method in [`Reader`] and one in [`Chunks`].
macro_rules! primitives {
    ($($type:ty: $classic:literal | $compact:literal, $read:ident, $skip:expr, $write:expr;)*) => {$(
        impl Read for $type {
            type Value = Self;

            const FEWEST: [usize; 2] = [$classic, $compact];

            fn read(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
                reader.$read()
            }

            fn skip(reader: &mut Reader, _: i16) -> Result<(), DecodeError> {
                $skip(reader).map(drop)
            }
        }

        impl Write for $type {
            type Value = Self;

            fn write(value: &Self, out: &mut Chunks, _: i16) {
                $write(out, value);
            }
        }
    )*};
}

primitives! {
    i8: 1 | 1, i8, Reader::i8, |out: &mut Chunks, value: &i8| out.put_i8(*value);
    bool: 1 | 1, bool, Reader::bool, |out: &mut Chunks, value: &bool| out.put_bool(*value);
    i16: 2 | 2, i16, Reader::i16, |out: &mut Chunks, value: &i16| out.put_i16(*value);
    i64: 8 | 8, i64, Reader::i64, |out: &mut Chunks, value: &i64| out.put_i64(*value);
    TopicId: 16 | 16, id, Reader::id, |out: &mut Chunks, value: &TopicId| out.put_id(*value);
    Option<Code>: 2 | 2, code, Reader::code, |out: &mut Chunks, value: &Option<Code>| out.put_code(*value);
    Option<LeaderEpoch>: 4 | 4, epoch, Reader::epoch,
        |out: &mut Chunks, value: &Option<LeaderEpoch>| out.put_epoch(*value);
    String: 2 | 1, string, Reader::skip_string, |out: &mut Chunks, value: &String| out.put_string(value);
    Box<str>: 2 | 1, str, Reader::skip_string, |out: &mut Chunks, value: &str| out.put_string(value);
    TopicName: 2 | 1, topic, Reader::skip_string, |out: &mut Chunks, value: &TopicName| out.put_string(value);
    Bytes: 4 | 1, bytes, Reader::bytes, |out: &mut Chunks, value: &Bytes| out.put_bytes(Some(&[value]));
    Option<String>: 2 | 1, nullable_string, Reader::skip_nullable_string,
        |out: &mut Chunks, value: &Option<String>| out.put_nullable_string(value.as_deref());
    Option<Box<str>>: 2 | 1, nullable_str, Reader::skip_nullable_string,
        |out: &mut Chunks, value: &Option<Box<str>>| out.put_nullable_string(value.as_deref());
}

impl Read for i32 {
    type Value = Self;

    const FEWEST: [usize; 2] = [4, 4];

    fn read(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
        reader.i32()
    }

    fn read_array(reader: &mut Reader, _: i16) -> Result<Vec<Self>, DecodeError> {
        reader.i32s()
    }
}

impl Write for i32 {
    type Value = Self;

    fn write(value: &Self, out: &mut Chunks, _: i16) {
        out.put_i32(*value);
    }
}

/// An id and an epoch, negative if there is no identity.
impl Read for Option<ProducerIdentity> {
    type Value = Self;

    const FEWEST: [usize; 2] = [10, 10];

    fn read(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
        let identity = ProducerIdentity { id: reader.i64()?, epoch: reader.i16()? };
        Ok((identity.id >= 0 && identity.epoch >= 0).then_some(identity))
    }
}

impl Write for Option<ProducerIdentity> {
    type Value = Self;

    const EXACT: bool = false;

    fn write(value: &Self, out: &mut Chunks, _: i16) {
        let (id, epoch) = value.map_or((-1, -1), |identity| (identity.id, identity.epoch));
        out.put_i64(id);
        out.put_i16(epoch);
    }
}

impl<E: Read> Read for Vec<E> {
    type Value = Vec<E::Value>;

    const FEWEST: [usize; 2] = [4, 1];
    const BOUNDED: bool = bounded::<E>(E::MIN);

    fn read(reader: &mut Reader, version: i16) -> Result<Self::Value, DecodeError> {
        E::read_array(reader, version)
    }

    fn skip(reader: &mut Reader, version: i16) -> Result<(), DecodeError> {
        reader.skip_array(E::MIN, |reader| E::skip(reader, version))
    }
}

impl<E: Write> Write for Vec<E> {
    type Value = Vec<E::Value>;

    const EXACT: bool = E::EXACT;

    fn write(value: &Self::Value, out: &mut Chunks, version: i16) {
        write_array::<E>(value, out, version);
    }
}

/// Writes an array that is not null.
pub(super) fn write_array<E: Write>(elements: &[E::Value], out: &mut Chunks, version: i16) {
    out.put_count(Some(elements.len()));
    for element in elements {
        E::write(element, out, version);
    }
}

impl<E: Read> Read for Box<[E]> {
    type Value = Box<[E::Value]>;

    const FEWEST: [usize; 2] = [4, 1];
    const BOUNDED: bool = bounded::<E>(E::MIN);

    fn read(reader: &mut Reader, version: i16) -> Result<Self::Value, DecodeError> {
        E::read_array(reader, version).map(Vec::into_boxed_slice)
    }

    fn skip(reader: &mut Reader, version: i16) -> Result<(), DecodeError> {
        <Vec<E>>::skip(reader, version)
    }
}

impl<E: Write> Write for Box<[E]> {
    type Value = Box<[E::Value]>;

    const EXACT: bool = E::EXACT;

    fn write(value: &Self::Value, out: &mut Chunks, version: i16) {
        write_array::<E>(value, out, version);
    }
}

impl<E: Read> Read for Option<Vec<E>> {
    type Value = Option<Vec<E::Value>>;

    const FEWEST: [usize; 2] = [4, 1];
    const BOUNDED: bool = bounded::<E>(E::MIN);

    fn read(reader: &mut Reader, version: i16) -> Result<Self::Value, DecodeError> {
        reader.nullable_array(E::MIN, |reader| E::read(reader, version))
    }

    fn skip(reader: &mut Reader, version: i16) -> Result<(), DecodeError> {
        reader.skip_nullable_array(E::MIN, |reader| E::skip(reader, version))
    }
}

impl<E: Write> Write for Option<Vec<E>> {
    type Value = Option<Vec<E::Value>>;

    const EXACT: bool = E::EXACT;

    fn write(value: &Self::Value, out: &mut Chunks, version: i16) {
        match value {
            Some(elements) => write_array::<E>(elements, out, version),
            None => out.put_count(None),
        }
    }
}

/// Whether no element takes more than [`COST_MAX`] times its fewest bytes.
const fn bounded<E: Read>(fewest: usize) -> bool {
    size_of::<E::Value>() <= COST_MAX * fewest && E::BOUNDED
}

/// A struct whose fields need no names.
macro_rules! tuples {
    ($(($($name:ident $at:tt),*))*) => {$(
        impl<$($name: Read),*> Read for ($($name,)*) {
            type Value = ($($name::Value,)*);

            const FEWEST: [usize; 2] = [0 $(+ $name::FEWEST[0])*, 1 $(+ $name::FEWEST[1])*];
            const BOUNDED: bool = true $(&& $name::BOUNDED)*;

            fn read(reader: &mut Reader, version: i16) -> Result<Self::Value, DecodeError> {
                let value = ($($name::read(reader, version)?,)*);
                reader.skip_tags()?;
                Ok(value)
            }
        }

        impl<$($name: Write),*> Write for ($($name,)*) {
            type Value = ($($name::Value,)*);

            const EXACT: bool = true $(&& $name::EXACT)*;

            fn write(value: &Self::Value, out: &mut Chunks, version: i16) {
                $($name::write(&value.$at, out, version);)*
                out.put_no_tags();
            }
        }
    )*};
}

tuples! { (A 0, B 1) (A 0, B 1, C 2) }

/// A struct that may be null. A byte before it, negative where it is null, says so.
#[derive(Debug)]
pub(super) struct Nullable<E>(PhantomData<E>);

impl<E: Read> Read for Nullable<E> {
    type Value = Option<E::Value>;

    const FEWEST: [usize; 2] = [1, 1];
    const BOUNDED: bool = E::BOUNDED;

    fn read(reader: &mut Reader, version: i16) -> Result<Self::Value, DecodeError> {
        if reader.i8()? < 0 { Ok(None) } else { E::read(reader, version).map(Some) }
    }
}

impl<E: Write> Write for Nullable<E> {
    type Value = Option<E::Value>;

    const EXACT: bool = E::EXACT;

    fn write(value: &Self::Value, out: &mut Chunks, version: i16) {
        out.put_i8(if value.is_some() { 1 } else { -1 });
        if let Some(value) = value {
            E::write(value, out, version);
        }
    }
}

/// The replica that a request comes from: −1, because a client sends it.
#[derive(Debug)]
pub(super) struct NoReplica;

impl Read for NoReplica {
    type Value = ();

    const FEWEST: [usize; 2] = [4, 4];

    fn read(reader: &mut Reader, _: i16) -> Result<(), DecodeError> {
        reader.i32().map(drop)
    }
}

impl Write for NoReplica {
    type Value = ();

    fn write((): &(), out: &mut Chunks, _: i16) {
        out.put_i32(-1);
    }
}

/// A string, empty where it is null.
#[derive(Debug)]
pub(super) struct OrEmpty;

impl Read for OrEmpty {
    type Value = Box<str>;

    const FEWEST: [usize; 2] = [2, 1];

    fn read(reader: &mut Reader, _: i16) -> Result<Box<str>, DecodeError> {
        Ok(reader.nullable_str()?.unwrap_or_default())
    }
}

impl Write for OrEmpty {
    type Value = Box<str>;

    const EXACT: bool = false;

    fn write(value: &Box<str>, out: &mut Chunks, _: i16) {
        out.put_string(value);
    }
}

/// A string that other versions lack.
#[derive(Debug)]
pub(super) struct NotNull;

impl Read for NotNull {
    type Value = Option<String>;

    const FEWEST: [usize; 2] = [2, 1];

    fn read(reader: &mut Reader, _: i16) -> Result<Option<String>, DecodeError> {
        reader.string().map(Some)
    }
}

impl Write for NotNull {
    type Value = Option<String>;

    fn write(value: &Option<String>, out: &mut Chunks, _: i16) {
        out.put_string(value.as_deref().unwrap_or_default());
    }
}

/// A text that most elements lack, stored behind one pointer. `None` for an empty one.
#[derive(Debug)]
pub(super) struct Message;

impl Read for Message {
    type Value = Option<Box<Box<str>>>;

    const FEWEST: [usize; 2] = [2, 1];

    fn read(reader: &mut Reader, _: i16) -> Result<Self::Value, DecodeError> {
        Ok(reader.nullable_str()?.filter(|text| !text.is_empty()).map(Box::new))
    }
}

impl Write for Message {
    type Value = Option<Box<Box<str>>>;

    const EXACT: bool = false;

    fn write(value: &Self::Value, out: &mut Chunks, _: i16) {
        out.put_nullable_string(value.as_ref().map(|text| &***text));
    }
}

/// A topic of a response whose only content is its partitions.
pub(super) trait Partitioned: Read {
    /// The encoding of a partition.
    type Partition: Read;

    fn has_partitions(topic: &Self::Value) -> bool;
}

/// Topics of a response, in a collection `C`. One without partitions carries no information and is left out: its three bytes in the
/// frame would become a name, an id and a list.
#[derive(Debug)]
pub(super) struct Topics<T, C = Vec<T>>(PhantomData<(T, C)>);

impl<T: Partitioned, C: From<Vec<T::Value>>> Read for Topics<T, C> {
    type Value = C;

    const FEWEST: [usize; 2] = [4, 1];
    const BOUNDED: bool = bounded::<T>(T::MIN + T::Partition::MIN);

    fn read(reader: &mut Reader, version: i16) -> Result<C, DecodeError> {
        let kept = |topic| T::has_partitions(&topic).then_some(topic);
        let read = |reader: &mut Reader| T::read(reader, version).map(kept);
        reader.array_of_kept(T::MIN, T::MIN + T::Partition::MIN, read).map(C::from)
    }
}

impl<T: Write, C: AsRef<[T::Value]>> Write for Topics<T, C> {
    type Value = C;

    const EXACT: bool = false;

    fn write(value: &C, out: &mut Chunks, version: i16) {
        write_array::<T>(value.as_ref(), out, version);
    }
}

/// Elements of which versions before `SINCE` carry one. `Sole` encodes its fields among those of the message.
#[derive(Debug)]
pub(super) struct OneOrSeveral<const SINCE: i16, Sole, E>(PhantomData<(Sole, E)>);

impl<const SINCE: i16, E: Read, Sole: Read<Value = E::Value>> Read for OneOrSeveral<SINCE, Sole, E> {
    type Value = Vec<E::Value>;

    const FEWEST: [usize; 2] = [1, 1];
    const BOUNDED: bool = <Vec<E>>::BOUNDED;

    fn read(reader: &mut Reader, version: i16) -> Result<Self::Value, DecodeError> {
        if version < SINCE { Ok(vec![Sole::read(reader, version)?]) } else { E::read_array(reader, version) }
    }
}

impl<const SINCE: i16, E: Write<Value: Default>, Sole: Write<Value = E::Value>> Write for OneOrSeveral<SINCE, Sole, E> {
    type Value = Vec<E::Value>;

    const EXACT: bool = Sole::EXACT && E::EXACT;

    fn write(value: &Self::Value, out: &mut Chunks, version: i16) {
        if version >= SINCE {
            write_array::<E>(value, out, version);
        } else {
            Sole::write(value.first().unwrap_or(&E::Value::default()), out, version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message as m;

    fn sizes<W: Read>() -> [usize; 2] {
        W::FEWEST
    }

    /// Counted by hand from Kafka's schemas, over the versions that are supported.
    #[test]
    fn smallest_sizes_are_those_of_the_schemas() {
        assert_eq!(sizes::<m::MetadataTopic>(), [8, 10]);
        assert_eq!(sizes::<m::MetadataPartition>(), [18, 18]);
        assert_eq!(sizes::<m::MetadataBroker>(), [10, 11]);
        assert_eq!(sizes::<m::ListedPartition>(), [22, 27]);
        assert_eq!(sizes::<m::EpochEnd>(), [18, 19]);
        assert_eq!(sizes::<m::Created>(), [6, 12]);
        assert_eq!(sizes::<m::DeletedTopic>(), [4, 4]);
        assert_eq!(sizes::<m::Extended>(), [6, 5]);
        assert_eq!(sizes::<m::DescribedPartition>()[1], 20);
        assert_eq!(sizes::<m::FetchedGroup>()[1], 5);
        assert_eq!(sizes::<m::FetchedOffset>(), [16, 20]);
        assert_eq!(m::Coordinator::FEWEST[1], 14);
        assert_eq!(sizes::<m::Feature>()[1], 6);
        assert_eq!(sizes::<m::ConfigEntry>(), [11, 9]);
        assert_eq!(sizes::<(i16, i16, i16)>(), [6, 7]);
    }

    fn is_bounded<W: Read>() -> bool {
        W::BOUNDED
    }

    fn is_exact<W: Write>() -> bool {
        W::EXACT
    }

    #[test]
    fn array_is_bounded_by_the_memory_of_its_elements() {
        assert!(is_bounded::<Vec<i8>>() && is_bounded::<Vec<m::ConfigSynonym>>());
        assert!(!is_bounded::<Vec<Vec<i64>>>(), "24 bytes in memory for one on the wire");
        assert!(!is_bounded::<Vec<(i64, i64, Vec<Vec<i64>>)>>(), "the elements of elements count too");
        assert!(!is_bounded::<Option<Vec<String>>>() && !is_bounded::<Box<[String]>>());
    }

    #[test]
    fn value_is_exact_where_no_field_is_skipped() {
        assert!(is_exact::<m::ConfigEntry>() && is_exact::<m::FetchedOffset>());
        assert!(!is_exact::<m::MetadataTopic>() && is_exact::<Vec<m::Feature>>());
        assert!(!is_exact::<Topics<m::ListedTopic>>());
    }
}
