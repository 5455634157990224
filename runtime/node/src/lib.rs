//! Puts Wisp onto a node of a cluster, and takes it off again.
//!
//! An installation is a [bundle] below `/opt/wisp`, one folder a version, with a link `current` to the one that new pods get, and a
//! runtime handler in containerd's configuration that names the shim behind that link. [`install`] brings both about, lets containerd
//! read its configuration again only where that changed, and takes everything back where containerd does not come up with it.
//! Whatever it is interrupted at, the next run finishes: each step looks at what is there, and nothing appears before it is whole.
//!
//! All paths are below a root, `/` or where a container has mounted the node's, so that the same program is tried in a folder.
//!
//! [bundle]: bundle::Bundle

#![forbid(unsafe_code)]

pub mod bundle;
pub mod containerd;
mod error;
mod files;
mod install;
mod status;
mod uninstall;

use std::path::{Path, PathBuf};

use containerd::Place;

pub use error::NodeError;
pub use install::{Installed, install};
pub use status::{Status, status};
pub use uninstall::{Uninstalled, uninstall};

/// Where installations lie on a node.
const PREFIX: &str = "opt/wisp";

/// A node, by the folder in which its root lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    root: PathBuf,
}

/// What lets containerd read its configuration again.
pub trait Daemon {
    /// Whether containerd takes the configuration in this file.
    ///
    /// # Errors
    /// What it says against it.
    fn check(&self, config: &Path) -> Result<(), String>;

    /// Restarts it, and waits until it answers.
    ///
    /// # Errors
    /// Why it does not.
    fn restart(&self, place: &Place) -> Result<(), String>;
}

impl Node {
    /// The node whose root lies at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A path of the node, `/etc/hosts` for instance, as this process reaches it.
    #[must_use]
    pub fn path(&self, on_node: impl AsRef<Path>) -> PathBuf {
        let on_node = on_node.as_ref();
        self.root.join(on_node.strip_prefix("/").unwrap_or(on_node))
    }

    /// The folder of all installations.
    fn prefix(&self) -> PathBuf {
        self.path(PREFIX)
    }
}
