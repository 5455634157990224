//! What a model file says about itself, as a manifest.

use std::collections::BTreeMap;

use serde::Deserialize;
use wisp_core::{Axis, Backend, BackendId, DataType, Device, ModelFormat, Placement, Ragged, Signature, TensorSpec};
use wisp_model_store::{EmbeddingSpec, Manifest, Progress, Store, Task, TokenizerSpec};

use super::{Files, ImportError, ImportRequest, bare_manifest};
use crate::libraries;

/// The inputs of a text encoder, by the names that every exporter uses.
const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const TYPES: &str = "token_type_ids";

/// Outputs of the encoders that are built from safetensors.
const HIDDEN: &str = "last_hidden_state";
const POOLED: &str = "sentence_embedding";

/// The keys of `config.json` that shapes depend on, under the names of the architectures.
#[derive(Deserialize)]
struct Architecture {
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    id2label: BTreeMap<String, String>,
    #[serde(default)]
    model_type: String,
}

fn two() -> usize {
    2
}

/// Inputs and outputs: as the file declares them, or as the architecture has them.
pub(super) fn signature(files: &Files, store: &Store, progress: &dyn Progress) -> Result<Signature, ImportError> {
    if files.format == ModelFormat::Safetensors {
        return architecture(files).map(|architecture| encoder_signature(&architecture));
    }
    let mut reasons = Vec::new();
    for backend in [BackendId::OpenVino, BackendId::Ort] {
        match inspect(backend, files, store, progress) {
            Ok(signature) => return Ok(signature),
            Err(reason) => reasons.push(format!("{backend}: {reason}")),
        }
    }
    Err(ImportError::NoBackend(reasons))
}

fn inspect(backend: BackendId, files: &Files, store: &Store, progress: &dyn Progress) -> Result<Signature, String> {
    let placement = Placement { backend, device: Device::Cpu };
    let libraries = libraries::ensure(store, placement, progress)?;
    let found: Option<Box<dyn Backend>> =
        wisp_backends::all(&libraries).into_iter().find(|found| found.id() == backend);
    let found = found.ok_or("it is not compiled into this binary")?;
    if !found.formats().contains(&files.format) {
        return Err(format!("it does not read {}", files.format));
    }
    found.inspect(&files.model, files.format).map_err(|error| error.to_string())
}

fn architecture(files: &Files) -> Result<Architecture, ImportError> {
    let path = files.config.clone().unwrap_or_default();
    let text = std::fs::read_to_string(&path).map_err(|source| ImportError::Io { path: path.clone(), source })?;
    serde_json::from_str(&text).map_err(|error| ImportError::Unfit(format!("config.json: {error}")))
}

fn encoder_signature(architecture: &Architecture) -> Signature {
    let spec = |name: &str, data_type, shape: &[Axis]| TensorSpec {
        name: name.to_owned(),
        data_type,
        shape: shape.to_vec(),
        below: None,
    };
    let tokens = [Axis::Free, Axis::Free];
    let mut inputs = vec![spec(IDS, DataType::I64, &tokens), spec(MASK, DataType::I64, &tokens)];
    if architecture.type_vocab_size > 1 && architecture.model_type != "distilbert" {
        inputs.push(spec(TYPES, DataType::I64, &tokens));
    }
    let width = Axis::Fixed(architecture.hidden_size);
    let is_classifier = architecture.architectures.iter().any(|name| name.ends_with("ForSequenceClassification"));
    let outputs = if is_classifier {
        let labels = architecture.id2label.len().max(1);
        vec![spec("logits", DataType::F32, &[Axis::Free, Axis::Fixed(labels)])]
    } else {
        vec![
            spec(HIDDEN, DataType::F32, &[Axis::Free, Axis::Free, width]),
            spec(POOLED, DataType::F32, &[Axis::Free, width]),
        ]
    };
    Signature { inputs, outputs }
}

/// The manifest without golden answers.
pub(super) fn manifest(request: &ImportRequest, files: &Files, signature: Signature) -> Result<Manifest, ImportError> {
    let mut manifest = bare_manifest(request, files.listed.clone());
    let backends: Vec<BackendId> = match files.format {
        ModelFormat::Safetensors => vec![BackendId::Candle],
        ModelFormat::Onnx => vec![BackendId::OpenVino, BackendId::Ort],
        ModelFormat::OpenVino | ModelFormat::TfLite => vec![BackendId::OpenVino],
    };
    let is_listed = |name: &str| files.listed.iter().any(|file| file.path == name);
    let model = &mut manifest.files[0];
    model.format = Some(files.format);
    model.backends = backends;
    model.architecture = files.config.is_some().then(|| "config.json".to_owned());
    model.weights = is_listed("model.bin").then(|| "model.bin".to_owned());
    manifest.labels_file = is_listed("labels.txt").then(|| "labels.txt".to_owned());

    let is_text = signature.input(IDS).is_some_and(|spec| spec.shape.len() == 2) && signature.input(MASK).is_some();
    if files.has_tokenizer && !is_text {
        return Err(ImportError::Unfit(format!(
            "there is a tokenizer.json, and the model has no inputs `{IDS}` and `{MASK}` of two axes; \
             import it from a folder without the tokenizer to use it with tensors"
        )));
    }
    if is_text {
        manifest.ragged = ragged(&signature);
    }
    if files.has_tokenizer {
        manifest.tokenizer = Some(TokenizerSpec {
            file: "tokenizer.json".to_owned(),
            max_tokens: request.max_tokens,
            ids_input: IDS.to_owned(),
            mask_input: MASK.to_owned(),
            types_input: signature.input(TYPES).map(|spec| spec.name.clone()),
            pad_id: 0,
        });
        manifest.embedding = embedding(request, &signature);
    }
    manifest.task = match (&manifest.embedding, &manifest.labels_file) {
        (Some(_), _) => Task::Embedding,
        (None, Some(_)) => Task::Classification,
        (None, None) => Task::Tensors,
    };
    manifest.signature = signature;
    Ok(manifest)
}

/// Rows differ in length along the axis of tokens, if it is free.
fn ragged(signature: &Signature) -> Option<Ragged> {
    let is_free = signature.input(MASK)?.shape.get(1) == Some(&Axis::Free);
    let padded = signature.inputs.iter().filter(|spec| spec.shape.get(1) == Some(&Axis::Free));
    let pad_values = padded.map(|spec| (spec.name.clone(), 0.0)).collect();
    is_free.then(|| Ragged { axis: 1, mask_input: MASK.to_owned(), pad_values })
}

/// Which outputs are vectors: one of two axes under a name that says so, or hidden states of three.
fn embedding(request: &ImportRequest, signature: &Signature) -> Option<EmbeddingSpec> {
    let width = |spec: &TensorSpec| match spec.shape.last() {
        Some(Axis::Fixed(width)) => Some(*width),
        _ => None,
    };
    let fused = signature
        .outputs
        .iter()
        .find(|spec| spec.shape.len() == 2 && (spec.name.contains("embedding") || spec.name.contains("pooled")));
    let hidden = signature.outputs.iter().find(|spec| spec.shape.len() == 3);
    let dimensions = fused.or(hidden).and_then(width)?;
    Some(EmbeddingSpec {
        dimensions,
        pooling: request.pooling,
        normalized: request.normalized,
        fused_output: fused.map(|spec| spec.name.clone()),
        hidden_output: hidden.filter(|spec| width(spec) == Some(dimensions)).map(|spec| spec.name.clone()),
    })
}
