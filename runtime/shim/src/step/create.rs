//! Making a container: mount its root, decide what it runs, prepare that, and let the library build the rest.

use std::os::fd::AsRawFd;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::Spec;

use crate::error::{Attempt, Error, Result, chain};
use crate::installation::Installation;
use crate::step::stdio::{End, open};
use crate::step::{Create, Created};
use crate::workload::{self, MemoryFile, Workload};

/// Descriptor of the module in the engine; the first two that a step opens, since it starts with three.
pub(crate) const MODULE_FD: i32 = 3;
/// Descriptor of the configuration in the engine.
pub(crate) const CONFIG_FD: i32 = 4;

/// The two memory files that an engine inherits, empty.
pub(super) struct MemoryFiles {
    module: MemoryFile,
    config: MemoryFile,
}

/// Opens the memory files before anything else in the process opens a descriptor, so that they get the agreed numbers.
pub(super) fn memory_files() -> Result<MemoryFiles> {
    let files = MemoryFiles { module: MemoryFile::new("module")?, config: MemoryFile::new("config")? };
    if (files.module.as_raw_fd(), files.config.as_raw_fd()) != (MODULE_FD, CONFIG_FD) {
        return Err(Error::Setting {
            place: "the step's descriptors".into(),
            reason: format!("{MODULE_FD} and {CONFIG_FD} must be free, so a step starts with standard streams alone"),
        });
    }
    Ok(files)
}

/// Makes the container that containerd described in the bundle.
pub(super) fn create(request: &Create, files: MemoryFiles) -> Result<Created> {
    let mut spec = load_spec(request)?;
    refuse_terminal(&spec)?;
    mount_rootfs(request)?;
    let preserved = match workload::of(request, &spec)? {
        Workload::Linux => 0,
        Workload::Module(module) => {
            let installation = Installation::of_this_shim()?;
            let settings = workload::settings(&spec)?;
            let code = workload::machine_code(&installation, &request.options, &module, settings.guest_memory_bytes())?;
            workload::rewrite(&mut spec, &installation, &request.options, &code)?;
            files.module.fill_and_seal(&module.bytes)?;
            files.config.fill_and_seal(settings.to_toml()?.as_bytes())?;
            2
        }
    };
    build(request, &spec, preserved)
}

fn load_spec(request: &Create) -> Result<Spec> {
    let path = request.container.bundle.join("config.json");
    let spec = Spec::load(&path).map_err(|error| Error::Container(format!("{}: {}", path.display(), chain(&error))))?;
    if spec.linux().is_none() || spec.process().is_none() || spec.root().is_none() {
        return Err(Error::Unsupported {
            what: "a specification without `linux`, `process` or `root`".into(),
            remedy: "this is a runtime for Linux containers",
        });
    }
    Ok(spec)
}

fn refuse_terminal(spec: &Spec) -> Result<()> {
    if spec.process().as_ref().and_then(oci_spec::runtime::Process::terminal) == Some(true) {
        return Err(Error::Unsupported { what: "a terminal".into(), remedy: "remove `tty: true` from the container" });
    }
    Ok(())
}

/// containerd hands over what the snapshotter prepared; without mounts the bundle's `rootfs` is used as it is.
fn mount_rootfs(request: &Create) -> Result<()> {
    let rootfs = request.container.rootfs();
    if request.rootfs.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(&rootfs).attempt(|| format!("make {}", rootfs.display()))?;
    for mount in &request.rootfs {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        containerd_shim::mount::mount_rootfs(
            some(&mount.kind).as_deref(),
            some(&mount.source).as_deref(),
            &mount.options,
            &rootfs,
        )
        .map_err(|error| {
            Error::Container(format!("cannot mount {} at {}: {}", mount.source, rootfs.display(), chain(&error)))
        })?;
    }
    Ok(())
}

fn build(request: &Create, spec: &Spec, preserved: i32) -> Result<Created> {
    let states = request.container.states();
    std::fs::create_dir_all(&states).attempt(|| format!("make {}", states.display()))?;
    write_spec(request, spec)?;
    let container = ContainerBuilder::new(request.container.id.clone(), SyscallType::default())
        .with_executor(workload::Exec)
        .with_root_path(&states)?
        .with_preserved_fds(preserved)
        .with_stdin(open(&request.stdin, End::Input)?)
        .with_stdout(open(&request.stdout, End::Output)?)
        .with_stderr(open(&request.stderr, End::Output)?)
        .validate_id()?
        .as_init(&states)
        .with_systemd(request.options.systemd_cgroup)
        .with_detach(true)
        .build()
        .map_err(|error| Error::Container(format!("{}{}", chain(&error), hooks_hint(spec, &chain(&error)))))?;
    let pid = container.pid().ok_or_else(|| Error::Container("the container has no first process".into()))?;
    Ok(Created { pid: pid.as_raw().unsigned_abs() })
}

/// The library says that a hook failed, but not which ones there were; they come with devices, so a device may be to blame.
fn hooks_hint(spec: &Spec, message: &str) -> String {
    let Some(hooks) = spec.hooks().as_ref().filter(|_| message.contains("hook")) else { return String::new() };
    let stages = [hooks.prestart(), hooks.create_runtime(), hooks.create_container()];
    let paths: Vec<String> =
        stages.into_iter().flatten().flatten().map(|hook| hook.path().display().to_string()).collect();
    format!("; its hooks are {}, their own words are in the container's log", paths.join(", "))
}

/// The library reads its specification from a folder; containerd's own file stays as it was.
fn write_spec(request: &Create, spec: &Spec) -> Result<()> {
    let mut spec = spec.clone();
    let root = request.container.root_of(&spec);
    if let Some(named) = spec.root_mut() {
        named.set_path(root);
    }
    let path = request.container.states().join("config.json");
    spec.save(&path).map_err(|error| Error::Container(format!("{}: {}", path.display(), chain(&error))))
}
