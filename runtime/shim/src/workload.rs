//! What a container runs: a Linux program as it is, or the engine with a module.

mod artifact;
mod code;
mod content;
mod entrypoint;
mod exec;
mod memory_file;
mod program;
mod rewrite;
mod settings;

use oci_spec::runtime::Spec;

use crate::error::{Error, Result};
use crate::step::Create;

pub(crate) use code::machine_code;
pub(crate) use exec::Exec;
pub(crate) use memory_file::MemoryFile;
pub(crate) use rewrite::rewrite;
pub(crate) use settings::settings;

use entrypoint::Entrypoint;

/// What the container's first process will be.
pub(crate) enum Workload {
    /// The program that the specification names: a sidecar, or the sandbox's own pause program.
    Linux,
    /// The engine, with this module.
    Module(Module),
}

/// A WebAssembly module out of an image.
pub(crate) struct Module {
    /// Where it was found, for messages.
    pub(crate) name: String,
    /// The module itself.
    pub(crate) bytes: Vec<u8>,
}

/// Decides by what the entrypoint *is*: the first bytes of the file in the image, or, where the image has no such file, the
/// WebAssembly layer of the artifact. The root file system is mounted already.
pub(crate) fn of(request: &Create, spec: &Spec) -> Result<Workload> {
    let entrypoint = Entrypoint::of(spec)?;
    let limit_bytes = request.options.module_limit_bytes;
    match entrypoint.open_in(&request.container.root_of(spec))? {
        Some(file) if entrypoint::is_linux_program(&entrypoint, &file)? => Ok(Workload::Linux),
        Some(file) => Ok(Workload::Module(entrypoint::read_module(&entrypoint, &file, limit_bytes)?)),
        None => match artifact::module(request)? {
            Some(module) => Ok(Workload::Module(module)),
            None => Err(Error::NoEntrypoint { entrypoint: entrypoint.name().to_owned() }),
        },
    }
}
