//! Compression codecs, pluggable.
