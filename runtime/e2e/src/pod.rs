//! Pods and their containers, as the kubelet would ask for them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cri::{Cri, api};
use crate::node::Node;

/// The user of a container that says nothing else.
pub(crate) const NOBODY: i64 = 65532;

/// What a container asks for. Without more it is as restricted as Kubernetes' strictest profile wants it, but keeps its
/// default capabilities: a user other than root must have none of them in force anyway.
#[derive(Clone, Debug)]
pub(crate) struct ContainerSpec {
    config: api::ContainerConfig,
}

impl ContainerSpec {
    /// A container of an image.
    pub(crate) fn new(name: &str, image: &str) -> Self {
        let security = api::LinuxContainerSecurityContext {
            capabilities: Some(api::Capability::default()),
            namespace_options: Some(on_the_host_network()),
            run_as_user: Some(api::Int64Value { value: NOBODY }),
            run_as_group: Some(api::Int64Value { value: NOBODY }),
            readonly_rootfs: true,
            no_new_privs: true,
            seccomp: Some(runtime_default()),
            ..Default::default()
        };
        let linux = api::LinuxContainerConfig {
            resources: Some(api::LinuxContainerResources::default()),
            security_context: Some(security),
        };
        let config = api::ContainerConfig {
            metadata: Some(api::ContainerMetadata { name: name.to_owned(), attempt: 0 }),
            image: Some(api::ImageSpec { image: image.to_owned(), ..Default::default() }),
            log_path: format!("{name}.log"),
            linux: Some(linux),
            ..Default::default()
        };
        Self { config }
    }

    /// Replaces the image's entrypoint.
    pub(crate) fn command(mut self, words: &[&str]) -> Self {
        self.config.command = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Follows the entrypoint.
    pub(crate) fn arguments(mut self, words: &[&str]) -> Self {
        self.config.args = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Adds an environment variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.config.envs.push(api::KeyValue { key: name.to_owned(), value: value.to_owned() });
        self
    }

    /// Mounts a file or folder of the host, which can only be read.
    pub(crate) fn mount(self, container_path: &str, host_path: impl Into<PathBuf>) -> Self {
        self.any_mount(container_path, host_path.into(), true)
    }

    /// Mounts a folder of the host that may be written to.
    pub(crate) fn writable_mount(self, container_path: &str, host_path: impl Into<PathBuf>) -> Self {
        self.any_mount(container_path, host_path.into(), false)
    }

    /// Mounts the files of an image.
    pub(crate) fn image_volume(mut self, container_path: &str, image: &str) -> Self {
        self.config.mounts.push(api::Mount {
            container_path: container_path.to_owned(),
            readonly: true,
            image: Some(api::ImageSpec { image: image.to_owned(), ..Default::default() }),
            ..Default::default()
        });
        self
    }

    /// Asks for a device of the host, as a device plugin without CDI does.
    pub(crate) fn device(mut self, path: &str) -> Self {
        let (container_path, host_path) = (path.to_owned(), path.to_owned());
        self.config.devices.push(api::Device { container_path, host_path, permissions: "rw".to_owned() });
        self
    }

    /// Asks for a device by its CDI name.
    pub(crate) fn cdi_device(mut self, name: &str) -> Self {
        self.config.cdi_devices.push(api::CdiDevice { name: name.to_owned() });
        self
    }

    /// Limits memory.
    pub(crate) fn memory_mib(mut self, mib: i64) -> Self {
        self.resources().memory_limit_in_bytes = mib << 20;
        self
    }

    /// Limits processor time, in thousandths of a processor.
    pub(crate) fn cpu_milli(mut self, milli: i64) -> Self {
        let resources = self.resources();
        resources.cpu_period = 100_000;
        resources.cpu_quota = milli * 100;
        resources.cpu_shares = milli * 1024 / 1000;
        self
    }

    fn any_mount(mut self, container_path: &str, host_path: PathBuf, readonly: bool) -> Self {
        self.config.mounts.push(api::Mount {
            container_path: container_path.to_owned(),
            host_path: host_path.display().to_string(),
            readonly,
            ..Default::default()
        });
        self
    }

    fn resources(&mut self) -> &mut api::LinuxContainerResources {
        self.config.linux.get_or_insert_default().resources.get_or_insert_default()
    }
}

/// A pod's sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// Its id.
    pub(crate) id: String,
    /// How long the sandbox took.
    pub(crate) took: Duration,
    config: api::PodSandboxConfig,
    cri: Cri,
}

impl Pod {
    /// Starts a sandbox under the handler of the node, or under another one.
    pub(crate) async fn run(node: &Node, name: &str, annotations: &[(String, String)], handler: &str) -> Result<Self> {
        let uid = format!("{name}-{}", node.next_number());
        let logs = node.containerd.paths.logs.join(&uid);
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let security = api::LinuxSandboxSecurityContext {
            namespace_options: Some(on_the_host_network()),
            seccomp: Some(runtime_default()),
            ..Default::default()
        };
        let config = api::PodSandboxConfig {
            metadata: Some(api::PodSandboxMetadata {
                name: name.to_owned(),
                namespace: "e2e".to_owned(),
                uid: uid.clone(),
                attempt: 0,
            }),
            log_directory: logs.display().to_string(),
            annotations: annotations.iter().cloned().collect(),
            linux: Some(api::LinuxPodSandboxConfig {
                cgroup_parent: format!("{}/{uid}", node.cgroup),
                security_context: Some(security),
            }),
            ..Default::default()
        };
        let started = Instant::now();
        let id = node.cri.run_sandbox(&config, handler).await?;
        Ok(Self { id, took: started.elapsed(), config, cri: node.cri.clone() })
    }

    /// Creates a container in it, without starting it.
    pub(crate) async fn create(&self, spec: &ContainerSpec) -> Result<Container> {
        let started = Instant::now();
        let id = self.cri.create(&self.id, spec.config.clone(), &self.config).await?;
        let log = PathBuf::from(&self.config.log_directory).join(&spec.config.log_path);
        Ok(Container { id, log, created_in: started.elapsed(), started_in: Duration::ZERO, cri: self.cri.clone() })
    }

    /// Creates a container in it and starts it.
    pub(crate) async fn start(&self, spec: &ContainerSpec) -> Result<Container> {
        let mut container = self.create(spec).await?;
        container.start().await?;
        Ok(container)
    }

    /// Stops and removes everything of it.
    pub(crate) async fn remove(&self) -> Result<()> {
        self.cri.stop_sandbox(&self.id).await?;
        self.cri.remove_sandbox(&self.id).await
    }
}

/// A container of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// Its id.
    pub(crate) id: String,
    /// How long it took to create it.
    pub(crate) created_in: Duration,
    /// How long it took to start it.
    pub(crate) started_in: Duration,
    log: PathBuf,
    cri: Cri,
}

impl Container {
    /// Starts it.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let started = Instant::now();
        self.cri.start(&self.id).await.with_context(|| format!("log of the container:{}", indented(&self.text())))?;
        self.started_in = started.elapsed();
        Ok(())
    }

    /// Its state.
    pub(crate) async fn status(&self) -> Result<api::ContainerStatus> {
        self.cri.status(&self.id).await
    }

    /// Process id on the host.
    pub(crate) async fn process(&self) -> Result<u32> {
        self.cri.process(&self.id).await
    }

    /// What it wrote, without the log's time stamps.
    pub(crate) fn text(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        // `2026-01-01T00:00:00.0Z stdout F the line`; a P in place of the F is a part of a line.
        let mut text = String::new();
        for line in log.lines() {
            let mut words = line.splitn(4, ' ');
            let is_part = words.nth(2) == Some("P");
            text.push_str(words.next().unwrap_or_default());
            if !is_part {
                text.push('\n');
            }
        }
        text
    }

    /// Waits for it to write something.
    pub(crate) async fn wait_for_text(&self, part: &str, limit: Duration) -> Result<()> {
        let started = Instant::now();
        while !self.text().contains(part) {
            let status = self.status().await?;
            if status.state() == api::ContainerState::ContainerExited && !self.text().contains(part) {
                bail!("it ended with {} and never wrote `{part}`:{}", status.exit_code, indented(&self.text()));
            }
            if started.elapsed() > limit {
                bail!("it did not write `{part}` within {} s:{}", limit.as_secs(), indented(&self.text()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until it has ended.
    pub(crate) async fn wait_for_end(&self, limit: Duration) -> Result<api::ContainerStatus> {
        let started = Instant::now();
        loop {
            let status = self.status().await?;
            if status.state() == api::ContainerState::ContainerExited {
                return Ok(status);
            }
            if started.elapsed() > limit {
                bail!("it did not end within {} s; its log:{}", limit.as_secs(), indented(&self.text()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends SIGTERM, SIGKILL after the grace, and returns how it ended.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<api::ContainerStatus> {
        self.cri.stop(&self.id, grace).await?;
        self.status().await
    }
}

/// The last lines of a log, set off from the sentence before.
pub(crate) fn indented(text: &str) -> String {
    if text.trim().is_empty() {
        return " (empty)".to_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].iter().map(|line| format!("\n      {line}")).collect()
}

fn on_the_host_network() -> api::NamespaceOption {
    api::NamespaceOption {
        network: api::NamespaceMode::Node.into(),
        pid: api::NamespaceMode::Container.into(),
        ipc: api::NamespaceMode::Pod.into(),
    }
}

fn runtime_default() -> api::SecurityProfile {
    let profile_type = api::security_profile::ProfileType::RuntimeDefault.into();
    api::SecurityProfile { profile_type, localhost_ref: String::new() }
}
