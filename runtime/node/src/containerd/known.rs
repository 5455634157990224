//! The distributions that are known, by what lies on their nodes.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Form, Place, edit};
use crate::{Node, NodeError, files};

/// How a distribution of Kubernetes keeps its containerd.
#[derive(Debug)]
struct Distribution {
    /// Its name.
    name: &'static str,
    /// A folder that only its nodes have.
    folder: &'static str,
    /// Units of systemd, of which one is on a node.
    units: &'static [&'static str],
    /// Where its containerd answers.
    socket: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The configuration itself.
    File(&'static str),
    /// The distribution writes the configuration from a template in its folder whenever it starts.
    Template,
    /// The distribution puts the files of its folder together to this one.
    DropIns(&'static str),
}

/// Those that bring a containerd of their own, in the order in which they are looked for.
static DISTRIBUTIONS: [Distribution; 4] = [
    Distribution {
        name: "k3s",
        folder: "/var/lib/rancher/k3s/agent/etc/containerd",
        units: &["k3s-agent", "k3s"],
        socket: "/run/k3s/containerd/containerd.sock",
        kind: Kind::Template,
    },
    Distribution {
        name: "rke2",
        folder: "/var/lib/rancher/rke2/agent/etc/containerd",
        units: &["rke2-agent", "rke2-server"],
        socket: "/run/k3s/containerd/containerd.sock",
        kind: Kind::Template,
    },
    Distribution {
        name: "k0s",
        folder: "/etc/k0s/containerd.d",
        units: &["k0sworker", "k0scontroller"],
        socket: "/run/k0s/containerd.sock",
        kind: Kind::DropIns("/run/k0s/containerd-cri.toml"),
    },
    Distribution {
        name: "microk8s",
        folder: "/var/snap/microk8s/current/args",
        units: &["snap.microk8s.daemon-containerd"],
        socket: "/var/snap/microk8s/common/run/containerd.sock",
        kind: Kind::File("/var/snap/microk8s/current/args/containerd-template.toml"),
    },
];

/// Where containerd by itself looks for its configuration.
const CONFIG: &str = "/etc/containerd/config.toml";

/// Containerd by itself.
static CONTAINERD: Distribution = Distribution {
    name: "containerd",
    folder: "/etc/containerd",
    units: &["containerd"],
    socket: "/run/containerd/containerd.sock",
    kind: Kind::File(CONFIG),
};

/// Where programs lie, containerd's among them.
const PROGRAMS: [&str; 6] = [
    "/usr/bin/containerd",
    "/usr/local/bin/containerd",
    "/opt/bin/containerd",
    "/var/lib/k0s/bin/containerd",
    "/var/lib/rancher/rke2/bin/containerd",
    "/home/kubernetes/bin/containerd",
];

/// The name of a file that is ours alone.
const OWN_FILE: &str = "wisp.toml";

/// What the template of k3s and RKE2 begins with, so that everything else stays theirs.
pub(super) const BASE_TEMPLATE: &str = "{{ template \"base\" . }}\n";

/// Finds what is to be changed on a node; `named` is the file where the user named one, as a path of the node.
///
/// # Errors
/// [`NodeError::NoContainerd`], [`NodeError::Immutable`], and [`NodeError::Config`] where the form of a file cannot be told.
pub fn find(node: &Node, named: Option<&Path>) -> Result<Place, NodeError> {
    if let Some(file) = named {
        return CONTAINERD.in_file(node, file);
    }
    refuse_immutable(node)?;
    let is_here = |distribution: &&Distribution| node.path(distribution.folder).is_dir();
    match DISTRIBUTIONS.iter().find(is_here) {
        Some(distribution) => distribution.place(node),
        // Debian's package has no configuration at all; the program is enough.
        None if is_here(&&CONTAINERD) || program(node).is_some() => CONTAINERD.place(node),
        None => Err(NodeError::NoContainerd { root: node.path("/"), searched: PROGRAMS.join(", ") }),
    }
}

impl Distribution {
    fn place(&self, node: &Node) -> Result<Place, NodeError> {
        let folder = PathBuf::from(self.folder);
        match self.kind {
            Kind::File(file) => self.in_file(node, Path::new(file)),
            Kind::Template => {
                // What it wrote when it last started says which containerd it has.
                let in_force = folder.join("config.toml");
                let written = files::read(&node.path(&in_force))?;
                let version = written.map_or(Ok(2), |text| edit::version(&node.path(&in_force), &text))?;
                let name = if version == 3 { "config-v3.toml.tmpl" } else { "config.toml.tmpl" };
                Ok(self.at(node, folder.join(name), in_force, Form::Template, version))
            }
            Kind::DropIns(in_force) => {
                let version = generation(node).unwrap_or(2);
                Ok(self.at(node, folder.join(OWN_FILE), PathBuf::from(in_force), Form::DropIn(folder), version))
            }
        }
    }

    /// With this configuration, which may include a folder of others.
    fn in_file(&self, node: &Node, in_force: &Path) -> Result<Place, NodeError> {
        let (form, version) = edit::form(node, in_force, generation(node))?;
        let file = match &form {
            Form::DropIn(folder) => folder.join(OWN_FILE),
            Form::InPlace | Form::Template => in_force.to_owned(),
        };
        Ok(self.at(node, file, in_force.to_owned(), form, version))
    }

    fn at(&self, node: &Node, file: PathBuf, in_force: PathBuf, form: Form, version: u8) -> Place {
        let (unit, socket) = (self.unit(node), Path::new(self.socket));
        Place { distribution: self.name, file, in_force, form, version, unit, socket }
    }

    fn unit(&self, node: &Node) -> &'static str {
        let is_here = |unit: &&&str| {
            ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]
                .iter()
                .any(|folder| node.path(folder).join(format!("{unit}.service")).exists())
        };
        self.units.iter().find(is_here).copied().unwrap_or(self.units[0])
    }
}

/// Systems whose root cannot be changed, by what they call themselves.
fn refuse_immutable(node: &Node) -> Result<(), NodeError> {
    let release = files::read(&node.path("/etc/os-release"))?.unwrap_or_default();
    let id = release.lines().find_map(|line| line.strip_prefix("ID=")).map(|id| id.trim_matches('"'));
    match id {
        Some("talos") => Err(NodeError::Immutable {
            system: "Talos",
            remedy: "put the bundle into a system extension, and the handler into machine.files as /etc/cri/conf.d/20-customization.part; \
                     or use the chart's mode container",
        }),
        Some("bottlerocket") => {
            Err(NodeError::Immutable { system: "Bottlerocket", remedy: "use the chart's mode container" })
        }
        _ => Ok(()),
    }
}

/// The node's containerd, as this process reaches it.
#[must_use]
pub fn program(node: &Node) -> Option<PathBuf> {
    PROGRAMS.iter().map(|program| node.path(program)).find(|program| program.is_file())
}

/// The format that the node's containerd writes by itself, if it can be asked: 2 for 1.x, 3 for 2.x.
fn generation(node: &Node) -> Option<u8> {
    let output = Command::new(program(node)?).arg("--version").output().ok()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = told
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.'))?;
    Some(if version.starts_with("1.") { 2 } else { 3 })
}
