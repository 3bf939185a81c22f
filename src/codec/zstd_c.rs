//! Zstandard by the C library, behind the feature `zstd-c`: needs a C compiler to build.

use zstd::stream::raw::Decoder;
use zstd::stream::raw::Encoder;
use zstd::stream::raw::InBuffer;
use zstd::stream::raw::Operation;
use zstd::stream::raw::OutBuffer;

use super::Codec;
use super::CodecError;
use super::Compression;
use super::Pool;
use super::grow;

pub(super) struct Zstd {
    level: i32,
    encoders: Pool<Encoder<'static>>,
    decoders: Pool<Decoder<'static>>,
}

impl std::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zstd").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Zstd {
    pub(super) fn new(level: i32) -> Self {
        Self { level, encoders: Pool::new(), decoders: Pool::new() }
    }
}

impl Codec for Zstd {
    fn compression(&self) -> Compression {
        Compression::Zstd
    }

    fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let make = || Encoder::new(self.level).expect("a level that was checked");
        self.encoders.with(make, |encoder| compress(encoder, input, out)).map_err(|error| corrupt(&error))
    }

    fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let make = || Decoder::new().expect("memory for a context");
        self.decoders.with(make, |decoder| decompress(decoder, input, limit, out))
    }
}

fn corrupt(error: &std::io::Error) -> CodecError {
    CodecError::Corrupt(error.to_string())
}

fn compress(encoder: &mut Encoder<'_>, input: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    encoder.reinit()?;
    let mut at = out.len();
    // Capacity for the worst case of stored blocks. It is truncated afterwards.
    out.resize(at + zstd::zstd_safe::compress_bound(input.len()), 0);
    let mut from = InBuffer::around(input);
    loop {
        let mut to = OutBuffer::around_pos(&mut out[..], at);
        if from.pos() < input.len() {
            encoder.run(&mut from, &mut to)?;
        }
        let left = if from.pos() < input.len() { 1 } else { encoder.finish(&mut to, true)? };
        at = to.pos();
        if left == 0 {
            out.truncate(at);
            return Ok(());
        }
        let end = out.len() + 16 * 1024;
        out.resize(end, 0);
    }
}

fn decompress(decoder: &mut Decoder<'_>, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    decoder.reinit().map_err(|error| corrupt(&error))?;
    let mut at = out.len();
    // One byte beyond the limit shows that there is more.
    let end = at.saturating_add(limit).saturating_add(1);
    let mut from = InBuffer::around(input);
    loop {
        if at == out.len() {
            grow(out, end);
        }
        let before = (from.pos(), at);
        let mut to = OutBuffer::around_pos(&mut out[..], at);
        let hint = decoder.run(&mut from, &mut to).map_err(|error| corrupt(&error))?;
        at = to.pos();
        if at == end {
            return Err(CodecError::TooLarge { limit });
        }
        // There may be several frames.
        if hint == 0 && from.pos() == input.len() {
            out.truncate(at);
            return Ok(());
        }
        if (from.pos(), at) == before && at < out.len() {
            return Err(CodecError::Corrupt("a frame cut short".into()));
        }
    }
}
