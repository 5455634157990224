//! Flags that say how registries are reached, and the artifacts that a configuration names, brought into the cache.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use wisp_engine::Config;
use wisp_model_store::{Access, Sha256Digest, Store};
use wisp_registry::{ArtifactName, RegistryOptions, pull};

use crate::progress::Console;
use crate::{Format, output};

/// How registries are reached. Credentials are those of the Docker configuration: `docker login` or `oras login` write them.
#[derive(Args, Clone)]
#[command(next_help_heading = "Registries")]
pub(crate) struct RegistryFlags {
    /// Trust the certificates of this PEM file beside those of the system, for registries of your own.
    #[arg(long, env = "WISP_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Speak HTTP without TLS: who is on the way can read passwords and change manifests that no digest pins. Registries on
    /// loopback need no flag.
    #[arg(long, env = "WISP_PLAIN_HTTP", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    plain_http: bool,
    /// Longest silence of a registry in seconds; too low breaks large uploads on slow lines.
    #[arg(long, env = "WISP_REGISTRY_TIMEOUT_S", default_value = "30", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_s: u64,
    /// How often a request is made that fails by 429, 5xx or a lost connection, with growing pauses between.
    #[arg(long, env = "WISP_REGISTRY_ATTEMPTS", default_value = "5", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: u32,
    /// Most bytes of one artifact [default: 64 MiB for a module, 32 GiB for a model].
    #[arg(long, env = "WISP_MAX_BYTES", value_name = "BYTES")]
    max_bytes: Option<u64>,
}

impl RegistryFlags {
    pub(crate) fn options(&self) -> RegistryOptions {
        RegistryOptions {
            ca_file: self.ca_file.clone(),
            plain_http: self.plain_http,
            timeout: Duration::from_secs(self.timeout_s),
            attempts: self.attempts,
            limit_bytes: self.max_bytes,
            ..RegistryOptions::default()
        }
    }

    /// Brings every artifact of the configuration into the cache: the engine takes them from there.
    pub(crate) async fn fetch(&self, config: &Config, store: &Store) -> anyhow::Result<()> {
        let (options, console) = (self.options(), Console::new());
        for artifact in config.artifacts() {
            let name: ArtifactName = artifact.reference().parse()?;
            let pulled = pull(&name, None, store, &options, &console).await?;
            tracing::info!(reference = artifact.reference(), is_cached = pulled.is_cached, "artifact is in the cache");
        }
        Ok(())
    }

    /// As [`RegistryFlags::fetch`], for commands that have no runtime.
    pub(crate) fn fetch_blocking(&self, config: &Config, store: &Store) -> anyhow::Result<()> {
        if config.artifacts().is_empty() {
            return Ok(());
        }
        runtime()?.block_on(self.fetch(config, store))
    }
}

/// How the result of a push or a pull is told.
#[derive(Args)]
pub(crate) struct ResultFlags {
    /// Write the digest into this file, for scripts that pin it.
    #[arg(long, env = "WISP_DIGEST_FILE", value_name = "FILE")]
    digest_file: Option<PathBuf>,
    /// Form of the result.
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: Format,
}

impl ResultFlags {
    /// Writes the digest where it is wanted, `sha256:…` and a line end as other tools do, then the report: as JSON, or for people a
    /// remark and the line that scripts take.
    pub(crate) fn tell(
        &self,
        digest: Sha256Digest,
        report: &impl Serialize,
        remark: &str,
        line: impl std::fmt::Display,
    ) -> anyhow::Result<()> {
        if let Some(file) = &self.digest_file {
            let written = std::fs::write(file, format!("{}\n", digest.to_oci()));
            written.with_context(|| format!("cannot write {}", file.display()))?;
        }
        if self.format == Format::Json {
            output::line(serde_json::to_string_pretty(report)?)?;
        } else {
            eprintln!("{remark}");
            output::line(line)?;
        }
        Ok(())
    }
}

/// A runtime for one command.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Refuses what cannot work without a network.
pub(crate) fn need_network(store: &Store) -> anyhow::Result<()> {
    let is_online = store.access() == Access::Online;
    anyhow::ensure!(is_online, "a push needs the registry; leave out --offline (WISP_OFFLINE)");
    Ok(())
}
