//! A loaded model as a session: padded or packed rows in; hidden states, sentence embeddings and logits out.

use candle_core::{DType, Device as CandleDevice, Tensor as CandleTensor};
use wisp_core::{
    BackendError, BackendId, Batch, DataType, Layout, LoadRequest, NamedTensor, PackedBatch, Placement, Session,
    SessionInfo, Tensor, TensorSpec, check_lengths,
};

use super::config::EncoderConfig;
use super::encoder::{Encoder, Tokens};
use super::head::Head;
use super::outputs::Computed;
use super::promises::{self, IDS, LOGITS, MASK, TYPES};
use super::room::Room;
use super::rows::PackedRows;
use super::run_error;
use super::weights::Weights;
use crate::heap::TrimsHeap;

pub(super) struct CandleSession {
    config: EncoderConfig,
    encoder: Encoder,
    /// Loaded when the signature has `logits`.
    head: Option<Head>,
    device: CandleDevice,
    room: Room,
    info: SessionInfo,
    _trims_heap: TrimsHeap,
}

impl CandleSession {
    /// Reads the tensors that the signature of `request` needs.
    ///
    /// # Errors
    /// [`BackendError`] naming the tensor, input or output that does not fit.
    pub(super) fn load(
        config: EncoderConfig,
        weights: &Weights<'_>,
        request: &LoadRequest<'_>,
        device: CandleDevice,
        room: Room,
    ) -> Result<Self, BackendError> {
        let head = match promises::wants_logits(request) {
            true => Some(Head::load(&config, weights)?),
            false => None,
        };
        promises::check(&config, head.as_ref().map(|head| head.labels), request)?;
        let info = SessionInfo {
            placement: Placement { backend: BackendId::Candle, device: request.device },
            precision: request.precision,
            signature: request.signature.clone(),
            layouts: vec![Layout::Packed, Layout::Padded],
            fused_outputs: request.fused_outputs.to_vec(),
            library_version: super::CANDLE_VERSION.to_owned(),
        };
        let encoder = Encoder::load(&config, weights)?;
        Ok(Self { config, encoder, head, device, room, info, _trims_heap: TrimsHeap })
    }

    fn run_padded(&self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, BackendError> {
        self.info.signature.check_inputs(inputs)?;
        check_lengths(&inputs.iter().collect::<Vec<_>>(), &[0, 1]).map_err(BackendError::Input)?;
        let (ids, mask) = (find(inputs, IDS)?, find(inputs, MASK)?);
        // The signature fixes the rank at two and refuses empty axes.
        let (count, length) = (ids.shape()[0], ids.shape()[1]);
        let rows = PackedRows::of_padded(ids.view()?, mask.view()?, length, self.config.numbering);
        let computed = self.compute(ids, find(inputs, TYPES).ok(), rows)?;
        self.outputs(&computed, count, &[count, length])
    }

    fn run_packed(&self, batch: &PackedBatch) -> Result<Vec<NamedTensor>, BackendError> {
        let ids = find(&batch.inputs, IDS)?;
        let tokens = ids.element_count();
        check_offsets(&batch.offsets, tokens)?;
        let has_types = self.config.token_types > 0;
        for input in &batch.inputs {
            let is_expected = input.tensor.data_type() == DataType::I64 && input.tensor.shape() == [tokens];
            if !is_expected || (input.name != IDS && !(has_types && input.name == TYPES)) {
                let optional = if has_types { format!(" and optionally `{TYPES}`") } else { String::new() };
                return Err(BackendError::Input(format!(
                    "packed input `{}` is {:?}; expected `{IDS}`{optional}, i64 [{tokens}]",
                    input.name, input.tensor
                )));
            }
        }
        let rows = PackedRows::of_packed(ids.view()?, &batch.offsets, self.config.numbering);
        let count = batch.offsets.len() - 1;
        let computed = self.compute(ids, find(&batch.inputs, TYPES).ok(), rows)?;
        self.outputs(&computed, count, &[tokens])
    }

    /// Runs the model over the tokens that take part.
    fn compute(&self, ids: &Tensor, types: Option<&Tensor>, rows: PackedRows) -> Result<Computed, BackendError> {
        let (first, max_tokens) = (self.config.numbering.first(), self.config.max_tokens());
        if let Some(last) = rows.positions.iter().max().filter(|last| **last as usize >= self.config.positions) {
            let tokens = *last as usize + 1 - first;
            return Err(BackendError::Input(format!(
                "a row has {tokens} tokens; the model takes at most {max_tokens}"
            )));
        }
        if rows.sources.is_empty() {
            return Ok(Computed { rows, hidden: Vec::new(), logits: Vec::new() });
        }
        let ids = pick(ids.view::<i64>()?, &rows.sources, self.config.vocabulary, IDS)?;
        let types = match types {
            Some(types) => Some(pick(types.view::<i64>()?, &rows.sources, self.config.token_types, TYPES)?),
            None => None,
        };
        self.room.check_run(&self.config, &rows)?;
        let (hidden, logits) = self
            .forward(&ids, types.as_deref(), &rows)
            .map_err(|error| run_error(self.info.placement.device, &error))?;
        Ok(Computed { rows, hidden, logits })
    }

    /// Hidden states and logits as far as outputs need them.
    fn forward(
        &self,
        ids: &[u32],
        types: Option<&[u32]>,
        rows: &PackedRows,
    ) -> candle_core::Result<(Vec<f32>, Vec<f32>)> {
        let on_device = |values: &[u32]| CandleTensor::new(values, &self.device);
        let types = types.map(on_device).transpose()?;
        let tokens = Tokens { ids: on_device(ids)?, types, positions: on_device(&rows.positions)? };
        let hidden = self.encoder.forward(&tokens, rows)?;
        let on_host = |tensor: &CandleTensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
        let logits = match &self.head {
            Some(head) => on_host(&head.forward(&hidden, rows)?)?,
            None => Vec::new(),
        };
        let is_only_classified = self.info.signature.outputs.iter().all(|output| self.is_logits(output));
        let hidden = if is_only_classified { Vec::new() } else { on_host(&hidden)? };
        Ok((hidden, logits))
    }

    /// The outputs of the signature; `token_shape` is the shape of the token arrays as the caller gave them.
    fn outputs(
        &self,
        computed: &Computed,
        count: usize,
        token_shape: &[usize],
    ) -> Result<Vec<NamedTensor>, BackendError> {
        let width = self.config.hidden_size;
        let output = |spec: &TensorSpec| {
            let fused = self.info.fused_outputs.iter().find(|fused| fused.name == spec.name);
            let tensor = match (fused, &self.head) {
                (Some(fused), _) => computed.pooled(fused, width, count)?,
                (None, Some(head)) if self.is_logits(spec) => computed.logits(head.labels, count)?,
                // `promises::check` left no other name.
                _ => computed.hidden_states(width, token_shape)?,
            };
            Ok(NamedTensor::new(&*spec.name, tensor))
        };
        self.info.signature.outputs.iter().map(output).collect()
    }

    fn is_logits(&self, output: &TensorSpec) -> bool {
        output.name == LOGITS && !self.info.fused_outputs.iter().any(|fused| fused.name == LOGITS)
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
