//! The command `wisp`, as users and operators meet it.

mod applications;
mod artifacts;
mod bench;
mod classify;
mod door;
mod embed;
mod environment;
#[cfg(target_os = "linux")]
mod faults;
mod libraries;
mod models;
mod pod;
mod run;
mod serve;
mod support;
mod tenants;
