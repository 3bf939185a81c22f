//! Zstandard by the C library, behind the feature `zstd-c`: needs a C compiler to build.

use std::io::Read;

use super::Codec;
use super::CodecError;
use super::Compression;
use super::grow;

#[derive(Debug)]
pub(super) struct Zstd {
    level: i32,
}

impl Zstd {
    pub(super) fn new(level: i32) -> Self {
        Self { level }
    }
}

fn corrupt(error: &std::io::Error) -> CodecError {
    CodecError::Corrupt(error.to_string())
}

impl Codec for Zstd {
    fn compression(&self) -> Compression {
        Compression::Zstd
    }

    fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        zstd::stream::copy_encode(input, out, self.level).map_err(|error| corrupt(&error))
    }

    fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(|error| corrupt(&error))?;
        let mut at = out.len();
        // One byte past the limit shows that there is more.
        let end = at.saturating_add(limit).saturating_add(1);
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
