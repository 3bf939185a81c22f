//! The outcome of a record: each batch has one ticket, shared by the deliveries of its records.

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

/// The place at which a record was written.
///
/// ```no_run
/// # async fn run(producer: ottla::producer::Producer) -> Result<(), ottla::Error> {
/// let receipt = producer.send(ottla::Record::to("events").value("clicked")).await?;
/// if let Some(offset) = receipt.offset {
///     println!("partition {}, offset {offset}", receipt.partition);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// Its partition.
    pub partition: i32,
    /// Its offset; `None` where the broker did not say: no acknowledgement was requested, or the batch was a duplicate whose
    /// offset the broker had forgotten.
    pub offset: Option<i64>,
    /// When the broker appended it, in milliseconds since 1970, for topics that keep that time.
    pub log_append_time: Option<i64>,
}

/// The outcome of a batch's records, in parts where the batch was split or refused in part.
#[derive(Debug)]
pub(super) struct Ticket {
    partition: i32,
    /// The outcome of a batch that was decided as a whole.
    whole: OnceLock<Outcome>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of records and the outcome of each part, by its first record.
    parts: BTreeMap<u32, (u32, Outcome)>,
    /// The task that waits for each record: at most one for each delivery, however often it is polled.
    wakers: BTreeMap<u32, Waker>,
}

impl Ticket {
    pub(super) fn new(partition: i32) -> Self {
        Self { partition, whole: OnceLock::new(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves `count` records from `first` on. A part that is the whole batch needs no look-up later.
    pub(super) fn resolve(&self, first: u32, count: u32, outcome: Outcome, whole: bool) {
        let mut state = self.state();
        let woken = if whole {
            // A batch is decided once: a second outcome would be a defect of the core, and changes nothing.
            let _ = self.whole.set(outcome);
            std::mem::take(&mut state.wakers)
        } else {
            state.parts.insert(first, (count, outcome));
            let mut woken = state.wakers.split_off(&first);
            state.wakers.append(&mut woken.split_off(&first.saturating_add(count)));
            woken
        };
        drop(state);
        let mut last: Option<Waker> = None;
        for waker in woken.into_values() {
            // One task awaits most neighbours.
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

/// A future of one record's [`Receipt`]. Dropping it does not withdraw the record.
///
/// ```no_run
/// # async fn run(producer: ottla::producer::Producer) -> Result<(), ottla::Error> {
/// use ottla::Record;
/// use ottla::error::Written;
///
/// let first = producer.enqueue(Record::to("events").value("1")).await?;
/// let second = producer.enqueue(Record::to("events").value("2")).await?;
/// // Both are on their way in one batch.
/// for delivery in [first, second] {
///     match delivery.await {
///         Ok(receipt) => println!("written to partition {}", receipt.partition),
///         Err(error) if error.is_written() == Some(Written::No) => println!("may be sent again: {error}"),
///         Err(error) => println!("may be in the log: {error}"),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a delivery resolves to whether the record was written"]
pub struct Delivery {
    pub(super) ticket: Arc<Ticket>,
    pub(super) index: u32,
}

impl Delivery {
    /// The partition of the record.
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
    fn each_part_resolves_and_wakes_only_its_own_records() {
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
