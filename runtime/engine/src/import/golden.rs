//! Golden answers of an imported model: made once, in f32, of texts or of tensors that cover what inputs may hold.

use std::collections::BTreeMap;
use std::path::Path;

use wisp_core::aligned::AlignedBuffer;
use wisp_core::rows::gather;
use wisp_core::{Axis, Batch, DataType, NamedTensor, Precision, Session, Signature, Tensor};
use wisp_model_store::{GoldenAnswers, GoldenSpec, Model, TensorFiles, Tolerance, write_npy};

use super::{ImportError, ImportRequest};
use crate::model::Subject;
use crate::proof::golden::{check_finite, embedded};

/// Cases of a model without text.
const TENSOR_CASES: usize = 4;

/// Length of a free axis that nothing is known of.
const FREE_LENGTH: usize = 16;

/// Integers in made-up inputs are below this: every vocabulary is larger.
const INTEGER_LIMIT: u64 = 16;

/// Texts of several lengths, scripts and kinds; the user's own are better.
const TEXTS: [&str; 12] = [
    "Hello!",
    "How do I reset the password of my account?",
    "The package arrived two days late and the box was crushed.",
    "Ünïcödé, naïveté and an em dash — in one sentence.",
    "東京の天気は今日も晴れです。",
    "مرحبا بالعالم",
    "🚀🔥 launch day, finally 🎉",
    "SELECT name, price FROM items WHERE price < 9.99 ORDER BY price DESC;",
    "3.14159 26535 89793",
    "The quick brown fox jumps over the lazy dog and runs back home again before the rain that was forecast for the afternoon begins.",
    "A contract of this kind is binding only when both parties have signed it, when the goods are described in enough detail to be told apart from others, and when the price, the place and the time of delivery are stated; where one of these is missing, the law fills the gap with what is usual in the trade.",
    "In the first experiment the samples were heated to eighty degrees and kept there for an hour, in the second they were cooled to four degrees overnight, and in the third they were left at room temperature, shaken from time to time, and measured every ten minutes until two readings in a row agreed to within one part in a thousand, which took between forty minutes and three hours depending on the concentration, the age of the reagent and, as we found out only later, on how clean the glass had been.",
];

/// Computes golden answers, writes their files into `folder`, and says what the manifest says of them, and how many there are.
pub(super) fn make(
    request: &ImportRequest,
    model: &Model,
    session: &mut dyn Session,
    subject: &Subject,
    folder: &Path,
) -> Result<(GoldenSpec, usize), ImportError> {
    let golden = folder.join("golden");
    std::fs::create_dir_all(&golden).map_err(|source| ImportError::Io { path: golden.clone(), source })?;
    let (answers, cases) = match (&subject.tokenizer, &model.manifest.embedding) {
        (Some(_), Some(_)) => texts(request, model, session, subject, folder)?,
        _ => tensors(model, session, folder)?,
    };
    let tolerance = |min_cosine, max_abs_error| Tolerance { min_cosine, max_abs_error };
    let tolerances = BTreeMap::from([
        (Precision::F32, tolerance(0.99999, 1e-4)),
        (Precision::F16, tolerance(0.9999, 3e-3)),
        (Precision::Bf16, tolerance(0.9995, 1e-2)),
        (Precision::Int8, tolerance(0.995, 3e-2)),
    ]);
    Ok((GoldenSpec { answers, batching: Some(tolerance(0.99999, 1e-4)), tolerances }, cases))
}

fn texts(
    request: &ImportRequest,
    model: &Model,
    session: &mut dyn Session,
    subject: &Subject,
    folder: &Path,
) -> Result<(GoldenAnswers, usize), ImportError> {
    let failed = |error: &dyn std::fmt::Display| ImportError::Reference(error.to_string());
    let (Some(tokenizer), Some(embedding)) = (&subject.tokenizer, &model.manifest.embedding) else {
        return Err(ImportError::Reference("the model has no tokenizer".to_owned()));
    };
    let own = || TEXTS.map(str::to_owned).to_vec();
    let texts = if request.texts.is_empty() { own() } else { request.texts.clone() };
    let mut values: Vec<f32> = Vec::with_capacity(texts.len() * embedding.dimensions);
    for text in &texts {
        let ids = tokenizer.encode(vec![text.clone()], true, true).map_err(|error| failed(&error))?;
        let inputs = tokenizer.tensors(&[&ids[0]]).map_err(|error| failed(&error))?;
        let outputs = session.run(&Batch::Padded(inputs)).map_err(|error| failed(&error))?;
        let vector = embedded(&outputs, embedding).map_err(|error| failed(&error))?;
        values.extend_from_slice(vector.view::<f32>().map_err(|error| failed(&error))?);
    }
    let json = serde_json::to_vec_pretty(&texts).map_err(|error| failed(&error))?;
    save(folder, "golden/texts.json", &json)?;
    let vectors = Tensor::from_slice(&[texts.len(), embedding.dimensions], &values).map_err(|error| failed(&error))?;
    save_tensor(folder, "golden/vectors.npy", &vectors)?;
    let answers =
        GoldenAnswers::Texts { texts: "golden/texts.json".to_owned(), vectors: "golden/vectors.npy".to_owned() };
    Ok((answers, texts.len()))
}

fn tensors(model: &Model, session: &mut dyn Session, folder: &Path) -> Result<(GoldenAnswers, usize), ImportError> {
    let failed = |error: &dyn std::fmt::Display| ImportError::Reference(error.to_string());
    let signature = &model.manifest.signature;
    let mask = model.manifest.ragged.as_ref().map(|ragged| ragged.mask_input.as_str());
    let mut inputs: Vec<Vec<NamedTensor>> = Vec::new();
    let mut outputs: Vec<Vec<NamedTensor>> = Vec::new();
    for case in 0..TENSOR_CASES {
        let made = made_up(signature, case, mask);
        let answered = session.run(&Batch::Padded(made.clone())).map_err(|error| failed(&error))?;
        answered.iter().try_for_each(check_finite).map_err(|error| failed(&error))?;
        outputs.push(answered);
        inputs.push(made);
    }
    let files =
        TensorFiles { inputs: save_all(folder, "input", &inputs)?, outputs: save_all(folder, "output", &outputs)? };
    Ok((GoldenAnswers::Tensors { tensors: files }, TENSOR_CASES))
}

/// Saves the tensors of one name over all cases in one file each.
fn save_all(folder: &Path, kind: &str, cases: &[Vec<NamedTensor>]) -> Result<BTreeMap<String, String>, ImportError> {
    let views: Vec<&[NamedTensor]> = cases.iter().map(Vec::as_slice).collect();
    let all = gather(&views, None)
        .map_err(|error| ImportError::Unfit(format!("the {kind}s of several runs do not have one shape: {error}")))?;
    let mut files = BTreeMap::new();
    for (index, tensor) in all.into_iter().enumerate() {
        let path = format!("golden/{kind}-{index}.npy");
        save_tensor(folder, &path, &tensor.tensor)?;
        files.insert(tensor.name, path);
    }
    Ok(files)
}

fn save_tensor(folder: &Path, path: &str, tensor: &Tensor) -> Result<(), ImportError> {
    let mut bytes = Vec::new();
    write_npy(&mut bytes, tensor).map_err(|source| ImportError::Io { path: folder.join(path), source })?;
    save(folder, path, &bytes)
}

fn save(folder: &Path, path: &str, bytes: &[u8]) -> Result<(), ImportError> {
    let path = folder.join(path);
    std::fs::write(&path, bytes).map_err(|source| ImportError::Io { path, source })
}

/// One row of inputs, different for each case and the same at every import.
fn made_up(signature: &Signature, case: usize, mask: Option<&str>) -> Vec<NamedTensor> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(case as u64 + 1);
    let input = |spec: &wisp_core::TensorSpec| {
        let length = |(axis, declared): (usize, &Axis)| match declared {
            Axis::Fixed(length) => *length,
            Axis::Free if axis == 0 => 1,
            Axis::Free => FREE_LENGTH,
        };
        let shape: Vec<usize> = spec.shape.iter().enumerate().map(length).collect();
        let is_mask = mask == Some(spec.name.as_str());
        let count: usize = shape.iter().product();
        let size = spec.data_type.size_bytes();
        let mut buffer = AlignedBuffer::zeroed(count * size);
        for slot in buffer.as_mut_slice().chunks_exact_mut(size) {
            state = next(state);
            let value = if is_mask { 1.0 } else { value_of(spec.data_type, state) };
            slot.copy_from_slice(&spec.data_type.encode(value));
        }
        // Length and alignment were made to fit.
        Tensor::new(spec.data_type, &shape, buffer.freeze()).map(|tensor| NamedTensor::new(&*spec.name, tensor)).ok()
    };
    signature.inputs.iter().filter_map(input).collect()
}

/// One step of xorshift64 (Marsaglia 2003, "Xorshift RNGs"): good enough to make inputs differ, and the same everywhere.
fn next(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

fn value_of(data_type: DataType, random: u64) -> f64 {
    match data_type {
        DataType::U8 => (random % 256) as f64,
        DataType::I32 | DataType::I64 => (random % INTEGER_LIMIT) as f64,
        // Between -1 and 1, as most inputs are scaled.
        DataType::F16 | DataType::Bf16 | DataType::F32 | DataType::F64 => (random % 2001) as f64 / 1000.0 - 1.0,
    }
}
