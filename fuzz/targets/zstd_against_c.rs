//! Compares rust-zstd, which is young, with the C library. Plain tests do not replay this target, because they must not run a C
//! compiler.
#![no_main]

use std::io::Read;

use ottla::codec::CodecError;
use ottla::codec::Compression;
use ottla_fuzz::CODECS;
use ottla_fuzz::LIMIT;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut ours = Vec::new();
    let answer = CODECS.decompress(Compression::Zstd, data, LIMIT, &mut ours);
    match (answer, decompress(data)) {
        (Ok(()), Some(theirs)) => assert!(ours == theirs, "both decompress, with different results"),
        (Ok(()), None) => panic!("only ours decompresses, to {} bytes", ours.len()),
        (Err(CodecError::TooLarge { .. }), Some(theirs)) => assert!(theirs.len() > LIMIT, "{}", theirs.len()),
        // The C library may find an error beyond the limit, which we never reach.
        (Err(_), None) => {}
        // C's streams accept an empty last block of any type as the end, and do not check the declared size of the frame then. C's
        // function for whole frames refuses both, as the format requires.
        (Err(error), Some(theirs)) => {
            let strict = zstd::bulk::decompress(data, LIMIT);
            assert!(theirs.len() > LIMIT || strict.is_err(), "only C decompresses: {error}");
        }
    }

    let mut compressed = Vec::new();
    CODECS.get(Compression::Zstd).expect("built in").compress(data, &mut compressed).expect("any bytes compress");
    assert!(decompress(&compressed).as_deref() == Some(data), "C does not read what we write");
});

/// At most one byte more than the limit.
fn decompress(data: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::new(data).ok()?;
    decoder.window_log_max(27).ok()?;
    let mut plain = Vec::new();
    decoder.take(LIMIT as u64 + 1).read_to_end(&mut plain).ok()?;
    Some(plain)
}
