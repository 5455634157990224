//! Compares what the manifest promises with what the model computes.

use wisp_core::{Axis, BackendError, DataType, LoadRequest, Signature, TensorSpec};

use super::config::EncoderConfig;

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
    let spec = |name: &str, data_type, shape: &[Axis]| TensorSpec {
        name: name.to_owned(),
        data_type,
        shape: shape.to_vec(),
        below: None,
    };
    let is_typed = config.token_types > 0 && request.signature.input(TYPES).is_some();
    let inputs = [IDS, MASK].into_iter().chain(is_typed.then_some(TYPES));
    let width = Axis::Fixed(config.hidden_size);
    let mut outputs = vec![spec(HIDDEN, DataType::F32, &[Axis::Free, Axis::Free, width])];
    outputs.extend(labels.map(|labels| spec(LOGITS, DataType::F32, &[Axis::Free, Axis::Fixed(labels)])));
    for fused in request.fused_outputs {
        // A fused output may take the name of one that the model has by itself.
        outputs.retain(|output| output.name != fused.name);
        outputs.push(spec(&fused.name, DataType::F32, &[Axis::Free, width]));
    }
    let inputs = inputs.map(|input| spec(input, DataType::I64, &[Axis::Free, Axis::Free])).collect();
    request.check_promises(&Signature { inputs, outputs })
}

fn is_fused(request: &LoadRequest<'_>, output: &TensorSpec) -> bool {
    request.fused_outputs.iter().any(|fused| fused.name == output.name)
}
