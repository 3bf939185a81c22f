//! The thread that runs a client's tasks, and waiting for them on other threads.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::net::clock;
use crate::net::runtime::Runtime;
use crate::types::bounded;

/// A thread with a runtime. It ends when this value is dropped, which does not wait for it.
#[derive(Debug)]
pub(super) struct Background {
    handle: Handle,
    /// Nothing is sent: the thread ends when this is dropped.
    _stop: oneshot::Sender<Infallible>,
}

impl Background {
    pub(super) fn start() -> Result<Arc<Self>, Error> {
        let failed = |error: io::Error| {
            Error::config("the thread of the blocking client could not be started: see the limits of the system")
                .caused_by(error)
        };
        let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // It ends with an error: the sender was dropped.
            let _ = runtime.block_on(stopped);
            // A lookup of a name may take long, and nobody waits for it.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("ottla".to_owned()).spawn(run).map_err(failed)?;
        Ok(Arc::new(Self { handle, _stop: stop }))
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for a call.
    pub(super) fn block<F: Future>(&self, call: F) -> Result<F::Output, Error> {
        if Handle::try_current().is_ok() {
            return Err(Error::config(
                "a blocking call inside a tokio runtime would hold its thread: use the async API there, or a thread of std::thread",
            ));
        }
        Ok(self.handle.block_on(call))
    }

    /// Waits for a call, for `patience` at most. `None` if it takes longer; the call is dropped then.
    pub(super) fn block_for<F: Future>(&self, patience: Duration, call: F) -> Result<Option<F::Output>, Error> {
        let deadline = clock::now() + bounded(patience);
        Ok(self.block(Runtime::from(self.handle()).timeout_at(deadline, call))?.ok())
    }
}
