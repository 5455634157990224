//! Byte buffers aligned for vector loads, built without `unsafe`.

use bytes::Bytes;

/// Alignment in bytes of every buffer made here: a cache line, and the widest vector register in use (AVX-512).
pub const ALIGNMENT_BYTES: usize = 64;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Block([u8; ALIGNMENT_BYTES]);

/// A growable-once, zero-initialised buffer aligned to [`ALIGNMENT_BYTES`], to be filled and then frozen into [`Bytes`].
pub struct AlignedBuffer {
    blocks: Vec<Block>,
    length_bytes: usize,
}

impl AlignedBuffer {
    /// A buffer of `length_bytes` zero bytes.
    #[must_use]
    pub fn zeroed(length_bytes: usize) -> Self {
        let blocks = vec![bytemuck::Zeroable::zeroed(); length_bytes.div_ceil(ALIGNMENT_BYTES)];
        Self { blocks, length_bytes }
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

#[cfg(test)]
mod tests {
    use super::*;

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
