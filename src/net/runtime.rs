//! The runtime that runs the tasks of a client, and that its timers belong to.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use tokio::time::Timeout;

use crate::error::Error;

/// The runtime that all tasks of a client are spawned on.
///
/// Its methods may be called on any thread: tokio's own functions panic outside a runtime, and use the caller's runtime within one.
#[derive(Clone, Debug)]
pub struct Runtime(Handle);

impl Runtime {
    /// The runtime of the caller.
    pub fn current() -> Result<Self, Error> {
        let text = "there is no tokio runtime here: call it within one, or pass one by ClientBuilder::runtime";
        Handle::try_current().map(Self).map_err(|_| Error::config(text))
    }

    /// For tokio's own types.
    pub fn handle(&self) -> &Handle {
        &self.0
    }

    /// Spawns a task. If the runtime has ended, the task is dropped.
    ///
    /// It is boxed, so that tokio's code around a task is compiled once for all of them.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
        self.0.spawn(task)
    }

    /// Runs work that takes the processor for long on a thread that may be blocked.
    pub fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.0.spawn_blocking(work));
    }

    /// A timer. It fires although the caller's own runtime is busy, but whoever awaits it runs where it was spawned.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        let _entered = self.0.enter();
        tokio::time::sleep_until(at.into())
    }

    /// Awaits a future until `deadline`.
    pub fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Timeout<F> {
        let _entered = self.0.enter();
        tokio::time::timeout_at(deadline.into(), future)
    }
}

impl From<Handle> for Runtime {
    fn from(handle: Handle) -> Self {
        Self(handle)
    }
}
