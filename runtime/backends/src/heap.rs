//! What a session leaves behind in the heap, given back to the system.

/// Gives the heap's free pages back when it is dropped: the last field of a session.
///
/// Weights come in thousands of pieces too small for mappings of their own, and glibc keeps the pages of what is freed in the
/// middle of its heaps: without this, a model that is unloaded still takes most of its memory.
pub(crate) struct TrimsHeap;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a function of the C library that takes no pointers")]
impl Drop for TrimsHeap {
    fn drop(&mut self) {
        // SAFETY: malloc_trim(3) may be called at any time, from any thread.
        unsafe { libc::malloc_trim(0) };
    }
}
