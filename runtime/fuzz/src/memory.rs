//! A bound on the memory of this process: a script that goes beyond it makes the process abort, which is a finding.
//!
//! What a guest can make the host keep has limits with names. What leaks, or has none, is seen here, long before it would be
//! in the figures of the operating system.

use std::alloc::System;
use std::panic::{set_hook, take_hook};

use cap::Cap;

/// Bytes that all that a script does may take at one time. Its bounds in [`crate::stage`] come to less than a quarter of it;
/// the guest's own memory is not among them.
const ROOM_BYTES: usize = 24 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Bounds what is allocated from now on, until something panics: who reports it needs memory.
pub(crate) fn bound() {
    let limit = ALLOCATOR.allocated().saturating_add(ROOM_BYTES);
    ALLOCATOR.set_limit(limit).expect("no more is allocated than was, and the room");
    let report = take_hook();
    set_hook(Box::new(move |panic| {
        let _ = ALLOCATOR.set_limit(usize::MAX);
        report(panic);
    }));
}
