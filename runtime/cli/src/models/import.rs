//! `wisp models import`: a model of the user's own.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wisp_core::{BackendId, Device, Placement, Pooling, Precision};
use wisp_engine::ImportRequest;
use wisp_model_store::Store;

use crate::progress::Console;
use crate::{output, texts};

/// Bring in a model of your own: read its signature, make golden answers from its f32 run, write a manifest, prove batches.
#[derive(Args)]
pub(crate) struct Import {
    /// The model: .onnx, .xml (OpenVINO IR), .tflite or .safetensors. A tokenizer.json and config.json beside it are taken along.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name to open it by: lower-case letters, digits, `-`, `_` and `.`.
    #[arg(long, env = "WISP_IMPORT_NAME", value_name = "NAME")]
    name: String,
    /// SPDX identifier of its licence.
    #[arg(long, env = "WISP_IMPORT_LICENSE", default_value = "LicenseRef-unknown", value_name = "ID")]
    license: String,
    /// config.json of the architecture, if it does not lie beside the file.
    #[arg(long, env = "WISP_IMPORT_CONFIG", value_name = "FILE")]
    architecture: Option<PathBuf>,
    /// tokenizer.json, if it does not lie beside the file.
    #[arg(long, env = "WISP_IMPORT_TOKENIZER", value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Names of the classes, one a line.
    #[arg(long, env = "WISP_IMPORT_LABELS", value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Longest input in tokens; more than the model has positions for fails at run time.
    #[arg(long, env = "WISP_IMPORT_MAX_TOKENS", default_value_t = 256, value_name = "N")]
    max_tokens: usize,
    /// How hidden states become one vector, where the model does not pool by itself.
    #[arg(long, env = "WISP_IMPORT_POOLING", default_value = "mean", value_name = "POOLING")]
    pooling: PoolingChoice,
    /// Texts to make golden vectors of, one a line: what the model is really used on proves most.
    #[arg(long, env = "WISP_IMPORT_TEXTS", value_name = "FILE")]
    texts: Option<PathBuf>,
}

/// How hidden states become one vector.
#[derive(Clone, Copy, ValueEnum)]
enum PoolingChoice {
    Mean,
    Cls,
    Last,
}

impl From<PoolingChoice> for Pooling {
    fn from(choice: PoolingChoice) -> Self {
        match choice {
            PoolingChoice::Mean => Self::Mean,
            PoolingChoice::Cls => Self::Cls,
            PoolingChoice::Last => Self::Last,
        }
    }
}

impl Import {
    pub(crate) fn run(self, store: &Store) -> anyhow::Result<()> {
        let progress = Console::new();
        let texts = match &self.texts {
            Some(file) => texts::collect(Vec::new(), std::slice::from_ref(file))?,
            None => Vec::new(),
        };
        let request = ImportRequest {
            file: self.file,
            name: self.name,
            license: self.license,
            config: self.architecture,
            tokenizer: self.tokenizer,
            labels: self.labels,
            max_tokens: self.max_tokens,
            pooling: self.pooling.into(),
            normalized: true,
            texts,
        };
        let imported = wisp_engine::import(&request, store, &progress)?;
        output::line(format_args!("{}: {}", request.name, imported.folder.display()))?;
        let cases = imported.golden_cases;
        output::line(format_args!("{cases} golden answers, computed in f32 on {}", imported.reference))?;
        for backend in BackendId::ALL {
            let is_for = imported.model.manifest.model_files().any(|file| file.backends.contains(&backend));
            if is_for {
                prove(&imported.model, Placement { backend, device: Device::Cpu }, store, &progress)?;
            }
        }
        output::line(format_args!("see it whole with `wisp models inspect {}`", request.name))?;
        Ok(())
    }
}

/// Says what the proofs said of one placement; that one refuses is no failure of the import.
fn prove(
    model: &wisp_model_store::Model,
    placement: Placement,
    store: &Store,
    progress: &Console,
) -> anyhow::Result<()> {
    let proven = wisp_engine::prove_model(model, placement, Precision::F32, store, progress);
    for (file, proof) in proven.unwrap_or_else(|reason| vec![("–".to_owned(), Err(reason))]) {
        match proof {
            Ok(proof) => output::line(format_args!(
                "{placement} ({file}): batches of rows {}; padding {}",
                proof.batching.rows, proof.batching.padding
            ))?,
            Err(reason) => output::line(format_args!("{placement} ({file}): {reason}"))?,
        }
    }
    Ok(())
}
