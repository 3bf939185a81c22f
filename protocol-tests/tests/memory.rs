//! What a hostile broker can make this process allocate: a test binary of its own, because it counts every allocation.

use bytes::Bytes;
use ottla::wire::Api;
use ottla::wire::Response;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Bytes that a call allocates at its peak beyond what was there before.
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
    /// What comes before the array's count.
    before: Vec<u8>,
    /// The smallest element.
    element: Vec<u8>,
    /// What comes after the array.
    after: Vec<u8>,
}

fn zeros(count: usize) -> Vec<u8> {
    vec![0; count]
}

fn crowds() -> Vec<Crowd> {
    let crowd = |api, version, before: &[&[u8]], element: &[&[u8]], after: &[&[u8]]| Crowd {
        api,
        version,
        before: before.concat(),
        element: element.concat(),
        after: after.concat(),
    };
    let (two, four, eight, sixteen) = (&zeros(2)[..], &zeros(4)[..], &zeros(8)[..], &zeros(16)[..]);
    let (none, no_text, no_elements, no_tags): (&[u8], &[u8], &[u8], &[u8]) = (&[0], &[1], &[1], &[0]);
    let one: &[u8] = &[2];
    vec![
        crowd(Api::Produce, 9, &[], &[no_text, no_elements, no_tags], &[four, no_tags]),
        crowd(Api::Produce, 13, &[], &[sixteen, no_elements, no_tags], &[four, no_tags]),
        // One topic of many partitions: index, error, offset, time, start, errors of records, message.
        crowd(
            Api::Produce,
            9,
            &[one, no_text],
            &[four, two, eight, eight, eight, no_elements, none, no_tags],
            &[no_tags, four, no_tags],
        ),
        // One partition of many record errors.
        crowd(
            Api::Produce,
            9,
            &[one, no_text, one, four, two, eight, eight, eight],
            &[four, none, no_tags],
            &[none, no_tags, no_tags, four, no_tags],
        ),
        crowd(Api::Fetch, 12, &[four, two, four], &[no_text, no_elements, no_tags], &[no_tags]),
        crowd(Api::Fetch, 13, &[four, two, four], &[sixteen, no_elements, no_tags], &[no_tags]),
        // Partitions: index, error, high watermark, last stable, start, aborted, preferred, records.
        crowd(
            Api::Fetch,
            12,
            &[four, two, four, one, no_text],
            &[four, two, eight, eight, eight, none, four, none, no_tags],
            &[no_tags, no_tags],
        ),
        crowd(
            Api::Fetch,
            12,
            &[four, two, four, one, no_text, one, four, two, eight, eight, eight],
            &[eight, eight, no_tags],
            &[four, none, no_tags, no_tags, no_tags],
        ),
        crowd(Api::OffsetCommit, 8, &[four], &[no_text, no_elements, no_tags], &[no_tags]),
        crowd(Api::OffsetCommit, 8, &[four, one, no_text], &[four, two, no_tags], &[no_tags, no_tags]),
        crowd(Api::OffsetFetch, 8, &[four], &[no_text, no_elements, two, no_tags], &[no_tags]),
        crowd(Api::OffsetFetch, 8, &[four, one, no_text], &[no_text, no_elements, no_tags], &[two, no_tags, no_tags]),
        crowd(
            Api::OffsetFetch,
            8,
            &[four, one, no_text, one, no_text],
            &[four, eight, four, none, two, no_tags],
            &[no_tags, two, no_tags, no_tags],
        ),
        crowd(
            Api::Metadata,
            9,
            &[four],
            &[four, no_text, four, none, no_tags],
            &[none, four, no_elements, four, no_tags],
        ),
        crowd(
            Api::Metadata,
            9,
            &[four, no_elements, none, four],
            &[two, no_text, none, no_elements, four, no_tags],
            &[four, no_tags],
        ),
        crowd(
            Api::Metadata,
            9,
            &[four, no_elements, none, four, one, two, no_text, none],
            &[two, four, four, four, no_elements, no_elements, no_elements, no_tags],
            &[four, no_tags, four, no_tags],
        ),
        crowd(Api::ListOffsets, 6, &[four], &[no_text, no_elements, no_tags], &[no_tags]),
        crowd(
            Api::ListOffsets,
            6,
            &[four, one, no_text],
            &[four, two, eight, eight, four, no_tags],
            &[no_tags, no_tags],
        ),
        crowd(Api::FindCoordinator, 4, &[four], &[no_text, four, no_text, four, two, none, no_tags], &[no_tags]),
        crowd(Api::CreateTopics, 5, &[four], &[no_text, two, none, four, two, no_elements, no_tags], &[no_tags]),
        crowd(
            Api::CreateTopics,
            5,
            &[four, one, no_text, two, none, four, two],
            &[no_text, none, none, none, none, no_tags],
            &[no_tags, no_tags],
        ),
        crowd(Api::DeleteTopics, 6, &[four], &[none, sixteen, two, none, no_tags], &[no_tags]),
        crowd(Api::OffsetForLeaderEpoch, 4, &[four], &[no_text, no_elements, no_tags], &[no_tags]),
        crowd(
            Api::OffsetForLeaderEpoch,
            4,
            &[four, one, no_text],
            &[two, four, four, eight, no_tags],
            &[no_tags, no_tags],
        ),
        crowd(
            Api::DescribeCluster,
            0,
            &[four, two, none, no_text, four],
            &[four, no_text, four, none, no_tags],
            &[four, no_tags],
        ),
        crowd(Api::ApiVersions, 3, &[two], &[two, two, two, no_tags], &[four, no_tags]),
    ]
}

fn frame(crowd: &Crowd, count: usize, claim: usize) -> Bytes {
    let header: &[u8] = if crowd.api.flexible_response(crowd.version) { &[0; 5] } else { &[0; 4] };
    [header, &crowd.before, &compact(claim), &crowd.element.repeat(count), &crowd.after].concat().into()
}

/// What the smallest elements cost in memory, by their size on the wire: an empty topic of three bytes is a name, an id and a
/// list. The largest are those of `kafka-protocol`, whose structs keep unknown tagged fields.
const COST_MAX: usize = 32;

#[test]
fn a_response_costs_a_small_multiple_of_its_size() {
    for crowd in crowds() {
        let frame = frame(&crowd, (256 << 10) / crowd.element.len(), (256 << 10) / crowd.element.len());
        let length = frame.len();
        let (answer, peak) = peak_of(|| Response::decode(crowd.api, crowd.version, frame));
        let name = format!("{:?} v{}, elements of {}", crowd.api, crowd.version, crowd.element.len());
        assert!(answer.is_ok(), "{name}: {answer:?}");
        println!("{name}: {} times its size", peak / length);
        assert!(peak <= COST_MAX * length + (64 << 10), "{name}: {} times its size", peak / length);
    }
    // A frame that claims the most it can, and holds nothing of it.
    for crowd in crowds() {
        for claim in [1 << 12, 1 << 20, (1 << 32) - 2] {
            let (answer, peak) = peak_of(|| Response::decode(crowd.api, crowd.version, frame(&crowd, 2, claim)));
            assert!(answer.is_err(), "{:?} v{}", crowd.api, crowd.version);
            assert!(peak < 64 << 10, "{:?} v{}: {claim} claimed made room for {peak}", crowd.api, crowd.version);
        }
    }
}
