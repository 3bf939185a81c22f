//! The signals that end the tool in order: SIGINT, and SIGTERM where there is one.

use std::io;

use tokio::signal;

/// Waits until the user, or the system, asks the tool to end.
#[cfg(unix)]
pub(crate) async fn interrupted() -> io::Result<()> {
    let mut terminated = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

/// Waits until the user asks the tool to end.
#[cfg(not(unix))]
pub(crate) async fn interrupted() -> io::Result<()> {
    signal::ctrl_c().await
}
