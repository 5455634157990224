//! Queue, workers and batches with sessions that the test drives.

mod driven;
mod faults;
mod observed;
mod rests;
mod sharing;
mod waits;
