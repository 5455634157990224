//! The command `wisp`, as users and operators meet it.

mod artifacts;
mod bench;
mod embed;
mod environment;
mod libraries;
mod models;
mod serve;
mod support;
mod tenants;
