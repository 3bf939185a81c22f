//! Compressed bytes. The numbers are those of the classes in the reliability notes.

use ottla::codec::CodecError;
use ottla::codec::Codecs;
use ottla::codec::Compression;

use super::super::golden::unhex;
use super::mutate;
use super::seeds;

const LIMIT: usize = 1 << 20;

fn compress(compression: Compression, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Codecs::default().get(compression).expect("a codec").compress(plain, &mut out).expect("to compress");
    out
}

/// Decompresses under the limit. The buffer never grows beyond a small multiple of the limit, whatever the result.
fn decompress(compression: Compression, input: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let done = Codecs::default().decompress(compression, input, LIMIT, &mut out);
    assert!(out.len() <= LIMIT + 1, "{compression}: {} bytes", out.len());
    assert!(out.capacity() <= 2 * LIMIT + (1 << 16), "{compression}: a capacity of {} bytes", out.capacity());
    done.map(|()| out)
}

fn all() -> impl Iterator<Item = Compression> {
    Compression::ALL.into_iter().skip(1)
}

fn corrupt(compression: Compression, input: &[u8]) {
    let read = decompress(compression, input);
    assert!(matches!(read, Err(CodecError::Corrupt(_))), "{compression}: {read:?}");
}

#[test]
fn random_changes_of_compressed_bytes_are_answered() {
    let text: Vec<u8> = (0..3_000_u32).flat_map(|n| (n * n % 1_009).to_string().into_bytes()).collect();
    let noise: Vec<u8> = std::iter::repeat_with({
        let mut rng = fastrand::Rng::with_seed(1);
        move || rng.u8(..)
    })
    .take(2_000)
    .collect();
    let zeros = vec![0; 200_000];
    let whole: Vec<_> = all()
        .flat_map(|compression| {
            [&text[..], &noise, b"", &zeros].map(|plain| (compression, compress(compression, plain)))
        })
        .collect();
    seeds(6_000, |rng| {
        let (compression, mut input) = rng.choice(&whole).cloned().expect("there are some");
        if rng.bool() {
            input.extend_from_within(..);
        }
        // Headers decide most.
        let head = if rng.bool() { input.len() } else { input.len().min(40) };
        let mut changed = input[..head].to_vec();
        mutate(rng, &mut changed);
        input.splice(..head, changed);
        let _ = decompress(compression, &input);
    });
}

#[test]
fn class_17_a_bomb_of_a_gigabyte_is_stopped_at_the_limit() {
    // The repeated frame is compressed once: 16 MiB of zeros, 64 times over.
    let zeros = vec![0; 16 << 20];
    for compression in all() {
        let bomb = compress(compression, &zeros).repeat(64);
        assert_eq!(decompress(compression, &bomb), Err(CodecError::TooLarge { limit: LIMIT }), "{compression}");
    }
}

#[test]
fn class_17_the_limit_is_for_all_frames_together() {
    let half = vec![7; LIMIT / 2];
    for compression in all() {
        let one = compress(compression, &half);
        assert_eq!(decompress(compression, &one.repeat(2)).map(|out| out.len()), Ok(LIMIT), "{compression}");
        let over = [&one.repeat(2)[..], &compress(compression, b"x")].concat();
        assert_eq!(decompress(compression, &over), Err(CodecError::TooLarge { limit: LIMIT }), "{compression}");
    }
}

#[test]
fn class_17_a_limit_of_nothing_holds() {
    for compression in all() {
        let codecs = Codecs::default();
        let mut out = Vec::new();
        let refused = codecs.decompress(compression, &compress(compression, b"x"), 0, &mut out);
        assert_eq!(refused, Err(CodecError::TooLarge { limit: 0 }), "{compression}");
        assert_eq!(
            codecs.decompress(compression, &compress(compression, b""), 0, &mut Vec::new()),
            Ok(()),
            "{compression}"
        );
    }
}

#[test]
fn class_17_zstd_windows_and_sizes_are_only_claims() {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    // A window descriptor of 2^(10+31) bytes, and one of 2^28: more than is allowed.
    for window in [0xf8, 0x90] {
        corrupt(Compression::Zstd, &[&magic[..], &[0, window], &[1, 0, 0]].concat());
    }
    // A content size of 2^62 in a single segment, and with a window.
    let size = (1_u64 << 62).to_le_bytes();
    for head in [&[0xe0][..], &[0xc0, 0x50]] {
        assert!(decompress(Compression::Zstd, &[&magic[..], head, &size, &[1, 0, 0]].concat()).is_err());
    }
    // The largest window that is allowed, many times, with nothing in it.
    let empty = [&magic[..], &[0, 0x88], &[1, 0, 0]].concat();
    for _ in 0..20 {
        assert_eq!(decompress(Compression::Zstd, &empty.repeat(50)), Ok(vec![]));
    }
    // A block of one byte, repeated 2²¹ − 1 times: more than a block may have.
    assert!(decompress(Compression::Zstd, &[&magic[..], &[0, 0x50], &[0xfb, 0xff, 0xff, 0x41]].concat()).is_err());
}

#[test]
fn class_18_lz4_frames_that_are_not_are_refused() {
    let whole = compress(Compression::Lz4, b"some bytes, some bytes, some bytes");
    let with = |at: usize, byte: u8| {
        let mut frame = whole.clone();
        frame[at] = byte;
        frame
    };
    for at in 0..4 {
        corrupt(Compression::Lz4, &with(at, 0x55));
    }
    // Version 0, a reserved bit, a block size that does not exist, and a header checksum that is wrong.
    for (at, byte) in [(4, 0x20), (4, 0x62), (5, 0x10), (5, 0xc0), (6, 0x83), (6, 0)] {
        corrupt(Compression::Lz4, &with(at, byte));
    }
    // A block that reaches past the frame, and one larger than the header allows.
    for length in [0x7fff_ffff_u32, 0xffff_ffff, 0x0001_0001] {
        let mut frame = whole.clone();
        frame[7..11].copy_from_slice(&length.to_le_bytes());
        corrupt(Compression::Lz4, &frame);
    }
    // A sequence that copies from before the start: one literal, then a match 255 bytes back.
    let copy = [&whole[..7], &[5, 0, 0, 0], &[0x1f, b'a', 0xff, 0, 0], &[0; 4]].concat();
    corrupt(Compression::Lz4, &copy);
}

#[test]
fn class_18_lz4_without_its_end_mark_loses_nothing_and_invents_nothing() {
    let plain = b"some bytes, some bytes, some bytes";
    let whole = compress(Compression::Lz4, plain);
    assert_eq!(decompress(Compression::Lz4, &whole[..whole.len() - 4]), Ok(plain.to_vec()));
}

#[test]
fn class_18_lz4_checksums_are_checked() {
    // Made by lz4_flex with checksums of blocks and of the content: any changed byte shows.
    let frame =
        unhex("04224d187440bd1a000000f300636865636b65642062797465732c200f006020627974657389c8d5ba000000002a8d00c7");
    assert_eq!(decompress(Compression::Lz4, &frame).unwrap(), b"checked bytes, checked bytes");
    for at in 0..frame.len() {
        let mut changed = frame.clone();
        changed[at] ^= 0x10;
        corrupt(Compression::Lz4, &changed);
    }
}

/// The envelope of snappy-java around these blocks, each under the length it is given.
fn xerial(blocks: &[(i32, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    for (length, block) in blocks {
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(block);
    }
    bytes
}

#[test]
fn class_19_snappy_is_read_in_both_forms_and_in_chunks_of_any_length() {
    // A preamble of the length, then literals.
    let block = [3, 0x08, b'a', b'b', b'c'];
    assert_eq!(decompress(Compression::Snappy, &block).unwrap(), b"abc");
    assert_eq!(decompress(Compression::Snappy, &xerial(&[(5, &block), (1, &[0]), (5, &block)])).unwrap(), b"abcabc");
    assert_eq!(decompress(Compression::Snappy, &xerial(&[])).unwrap(), b"");
    let twice = [xerial(&[(5, &block)]), xerial(&[(5, &block)])].concat();
    assert_eq!(decompress(Compression::Snappy, &twice).unwrap(), b"abcabc");
}

#[test]
fn class_19_snappy_lengths_that_lie_are_refused() {
    let block = [3, 0x08, b'a', b'b', b'c'];
    for length in [4, 6, 100, -1, i32::MAX, i32::MIN] {
        assert!(decompress(Compression::Snappy, &xerial(&[(length, &block)])).is_err(), "{length}");
    }
    for end in 8..16 {
        corrupt(Compression::Snappy, &xerial(&[])[..end]);
    }
    for end in 17..20 {
        corrupt(Compression::Snappy, &xerial(&[(5, &block)])[..end]);
    }
    // The preamble: 2³² − 1, just below the limit, two and four where there are three, and one that does not end.
    let literal = &block[1..];
    for preamble in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff, 0xff, 0x3f], &[2], &[4], &[0x80; 12]] {
        let bytes = [preamble, literal].concat();
        let length = i32::try_from(bytes.len()).unwrap();
        assert!(decompress(Compression::Snappy, &bytes).is_err(), "{preamble:?}");
        assert!(decompress(Compression::Snappy, &xerial(&[(length, &bytes)])).is_err(), "{preamble:?}");
    }
    // A copy from before the start.
    corrupt(Compression::Snappy, &[4, 0x01, 0xff]);
}

#[test]
fn class_19_snappy_makes_room_only_for_what_so_few_bytes_can_become() {
    // A preamble of 1 MiB, which the limit allows, before four bytes.
    let mut out = Vec::new();
    let bytes = [0x80, 0x80, 0x40, 0x08, b'a', b'b', b'c'];
    assert!(Codecs::default().decompress(Compression::Snappy, &bytes, LIMIT, &mut out).is_err());
    assert!(out.capacity() < 1_000, "a capacity of {}", out.capacity());
}

#[test]
fn class_20_gzip_members_follow_one_another_and_rubbish_does_not() {
    let member = compress(Compression::Gzip, b"abc");
    assert_eq!(decompress(Compression::Gzip, &member.repeat(3)).unwrap(), b"abcabcabc");
    corrupt(Compression::Gzip, &[&member[..], b"rubbish after the end"].concat());
    // Zlib's envelope, and no envelope at all.
    corrupt(Compression::Gzip, &[0x78, 0x9c, 0x4b, 0x4c, 0x4a, 0x06, 0x00, 0x02, 0x4d, 0x01, 0x27]);
    corrupt(Compression::Gzip, &[0x4b, 0x4c, 0x4a, 0x06, 0x00]);
}

#[test]
fn class_20_gzip_checksum_length_and_header_are_checked() {
    let member = compress(Compression::Gzip, b"some bytes");
    for at in member.len() - 8..member.len() {
        let mut changed = member.clone();
        changed[at] ^= 1;
        corrupt(Compression::Gzip, &changed);
    }
    // Another magic, and a method other than deflate.
    for (at, byte) in [(0, 0x1e), (1, 0x8c), (2, 7)] {
        let mut changed = member.clone();
        changed[at] = byte;
        corrupt(Compression::Gzip, &changed);
    }
    // An extra field, a name and a comment that never end.
    let endless = vec![0xff; 200_000];
    for flag in [0x04, 0x08, 0x10] {
        let head = [0x1f, 0x8b, 8, flag, 0, 0, 0, 0, 0, 3];
        assert!(decompress(Compression::Gzip, &[&head[..], &endless].concat()).is_err(), "flag {flag}");
    }
}
