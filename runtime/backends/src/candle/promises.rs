//! Compares what the manifest promises with what the model computes.

use wisp_core::{Axis, BackendError, DataType, LoadRequest, TensorSpec};

use super::config::EncoderConfig;
use super::model_error;

/// Token ids, `i64 [rows, length]`, by the name that every exporter uses.
pub(super) const IDS: &str = "input_ids";
/// 1 for tokens and 0 for padding, as [`IDS`].
pub(super) const MASK: &str = "attention_mask";
/// Token types, as [`IDS`]; 0 everywhere when left out.
pub(super) const TYPES: &str = "token_type_ids";
/// Hidden states of all tokens, `f32 [rows, length, hidden]`.
pub(super) const HIDDEN: &str = "last_hidden_state";
/// What the classification head says, `f32 [rows, labels]`.
pub(super) const LOGITS: &str = "logits";

/// Whether the manifest asks for the classification head.
pub(super) fn wants_logits(request: &LoadRequest<'_>) -> bool {
    request.signature.outputs.iter().any(|output| output.name == LOGITS && !is_fused(request, output))
}

/// Refuses a signature that the model does not have; `labels` is the width of the head, where there is one.
///
/// # Errors
/// [`BackendError::Model`], naming the first input or output that does not fit.
pub(super) fn check(
    config: &EncoderConfig,
    labels: Option<usize>,
    request: &LoadRequest<'_>,
) -> Result<(), BackendError> {
    check_inputs(config, request)?;
    for output in &request.signature.outputs {
        let name = &output.name;
        let (rank, width) = match name.as_str() {
            _ if is_fused(request, output) => (2, config.hidden_size),
            HIDDEN => (3, config.hidden_size),
            LOGITS => (2, labels.unwrap_or_default()),
            _ => {
                let reason =
                    format!("the manifest declares output `{name}`, which is none of `{HIDDEN}`, `{LOGITS}` or fused");
                return Err(model_error(request, reason));
            }
        };
        let fits = |axis: &Axis| matches!(axis, Axis::Free) || *axis == Axis::Fixed(width);
        if output.data_type != DataType::F32 || output.shape.len() != rank || !output.shape.last().is_some_and(fits) {
            let (data_type, shape) = (output.data_type, output.shape_text());
            let reason = format!(
                "the manifest declares output `{name}` as {data_type} {shape}; the model has f32 with {rank} axes, the last {width} wide"
            );
            return Err(model_error(request, reason));
        }
    }
    Ok(())
}

fn check_inputs(config: &EncoderConfig, request: &LoadRequest<'_>) -> Result<(), BackendError> {
    let inputs = &request.signature.inputs;
    for name in [IDS, MASK] {
        if !inputs.iter().any(|input| input.name == name) {
            let reason = format!("the manifest declares no input `{name}`; add it as i64 of shape [-1, -1]");
            return Err(model_error(request, reason));
        }
    }
    for TensorSpec { name, data_type, shape, .. } in inputs {
        let is_known = name == IDS || name == MASK || (name == TYPES && config.token_types > 0);
        if !is_known {
            let reason =
                format!("the manifest declares input `{name}`, which a {} encoder does not have", config.architecture);
            return Err(model_error(request, reason));
        }
        if *data_type != DataType::I64 || shape.len() != 2 {
            let reason = format!("the manifest declares input `{name}` as other than i64 of shape [-1, -1]");
            return Err(model_error(request, reason));
        }
    }
    Ok(())
}

fn is_fused(request: &LoadRequest<'_>, output: &TensorSpec) -> bool {
    request.fused_outputs.iter().any(|fused| fused.name == output.name)
}
