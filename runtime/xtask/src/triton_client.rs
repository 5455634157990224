//! The packages of Triton's Python clients, which a test of the Open Inference Protocol runs.

use std::path::PathBuf;

use anyhow::Result;

use crate::progress::Step;
use crate::python_client::install;
use crate::setup::Workplace;

/// Tells the test where the packages lie.
pub(crate) const PACKAGES_VARIABLE: &str = "WISP_TRITON_CLIENT_PACKAGES";

/// What to install, below the root of the repository.
const REQUIREMENTS: &str = "runtime/cli/tests/cli/oip/requirements.txt";

/// Installs them, once for each version of Python and of the requirements.
pub(crate) fn ensure(workplace: &Workplace, step: &Step) -> Result<PathBuf> {
    install(workplace, step, "triton-client", REQUIREMENTS)
}
