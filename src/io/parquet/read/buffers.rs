//! Buffers that are used again and again: fresh memory costs the system about as much as decoding into it.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::MutableBuffer;

/// The buffers of batches that nobody holds any more.
pub struct BufferPool {
    buffers: Mutex<Vec<MutableBuffer>>,
    max_kept: usize,
}

impl BufferPool {
    pub fn new(max_kept: usize) -> Self {
        Self { buffers: Mutex::default(), max_kept }
    }

    /// A buffer of `bytes` bytes, which may hold old data.
    pub fn take(self: &Arc<Self>, bytes: usize) -> PooledBuffer {
        let used = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = used.unwrap_or_default();
        buffer.resize(bytes, 0);
        PooledBuffer { buffer, pool: self.clone() }
    }
}

/// A buffer that returns to its pool when it is dropped.
pub struct PooledBuffer {
    pub buffer: MutableBuffer,
    pool: Arc<BufferPool>,
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut buffers = self.pool.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < self.pool.max_kept {
            buffers.push(std::mem::take(&mut self.buffer));
        }
    }
}
