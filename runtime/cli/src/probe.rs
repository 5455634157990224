//! `wisp probe`: what the engine starts to look at a native library from another process.

use std::path::{Path, PathBuf};

use clap::Args;
use wisp_core::BackendId;

use crate::{GlobalOptions, output};

/// Print what one backend finds on this machine, as JSON.
#[derive(Args)]
pub(crate) struct Probe {
    /// The backend.
    #[arg(value_name = "BACKEND")]
    backend: BackendId,
}

/// The argument before the name of the backend.
const NAME: &str = "probe";

/// How the loaders of glibc are called.
const LOADER_PREFIX: &str = "ld-linux";

/// Has the engine look at libraries through this program.
pub(crate) fn install() {
    // A binary that was replaced while it runs cannot start itself; libraries are then loaded unseen, as without this.
    if let Ok(started) = std::env::current_exe() {
        let (program, mut arguments) = starting(&started);
        arguments.extend(["--offline".to_owned(), NAME.to_owned()]);
        wisp_engine::use_probe_program(program, arguments);
    }
}

/// What to start this program again with. A bundle that does not lie where it will be mounted is started through its own
/// loader, and then the loader is what the system knows this process by.
fn starting(started: &Path) -> (PathBuf, Vec<String>) {
    let is_loader = started.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LOADER_PREFIX));
    match started.parent().filter(|_| is_loader) {
        Some(libraries) => {
            let program = libraries.with_file_name("bin").join("wisp");
            let arguments =
                ["--library-path".to_owned(), libraries.display().to_string(), program.display().to_string()];
            (started.to_owned(), arguments.to_vec())
        }
        None => (started.to_owned(), Vec::new()),
    }
}

impl Probe {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let report = wisp_engine::probe_backend(&options.store()?, self.backend);
        let report = report.ok_or_else(|| anyhow::anyhow!("backend `{}` is not in this binary", self.backend))?;
        output::line(serde_json::to_string(&report)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_its_loader_started_is_started_by_it_again() {
        let (program, arguments) = starting(Path::new("/srv/wisp-1/lib/ld-linux-x86-64.so.2"));
        assert_eq!(program, Path::new("/srv/wisp-1/lib/ld-linux-x86-64.so.2"));
        assert_eq!(arguments, ["--library-path", "/srv/wisp-1/lib", "/srv/wisp-1/bin/wisp"]);
        assert_eq!(starting(Path::new("/usr/bin/wisp")), (PathBuf::from("/usr/bin/wisp"), Vec::new()));
    }
}
