//! Machine code of modules, compiled once a node: by the engine's own compiler, in a child that has nothing but its limits.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::error::{Attempt, Error, Result};
use crate::installation::Installation;
use crate::options::Options;
use crate::step::{self, confine};
use crate::workload::Module;
use crate::workload::content::hex;

/// Machine code is a few times the module; more than this is refused.
const MAX_GROWTH: u64 = 32;
/// Machine code of the smallest module.
const BASE_CODE_BYTES: u64 = 16 << 20;
/// Bytes of the compiler's message that are passed on.
const MAX_MESSAGE_BYTES: u64 = 4096;

/// The module's machine code, as a path below the node's cache; compiled now if this is the first container with it. Containers
/// that start at once wait for the one that compiles.
///
/// The cache is root's and never writable by anybody else, so what is found there was written here.
///
/// `memory_bytes` is what its instances may have; code for more memory is other code.
pub(crate) fn machine_code(
    installation: &Installation,
    options: &Options,
    module: &Module,
    memory_bytes: Option<u64>,
) -> Result<PathBuf> {
    let digest = hex(&Sha256::digest(&module.bytes));
    let variant = memory_bytes.map(|bytes| format!("-{bytes}")).unwrap_or_default();
    let folder = Path::new("code").join(installation.build_id()?);
    let relative = folder.join(format!("{digest}{variant}.cwasm"));
    let path = options.node_cache.join(&relative);
    own_folder(&options.node_cache)?;
    own_folder(&options.node_cache.join("code"))?;
    own_folder(&options.node_cache.join(&folder))?;
    let lock =
        File::create(path.with_extension("lock")).attempt(|| format!("make a lock beside {}", path.display()))?;
    flock(&lock, FlockOperation::LockExclusive).attempt(|| format!("lock {}", path.display()))?;
    if !is_ours(&path)? {
        let code = compile(installation, options, module, memory_bytes)?;
        store(&path, &code)?;
    }
    Ok(relative)
}

/// Makes a folder that only root can write, or checks that it is one.
fn own_folder(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).attempt(|| format!("make {}", path.display()))?;
    let metadata = std::fs::symlink_metadata(path).attempt(|| format!("inspect {}", path.display()))?;
    let own =
        metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    if own {
        Ok(())
    } else {
        Err(Error::Setting {
            place: format!("the node's cache {}", path.display()),
            reason: "others than root can write it; remove it, the shim makes it anew".into(),
        })
    }
}

/// Whether machine code is there that we wrote.
fn is_ours(path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & 0o022 == 0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).attempt(|| format!("inspect {}", path.display())),
    }
}

fn store(path: &Path, code: &[u8]) -> Result<()> {
    let temporary = path.with_extension("partial");
    let mut file = File::create(&temporary).attempt(|| format!("make {}", temporary.display()))?;
    file.write_all(code).attempt(|| format!("write {}", temporary.display()))?;
    file.set_permissions(Permissions::from_mode(0o444)).attempt(|| format!("protect {}", temporary.display()))?;
    std::fs::rename(&temporary, path).attempt(|| format!("put {} in place", path.display()))
}

/// Runs `wisp compile` on the module, confined: no rights, no environment, bounded time and memory.
fn compile(
    installation: &Installation,
    options: &Options,
    module: &Module,
    memory_bytes: Option<u64>,
) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Compile { name: module.name.clone(), reason };
    let program = std::env::current_exe().attempt(|| "find the shim's own path".to_owned())?;
    let mut child = Command::new(program)
        .args([step::ARGUMENT, confine::STEP])
        .args(confine::arguments(options))
        .args(compiler(installation, memory_bytes))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .attempt(|| "start the compiler".to_owned())?;
    let outcome = feed(&mut child, module);
    if outcome.is_err() {
        // The child may have ended by itself already.
        let _ = child.kill();
    }
    let status = child.wait().attempt(|| "wait for the compiler".to_owned())?;
    let (code, message) = outcome?;
    if !status.success() {
        // The compiler knows the module as its standard input; here it has a name.
        let reason =
            message.trim().trim_start_matches("wisp: ").trim_start_matches("guest `standard input` does not compile: ");
        let limits = format!("{} s and {} bytes", options.compile_cpu_s, options.compile_memory_bytes);
        return Err(failed(if reason.is_empty() {
            format!("the compiler ended with {status}, its limits are {limits}")
        } else {
            reason.to_owned()
        }));
    }
    if code.is_empty() {
        return Err(failed("the compiler wrote nothing".into()));
    }
    Ok(code)
}

/// The engine's compiler, started by the bundle's own loader, since the node may have no loader where the engine expects it.
fn compiler(installation: &Installation, memory_bytes: Option<u64>) -> Vec<OsString> {
    let (loader, libraries, engine) = installation.engine_on_node();
    let mut words = vec![loader.into(), "--library-path".into(), libraries.into(), engine.into()];
    words.extend(["compile", "--stdin", "--stdout"].map(OsString::from));
    words.extend(memory_bytes.map(|bytes| format!("--memory-bytes={bytes}").into()));
    words
}

/// Gives the module, takes the machine code and what the compiler has to say.
fn feed(child: &mut Child, module: &Module) -> Result<(Vec<u8>, String)> {
    let failed = |reason: String| Error::Compile { name: module.name.clone(), reason };
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed("the compiler has no streams".into()));
    };
    let limit_bytes = BASE_CODE_BYTES + module.bytes.len() as u64 * MAX_GROWTH;
    std::thread::scope(|scope| {
        // A compiler that does not read is seen by its exit code.
        scope.spawn(move || stdin.write_all(&module.bytes));
        let message = scope.spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.take(MAX_MESSAGE_BYTES).read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut code = Vec::new();
        stdout.take(limit_bytes + 1).read_to_end(&mut code).attempt(|| "read the machine code".to_owned())?;
        if code.len() as u64 > limit_bytes {
            return Err(failed(format!("its machine code exceeds {limit_bytes} bytes")));
        }
        Ok((code, message.join().unwrap_or_default()))
    })
}
