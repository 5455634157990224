//! `wisp:inference/models`: what a granted model takes and gives.

use wisp_core::{Axis, TensorSpec};

use crate::GrantedModel;
use crate::bindings::wisp::inference::models::{Host, ModelInfo, TensorInfo};
use crate::bindings::wisp::inference::types::Error;
use crate::convert::{pooling, tensor_type};
use crate::state::State;

impl Host for State {
    fn describe(&mut self, name: String) -> wasmtime::Result<Result<ModelInfo, Error>> {
        Ok(match self.account.granted(&name) {
            Ok(grant) => Ok(model_info(&grant.model)),
            Err(error) => Err(self.wit_error(&error)),
        })
    }

    fn max_rows(&mut self, name: String) -> wasmtime::Result<Result<Option<u32>, Error>> {
        Ok(match self.account.granted(&name) {
            Ok(grant) => Ok(grant.max_rows.map(|rows| u32::try_from(rows).unwrap_or(u32::MAX))),
            Err(error) => Err(self.wit_error(&error)),
        })
    }
}

fn model_info(model: &GrantedModel) -> ModelInfo {
    let session = model.queue.info();
    let max_tokens = model.tokenizer.as_ref().map(|tokenizer| tokenizer.options().max_tokens);
    ModelInfo {
        name: model.name.clone(),
        inputs: session.signature.inputs.iter().map(tensor_info).collect(),
        outputs: session.signature.outputs.iter().map(tensor_info).collect(),
        fused_outputs: session.fused_outputs.iter().map(|fused| fused.name.clone()).collect(),
        dimensions: model.embedding.map(|embedding| embedding.dimensions),
        max_tokens: max_tokens.and_then(|tokens| u32::try_from(tokens).ok()),
        pooling: pooling(model.embedding.map(|embedding| embedding.pooling)),
        labels: model.labels.clone(),
        max_batch_tokens: model.max_batch_tokens,
    }
}

fn tensor_info(spec: &TensorSpec) -> TensorInfo {
    let axis = |axis: &Axis| match axis {
        Axis::Free => -1,
        Axis::Fixed(length) => i32::try_from(*length).unwrap_or(i32::MAX),
    };
    TensorInfo {
        name: spec.name.clone(),
        ty: tensor_type(spec.data_type),
        shape: spec.shape.iter().map(axis).collect(),
    }
}
