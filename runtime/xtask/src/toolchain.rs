//! The compiler that guests are built with: Rust's own where its targets for WASI can be had, else Debian's.

mod debian;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::process::{capture, cargo, find_program};
use crate::progress::Step;
use debian::DebianCompiler;

/// What a guest is built for unless its package says otherwise: a component.
pub(crate) const COMPONENT_TARGET: &str = "wasm32-wasip2";

/// A core module with imports of WASI preview 1, which guests written for older hosts are.
pub(crate) const MODULE_TARGET: &str = "wasm32-wasip1";

/// Every target that a guest may be built for; a guest compiler has all of them.
pub(crate) const GUEST_TARGETS: [&str; 2] = [MODULE_TARGET, COMPONENT_TARGET];

/// What rustc calls to link a component; it calls `wasm-ld` in turn.
const COMPONENT_LINKER: &str = "wasm-component-ld";

/// Variables that steer the compiler of the host workspace and must not reach the guests' compiler.
const HOST_VARIABLES: [&str; 13] = [
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_INCREMENTAL",
];

/// Which guest compiler to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// The host's Rust toolchain if it has the targets or rustup can add them, else Debian's compiler.
    #[default]
    Auto,
    /// Only the host's Rust toolchain.
    Rustup,
    /// Only the compiler out of Debian's packages.
    Debian,
}

/// A compiler that builds guests.
#[derive(Clone, Debug)]
pub(crate) enum GuestToolchain {
    /// The host's toolchain, which has the targets.
    Host,
    /// The compiler out of Debian's packages, with the host toolchain's linker.
    Debian(DebianCompiler),
}

impl GuestToolchain {
    /// What is installed already; fetches nothing.
    pub(crate) fn find(toolchains: &Path, choice: Choice) -> Option<Self> {
        if choice != Choice::Debian && host_has_targets() {
            return Some(Self::Host);
        }
        if choice == Choice::Rustup {
            return None;
        }
        DebianCompiler::find(toolchains).map(Self::Debian)
    }

    /// Finds a compiler or installs one below `toolchains`.
    pub(crate) fn ensure(toolchains: &Path, choice: Choice, step: &Step) -> Result<Self> {
        std::fs::create_dir_all(toolchains).with_context(|| format!("cannot create {}", toolchains.display()))?;
        let path = toolchains.join(".lock");
        let lock = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;

        if let Some(found) = Self::find(toolchains, choice) {
            return Ok(found);
        }
        let by_rustup = match choice {
            Choice::Debian => None,
            Choice::Auto | Choice::Rustup => match add_targets_by_rustup(step) {
                Ok(()) => return Ok(Self::Host),
                Err(error) => Some(error),
            },
        };
        if let Some(error) = &by_rustup {
            let first = format!("{error:#}");
            step.say(&format!(
                "rustup cannot add {} ({})",
                target_names(),
                first.lines().last().unwrap_or_default().trim()
            ));
        }
        if choice == Choice::Rustup {
            bail!("no guest compiler: {:#}", by_rustup.context("rustup was tried")?);
        }
        let compiler = DebianCompiler::install(toolchains, step).with_context(|| match &by_rustup {
            Some(error) => format!("no guest compiler; rustup could not add its targets either: {error:#}"),
            None => "no guest compiler".to_owned(),
        })?;
        Ok(Self::Debian(compiler))
    }

    /// Why no compiler can be installed on this machine, as far as can be told without trying.
    pub(crate) fn obstacle(choice: Choice) -> Option<String> {
        let without_rustup = "rustup is not on the PATH; install Rust by rustup";
        let has_rustup = find_program("rustup").is_some();
        match choice {
            Choice::Debian => DebianCompiler::obstacle(),
            Choice::Rustup => (!has_rustup).then(|| without_rustup.to_owned()),
            Choice::Auto if has_rustup => None,
            Choice::Auto => DebianCompiler::obstacle().map(|obstacle| format!("{without_rustup} ({obstacle})")),
        }
    }

    /// The compiler in a few words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Host => format!("{} of the host's Rust toolchain", target_names()),
            Self::Debian(compiler) => {
                format!(
                    "{}, {} out of Debian's packages",
                    target_names(),
                    compiler.version().as_deref().unwrap_or("broken")
                )
            }
        }
    }

    /// A `cargo` with this compiler, which builds into `build_folder`.
    pub(crate) fn cargo(&self, build_folder: &Path) -> Result<Command> {
        let mut command = cargo();
        for variable in HOST_VARIABLES {
            command.env_remove(variable);
        }
        command.env("CARGO_TARGET_DIR", build_folder);
        if let Self::Debian(compiler) = self {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = linker_folders()?.into_iter().chain(std::env::split_paths(&path));
            let path = std::env::join_paths(folders).context("a folder of the linker has a separator in its name")?;
            command.env("RUSTC", compiler.rustc()).env("PATH", path);
        }
        Ok(command)
    }
}

fn rustc() -> Command {
    Command::new("rustc")
}

/// The targets as a sentence names them.
fn target_names() -> String {
    GUEST_TARGETS.join(" and ")
}

/// Whether the host's compiler has the standard library for every kind of guest.
fn host_has_targets() -> bool {
    GUEST_TARGETS.iter().all(|target| {
        capture(rustc().args(["--print", "target-libdir", "--target", target]))
            .is_ok_and(|folder| Path::new(folder.trim()).is_dir())
    })
}

fn add_targets_by_rustup(step: &Step) -> Result<()> {
    if find_program("rustup").is_none() {
        bail!("rustup is not on the PATH");
    }
    step.say(&format!("rustup target add {}", GUEST_TARGETS.join(" ")));
    capture(Command::new("rustup").args(["target", "add"]).args(GUEST_TARGETS))?;
    if !host_has_targets() {
        bail!("rustup added {} to another toolchain than the `rustc` on the PATH belongs to", target_names());
    }
    Ok(())
}

/// What the compiler calls the platform that it runs on and builds for.
pub(crate) fn host_platform() -> Result<String> {
    let about = capture(rustc().arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(host.to_owned())
}

/// Folders with the linkers that come with the host's Rust toolchain; none when the linkers are on the `PATH` anyway.
fn linker_folders() -> Result<Vec<PathBuf>> {
    let sysroot = capture(rustc().args(["--print", "sysroot"]))?;
    let tools = Path::new(sysroot.trim()).join("lib/rustlib").join(host_platform()?).join("bin");
    if tools.join(COMPONENT_LINKER).is_file() {
        return Ok(vec![tools.join("gcc-ld"), tools]);
    }
    if find_program(COMPONENT_LINKER).is_some() && find_program("wasm-ld").is_some() {
        return Ok(Vec::new());
    }
    bail!(
        "`{COMPONENT_LINKER}` is neither in {} nor on the PATH; install Rust by rustup, or run \
         `cargo install {COMPONENT_LINKER}` and install the system's `lld`",
        tools.display()
    )
}
