//! LZ4 by lz4_flex: written as a frame of independent blocks of 64 KiB without checksums, as Java's client and brokers require.
//!
//! Java refuses linked blocks ("Dependent block stream is unsupported"). All kinds of frames are read.

use std::io::Read;

use lz4_flex::block::CompressTable;
use lz4_flex::block::compress_into_with_table;
use lz4_flex::block::get_maximum_output_size;
use lz4_flex::frame::FrameDecoder;

use super::Codec;
use super::CodecError;
use super::Compression;
use super::Pool;
use super::grow;

/// Magic, version 1 with independent blocks, 64 KiB blocks, and the header's checksum byte.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// Length of the magic at the start of a frame.
const MAGIC: usize = 4;
const BLOCK: usize = 64 * 1024;
/// The bit in the length of a block that is not compressed.
const STORED: u32 = 0x8000_0000;

static TABLES: Pool<CompressTable> = Pool::new();

#[derive(Debug)]
pub(super) struct Lz4;

impl Codec for Lz4 {
    fn compression(&self) -> Compression {
        Compression::Lz4
    }

    fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&HEADER);
        TABLES.with(CompressTable::large, |table| {
            for block in input.chunks(BLOCK) {
                compress_block(block, table, out)?;
            }
            out.extend_from_slice(&[0; 4]);
            Ok(())
        })
    }

    fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut rest = input;
        let start = out.len();
        // One byte beyond the limit shows that there is more.
        let end = start.saturating_add(limit).saturating_add(1);
        let mut at = start;
        // Frames may follow one another; the decoder stops at the end of each. Other bytes after a whole frame are ignored, as
        // Java does (`Lz4BlockInputStream.readBlock`).
        let mut is_first = true;
        while is_first && !rest.is_empty() || rest.starts_with(&HEADER[..MAGIC]) {
            is_first = false;
            let mut decoder = FrameDecoder::new(&mut rest);
            loop {
                if at == out.len() {
                    grow(out, end);
                }
                let read = decoder.read(&mut out[at..]).map_err(|error| CodecError::Corrupt(error.to_string()))?;
                at += read;
                if at == end {
                    return Err(CodecError::TooLarge { limit });
                }
                if read == 0 {
                    break;
                }
            }
        }
        out.truncate(at);
        Ok(())
    }
}

fn compress_block(block: &[u8], table: &mut CompressTable, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let at = out.len();
    out.resize(at + 4 + get_maximum_output_size(block.len()), 0);
    let compressed = compress_into_with_table(block, &mut out[at + 4..], table)
        .map_err(|error| CodecError::Corrupt(error.to_string()))?;
    let (length, flag) = if compressed < block.len() { (compressed, 0) } else { (block.len(), STORED) };
    if flag == STORED {
        out[at + 4..at + 4 + length].copy_from_slice(block);
    }
    let declared = u32::try_from(length).expect("a block is small") | flag;
    out[at..at + 4].copy_from_slice(&declared.to_le_bytes());
    out.truncate(at + 4 + length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_header_that_java_writes() {
        let mut out = Vec::new();
        Lz4.compress(b"abc", &mut out).unwrap();
        assert_eq!(out[..7], HEADER);
        assert!(out.ends_with(&[0; 4]));
    }

    #[test]
    fn linked_blocks_and_checksums_are_read() {
        use std::io::Write;
        let info = lz4_flex::frame::FrameInfo::new()
            .block_mode(lz4_flex::frame::BlockMode::Linked)
            .block_checksums(true)
            .content_checksum(true);
        let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
        let input = b"so it goes ".repeat(20_000);
        encoder.write_all(&input).unwrap();
        let frame = encoder.finish().unwrap();
        let mut out = Vec::new();
        Lz4.decompress(&[&frame[..], &frame[..]].concat(), 1 << 20, &mut out).unwrap();
        assert!(out == input.repeat(2));
    }

    #[test]
    fn bytes_after_a_whole_frame_are_ignored() {
        let mut frame = Vec::new();
        Lz4.compress(b"so it goes", &mut frame).unwrap();
        for trailing in [&b"\0"[..], b"abc", &HEADER[..3], b"no frame begins like this", &[0; 64]] {
            let mut out = Vec::new();
            Lz4.decompress(&[&frame[..], trailing].concat(), 1 << 20, &mut out).unwrap();
            assert_eq!(out, b"so it goes", "{trailing:?}");
        }
        let mut out = Vec::new();
        assert!(Lz4.decompress(b"abc", 1 << 20, &mut out).is_err(), "not even one frame");
    }
}
