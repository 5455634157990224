//! The command `wisp`, as users and operators meet it.

mod applications;
mod artifacts;
mod bench;
mod browser;
mod console;
mod console_page;
mod door;
mod drain;
mod embed;
mod environment;
#[cfg(target_os = "linux")]
mod faults;
mod libraries;
mod models;
mod pod;
#[cfg(target_os = "linux")]
mod reload;
mod run;
mod serve;
mod support;
mod tenants;
mod tls;
