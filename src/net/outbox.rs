//! Pieces that are to be written, in order, and who is to hear of it when they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Buf;
use bytes::Bytes;

use crate::error::Written;

/// What a connection has still to write. `R` hears when its frame was written whole.
#[derive(Debug)]
pub(super) struct Outbox<R> {
    pieces: VecDeque<Bytes>,
    /// Bytes that were ever put in, and those that were written.
    accepted: u64,
    written: u64,
    /// Where each frame begins and ends that somebody wants to hear of.
    waiting: VecDeque<(u64, u64, R)>,
}

impl<R> Outbox<R> {
    pub(super) fn new() -> Self {
        Self { pieces: VecDeque::new(), accepted: 0, written: 0, waiting: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many pieces there are.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Adds a frame.
    pub(super) fn push(&mut self, pieces: impl IntoIterator<Item = Bytes>, reply: Option<R>) {
        let begin = self.accepted;
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            self.accepted += piece.len() as u64;
            self.pieces.push_back(piece);
        }
        if let Some(reply) = reply {
            self.waiting.push_back((begin, self.accepted, reply));
        }
    }

    /// The first pieces, for one write.
    pub(super) fn slices(&self, most: usize) -> Vec<IoSlice<'_>> {
        self.pieces.iter().take(most).map(|piece| IoSlice::new(piece)).collect()
    }

    /// Takes `count` bytes off the front, which were written.
    pub(super) fn wrote(&mut self, mut count: usize) {
        self.written += count as u64;
        while let Some(front) = self.pieces.front_mut().filter(|_| count > 0) {
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }

    /// The next whose frame was written whole.
    pub(super) fn poll_written(&mut self) -> Option<R> {
        self.waiting.front().filter(|(_, end, _)| *end <= self.written)?;
        self.waiting.pop_front().map(|(_, _, reply)| reply)
    }

    /// Who is to hear of a frame.
    pub(super) fn replies(&self) -> impl Iterator<Item = &R> {
        self.waiting.iter().map(|(_, _, reply)| reply)
    }

    /// Gives up: who still waits, and whether the peer may have its frame. What the system took may arrive or not.
    pub(super) fn close(&mut self) -> Vec<(R, Written)> {
        let written = self.written;
        let fate = |begin| if begin < written { Written::Maybe } else { Written::No };
        self.waiting.drain(..).map(|(begin, _, reply)| (reply, fate(begin))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(lengths: &[usize]) -> Vec<Bytes> {
        lengths.iter().map(|length| Bytes::from(vec![0; *length])).collect()
    }

    #[test]
    fn a_frame_is_told_of_when_its_last_byte_was_written() {
        let mut outbox = Outbox::new();
        outbox.push(pieces(&[3, 0, 5]), Some('a'));
        outbox.push(pieces(&[2]), None);
        outbox.push(pieces(&[4]), Some('b'));
        outbox.wrote(7);
        assert_eq!(outbox.poll_written(), None);
        outbox.wrote(3);
        assert_eq!((outbox.poll_written(), outbox.poll_written()), (Some('a'), None));
        assert_eq!(outbox.len(), 1);
        outbox.wrote(4);
        assert_eq!(outbox.poll_written(), Some('b'));
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_was_begun_may_have_arrived_and_what_was_not_has_not() {
        let mut outbox = Outbox::new();
        outbox.push(pieces(&[3, 5]), Some('a'));
        outbox.push(pieces(&[2]), Some('b'));
        outbox.wrote(1);
        assert_eq!(outbox.close(), [('a', Written::Maybe), ('b', Written::No)]);
    }
}
