//! Against a real registry on loopback, with `oras` as the independent client in both directions.

mod access;
mod certificates;
mod faults;
mod interop;
mod models;
mod modules;
mod oras;
mod proxy;
mod support;
