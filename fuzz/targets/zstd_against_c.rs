//! rust-zstd is young: what it makes of any bytes is held against the C library. Not replayed by the plain tests, which
//! must not run a C compiler.
#![no_main]

use std::io::Read;

use ottla::codec::CodecError;
use ottla::codec::Compression;
use ottla_fuzz::CODECS;
use ottla_fuzz::LIMIT;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut ours = Vec::new();
    let answer = CODECS.decompress(Compression::Zstd, data, LIMIT, &mut ours);
    match (answer, inflate(data)) {
        (Ok(()), Some(theirs)) => assert!(ours == theirs, "both inflate, and differently"),
        (Ok(()), None) => panic!("only ours inflates, to {} bytes", ours.len()),
        (Err(CodecError::TooLarge { .. }), Some(theirs)) => assert!(theirs.len() > LIMIT, "{}", theirs.len()),
        // The C library may find a mistake behind the limit, which we never reach.
        (Err(_), None) => {}
        // C's streams take a last block of no bytes for the end, whatever its type, and then do not look at the size that
        // the frame declares; C's one call for a whole frame refuses both, as the format does.
        (Err(error), Some(theirs)) => {
            let strict = zstd::bulk::decompress(data, LIMIT);
            assert!(theirs.len() > LIMIT || strict.is_err(), "only C inflates: {error}");
        }
    }

    let mut compressed = Vec::new();
    CODECS.get(Compression::Zstd).expect("built in").compress(data, &mut compressed).expect("any bytes compress");
    assert!(inflate(&compressed).as_deref() == Some(data), "C does not read what we write");
});

/// At most one byte more than the limit.
fn inflate(data: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::new(data).ok()?;
    decoder.window_log_max(27).ok()?;
    let mut plain = Vec::new();
    decoder.take(LIMIT as u64 + 1).read_to_end(&mut plain).ok()?;
    Some(plain)
}
