//! Buffers to decompress into, shared by a reader and the records it returned, and used again.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// A pool of buffers, cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// Buffers kept, and bytes of the largest that is kept.
const BUFFERS_MAX: usize = 16;
const BUFFER_BYTES_MAX: usize = 4 << 20;

impl Buffers {
    /// Takes a buffer that was used before, or an empty one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer for later, unless there are enough or it is too large.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX {
            buffers.push(buffer);
        }
    }
}
