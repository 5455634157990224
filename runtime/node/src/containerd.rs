//! Containerd on a node: whose it is, where its configuration lies, and which form that has.

pub(crate) mod edit;
mod known;

use std::path::{Path, PathBuf};

pub use edit::{Form, Handler};
pub use known::{find, program};

/// A file that decides what handlers containerd has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose containerd it is: `containerd`, `k3s`, …
    pub distribution: &'static str,
    /// The file, as a path of the node.
    pub file: PathBuf,
    /// The configuration in force, which may be another file.
    pub in_force: PathBuf,
    /// How it is changed.
    pub form: Form,
    /// The format of containerd's configuration: 2 or 3.
    pub version: u8,
    /// The unit of systemd that must start again.
    pub unit: &'static str,
    /// The socket on which it answers, as a path of the node.
    pub socket: &'static Path,
}

impl Place {
    /// Whether the configuration in force is all that containerd is told, and not a part that its distribution adds to.
    pub(crate) fn is_whole(&self) -> bool {
        match &self.form {
            Form::InPlace => true,
            Form::Template => false,
            // Beside what the configuration includes, or in a folder that is put together.
            Form::DropIn(folder) => self.in_force.parent().is_some_and(|parent| folder.starts_with(parent)),
        }
    }
}
