//! Gzip by flate2 on zlib-rs.

use std::io::Read;

use flate2::Compress;
use flate2::Compression as Level;
use flate2::Crc;
use flate2::FlushCompress;
use flate2::Status;
use flate2::read::MultiGzDecoder;

use super::Codec;
use super::CodecError;
use super::Compression;
use super::Pool;
use super::grow;

/// Magic, deflate, no name, no time, no flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

pub(super) struct Gzip {
    level: Level,
    /// A deflate state takes about 300 KiB, more than most batches.
    states: Pool<Compress>,
}

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gzip").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Gzip {
    /// `level` is 1 to 9, or −1 for the library's default.
    pub(super) fn new(level: i32) -> Self {
        Self { level: u32::try_from(level).map_or(Level::default(), Level::new), states: Pool::new() }
    }
}

fn corrupt(error: &std::io::Error) -> CodecError {
    CodecError::Corrupt(error.to_string())
}

/// Compresses `input` and appends it to `out`.
fn deflate(state: &mut Compress, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    /// Capacity for incompressible input: five bytes for each stored block of at least 16 KiB, and the trailer.
    const SPARE: usize = 64;
    let mut read = 0;
    loop {
        out.reserve(input.len() - read + input.len() / 1024 + SPARE);
        let before = state.total_in();
        let status = state
            .compress_vec(&input[read..], out, FlushCompress::Finish)
            .map_err(|error| CodecError::Corrupt(error.to_string()))?;
        read += usize::try_from(state.total_in() - before).expect("no more than was given");
        if status == Status::StreamEnd {
            return Ok(());
        }
    }
}

impl Codec for Gzip {
    fn compression(&self) -> Compression {
        Compression::Gzip
    }

    fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&HEADER);
        let make = || Compress::new(self.level, false);
        self.states.with(make, |state| {
            state.reset();
            deflate(state, input, out)
        })?;
        let mut crc = Crc::new();
        crc.update(input);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        Ok(())
    }

    fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = out.len();
        // One byte beyond the limit shows that there is more.
        let end = start.saturating_add(limit).saturating_add(1);
        let mut decoder = MultiGzDecoder::new(input);
        let mut at = start;
        loop {
            if at == out.len() {
                grow(out, end);
            }
            let read = decoder.read(&mut out[at..]).map_err(|error| corrupt(&error))?;
            at += read;
            if at == end {
                return Err(CodecError::TooLarge { limit });
            }
            if read == 0 {
                out.truncate(at);
                return Ok(());
            }
        }
    }
}
