//! What a pod's engine may do and see, read from the host: `/proc/<pid>` of the container's first process.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use super::{Check, Outcome, holds};
use crate::containerd::SECRET;
use crate::embedder::{Embedder, Server};
use crate::node::{Node, Subject};
use crate::pod::NOBODY;
use crate::process::{Process, identity};

pub(super) const RIGHTS: Check = Check {
    name: "a non-root pod has no capabilities, seccomp and no new privileges",
    run: |node| Box::pin(rights(node)),
};
pub(super) const DESCRIPTORS: Check =
    Check { name: "the engine holds no descriptor of the host", run: |node| Box::pin(descriptors(node)) };
pub(super) const ENVIRONMENT: Check =
    Check { name: "the engine's environment is the pod's", run: |node| Box::pin(environment(node)) };
pub(super) const FILES: Check =
    Check { name: "the root is read-only, and the engine is what runs", run: |node| Box::pin(files(node)) };

async fn rights(node: &mut Node) -> Result<Outcome> {
    let (_server, process) = served(node, Embedder::new(node)?).await?;
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        let value = process.status(set)?;
        ensure!(value.chars().all(|digit| digit == '0'), "{set} is {value}");
    }
    let user = process.status("Uid")?;
    ensure!(user.split_whitespace().all(|id| id == NOBODY.to_string()), "it runs as {user}");
    let (seccomp, privileges) = (process.status("Seccomp")?, process.status("NoNewPrivs")?);
    ensure!(seccomp == "2", "Seccomp is {seccomp}, not 2 (a filter)");
    ensure!(privileges == "1", "NoNewPrivs is {privileges}");
    holds(format!("uid {NOBODY}, CapEff 0, CapPrm 0, Seccomp 2, NoNewPrivs 1"))
}

async fn descriptors(node: &mut Node) -> Result<Outcome> {
    let (server, process) = served(node, Embedder::new(node)?).await?;
    let own = process.descriptors()?;
    // Pipes and sockets of everything that runs the pod on the host: the daemon, the shims.
    let folder = node.containerd.paths.folder.display().to_string();
    let hosts = Process::all().into_iter().filter(|other| {
        other.id() != process.id() && other.id() != std::process::id() && other.command_line().contains(&folder)
    });
    let foreign: BTreeSet<String> =
        hosts.filter_map(|host| host.descriptors().ok()).flat_map(BTreeMap::into_values).collect();
    let mut kinds = BTreeMap::new();
    for (number, target) in &own {
        if *number <= 2 {
            continue;
        }
        let is_nameless = target.starts_with("socket:") || target.starts_with("pipe:");
        ensure!(!(is_nameless && foreign.contains(target)), "descriptor {number} is shared with the host: {target}");
        ensure!(
            is_nameless || KNOWN.iter().any(|known| target.starts_with(known)),
            "descriptor {number} is a file of nobody's: {target}"
        );
        let kind = target.split([':', '[']).next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_insert(0_u32) += 1;
    }
    let shown: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    drop(server);
    holds(format!("beside 0, 1, 2: {}", shown.join(", ")))
}

/// What an engine may hold open: its event loop, the module that was handed over, what is mounted into the pod, and the map of
/// its own pages, by which it clears the memory of instances.
const KNOWN: [&str; 7] =
    ["anon_inode:", "/memfd:", "/dev/null", "/dev/urandom", "/models/", "/opt/wisp/", "/proc/1/pagemap"];

async fn environment(node: &mut Node) -> Result<Outcome> {
    let (_server, process) = served(node, Embedder::new(node)?.with(|spec| spec.variable("GREETING", "hello"))).await?;
    let environment = process.environment()?;
    ensure!(!environment.contains_key(SECRET), "it sees containerd's environment");
    ensure!(environment.get("GREETING").is_some_and(|value| value == "hello"), "its own variable is missing");
    let mut expected = BTreeSet::from(["GREETING", "HOSTNAME", "PATH"]);
    if node.subject == Subject::Container {
        // Given to it by the pod, as containers of the engine are.
        expected.insert("WISP_HOME");
    }
    let names: BTreeSet<&str> = environment.keys().map(String::as_str).collect();
    ensure!(names == expected, "its variables are {names:?}, the pod's are {expected:?}");
    holds(format!("exactly {}", expected.into_iter().collect::<Vec<_>>().join(", ")))
}

async fn files(node: &mut Node) -> Result<Outcome> {
    let (_server, process) = served(node, Embedder::new(node)?).await?;
    let root = process.mount_options("/")?;
    ensure!(root.contains("ro"), "the root is mounted {root:?}");
    let files = process.root()?;
    ensure!(!files.contains("root") && !files.contains("home"), "it sees the host's root: {files:?}");
    let program = process.program()?;
    ensure!(program == identity(&node.engine)?, "/proc/{}/exe is not the engine", process.id());
    if let Some(shim) = &node.shim {
        ensure!(program != identity(shim)?, "/proc/{}/exe is the shim", process.id());
    }
    let model = process.mount_options(crate::embedder::MODEL_PATH)?;
    ensure!(model.contains("ro"), "the model can be written to: {model:?}");
    holds(format!(
        "root ro, model ro, exe is the engine; in the root: {}",
        files.into_iter().collect::<Vec<_>>().join(" ")
    ))
}

async fn served(node: &Node, embedder: Embedder) -> Result<(Server, Process)> {
    let server = embedder.serve(node).await?;
    let id = server.container.process().await.context("the running container has no process")?;
    Ok((server, Process::new(id)))
}
