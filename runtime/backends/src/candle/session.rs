//! A loaded encoder as a session: padded or packed rows in, hidden states and sentence embeddings out.

use candle_core::{Device as CandleDevice, Tensor as CandleTensor};
use wisp_core::aligned::AlignedBuffer;
use wisp_core::pooling::{normalize, pool};
use wisp_core::{
    BackendError, BackendId, Batch, DataType, FusedOutput, Layout, LoadRequest, NamedTensor, PackedBatch, Placement,
    Session, SessionInfo, Tensor, TensorSpec,
};

use super::bert::{Bert, BertConfig};
use super::rows::PackedRows;
use super::run_error;

/// The inputs of a BERT encoder, by the names that every exporter uses.
const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const TYPES: &str = "token_type_ids";

/// Hidden states of all tokens; the only output that is not fused.
const HIDDEN_OUTPUT: &str = "last_hidden_state";

pub(super) struct CandleSession {
    model: Bert,
    info: SessionInfo,
    hidden_size: usize,
    vocabulary: usize,
    token_types: usize,
    max_positions: usize,
}

/// What one inference computed, in packed order.
struct Encoded {
    hidden: Vec<f32>,
    rows: PackedRows,
}

impl CandleSession {
    pub(super) fn new(model: Bert, config: &BertConfig, request: &LoadRequest<'_>) -> Result<Self, BackendError> {
        check_promises(config, request)?;
        let info = SessionInfo {
            placement: Placement { backend: BackendId::Candle, device: request.device },
            precision: request.precision,
            signature: request.signature.clone(),
            layouts: vec![Layout::Packed, Layout::Padded],
            fused_outputs: request.fused_outputs.to_vec(),
            library_version: super::CANDLE_VERSION.to_owned(),
        };
        Ok(Self {
            model,
            info,
            hidden_size: config.hidden_size,
            vocabulary: config.vocab_size,
            token_types: config.type_vocab_size,
            max_positions: config.max_position_embeddings,
        })
    }

    fn run_padded(&self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, BackendError> {
        self.info.signature.check_inputs(inputs)?;
        let (ids, mask) = (find(inputs, IDS)?, find(inputs, MASK)?);
        let shape = ids.shape();
        if let Some(input) = inputs.iter().find(|input| input.tensor.shape() != shape) {
            let (name, actual) = (&input.name, input.tensor.shape());
            return Err(BackendError::Input(format!("input `{name}` has shape {actual:?}, `{IDS}` has {shape:?}")));
        }
        // The signature fixes the rank at two and refuses empty axes.
        let (count, length) = (shape[0], shape[1]);
        let rows = PackedRows::of_padded(mask.view::<i64>()?, length);
        let encoded = self.encode(ids, find(inputs, TYPES).ok(), rows)?;
        self.outputs(&encoded, count, &[count, length])
    }

    fn run_packed(&self, batch: &PackedBatch) -> Result<Vec<NamedTensor>, BackendError> {
        let ids = find(&batch.inputs, IDS)?;
        check_offsets(&batch.offsets, ids.element_count())?;
        let tokens = ids.element_count();
        for input in &batch.inputs {
            let is_expected = input.tensor.data_type() == DataType::I64 && input.tensor.shape() == [tokens];
            if !is_expected || (input.name != IDS && input.name != TYPES) {
                return Err(BackendError::Input(format!(
                    "packed input `{}` is {:?}; expected `{IDS}` and optionally `{TYPES}`, i64 [{tokens}]",
                    input.name, input.tensor
                )));
            }
        }
        let rows = PackedRows::of_packed(&batch.offsets);
        let count = batch.offsets.len() - 1;
        let encoded = self.encode(ids, find(&batch.inputs, TYPES).ok(), rows)?;
        self.outputs(&encoded, count, &[tokens])
    }

    /// Runs the encoder over the tokens that take part.
    fn encode(&self, ids: &Tensor, types: Option<&Tensor>, rows: PackedRows) -> Result<Encoded, BackendError> {
        if let Some(last) = rows.positions.iter().max().filter(|last| **last as usize >= self.max_positions) {
            return Err(BackendError::Input(format!(
                "a row has {} tokens; the model takes at most {}",
                last + 1,
                self.max_positions
            )));
        }
        if rows.sources.is_empty() {
            return Ok(Encoded { hidden: Vec::new(), rows });
        }
        let ids = pick(ids.view::<i64>()?, &rows.sources, self.vocabulary, IDS)?;
        let types = match types {
            Some(types) => pick(types.view::<i64>()?, &rows.sources, self.token_types, TYPES)?,
            None => vec![0; ids.len()],
        };
        let on_device = |values: &[u32]| CandleTensor::new(values, &CandleDevice::Cpu);
        let hidden = (|| {
            self.model
                .forward(&on_device(&ids)?, &on_device(&types)?, &on_device(&rows.positions)?, &rows)?
                .flatten_all()?
                .to_vec1::<f32>()
        })()
        .map_err(|error: candle_core::Error| run_error(&error))?;
        Ok(Encoded { hidden, rows })
    }

    /// The outputs of the signature; `token_shape` is the shape of the token arrays as the caller gave them.
    fn outputs(
        &self,
        encoded: &Encoded,
        count: usize,
        token_shape: &[usize],
    ) -> Result<Vec<NamedTensor>, BackendError> {
        let output = |spec: &TensorSpec| {
            let fused = self.info.fused_outputs.iter().find(|fused| fused.name == spec.name);
            let tensor = match fused {
                Some(fused) => self.pooled(encoded, fused, count)?,
                None => self.hidden_states(encoded, token_shape)?,
            };
            Ok(NamedTensor::new(&*spec.name, tensor))
        };
        self.info.signature.outputs.iter().map(output).collect()
    }

    /// Hidden states where the caller's tokens lay; zero where they were masked out.
    fn hidden_states(&self, encoded: &Encoded, token_shape: &[usize]) -> Result<Tensor, BackendError> {
        let width = self.hidden_size;
        let tokens: usize = token_shape.iter().product();
        let mut buffer = AlignedBuffer::zeroed(tokens * width * size_of::<f32>());
        let values: &mut [f32] = bytemuck::cast_slice_mut(buffer.as_mut_slice());
        for (&source, state) in encoded.rows.sources.iter().zip(encoded.hidden.chunks_exact(width)) {
            values[source * width..][..width].copy_from_slice(state);
        }
        let shape = [token_shape, &[width]].concat();
        Ok(Tensor::new(DataType::F32, &shape, buffer.freeze())?)
    }

    /// One vector a row, `[rows, hidden]`. A row without tokens has the zero vector.
    fn pooled(&self, encoded: &Encoded, fused: &FusedOutput, count: usize) -> Result<Tensor, BackendError> {
        let width = self.hidden_size;
        let mut values = vec![0.0_f32; count * width];
        for group in &encoded.rows.groups {
            let states = &encoded.hidden[group.tokens.start * width..group.tokens.end * width];
            for (&row, states) in group.rows.iter().zip(states.chunks_exact(group.length * width)) {
                let vector = &mut values[row * width..][..width];
                pool(states, fused.pooling, vector);
                if fused.is_normalized {
                    normalize(vector);
                }
            }
        }
        Ok(Tensor::from_slice(&[count, width], &values)?)
    }
}

impl Session for CandleSession {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        match batch {
            Batch::Padded(inputs) => self.run_padded(inputs),
            Batch::Packed(batch) => self.run_packed(batch),
        }
    }
}

fn find<'a>(inputs: &'a [NamedTensor], name: &str) -> Result<&'a Tensor, BackendError> {
    let input = inputs.iter().find(|input| input.name == name);
    input.map(|input| &input.tensor).ok_or_else(|| BackendError::Input(format!("input `{name}` is missing")))
}

/// The values at `sources`, each checked to be below `limit`.
fn pick(values: &[i64], sources: &[usize], limit: usize, name: &str) -> Result<Vec<u32>, BackendError> {
    let checked = |&source: &usize| {
        let value = values[source];
        match u32::try_from(value) {
            Ok(value) if (value as usize) < limit => Ok(value),
            _ => Err(BackendError::Input(format!("input `{name}` holds {value}; the model knows 0 to {}", limit - 1))),
        }
    };
    sources.iter().map(checked).collect()
}

fn check_offsets(offsets: &[usize], tokens: usize) -> Result<(), BackendError> {
    let is_ascending = offsets.windows(2).all(|pair| pair[0] < pair[1]);
    if offsets.len() < 2 || offsets[0] != 0 || offsets.last() != Some(&tokens) || !is_ascending {
        return Err(BackendError::Input(format!(
            "offsets of packed rows must ascend from 0 to {tokens} tokens, got {} of them",
            offsets.len()
        )));
    }
    Ok(())
}

/// Compares what the manifest promises with what this architecture computes.
fn check_promises(config: &BertConfig, request: &LoadRequest<'_>) -> Result<(), BackendError> {
    let refuse = |reason: String| {
        let (model, file) = (request.model.to_owned(), request.file.to_owned());
        Err(BackendError::Model { model, file, reason })
    };
    let signature = request.signature;
    for name in [IDS, MASK] {
        if signature.input(name).is_none_or(|spec| spec.data_type != DataType::I64 || spec.shape.len() != 2) {
            return refuse(format!("the manifest declares no input `{name}` of type i64 and shape [-1, -1]"));
        }
    }
    if let Some(other) = signature.inputs.iter().find(|spec| ![IDS, MASK, TYPES].contains(&spec.name.as_str())) {
        return refuse(format!("the manifest declares input `{}`, which a bert encoder does not have", other.name));
    }
    for output in &signature.outputs {
        if output.name != HIDDEN_OUTPUT && !request.fused_outputs.iter().any(|fused| fused.name == output.name) {
            return refuse(format!(
                "the manifest declares output `{}`, which is neither `{HIDDEN_OUTPUT}` nor fused",
                output.name
            ));
        }
        let width = output.shape.last();
        if width != Some(&wisp_core::Axis::Fixed(config.hidden_size)) && width != Some(&wisp_core::Axis::Free) {
            return refuse(format!("output `{}` is {} wide in config.json", output.name, config.hidden_size));
        }
    }
    Ok(())
}
