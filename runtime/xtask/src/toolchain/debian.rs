//! A guest compiler out of Debian's packages, for machines that cannot reach Rust's release server.
//!
//! Debian's newer suites carry `rustc` with the standard library for WebAssembly. The packages are unpacked into a folder
//! of the cache, never installed, and the compiler runs there through its own loader and C library, so that it works on an
//! older Debian without touching the system. The linker is the one that comes with the host's Rust toolchain.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::packages::{Apt, Ingredients, Platform, discard, unpack};
use crate::process::{capture, is_executable};
use crate::progress::Step;

use super::GUEST_TARGETS;

/// Counts changes of the recipe; an older folder is left alone and no longer used.
const RECIPE: u32 = 2;

/// The first suite whose `rustc` has a standard library for WebAssembly.
const SUITE: &str = "forky";

/// What is fetched, together with everything that it needs to run.
const PACKAGES: [&str; 2] = ["rustc", "libstd-rust-dev-wasm32"];

/// What these packages need only to link programs of the host; the machine's own C compiler does that.
const LEFT_OUT: [&str; 3] = ["gcc", "binutils", "libc6-dev"];

/// Unpacked folders that building a guest does not need.
const PRUNED: [&str; 2] = ["usr/share", "usr/lib/rustlib/wasm32-unknown-unknown"];

/// A Rust compiler unpacked out of Debian's packages.
#[derive(Clone, Debug)]
pub(crate) struct DebianCompiler {
    root: PathBuf,
}

impl DebianCompiler {
    /// The compiler below `toolchains`, if it was installed there. The folder appears only when it is complete.
    pub(crate) fn find(toolchains: &Path) -> Option<Self> {
        let compiler = Self { root: root(toolchains) };
        is_executable(&compiler.rustc()).then_some(compiler)
    }

    /// The `rustc` to give to cargo.
    pub(crate) fn rustc(&self) -> PathBuf {
        self.root.join("bin/rustc")
    }

    /// Its version, as it says itself.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(capture(Command::new(self.rustc()).arg("--version"))?.trim().to_owned())
    }

    /// Why the compiler cannot be fetched on this machine, if so.
    pub(crate) fn obstacle() -> Option<String> {
        Ingredients::of_this_machine().err().map(|error| format!("{error:#}"))
    }

    /// Fetches and unpacks the compiler below `toolchains`. An interrupted run is resumed: whole packages are kept.
    pub(crate) fn install(toolchains: &Path, step: &Step) -> Result<Self> {
        let Ingredients { platform, mirror } = Ingredients::of_this_machine()?;
        let work = toolchains.join(format!("debian-{RECIPE}.partial"));
        let apt = Apt::new(&work.join("apt"), &mirror, SUITE, platform.architecture)?;
        step.say("package lists");
        apt.update(step)?;
        let packages = apt.closure(&PACKAGES, &LEFT_OUT)?;
        step.say(&format!("{} packages", packages.len()));
        let archives = apt.download(&packages, step)?;

        let unpacked = work.join("root");
        discard(&unpacked)?;
        unpack(&archives, &unpacked, step)?;
        for folder in PRUNED {
            discard(&unpacked.join(folder))?;
        }
        let wrapper = unpacked.join("bin/rustc");
        write_wrapper(&wrapper, platform)?;
        check(&wrapper, &unpacked, platform)?;

        let root = root(toolchains);
        discard(&root)?;
        std::fs::rename(&unpacked, &root)
            .with_context(|| format!("cannot rename {} to {}", unpacked.display(), root.display()))?;
        discard(&work)?;
        Ok(Self { root })
    }
}

/// Where the compiler of this recipe lies.
fn root(toolchains: &Path) -> PathBuf {
    toolchains.join(format!("wasm32-wasi-debian-{RECIPE}"))
}

/// Writes a `rustc` that starts the real one with the loader, the libraries and the sysroot beside it, wherever the
/// folder lies. Only parameter expansion: cargo calls it once a crate.
fn write_wrapper(wrapper: &Path, platform: Platform) -> Result<()> {
    let Platform { libraries, loader, .. } = platform;
    let script = format!(
        "#!/bin/sh\n\
         root=\"${{0%/bin/rustc}}\"\n\
         exec \"$root/usr/lib/{libraries}/{loader}\" --library-path \"$root/usr/lib/{libraries}\" \\\n    \
         \"$root/usr/bin/rustc\" --sysroot \"$root/usr\" \"$@\"\n"
    );
    let folder = wrapper.parent().context("the wrapper lies in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(wrapper, script).with_context(|| format!("cannot write {}", wrapper.display()))?;
    std::fs::set_permissions(wrapper, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", wrapper.display()))
}

/// Starts the compiler once: it must run here, be for this platform, and have the libraries for WebAssembly.
fn check(rustc: &Path, root: &Path, platform: Platform) -> Result<()> {
    let about = capture(Command::new(rustc).arg("-vV")).context("Debian's compiler does not run on this machine")?;
    ensure!(
        about.lines().any(|line| line.strip_prefix("host: ") == Some(platform.triple)),
        "Debian's compiler is not for {}: {about}",
        platform.triple
    );
    for target in GUEST_TARGETS {
        let library = root.join("usr/lib/rustlib").join(target).join("lib");
        ensure!(library.is_dir(), "Debian's packages hold no {}", library.display());
    }
    Ok(())
}
