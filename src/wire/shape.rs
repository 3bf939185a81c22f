//! Holds a response's counts against its frame before `kafka-protocol` decodes it.
//!
//! That crate reserves room for whatever a count declares: nine hostile bytes ask for hundreds of gigabytes and the process
//! aborts. The layouts here are those of Kafka's schemas; a walk over the frame follows them and refuses a count, a length
//! or a tagged field that the rest of the frame cannot hold. Messages that are coded by hand check as they go.

use bytes::Bytes;

use super::buf::DecodeError;
use super::buf::Reader;
use super::version::Api;

/// A field, and the versions it is in.
struct Field {
    shape: Shape,
    first: i16,
    last: i16,
}

enum Shape {
    /// So many bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// An array, null or not, of structs.
    Array(&'static [Field]),
    /// An array, null or not, of numbers of so many bytes.
    Numbers(usize),
    /// A tagged field by its number, of so many bytes: `kafka-protocol` reads those it knows by their type, whatever size
    /// they declare, and would go on to read their content as what follows them.
    Tagged(u32, usize),
}

use Shape::Array;
use Shape::Fixed;
use Shape::Numbers;
use Shape::Tagged;
use Shape::Text;

const fn since(first: i16, shape: Shape) -> Field {
    Field { shape, first, last: i16::MAX }
}

const fn always(shape: Shape) -> Field {
    since(0, shape)
}

const fn within(first: i16, last: i16, shape: Shape) -> Field {
    Field { shape, first, last }
}

const METADATA: &[Field] = &[
    since(3, Fixed(4)),
    always(Array(&[always(Fixed(4)), always(Text), always(Fixed(4)), since(1, Text)])),
    since(2, Text),
    since(1, Fixed(4)),
    always(Array(&[
        always(Fixed(2)),
        always(Text),
        since(10, Fixed(16)),
        since(1, Fixed(1)),
        always(Array(&[
            always(Fixed(10)),
            since(7, Fixed(4)),
            always(Numbers(4)),
            always(Numbers(4)),
            since(5, Numbers(4)),
        ])),
        since(8, Fixed(4)),
    ])),
    within(8, 10, Fixed(4)),
    since(13, Fixed(2)),
];

const LIST_OFFSETS: &[Field] =
    &[since(2, Fixed(4)), always(Array(&[always(Text), always(Array(&[always(Fixed(22)), since(4, Fixed(4))]))]))];

const FIND_COORDINATOR: &[Field] = &[
    since(1, Fixed(4)),
    within(0, 3, Fixed(2)),
    within(1, 3, Text),
    within(0, 3, Fixed(4)),
    within(0, 3, Text),
    within(0, 3, Fixed(4)),
    since(4, Array(&[always(Text), always(Fixed(4)), always(Text), always(Fixed(6)), always(Text)])),
];

const CREATE_TOPICS: &[Field] = &[
    since(2, Fixed(4)),
    always(Array(&[
        always(Text),
        since(7, Fixed(16)),
        always(Fixed(2)),
        since(1, Text),
        since(5, Fixed(6)),
        since(5, Array(&[always(Text), always(Text), always(Fixed(3))])),
        since(5, Tagged(0, 2)),
    ])),
];

const DELETE_TOPICS: &[Field] =
    &[since(1, Fixed(4)), always(Array(&[always(Text), since(6, Fixed(16)), always(Fixed(2)), since(5, Text)]))];

const INIT_PRODUCER_ID: &[Field] = &[always(Fixed(16))];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    since(2, Fixed(4)),
    always(Array(&[always(Text), always(Array(&[always(Fixed(6)), since(1, Fixed(4)), always(Fixed(8))]))])),
];

const DESCRIBE_CLUSTER: &[Field] = &[
    always(Fixed(6)),
    always(Text),
    since(1, Fixed(1)),
    always(Text),
    always(Fixed(4)),
    always(Array(&[always(Fixed(4)), always(Text), always(Fixed(4)), always(Text), since(2, Fixed(1))])),
    always(Fixed(4)),
];

/// Walks over the body of a response of `api`, refusing what the frame cannot hold.
pub fn check(api: Api, version: i16, body: &Bytes) -> Result<(), DecodeError> {
    let layout = match api {
        Api::Metadata => METADATA,
        Api::ListOffsets => LIST_OFFSETS,
        Api::FindCoordinator => FIND_COORDINATOR,
        Api::CreateTopics => CREATE_TOPICS,
        Api::DeleteTopics => DELETE_TOPICS,
        Api::InitProducerId => INIT_PRODUCER_ID,
        Api::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        Api::DescribeCluster => DESCRIBE_CLUSTER,
        Api::ApiVersions | Api::Produce | Api::Fetch | Api::OffsetCommit | Api::OffsetFetch => return Ok(()),
    };
    let flexible = version >= api.flexible_from();
    walk(layout, version, flexible, &mut Reader::new(body.clone(), flexible))
}

fn walk(layout: &[Field], version: i16, flexible: bool, reader: &mut Reader) -> Result<(), DecodeError> {
    for field in present(layout, version) {
        match field.shape {
            Fixed(length) => reader.skip(length)?,
            Text => reader.skip_text()?,
            Numbers(size) => {
                let count = reader.nullable_count(size)?.unwrap_or(0);
                reader.skip(count * size)?;
            }
            Array(element) => {
                let count = reader.nullable_count(least(element, version, flexible))?.unwrap_or(0);
                for _ in 0..count {
                    walk(element, version, flexible, reader)?;
                }
            }
            Tagged(..) => {}
        }
    }
    reader.tags(|tag, content| {
        let differs =
            |field: &Field| matches!(field.shape, Tagged(known, size) if known == tag && size != content.remaining());
        if present(layout, version).any(differs) { Err(DecodeError::Truncated) } else { Ok(()) }
    })
}

fn present(layout: &[Field], version: i16) -> impl Iterator<Item = &Field> {
    layout.iter().filter(move |field| (field.first..=field.last).contains(&version))
}

/// The fewest bytes an element can occupy.
fn least(layout: &[Field], version: i16, flexible: bool) -> usize {
    let of = |field: &Field| match field.shape {
        Fixed(length) => length,
        Text | Array(_) | Numbers(_) if flexible => 1,
        Text => 2,
        Array(_) | Numbers(_) => 4,
        Tagged(..) => 0,
    };
    present(layout, version).map(of).sum::<usize>() + usize::from(flexible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_would_abort_the_process_are_refused() {
        let four = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]);
        assert!(check(Api::Metadata, 0, &four).is_err());
        let nine = Bytes::from_static(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(check(Api::Metadata, 9, &nine).is_err());
    }

    #[test]
    fn every_prefix_of_large_numbers_is_answered() {
        for api in Api::ALL {
            let (low, high) = api.versions();
            for version in low..=high {
                for length in 0..64 {
                    for fill in [0x7f, 0xff] {
                        let _ = check(api, version, &Bytes::from(vec![fill; length]));
                    }
                }
            }
        }
    }
}
