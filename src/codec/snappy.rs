//! Snappy by snap, in the framing of snappy-java (xerial): blocks of 32 KiB, each with its length.
//!
//! Java and brokers write that framing, librdkafka writes one bare block. Both are read.

use super::Codec;
use super::CodecError;
use super::Compression;
use super::Pool;

const MAGIC: [u8; 8] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00];
/// Magic, version 1, compatible from version 1.
const HEADER: [u8; 16] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1];
const BLOCK: usize = 32 * 1024;

/// Encoders, each with a hash table of up to 32 KiB.
static ENCODERS: Pool<snap::raw::Encoder> = Pool::new();

#[derive(Debug)]
pub(super) struct Snappy;

fn corrupt(error: &snap::Error) -> CodecError {
    CodecError::Corrupt(error.to_string())
}

impl Codec for Snappy {
    fn compression(&self) -> Compression {
        Compression::Snappy
    }

    fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&HEADER);
        ENCODERS.with(snap::raw::Encoder::new, |encoder| {
            for block in input.chunks(BLOCK) {
                let at = out.len();
                out.resize(at + 4 + snap::raw::max_compress_len(block.len()), 0);
                let length = encoder.compress(block, &mut out[at + 4..]).map_err(|error| corrupt(&error))?;
                let declared = u32::try_from(length).expect("a block is small").to_be_bytes();
                out[at..at + 4].copy_from_slice(&declared);
                out.truncate(at + 4 + length);
            }
            Ok(())
        })
    }

    fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let end = out.len().saturating_add(limit);
        if !input.starts_with(&MAGIC) {
            return block(input, limit, end, out);
        }
        let mut rest = input.get(HEADER.len()..).ok_or_else(|| CodecError::Corrupt("a header cut short".into()))?;
        while !rest.is_empty() {
            // Each of several concatenated streams has a header.
            if rest.starts_with(&MAGIC) && rest.len() >= HEADER.len() {
                rest = &rest[HEADER.len()..];
                continue;
            }
            let short = || CodecError::Corrupt("a block cut short".into());
            let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| short())?;
            let piece = after.get(..length).ok_or_else(short)?;
            block(piece, limit, end, out)?;
            rest = &after[length..];
        }
        Ok(())
    }
}

/// Decompresses one block. The length that it declares is checked against the limit and against the largest growth that is
/// possible.
fn block(input: &[u8], limit: usize, end: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    /// The largest growth of a block: an element of three bytes copies at most 64.
    const GROWTH_MAX: usize = 64;
    let declared = snap::raw::decompress_len(input).map_err(|error| corrupt(&error))?;
    let at = out.len();
    if declared > end - at {
        return Err(CodecError::TooLarge { limit });
    }
    if declared > input.len().saturating_mul(GROWTH_MAX) {
        return Err(CodecError::Corrupt("a block that declares more than it can hold".into()));
    }
    out.resize(at + declared, 0);
    snap::raw::Decoder::new().decompress(input, &mut out[at..]).map_err(|error| corrupt(&error))?;
    Ok(())
}
