//! Frames and messages. The numbers are those of the classes of malformed input in the reliability notes.

use bytes::Bytes;
use bytes::BytesMut;
use ottla::error::Code;
use ottla::error::recovery::ProduceRecovery;
use ottla::error::recovery::Promise;
use ottla::internals::wire::Api;
use ottla::internals::wire::DecodeError;
use ottla::internals::wire::FrameReader;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::Versions;
use ottla::internals::wire::buf::Chunks;
use ottla::internals::wire::buf::Reader;
use ottla::internals::wire::message as m;
use ottla::internals::wire::message::ApiVersionsResponse;

use super::super::golden::rows;
use super::super::golden::unhex;
use super::CLAIMS;
use super::mutate;
use super::overwrite;
use super::seeds;

const LIMIT: usize = 100 << 20;

/// A frame without its length.
fn frame(api: Api, version: i16, body: &[u8]) -> Bytes {
    let mut frame = 7_i32.to_be_bytes().to_vec();
    if api.flexible_response(version) {
        frame.push(0);
    }
    frame.extend_from_slice(body);
    frame.into()
}

fn decode(api: Api, version: i16, body: &[u8]) -> Result<Response, DecodeError> {
    Response::decode(api, version, frame(api, version, body))
}

fn each_version() -> impl Iterator<Item = (Api, i16)> {
    Api::ALL.into_iter().flat_map(|api| {
        let (low, high) = api.versions();
        (low..=high).map(move |version| (api, version))
    })
}

/// Every body of `kind` that Java wrote in a supported version.
fn bodies(kind: &str) -> Vec<(Api, i16, Vec<u8>)> {
    let mut found = Vec::new();
    for row in rows("#api_key\tapi\tkind\tversion\tmode\tbody_hex\tjson") {
        let version: i16 = row[3].parse().expect("a version");
        let spoken = each_version().find(|(api, spoken)| api.name() == row[1] && *spoken == version);
        if let Some((api, version)) = spoken.filter(|_| row[2] == kind) {
            found.push((api, version, unhex(&row[5])));
        }
    }
    assert!(found.len() > 50, "only {} bodies of kind {kind}", found.len());
    found
}

fn empty_body(api: Api, version: i16) -> Vec<u8> {
    let mut out = Chunks::default();
    Response::empty(api).put(version, &mut out);
    out.into_bytes().to_vec()
}

/// The bytes of a response's body before the count of its first array; `None` where it has none.
///
/// They are found by trial: the first place in an empty response at which a huge number is refused as a count of elements.
fn before_first_count(api: Api, version: i16) -> Option<Vec<u8>> {
    let body = empty_body(api, version);
    // The error of a count of tagged fields names a number that is larger by one.
    let (claim, count): (&[u8], usize) = if version >= api.flexible_from() {
        (&[0xff, 0xff, 0xff, 0xff, 0x0f], 0xffff_fffe)
    } else {
        (&[0x7f, 0xff, 0xff, 0xff], 0x7fff_ffff)
    };
    let refused = Err(DecodeError::CountExceedsFrame { count, remaining: 64 });
    let is_count = |at: &usize| decode(api, version, &[&body[..*at], claim, &[0; 64]].concat()) == refused;
    (0..body.len()).find(is_count).map(|at| body[..at].to_vec())
}

#[test]
fn first_array_is_found_in_every_response_that_has_one() {
    for row in rows("#api_key\tapi\tkind\tversion\tmode\tbody_hex\tjson") {
        let version: i16 = row[3].parse().expect("a version");
        let spoken = each_version().find(|(api, spoken)| api.name() == row[1] && *spoken == version);
        let Some((api, version)) = spoken.filter(|_| row[2] == "response") else { continue };
        let json: serde_json::Value = serde_json::from_str(&row[6]).expect("JSON");
        let fields = json.as_object().expect("a message");
        // An empty response has no tagged fields.
        let lists = fields.iter().any(|(name, value)| value.is_array() && !name.ends_with("Features"));
        if lists && !NULLABLE.contains(&api) && fields.keys().all(|name| name != "nodeEndpoints") {
            let before = before_first_count(api, version);
            let before = before.unwrap_or_else(|| panic!("{api:?} version {version}: {}", row[6]));
            // The count of an empty array is there, not that of tagged fields, which is 0.
            let count: &[u8] = if version >= api.flexible_from() { &[1] } else { &[0; 4] };
            assert!(empty_body(api, version)[before.len()..].starts_with(count), "{api:?} version {version}");
        }
    }
}

/// Each response up to its first array, then this count, classic or compact, and some bytes.
/// Whose first array may be null, where the request failed as a whole.
const NULLABLE: [Api; 1] = [Api::DescribeClientQuotas];

fn with_count(classic: [u8; 4], compact: &[u8]) -> impl Iterator<Item = (Api, i16, Vec<u8>)> {
    each_version().filter(|(api, _)| !NULLABLE.contains(api)).filter_map(move |(api, version)| {
        let mut body = before_first_count(api, version)?;
        body.extend_from_slice(if version >= api.flexible_from() { compact } else { &classic });
        body.extend_from_slice(&[0; 64]);
        Some((api, version, body))
    })
}

#[test]
fn class_1_lengths_outside_the_limit_are_refused() {
    for length in [i32::MIN, -2, -1, 0, 1, 2, 3, (100 << 20) + 1, i32::MAX] {
        let mut arrived = BytesMut::from(&length.to_be_bytes()[..]);
        let refused = FrameReader::new(LIMIT).next(&mut arrived);
        assert_eq!(refused, Err(DecodeError::FrameLength { length, limit: LIMIT }));
    }
}

#[test]
fn class_1_buffer_of_a_frame_grows_with_received_bytes() {
    let mut reader = FrameReader::new(LIMIT);
    let mut arrived = BytesMut::from(&i32::to_be_bytes(64 << 20)[..]);
    let piece = vec![0; 64 << 10];
    for _ in 0..200 {
        assert_eq!(reader.next(&mut arrived), Ok(None));
        assert!(arrived.capacity() <= 4 * arrived.len() + (4 << 20), "{} of {}", arrived.capacity(), arrived.len());
        arrived.extend_from_slice(&piece);
    }
}

#[test]
fn class_1_frames_are_read_whole_however_bytes_arrive() {
    seeds(300, |rng| {
        let sent: Vec<Vec<u8>> =
            (0..rng.usize(1..8)).map(|_| (0..rng.usize(4..300)).map(|_| rng.u8(..)).collect()).collect();
        let stream: Vec<u8> = sent
            .iter()
            .flat_map(|frame| [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat())
            .collect();
        let (mut reader, mut arrived, mut taken) = (FrameReader::new(300), BytesMut::new(), Vec::new());
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rng.usize(1..=rest.len().min(50)));
            arrived.extend_from_slice(piece);
            rest = after;
            while let Some(frame) = reader.next(&mut arrived).unwrap() {
                taken.push(frame.to_vec());
            }
        }
        assert!(arrived.is_empty());
        assert_eq!(taken, sent);
    });
}

#[test]
fn class_1_no_stream_panics() {
    seeds(2_000, |rng| {
        let mut arrived: BytesMut =
            (0..rng.usize(..60)).map(|_| *rng.choice(&[0, 0, 0, 1, 4, 0x7f, 0xff]).unwrap()).collect();
        let mut reader = FrameReader::new(1 << 16);
        while let Ok(Some(frame)) = reader.next(&mut arrived) {
            assert!((4..=1 << 16).contains(&frame.len()));
        }
    });
}

#[test]
fn class_2_count_beyond_the_frame_is_refused_as_such() {
    for (api, version, body) in with_count([0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff, 0x0f]) {
        let refused = decode(api, version, &body);
        assert!(matches!(refused, Err(DecodeError::CountExceedsFrame { .. })), "{api:?} {version}: {refused:?}");
    }
    // Nearly possible: 64 bytes cannot hold 65 elements of any kind.
    for (api, version, body) in with_count([0, 0, 0, 65], &[66]) {
        let refused = decode(api, version, &body);
        assert!(matches!(refused, Err(DecodeError::CountExceedsFrame { .. })), "{api:?} {version}: {refused:?}");
    }
}

#[test]
fn class_2_claim_anywhere_in_a_response_does_not_panic() {
    for (api, version, body) in bodies("response") {
        for at in 0..body.len().min(400) {
            for claim in CLAIMS {
                let mut body = body.clone();
                overwrite(&mut body, at, claim);
                let _ = decode(api, version, &body);
            }
        }
    }
}

#[test]
fn class_2_empty_topics_of_a_large_frame_take_no_memory() {
    // The smallest elements: topics without a name and without partitions, 16 MiB of them.
    let count: u32 = 5 << 20;
    let mut out = Chunks::default();
    out.put_uvarint(count + 1);
    let mut body = out.into_bytes().to_vec();
    body.extend([1, 1, 0].repeat(usize::try_from(count).unwrap()));
    body.extend([0; 16]);
    let Response::Produce(response) = decode(Api::Produce, 9, &body).unwrap() else { panic!("another response") };
    assert!(response.topics.is_empty(), "topics without partitions are left out");
}

#[test]
fn class_3_negative_counts_are_refused() {
    for classic in [-2, -100, i32::MIN] {
        // Compact lengths cannot be negative: null takes their place.
        for (api, version, body) in with_count(classic.to_be_bytes(), &[0]) {
            assert!(decode(api, version, &body).is_err(), "{api:?} {version} with {classic}");
        }
    }
}

#[test]
fn class_3_null_array_is_refused_where_one_is_required() {
    for (api, version, body) in with_count([0xff; 4], &[0]) {
        assert!(decode(api, version, &body).is_err(), "{api:?} {version}");
    }
}

#[test]
fn class_3_negative_lengths_of_strings_and_bytes_are_refused() {
    let reader = |bytes: &[u8]| Reader::new(Bytes::copy_from_slice(bytes), false);
    for length in [-2, -3, i16::MIN] {
        let bytes = [&length.to_be_bytes()[..], b"abc"].concat();
        let refused = DecodeError::Negative(i64::from(length));
        assert_eq!(reader(&bytes).nullable_string(), Err(refused.clone()));
        assert_eq!(reader(&bytes).topic(), Err(refused.clone()));
        assert_eq!(reader(&bytes).skip_nullable_string(), Err(refused));
    }
    for length in [-2, i32::MIN] {
        let bytes = [&length.to_be_bytes()[..], b"abc"].concat();
        assert_eq!(reader(&bytes).nullable_bytes(), Err(DecodeError::Negative(i64::from(length))));
    }
    assert_eq!(reader(&[0xff, 0xff]).nullable_string(), Ok(None));
    assert_eq!(reader(&[0xff, 0xff]).string(), Err(DecodeError::Negative(-1)));
    assert_eq!(reader(&[0xff, 0xff]).topic(), Err(DecodeError::Negative(-1)));
    assert_eq!(reader(&[0xff; 4]).nullable_bytes(), Ok(None));
}

#[test]
fn class_4_varints_of_five_bytes_are_read_and_longer_ones_refused() {
    seeds(2_000, |rng| {
        let number = rng.u32(..) >> rng.u32(..32);
        let mut out = Chunks::default();
        out.put_uvarint(number);
        let bytes = out.into_bytes();
        assert_eq!(Reader::new(bytes.clone(), true).uvarint(), Ok(number));
        let mut longer = vec![0x80; 5 - bytes.len().min(4)];
        longer.extend([0x80; 5]);
        assert_eq!(Reader::new(longer.into(), true).uvarint(), Err(DecodeError::Varint));
    });
    let beyond = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x1f]);
    assert_eq!(Reader::new(beyond, true).uvarint(), Err(DecodeError::Varint), "a number of 33 bits");
}

#[test]
fn class_5_text_that_is_not_utf_8_is_refused_in_every_place() {
    let wrong: [&[u8]; 4] = [&[0xff], &[0xc3, 0x28], &[0xed, 0xa0, 0x80], &[0xf5, 0x80, 0x80, 0x80]];
    for text in wrong {
        let bytes = Bytes::from([&[u8::try_from(text.len() + 1).unwrap()], text].concat());
        assert_eq!(Reader::new(bytes.clone(), true).string(), Err(DecodeError::Utf8));
        assert_eq!(Reader::new(bytes, true).topic(), Err(DecodeError::Utf8));
    }
    let body = [&[0; 4][..], &[0, 0, 0, 1], &[0, 0, 0, 1], &[0, 2, 0xff, 0xff], &[0; 40]].concat();
    assert_eq!(decode(Api::Metadata, 3, &body), Err(DecodeError::Utf8));
}

/// A Produce response of version 10 with these bytes as tagged fields.
fn produced(tags: &[u8]) -> Result<Response, DecodeError> {
    decode(Api::Produce, 10, &[&[1, 0, 0, 0, 9][..], tags].concat())
}

#[test]
fn class_5_unknown_tags_are_skipped_and_impossible_ones_refused() {
    let plain = m::ProduceResponse { throttle_time_ms: 9, ..Default::default() };
    assert_eq!(produced(&[0]), Ok(Response::Produce(plain.clone())));
    assert_eq!(produced(&[2, 5, 3, 1, 2, 3, 9, 0]), Ok(Response::Produce(plain)));
    assert_eq!(produced(&[1, 5, 4, 1, 2, 3]), Err(DecodeError::Truncated));
    assert_eq!(produced(&[1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]), Err(DecodeError::Truncated));
    let many = produced(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0]);
    assert!(matches!(many, Err(DecodeError::CountExceedsFrame { .. })), "{many:?}");
    assert_eq!(produced(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(DecodeError::Varint));
}

#[test]
fn class_5_tags_that_do_not_ascend_are_refused() {
    assert!(produced(&[2, 5, 0, 5, 0]).is_err(), "the same tag twice");
    assert!(produced(&[2, 6, 0, 5, 0]).is_err(), "a tag after a higher one");
}

#[test]
fn class_5_known_tag_is_read_within_its_declared_size() {
    let node = [2, 0, 0, 0, 7, 2, b'h', 0, 0, 0, 1, 0, 0];
    let field = |size: u8, content: &[u8]| produced(&[&[1, 0, size], content].concat());
    let nodes = vec![m::Node { id: 7, host: "h".into(), port: 1, rack: None }];
    let whole = Response::Produce(m::ProduceResponse { throttle_time_ms: 9, nodes, ..Default::default() });
    assert_eq!(field(13, &node), Ok(whole));
    for size in 0..13 {
        assert!(field(size, &node).is_err(), "a size of {size}");
    }
}

#[test]
fn class_6_bytes_after_the_body_change_nothing() {
    for (api, version, body) in bodies("response") {
        let more = decode(api, version, &[&body[..], &[0xff; 9]].concat());
        assert_eq!(more, decode(api, version, &body), "{api:?} {version}");
    }
}

#[test]
fn response_cut_anywhere_is_refused() {
    for (api, version, body) in bodies("response") {
        for end in 0..body.len() {
            assert!(decode(api, version, &body[..end]).is_err(), "{api:?} {version} cut at {end} of {}", body.len());
        }
        for end in 0..4 {
            assert!(Response::decode(api, version, frame(api, version, &body).slice(..end)).is_err());
        }
    }
}

#[test]
fn randomly_changed_responses_do_not_panic() {
    let bodies = bodies("response");
    seeds(20_000, |rng| {
        let (api, version, mut body) = rng.choice(&bodies).cloned().expect("there are bodies");
        mutate(rng, &mut body);
        let _ = decode(api, version, &body);
    });
}

/// Decodes a request that our own code encodes. A request that decodes survives encoding.
fn reread(api: Api, version: i16, body: &[u8]) {
    let Some(Ok(request)) = Request::decode(api, version, Bytes::copy_from_slice(body)) else { return };
    let encoded = |request: &Request| {
        let mut out = Chunks::default();
        request.put(version, &mut out).map(|()| out.into_bytes())
    };
    let first = match encoded(&request) {
        Ok(first) => first,
        // A number that has its meaning only in later versions.
        Err(DecodeError::TooOld(_)) => return,
        Err(error) => panic!("{api:?} {version}: {error:?}"),
    };
    let again = Request::decode(api, version, first.clone()).expect("an API that decodes").expect("a valid encoding");
    assert_eq!(encoded(&again), Ok(first), "{api:?} {version}");
}

#[test]
fn changed_request_that_decodes_survives_encoding() {
    let bodies = bodies("request");
    seeds(20_000, |rng| {
        let (api, version, mut body) = rng.choice(&bodies).cloned().expect("there are bodies");
        mutate(rng, &mut body);
        reread(api, version, &body);
    });
}

#[test]
fn class_8_response_of_another_api_or_version_does_not_panic() {
    for (_, _, body) in bodies("response") {
        for (api, version) in each_version() {
            let _ = decode(api, version, &body);
        }
    }
}

#[test]
fn class_8_error_35_is_read_as_version_0() {
    let body = [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
    let (low, high) = Api::ApiVersions.versions();
    for version in low..=high {
        let Ok(Response::ApiVersions(response)) = decode(Api::ApiVersions, version, &body) else {
            panic!("version {version} was not understood");
        };
        assert_eq!(response.error, Some(Code::UnsupportedVersion));
        assert_eq!(response.apis, [(18, 0, 4)]);
    }
}

#[test]
fn class_9_invalid_version_ranges_are_ignored() {
    let agree = |apis: Vec<(i16, i16, i16)>| Versions::agree(&ApiVersionsResponse { apis, ..Default::default() });
    let nothing = [vec![], vec![(0, 9, 3)], vec![(0, -5, -1)], vec![(0, 14, 90)], vec![(0, 0, 2)], vec![(-1, 0, 13)]];
    for apis in nothing {
        assert_eq!(agree(apis.clone()).pick(Api::Produce, i16::MAX), None, "{apis:?}");
    }
    assert_eq!(agree(vec![(0, i16::MIN, i16::MAX)]).pick(Api::Produce, i16::MAX), Some(13));
    assert_eq!(agree(vec![(0, 8, 9)]).pick(Api::Produce, 7), None);
    assert_eq!(agree(vec![(0, 3, 7), (0, 3, 9)]).pick(Api::Produce, i16::MAX), Some(7));
}

#[test]
fn class_9_picked_version_is_supported_by_both_sides() {
    seeds(2_000, |rng| {
        let apis: Vec<_> = (0..rng.usize(..20)).map(|_| (rng.i16(-1..70), rng.i16(-3..20), rng.i16(-3..20))).collect();
        let versions = Versions::agree(&ApiVersionsResponse { apis: apis.clone(), ..Default::default() });
        for api in Api::ALL {
            let Some(picked) = versions.pick(api, rng.i16(-2..20)) else { continue };
            let (low, high) = api.versions();
            assert!((low..=high).contains(&picked));
            assert!(apis.iter().any(|(key, first, last)| *key == api.key() && (*first..=*last).contains(&picked)));
        }
    });
}

#[test]
fn class_16_aborted_transactions_survive_encoding_and_decoding() {
    let lists = [None, Some(vec![]), Some(vec![(7, 30), (5, 10), (7, 30), (-1, -1)])];
    for aborted in lists {
        let partition = m::FetchedPartition { aborted, records: Some(Bytes::new()), ..Default::default() };
        let topic = m::FetchedTopic { partitions: vec![partition], ..Default::default() };
        let response = m::FetchResponse { topics: vec![topic], ..Default::default() };
        for version in 4..=18 {
            let mut out = Chunks::default();
            response.encode(version, &mut out);
            let again = m::FetchResponse::decode(version, out.into_bytes()).expect("a valid encoding");
            assert_eq!(again.topics[0].partitions[0].aborted, response.topics[0].partitions[0].aborted);
        }
    }
}

#[test]
fn class_29_unknown_code_is_kept_and_not_retried() {
    for number in i16::MIN..=i16::MAX {
        let code = Code::from_wire(number);
        assert_eq!(code.map_or(0, Code::to_wire), number);
        if let Some(code @ Code::Unknown(_)) = code {
            assert!(!code.is_retriable() && !code.is_stale_metadata(), "{number}");
            assert_eq!(code.produce_recovery(Promise::Idempotent), ProduceRecovery::Fail { doubtful: true });
        }
    }
    assert_eq!(Code::from_wire(i16::MAX), Some(Code::Unknown(i16::MAX)));
    assert_eq!(Code::from_wire(i16::MIN), Some(Code::Unknown(i16::MIN)));
    let body = [&i16::MAX.to_be_bytes()[..], &[0; 4]].concat();
    let Ok(Response::ApiVersions(response)) = decode(Api::ApiVersions, 0, &body) else { panic!("not understood") };
    assert_eq!(response.error, Some(Code::Unknown(i16::MAX)));
}
