//! Packages of Python for tests, each set in a folder of the cache beside no other.

use std::path::Path;

use anyhow::{Context, Result};
use wisp_testing::{PYTHON_PACKAGES, PythonPackages};

use crate::process::{capture, run_within};
use crate::progress::Step;
use crate::tools::python;

/// Installs what is missing below `tools`; what is there then, in a few words.
pub(crate) fn ensure(tools: &Path, step: &Step) -> Result<String> {
    let tag = capture(python().args(["-c", "import sys; print(sys.implementation.cache_tag)"]))?;
    for packages in PYTHON_PACKAGES {
        let folder = packages.folder(tools, tag.trim());
        if !packages.are_in(&folder) {
            install(&packages, &folder, step)?;
        }
    }
    Ok(PYTHON_PACKAGES.map(|packages| packages.name).join(", "))
}

/// `pip install --target` needs neither a virtual environment (a package of its own on Debian) nor the right to change the
/// system's Python. The folder appears only when it is complete.
fn install(packages: &PythonPackages, folder: &Path, step: &Step) -> Result<()> {
    let partial = folder.with_extension(format!("partial-{}", std::process::id()));
    std::fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let requirements = partial.join("requirements.txt");
    std::fs::write(&requirements, packages.requirements)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    step.say(&format!("pip install {}, once", packages.name));
    let mut pip = python();
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"]);
    // Root may install here: the folder is ours alone.
    pip.env("PIP_ROOT_USER_ACTION", "ignore").arg("--target").arg(&partial).arg("--requirement").arg(&requirements);
    run_within(step, &mut pip)?;
    packages.stamp(&partial).with_context(|| format!("cannot write into {}", partial.display()))?;
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    std::fs::rename(&partial, folder)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), folder.display()))
}
