//! Records that were read and not handed out: what a queue reads beyond the count that it was asked for.
//!
//! They have tokens already, so they are open, and no commit runs ahead of them. They are kept with the acknowledgements, so that a
//! rebalance withdraws their tokens at once instead of waiting for them.

use std::collections::VecDeque;

use super::token::AckToken;
use crate::consumer::core::Reset;
use crate::consumer::core::acks::Ledger;
use crate::reading::OwnedRecord;
use crate::types::TopicPartition;

/// The bytes of a record besides its key and value, about.
const RECORD_BYTES: usize = 64;

/// Records, the tokens that acknowledge them, and the positions that were reset since the last time.
#[derive(Debug, Default)]
pub(crate) struct Portion {
    pub(crate) records: Vec<OwnedRecord>,
    pub(crate) tokens: Vec<AckToken>,
    pub(crate) resets: Vec<Reset>,
}

/// Records of one partition, in order, under one token.
#[derive(Debug)]
struct Piece {
    records: VecDeque<OwnedRecord>,
    token: AckToken,
}

/// Records that wait, in the order in which they were read.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pieces: Vec<Piece>,
    resets: Vec<Reset>,
    records: usize,
    bytes: usize,
}

impl Rest {
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// The bytes of their keys and values, and a little for each.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, records: Vec<OwnedRecord>, token: AckToken) {
        self.records += records.len();
        self.bytes += records.iter().map(size).sum::<usize>();
        self.pieces.push(Piece { records: records.into(), token });
    }

    pub(super) fn push_resets(&mut self, resets: Vec<Reset>) {
        self.resets.extend(resets);
    }

    /// Takes the first `count` records, or all of them. The token of a piece that is not taken whole is divided.
    pub(super) fn take(&mut self, count: usize, ledger: &mut Ledger) -> Portion {
        let mut taken = Portion { resets: std::mem::take(&mut self.resets), ..Portion::default() };
        let whole = self.pieces.iter().scan(0, |sum, piece| {
            *sum += piece.records.len();
            Some(*sum)
        });
        let whole = whole.take_while(|sum| *sum <= count).count();
        for piece in self.pieces.drain(..whole) {
            taken.records.extend(piece.records);
            taken.tokens.push(piece.token);
        }
        let wanted = count - taken.records.len();
        if let Some(piece) = self.pieces.first_mut().filter(|_| wanted > 0) {
            taken.records.extend(piece.records.drain(..wanted));
            let (last, rest) = (taken.records.last(), piece.records.front());
            let (last, rest) = last.zip(rest).expect("both parts have records");
            let token = piece.token.divide(ledger, wanted, last.next_position(), rest.offset);
            taken.tokens.push(std::mem::replace(&mut piece.token, token));
        }
        self.forget(&taken.records);
        taken
    }

    /// Takes the records of a partition out, and returns their tokens. No lock may be held when they are dropped.
    pub(super) fn cut(&mut self, key: &TopicPartition) -> Vec<AckToken> {
        let (cut, kept) =
            std::mem::take(&mut self.pieces).into_iter().partition(|piece| piece.token.partition() == key);
        self.pieces = kept;
        self.drop_records(cut)
    }

    /// Takes all records out, as [`Self::cut`].
    pub(super) fn clear(&mut self) -> Vec<AckToken> {
        let all = std::mem::take(&mut self.pieces);
        self.drop_records(all)
    }

    fn drop_records(&mut self, pieces: Vec<Piece>) -> Vec<AckToken> {
        self.forget(pieces.iter().flat_map(|piece| &piece.records));
        pieces.into_iter().map(|piece| piece.token).collect()
    }

    fn forget<'r>(&mut self, records: impl IntoIterator<Item = &'r OwnedRecord>) {
        for record in records {
            self.records -= 1;
            self.bytes -= size(record);
        }
    }
}

fn size(record: &OwnedRecord) -> usize {
    let of = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
    of(&record.key) + of(&record.value) + RECORD_BYTES
}
