//! A worker thread that stays on its processor.

/// Keeps this thread on a processor. Where that is refused it runs anywhere, which is slower and never wrong.
#[cfg(target_os = "linux")]
pub(super) fn pin(processor: usize) {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if processor >= CpuSet::MAX_CPU {
        return;
    }
    let mut mask = CpuSet::new();
    mask.set(processor);
    if let Err(error) = sched_setaffinity(None, &mask) {
        tracing::debug!(processor, %error, "a worker is not kept on its processor");
    }
}

/// Only Linux can.
#[cfg(not(target_os = "linux"))]
pub(super) fn pin(_processor: usize) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity};

    #[test]
    fn a_thread_that_is_pinned_stays_on_its_processor_and_others_do_not() {
        let allowed = || sched_getaffinity(None).expect("Linux tells");
        let before = allowed();
        let first = (0..CpuSet::MAX_CPU).find(|&processor| before.is_set(processor)).expect("this thread runs");
        let pinned = std::thread::spawn(move || {
            super::pin(first);
            super::pin(CpuSet::MAX_CPU);
            allowed()
        });
        let pinned = pinned.join().expect("no panic");
        assert!(pinned.is_set(first) && pinned.count() == 1);
        assert_eq!(allowed().count(), before.count());
    }
}
