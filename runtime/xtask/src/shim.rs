//! The shim, built as one static program that runs on any node, whatever C library that has.
//!
//! It needs libseccomp, and libelf with zlib for the device rules of cgroup v2, as static libraries with their headers. They come out
//! of Debian's packages into the cache, and nothing is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::bundle::Profile;
use crate::packages::{Ingredients, Platform, Wanted, install};
use crate::process::{cargo, find_program, run_within};
use crate::progress::Step;
use crate::setup::Workplace;

/// The shim's package, which is no default member.
pub(crate) const PACKAGE: &str = "wisp-shim";
/// What its program is called: containerd derives the name from the runtime's type.
pub(crate) const PROGRAM: &str = "containerd-shim-wisp-v1";

/// Counts changes of the recipe; an older folder is left alone and no longer used.
const RECIPE: u32 = 1;
/// An old suite: what is linked against its archives runs on everything newer too.
const SUITE: &str = "bookworm";
/// Archives and headers.
const PACKAGES: [&str; 3] = ["libseccomp-dev", "libelf-dev", "zlib1g-dev"];

/// Static libraries that the shim is linked with.
#[derive(Clone, Debug)]
pub(crate) struct StaticLibraries {
    root: PathBuf,
    platform: Platform,
}

impl StaticLibraries {
    /// Finds them below `tools` or unpacks them there.
    pub(crate) fn ensure(tools: &Path, step: &Step) -> Result<Self> {
        let Ingredients { platform, .. } = Ingredients::of_this_machine()?;
        ensure!(
            find_program("make").is_some(),
            "`make` is not on this machine, and libbpf is built with it; install it"
        );
        let libraries = Self { root: tools.join(format!("shim-libraries-debian-{RECIPE}")), platform };
        if libraries.root.is_dir() {
            return Ok(libraries);
        }
        install(&libraries.root, SUITE, &Wanted::Alone(&PACKAGES), step, |unpacked| {
            for library in ["libseccomp.a", "libelf.a", "libz.a"] {
                let path = unpacked.join("usr/lib").join(platform.libraries).join(library);
                ensure!(path.is_file(), "Debian's packages hold no {library}");
            }
            Ok(())
        })?;
        Ok(libraries)
    }

    /// The same as a step of its own, for checks that go on without the shim where its libraries cannot be had (no Debian, no
    /// Linux).
    pub(crate) fn look(workplace: &Workplace) -> Result<Self> {
        let step = Step::begin("shim libraries");
        let libraries = Self::ensure(&workplace.home.tools(), &step);
        match &libraries {
            Ok(_) => step.done("libseccomp, libelf, zlib"),
            Err(error) => step.done(&format!("none, the shim is left out: {error:#}")),
        }
        libraries
    }

    /// Tells a build of the one static program where they are. The flags are for the shim's platform alone, so that build scripts
    /// stay as they are.
    pub(crate) fn apply(&self, command: &mut Command) {
        let triple = self.platform.triple.to_uppercase().replace('-', "_");
        command
            .args(["--package", PACKAGE, "--target", self.platform.triple])
            // Nothing in it computes: in tests, minutes of optimising its dependencies would gain nothing.
            .args(["--config", r#"profile.dev.package."*".opt-level=0"#])
            .env(format!("CARGO_TARGET_{triple}_RUSTFLAGS"), "-C target-feature=+crt-static");
        self.locate(command);
    }

    /// Tells the build scripts of its dependencies where they are.
    pub(crate) fn locate(&self, command: &mut Command) {
        let (headers, archives) =
            (self.root.join("usr/include"), self.root.join("usr/lib").join(self.platform.libraries));
        command
            .env("LIBSECCOMP_LINK_TYPE", "static")
            .env("LIBSECCOMP_LIB_PATH", &archives)
            .env("LIBBPF_SYS_LIBRARY_PATH", &archives)
            .env(
                "LIBBPF_SYS_EXTRA_CFLAGS",
                format!("-I{} -I{}", headers.display(), headers.join(self.platform.libraries).display()),
            )
            // Where libraries are is said here; whoever asks pkg-config is told that it knows of none.
            .env("NO_PKG_CONFIG", "1")
            .env("PKG_CONFIG", "false");
    }
}

/// Builds the shim. Returns the program.
pub(crate) fn build(workplace: &Workplace, profile: Profile) -> Result<PathBuf> {
    let step = Step::begin("shim");
    let libraries = StaticLibraries::ensure(&workplace.home.tools(), &step)?;
    let mut command = cargo();
    command.current_dir(workplace.repository.root()).arg("build").args(profile.flags());
    libraries.apply(&mut command);
    run_within(&step, &mut command)?;
    let folder = Path::new("target").join(libraries.platform.triple).join(profile.folder());
    let program = workplace.repository.root().join(&folder).join(PROGRAM);
    ensure!(program.is_file(), "{} was not built; is CARGO_TARGET_DIR set?", program.display());
    step.done(&format!("built in {}", folder.display()));
    Ok(program)
}
