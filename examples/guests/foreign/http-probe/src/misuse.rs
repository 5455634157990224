//! Ways not to answer, and an answer that comes after all memory was asked for.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use wasi::http::types::ResponseOutparam;

use crate::answer::Answer;

/// How much [`allocate`] takes at a time, in bytes.
const STEP_BYTES: usize = 1 << 20;

/// Never returns, never calls the host.
pub(crate) fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

/// Never returns, and waits in the host all the while.
pub(crate) fn sleep() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Takes memory and writes to it until it is refused, gives it back, and answers how much it was.
pub(crate) fn allocate(out: ResponseOutparam) -> io::Result<()> {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut step = Vec::new();
        if step.try_reserve_exact(STEP_BYTES).is_err() || held.try_reserve(1).is_err() {
            break;
        }
        step.resize(STEP_BYTES, 1);
        held.push(black_box(step));
    }
    let taken = held.len();
    drop(held);
    Answer::begin(out, 200, "text/plain")?.text(&format!("refused after {taken} MiB"))
}
