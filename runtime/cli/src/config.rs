//! `wisp config check | print`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::output;
use crate::placement::{self, ConfigOptions};

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
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Check { file } => {
                let config = placement::read(&file)?;
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
