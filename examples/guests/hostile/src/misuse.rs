//! Calls that the host must refuse, and an answer that it must not believe.

use wisp_guest::{DataType, Embeddings, Error, HostTensor, Model, NamedTensor, Tensor};

/// A request of two tokens, right in every way.
fn inputs() -> Result<Vec<NamedTensor>, Error> {
    Ok(vec![
        Tensor::from_slice(&[1, 2], &[101_i64, 102])?.named("input_ids")?,
        Tensor::from_slice(&[1, 2], &[1_i64, 1])?.named("attention_mask")?,
        Tensor::from_slice(&[1, 2], &[0_i64, 0])?.named("token_type_ids")?,
    ])
}

/// Computes and hands on the host's error; if the host has none, that is the error.
fn refused(what: &str, inputs: Vec<NamedTensor>) -> Result<Embeddings, Error> {
    let outputs = Model::load("encoder")?.compute(inputs)?;
    let names: Vec<_> = outputs.names().collect();
    Err(Error::internal(format!("host accepted {what} and computed {}", names.join(", "))))
}

/// Asks for a model that no deployment of this guest is granted.
pub(crate) fn load_ungranted() -> Result<Embeddings, Error> {
    Model::load("somebody-elses-model")?;
    Err(Error::internal("host handed out a model that was not granted"))
}

/// Computes with a tensor of 2 × 8 bytes by its shape and 15 by its data.
pub(crate) fn compute_with_short_bytes() -> Result<Embeddings, Error> {
    let mut inputs = inputs()?;
    inputs[0].1 = HostTensor::new(&[1, 2], DataType::I64, &[0; 15]);
    refused("15 bytes for 16", inputs)
}

/// Computes with floating-point token ids.
pub(crate) fn compute_with_floats() -> Result<Embeddings, Error> {
    let mut inputs = inputs()?;
    inputs[0] = Tensor::from_slice(&[1, 2], &[101.0_f32, 102.0])?.named("input_ids")?;
    refused("f32 token ids", inputs)
}

/// Computes with an input that the model does not have.
pub(crate) fn compute_with_an_unknown_input() -> Result<Embeddings, Error> {
    let mut inputs = inputs()?;
    inputs[0].0 = "no-such-input".to_owned();
    refused("an unknown input", inputs)
}

/// Passes 8 MiB to the host in one call.
pub(crate) fn pass_a_large_tensor() -> Result<Embeddings, Error> {
    let data = vec![0_u8; 8 << 20];
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let tensor = HostTensor::new(&[length], DataType::U8, &data);
    Err(Error::internal(format!("host took {} bytes", tensor.dimensions().first().copied().unwrap_or_default())))
}

/// Leaves the last vector out, but not its token count.
pub(crate) fn shorten(mut embeddings: Embeddings) -> Embeddings {
    let kept = embeddings.values.len().saturating_sub(embeddings.dimensions as usize);
    embeddings.values.truncate(kept);
    embeddings
}
