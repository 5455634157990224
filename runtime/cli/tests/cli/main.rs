//! The command `wisp`, as users and operators meet it.

mod applications;
mod artifacts;
mod bench;
mod clients;
mod door;
mod embed;
mod environment;
#[cfg(target_os = "linux")]
mod faults;
mod grpc_web;
mod inference;
mod libraries;
mod models;
mod pod;
mod rest;
mod run;
mod serve;
mod support;
mod tenants;
