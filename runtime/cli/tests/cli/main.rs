//! The command `wisp`, as users and operators meet it.

mod applications;
mod artifacts;
mod bench;
mod collector;
mod door;
mod embed;
mod environment;
#[cfg(target_os = "linux")]
mod faults;
mod libraries;
mod logs;
mod models;
mod observability;
mod pod;
mod probes;
mod promql;
mod run;
mod serve;
mod support;
mod tenants;
mod traces;
