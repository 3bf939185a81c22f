//! The budget of buffered bytes, and the queue of those who wait for it, first come, first served (`BufferPool`).

use std::collections::VecDeque;

use tokio::sync::oneshot;

/// The number of a waiter.
pub(super) type Turn = u64;

/// The bytes that a producer may hold. Bytes granted to a waiter count as used at once, so that no later caller can take them.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: usize,
    waiting: VecDeque<Waiting>,
    next_turn: Turn,
}

#[derive(Debug)]
struct Waiting {
    turn: Turn,
    bytes: usize,
    sender: oneshot::Sender<()>,
}

/// Waiters that were admitted, to be woken without the lock.
#[derive(Debug, Default)]
#[must_use = "the waiters sleep until they are woken"]
pub(super) struct Granted(Vec<oneshot::Sender<()>>);

impl Granted {
    pub(super) fn wake(self) {
        for sender in self.0 {
            // A waiter that gave up meanwhile gives the bytes back when its reservation is dropped.
            let _ = sender.send(());
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: 0, waiting: VecDeque::new(), next_turn: 0 }
    }

    /// Whether these bytes can be taken without waiting: not while others wait.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.waiting.is_empty() && self.used + bytes <= self.limit
    }

    /// Takes bytes that [fit](Self::fits).
    pub(super) fn take(&mut self, bytes: usize) {
        debug_assert!(self.fits(bytes), "the caller checked that they fit");
        self.used += bytes;
    }

    /// Queues for bytes.
    pub(super) fn wait(&mut self, bytes: usize) -> (Turn, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        self.next_turn += 1;
        self.waiting.push_back(Waiting { turn: self.next_turn, bytes, sender });
        (self.next_turn, receiver)
    }

    /// Takes bytes back and admits, in turn, the waiters whose bytes fit then.
    pub(super) fn release(&mut self, bytes: usize) -> Granted {
        debug_assert!(bytes <= self.used, "no more comes back than was taken");
        self.used = self.used.saturating_sub(bytes);
        self.grant()
    }

    /// Gives up a turn: leaves the queue, or gives back the bytes that were granted.
    pub(super) fn give_up(&mut self, turn: Turn, bytes: usize) -> Granted {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.turn != turn);
        if self.waiting.len() < before { self.grant() } else { self.release(bytes) }
    }

    fn grant(&mut self) -> Granted {
        let mut granted = Granted::default();
        while self.waiting.front().is_some_and(|waiting| self.used + waiting.bytes <= self.limit) {
            let Some(Waiting { bytes, sender, .. }) = self.waiting.pop_front() else { break };
            self.used += bytes;
            granted.0.push(sender);
        }
        granted
    }

    /// Admits every waiter, because nothing is held any more and nothing will be.
    pub(super) fn end(&mut self) -> Granted {
        self.used += self.waiting.iter().map(|waiting| waiting.bytes).sum::<usize>();
        Granted(self.waiting.drain(..).map(|waiting| waiting.sender).collect())
    }

    /// The most bytes that may be in use.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes in use, those that were granted and not used yet included.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(receiver: &mut oneshot::Receiver<()>) -> bool {
        receiver.try_recv().is_ok()
    }

    #[test]
    fn small_record_never_overtakes_a_large_one() {
        let mut budget = Budget::new(100);
        budget.take(90);
        let (_, mut large) = budget.wait(80);
        let (_, mut small) = budget.wait(5);
        assert!(!budget.fits(5), "there is capacity, but others wait before it");
        budget.release(30).wake();
        assert!(!is_in(&mut large) && !is_in(&mut small));
        budget.release(50).wake();
        assert!(is_in(&mut large) && is_in(&mut small));
        assert_eq!(budget.used(), 95);
    }

    #[test]
    fn cancelled_waiter_gives_back_its_turn_and_its_bytes() {
        let mut budget = Budget::new(100);
        budget.take(90);
        let (first, _) = budget.wait(50);
        let (_, mut second) = budget.wait(10);
        budget.give_up(first, 50).wake();
        assert!(is_in(&mut second), "the head of the queue was dropped");
        let (third, mut receiver) = budget.wait(20);
        budget.release(90).wake();
        assert!(is_in(&mut receiver));
        budget.give_up(third, 20).wake();
        assert_eq!(budget.used(), 10);
    }

    #[test]
    fn end_admits_every_waiter_which_gives_its_bytes_back() {
        let mut budget = Budget::new(100);
        budget.take(90);
        let (first, mut receiver) = budget.wait(50);
        let (second, mut other) = budget.wait(20);
        let mut granted = budget.release(0);
        granted.add(budget.end());
        granted.wake();
        assert!(is_in(&mut receiver) && is_in(&mut other));
        assert_eq!(budget.used(), 160);
        budget.give_up(first, 50).wake();
        budget.give_up(second, 20).wake();
        assert_eq!(budget.used(), 90);
    }

    #[test]
    fn nothing_is_admitted_beyond_the_limit() {
        let mut budget = Budget::new(100);
        budget.take(60);
        assert!(budget.fits(40) && !budget.fits(41));
    }
}
