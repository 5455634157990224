//! Ways to use up what an instance is limited in: time, memory, handles, stack, log.

use std::hint::black_box;

use wisp_guest::{DataType, HostTensor};

/// How much [`allocate`] takes at a time, in bytes.
const STEP_BYTES: usize = 1 << 20;

/// Never returns, never calls the host.
pub(crate) fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

/// Never returns; calls a cheap function of the host all the while.
pub(crate) fn spin_in_host() -> ! {
    let tensor = HostTensor::new(&[1], DataType::U8, &[0]);
    loop {
        black_box(tensor.ty());
    }
}

/// Takes memory and writes to it until there is none left; then the allocator aborts.
pub(crate) fn allocate() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; STEP_BYTES]));
    }
}

/// Creates tensors in the host and drops none of them.
pub(crate) fn create_tensors() -> ! {
    let data = vec![0_u8; 4096];
    loop {
        std::mem::forget(HostTensor::new(&[4096], DataType::U8, &data));
    }
}

/// Calls itself until the stack is full; every level keeps something to return to.
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    let deeper = if black_box(true) { recurse(depth + 1) } else { depth };
    deeper.max(black_box(frame)[0])
}

/// Writes 1 MiB to standard error, a line of 64 bytes at a time.
pub(crate) fn print_a_megabyte() {
    let line = "-".repeat(63);
    for _ in 0..(1 << 20) / 64 {
        eprintln!("{line}");
    }
}
