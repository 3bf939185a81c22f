//! Futures that run side by side in one task.

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Runs two futures side by side in this task. Dropping it drops both. (`tokio::join!` needs tokio's feature `macros`.)
pub(crate) async fn both<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    let mut outputs = (None, None);
    poll_fn(|cx| {
        if outputs.0.is_none()
            && let Poll::Ready(output) = one.as_mut().poll(cx)
        {
            outputs.0 = Some(output);
        }
        if outputs.1.is_none()
            && let Poll::Ready(output) = other.as_mut().poll(cx)
        {
            outputs.1 = Some(output);
        }
        match (outputs.0.take(), outputs.1.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            incomplete => {
                outputs = incomplete;
                Poll::Pending
            }
        }
    })
    .await
}

/// Runs two futures side by side in this task, until one of them is ready; `one` is asked first. The other one is dropped.
#[cfg(feature = "queue")]
pub(crate) async fn first<O>(one: impl Future<Output = O>, other: impl Future<Output = O>) -> O {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        Poll::Ready(output) => Poll::Ready(output),
    })
    .await
}

/// Runs futures side by side in this task. Returns their outputs in order. Dropping it drops them all.
pub(crate) async fn all<F: Future>(futures: Vec<Pin<Box<F>>>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    let mut futures: Vec<Option<Pin<Box<F>>>> = futures.into_iter().map(Some).collect();
    poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if let Some(Poll::Ready(ready)) = future.as_mut().map(|future| future.as_mut().poll(cx)) {
                (*future, *output) = (None, Some(ready));
            }
        }
        if futures.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().map(|output| output.expect("each future has completed")).collect()
}
