//! Machine code that travels alone: made by `wisp compile` outside a pod, mapped inside it.
//!
//! A file is wasmtime's ELF image, and behind it a seal: the digest of the module that it was made from, and of the image.
//! ELF knows its own length, so that the file is mapped as it is, and pods of one node share its pages. Whoever maps machine
//! code trusts it, so a file counts only where nobody but root could have put it: in the node's cache, which is mounted
//! read-only.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compile::precompile;
use crate::compiled::ModuleKind;
use crate::pool::engine_config;
use crate::{HostConfig, HostError};

const MAGIC: &[u8; 16] = b"wisp-code-seal-1";
const DIGEST_BYTES: usize = 32;
const SEAL_BYTES: usize = MAGIC.len() + 2 * DIGEST_BYTES;

/// Code is some times as large as its module, which has 64 MiB at most.
const CODE_LIMIT_BYTES: u64 = 1 << 30;

/// Bits of a mode that let others than the owner write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A file of machine code that only root can have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeFile {
    path: PathBuf,
}

/// Compiles a component for this machine, for hosts whose guests have at most `memory_bytes` of memory. Hosts whose bound
/// falls into the same class (see [`HostConfig::max_memory_bytes`]) take the same code.
///
/// # Errors
/// [`HostError`] naming what is wrong with the module.
pub fn compile(name: &str, wasm: &[u8], memory_bytes: usize) -> Result<Vec<u8>, HostError> {
    let config = HostConfig { max_instances: 1, max_memory_bytes: memory_bytes, ..HostConfig::default() };
    let kind = ModuleKind::detect(name, wasm, config.max_module_bytes)?;
    let engine = Engine::new(&engine_config(&config)).map_err(|error| HostError::Engine(format!("{error:#}")))?;
    let mut code = precompile(&engine, name, kind, wasm)?;
    let digest = Sha256::digest(&code);
    code.extend_from_slice(MAGIC);
    code.extend_from_slice(&Sha256::digest(wasm));
    code.extend_from_slice(&digest);
    Ok(code)
}

impl CodeFile {
    /// A file in the node's cache.
    ///
    /// # Errors
    /// In one line, why somebody else than root may have written it.
    pub fn in_node_cache(path: &Path, node_cache: &Path) -> Result<Self, String> {
        let resolve = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
        let (file, cache) = (resolve(path)?, resolve(node_cache)?);
        if !file.starts_with(&cache) {
            return Err(format!("{} does not lie in the node's cache {}", file.display(), cache.display()));
        }
        for part in file.ancestors().take_while(|part| part.starts_with(&cache)) {
            check_owner(part)?;
        }
        check_read_only(&file)?;
        Ok(Self { path: file })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Maps the code of this module.
    ///
    /// # Errors
    /// In one line, why it cannot be used: it was made for another module, compiler or machine, or it is damaged.
    #[expect(unsafe_code, reason = "wasmtime cannot prove that machine code on disk is what it wrote")]
    pub(crate) fn component(&self, engine: &Engine, wasm: &[u8]) -> Result<Component, String> {
        check_seal(&self.path, wasm)?;
        // SAFETY: only root can have written the file (`in_node_cache`), it is on a read-only mount, and its seal says that
        // it is what `compile` made of this module. wasmtime checks version and settings once more.
        unsafe { Component::deserialize_file(engine, &self.path) }.map_err(|error| format!("{error:#}"))
    }
}

/// Whether a folder can only be the node's: root's alone, on a mount that nobody here can write to.
///
/// # Errors
/// In one line, what else it may be.
pub fn check_node_cache(folder: &Path) -> Result<(), String> {
    check_owner(folder)?;
    check_read_only(folder)
}

/// Whether the file is whole, and of this module.
fn check_seal(path: &Path, wasm: &[u8]) -> Result<(), String> {
    let read = || -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let Some(code_bytes) = bytes.checked_sub(SEAL_BYTES as u64).filter(|_| bytes <= CODE_LIMIT_BYTES) else {
            return Ok(None);
        };
        let mut digest = Sha256::new();
        let mut part = vec![0; 1 << 16];
        let mut code = (&mut file).take(code_bytes);
        loop {
            match code.read(&mut part)? {
                0 => break,
                count => digest.update(&part[..count]),
            }
        }
        let mut seal = vec![0; SEAL_BYTES];
        file.seek(SeekFrom::Start(code_bytes))?;
        file.read_exact(&mut seal)?;
        Ok(Some((seal, digest.finalize().to_vec())))
    };
    let sealed = read().map_err(|error| error.to_string())?;
    let Some((seal, digest)) = sealed.filter(|(seal, _)| seal.starts_with(MAGIC)) else {
        return Err("it is no code that this version of `wisp compile` made".to_owned());
    };
    let (module, code) = seal[MAGIC.len()..].split_at(DIGEST_BYTES);
    if module != &Sha256::digest(wasm)[..] {
        return Err("it was made from another module".to_owned());
    }
    if code != digest {
        return Err("it is damaged: its digest is another one".to_owned());
    }
    Ok(())
}

fn check_owner(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if metadata.uid() != 0 {
        return Err(format!("{} belongs to user {}, not to root", path.display(), metadata.uid()));
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(format!("{} is writable by others (mode {:o})", path.display(), metadata.mode() & 0o777));
    }
    Ok(())
}

/// Whether nobody in this container can write there: files of an image lie on a mount that can be written, or could be until
/// it was made read-only, and none of them belongs to the node.
fn check_read_only(path: &Path) -> Result<(), String> {
    let mount = rustix::fs::statvfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if !mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(format!("{} lies on a mount that can be written", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The smallest component: magic bytes, version, layer.
    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MEMORY_BYTES: usize = 64 << 20;

    fn engine(config: &HostConfig) -> Engine {
        Engine::new(&engine_config(config)).expect("an engine")
    }

    fn written(folder: &Path, code: &[u8]) -> CodeFile {
        let path = folder.join("code.cwasm");
        std::fs::write(&path, code).expect("writable");
        CodeFile { path }
    }

    #[test]
    fn code_is_mapped_by_every_host_whose_memory_is_of_the_same_class() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = written(folder.path(), &compile("test", EMPTY_COMPONENT, MEMORY_BYTES).expect("compiles"));
        for (max_instances, max_memory_bytes) in [(1, MEMORY_BYTES), (256, MEMORY_BYTES), (3, 1 << 20)] {
            let config = HostConfig { max_instances, max_memory_bytes, ..HostConfig::default() };
            let mapped = file.component(&engine(&config), EMPTY_COMPONENT);
            assert!(mapped.is_ok(), "{max_instances} of {max_memory_bytes}: {:?}", mapped.err());
        }
        let larger = HostConfig { max_instances: 1, max_memory_bytes: MEMORY_BYTES + 1, ..HostConfig::default() };
        assert!(file.component(&engine(&larger), EMPTY_COMPONENT).is_err(), "is of another class");
        let file = written(folder.path(), &compile("test", EMPTY_COMPONENT, MEMORY_BYTES + 1).expect("compiles"));
        let mapped = file.component(&engine(&larger), EMPTY_COMPONENT);
        assert!(mapped.is_ok(), "{:?}", mapped.err());
    }

    #[test]
    fn code_of_another_module_and_damaged_code_are_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let code = compile("test", EMPTY_COMPONENT, MEMORY_BYTES).expect("compiles");
        let engine = engine(&HostConfig { max_instances: 1, ..HostConfig::default() });
        let refused = |code: &[u8], wasm: &[u8]| {
            written(folder.path(), code).component(&engine, wasm).map(drop).expect_err("is refused")
        };
        assert_eq!(refused(&code, b"another"), "it was made from another module");
        let mut flipped = code.clone();
        flipped[code.len() / 2] ^= 1;
        assert_eq!(refused(&flipped, EMPTY_COMPONENT), "it is damaged: its digest is another one");
        let unsealed = &code[..code.len() - SEAL_BYTES];
        for bytes in [unsealed, b"", &code[..SEAL_BYTES / 2]] {
            assert_eq!(refused(bytes, EMPTY_COMPONENT), "it is no code that this version of `wisp compile` made");
        }
    }

    #[test]
    fn what_is_no_component_is_refused_before_it_is_compiled() {
        let precompiled = compile("test", EMPTY_COMPONENT, MEMORY_BYTES).expect("compiles");
        for (wasm, part) in [
            (&b""[..], "the file is empty"),
            (b"#!/bin/sh", "magic bytes"),
            (b"\0asm\x0d\0\x01\0\xff", "does not compile"),
            (&precompiled, "precompiled machine code, which is never trusted"),
        ] {
            let error = compile("test", wasm, MEMORY_BYTES).expect_err("is refused").to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn only_what_root_alone_can_write_is_trusted() {
        let cache = tempfile::tempdir().expect("temporary folder");
        let file = written(cache.path(), b"code");
        let elsewhere = tempfile::tempdir().expect("temporary folder");
        let error = CodeFile::in_node_cache(file.path(), elsewhere.path()).expect_err("lies elsewhere");
        assert!(error.contains("does not lie in the node's cache"), "{error}");
        let link = cache.path().join("link.cwasm");
        let outside = elsewhere.path().join("outside.cwasm");
        std::fs::write(&outside, b"code").expect("writable");
        std::os::unix::fs::symlink(&outside, &link).expect("new link");
        let error = CodeFile::in_node_cache(&link, cache.path()).expect_err("leads out of the cache");
        assert!(error.contains("does not lie in the node's cache"), "{error}");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o666)).expect("our file");
        let error = CodeFile::in_node_cache(file.path(), cache.path()).expect_err("is writable");
        assert!(error.contains("writable by others") || error.contains("not to root"), "{error}");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).expect("our file");
        let error = CodeFile::in_node_cache(file.path(), cache.path()).expect_err("the mount can be written");
        assert!(error.contains("mount that can be written") || error.contains("not to root"), "{error}");
    }
}
