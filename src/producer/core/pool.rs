//! Buffers of batches that are done, kept for later batches.

#[derive(Debug)]
pub(super) struct Pool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    bytes_max: usize,
}

impl Pool {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { buffers: Vec::new(), bytes: 0, bytes_max }
    }

    /// A buffer that was used before or, where there is none, a new one of the usual size.
    pub(super) fn take(&mut self, usual: usize) -> Vec<u8> {
        match self.buffers.pop() {
            Some(buffer) => {
                self.bytes -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(usual),
        }
    }

    /// Keeps a buffer, if all that are kept stay within the limit.
    pub(super) fn put(&mut self, buffer: Vec<u8>) {
        if self.bytes + buffer.capacity() <= self.bytes_max {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_kept_within_their_limit_and_used_again() {
        let mut pool = Pool::new(1_000);
        for bytes in [600, 500, 400, 1] {
            pool.put(Vec::with_capacity(bytes));
        }
        assert_eq!(pool.buffers.iter().map(Vec::capacity).collect::<Vec<_>>(), [600, 400]);
        assert_eq!(pool.bytes, 1_000);
        assert_eq!((pool.take(10).capacity(), pool.bytes), (400, 600));
        assert_eq!((pool.take(10).capacity(), pool.bytes), (600, 0));
        assert_eq!(pool.take(10).capacity(), 10);
    }
}
