//! Limits the memory that a hostile broker can make this process allocate. A test binary of its own, because it counts every
//! allocation.

use bytes::Bytes;
use ottla::internals::wire::Api;
use ottla::internals::wire::Response;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The peak of the bytes that a call allocates.
fn peak_of<T>(call: impl FnOnce() -> T) -> (T, usize) {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let answer = call();
    (answer, HEAP.peak_usage().saturating_sub(before))
}

/// The number one more than `count`, as flexible versions write a length.
fn compact(count: usize) -> Vec<u8> {
    let mut rest = count + 1;
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(rest & 0x7f).expect("seven bits");
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A response body with one array as long as it goes.
struct Crowd {
    api: Api,
    version: i16,
    /// The bytes before the array's count.
    before: Vec<u8>,
    /// The smallest element.
    element: Vec<u8>,
    /// The bytes after the array.
    after: Vec<u8>,
}

fn crowd(api: Api, version: i16, before: &[&[u8]], element: &[&[u8]], after: &[&[u8]]) -> Crowd {
    Crowd { api, version, before: before.concat(), element: element.concat(), after: after.concat() }
}

const TWO: &[u8] = &[0; 2];
const FOUR: &[u8] = &[0; 4];
const EIGHT: &[u8] = &[0; 8];
const SIXTEEN: &[u8] = &[0; 16];
/// Null, or false, in a flexible version.
const NONE: &[u8] = &[0];
const NO_TEXT: &[u8] = &[1];
const NO_ELEMENTS: &[u8] = &[1];
const NO_TAGS: &[u8] = &[0];
const ONE: &[u8] = &[2];
/// A name as short as one can be.
const NAME: &[u8] = &[2, b't'];

fn crowds() -> Vec<Crowd> {
    [records(), offsets(), cluster(), groups(), modern_groups(), classic()].into_iter().flatten().collect()
}

fn records() -> Vec<Crowd> {
    vec![
        crowd(Api::Produce, 9, &[], &[NO_TEXT, NO_ELEMENTS, NO_TAGS], &[FOUR, NO_TAGS]),
        crowd(Api::Produce, 13, &[], &[SIXTEEN, NO_ELEMENTS, NO_TAGS], &[FOUR, NO_TAGS]),
        // One topic of many partitions: index, error, offset, time, start, errors of records, message.
        crowd(
            Api::Produce,
            9,
            &[ONE, NO_TEXT],
            &[FOUR, TWO, EIGHT, EIGHT, EIGHT, NO_ELEMENTS, NONE, NO_TAGS],
            &[NO_TAGS, FOUR, NO_TAGS],
        ),
        // One partition of many record errors.
        crowd(
            Api::Produce,
            9,
            &[ONE, NO_TEXT, ONE, FOUR, TWO, EIGHT, EIGHT, EIGHT],
            &[FOUR, NONE, NO_TAGS],
            &[NONE, NO_TAGS, NO_TAGS, FOUR, NO_TAGS],
        ),
        crowd(Api::Fetch, 12, &[FOUR, TWO, FOUR], &[NO_TEXT, NO_ELEMENTS, NO_TAGS], &[NO_TAGS]),
        crowd(Api::Fetch, 13, &[FOUR, TWO, FOUR], &[SIXTEEN, NO_ELEMENTS, NO_TAGS], &[NO_TAGS]),
        // Partitions: index, error, high watermark, last stable, start, aborted, preferred, records.
        crowd(
            Api::Fetch,
            12,
            &[FOUR, TWO, FOUR, ONE, NO_TEXT],
            &[FOUR, TWO, EIGHT, EIGHT, EIGHT, NONE, FOUR, NONE, NO_TAGS],
            &[NO_TAGS, NO_TAGS],
        ),
        crowd(
            Api::Fetch,
            12,
            &[FOUR, TWO, FOUR, ONE, NO_TEXT, ONE, FOUR, TWO, EIGHT, EIGHT, EIGHT],
            &[EIGHT, EIGHT, NO_TAGS],
            &[FOUR, NONE, NO_TAGS, NO_TAGS, NO_TAGS],
        ),
    ]
}

fn offsets() -> Vec<Crowd> {
    vec![
        crowd(Api::OffsetCommit, 8, &[FOUR], &[NO_TEXT, NO_ELEMENTS, NO_TAGS], &[NO_TAGS]),
        crowd(Api::OffsetCommit, 8, &[FOUR, ONE, NO_TEXT], &[FOUR, TWO, NO_TAGS], &[NO_TAGS, NO_TAGS]),
        crowd(Api::OffsetFetch, 8, &[FOUR], &[NO_TEXT, NO_ELEMENTS, TWO, NO_TAGS], &[NO_TAGS]),
        crowd(Api::OffsetFetch, 8, &[FOUR, ONE, NO_TEXT], &[NO_TEXT, NO_ELEMENTS, NO_TAGS], &[TWO, NO_TAGS, NO_TAGS]),
        crowd(
            Api::OffsetFetch,
            8,
            &[FOUR, ONE, NO_TEXT, ONE, NO_TEXT],
            &[FOUR, EIGHT, FOUR, NONE, TWO, NO_TAGS],
            &[NO_TAGS, TWO, NO_TAGS, NO_TAGS],
        ),
        crowd(Api::ListOffsets, 6, &[FOUR], &[NO_TEXT, NO_ELEMENTS, NO_TAGS], &[NO_TAGS]),
        crowd(
            Api::ListOffsets,
            6,
            &[FOUR, ONE, NO_TEXT],
            &[FOUR, TWO, EIGHT, EIGHT, FOUR, NO_TAGS],
            &[NO_TAGS, NO_TAGS],
        ),
        crowd(Api::OffsetForLeaderEpoch, 4, &[FOUR], &[NO_TEXT, NO_ELEMENTS, NO_TAGS], &[NO_TAGS]),
        crowd(
            Api::OffsetForLeaderEpoch,
            4,
            &[FOUR, ONE, NO_TEXT],
            &[TWO, FOUR, FOUR, EIGHT, NO_TAGS],
            &[NO_TAGS, NO_TAGS],
        ),
        crowd(Api::OffsetCommit, 8, &[FOUR], &[NAME, ONE, FOUR, TWO, NO_TAGS, NO_TAGS], &[NO_TAGS]),
        crowd(Api::OffsetFetch, 8, &[FOUR], &[NAME, NO_ELEMENTS, TWO, NO_TAGS], &[NO_TAGS]),
    ]
}

fn cluster() -> Vec<Crowd> {
    vec![
        crowd(
            Api::Metadata,
            9,
            &[FOUR],
            &[FOUR, NO_TEXT, FOUR, NONE, NO_TAGS],
            &[NONE, FOUR, NO_ELEMENTS, FOUR, NO_TAGS],
        ),
        crowd(
            Api::Metadata,
            9,
            &[FOUR, NO_ELEMENTS, NONE, FOUR],
            &[TWO, NO_TEXT, NONE, NO_ELEMENTS, FOUR, NO_TAGS],
            &[FOUR, NO_TAGS],
        ),
        crowd(
            Api::Metadata,
            9,
            &[FOUR, NO_ELEMENTS, NONE, FOUR, ONE, TWO, NO_TEXT, NONE],
            &[TWO, FOUR, FOUR, FOUR, NO_ELEMENTS, NO_ELEMENTS, NO_ELEMENTS, NO_TAGS],
            &[FOUR, NO_TAGS, FOUR, NO_TAGS],
        ),
        crowd(Api::FindCoordinator, 4, &[FOUR], &[NO_TEXT, FOUR, NO_TEXT, FOUR, TWO, NONE, NO_TAGS], &[NO_TAGS]),
        crowd(Api::CreateTopics, 5, &[FOUR], &[NO_TEXT, TWO, NONE, FOUR, TWO, NO_ELEMENTS, NO_TAGS], &[NO_TAGS]),
        crowd(
            Api::CreateTopics,
            5,
            &[FOUR, ONE, NO_TEXT, TWO, NONE, FOUR, TWO],
            &[NO_TEXT, NONE, NONE, NONE, NONE, NO_TAGS],
            &[NO_TAGS, NO_TAGS],
        ),
        crowd(Api::DeleteTopics, 6, &[FOUR], &[NONE, SIXTEEN, TWO, NONE, NO_TAGS], &[NO_TAGS]),
        crowd(
            Api::DescribeCluster,
            0,
            &[FOUR, TWO, NONE, NO_TEXT, FOUR],
            &[FOUR, NO_TEXT, FOUR, NONE, NO_TAGS],
            &[FOUR, NO_TAGS],
        ),
        crowd(Api::ApiVersions, 3, &[TWO], &[TWO, TWO, TWO, NO_TAGS], &[FOUR, NO_TAGS]),
        crowd(Api::DescribeConfigs, 4, &[FOUR], &[TWO, NONE, NONE, NO_TEXT, NO_ELEMENTS, NO_TAGS], &[NO_TAGS]),
        crowd(
            Api::DescribeConfigs,
            4,
            &[FOUR, ONE, TWO, NONE, NONE, NO_TEXT],
            &[NO_TEXT, NONE, NONE, NONE, NONE, NO_ELEMENTS, NONE, NONE, NO_TAGS],
            &[NO_TAGS, NO_TAGS],
        ),
        // Synonyms whose values are empty.
        crowd(
            Api::DescribeConfigs,
            4,
            &[FOUR, ONE, TWO, NONE, NONE, NO_TEXT, ONE, NO_TEXT, NONE, NONE, NONE, NONE],
            &[NO_TEXT, NO_TEXT, NONE, NO_TAGS],
            &[NONE, NONE, NO_TAGS, NO_TAGS, NO_TAGS],
        ),
        crowd(Api::CreateTopics, 7, &[FOUR], &[NAME, SIXTEEN, TWO, NAME, FOUR, TWO, NO_ELEMENTS, NO_TAGS], &[NO_TAGS]),
    ]
}

fn groups() -> Vec<Crowd> {
    let no_texts: &[&[u8]] = &[NO_TEXT, NO_TEXT, NO_TEXT, NO_TEXT, NO_ELEMENTS, FOUR, NO_TAGS];
    vec![
        crowd(Api::ListGroups, 3, &[FOUR, TWO], &[NO_TEXT, NO_TEXT, NO_TAGS], &[NO_TAGS]),
        crowd(Api::ListGroups, 5, &[FOUR, TWO], &[NAME, NAME, NAME, NAME, NO_TAGS], &[NO_TAGS]),
        crowd(Api::DescribeGroups, 5, &[FOUR], &[&[TWO], no_texts].concat(), &[NO_TAGS]),
        crowd(Api::DescribeGroups, 6, &[FOUR], &[&[TWO, NAME], no_texts].concat(), &[NO_TAGS]),
        crowd(
            Api::DescribeGroups,
            5,
            &[FOUR, ONE, TWO, NO_TEXT, NO_TEXT, NO_TEXT, NO_TEXT],
            &[NO_TEXT, NONE, NO_TEXT, NO_TEXT, NO_TEXT, NO_TEXT, NO_TAGS],
            &[FOUR, NO_TAGS, NO_TAGS],
        ),
        crowd(Api::DeleteGroups, 2, &[FOUR], &[NO_TEXT, TWO, NO_TAGS], &[NO_TAGS]),
        crowd(Api::DeleteGroups, 3, &[FOUR], &[NAME, TWO, NAME, NO_TAGS], &[NO_TAGS]),
    ]
}

fn modern_groups() -> Vec<Crowd> {
    vec![
        crowd(
            Api::ConsumerGroupDescribe,
            0,
            &[FOUR],
            &[TWO, NONE, NO_TEXT, NO_TEXT, EIGHT, NO_TEXT, NO_ELEMENTS, FOUR, NO_TAGS],
            &[NO_TAGS],
        ),
        crowd(
            Api::ConsumerGroupDescribe,
            0,
            &[FOUR, ONE, TWO, NONE, NO_TEXT, NO_TEXT, EIGHT, NO_TEXT],
            &[
                NO_TEXT,
                NONE,
                NONE,
                FOUR,
                NO_TEXT,
                NO_TEXT,
                NO_ELEMENTS,
                NONE,
                NO_ELEMENTS,
                NO_TAGS,
                NO_ELEMENTS,
                NO_TAGS,
                NO_TAGS,
            ],
            &[FOUR, NO_TAGS, NO_TAGS],
        ),
        // Names of topics, and then partitions.
        crowd(
            Api::ConsumerGroupDescribe,
            0,
            &[FOUR, ONE, TWO, NONE, NO_TEXT, NO_TEXT, EIGHT, NO_TEXT, ONE, NO_TEXT, NONE, NONE, FOUR, NO_TEXT, NO_TEXT],
            &[NO_TEXT],
            &[NONE, NO_ELEMENTS, NO_TAGS, NO_ELEMENTS, NO_TAGS, NO_TAGS, FOUR, NO_TAGS, NO_TAGS],
        ),
        crowd(
            Api::ConsumerGroupDescribe,
            0,
            &[
                FOUR,
                ONE,
                TWO,
                NONE,
                NO_TEXT,
                NO_TEXT,
                EIGHT,
                NO_TEXT,
                ONE,
                NO_TEXT,
                NONE,
                NONE,
                FOUR,
                NO_TEXT,
                NO_TEXT,
                NO_ELEMENTS,
                NONE,
            ],
            &[SIXTEEN, NO_TEXT, NO_ELEMENTS, NO_TAGS],
            &[NO_TAGS, NO_ELEMENTS, NO_TAGS, NO_TAGS, FOUR, NO_TAGS, NO_TAGS],
        ),
    ]
}

/// Versions without compact lengths, whose smallest elements differ.
fn classic() -> Vec<Crowd> {
    let letter: &[u8] = &[0, 1, b't'];
    vec![
        crowd(Api::Metadata, 0, &[], &[FOUR, TWO, FOUR], &[FOUR]),
        crowd(Api::Metadata, 0, &[FOUR], &[TWO, TWO, FOUR], &[]),
        crowd(Api::Metadata, 0, &[FOUR], &[TWO, letter, FOUR], &[]),
        crowd(Api::Metadata, 0, &[FOUR, &[0, 0, 0, 1], TWO, TWO], &[TWO, FOUR, FOUR, FOUR, FOUR], &[]),
        crowd(Api::DeleteTopics, 1, &[FOUR], &[TWO, TWO], &[]),
        crowd(Api::DeleteTopics, 1, &[FOUR], &[letter, TWO], &[]),
        crowd(Api::CreateTopics, 2, &[FOUR], &[TWO, TWO, TWO], &[]),
        crowd(Api::ApiVersions, 0, &[TWO], &[TWO, TWO, TWO], &[]),
        crowd(Api::ListOffsets, 1, &[&[0, 0, 0, 1], TWO], &[FOUR, TWO, EIGHT, EIGHT], &[]),
        crowd(Api::OffsetFetch, 1, &[&[0, 0, 0, 1], TWO], &[FOUR, EIGHT, TWO, TWO], &[]),
        crowd(Api::ListGroups, 0, &[TWO], &[TWO, TWO], &[]),
        crowd(Api::DescribeGroups, 0, &[], &[TWO, TWO, TWO, TWO, TWO, FOUR], &[]),
        crowd(Api::DescribeGroups, 0, &[&[0, 0, 0, 1], TWO, TWO, TWO, TWO, TWO], &[TWO, TWO, TWO, FOUR, FOUR], &[]),
        crowd(Api::DeleteGroups, 0, &[FOUR], &[TWO, TWO], &[]),
        crowd(Api::OffsetDelete, 0, &[TWO, FOUR], &[TWO, FOUR], &[]),
        crowd(Api::OffsetDelete, 0, &[TWO, FOUR, &[0, 0, 0, 1], TWO], &[FOUR, TWO], &[]),
    ]
}

fn frame(crowd: &Crowd, count: usize, claim: usize) -> Bytes {
    let header: &[u8] = if crowd.api.flexible_response(crowd.version) { &[0; 5] } else { &[0; 4] };
    let claim = if crowd.version >= crowd.api.flexible_from() {
        compact(claim)
    } else {
        i32::try_from(claim).unwrap_or(i32::MAX).to_be_bytes().to_vec()
    };
    [header, &crowd.before, &claim, &crowd.element.repeat(count), &crowd.after].concat().into()
}

/// Limit of the memory for the smallest elements, as a multiple of their size on the wire.
const COST_MAX: usize = 8;

#[test]
fn response_takes_a_small_multiple_of_its_size() {
    for crowd in crowds() {
        let frame = frame(&crowd, (256 << 10) / crowd.element.len(), (256 << 10) / crowd.element.len());
        let length = frame.len();
        let (answer, peak) = peak_of(|| Response::decode(crowd.api, crowd.version, frame));
        let name = format!("{:?} v{}, elements of {}", crowd.api, crowd.version, crowd.element.len());
        assert!(answer.is_ok(), "{name}: {answer:?}");
        println!("{name}: {} times its size", peak / length);
        assert!(peak <= COST_MAX * length + (64 << 10), "{name}: {} times its size", peak / length);
    }
    // A frame that claims the most elements and holds two.
    for crowd in crowds() {
        for claim in [1 << 12, 1 << 20, (1 << 32) - 2] {
            let (answer, peak) = peak_of(|| Response::decode(crowd.api, crowd.version, frame(&crowd, 2, claim)));
            assert!(answer.is_err(), "{:?} v{}", crowd.api, crowd.version);
            assert!(peak < 64 << 10, "{:?} v{}: a claim of {claim} reserved {peak}", crowd.api, crowd.version);
        }
    }
}
