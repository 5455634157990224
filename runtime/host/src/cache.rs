//! Ahead-of-time code on disk: compiled once, mapped afterwards.
//!
//! Deserialising machine code is trusting it, so only files that this engine wrote into a folder of its own are read
//! back, and never anything that came with a guest. A file is named by the digest of the module and by a hash over the
//! compiler, its settings and the machine's features; whatever differs in any of them is another file. Each file starts with
//! the digest of its code: wasmtime does not notice a flipped bit, and the processor would run it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::compile::{compile, precompile};
use crate::compiled::{Compiled, ModuleKind};
use crate::pool::engine_config;
use crate::{HostConfig, HostError};

/// Bytes of the digest that a file starts with.
const DIGEST_BYTES: usize = 32;

/// Code in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCode {
    /// Its file.
    pub path: PathBuf,
    /// Whether it was there before, and of use.
    pub was_there: bool,
}

/// A folder of compiled guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AotCache {
    folder: PathBuf,
}

impl AotCache {
    /// A cache in `folder`, which is made on first use and must be writable by this user alone.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Compiles a component into the cache, for guests that have at most `memory_bytes` of memory, unless it is there.
    ///
    /// # Errors
    /// [`HostError`] naming what is wrong with the module, or why the code cannot be kept.
    pub fn keep(&self, name: &str, wasm: &[u8], memory_bytes: usize) -> Result<KeptCode, HostError> {
        let config = HostConfig { max_instances: 1, max_memory_bytes: memory_bytes, ..HostConfig::default() };
        let kind = ModuleKind::detect(name, wasm, config.max_module_bytes)?;
        let engine = Engine::new(&engine_config(&config)).map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let path = self.path(&engine, wasm);
        if self.read(&engine, kind, &path).is_some() {
            return Ok(KeptCode { path, was_there: true });
        }
        let code = precompile(&engine, name, kind, wasm)?;
        let written = self.write(&path, &code);
        written.map_err(|source| HostError::Keep { path: path.clone(), source })?;
        Ok(KeptCode { path, was_there: false })
    }

    /// The code of `wasm`, from the cache or freshly compiled and then kept.
    ///
    /// A cache that cannot be used costs time, not service: it is logged, and the guest is compiled.
    pub(crate) fn compiled(
        &self,
        engine: &Engine,
        name: &str,
        kind: ModuleKind,
        wasm: &[u8],
    ) -> Result<Compiled, HostError> {
        let path = self.path(engine, wasm);
        if let Some(compiled) = self.read(engine, kind, &path) {
            return Ok(compiled);
        }
        let compiled = compile(engine, name, kind, wasm)?;
        match compiled.serialize() {
            Ok(code) => {
                if let Err(error) = self.write(&path, &code) {
                    tracing::warn!(%error, path = %path.display(), "compiled code cannot be kept; it is compiled anew next time");
                }
            }
            Err(error) => tracing::warn!(%error, "compiled code cannot be serialised"),
        }
        Ok(compiled)
    }

    fn path(&self, engine: &Engine, wasm: &[u8]) -> PathBuf {
        let module = Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.folder.join(format!("{module}-{:016x}.cwasm", hasher.finish()))
    }

    #[expect(unsafe_code, reason = "wasmtime cannot prove that machine code on disk is what it wrote")]
    fn read(&self, engine: &Engine, kind: ModuleKind, path: &Path) -> Option<Compiled> {
        if !path.exists() {
            return None;
        }
        if let Err(reason) = check_private(&self.folder).and_then(|()| check_private(path)) {
            tracing::warn!(path = %path.display(), reason, "compiled code is not trusted; the guest is compiled anew");
            return None;
        }
        let code = match read_verified(path) {
            Ok(code) => code,
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "compiled code is damaged; the guest is compiled anew");
                return None;
            }
        };
        // SAFETY: these are the bytes that `write` below was given: the digest says so, the file lies in the engine's own
        // folder, both belong to this user, and nobody else can write to them (`check_private`). wasmtime checks version and
        // settings once more.
        let read = unsafe {
            match kind {
                ModuleKind::Component => Component::deserialize(engine, code).map(Compiled::Component),
                ModuleKind::Core => Module::deserialize(engine, code).map(Compiled::Module),
            }
        };
        match read {
            Ok(compiled) => Some(compiled),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "compiled code cannot be used; the guest is compiled anew");
                None
            }
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        make_private_folder(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&Sha256::digest(code))?;
        file.write_all(code)?;
        // The name must not reach the disk before the bytes do.
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

/// The code of a file whose digest is right.
fn read_verified(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    if bytes.len() < DIGEST_BYTES {
        return Err(format!("{} bytes are no compiled code", bytes.len()));
    }
    let code = bytes.split_off(DIGEST_BYTES);
    if Sha256::digest(&code)[..] != bytes[..] {
        return Err("its digest is another one".to_owned());
    }
    Ok(code)
}

#[cfg(unix)]
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// Whether nobody but this user (and root) could have written here.
#[cfg(unix)]
fn check_private(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(format!("{} belongs to user {}, not to {user}", path.display(), metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!("{} is writable by others (mode {:o})", path.display(), metadata.mode() & 0o777));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<(), String> {
    Err("this platform has no file permissions that could be checked".to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The smallest component: magic bytes, version, layer.
    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn compiled(cache: &AotCache, engine: &Engine) -> Result<Compiled, HostError> {
        cache.compiled(engine, "test", ModuleKind::Component, EMPTY_COMPONENT)
    }

    fn compiled_file(folder: &Path) -> PathBuf {
        let mut files = std::fs::read_dir(folder).expect("the folder was made");
        files.next().expect("one file was written").expect("readable").path()
    }

    #[test]
    fn compiled_code_is_kept_and_read_back() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = AotCache::at(folder.path().join("aot"));
        let engine = Engine::default();
        compiled(&cache, &engine).expect("compiles");
        let path = compiled_file(&folder.path().join("aot"));
        assert!(cache.read(&engine, ModuleKind::Component, &path).is_some());
        compiled(&cache, &engine).expect("is read back");
    }

    #[test]
    fn what_is_compiled_ahead_is_what_a_host_finds() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = AotCache::at(folder.path().join("aot"));
        let kept = cache.keep("test", EMPTY_COMPONENT, 64 << 20).expect("compiles");
        assert!(!kept.was_there);
        assert!(cache.keep("test", EMPTY_COMPONENT, 1 << 20).expect("is there").was_there);
        let host = HostConfig { max_instances: 2, aot_cache: Some(cache.clone()), ..HostConfig::default() };
        let engine = Engine::new(&engine_config(&host)).expect("an engine");
        assert_eq!(cache.path(&engine, EMPTY_COMPONENT), kept.path);
        assert!(cache.read(&engine, ModuleKind::Component, &kept.path).is_some());
    }

    #[test]
    fn code_that_others_could_have_written_is_not_read() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = AotCache::at(folder.path().join("aot"));
        let engine = Engine::default();
        compiled(&cache, &engine).expect("compiles");
        let path = compiled_file(&folder.path().join("aot"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("our file");
        assert!(cache.read(&engine, ModuleKind::Component, &path).is_none());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our file");
        std::fs::set_permissions(folder.path().join("aot"), std::fs::Permissions::from_mode(0o777)).expect("ours");
        assert!(cache.read(&engine, ModuleKind::Component, &path).is_none());
        compiled(&cache, &engine).expect("is compiled anew");
    }

    #[test]
    fn a_damaged_file_is_compiled_anew() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = AotCache::at(folder.path().join("aot"));
        let engine = Engine::default();
        compiled(&cache, &engine).expect("compiles");
        let path = compiled_file(&folder.path().join("aot"));
        for damage in [&b""[..], b"not code at all"] {
            std::fs::write(&path, damage).expect("our file");
            assert!(cache.read(&engine, ModuleKind::Component, &path).is_none());
            compiled(&cache, &engine).expect("is compiled anew");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed_and_mended() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let cache = AotCache::at(folder.path().join("aot"));
        let engine = Engine::default();
        compiled(&cache, &engine).expect("compiles");
        let path = compiled_file(&folder.path().join("aot"));
        let good = std::fs::read(&path).expect("readable");
        for index in (0..good.len()).step_by(97) {
            let mut damaged = good.clone();
            damaged[index] ^= 1;
            std::fs::write(&path, damaged).expect("our file");
            assert!(cache.read(&engine, ModuleKind::Component, &path).is_none(), "byte {index}");
        }
        compiled(&cache, &engine).expect("is compiled anew");
        assert!(cache.read(&engine, ModuleKind::Component, &path).is_some(), "and kept");
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_time_only() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("file");
        std::fs::write(&file, b"").expect("written");
        let cache = AotCache::at(file.join("aot"));
        compiled(&cache, &Engine::default()).expect("compiles all the same");
    }
}
