//! Zstandard by rust-zstd, in pure Rust.
//!
//! A batch is compressed as a stream of unknown size, as in Java: for small batches of JSON that gives smaller frames than a
//! declared size, because level 3 then uses better parameters.

use rust_zstd::CompressOptions;
use rust_zstd::Compressor;
use rust_zstd::Decompressor;
use rust_zstd::EndDirective;

use super::Codec;
use super::CodecError;
use super::Compression;
use super::Pool;
use super::grow;

/// The largest window a frame may declare, 2^27 bytes: zstd's own limit, above which `--ultra --long` is needed.
const WINDOW_LOG_MAX: u32 = 27;

pub(super) struct Zstd {
    level: i32,
    compressors: Pool<Compressor>,
    decompressors: Pool<Decompressor>,
}

impl std::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zstd").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Zstd {
    pub(super) fn new(level: i32) -> Self {
        Self { level, compressors: Pool::new(), decompressors: Pool::new() }
    }

    fn compressor(&self) -> Compressor {
        Compressor::new(CompressOptions { level: self.level, ..CompressOptions::default() })
    }
}

impl Codec for Zstd {
    fn compression(&self) -> Compression {
        Compression::Zstd
    }

    fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let compressed = self.compressors.with(
            || self.compressor(),
            |context| {
                context.reset_stream();
                compress(context, input, out)
            },
        );
        compressed.map_err(|error| CodecError::Corrupt(format!("{error:?}")))
    }

    fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let make = || {
            let mut context = Decompressor::new();
            context.set_window_log_max(WINDOW_LOG_MAX);
            context
        };
        self.decompressors.with(make, |context| {
            context.reset();
            decompress(context, input, limit, out)
        })
    }
}

fn compress(context: &mut Compressor, input: &[u8], out: &mut Vec<u8>) -> Result<(), rust_zstd::CompressError> {
    let (mut read, mut at) = (0, out.len());
    // Capacity for the worst case of stored blocks. It is truncated afterwards.
    out.resize(at + input.len() + input.len() / 128 + 1024, 0);
    while read < input.len() {
        context.compress_stream(input, &mut read, out, &mut at, EndDirective::Continue)?;
        if read < input.len() {
            let end = out.len() + 16 * 1024;
            out.resize(end, 0);
        }
    }
    while context.compress_stream(input, &mut read, out, &mut at, EndDirective::End)? > 0 {
        let end = out.len() + 16 * 1024;
        out.resize(end, 0);
    }
    out.truncate(at);
    Ok(())
}

fn decompress(context: &mut Decompressor, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let (mut read, mut at) = (0, out.len());
    // One byte beyond the limit shows that there is more.
    let end = at.saturating_add(limit).saturating_add(1);
    loop {
        if at == out.len() {
            grow(out, end);
        }
        let (read_before, at_before) = (read, at);
        let hint = context.decompress_stream(input, &mut read, out, &mut at).map_err(CodecError::Corrupt)?;
        if at == end {
            return Err(CodecError::TooLarge { limit });
        }
        if hint == 0 && read == input.len() {
            out.truncate(at);
            return Ok(());
        }
        let stuck = read == read_before && at == at_before;
        if stuck && at < out.len() {
            return Err(CodecError::Corrupt("a frame cut short".into()));
        }
    }
}
