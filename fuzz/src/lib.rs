//! The code of the fuzz targets: functions that take bytes and panic if a property does not hold.
//!
//! Beyond "nothing panics", each target checks a property that needs no second implementation: reading in pieces equals reading at
//! once, decoded messages survive encoding, compression changes nothing. `protocol-tests/tests/it/fuzz_corpus.rs` replays the seeds
//! with the same functions.

pub mod group;
pub mod peer;
pub mod redis;
pub mod sasl;
pub mod second;
pub mod settings;
pub mod shape;

use std::sync::LazyLock;

use bytes::Bytes;
use bytes::BytesMut;
use ottla::codec::Codecs;
use ottla::codec::Compression;
use ottla::internals::record::Batch;
use ottla::internals::record::BatchBuilder;
use ottla::internals::record::Batches;
use ottla::internals::record::Decoded;
use ottla::internals::record::HEADER_LEN;
use ottla::internals::record::Header;
use ottla::internals::record::Record;
use ottla::internals::record::RecordError;
use ottla::internals::record::RecordRef;
use ottla::internals::record::Stamp;
use ottla::internals::record::TimestampType;
use ottla::internals::wire::Api;
use ottla::internals::wire::DecodeError;
use ottla::internals::wire::FrameReader;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::buf::Chunks;
use ottla::internals::wire::buf::Reader;
use ottla::partitioner::hash::crc32;

/// A target: its name, which is also that of its corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets except those that need C.
pub const TARGETS: [Target; 22] = [
    ("batch", batch),
    ("config", settings::config),
    ("connection", peer::connection),
    ("consumer", peer::consumer),
    ("decompress_gzip", decompress_gzip),
    ("decompress_lz4", decompress_lz4),
    ("decompress_snappy", decompress_snappy),
    ("decompress_zstd", decompress_zstd),
    ("dsn", settings::dsn),
    ("frames", frames),
    ("group", group::group),
    ("hand", hand),
    ("jaas", sasl::jaas),
    ("legacy", legacy),
    ("oauth", sasl::oauth),
    ("payload", payload),
    ("pem", sasl::pem),
    ("producer", peer::producer),
    ("redis", redis::redis),
    ("response", response),
    ("scram", sasl::scram),
    ("wrapped", wrapped),
];

/// Limit of decompressed bytes.
pub const LIMIT: usize = 1 << 20;

/// Shared by all inputs, as a consumer shares them among batches. An input that spoils a context makes a later one fail.
pub static CODECS: LazyLock<Codecs> = LazyLock::new(Codecs::default);

/// A stream: the size of the pieces in which it arrives, then its bytes.
pub fn frames(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let (frames, end) = split(stream, stream.len().max(1));
    let length = |frame: &Bytes| u32::try_from(frame.len()).expect("an input is small").to_be_bytes();
    let written: Vec<u8> = frames.iter().flat_map(|frame| [&length(frame)[..], frame].concat()).collect();
    assert!(stream.starts_with(&written), "frames that were not sent: {frames:?}");
    assert_eq!(split(stream, usize::from(*piece) + 1), (frames, end));
}

/// The frames of a stream that arrives in pieces, and the error that ended it.
fn split(stream: &[u8], piece: usize) -> (Vec<Bytes>, Option<DecodeError>) {
    let (mut reader, mut arrived, mut frames) = (FrameReader::new(100 << 20), BytesMut::new(), Vec::new());
    for piece in stream.chunks(piece) {
        arrived.extend_from_slice(piece);
        loop {
            match reader.next(&mut arrived) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(arrived.capacity() <= 4 * stream.len() + (4 << 20), "a claim reserved {}", arrived.capacity());
    }
    (frames, None)
}

/// A response: the key of its API, the version it was written for, then the frame without its length. It is decoded in every
/// supported version: a fuzzer keeps only inputs that reach new code, and would leave most versions out. `kafka-protocol` must
/// decode the same fields, or refuse the frame too.
pub fn response(data: &[u8]) {
    response_by(data, Response::decode);
}

/// As [`response`], decoded by `decode`.
pub fn response_by(data: &[u8], decode: impl Fn(Api, i16, Bytes) -> Result<Response, DecodeError>) {
    let [key, _, frame @ ..] = data else { return };
    let Some(api) = Api::ALL.into_iter().find(|api| api.key() == i16::from(*key)) else { return };
    let (low, high) = api.versions();
    let frame = Bytes::copy_from_slice(frame);
    for version in low..=high {
        let ours = decode(api, version, frame.clone());
        if shape::covers(api)
            && let Some(body) = body(&frame, api.flexible_response(version))
        {
            match (ours, second::opinion(api, version, &body)) {
                (Ok(ours), Some(theirs)) => assert_eq!(ours, theirs, "{api:?} version {version}"),
                // The crate accepts tagged fields in any order, and a known one twice.
                (Err(_), None) | (Err(DecodeError::TagOrder(_)), _) => {}
                (ours, theirs) => panic!("{api:?} version {version}: {ours:?}, and the crate: {theirs:?}"),
            }
        } else if let Ok(response) = ours {
            second::agrees(&response, api, version);
        }
    }
}

/// The body of a frame.
fn body(frame: &Bytes, flexible: bool) -> Option<Bytes> {
    let mut header = Reader::new(frame.clone(), flexible);
    header.i32().and_then(|_| header.skip_tags()).ok()?;
    header.take(header.remaining()).ok()
}

/// The version itself if it is supported, otherwise one that is.
fn spoken(api: Api, version: u8) -> i16 {
    let (low, high) = api.versions();
    let version = i16::from(version);
    if (low..=high).contains(&version) { version } else { low + version % (high - low + 1) }
}

/// A body that our own code decodes: the key of its API, whether it is a response, its version, its bytes. A message that decodes
/// survives encoding.
pub fn hand(data: &[u8]) {
    let [key, response, version, body @ ..] = data else { return };
    let Some(api) = Api::ALL.into_iter().find(|api| api.key() == i16::from(*key)) else { return };
    let version = spoken(api, *version);
    let body = Bytes::copy_from_slice(body);
    // Earlier versions may carry tags of later ones, which are decoded and not encoded.
    let last = version == api.versions().1;
    if *response == 0 {
        let Some(Ok(request)) = Request::decode(api, version, body) else { return };
        let again = Request::decode(api, version, request_body(&request, version));
        let again = again.expect("an API that decodes").expect("a valid encoding");
        assert_eq!(request_body(&again, version), request_body(&request, version), "{api:?} {version}");
        assert!(!last || again == request, "{again:?} is not {request:?}");
    } else {
        let Ok(response) = Response::read(api, version, body) else { return };
        let again = Response::read(api, version, response_body(&response, version)).expect("a valid encoding");
        assert_eq!(response_body(&again, version), response_body(&response, version), "{api:?} {version}");
        assert!(!last || again == response, "{again:?} is not {response:?}");
    }
}

fn request_body(request: &Request, version: i16) -> Bytes {
    let mut out = Chunks::default();
    request.put(version, &mut out).expect("a version that decodes");
    out.into_bytes()
}

/// The body of a response as a broker would write it.
pub fn response_body(response: &Response, version: i16) -> Bytes {
    let mut out = Chunks::default();
    response.put(version, &mut out);
    out.into_bytes()
}

/// The records of a Fetch response, unchanged.
pub fn payload(data: &[u8]) {
    for batch in Batches::new(Bytes::copy_from_slice(data)) {
        let Ok(batch) = batch else { return };
        let _ = batch.verify();
        let _ = batch.control_kind();
        let _ = read(&batch);
    }
}

/// One batch of format 2, whose length, format and checksum are corrected; then the same batch compressed.
pub fn batch(data: &[u8]) {
    if !(HEADER_LEN..LIMIT).contains(&data.len()) {
        return;
    }
    let Some(attributes) = data.get(21..23).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]])) else { return };
    let Some(batch) = repaired(data, attributes, &data[HEADER_LEN..]) else { return };
    let _ = batch.control_kind();
    let compression = batch.compression;
    if let Ok(decoded) = read(&batch) {
        rewrite(&decoded, compression);
    }

    let Some(codec) = CODECS.get(compression) else { return };
    let mut body = Vec::new();
    codec.compress(&data[HEADER_LEN..], &mut body).expect("any bytes compress");
    let plain = repaired(data, attributes & !0x07, &data[HEADER_LEN..]).expect("a header that was accepted");
    let packed = repaired(data, attributes, &body).expect("a header that was accepted");
    // An empty batch is not decompressed, so that its bytes are not read.
    if packed.count > 0 {
        match (read(&plain), read(&packed)) {
            (Ok(plain), Ok(packed)) => assert!(same(&plain, &packed, true), "{compression} changes a record"),
            (Err(plain), Err(packed)) => assert_eq!(plain, packed),
            (plain, packed) => panic!("plain {plain:?}, {compression} {packed:?}"),
        }
    }
}

/// A batch with this header, attributes and body, otherwise valid. `None` if its header is refused.
fn repaired(header: &[u8], attributes: i16, body: &[u8]) -> Option<Batch> {
    let mut bytes = [&header[..HEADER_LEN], body].concat();
    let length = u32::try_from(bytes.len() - 12).expect("an input is small");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let mut batches = Batches::new(bytes.into());
    let batch = batches.next().expect("a whole batch").ok()?;
    assert_eq!(batch.verify(), Ok(()));
    assert!(batches.next().is_none() && !batches.truncated());
    Some(batch)
}

/// A message set whose first message gets a valid length and checksum. The others are read unchanged.
pub fn legacy(data: &[u8]) {
    if data.len() < 26 {
        return;
    }
    let mut bytes = data.to_vec();
    let longest = bytes.len() - 12;
    let declared = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    let length = usize::try_from(declared).map_or(longest, |declared| declared.clamp(14, longest));
    bytes[8..12].copy_from_slice(&u32::try_from(length).expect("an input is small").to_be_bytes());
    bytes[16] &= 1;
    let crc = crc32(&bytes[16..12 + length]);
    bytes[12..16].copy_from_slice(&crc.to_be_bytes());
    let mut batches = Batches::new(bytes.into());
    if let Some(Ok(batch)) = batches.next() {
        assert_eq!(batch.verify(), Ok(()));
        let _ = batch.control_kind();
        let _ = read(&batch);
    }
    for batch in batches.map_while(Result::ok) {
        let _ = batch.verify();
        let _ = read(&batch);
    }
}

/// A message set to be wrapped: attributes, format and offset of the wrapper, then the set, which is compressed here.
pub fn wrapped(data: &[u8]) {
    let [attributes, magic, offset, set @ ..] = data else { return };
    let compression = Compression::from_id(attributes & 0x07);
    let Some(codec) = compression.and_then(|compression| CODECS.get(compression)) else { return };
    let mut value = Vec::new();
    codec.compress(set, &mut value).expect("any bytes compress");
    let magic = magic & 1;
    let decoded = read(&wrapper(*attributes, magic, *offset, &value));
    if codec.compression() == Compression::Lz4 && magic == 0 {
        // The header checksum of format 0 is wrong in one way (KIP-57) and is not verified.
        value[6] = !value[6];
        match (&decoded, read(&wrapper(*attributes, magic, *offset, &value))) {
            (Ok(right), Ok(wrong)) => assert!(same(right, &wrong, true)),
            (Err(right), Err(wrong)) => assert_eq!(*right, wrong),
            (right, wrong) => panic!("{right:?}, with the old checksum {wrong:?}"),
        }
    }
}

fn wrapper(attributes: u8, magic: u8, offset: u8, value: &[u8]) -> Batch {
    let mut tail = vec![magic, attributes];
    if magic == 1 {
        tail.extend(1_600_000_000_000_i64.to_be_bytes());
    }
    tail.extend((-1_i32).to_be_bytes());
    tail.extend(u32::try_from(value.len()).expect("an input is small").to_be_bytes());
    tail.extend(value);
    let mut bytes = i64::from(offset).to_be_bytes().to_vec();
    bytes.extend(u32::try_from(tail.len() + 4).expect("an input is small").to_be_bytes());
    bytes.extend(crc32(&tail).to_be_bytes());
    bytes.extend(tail);
    let batch = Batches::new(bytes.into()).next().expect("a whole message").expect("a right message");
    assert_eq!(batch.verify(), Ok(()));
    batch
}

/// Reads a batch and checks its records against its header.
fn read(batch: &Batch) -> Result<Decoded, RecordError> {
    let decoded = batch.decode(&CODECS, LIMIT, Vec::new())?;
    let head = decoded.batch();
    let mut before = None;
    let mut count = 0;
    for record in &decoded {
        assert!(before < Some(record.offset), "offset {} after {before:?}", record.offset);
        assert!((head.base_offset..=head.last_offset).contains(&record.offset), "offset {}", record.offset);
        if head.timestamp_type == TimestampType::LogAppendTime {
            assert_eq!(record.timestamp, head.max_timestamp);
        }
        assert_eq!(record.headers().count(), record.headers().size_hint().0);
        before = Some(record.offset);
        count += 1;
    }
    assert_eq!(count, head.count);
    // Formats 0 and 1 take more memory than their bytes.
    assert!(batch.compression == Compression::None || batch.magic < 2 || decoded.size() <= LIMIT);
    Ok(decoded)
}

/// Appends the records to a new batch and reads that, plain and compressed.
fn rewrite(decoded: &Decoded, compression: Compression) {
    for codec in [None, CODECS.get(compression)] {
        let mut builder = BatchBuilder::new(Vec::new());
        for record in decoded {
            let headers: Vec<Header<'_>> = record.headers().collect();
            let Record { timestamp, key, value, .. } = record;
            let record = RecordRef { timestamp, key, value, headers: &headers };
            let size = builder.size_with(&record);
            builder.append(&record);
            assert_eq!(builder.size(), size);
        }
        if builder.is_empty() {
            return;
        }
        let (sealed, _) = builder.close().seal(codec.map(AsRef::as_ref)).expect("any bytes compress");
        let stamp = Stamp::default();
        assert_eq!(sealed.header(&stamp), sealed.header(&stamp));
        let batch = Batches::new(sealed.to_bytes(&stamp)).next().expect("a batch").expect("a right batch");
        assert_eq!(batch.verify(), Ok(()));
        let again = batch.decode(&CODECS, usize::MAX >> 1, Vec::new()).expect("a valid batch");
        assert!(same(decoded, &again, false), "writing changes a record");
    }
}

/// Whether two batches hold the same records, with `offsets` at the same offsets.
fn same(one: &Decoded, other: &Decoded, offsets: bool) -> bool {
    one.batch().count == other.batch().count
        && one.iter().zip(other).all(|(one, other)| {
            (one.timestamp, one.key, one.value) == (other.timestamp, other.key, other.value)
                && one.headers().eq(other.headers())
                && (!offsets || one.offset == other.offset)
        })
}

/// Bytes for gzip.
pub fn decompress_gzip(data: &[u8]) {
    decompress(Compression::Gzip, data);
}

/// Bytes for LZ4.
pub fn decompress_lz4(data: &[u8]) {
    decompress(Compression::Lz4, data);
}

/// Bytes for Snappy.
pub fn decompress_snappy(data: &[u8]) {
    decompress(Compression::Snappy, data);
}

/// Bytes for Zstandard.
pub fn decompress_zstd(data: &[u8]) {
    decompress(Compression::Zstd, data);
}

/// Decompresses the bytes within exact limits, then compresses them and decompresses the result.
fn decompress(compression: Compression, data: &[u8]) {
    const BEFORE: &[u8] = b"before";
    let decompress = |data: &[u8], limit: usize| {
        let mut out = BEFORE.to_vec();
        let answer = CODECS.decompress(compression, data, limit, &mut out);
        assert!(out.capacity() <= 4 * LIMIT, "a capacity of {}", out.capacity());
        assert!(out.starts_with(BEFORE));
        answer.map(|()| out.split_off(BEFORE.len()))
    };
    if let Ok(plain) = decompress(data, LIMIT) {
        assert!(plain.len() <= LIMIT);
        assert!(decompress(data, plain.len()).as_ref() == Ok(&plain), "a limit that just fits");
        if let Some(less) = plain.len().checked_sub(1) {
            assert!(decompress(data, less).is_err(), "a limit of one byte less");
        }
    }
    let mut packed = Vec::new();
    CODECS.get(compression).expect("built in").compress(data, &mut packed).expect("any bytes compress");
    if data.len() <= LIMIT {
        assert!(decompress(&packed, data.len()).as_deref() == Ok(data), "decompression restores the bytes");
    }
}
