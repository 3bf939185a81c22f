//! The async tier: client, producer, consumer and admin as users have them, on a paused clock over a network in memory, and
//! then over loopback.
//!
//! These tests judge what the simulator cannot see: futures that are dropped half way, locks, wake-ups, tasks, shutting down.

mod blackhole;
mod cancel;
mod deadlines;
mod idle;
mod lies;
mod loopback;
mod metadata;
mod misses;
mod moves;
mod net;
mod overdue;
mod recovery;
mod runtimes;
mod shutdown;
mod starting;
mod states;
mod streams;
mod warming;
mod world;

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

/// Runs a test on one thread with a paused clock: it stands while a task can run, and jumps to the next timer otherwise.
fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be had").block_on(test)
}

/// Lets the other tasks of a single-threaded runtime have one poll each.
#[derive(Debug, Default)]
struct Hop(bool);

impl Future for Hop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        // Unlike `yield_now`, which waits until all others are idle: this goes to the end of the queue.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

async fn hops(count: usize) {
    for _ in 0..count {
        Hop::default().await;
    }
}
