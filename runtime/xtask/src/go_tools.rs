//! Programs in Go that tests need, built by `go install` at pinned versions; where Go is missing, their tests are skipped.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use wisp_testing::{GO_TOOLS, GoTool};

use crate::process::{capture, is_executable, run_within};
use crate::progress::Step;

/// What to do without Go.
pub(crate) const REMEDY: &str = "install Go 1.25 or later from go.dev or by your system's package manager";

/// Version of the Go compiler, or `None` when it is missing.
pub(crate) fn version() -> Option<String> {
    let version = capture(Command::new("go").arg("version")).ok()?;
    Some(version.trim().trim_start_matches("go version ").to_owned())
}

/// Programs that are not built yet.
pub(crate) fn missing(tools: &Path) -> impl Iterator<Item = GoTool> {
    GO_TOOLS.into_iter().filter(|tool| !is_executable(&tool.program(tools)))
}

/// Builds what is missing below `tools`; what is there then, in a few words.
pub(crate) fn ensure(tools: &Path, step: &Step) -> Result<String> {
    let is_incomplete = missing(tools).next().is_some();
    if is_incomplete && version().is_none() {
        return Ok(format!("skipped, and the tests with them: no Go; {REMEDY}"));
    }
    for tool in missing(tools) {
        install(tool, tools, step)?;
    }
    let names: Vec<_> = GO_TOOLS.iter().map(|tool| format!("{} {}", tool.name, tool.version)).collect();
    Ok(names.join(", "))
}

/// The folder appears only when it is complete.
fn install(tool: GoTool, tools: &Path, step: &Step) -> Result<()> {
    let GoTool { name, package, version } = tool;
    let partial = tools.join(format!("{name}-{version}.partial-{}", std::process::id()));
    std::fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    step.say(&format!("go install {name}, once"));
    let mut install = Command::new("go");
    install.args(["install", "-trimpath"]).arg(format!("{package}@{version}")).env("GOBIN", &partial);
    // The user's own flags may be for a module of theirs; a cross compiler would refuse GOBIN.
    install.env_remove("GOFLAGS").env_remove("GOOS").env_remove("GOARCH");
    run_within(step, &mut install)?;
    let folder = tool.folder(tools);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    std::fs::rename(&partial, &folder)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), folder.display()))
}
