//! Byte buffers aligned for vector loads, built without `unsafe` and used again.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

/// Alignment in bytes of every buffer made here: a cache line, and the widest vector register in use (AVX-512).
pub const ALIGNMENT_BYTES: usize = 64;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Block([u8; ALIGNMENT_BYTES]);

/// Buffers that a pool keeps at most; more are given back to the system.
const POOL_LIMIT: usize = 16;

/// Bytes of the largest buffer that a pool keeps: one odd request must not be remembered for ever.
const POOLED_LIMIT_BYTES: usize = 32 << 20;

/// A growable-once, zero-initialised buffer aligned to [`ALIGNMENT_BYTES`], to be filled and then frozen into [`Bytes`].
pub struct AlignedBuffer {
    blocks: Vec<Block>,
    length_bytes: usize,
    /// Where the memory goes when nobody needs the bytes any more.
    home: Weak<Free>,
}

/// Memory for buffers of one kind of work, such as the inputs of a session's batches: what was given back is used again,
/// without asking the system for pages. Clones share it.
#[derive(Clone, Default)]
pub struct BufferPool {
    free: Arc<Free>,
}

#[derive(Default)]
struct Free(Mutex<Vec<Vec<Block>>>);

impl BufferPool {
    /// A buffer of `length_bytes` zero bytes that comes back here when the last [`Bytes`] over it is dropped.
    #[must_use]
    pub fn zeroed(&self, length_bytes: usize) -> AlignedBuffer {
        let mut blocks = self.free.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        blocks.clear();
        blocks.resize(length_bytes.div_ceil(ALIGNMENT_BYTES), bytemuck::Zeroable::zeroed());
        AlignedBuffer { blocks, length_bytes, home: Arc::downgrade(&self.free) }
    }
}

impl AlignedBuffer {
    /// A buffer of `length_bytes` zero bytes.
    #[must_use]
    pub fn zeroed(length_bytes: usize) -> Self {
        let blocks = vec![bytemuck::Zeroable::zeroed(); length_bytes.div_ceil(ALIGNMENT_BYTES)];
        Self { blocks, length_bytes, home: Weak::new() }
    }

    /// An aligned copy of `bytes`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.as_mut_slice().copy_from_slice(bytes);
        buffer
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.length_bytes]
    }

    /// Hands the buffer over as shared, immutable bytes without a copy.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.blocks)[..self.length_bytes]
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut free = home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < POOL_LIMIT && self.blocks.capacity() * ALIGNMENT_BYTES <= POOLED_LIMIT_BYTES {
            free.push(std::mem::take(&mut self.blocks));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_to_the_pool_with_the_last_reader_and_is_zero_again() {
        let pool = BufferPool::default();
        let mut buffer = pool.zeroed(1000);
        buffer.as_mut_slice().fill(7);
        let address = buffer.as_mut_slice().as_ptr();
        let bytes = buffer.freeze();
        let reader = bytes.slice(10..20);
        drop(bytes);
        assert_ne!(pool.zeroed(1000).as_mut_slice().as_ptr(), address, "somebody still reads it");
        drop(reader);
        let mut again = pool.zeroed(900);
        assert_eq!(again.as_mut_slice().as_ptr(), address);
        assert!(again.as_mut_slice().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_pool_keeps_neither_many_buffers_nor_huge_ones() {
        let pool = BufferPool::default();
        let many: Vec<_> = (0..POOL_LIMIT + 3).map(|_| pool.zeroed(64)).collect();
        drop(many);
        drop(pool.zeroed(POOLED_LIMIT_BYTES + ALIGNMENT_BYTES));
        assert_eq!(pool.free.0.lock().expect("no panic").len(), POOL_LIMIT);
    }

    #[test]
    fn frozen_bytes_are_aligned_and_unchanged() {
        for length in [0, 1, 63, 64, 65, 1000] {
            let source: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let bytes = AlignedBuffer::copy_of(&source).freeze();
            assert_eq!(bytes, source);
            if length > 0 {
                assert_eq!(bytes.as_ptr().align_offset(ALIGNMENT_BYTES), 0, "length {length}");
            }
        }
    }
}
