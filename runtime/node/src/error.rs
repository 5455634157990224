//! What can be wrong with a node, with the remedy.

use std::path::{Path, PathBuf};

/// Why a node is as it was.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file or folder.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Of what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is to be installed is no bundle.
    #[error("{} is no bundle: {reason}; make one with `cargo xtask bundle`", .path.display())]
    Bundle {
        /// The folder.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// Another bundle of this version is there.
    #[error(
        "version {version} is installed already, with other content ({there}, not {new}); give the new one another version"
    )]
    OtherContent {
        /// The version.
        version: String,
        /// The digest of what is there.
        there: String,
        /// The digest of what was to be installed.
        new: String,
    },
    /// There is no containerd that is known.
    #[error(
        "no containerd was found below {}: none of its configurations is there, nor a program in {searched}; name the configuration \
         with --containerd-config", .root.display()
    )]
    NoContainerd {
        /// The node's root.
        root: PathBuf,
        /// Where programs were looked for.
        searched: String,
    },
    /// A system whose files cannot be changed from within.
    #[error("{system} does not let its files be changed while it runs; {remedy}")]
    Immutable {
        /// Its name.
        system: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// Containerd's configuration cannot be used.
    #[error("{}: {reason}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Containerd does not take what was to be written.
    #[error("containerd refuses the new configuration of {}, which was not put in place: {reason}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// Containerd did not come up, and has its former configuration again.
    #[error(
        "containerd did not come up with the new configuration: {reason}; the former one is in place again, {outcome}"
    )]
    RolledBack {
        /// What it says.
        reason: String,
        /// How it is with the former one.
        outcome: String,
    },
}

impl NodeError {
    /// Adds what was done, and with what.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn config(path: &Path, reason: impl Into<String>) -> Self {
        Self::Config { path: path.to_owned(), reason: reason.into() }
    }
}
