//! Gzip by flate2 on zlib-rs.

use flate2::Compression as Level;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::Read;
use std::io::Write;

use super::Codec;
use super::CodecError;
use super::Compression;
use super::grow;

#[derive(Debug)]
pub(super) struct Gzip {
    level: Level,
}

impl Gzip {
    /// `level` is 1 to 9, or −1 for the library's default.
    pub(super) fn new(level: i32) -> Self {
        Self { level: u32::try_from(level).map_or(Level::default(), Level::new) }
    }
}

fn corrupt(error: &std::io::Error) -> CodecError {
    CodecError::Corrupt(error.to_string())
}

impl Codec for Gzip {
    fn compression(&self) -> Compression {
        Compression::Gzip
    }

    fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut encoder = GzEncoder::new(out, self.level);
        encoder.write_all(input).and_then(|()| encoder.finish().map(|_| ())).map_err(|error| corrupt(&error))
    }

    fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = out.len();
        // One byte past the limit shows that there is more.
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
