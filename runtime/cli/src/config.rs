//! `wisp config check | print`.

use std::path::PathBuf;

use clap::Subcommand;
use wisp_model_store::StoreError;

use crate::placement::{self, ConfigOptions};
use crate::{GlobalOptions, output};

/// Check or print a configuration.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a configuration can be used; nothing is loaded.
    Check {
        /// The file.
        #[arg(value_name = "FILE", env = "WISP_CONFIG")]
        file: PathBuf,
    },
    /// Print the configuration with every default.
    Print(ConfigOptions),
}

impl ConfigCommand {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        match self {
            Self::Check { file } => {
                let config = placement::read(&file)?;
                let store = options.store()?;
                let unknown = config.models.iter().filter_map(|(name, model)| {
                    let error = store.open(&model.source).err()?;
                    // What is pinned comes with the start.
                    if matches!(error, StoreError::NotPulled { .. }) {
                        return None;
                    }
                    Some(format!("{}: models.{name}: {error}", file.display()))
                });
                let unknown: Vec<_> = unknown.collect();
                anyhow::ensure!(unknown.is_empty(), "{}", unknown.join("\n"));
                let (models, deployments) = (config.models.len(), config.deployments.len());
                output::line(format_args!(
                    "{}: {models} models, {deployments} deployments, gRPC on {}",
                    file.display(),
                    config.server.grpc
                ))?;
            }
            Self::Print(options) => output::line(options.read()?.to_toml().trim_end())?,
        }
        Ok(())
    }
}
