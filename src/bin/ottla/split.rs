//! Splits a stream of bytes into records at a delimiter, and bounds the memory that a record takes.

use std::ops::Range;

/// How an input is split.
#[derive(Clone, Debug)]
pub(crate) struct Splitting {
    /// The delimiter of records, never empty; `None` makes the whole input one record.
    pub(crate) delimiter: Option<Vec<u8>>,
    /// The most bytes of a record. A larger one is skipped, so that an endless line does not take all memory.
    pub(crate) record_max: usize,
}

/// Records that ended within one read.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) bytes: Vec<u8>,
    /// The length of the read, in bytes of the input.
    pub(crate) read: usize,
}

/// One record of a chunk.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Its place in the bytes of the chunk, without its delimiter.
    Record(Range<usize>),
    /// It has more bytes than a record may have.
    TooLong,
}

pub(crate) struct Splitter {
    splitting: Splitting,
    /// The beginning of a record that has not ended.
    rest: Vec<u8>,
    /// The number of its bytes in which no delimiter begins.
    searched: usize,
    /// Its first bytes were dropped, because it is too long.
    is_skipping: bool,
    is_empty: bool,
}

impl Splitter {
    pub(crate) fn new(splitting: Splitting) -> Self {
        Self { splitting, rest: Vec::new(), searched: 0, is_skipping: false, is_empty: true }
    }

    /// Takes the next bytes. Returns the records that end in them.
    pub(crate) fn push(&mut self, block: &[u8]) -> Chunk {
        self.is_empty = false;
        self.rest.extend_from_slice(block);
        let mut pieces = Vec::new();
        let mut begin = 0;
        while let Some((end, next)) = self.delimiter_from(begin.max(self.searched)) {
            pieces.push(self.piece(begin..end));
            begin = next;
        }
        // A delimiter may have begun in the last bytes.
        let open = self.splitting.delimiter.as_ref().map_or(0, |delimiter| delimiter.len() - 1);
        // A record that goes on is not copied again with each read.
        let mut bytes = Vec::new();
        if begin > 0 {
            let rest = self.rest.split_off(begin);
            bytes = std::mem::replace(&mut self.rest, rest);
        }
        self.searched = self.rest.len().saturating_sub(open);
        if self.searched > self.splitting.record_max {
            self.rest.drain(..self.searched);
            (self.searched, self.is_skipping) = (0, true);
        }
        Chunk { pieces, bytes, read: block.len() }
    }

    /// Ends the input. Returns its last record, if that had no delimiter.
    pub(crate) fn end(mut self) -> Chunk {
        let is_open = !self.rest.is_empty() || self.is_skipping;
        let is_empty_whole = self.is_empty && self.splitting.delimiter.is_none();
        if !is_open && !is_empty_whole {
            return Chunk::default();
        }
        let piece = self.piece(0..self.rest.len());
        Chunk { pieces: vec![piece], bytes: self.rest, read: 0 }
    }

    fn piece(&mut self, range: Range<usize>) -> Piece {
        let is_too_long = std::mem::take(&mut self.is_skipping) || range.len() > self.splitting.record_max;
        if is_too_long { Piece::TooLong } else { Piece::Record(range) }
    }

    /// Where the first delimiter from here on begins and ends.
    fn delimiter_from(&self, from: usize) -> Option<(usize, usize)> {
        let delimiter = self.splitting.delimiter.as_deref()?;
        let at = from + find(self.rest.get(from..)?, delimiter)?;
        Some((at, at + delimiter.len()))
    }
}

/// Where `needle`, which is not empty, first begins in `bytes`.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [byte] => bytes.iter().position(|candidate| candidate == byte),
        _ => bytes.windows(needle.len()).position(|window| window == needle),
    }
}
