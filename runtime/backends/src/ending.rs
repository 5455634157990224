//! How a process ends that native libraries were loaded into.

/// Ends the process with this exit code, at once: the exit handlers of native libraries do not run, nothing is dropped, and what is
/// still to be written out is the caller's to flush.
///
/// Those handlers take the libraries' own state apart while threads of ours may still compute with a session or be closing one (a
/// thread in a backend cannot be called back, so no wait for it is long enough), and a clean stop would now and then end in a
/// segmentation fault. What they would release, memory and devices, the system takes back anyway.
#[cfg(unix)]
#[expect(unsafe_code, reason = "a function of the C library that takes no pointers and does not return")]
pub fn end_process(code: u8) -> ! {
    // SAFETY: _exit(2) may be called at any time, from any thread.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Ends the process with this exit code.
#[cfg(not(unix))]
pub fn end_process(code: u8) -> ! {
    std::process::exit(i32::from(code))
}
