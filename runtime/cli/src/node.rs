//! `wisp node`: what is done for a node of a cluster rather than for one of its pods.

mod daemon;
mod install;
mod label;
mod warm;

use anyhow::Result;
use clap::Subcommand;

use crate::GlobalOptions;

/// A node of a cluster.
#[derive(Subcommand)]
pub(crate) enum Node {
    /// Put a bundle onto a node, and let its containerd know of the runtime `wisp`.
    ///
    /// Older versions stay for the pods that run on them. Containerd is restarted only where its configuration changes, and gets its
    /// former one back if it does not come up with the new.
    Install(install::Install),
    /// Say what is on a node; exit code 1 where pods cannot have Wisp there.
    Status(install::ShowStatus),
    /// Take Wisp off a node.
    Uninstall(install::Uninstall),
    /// Prove and compile models into the node's cache, so that pods start with what is proven already.
    ///
    /// A pod takes what is there if model files, placement, library, processor and the number of threads agree; the threads
    /// are those that its limits.cpu grants, divided by the sessions of the model.
    Warm(warm::Warm),
}

impl Node {
    pub(crate) fn run(self, options: &GlobalOptions) -> Result<()> {
        match self {
            Self::Install(install) => install.run(),
            Self::Status(status) => status.run(),
            Self::Uninstall(uninstall) => uninstall.run(),
            Self::Warm(warm) => warm.run(options),
        }
    }
}
