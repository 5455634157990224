//! The program that a container names, looked up in its own root file system and recognised by its first bytes.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::error::{Attempt, Error, Result};
use crate::workload::{Module, program};

/// First bytes of every WebAssembly module and component.
const WASM: &[u8] = b"\0asm";
const ELF: &[u8] = b"\x7fELF";
/// The operating system that Wasmtime writes into the ELF header of machine code it compiled (`ELFOSABI_WASMTIME`).
const ELF_OS_WASMTIME: u8 = 200;
/// Bytes of the ELF header that are looked at.
const HEADER_BYTES: usize = 20;

/// The first argument of a container's process, with what is needed to find it.
pub(super) struct Entrypoint {
    name: String,
    candidates: Vec<PathBuf>,
}

impl Entrypoint {
    /// The entrypoint of `spec`.
    pub(super) fn of(spec: &Spec) -> Result<Self> {
        let process = spec.process().as_ref();
        let name = program::name(process).to_owned();
        let Some(process) = process.filter(|_| !name.is_empty()) else {
            return Err(Error::NoEntrypoint { entrypoint: name });
        };
        let mut candidates = program::candidates(process);
        if !name.contains('/') {
            // An image of nothing but a module may name it without a folder.
            candidates.push(Path::new("/").join(&name));
        }
        Ok(Self { name, candidates })
    }

    /// As the specification writes it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Opens the file inside `rootfs`; links, also absolute ones, never lead outside. `None` where there is no such file.
    pub(super) fn open_in(&self, rootfs: &Path) -> Result<Option<File>> {
        let root = openat2(
            CWD,
            rootfs,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::empty(),
        )
        .attempt(|| format!("open {}", rootfs.display()))?;
        // A pipe of that name must not make us wait.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        for candidate in &self.candidates {
            match openat2(&root, candidate, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS) {
                Ok(descriptor) => {
                    let file = File::from(descriptor);
                    if file.metadata().attempt(|| format!("inspect `{}` in the image", candidate.display()))?.is_file()
                    {
                        return Ok(Some(file));
                    }
                }
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => {}
                Err(error) => return Err(error).attempt(|| format!("open `{}` in the image", candidate.display())),
            }
        }
        Ok(None)
    }
}

/// Whether the kernel of this node can run the file; an error when neither the kernel nor the engine can.
pub(super) fn is_linux_program(entrypoint: &Entrypoint, file: &File) -> Result<bool> {
    let mut header = [0; HEADER_BYTES];
    let length = file.read_at(&mut header, 0).attempt(|| format!("read `{}` in the image", entrypoint.name))?;
    let header = &header[..length];
    if header.starts_with(WASM) {
        return Ok(false);
    }
    if header.starts_with(b"#!") {
        return Ok(true);
    }
    if !header.starts_with(ELF) || header.len() < HEADER_BYTES {
        let start = if header.is_empty() {
            "nothing, it is empty".to_owned()
        } else {
            format!("`{}`", header[..header.len().min(8)].escape_ascii())
        };
        return Err(Error::NotExecutable { entrypoint: entrypoint.name.clone(), start });
    }
    if header[7] == ELF_OS_WASMTIME {
        return Err(Error::Precompiled { entrypoint: entrypoint.name.clone() });
    }
    let machine = u16::from_le_bytes([header[18], header[19]]);
    if machine == HOST_MACHINE {
        Ok(true)
    } else {
        Err(Error::WrongArchitecture {
            entrypoint: entrypoint.name.clone(),
            machine: machine_name(machine),
            node: std::env::consts::ARCH,
        })
    }
}

/// Reads a module of at most `limit_bytes`.
pub(super) fn read_module(entrypoint: &Entrypoint, file: &File, limit_bytes: u64) -> Result<Module> {
    let mut bytes = Vec::new();
    file.take(limit_bytes + 1)
        .read_to_end(&mut bytes)
        .attempt(|| format!("read `{}` in the image", entrypoint.name))?;
    check_module(&entrypoint.name, &bytes, limit_bytes)?;
    Ok(Module { name: entrypoint.name.clone(), bytes })
}

/// Checks that `bytes` may be given to the compiler: WebAssembly, and not too much of it.
pub(super) fn check_module(name: &str, bytes: &[u8], limit_bytes: u64) -> Result<()> {
    if bytes.starts_with(ELF) && bytes.get(7) == Some(&ELF_OS_WASMTIME) {
        return Err(Error::Precompiled { entrypoint: name.to_owned() });
    }
    if !bytes.starts_with(WASM) {
        return Err(Error::NotExecutable {
            entrypoint: name.to_owned(),
            start: format!("`{}`", bytes[..bytes.len().min(8)].escape_ascii()),
        });
    }
    if bytes.len() as u64 > limit_bytes {
        return Err(Error::ModuleTooLarge { name: name.to_owned(), bytes: bytes.len() as u64, limit_bytes });
    }
    Ok(())
}

/// ELF's number of this node's architecture.
#[cfg(target_arch = "x86_64")]
const HOST_MACHINE: u16 = 62;
/// ELF's number of this node's architecture.
#[cfg(target_arch = "aarch64")]
const HOST_MACHINE: u16 = 183;

fn machine_name(machine: u16) -> String {
    match machine {
        3 => "x86".into(),
        40 => "arm".into(),
        62 => "x86_64".into(),
        183 => "aarch64".into(),
        243 => "riscv".into(),
        other => format!("ELF machine {other}"),
    }
}

#[cfg(test)]
mod tests;
