//! The packages of the Python example client, in a folder of the cache beside no other Python package.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process::{capture, run_within};
use crate::progress::Step;
use crate::setup::Workplace;
use crate::tools::python;

/// Tells the client's test where the packages lie.
pub(crate) const PACKAGES_VARIABLE: &str = "WISP_PYTHON_CLIENT_PACKAGES";

/// What to install, below the root of the repository.
const REQUIREMENTS: &str = "examples/clients/python/requirements.txt";

/// Installs them, once for each version of Python and of the requirements.
pub(crate) fn ensure(workplace: &Workplace, step: &Step) -> Result<PathBuf> {
    install(workplace, step, "python-client", REQUIREMENTS)
}

/// Installs what a `requirements.txt` of the repository names, in a folder called after `name` and the version of Python.
///
/// `pip install --target` needs neither a virtual environment (a package of its own on Debian) nor the right to change the
/// system's Python, and makes the same folder.
pub(crate) fn install(workplace: &Workplace, step: &Step, name: &str, requirements: &str) -> Result<PathBuf> {
    let requirements = workplace.repository.root().join(requirements);
    let wanted =
        std::fs::read_to_string(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let tag = capture(python().args(["-c", "import sys; print(sys.implementation.cache_tag)"]))?;

    let tools = workplace.home.tools();
    let folder = tools.join(format!("{name}-{}", tag.trim()));
    let stamp = folder.join("wisp-requirements.txt");
    if std::fs::read_to_string(&stamp).ok().as_deref() == Some(&wanted) {
        return Ok(folder);
    }

    std::fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
    let partial = tools.join(format!("{name}-{}.partial-{}", tag.trim(), std::process::id()));
    step.say("pip install");
    let mut pip = python();
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"]);
    // Root may install here: the folder is ours alone.
    pip.env("PIP_ROOT_USER_ACTION", "ignore").arg("--target").arg(&partial).arg("--requirement").arg(&requirements);
    run_within(step, &mut pip)?;
    std::fs::write(partial.join("wisp-requirements.txt"), wanted)
        .with_context(|| format!("cannot write into {}", partial.display()))?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    std::fs::rename(&partial, &folder)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), folder.display()))?;
    Ok(folder)
}
