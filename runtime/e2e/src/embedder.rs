//! The embedder as a pod: how it is configured, awaited and called, whatever runtime runs it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wisp_proto::v1::inference_service_client::InferenceServiceClient;
use wisp_proto::v1::{EmbedRequest, EmbedResponse};

use crate::cri::api::ContainerState;
use crate::images::MODULE;
use crate::node::{Node, Subject};
use crate::pod::{Container, ContainerSpec, Pod, indented};

/// The model that pods mount.
pub(crate) const MODEL: &str = "all-minilm-l6-v2";

/// Where they mount it.
pub(crate) const MODEL_PATH: &str = "/models/all-minilm-l6-v2";

/// Texts in one request: few, so that a pod with half a processor on a busy machine answers within its limit of time.
const TEXTS: usize = 4;

/// Longest time from the start of the container to SERVING: the model is loaded and proven in it, ten at once on two cores.
const SERVING_LIMIT: Duration = Duration::from_secs(300);

/// A pod that is to serve the embedder: what the container asks for, and the configuration as annotations carry it.
#[derive(Clone, Debug)]
pub(crate) struct Embedder {
    /// What the container asks for; the model is not mounted yet.
    pub(crate) spec: ContainerSpec,
    /// Where it listens.
    pub(crate) port: u16,
    settings: Vec<(String, String)>,
}

impl Embedder {
    /// The module of a container image, on a free port, with the model granted but not mounted.
    pub(crate) fn without_model(image: &str) -> Result<Self> {
        let port = Node::free_port()?;
        let settings = [
            ("server.grpc", format!("127.0.0.1:{port}")),
            ("server.http", "off".to_owned()),
            ("server.admin", "off".to_owned()),
            ("models.all-minilm-l6-v2.source", MODEL_PATH.to_owned()),
            ("models.all-minilm-l6-v2.placement", "[\"candle:cpu\"]".to_owned()),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value)).to_vec();
        Ok(Self { spec: ContainerSpec::new("embedder", image).memory_mib(1024), port, settings })
    }

    /// The embedder with its model mounted from the node, and time for a machine that is busy with other things.
    pub(crate) fn new(node: &Node) -> Result<Self> {
        Ok(Self::with_implied_deployment(node)?.patient(node))
    }

    /// The embedder with its model mounted from the node, and no word about what the module is or may use.
    pub(crate) fn with_implied_deployment(node: &Node) -> Result<Self> {
        Ok(Self::without_model(MODULE)?.with(|spec| spec.mount(MODEL_PATH, &node.model)))
    }

    /// Changes what the container asks for.
    pub(crate) fn with(mut self, change: impl FnOnce(ContainerSpec) -> ContainerSpec) -> Self {
        self.spec = change(self.spec);
        self
    }

    /// Sets a key of the configuration, over what stands there.
    pub(crate) fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Gives each request a minute instead of five seconds. That takes a deployment that is spelled out.
    pub(crate) fn patient(self, node: &Node) -> Self {
        let mut patient = self.setting("deployments.embedder.limits.wall_ms", "60000");
        patient.settings.extend(deployment(&node.subject));
        patient
    }

    /// Listens on a port that may be taken.
    pub(crate) fn on_port(mut self, port: u16) -> Self {
        self.port = port;
        self.setting("server.grpc", &format!("127.0.0.1:{port}"))
    }

    /// The pod's annotations and its container, as this node's subject takes them.
    pub(crate) fn for_node(&self, node: &Node) -> Result<(Vec<(String, String)>, ContainerSpec)> {
        match &node.subject {
            Subject::Shim => {
                let annotations = self.settings.iter().map(|(key, value)| (format!("wisp.dev/{key}"), value.clone()));
                Ok((annotations.collect(), self.spec.clone()))
            }
            Subject::Container => {
                let folder = node.containerd.paths.folder.join(format!("configuration-{}", self.port));
                let cache = node.containerd.paths.folder.join("node");
                Ok((Vec::new(), self.with_engine_mounted(&node.engine, &folder, cache)?))
            }
        }
    }

    /// Starts it and waits until it serves.
    pub(crate) async fn serve(&self, node: &Node) -> Result<Server> {
        let (annotations, spec) = self.for_node(node)?;
        let pod = Pod::run(node, "embedder", &annotations, node.subject.handler()).await?;
        let mut container = pod.create(&spec).await?;
        container.start().await?;
        let serving_in = wait_until_serving(&container, self.port).await?;
        let mut server = Server { pod, container, port: self.port, serving_in, first_in: Duration::ZERO };
        let started = Instant::now();
        server.embed(vec!["the first text of this pod".to_owned()]).await?;
        server.first_in = started.elapsed();
        Ok(server)
    }

    /// The engine of the host and its libraries, in front of the module that is the image's.
    fn with_engine_mounted(&self, engine: &Path, folder: &Path, cache: PathBuf) -> Result<ContainerSpec> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        // Not the user's, and the engine wants to note what it has verified.
        std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).context("the cache stays closed")?;
        std::fs::write(folder.join("wisp.toml"), self.configuration()).context("cannot write wisp.toml")?;
        let mut spec = self.spec.clone();
        for library in ["/usr", "/lib", "/lib64"] {
            spec = spec.mount(library, library);
        }
        let spec = spec
            .mount("/opt/wisp/bin/wisp", engine)
            .mount("/etc/wisp", folder)
            .writable_mount("/cache", cache)
            .variable("WISP_HOME", "/cache")
            .command(&["/opt/wisp/bin/wisp", "serve", "--offline", "--config", "/etc/wisp/wisp.toml"])
            .arguments(&["--log", "info", "--log-format", "json"]);
        Ok(spec)
    }

    /// The settings as the dotted keys of a `wisp.toml`.
    fn configuration(&self) -> String {
        let is_toml = |value: &str| value.starts_with('[') || value.parse::<i64>().is_ok();
        let line = |(key, value): &(String, String)| {
            if is_toml(value) { format!("{key} = {value}\n") } else { format!("{key} = {value:?}\n") }
        };
        let has_deployment = self.settings.iter().any(|(key, _)| key.starts_with("deployments."));
        let implied = if has_deployment { Vec::new() } else { deployment(&Subject::Container) };
        self.settings.iter().chain(&implied).map(line).collect()
    }
}

/// The deployment of the image's module, spelled out.
fn deployment(subject: &Subject) -> Vec<(String, String)> {
    let guest = match subject {
        Subject::Shim => "image",
        Subject::Container => "/module.wasm",
    };
    let settings = [("deployments.embedder.guest", guest), ("deployments.embedder.models.encoder", MODEL)];
    settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}

/// A pod that serves.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its sandbox.
    pub(crate) pod: Pod,
    /// Its only container.
    pub(crate) container: Container,
    /// Where it listens.
    pub(crate) port: u16,
    /// Time from the container's start to SERVING.
    pub(crate) serving_in: Duration,
    /// Time of the first embedding, connecting included.
    pub(crate) first_in: Duration,
}

impl Server {
    /// Embeds texts.
    pub(crate) async fn embed(&self, texts: Vec<String>) -> Result<EmbedResponse> {
        let channel = connect(self.port).await?;
        let mut client = InferenceServiceClient::new(channel).max_decoding_message_size(64 << 20);
        let request = EmbedRequest { texts, ..EmbedRequest::default() };
        let answer = client.embed(request).await;
        let answer = answer.map_err(|status| anyhow::anyhow!("embed: {:?}: {}", status.code(), status.message()))?;
        Ok(answer.into_inner())
    }

    /// Embeds the texts of the golden vectors and compares: the smallest cosine, and what computed them.
    pub(crate) async fn golden(&self, node: &Node) -> Result<String> {
        self.golden_of(node, node.golden.texts.len()).await
    }

    /// The same with the first texts only, for checks that are about something else.
    pub(crate) async fn some_golden(&self, node: &Node) -> Result<String> {
        self.golden_of(node, 2 * TEXTS).await
    }

    async fn golden_of(&self, node: &Node, count: usize) -> Result<String> {
        let (mut smallest, mut index, mut placement) = (1.0_f64, 0, None);
        for texts in node.golden.texts[..count.min(node.golden.texts.len())].chunks(TEXTS) {
            let answer = self.embed(texts.to_vec()).await?;
            ensure!(answer.embeddings.len() == texts.len(), "{} embeddings", answer.embeddings.len());
            for embedding in &answer.embeddings {
                smallest = smallest.min(cosine(&embedding.values, node.golden.vector(index)));
                index += 1;
            }
            placement = answer.placement;
        }
        let placement = placement.context("the answer says not what computed it")?;
        let precision = placement.precision.parse().map_err(|error| anyhow::anyhow!("{error}"))?;
        let tolerance = node.golden.tolerance(precision).context("an unproven precision was used")?;
        ensure!(smallest >= tolerance.min_cosine, "cosine {smallest} to the reference, below {}", tolerance.min_cosine);
        Ok(format!(
            "{index} golden vectors at cosine {smallest:.6} or better on {}:{}, {}",
            placement.backend, placement.device, placement.precision
        ))
    }
}

/// Waits for `grpc.health.v1` to say SERVING; a container that ends before is an error that shows its log.
pub(crate) async fn wait_until_serving(container: &Container, port: u16) -> Result<Duration> {
    let started = Instant::now();
    loop {
        if is_serving(port).await {
            return Ok(started.elapsed());
        }
        let status = container.status().await?;
        if status.state() == ContainerState::ContainerExited {
            bail!(
                "the embedder ended with {} ({}{}) before it served; its log:{}",
                status.exit_code,
                status.reason,
                status.message,
                indented(&container.text())
            );
        }
        if started.elapsed() > SERVING_LIMIT {
            bail!("not SERVING within {} s; log:{}", SERVING_LIMIT.as_secs(), indented(&container.text()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the health service at a port says SERVING.
pub(crate) async fn is_serving(port: u16) -> bool {
    let Ok(channel) = connect(port).await else { return false };
    let answer = HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

async fn connect(port: u16) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).context("the address is no endpoint")?;
    let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(120));
    endpoint.connect().await.with_context(|| format!("nobody answers at port {port}"))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}
