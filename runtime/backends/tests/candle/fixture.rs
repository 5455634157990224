//! A fixture of `data/candle`: a tiny model, batches for it, and what the reference computes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use wisp_backends::Libraries;
use wisp_core::{
    Axis, Backend, BackendError, BackendId, Batch, DataType, Device, FusedOutput, LoadRequest, ModelFormat,
    NamedTensor, PackedBatch, Pooling, Precision, Session, Signature, Tensor, TensorSpec,
};

const NAMES: [&str; 6] =
    ["bert", "bert-classifier", "roberta-classifier", "xlm-roberta", "distilbert", "distilbert-classifier"];
const POOLED: [(&str, Pooling); 3] = [("mean", Pooling::Mean), ("cls", Pooling::Cls), ("last", Pooling::Last)];
const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const TYPES: &str = "token_type_ids";

pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    /// Where it is loaded.
    pub(crate) device: Device,
    /// `model.safetensors`.
    pub(crate) file: PathBuf,
    /// `config.json`.
    pub(crate) architecture: PathBuf,
    pub(crate) batches: BTreeMap<String, ReferenceBatch>,
    pub(crate) signature: Signature,
    fused: Vec<FusedOutput>,
}

/// One batch of `expected.json`: a flat array for each name.
pub(crate) struct ReferenceBatch(Value);

impl Fixture {
    /// Every fixture on every device that this build can use on this machine.
    pub(crate) fn all() -> Vec<Self> {
        let usable = backend().probe().devices.into_iter().filter(|found| found.missing.is_none());
        let devices: Vec<_> = usable.map(|found| found.device).collect();
        let on_devices = |name| devices.iter().map(move |&device| Self { device, ..Self::read(name) });
        NAMES.into_iter().flat_map(on_devices).collect()
    }

    /// A fixture on the processor.
    pub(crate) fn read(name: &'static str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/candle").join(name);
        let text = std::fs::read_to_string(folder.join("expected.json")).expect("a committed fixture");
        let batches: BTreeMap<String, Value> = serde_json::from_str(&text).expect("valid");
        let batches: BTreeMap<_, _> = batches.into_iter().map(|(name, batch)| (name, ReferenceBatch(batch))).collect();

        let spec = |name: &str, data_type, axes: &[Axis]| TensorSpec {
            name: name.to_owned(),
            data_type,
            shape: axes.to_vec(),
            below: None,
        };
        let mut signature = Signature::default();
        for input in [IDS, MASK, TYPES].into_iter().filter(|input| batches["right"].has(input)) {
            signature.inputs.push(spec(input, DataType::I64, &[Axis::Free; 2]));
        }
        let width = Axis::Fixed(32);
        signature.outputs.push(spec("last_hidden_state", DataType::F32, &[Axis::Free, Axis::Free, width]));
        signature.outputs.extend(POOLED.map(|(name, _)| spec(name, DataType::F32, &[Axis::Free, width])));
        if batches["right"].has("logits") {
            signature.outputs.push(spec("logits", DataType::F32, &[Axis::Free, Axis::Fixed(3)]));
        }
        let fused = |(name, pooling): (&str, _)| FusedOutput { name: name.to_owned(), pooling, is_normalized: false };
        let (file, architecture) = (folder.join("model.safetensors"), folder.join("config.json"));
        let device = Device::Cpu;
        Self { name, device, file, architecture, batches, signature, fused: POOLED.map(fused).to_vec() }
    }

    /// Outputs with one vector a row.
    pub(crate) fn row_outputs(&self) -> impl Iterator<Item = &str> {
        self.signature.outputs[1..].iter().map(|output| output.name.as_str())
    }

    /// The table of positions has 24 entries, of which RoBERTa uses none up to its padding token's.
    pub(crate) fn max_tokens(&self) -> usize {
        if self.name.contains("roberta") { 22 } else { 24 }
    }

    pub(crate) fn load(&self, precision: Precision) -> Result<Box<dyn Session>, BackendError> {
        self.load_with(|request| request.precision = precision)
    }

    /// Loads in `f32` after `change`.
    pub(crate) fn load_with<'a>(
        &'a self,
        change: impl FnOnce(&mut LoadRequest<'a>),
    ) -> Result<Box<dyn Session>, BackendError> {
        let mut request = LoadRequest {
            device: self.device,
            architecture: Some(&self.architecture),
            fused_outputs: &self.fused,
            ..LoadRequest::plain(self.name, &self.file, ModelFormat::Safetensors, &self.signature)
        };
        change(&mut request);
        backend().load(&request)
    }

    pub(crate) fn session(&self) -> Box<dyn Session> {
        self.load(Precision::F32).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

impl ReferenceBatch {
    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<f32> {
        serde_json::from_value(self.0[name].clone()).expect("an array of numbers")
    }

    fn tokens(&self, name: &str) -> Vec<i64> {
        serde_json::from_value(self.0[name].clone()).expect("an array of integers")
    }

    fn shape(&self) -> [usize; 2] {
        serde_json::from_value(self.0["shape"].clone()).expect("rows and length")
    }

    fn inputs(&self) -> impl Iterator<Item = &'static str> {
        [IDS, MASK, TYPES].into_iter().filter(|input| self.has(input))
    }

    pub(crate) fn padded(&self) -> Batch {
        Batch::Padded(self.inputs().map(|name| named(name, &self.shape(), &self.tokens(name))).collect())
    }

    /// Rows filled up with zeros to `length`.
    pub(crate) fn padded_to(&self, length: usize) -> Batch {
        let [rows, short] = self.shape();
        let filled = |name| {
            let row = |row: &[i64]| row.iter().copied().chain(std::iter::repeat(0)).take(length).collect::<Vec<_>>();
            named(name, &[rows, length], &self.tokens(name).chunks(short).flat_map(row).collect::<Vec<_>>())
        };
        Batch::Padded(self.inputs().map(filled).collect())
    }

    /// The tokens that are not masked out, for rows padded on the right.
    pub(crate) fn packed(&self) -> Batch {
        let mask = self.tokens(MASK);
        let lengths = mask.chunks(self.shape()[1]).map(|row| row.iter().filter(|kept| **kept != 0).count());
        let mut offsets = vec![0];
        offsets.extend(lengths.scan(0, |end, length| {
            *end += length;
            Some(*end)
        }));
        let kept = |name| {
            let kept: Vec<i64> =
                self.tokens(name).into_iter().zip(&mask).filter(|(_, kept)| **kept != 0).map(|(id, _)| id).collect();
            named(name, &[kept.len()], &kept)
        };
        Batch::Packed(PackedBatch { inputs: self.inputs().filter(|name| *name != MASK).map(kept).collect(), offsets })
    }

    /// The vectors of the tokens that are not masked out.
    pub(crate) fn kept(&self, hidden: &[f32]) -> Vec<f32> {
        let mask = self.tokens(MASK);
        let vectors = hidden.chunks(hidden.len() / mask.len()).zip(mask).filter(|(_, kept)| *kept != 0);
        vectors.flat_map(|(vector, _)| vector).copied().collect()
    }

    pub(crate) fn masking_rows(&self, rows: &[usize]) -> Batch {
        let mut mask = self.tokens(MASK);
        rows.iter().for_each(|row| mask[row * self.shape()[1]..][..self.shape()[1]].fill(0));
        self.replacing(MASK, &mask)
    }

    pub(crate) fn with_id(&self, id: i64) -> Batch {
        let mut ids = self.tokens(IDS);
        ids[1] = id;
        self.replacing(IDS, &ids)
    }

    fn replacing(&self, name: &str, values: &[i64]) -> Batch {
        let input = |input| match input == name {
            true => named(input, &self.shape(), values),
            false => named(input, &self.shape(), &self.tokens(input)),
        };
        Batch::Padded(self.inputs().map(input).collect())
    }
}

pub(crate) fn backend() -> Box<dyn Backend> {
    let mut backends = wisp_backends::all(&Libraries::default()).into_iter();
    backends.find(|backend| backend.id() == BackendId::Candle).expect("is compiled in")
}

/// One packed row of `length` equal tokens.
pub(crate) fn row(length: usize) -> Batch {
    let inputs = vec![named(IDS, &[length], &vec![9; length])];
    Batch::Packed(PackedBatch { inputs, offsets: vec![0, length] })
}

pub(crate) fn named(name: &str, shape: &[usize], values: &[i64]) -> NamedTensor {
    NamedTensor::new(name, Tensor::from_slice(shape, values).expect("fits"))
}

pub(crate) fn output<'a>(outputs: &'a [NamedTensor], name: &str) -> &'a Tensor {
    &outputs.iter().find(|output| output.name == name).unwrap_or_else(|| panic!("output {name}")).tensor
}

/// The largest difference between two elements; NaN counts as infinite.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences
        .fold(0.0, |largest, difference| if difference.is_nan() { f32::INFINITY } else { largest.max(difference) })
}
