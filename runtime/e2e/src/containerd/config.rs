//! The configuration of a private containerd, in the two formats of its two generations.

use std::path::Path;

use super::{Generation, Paths};
use crate::images::PAUSE;

/// The runtime handlers that pods may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handlers<'a> {
    /// The program `runc`.
    pub(crate) runc: &'a Path,
    /// The shim, if it is under test.
    pub(crate) shim: Option<&'a Path>,
}

/// The text of `config.toml`.
pub(crate) fn text(generation: Generation, paths: &Paths, handlers: Handlers<'_>) -> String {
    let common = format!(
        "root = {root:?}\nstate = {state:?}\noom_score = 0\ndisabled_plugins = [{disabled}]\n\
         [grpc]\naddress = {socket:?}\n[ttrpc]\naddress = {ttrpc:?}\n[debug]\nlevel = \"debug\"\n",
        root = paths.root,
        state = paths.state,
        socket = paths.socket,
        ttrpc = paths.ttrpc,
        disabled = disabled(generation),
    );
    let opt = format!("[plugins.'io.containerd.internal.v1.opt']\npath = {:?}\n", paths.folder.join("opt"));
    match generation {
        Generation::One => format!("version = 2\n{common}{opt}{}", first(paths, handlers)),
        Generation::Two => format!("version = 3\n{common}{opt}{}", second(paths, handlers)),
    }
}

/// The text of the shim's own options.
pub(crate) fn shim_options(paths: &Paths) -> String {
    format!("SystemdCgroup = false\nNodeCache = {:?}\n", paths.folder.join("node"))
}

/// Plugins that look for things on this machine that have nothing to do with the pods.
fn disabled(generation: Generation) -> &'static str {
    match generation {
        Generation::One => {
            "\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.btrfs\", \
             \"io.containerd.snapshotter.v1.zfs\", \"io.containerd.snapshotter.v1.devmapper\""
        }
        Generation::Two => {
            "\"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.zfs\", \
             \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.blockfile\", \
             \"io.containerd.snapshotter.v1.erofs\", \"io.containerd.nri.v1.nri\""
        }
    }
}

/// containerd 1.x: one plugin is the whole CRI.
fn first(paths: &Paths, handlers: Handlers<'_>) -> String {
    let cri = "plugins.'io.containerd.grpc.v1.cri'";
    format!(
        "[{cri}]\nsandbox_image = {PAUSE:?}\nrestrict_oom_score_adj = true\n{network}{runtimes}",
        network = network(cri, paths),
        runtimes = runtimes(&format!("{cri}.containerd"), paths, handlers),
    )
}

/// containerd 2.x: images and runtime are two plugins.
fn second(paths: &Paths, handlers: Handlers<'_>) -> String {
    let (images, runtime) = ("plugins.'io.containerd.cri.v1.images'", "plugins.'io.containerd.cri.v1.runtime'");
    format!(
        "[{images}.pinned_images]\nsandbox = {PAUSE:?}\n\
         [{runtime}]\nrestrict_oom_score_adj = true\nenable_cdi = true\ncdi_spec_dirs = [{cdi:?}]\n{network}{runtimes}",
        cdi = paths.cdi,
        network = network(runtime, paths),
        runtimes = runtimes(&format!("{runtime}.containerd"), paths, handlers),
    )
}

/// The pods are on the host's network, so these folders stay empty.
fn network(section: &str, paths: &Paths) -> String {
    let folder = paths.folder.join("cni");
    format!("[{section}.cni]\nbin_dir = {folder:?}\nconf_dir = {folder:?}\n")
}

fn runtimes(section: &str, paths: &Paths, handlers: Handlers<'_>) -> String {
    let Handlers { runc, shim } = handlers;
    let folder = paths.folder.join("runc");
    let mut text = format!(
        "[{section}]\ndefault_runtime_name = \"runc\"\n\
         [{section}.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         [{section}.runtimes.runc.options]\nBinaryName = {runc:?}\nRoot = {folder:?}\nSystemdCgroup = false\n"
    );
    if let Some(shim) = shim {
        // 1.x passes a shim of its own type nothing but `ConfigPath`, 2.x the whole table.
        let (cache, options) = (paths.folder.join("node"), paths.shim_options());
        text.push_str(&format!(
            "[{section}.runtimes.wisp]\nruntime_type = \"io.containerd.wisp.v1\"\nruntime_path = {shim:?}\n\
             pod_annotations = [\"wisp.dev/*\"]\ncontainer_annotations = [\"wisp.dev/*\"]\n\
             [{section}.runtimes.wisp.options]\nSystemdCgroup = false\nNodeCache = {cache:?}\nConfigPath = {options:?}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_gets_its_own_format() {
        let paths = Paths::below(Path::new("/tmp/x"));
        let handlers = Handlers { runc: Path::new("/tools/runc"), shim: Some(Path::new("/tools/shim")) };
        let first = text(Generation::One, &paths, handlers);
        assert!(first.starts_with("version = 2\n") && first.contains("'io.containerd.grpc.v1.cri'"), "{first}");
        let second = text(Generation::Two, &paths, handlers);
        assert!(second.starts_with("version = 3\n") && second.contains("cdi_spec_dirs"), "{second}");
        for text in [first, second] {
            assert!(text.contains("restrict_oom_score_adj = true") && text.contains("runtime_path = \"/tools/shim\""));
        }
    }
}
