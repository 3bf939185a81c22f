//! What became of a record: one ticket for each batch, shared by the deliveries of its records.

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

/// The answer to a batch's records, in parts where the batch was split.
#[derive(Debug)]
pub(super) struct Ticket {
    partition: i32,
    /// The outcome of a batch that was decided as a whole.
    whole: OnceLock<Outcome>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Each as (first, count, outcome).
    parts: Vec<(u32, u32, Outcome)>,
    wakers: Vec<Waker>,
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
        if whole {
            // A batch is decided once; a second answer would be a mistake of the core's and changes nothing.
            let _ = self.whole.set(outcome);
        } else {
            state.parts.push((first, count, outcome));
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn receipt(&self, outcome: &Outcome, first: u32, index: u32) -> Result<Receipt, Error> {
        match outcome {
            Outcome::Acknowledged { base_offset, log_append_time } => Ok(Receipt {
                partition: self.partition,
                offset: base_offset.map(|base| base + i64::from(index - first)),
                log_append_time: *log_append_time,
            }),
            Outcome::Failed(error) => Err(error.clone()),
        }
    }

    fn answer(&self, state: &State, index: u32) -> Option<Result<Receipt, Error>> {
        if let Some(outcome) = self.whole.get() {
            return Some(self.receipt(outcome, 0, index));
        }
        let part = state.parts.iter().find(|(first, count, _)| (*first..first + count).contains(&index));
        part.map(|(first, _, outcome)| self.receipt(outcome, *first, index))
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
            return Poll::Ready(self.ticket.receipt(outcome, 0, self.index));
        }
        let mut state = self.ticket.state();
        if let Some(answer) = self.ticket.answer(&state, self.index) {
            return Poll::Ready(answer);
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
