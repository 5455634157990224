//! The command `wisp`, as users and operators meet it.

mod applications;
mod artifacts;
mod bench;
mod browser;
mod charts;
mod classify;
mod clients;
mod collector;
mod console;
mod console_page;
mod cors;
mod door;
mod drain;
mod embed;
mod environment;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod full_disk;
mod grpc_web;
mod inference;
mod libraries;
mod logs;
mod models;
mod node;
mod observability;
mod oip;
mod pod;
mod probes;
mod promql;
#[cfg(target_os = "linux")]
mod reload;
mod residence;
mod rest;
mod run;
mod serve;
mod slow;
mod support;
mod tenants;
mod tls;
mod traces;
