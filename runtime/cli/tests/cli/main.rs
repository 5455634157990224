//! The command `wisp`, as users and operators meet it.

mod applications;
mod artifacts;
mod bench;
mod door;
mod drain;
mod embed;
mod environment;
#[cfg(target_os = "linux")]
mod faults;
mod libraries;
mod models;
mod oip;
mod pod;
#[cfg(target_os = "linux")]
mod reload;
mod run;
mod serve;
mod support;
mod tenants;
mod tls;
