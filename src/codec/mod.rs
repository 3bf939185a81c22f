//! Compression codecs, pluggable.
//!
//! [`Codecs`] holds one [`Codec`] for each [`Compression`]; the built-in ones need no C compiler. A codec
//! decompresses to at most the limit that the caller gives, whatever size the bytes declare.
//!
//! ```
//! use std::sync::Arc;
//! use ottla::codec::{Codec, CodecError, Codecs, Compression};
//!
//! /// Stores instead of compressing. A real one would call an accelerator.
//! #[derive(Debug)]
//! struct Stored;
//!
//! impl Codec for Stored {
//!     fn compression(&self) -> Compression {
//!         Compression::Zstd
//!     }
//!
//!     fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
//!         out.extend_from_slice(input);
//!         Ok(())
//!     }
//!
//!     fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
//!         if input.len() > limit {
//!             return Err(CodecError::TooLarge { limit });
//!         }
//!         out.extend_from_slice(input);
//!         Ok(())
//!     }
//! }
//!
//! let mut codecs = Codecs::default();
//! codecs.register(Arc::new(Stored));
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Error;
use crate::error::Kind;

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(all(feature = "zstd", not(feature = "zstd-c")))]
mod zstd;
#[cfg(feature = "zstd-c")]
#[path = "zstd_c.rs"]
mod zstd;

/// The compression of the records of a batch. Its number is in the attributes of the batch.
///
/// ```
/// use ottla::codec::Compression;
///
/// let compression: Compression = "zstd".parse().unwrap();
/// assert_eq!((compression, compression.id()), (Compression::Zstd, 4));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// Gzip.
    Gzip,
    /// Snappy blocks in the xerial envelope.
    Snappy,
    /// LZ4 frames of independent blocks.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl Compression {
    /// Every compression, in the order of the numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    pub fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The compression with this number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = CodecError;

    fn from_str(name: &str) -> Result<Self, CodecError> {
        let found = Self::ALL.into_iter().find(|compression| compression.name() == name);
        found.ok_or_else(|| CodecError::UnknownName(name.to_owned()))
    }
}

/// The reason why bytes could not be compressed or decompressed.
///
/// ```
/// use ottla::codec::{CodecError, Codecs, Compression};
///
/// let limit = 1024;
/// let result = Codecs::default().decompress(Compression::Gzip, b"not gzip", limit, &mut Vec::new());
/// assert!(matches!(result, Err(CodecError::Corrupt(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are not valid compressed data.
    Corrupt(String),
    /// A level outside the range of the codec (KIP-390).
    Level {
        /// The compression.
        compression: Compression,
        /// The level.
        level: i32,
    },
    /// The codec is not compiled in and none is registered.
    Missing(Compression),
    /// The decompressed bytes exceed the limit.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// No compression has this name.
    UnknownName(String),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(what) => write!(f, "corrupt compressed data: {what}"),
            Self::Level { compression, level } => {
                let (low, high) = level_range(*compression);
                // Gzip's level 0 would store the data uncompressed.
                let range = if *compression == Compression::Gzip {
                    "-1, or from 1 to 9".to_owned()
                } else {
                    format!("from {low} to {high}")
                };
                write!(
                    f,
                    "{compression} has no level {level}: give one {range} (`compression_level` / `compression.{compression}.level`)"
                )
            }
            Self::Missing(compression) => {
                write!(
                    f,
                    "there is no codec for {compression}: turn on the cargo feature `{compression}` of ottla, \
                     or register a codec (`Codecs::register`)"
                )
            }
            Self::TooLarge { limit } => write!(f, "the decompressed bytes exceed the limit of {limit} bytes"),
            Self::UnknownName(name) => {
                write!(f, "no compression is named {name:?}; give none, gzip, snappy, lz4 or zstd")
            }
        }
    }
}

impl std::error::Error for CodecError {}

impl From<CodecError> for Error {
    /// Only [`CodecError::Corrupt`] says something against the data. A codec that is missing is [`Kind::Unsupported`], a limit that
    /// is too low [`Kind::RecordTooLarge`].
    fn from(error: CodecError) -> Self {
        let kind = match error {
            CodecError::Corrupt(_) => Kind::Corrupt,
            CodecError::Level { .. } | CodecError::UnknownName(_) => Kind::Config,
            CodecError::Missing(_) => Kind::Unsupported,
            CodecError::TooLarge { .. } => Kind::RecordTooLarge,
        };
        Self::new(kind, error.to_string())
    }
}

/// Compresses and decompresses the records of a batch. The module's [example](self) implements one.
///
/// Several threads call it at once. Both methods append to `out`.
pub trait Codec: Send + Sync + fmt::Debug {
    /// The compression that this codec implements.
    fn compression(&self) -> Compression;

    /// Appends the compressed form of `input` to `out`.
    fn compress(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Decompresses `input` and appends at most `limit` bytes to `out`, whatever size `input` declares.
    fn decompress(&self, input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError>;
}

/// One codec for each compression. Producers and consumers take it from their builders.
///
/// ```
/// use ottla::codec::{Codecs, Compression, builtin};
///
/// let mut codecs = Codecs::default();
/// codecs.register(builtin(Compression::Zstd, Some(9)).unwrap());
/// ```
#[derive(Clone, Debug)]
pub struct Codecs([Option<Arc<dyn Codec>>; 5]);

impl Default for Codecs {
    /// The built-in codecs that are compiled in, each at its default level.
    fn default() -> Self {
        Self(Compression::ALL.map(|compression| builtin(compression, None).ok()))
    }
}

impl Codecs {
    /// No codecs, so that only those are used that are registered.
    ///
    /// ```
    /// use ottla::codec::{CodecError, Codecs, Compression};
    ///
    /// let read = Codecs::empty().decompress(Compression::Zstd, b"", 1024, &mut Vec::new());
    /// assert_eq!(read, Err(CodecError::Missing(Compression::Zstd)));
    /// ```
    pub fn empty() -> Self {
        Self(Default::default())
    }

    /// The codec for a compression; there is none for [`Compression::None`].
    pub fn get(&self, compression: Compression) -> Option<&Arc<dyn Codec>> {
        self.0[usize::from(compression.id())].as_ref()
    }

    /// Replaces the codec for the compression of `codec`.
    pub fn register(&mut self, codec: Arc<dyn Codec>) {
        let slot = usize::from(codec.compression().id());
        self.0[slot] = Some(codec);
    }

    /// Decompresses `input` and appends at most `limit` bytes to `out`.
    pub fn decompress(
        &self,
        compression: Compression,
        input: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        self.get(compression).ok_or(CodecError::Missing(compression))?.decompress(input, limit, out)
    }
}

/// The lowest and the highest level of a compression (KIP-390).
pub fn level_range(compression: Compression) -> (i32, i32) {
    match compression {
        Compression::None | Compression::Snappy => (0, 0),
        Compression::Gzip => (-1, 9),
        Compression::Lz4 => (1, 17),
        Compression::Zstd => (-131_072, 22),
    }
}

/// The built-in codec for a compression, at a level or at its default (gzip −1, lz4 9, zstd 3).
///
/// `lz4_flex` has one level only: every level in the range selects it.
///
/// ```
/// use ottla::codec::{Compression, builtin};
///
/// assert!(builtin(Compression::Gzip, Some(6)).is_ok());
/// assert!(builtin(Compression::Gzip, Some(42)).is_err());
/// ```
pub fn builtin(compression: Compression, level: Option<i32>) -> Result<Arc<dyn Codec>, CodecError> {
    let (low, high) = level_range(compression);
    let gzip_stored = compression == Compression::Gzip && level == Some(0);
    if let Some(level) = level.filter(|level| !(low..=high).contains(level) || gzip_stored) {
        return Err(CodecError::Level { compression, level });
    }
    match compression {
        #[cfg(feature = "gzip")]
        Compression::Gzip => Ok(Arc::new(gzip::Gzip::new(level.unwrap_or(-1)))),
        #[cfg(feature = "snappy")]
        Compression::Snappy => Ok(Arc::new(snappy::Snappy)),
        #[cfg(feature = "lz4")]
        Compression::Lz4 => Ok(Arc::new(lz4::Lz4)),
        #[cfg(any(feature = "zstd", feature = "zstd-c"))]
        Compression::Zstd => Ok(Arc::new(zstd::Zstd::new(level.unwrap_or(3)))),
        #[allow(unreachable_patterns)]
        _ => Err(CodecError::Missing(compression)),
    }
}

/// Contexts that are expensive to create, kept between batches. At most a few of them are idle.
#[cfg(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd", feature = "zstd-c"))]
#[derive(Debug)]
struct Pool<C>(std::sync::Mutex<Vec<C>>);

#[cfg(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd", feature = "zstd-c"))]
impl<C> Pool<C> {
    const IDLE_MAX: usize = 8;

    const fn new() -> Self {
        Self(std::sync::Mutex::new(Vec::new()))
    }

    /// Runs `work` with an idle context, or with one that `make` creates.
    fn with<T>(&self, make: impl FnOnce() -> C, work: impl FnOnce(&mut C) -> T) -> T {
        let idle = self.idle().pop();
        let mut context = idle.unwrap_or_else(make);
        let done = work(&mut context);
        let mut idle = self.idle();
        if idle.len() < Self::IDLE_MAX {
            idle.push(context);
        }
        done
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<C>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Grows `out` for the next piece: it doubles, up to `end`.
#[cfg(any(feature = "gzip", feature = "lz4", feature = "zstd", feature = "zstd-c"))]
fn grow(out: &mut Vec<u8>, end: usize) {
    const FIRST: usize = 16 * 1024;
    let wanted = (out.len() * 2).max(FIRST).min(end);
    out.resize(wanted.max(out.len()), 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn each() -> impl Iterator<Item = Arc<dyn Codec>> {
        let codecs = Codecs::default();
        Compression::ALL.into_iter().filter_map(move |compression| codecs.get(compression).cloned())
    }

    #[test]
    fn decompression_stops_at_the_limit() {
        let zeros = vec![0; 8 << 20];
        for codec in each() {
            let mut small = Vec::new();
            codec.compress(&zeros, &mut small).unwrap();
            let mut out = Vec::new();
            let limit = 1 << 20;
            let stopped = codec.decompress(&small, limit, &mut out);
            assert_eq!(stopped, Err(CodecError::TooLarge { limit }), "{}", codec.compression());
            assert!(out.capacity() <= 2 * limit + (1 << 16), "{} {}", codec.compression(), out.capacity());
        }
    }

    #[test]
    fn input_of_exactly_the_limit_is_decompressed() {
        let input: Vec<u8> = (0..100_000_u32).flat_map(|n| (n % 1_000).to_be_bytes()).collect();
        for codec in each() {
            let mut small = Vec::new();
            codec.compress(&input, &mut small).unwrap();
            let mut out = b"before".to_vec();
            codec.decompress(&small, input.len(), &mut out).unwrap();
            assert!(out.strip_prefix(b"before") == Some(&input[..]), "{}", codec.compression());
            let short = codec.decompress(&small, input.len() - 1, &mut Vec::new());
            assert!(matches!(short, Err(CodecError::TooLarge { .. })), "{}", codec.compression());
        }
    }

    #[test]
    fn truncated_input_is_an_error() {
        let input: Vec<u8> = (0..500_u32).flat_map(u32::to_be_bytes).collect();
        for codec in each() {
            let mut small = Vec::new();
            codec.compress(&input, &mut small).unwrap();
            for end in 1..small.len() {
                let mut out = Vec::new();
                let cut = codec.decompress(&small[..end], 1 << 20, &mut out);
                // An LZ4 frame without its end mark has lost nothing.
                let whole = codec.compression() == Compression::Lz4 && end >= small.len() - 4;
                assert!(whole || cut.is_err() || out.len() < input.len(), "{} cut at {end}", codec.compression());
            }
        }
    }

    #[test]
    fn levels_out_of_range_are_refused() {
        assert!(builtin(Compression::Gzip, Some(10)).is_err());
        assert!(builtin(Compression::Gzip, Some(0)).is_err());
        assert!(builtin(Compression::Lz4, Some(18)).is_err());
        assert!(builtin(Compression::Zstd, Some(23)).is_err());
    }

    proptest! {
        #[test]
        fn every_codec_restores_its_input(input in proptest::collection::vec(0..8_u8, 0..70_000)) {
            for codec in each() {
                let mut small = Vec::new();
                codec.compress(&input, &mut small).unwrap();
                let mut out = Vec::new();
                codec.decompress(&small, 1 << 20, &mut out).unwrap();
                prop_assert!(out == input, "{}", codec.compression());
            }
        }

        #[test]
        fn arbitrary_input_never_panics(input in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            for codec in each() {
                let _ = codec.decompress(&input, 1 << 16, &mut Vec::new());
            }
        }
    }
}
