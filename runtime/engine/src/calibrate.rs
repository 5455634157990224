//! Calibration: the ranges that the activations of a model take on texts, for its static int8 form.
//!
//! The f32 form is run on ONNX Runtime with every activation as an output. Golden texts have no part in it: what a form was made
//! with proves nothing about it.

use std::collections::BTreeMap;
use std::path::Path;

use wisp_core::{
    Axis, BackendId, Batch, DataType, Device, LoadRequest, ModelFormat, Placement, Session, Signature, TensorSpec,
};
use wisp_host::TokenizerError;
use wisp_model_export::calibration::Ranges;
use wisp_model_export::calibration::observe::Observed;
use wisp_model_export::{ExportError, ExportRequest, export_bert_observed};
use wisp_model_store::{LocalModel, Model, Progress, Store, StoreError};

use crate::model::{Loader, threads};

/// What runs the f32 form: it reads ONNX everywhere and gives every output as it is.
const REFERENCE: Placement = Placement { backend: BackendId::Ort, device: Device::Cpu };

/// Why a model was not calibrated.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The manifest lacks something that calibration needs.
    #[error("model `{model}` has no {what}; calibration runs texts through a BERT-class encoder in safetensors")]
    Unfit {
        /// The model.
        model: String,
        /// What it lacks.
        what: &'static str,
    },
    /// The files cannot be had.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The graph cannot be built.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A text cannot be tokenised.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The f32 run failed.
    #[error("the f32 run on {REFERENCE} failed: {0}")]
    Run(String),
    /// Values that no range holds.
    #[error("activation `{0}` takes values that are not finite")]
    NotFinite(String),
}

impl From<StoreError> for CalibrationError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// Runs a model on texts, each cut to the longest input that it takes, and returns the ranges of its activations, each
/// without the `outliers` channels of the largest values.
///
/// # Errors
/// [`CalibrationError`]; a model without safetensors or tokenizer is not one to calibrate.
pub fn calibrate(
    model: &Model,
    texts: &[String],
    outliers: usize,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Ranges, CalibrationError> {
    let unfit = |what| CalibrationError::Unfit { model: model.manifest.name.clone(), what };
    let file = model.manifest.file_of_format(ModelFormat::Safetensors).ok_or_else(|| unfit("safetensors"))?;
    let files = store.ensure(model, file, progress)?;
    let loader = Loader::new(model, store, progress);
    let subject = loader.subject(Some(file)).map_err(CalibrationError::Run)?;
    let tokenizer = subject.tokenizer.ok_or_else(|| unfit("tokenizer"))?;
    let mut observed = open(&loader, &files)?;

    progress.step(&format!("running {} texts on {REFERENCE}", texts.len()), None);
    let mut tokens = 0;
    for text in texts {
        let ids = tokenizer.encode(vec![text.clone()], true, true)?.concat();
        tokens += ids.len();
        let outputs = observed.session.run(&Batch::Padded(tokenizer.tensors(&[&ids])?));
        for output in outputs.map_err(|error| CalibrationError::Run(error.to_string()))? {
            let values = output.tensor.view::<f32>().map_err(|error| CalibrationError::Run(error.to_string()))?;
            if let Some(observed) = observed.activations.get_mut(&output.name) {
                observed.see(values);
            }
        }
    }
    progress.done(&format!("{} texts of {tokens} tokens run on {REFERENCE}", texts.len()));
    let range = |(name, observed): (String, Observed)| match observed.range(outliers) {
        Some(range) => Ok((name, range)),
        None => Err(CalibrationError::NotFinite(name)),
    };
    let activations = observed.activations.into_iter().map(range).collect::<Result<_, _>>()?;
    Ok(Ranges { texts: texts.len(), tokens, activations })
}

/// The f32 form with its activations as outputs, loaded, and what was seen of each.
struct Running {
    session: Box<dyn Session>,
    activations: BTreeMap<String, Observed>,
}

fn open(loader: &Loader<'_>, files: &LocalModel) -> Result<Running, CalibrationError> {
    let folder = tempfile::tempdir().map_err(|error| CalibrationError::Run(error.to_string()))?;
    let output = folder.path().join("observed.onnx");
    let config = files.architecture.as_deref().unwrap_or(Path::new("config.json"));
    let activations = export_bert_observed(&ExportRequest { weights: &files.file, config, output: &output })?;
    let backend = loader.backend(REFERENCE).map_err(CalibrationError::Run)?;
    let outputs = activations.iter().map(|(name, channels)| TensorSpec {
        name: name.clone(),
        data_type: DataType::F32,
        shape: vec![Axis::Free, Axis::Free, Axis::Fixed(*channels)],
        below: None,
    });
    let signature = Signature { inputs: loader.model.manifest.signature.inputs.clone(), outputs: outputs.collect() };
    let session = backend.load(&LoadRequest {
        threads: threads(),
        ..LoadRequest::plain(&loader.model.manifest.name, &output, ModelFormat::Onnx, &signature)
    });
    let activations = activations.into_iter().map(|(name, channels)| (name, Observed::new(channels))).collect();
    Ok(Running { session: session.map_err(|error| CalibrationError::Run(error.to_string()))?, activations })
}
