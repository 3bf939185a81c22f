//! The layouts of responses in Kafka's schemas, and a walk over a frame that follows them.
//!
//! `kafka-protocol`, which gives the second opinion, reserves memory for whatever a count declares: for nine hostile bytes it
//! reserves hundreds of gigabytes, and the process aborts. The walk refuses a count, a length or a tagged field that the rest of
//! the frame cannot hold. It shares no code with the decoders that it helps to check.

use ottla::internals::wire::Api;

/// A field and the versions that have it.
struct Field {
    shape: Shape,
    first: i16,
    last: i16,
}

enum Shape {
    /// A fixed number of bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// An array, null or not, of structs.
    Array(&'static [Field]),
    /// An array, null or not, of numbers with this many bytes each.
    Numbers(usize),
    /// A tagged field: its tag and its whole content. `kafka-protocol` reads known ones by their type, whatever size they declare,
    /// and would read the rest of their content as the fields after them.
    Tagged(u32, &'static [Field]),
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
        since(5, Tagged(0, &[always(Fixed(2))])),
    ])),
];

const DELETE_TOPICS: &[Field] =
    &[since(1, Fixed(4)), always(Array(&[always(Text), since(6, Fixed(16)), always(Fixed(2)), since(5, Text)]))];

const INIT_PRODUCER_ID: &[Field] = &[always(Fixed(16))];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    since(2, Fixed(4)),
    always(Array(&[always(Text), always(Array(&[always(Fixed(6)), since(1, Fixed(4)), always(Fixed(8))]))])),
];

/// A name and two numbers of two bytes.
const FEATURES: &[Field] = &[always(Array(&[always(Text), always(Fixed(4))]))];

const API_VERSIONS: &[Field] = &[
    always(Fixed(2)),
    always(Array(&[always(Fixed(6))])),
    since(1, Fixed(4)),
    since(3, Tagged(0, FEATURES)),
    since(3, Tagged(1, &[always(Fixed(8))])),
    since(3, Tagged(2, FEATURES)),
    since(3, Tagged(3, &[always(Fixed(1))])),
];

/// The layout of a response, for the crate's second opinion. Responses without one are encoded again instead.
fn layout(api: Api) -> Option<&'static [Field]> {
    match api {
        Api::ApiVersions => Some(API_VERSIONS),
        Api::CreateTopics => Some(CREATE_TOPICS),
        Api::DeleteTopics => Some(DELETE_TOPICS),
        Api::FindCoordinator => Some(FIND_COORDINATOR),
        Api::InitProducerId => Some(INIT_PRODUCER_ID),
        Api::ListOffsets => Some(LIST_OFFSETS),
        Api::Metadata => Some(METADATA),
        Api::OffsetForLeaderEpoch => Some(OFFSET_FOR_LEADER_EPOCH),
        _ => None,
    }
}

/// Whether `api` has a layout here.
pub fn covers(api: Api) -> bool {
    layout(api).is_some()
}

/// Walks over the body of a response of `api` and returns the bytes after it. `None` if the frame cannot hold what it declares.
pub fn walk(api: Api, version: i16, body: &[u8]) -> Option<&[u8]> {
    let mut walk = Walk { rest: body, version, flexible: version >= api.flexible_from() };
    walk.over(layout(api)?)?;
    walk.tags(layout(api)?)?;
    Some(walk.rest)
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

impl<'a> Walk<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn uvarint(&mut self) -> Option<usize> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).ok()?.try_into().ok();
            }
        }
        None
    }

    /// A length, in `classic` bytes or compact; zero for null.
    fn length(&mut self, classic: usize) -> Option<usize> {
        if self.flexible {
            return Some(self.uvarint()?.saturating_sub(1));
        }
        let bytes = self.take(classic)?;
        let negative = bytes[0] & 0x80 != 0;
        let declared = bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        if negative {
            return bytes.iter().all(|byte| *byte == 0xff).then_some(0);
        }
        Some(declared)
    }

    /// A count of elements that have at least `least` bytes each.
    fn count(&mut self, least: usize) -> Option<usize> {
        self.length(4).filter(|count| *count <= self.rest.len() / least)
    }

    fn over(&mut self, layout: &'static [Field]) -> Option<()> {
        for field in present(layout, self.version) {
            match field.shape {
                Fixed(length) => drop(self.take(length)?),
                Text => {
                    let length = self.length(2)?;
                    self.take(length)?;
                }
                Numbers(size) => {
                    let count = self.count(size)?;
                    self.take(count * size)?;
                }
                Array(element) => {
                    for _ in 0..self.count(least(element, self.version, self.flexible))? {
                        self.over(element)?;
                        self.tags(element)?;
                    }
                }
                Tagged(..) => {}
            }
        }
        Some(())
    }

    fn tags(&mut self, layout: &'static [Field]) -> Option<()> {
        let count = if self.flexible { self.uvarint()? } else { 0 };
        if count > self.rest.len() / 2 {
            return None;
        }
        for _ in 0..count {
            let tag = self.uvarint()?;
            let size = self.uvarint()?;
            let mut content = Self { rest: self.take(size)?, ..*self };
            for field in present(layout, self.version) {
                if let Tagged(known, layout) = field.shape
                    && tag == known as usize
                {
                    content.over(layout)?;
                    if !content.rest.is_empty() {
                        return None;
                    }
                }
            }
        }
        Some(())
    }
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
