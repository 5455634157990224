//! WASI for guests: clocks, random numbers, standard error into the log, and what is granted. Nothing else.

mod log;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::account::Account;
use log::GuestLog;

/// What a guest's standard streams are.
#[derive(Clone, Debug, Default)]
pub enum Streams {
    /// Nothing to read; what is written to standard output is dropped, and standard error goes to the log.
    #[default]
    Log,
    /// Those of this process, with the arguments that the guest is called with, its own name first.
    Inherited {
        /// The arguments.
        args: Vec<String>,
    },
    /// Memory, for whoever wants to see what a program writes.
    Captured {
        /// The arguments.
        args: Vec<String>,
        /// What the program reads.
        input: Bytes,
        /// What it writes.
        output: Captured,
    },
}

/// What a program wrote, up to a bound; beyond, its writes fail. Clones share it.
#[derive(Clone, Debug)]
pub struct Captured {
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

impl Captured {
    /// Nothing yet, and at most `limit_bytes` of each stream.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { stdout: MemoryOutputPipe::new(limit_bytes), stderr: MemoryOutputPipe::new(limit_bytes) }
    }

    /// Standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Bytes {
        self.stdout.contents()
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Bytes {
        self.stderr.contents()
    }
}

/// A context with what the account's deployment is granted.
///
/// # Errors
/// A granted folder that cannot be opened, by name.
pub(crate) fn context(account: &Account, streams: Streams) -> io::Result<WasiCtxBuilder> {
    let mut context = WasiCtxBuilder::new();
    context.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    match streams {
        Streams::Log => {
            context.stderr(GuestLog::new(Arc::clone(&account.deployment), account.limits.log_bytes));
        }
        Streams::Inherited { args } => {
            context.inherit_stdio().args(&args);
        }
        Streams::Captured { args, input, output } => {
            context.stdin(MemoryInputPipe::new(input)).stdout(output.stdout).stderr(output.stderr).args(&args);
        }
    }
    let outside = account.grants.outside();
    context.envs(&outside.env);
    for dir in &outside.dirs {
        let permissions = if dir.may_write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        let opened = context.preopened_dir(&dir.host, &dir.guest, permissions);
        opened
            .map_err(|error| io::Error::other(format!("folder {} cannot be granted: {error:#}", dir.host.display())))?;
    }
    Ok(context)
}
