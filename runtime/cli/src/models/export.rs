//! `wisp models export`: an ONNX graph out of safetensors.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use wisp_model_export::calibration::Ranges;
use wisp_model_export::{ExportRequest, export_bert, export_bert_f16, export_bert_int8, export_bert_int8_static};
use wisp_model_store::Sha256Digest;

use crate::output;

#[derive(Args)]
pub(crate) struct Export {
    /// The weights, model.safetensors.
    #[arg(long, env = "WISP_EXPORT_WEIGHTS", value_name = "FILE")]
    weights: PathBuf,
    /// The architecture, config.json.
    #[arg(long, env = "WISP_EXPORT_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The ONNX file to write.
    #[arg(long, env = "WISP_EXPORT_OUTPUT", value_name = "FILE")]
    output: PathBuf,
    /// How projections are stored: f32, f16 (for GPUs), int8 (weights as bytes), or int8-static (multiplied as bytes, too).
    #[arg(long, env = "WISP_EXPORT_FORM", default_value = "f32", value_name = "FORM")]
    form: Form,
    /// What `wisp models calibrate` wrote; for the form int8-static.
    #[arg(long, env = "WISP_EXPORT_RANGES", value_name = "FILE", required_if_eq("form", "int8-static"))]
    ranges: Option<PathBuf>,
}

/// How projections are stored.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    F32,
    F16,
    Int8,
    Int8Static,
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let request = ExportRequest { weights: &self.weights, config: &self.config, output: &self.output };
        let report = match (self.form, &self.ranges) {
            (Form::Int8Static, Some(path)) => {
                let text = std::fs::read(path).with_context(|| path.display().to_string())?;
                export_bert_int8_static(&request, &Ranges::parse(&text, path)?)
            }
            (Form::F16, _) => export_bert_f16(&request),
            (Form::Int8, _) => export_bert_int8(&request),
            (Form::F32 | Form::Int8Static, _) => export_bert(&request),
        }
        .context("export")?;
        let file = std::fs::File::open(&self.output).with_context(|| self.output.display().to_string())?;
        let sha256 = Sha256Digest::of_reader(file, |_| ()).with_context(|| self.output.display().to_string())?;
        output::line(format_args!(
            "{}: {} layers of {}, {} parameters, {} bytes, sha256 {sha256}",
            self.output.display(),
            report.layers,
            report.hidden_size,
            report.parameters,
            report.bytes
        ))?;
        Ok(())
    }
}
