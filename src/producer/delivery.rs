//! What became of a record: one ticket for each batch, shared by the deliveries of its records.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use super::core::Outcome;
use crate::error::Error;

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// Its partition.
    pub partition: i32,
    /// Its offset; `None` where the broker did not say (no acknowledgement asked for, or a duplicate it had forgotten
    /// the place of).
    pub offset: Option<i64>,
    /// When the broker appended it, in milliseconds since 1970, for topics that keep that time.
    pub log_append_time: Option<i64>,
}

/// The answer to a batch's records, in parts where the batch was split or refused in part.
#[derive(Debug)]
pub(super) struct Ticket {
    partition: i32,
    /// The outcome of a batch that was decided as a whole.
    whole: OnceLock<Outcome>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the first record of each part: how many there are, and their outcome.
    parts: BTreeMap<u32, (u32, Outcome)>,
    /// Who waits, by record: as many as there are deliveries at most, however often they are polled.
    wakers: BTreeMap<u32, Waker>,
}

impl Ticket {
    pub(super) fn new(partition: i32) -> Self {
        Self { partition, whole: OnceLock::new(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what became of `count` records from `first` on. A part that is the whole batch needs no look-up later.
    pub(super) fn resolve(&self, first: u32, count: u32, outcome: Outcome, whole: bool) {
        let mut state = self.state();
        let told = if whole {
            // A batch is decided once; a second answer would be a mistake of the core's and changes nothing.
            let _ = self.whole.set(outcome);
            std::mem::take(&mut state.wakers)
        } else {
            state.parts.insert(first, (count, outcome));
            let mut told = state.wakers.split_off(&first);
            state.wakers.append(&mut told.split_off(&first.saturating_add(count)));
            told
        };
        drop(state);
        let mut last: Option<Waker> = None;
        for waker in told.into_values() {
            // Neighbours are most often awaited by one task.
            if !last.as_ref().is_some_and(|last| last.will_wake(&waker)) {
                waker.wake_by_ref();
                last = Some(waker);
            }
        }
    }

    fn receipt(&self, outcome: &Outcome, index: u32) -> Result<Receipt, Error> {
        match outcome {
            Outcome::Acknowledged { base_offset, log_append_time } => Ok(Receipt {
                partition: self.partition,
                offset: base_offset.map(|base| base.saturating_add(i64::from(index))),
                log_append_time: *log_append_time,
            }),
            Outcome::Failed(error) => Err(error.clone()),
        }
    }

    fn answer(&self, state: &State, index: u32) -> Option<Result<Receipt, Error>> {
        if let Some(outcome) = self.whole.get() {
            return Some(self.receipt(outcome, index));
        }
        let (first, (count, outcome)) = state.parts.range(..=index).next_back()?;
        (index - first < *count).then(|| self.receipt(outcome, index - first))
    }
}

/// The answer to one record, to come. Dropping it does not withdraw the record.
#[derive(Debug)]
#[must_use = "a delivery tells whether the record was written"]
pub struct Delivery {
    pub(super) ticket: Arc<Ticket>,
    pub(super) index: u32,
}

impl Delivery {
    /// The partition that the record goes to.
    pub fn partition(&self) -> i32 {
        self.ticket.partition
    }
}

impl Future for Delivery {
    type Output = Result<Receipt, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.ticket.whole.get() {
            return Poll::Ready(self.ticket.receipt(outcome, self.index));
        }
        let mut state = self.ticket.state();
        if let Some(answer) = self.ticket.answer(&state, self.index) {
            return Poll::Ready(answer);
        }
        state
            .wakers
            .entry(self.index)
            .and_modify(|waker| waker.clone_from(cx.waker()))
            .or_insert_with(|| cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::task::Wake;

    use super::*;
    use crate::error::Kind;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn acknowledged(base: i64) -> Outcome {
        Outcome::Acknowledged { base_offset: Some(base), log_append_time: None }
    }

    #[test]
    fn each_part_answers_its_own_records_and_wakes_only_those() {
        let ticket = Arc::new(Ticket::new(3));
        let mut deliveries: Vec<Delivery> =
            (0..4).map(|index| Delivery { ticket: Arc::clone(&ticket), index }).collect();
        let counts: Vec<Arc<Count>> = (0..4).map(|_| Arc::default()).collect();
        let mut poll = |index: usize| {
            let waker = Waker::from(Arc::clone(&counts[index]));
            Pin::new(&mut deliveries[index]).poll(&mut Context::from_waker(&waker))
        };
        for index in 0..4 {
            assert!(poll(index).is_pending() && poll(index).is_pending());
        }
        ticket.resolve(1, 2, acknowledged(10), false);
        let woken = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(woken(), [0, 1, 1, 0]);
        let Poll::Ready(Ok(receipt)) = poll(2) else { panic!("it is decided") };
        assert_eq!((receipt.partition, receipt.offset), (3, Some(11)));
        assert!(poll(0).is_pending() && poll(3).is_pending());
        ticket.resolve(3, 1, Outcome::Failed(Error::new(Kind::Timeout, "late")), false);
        ticket.resolve(0, 1, acknowledged(20), false);
        assert_eq!(woken(), [1, 1, 1, 1]);
        assert!(matches!(poll(3), Poll::Ready(Err(error)) if error.is_timeout()));
    }
}
