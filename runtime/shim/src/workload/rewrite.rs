//! The specification of a module's container, changed so that it runs the engine.

use std::path::Path;

use oci_spec::runtime::{Mount, MountBuilder, Spec};

use crate::error::{Error, Result};
use crate::installation::{ENGINE_IN_CONTAINER, Installation, NODE_CACHE_IN_CONTAINER, ROOT_IN_CONTAINER};
use crate::options::Options;
use crate::step::{CONFIG_FD, MODULE_FD};

/// Variables by which an image could load its own native code into the engine; the dynamic loader reads them.
const LOADER_VARIABLES: [&str; 2] = ["LD_", "GLIBC_TUNABLES="];

/// Makes the engine the container's program: its read-only mounts, its arguments, and the container's environment without
/// what would steer the dynamic loader. `code` is the module's machine code, as a path below the node's cache.
pub(crate) fn rewrite(spec: &mut Spec, installation: &Installation, options: &Options, code: &Path) -> Result<()> {
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    // Whatever the pod or a base specification put there, the engine is ours.
    mounts.retain(|mount| !mount.destination().starts_with(ROOT_IN_CONTAINER));
    mounts.push(read_only(installation.root(), ROOT_IN_CONTAINER)?);
    mounts.push(read_only(&options.node_cache, NODE_CACHE_IN_CONTAINER)?);
    spec.set_mounts(Some(mounts));

    let process =
        spec.process_mut().as_mut().ok_or_else(|| Error::Container("the specification has no process".into()))?;
    let guest_arguments: Vec<String> = process.args().iter().flatten().skip(1).cloned().collect();
    let mut arguments = vec![ENGINE_IN_CONTAINER.to_owned(), "pod".to_owned()];
    let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    flag("--module-fd", MODULE_FD.to_string());
    flag("--config-fd", CONFIG_FD.to_string());
    flag("--node-cache", NODE_CACHE_IN_CONTAINER.to_owned());
    flag("--code", Path::new(NODE_CACHE_IN_CONTAINER).join(code).display().to_string());
    if !guest_arguments.is_empty() {
        arguments.push("--".to_owned());
        arguments.extend(guest_arguments);
    }
    process.set_args(Some(arguments));
    let environment = process.env().iter().flatten();
    let kept =
        environment.filter(|entry| !LOADER_VARIABLES.iter().any(|prefix| entry.starts_with(prefix))).cloned().collect();
    process.set_env(Some(kept));
    Ok(())
}

fn read_only(source: &Path, destination: &str) -> Result<Mount> {
    let options = ["bind", "ro", "nosuid", "nodev"].map(str::to_owned).to_vec();
    MountBuilder::default()
        .source(source)
        .destination(destination)
        .typ("bind")
        .options(options)
        .build()
        .map_err(|error| Error::Container(error.to_string()))
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{ProcessBuilder, SpecBuilder};

    use super::*;

    #[test]
    fn the_engine_takes_the_place_of_the_module() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for part in ["bin/wisp", "lib", "node"] {
            std::fs::create_dir_all(folder.path().join(part)).expect("the folder is ours");
        }
        let installation = Installation::at(folder.path()).expect("all parts are there");
        let options = Options { node_cache: folder.path().join("cache"), ..Options::default() };
        let process = ProcessBuilder::default()
            .args(["/module.wasm", "one"].map(str::to_owned).to_vec())
            .env(["A=1", "LD_PRELOAD=/evil.so", "GLIBC_TUNABLES=x", "OLD_LD_=2"].map(str::to_owned).to_vec())
            .build()
            .expect("a process");
        let foreign = MountBuilder::default().destination("/opt/wisp/bin").source("/evil").build().expect("a mount");
        let mut spec = SpecBuilder::default().process(process).mounts(vec![foreign]).build().expect("a specification");

        rewrite(&mut spec, &installation, &options, Path::new("code/x")).expect("a valid specification");

        let process = spec.process().as_ref().expect("a process");
        let expected = "/opt/wisp/bin/wisp pod --module-fd 3 --config-fd 4 --node-cache /opt/wisp/node --code /opt/wisp/node/code/x -- one";
        assert_eq!(process.args().as_ref().expect("arguments").join(" "), expected);
        assert_eq!(process.env().as_ref().expect("an environment"), &["A=1", "OLD_LD_=2"]);
        let mounts = spec.mounts().as_ref().expect("mounts");
        let ours: Vec<_> = mounts.iter().filter(|mount| mount.destination().starts_with("/opt/wisp")).collect();
        assert_eq!(ours.len(), 2, "a foreign mount inside the bundle is gone");
        assert!(ours.iter().all(|mount| mount.options().as_ref().is_some_and(|all| all.contains(&"ro".to_owned()))));
    }
}
