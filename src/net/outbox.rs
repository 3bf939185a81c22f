//! Frames that are to be written, in order, and the callers that are notified when theirs was.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Buf;
use bytes::Bytes;

use crate::error::Written;

/// Frames that a connection has not written yet. `R` is notified when its frame was written whole.
#[derive(Debug)]
pub(super) struct Outbox<R> {
    pieces: VecDeque<Bytes>,
    /// Bytes that were ever put in, and those that were written.
    accepted: u64,
    written: u64,
    /// The frames that are not written whole.
    frames: VecDeque<Frame<R>>,
}

/// Its bytes, counted from the first that was ever put in.
#[derive(Debug)]
struct Frame<R> {
    begin: u64,
    end: u64,
    /// `None` if the frame has a response, which notifies the caller.
    reply: Option<R>,
}

impl<R> Outbox<R> {
    pub(super) fn new() -> Self {
        Self { pieces: VecDeque::new(), accepted: 0, written: 0, frames: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The number of pieces.
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
        self.frames.push_back(Frame { begin, end: self.accepted, reply });
    }

    /// The first pieces, for one write.
    pub(super) fn slices(&self, most: usize) -> Vec<IoSlice<'_>> {
        self.pieces.iter().take(most).map(|piece| IoSlice::new(piece)).collect()
    }

    /// Removes `count` bytes from the front, which were written.
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

    /// The next caller whose frame was written whole.
    pub(super) fn poll_written(&mut self) -> Option<R> {
        while self.frames.front().is_some_and(|frame| frame.end <= self.written) {
            if let Some(reply) = self.frames.pop_front()?.reply {
                return Some(reply);
            }
        }
        None
    }

    /// The callers that are to be notified.
    pub(super) fn replies(&self) -> impl Iterator<Item = &R> {
        self.frames.iter().filter_map(|frame| frame.reply.as_ref())
    }

    /// Gives up. Returns the callers with whether the peer may have their frame (the system may or may not deliver bytes that it
    /// took), and how many frames with a response, the last ones, were not begun.
    pub(super) fn close(&mut self) -> (Vec<(R, Written)>, usize) {
        let mut unsent = 0;
        let mut replies = Vec::new();
        for Frame { begin, reply, .. } in self.frames.drain(..) {
            let written = if begin < self.written { Written::Maybe } else { Written::No };
            match reply {
                Some(reply) => replies.push((reply, written)),
                None => unsent += usize::from(written == Written::No),
            }
        }
        (replies, unsent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(lengths: &[usize]) -> Vec<Bytes> {
        lengths.iter().map(|length| Bytes::from(vec![0; *length])).collect()
    }

    #[test]
    fn caller_is_notified_when_the_last_byte_of_its_frame_was_written() {
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
    fn begun_frame_may_have_arrived_and_later_ones_have_not() {
        let mut outbox = Outbox::new();
        outbox.push(pieces(&[1]), None);
        outbox.push(pieces(&[3, 5]), Some('a'));
        outbox.push(pieces(&[2]), Some('b'));
        outbox.push(pieces(&[2]), None);
        outbox.push(pieces(&[2]), None);
        outbox.wrote(2);
        assert_eq!(outbox.close(), (vec![('a', Written::Maybe), ('b', Written::No)], 2));
    }
}
