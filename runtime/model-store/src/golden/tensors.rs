//! Golden tensors: inputs with the outputs that the model is known to give them.

use std::collections::BTreeMap;

use wisp_core::{Axis, DataType, NamedTensor, Precision, Signature, Tensor, TensorSpec};

use crate::manifest::TensorFiles;
use crate::npy;
use crate::{GoldenError, GoldenSpec, Tolerance};

/// Inputs, their outputs, and how close an answer must come. The outermost axis of every tensor runs over the cases, and
/// all have as many.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenTensors {
    /// Every input of the model.
    pub inputs: Vec<NamedTensor>,
    /// The outputs that are compared.
    pub outputs: Vec<NamedTensor>,
    /// For each precision that may be proven, how close it must come.
    pub tolerances: BTreeMap<Precision, Tolerance>,
    /// How close an answer out of a shared batch must come to the answer of the row alone.
    pub batching: Option<Tolerance>,
    /// Length of the outermost axes, at least 1.
    cases: usize,
}

impl GoldenTensors {
    /// Puts the files of a manifest together; `contents` holds the bytes of `files` by path.
    ///
    /// # Errors
    /// [`GoldenError`], naming the file.
    pub(crate) fn parse(
        spec: &GoldenSpec,
        files: &TensorFiles,
        signature: &Signature,
        contents: &BTreeMap<&str, Vec<u8>>,
    ) -> Result<Self, GoldenError> {
        let mut cases = None;
        let mut tensors = |what: &str, files: &BTreeMap<String, String>, specs: &[TensorSpec]| {
            let named = specs.iter().filter_map(|spec| Some((spec, files.get(&spec.name)?)));
            let tensor = |(spec, file): (&TensorSpec, &String)| {
                let bytes = contents.get(file.as_str()).map(Vec::as_slice).unwrap_or_default();
                let tensor = npy::parse(bytes).map_err(|source| GoldenError::Vectors { file: file.clone(), source })?;
                check(spec, what, file, &tensor)?;
                check_cases(&mut cases, file, &tensor)?;
                check_finite(file, &tensor)?;
                Ok(NamedTensor { name: spec.name.clone(), tensor })
            };
            named.map(tensor).collect::<Result<Vec<_>, GoldenError>>()
        };
        let inputs = tensors("input", &files.inputs, &signature.inputs)?;
        let outputs = tensors("output", &files.outputs, &signature.outputs)?;
        let cases = cases.unwrap_or_default();
        Ok(Self { inputs, outputs, tolerances: spec.tolerances.clone(), batching: spec.batching, cases })
    }

    /// How many cases there are, at least 1.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.cases
    }

    /// Inputs and outputs of case `index`, each with an outermost axis of 1; `None` when there is no such case.
    #[must_use]
    pub fn case(&self, index: usize) -> Option<(Vec<NamedTensor>, Vec<NamedTensor>)> {
        let row = |named: &NamedTensor| {
            let tensor = named.tensor.rows(index..index.checked_add(1)?)?;
            Some(NamedTensor { name: named.name.clone(), tensor })
        };
        Some((
            self.inputs.iter().map(row).collect::<Option<_>>()?,
            self.outputs.iter().map(row).collect::<Option<_>>()?,
        ))
    }

    /// How close `precision` must come; `None` when the manifest does not admit it.
    #[must_use]
    pub fn tolerance(&self, precision: Precision) -> Option<Tolerance> {
        self.tolerances.get(&precision).copied()
    }
}

/// That type and shape are those of the signature, the outermost axis aside.
fn check(spec: &TensorSpec, what: &str, file: &str, tensor: &Tensor) -> Result<(), GoldenError> {
    let is_alike = |(axis, &length): (&Axis, &usize)| *axis == Axis::Free || *axis == Axis::Fixed(length);
    let (expected, actual) = (&spec.shape, tensor.shape());
    let fits = tensor.data_type() == spec.data_type
        && !actual.is_empty()
        && expected.len() == actual.len()
        && expected.iter().zip(actual).skip(1).all(is_alike);
    match fits {
        true => Ok(()),
        false => Err(GoldenError::Signature {
            file: file.to_owned(),
            tensor: format!("{what} `{}`", spec.name),
            expected: format!("{} {}", spec.data_type, spec.shape_text()),
            actual: format!("{} {actual:?}", tensor.data_type()),
        }),
    }
}

fn check_cases(cases: &mut Option<usize>, file: &str, tensor: &Tensor) -> Result<(), GoldenError> {
    let actual = tensor.shape().first().copied().unwrap_or_default();
    let expected = *cases.get_or_insert(actual);
    match actual == expected && actual > 0 {
        true => Ok(()),
        false => Err(GoldenError::Cases { file: file.to_owned(), expected, actual }),
    }
}

/// Nothing comes close to what is not finite.
fn check_finite(file: &str, tensor: &Tensor) -> Result<(), GoldenError> {
    let rows = tensor.shape().first().copied().unwrap_or_default().max(1);
    let per_row = (tensor.element_count() / rows).max(1);
    let bytes = tensor.data();
    // An IEEE number is not finite when all bits of its exponent are set.
    let halves = |exponent: u16| {
        let (values, _) = bytes.as_chunks::<2>();
        values.iter().position(|&value| u16::from_le_bytes(value) & exponent == exponent)
    };
    let found = match tensor.data_type() {
        DataType::F16 => halves(0x7c00),
        DataType::Bf16 => halves(0x7f80),
        DataType::F32 => bytes.as_chunks::<4>().0.iter().position(|&value| !f32::from_le_bytes(value).is_finite()),
        DataType::F64 => bytes.as_chunks::<8>().0.iter().position(|&value| !f64::from_le_bytes(value).is_finite()),
        DataType::U8 | DataType::I32 | DataType::I64 => None,
    };
    match found {
        None => Ok(()),
        Some(index) => Err(GoldenError::NotFinite { file: file.to_owned(), row: index / per_row }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GoldenAnswers;

    /// A NumPy file.
    fn file(descriptor: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descriptor}', 'fortran_order': False, 'shape': {shape}, }}");
        let length = u16::try_from(header.len()).expect("short").to_le_bytes();
        [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat()
    }

    fn load(input: &[u8], output: &[u8]) -> Result<GoldenTensors, GoldenError> {
        let spec = |name: &str, data_type, shape: &[Axis]| TensorSpec {
            name: name.to_owned(),
            data_type,
            shape: shape.to_vec(),
            below: None,
        };
        let signature = Signature {
            inputs: vec![spec("image", DataType::U8, &[Axis::Fixed(1), Axis::Fixed(2)])],
            outputs: vec![spec("unused", DataType::I64, &[]), spec("scores", DataType::F32, &[Axis::Free, Axis::Free])],
        };
        let named = |name: &str| BTreeMap::from([(name.to_owned(), format!("{name}.npy"))]);
        let tensors = TensorFiles { inputs: named("image"), outputs: named("scores") };
        let answers = GoldenAnswers::Tensors { tensors: tensors.clone() };
        let spec = GoldenSpec { answers, batching: None, tolerances: BTreeMap::new() };
        let contents = BTreeMap::from([("image.npy", input.to_vec()), ("scores.npy", output.to_vec())]);
        GoldenTensors::parse(&spec, &tensors, &signature, &contents)
    }

    fn scores(values: [f32; 2]) -> Vec<u8> {
        file("<f4", "(2, 1)", &values.map(f32::to_le_bytes).concat())
    }

    #[test]
    fn cases_are_rows_of_the_outermost_axis() {
        let golden = load(&file("|u1", "(2, 2)", &[1, 2, 3, 4]), &scores([0.5, 0.75])).expect("fits");
        assert_eq!(golden.cases(), 2);
        let (inputs, outputs) = golden.case(1).expect("there are two");
        assert_eq!((inputs[0].name.as_str(), inputs[0].tensor.shape()), ("image", &[1, 2][..]));
        assert_eq!(inputs[0].tensor.view::<u8>().expect("u8"), [3, 4]);
        assert_eq!((outputs.len(), outputs[0].tensor.view::<f32>().expect("f32")), (1, &[0.75][..]));
        assert_eq!(golden.case(2), None);
        assert_eq!(golden.case(usize::MAX), None);
    }

    #[test]
    fn every_misfit_names_the_file_and_what_would_fit() {
        let image = file("|u1", "(2, 2)", &[1, 2, 3, 4]);
        for (input, output, message) in [
            (b"GIF89a".to_vec(), scores([0.0; 2]), "image.npy: not a NumPy file"),
            (
                file("<i4", "(1, 2)", &[0; 8]),
                scores([0.0; 2]),
                "image.npy: input `image` must be u8 [1, 2], got i32 [1, 2]",
            ),
            (file("|u1", "(4,)", &[0; 4]), scores([0.0; 2]), "image.npy: input `image` must be u8 [1, 2], got u8 [4]"),
            (
                file("|u1", "(1, 4)", &[0; 4]),
                scores([0.0; 2]),
                "image.npy: input `image` must be u8 [1, 2], got u8 [1, 4]",
            ),
            (file("|u1", "(0, 2)", &[]), scores([0.0; 2]), "image.npy: has 0 cases"),
            (file("|u1", "(1, 2)", &[0; 2]), scores([0.0; 2]), "scores.npy: has 2 cases, the file before it 1"),
            (image.clone(), scores([0.0, f32::NAN]), "scores.npy: vector 1 holds a value that is not finite"),
            (image, file("<f4", "(2, 2)", &[0; 4]), "scores.npy: tensor of shape [2, 2]"),
        ] {
            let error = load(&input, &output).expect_err(message).to_string();
            assert!(error.starts_with(message), "{error}\nexpected: {message}");
        }
    }

    #[test]
    fn halves_that_are_not_finite_are_found() {
        let tensor = |data_type, value: u16| {
            let data = wisp_core::aligned::AlignedBuffer::copy_of(&value.to_le_bytes()).freeze();
            Tensor::new(data_type, &[1, 1], data).expect("two bytes")
        };
        for (data_type, value, is_finite) in [
            (DataType::F16, 0x7c00, false),
            (DataType::F16, 0x7bff, true),
            (DataType::Bf16, 0xff81, false),
            (DataType::Bf16, 0x7c00, true),
        ] {
            assert_eq!(check_finite("x.npy", &tensor(data_type, value)).is_ok(), is_finite, "{data_type} {value:x}");
        }
    }
}
