//! Who is notified of the outcome of attempts to connect.

use std::fmt;

use crate::error::Error;

/// Is notified of every attempt to connect to one peer.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A connection was established.
    fn connected(&self);

    /// An attempt failed.
    fn failed(&self, error: &Error);
}
