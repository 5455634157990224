//! `containerd-shim-wisp-v1`: inference modules, and Linux sidecars beside them, as containers of containerd.
//!
//! One binary in two roles. containerd starts the [`supervisor`], one small process a pod, which answers the task protocol,
//! reaps processes and reports their ends. Whatever touches a container's namespaces, mounts or cgroups is a [`step`]: a
//! short-lived process of its own with a deadline, so that neither a hanging hook nor a panic in a library reaches the
//! supervisor, and no step forks while another thread holds a lock. What a container runs is decided in [`workload`].

#![forbid(unsafe_code)]

mod error;
mod installation;
mod options;
mod step;
mod supervisor;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some(step::ARGUMENT), Some(name)) => step::run(&name),
        _ => supervisor::run(),
    }
}
