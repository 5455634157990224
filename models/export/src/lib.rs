//! Turns a BERT-class encoder in safetensors into one ONNX file with pooling and normalisation inside.
//!
//! [`export_bert`] (weights in f32), [`export_bert_f16`] (half of the length), [`export_bert_int8`] (a quarter) and [`export_bert_int8_static`] (multiplied
//! as bytes, too) read `config.json` and the names, types and shapes of the weights, build the graph, and then stream the
//! weights from one file to the other: memory stays at a few megabytes, whatever the size of the model, and at the length of
//! the projections for the static form. What the static form rounds activations by is found with [`export_bert_observed`].
//! Equal inputs give equal bytes on every machine: a manifest can pin the digest of a file that each machine makes itself.
//!
//! The graph takes `input_ids`, `attention_mask` and `token_type_ids` (i64, `[batch, sequence]`, both axes free) and gives
//!
//! - `last_hidden_state`, f32 `[batch, sequence, hidden]`;
//! - `sentence_embedding`, f32 `[batch, hidden]`: the mean of the hidden states under the mask, at unit length.
//!
//! Other graphs, for tools and tests, can be made with [`graph::Graph`].
//!
//! ```no_run
//! use std::path::Path;
//!
//! let report = wisp_model_export::export_bert(&wisp_model_export::ExportRequest {
//!     weights: Path::new("model.safetensors"),
//!     config: Path::new("config.json"),
//!     output: Path::new("model.onnx"),
//! })?;
//! println!("{} layers, {} parameters, {} bytes", report.layers, report.parameters, report.bytes);
//! # Ok::<(), wisp_model_export::ExportError>(())
//! ```

#![forbid(unsafe_code)]

mod bert;
pub mod calibration;
mod config;
mod error;
mod file;
pub mod graph;
mod onnx;
mod pooling;
mod quantize;
#[cfg(test)]
mod tests;
mod weights;

use std::path::Path;

pub use error::ExportError;

use bert::{Built, MatrixForm};
use calibration::Ranges;
use config::BertConfig;
use weights::Weights;

/// What to export, and where to.
#[derive(Clone, Copy, Debug)]
pub struct ExportRequest<'a> {
    /// The weights: safetensors with the tensor names of the reference checkpoints, with or without the prefix `bert.`,
    /// in f32, f16 or bf16.
    pub weights: &'a Path,
    /// The architecture: the `config.json` that belongs to the weights.
    pub config: &'a Path,
    /// The ONNX file to write. What lies there is replaced, and only once the new file is complete.
    pub output: &'a Path,
}

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// Transformer layers.
    pub layers: usize,
    /// Length of a hidden state, and of an embedding.
    pub hidden_size: usize,
    /// Weights in the graph; those of the pooler are not, as no output needs them.
    pub parameters: u64,
    /// Length of the ONNX file in bytes.
    pub bytes: u64,
}

/// Writes the ONNX graph of a BERT encoder, weights in f32.
///
/// # Errors
/// [`ExportError`], naming the file and the key or tensor that is wrong. No output is left behind, and what lay at
/// `output` before is untouched.
pub fn export_bert(request: &ExportRequest<'_>) -> Result<ExportReport, ExportError> {
    export(request, MatrixForm::F32)
}

/// Writes the same graph in f16, from the tables to the last hidden state, which is cast to f32 before it is pooled: for GPUs,
/// whose matrix units are made for it.
///
/// # Errors
/// As [`export_bert`].
pub fn export_bert_f16(request: &ExportRequest<'_>) -> Result<ExportReport, ExportError> {
    export(request, MatrixForm::F16)
}

/// Writes the same graph with the projections and the table of words as bytes, one scale and zero point for each output
/// channel and each word: a quarter of the length. What multiplies them, and in which arithmetic, is the runtime's choice.
///
/// # Errors
/// As [`export_bert`], and [`ExportError::NotFinite`].
pub fn export_bert_int8(request: &ExportRequest<'_>) -> Result<ExportReport, ExportError> {
    export(request, MatrixForm::Int8)
}

/// Writes the graph with bytes that are multiplied with bytes: activations are rounded by `ranges`, their outliers and everything
/// between the projections stay f32. Weights are so rounded that no sum of two products leaves 16 bits: processors without
/// VNNI saturate there.
///
/// # Errors
/// As [`export_bert_int8`], and [`ExportError::Activation`] for ranges of another model.
pub fn export_bert_int8_static(request: &ExportRequest<'_>, ranges: &Ranges) -> Result<ExportReport, ExportError> {
    export(request, MatrixForm::Int8Static(ranges))
}

/// Writes the graph in f32 with further outputs, f32 `[batch, sequence, channels]`: every activation that a projection takes.
/// Returns their names and channels.
///
/// # Errors
/// As [`export_bert`].
pub fn export_bert_observed(request: &ExportRequest<'_>) -> Result<Vec<(String, usize)>, ExportError> {
    let (_, mut built) = build(request, MatrixForm::F32)?;
    bert::expose(&mut built);
    file::write(built.graph, request.output)?;
    Ok(built.activations)
}

fn export(request: &ExportRequest<'_>, form: MatrixForm<'_>) -> Result<ExportReport, ExportError> {
    let (config, Built { graph, .. }) = build(request, form)?;
    let parameters = graph.parameters();
    let bytes = file::write(graph, request.output)?;
    Ok(ExportReport { layers: config.layers(), hidden_size: config.hidden_size(), parameters, bytes })
}

fn build(request: &ExportRequest<'_>, form: MatrixForm<'_>) -> Result<(BertConfig, Built), ExportError> {
    let config = BertConfig::read(request.config)?;
    let weights = Weights::open(request.weights)?;
    let built = bert::build(&config, &weights, form)?;
    Ok((config, built))
}
