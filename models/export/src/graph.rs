//! ONNX graphs under construction: nodes in order of computation, constants, and weights that are still in their file.
//!
//! The exporter builds its encoders with this, and so can tools and tests build what they need:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use wisp_model_export::graph::{Axis, ElementType, Graph};
//!
//! let mut graph = Graph::new("doubled", 13);
//! let axes = [Axis::Free("batch"), Axis::Fixed(4)];
//! let input = graph.input("x", ElementType::F32, &axes);
//! let two = graph.scalar("two", 2.0);
//! graph.node("Mul", "y", &[&input, &two], vec![]);
//! graph.output("y", ElementType::F32, &axes);
//! graph.write(Path::new("doubled.onnx"))?;
//! # Ok::<(), wisp_model_export::ExportError>(())
//! ```

mod attribute;

use std::path::Path;

pub use attribute::{Attribute, float, int, ints, text};

use crate::onnx::{
    DimensionProto, DimensionValue, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use crate::quantize::Part;
use crate::weights::StoredTensor;
use crate::{ExportError, file};

/// From this operator set on, `Unsqueeze` and `ReduceSum` take their axes as an input.
const AXES_AS_INPUT_SET: i64 = 13;

/// Nodes, constants, inputs and outputs of a graph.
///
/// Values are known by name, and every name is given once. Nothing of that is checked here: what reads the file does.
pub struct Graph {
    /// The graph without its initializers.
    pub(crate) proto: GraphProto,
    /// The initializers, in the order of first use.
    pub(crate) initializers: Vec<Initializer>,
    pub(crate) operator_set: i64,
    /// Elements of weights that are constants by now.
    pub(crate) parameters_in_memory: u64,
}

/// An initializer.
pub(crate) enum Initializer {
    /// With its data.
    Constant(TensorProto),
    /// A weight: what it is called in the graph and where its data lies.
    Weight {
        /// The message without its data.
        header: TensorProto,
        /// The data.
        tensor: StoredTensor,
        /// What of it is written.
        form: Form,
    },
}

/// What is written of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// f32, as it is stored.
    Stored,
    /// f32, columns as rows.
    Transposed,
    /// f16, the nearest to what is stored.
    Half {
        /// Columns as rows.
        is_transposed: bool,
    },
    /// A part of its int8 form.
    Quantized(Part),
}

/// A value in the graph, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

/// An axis of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Any length, under a name.
    Free(&'static str),
    /// This length.
    Fixed(usize),
}

/// Type of the elements, by its number in `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ElementType {
    /// IEEE 754 single precision.
    F32 = 1,
    /// Unsigned byte.
    U8 = 2,
    /// Signed byte.
    I8 = 3,
    /// Signed 32-bit integer.
    I32 = 6,
    /// Signed 64-bit integer.
    I64 = 7,
    /// One byte, 0 or 1.
    Bool = 9,
    /// IEEE 754 half precision.
    F16 = 10,
    /// IEEE 754 double precision.
    F64 = 11,
    /// bfloat16.
    Bf16 = 16,
}

impl Graph {
    /// An empty graph of operators as the default domain's `operator_set` defines them.
    #[must_use]
    pub fn new(name: &str, operator_set: i64) -> Self {
        let proto = GraphProto { name: name.to_owned(), ..GraphProto::default() };
        Self { proto, initializers: Vec::new(), operator_set, parameters_in_memory: 0 }
    }

    /// Declares an input.
    pub fn input(&mut self, name: &str, element: ElementType, axes: &[Axis]) -> Value {
        self.proto.input.push(value_info(name, element, axes));
        Value(name.to_owned())
    }

    /// Declares an output; the node of that name computes it.
    pub fn output(&mut self, name: &str, element: ElementType, axes: &[Axis]) {
        self.proto.output.push(value_info(name, element, axes));
    }

    /// Adds a node with one output. Node and output share `name`, which must be new.
    pub fn node(
        &mut self,
        operator: &str,
        name: impl Into<String>,
        inputs: &[&Value],
        attributes: Vec<Attribute>,
    ) -> Value {
        let name = name.into();
        self.push_node(operator, &name, vec![name.clone()], inputs, attributes);
        Value(name)
    }

    /// Adds a node with several outputs, under the names of `outputs`; `name` is that of the node alone.
    pub fn node_with_outputs<const N: usize>(
        &mut self,
        operator: &str,
        name: &str,
        outputs: [&str; N],
        inputs: &[&Value],
        attributes: Vec<Attribute>,
    ) -> [Value; N] {
        self.push_node(operator, name, outputs.map(str::to_owned).to_vec(), inputs, attributes);
        outputs.map(|output| Value(output.to_owned()))
    }

    /// Adds an f32 scalar.
    pub fn scalar(&mut self, name: &str, value: f32) -> Value {
        self.f32s(name, &[], &[value])
    }

    /// Adds an f32 tensor. `values` fill `shape`.
    pub fn f32s(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        self.constant(name, ElementType::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Adds an f16 scalar, the nearest to `value`.
    pub fn half_scalar(&mut self, name: &str, value: f32) -> Value {
        self.constant(name, ElementType::F16, &[], half::f16::from_f32(value).to_le_bytes().to_vec())
    }

    /// Adds an i64 tensor. `values` fill `shape`.
    pub fn i64s(&mut self, name: &str, shape: &[usize], values: impl IntoIterator<Item = i64>) -> Value {
        self.constant(name, ElementType::I64, shape, values.into_iter().flat_map(i64::to_le_bytes).collect())
    }

    /// Adds a u8 tensor. `values` fill `shape`.
    pub fn u8s(&mut self, name: &str, shape: &[usize], values: &[u8]) -> Value {
        self.constant(name, ElementType::U8, shape, values.to_vec())
    }

    /// Adds an i8 tensor. `values` fill `shape`.
    pub fn i8s(&mut self, name: &str, shape: &[usize], values: &[i8]) -> Value {
        self.constant(name, ElementType::I8, shape, values.iter().map(|&value| value.cast_unsigned()).collect())
    }

    /// Adds `Unsqueeze` in the form of this graph's operator set.
    pub fn unsqueeze(&mut self, name: &str, input: &Value, axes: &[i64]) -> Value {
        self.node_over_axes("Unsqueeze", name, input, axes, vec![])
    }

    /// Adds `ReduceSum` over `axes`, which vanish, in the form of this graph's operator set.
    pub fn reduce_sum(&mut self, name: &str, input: &Value, axes: &[i64]) -> Value {
        self.node_over_axes("ReduceSum", name, input, axes, vec![int("keepdims", 0)])
    }

    /// Writes the graph as an ONNX file and returns its length in bytes. What lies at `output` is replaced, and only once
    /// the new file is complete.
    ///
    /// # Errors
    /// [`ExportError::Io`] and [`ExportError::TooLarge`].
    pub fn write(self, output: &Path) -> Result<u64, ExportError> {
        file::write(self, output)
    }

    /// Adds a weight as it is stored.
    pub(crate) fn weight(&mut self, name: &str, tensor: StoredTensor) -> Value {
        let shape = dims(&tensor.shape);
        self.push_weight(name, ElementType::F32, shape, tensor, Form::Stored)
    }

    /// Adds a stored matrix `[out, in]` as `[in, out]`, the layout in which `MatMul` takes and libraries pack it.
    pub(crate) fn transposed_weight(&mut self, name: &str, tensor: StoredTensor) -> Value {
        let shape = dims(&tensor.shape).into_iter().rev().collect();
        self.push_weight(name, ElementType::F32, shape, tensor, Form::Transposed)
    }

    /// Adds a weight as f16. `is_transposed` as in [`Graph::transposed_weight`].
    pub(crate) fn half_weight(&mut self, name: &str, tensor: StoredTensor, is_transposed: bool) -> Value {
        let mut shape = dims(&tensor.shape);
        if is_transposed {
            shape.reverse();
        }
        self.push_weight(name, ElementType::F16, shape, tensor, Form::Half { is_transposed })
    }

    /// Adds a stored matrix as bytes with a scale and a zero point for each stored row, and the node that makes f32 of
    /// them. `is_transposed` as in [`Graph::transposed_weight`].
    pub(crate) fn quantized_weight(&mut self, name: &str, tensor: &StoredTensor, is_transposed: bool) -> Value {
        let mut shape = dims(&tensor.shape);
        let rows = vec![shape.first().copied().unwrap_or(1)];
        if is_transposed {
            shape.reverse();
        }
        let [codes, scales, zeros] = self.quantized_parts(name, tensor, shape, &rows, is_transposed);
        let axis = int("axis", i64::from(is_transposed));
        self.node("DequantizeLinear", name, &[&codes, &scales, &zeros], vec![axis])
    }

    /// Adds a stored table as bytes: codes, and a scale and a zero point for each row, `[rows, 1]`.
    pub(crate) fn quantized_table(&mut self, name: &str, tensor: &StoredTensor) -> [Value; 3] {
        let shape = dims(&tensor.shape);
        let rows = vec![shape.first().copied().unwrap_or(1), 1];
        self.quantized_parts(name, tensor, shape, &rows, false)
    }

    fn quantized_parts(
        &mut self,
        name: &str,
        tensor: &StoredTensor,
        shape: Vec<i64>,
        rows: &[i64],
        is_transposed: bool,
    ) -> [Value; 3] {
        let mut part = |suffix: &str, element, shape, part| {
            self.push_weight(&format!("{name}.{suffix}"), element, shape, tensor.clone(), Form::Quantized(part))
        };
        [
            part("codes", ElementType::U8, shape, Part::Codes { is_transposed }),
            part("scales", ElementType::F32, rows.to_vec(), Part::Scales),
            part("zeros", ElementType::U8, rows.to_vec(), Part::Zeros),
        ]
    }

    /// Elements of all weights.
    pub(crate) fn parameters(&self) -> u64 {
        let counts = self.initializers.iter().map(|initializer| match initializer {
            // What belongs to a quantised matrix are no weights of their own.
            Initializer::Constant(_)
            | Initializer::Weight { form: Form::Quantized(Part::Scales | Part::Zeros), .. } => 0,
            Initializer::Weight { tensor, .. } => tensor.element_count() as u64,
        });
        counts.sum::<u64>() + self.parameters_in_memory
    }

    fn node_over_axes(
        &mut self,
        operator: &str,
        name: &str,
        input: &Value,
        axes: &[i64],
        mut attributes: Vec<Attribute>,
    ) -> Value {
        if self.operator_set >= AXES_AS_INPUT_SET {
            let axes = self.i64s(&format!("{name}.axes"), &[axes.len()], axes.iter().copied());
            return self.node(operator, name, &[input, &axes], attributes);
        }
        attributes.insert(0, ints("axes", axes));
        self.node(operator, name, &[input], attributes)
    }

    fn push_node(
        &mut self,
        operator: &str,
        name: &str,
        output: Vec<String>,
        inputs: &[&Value],
        attributes: Vec<Attribute>,
    ) {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output,
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes.into_iter().map(Attribute::into_proto).collect(),
        });
    }

    fn constant(&mut self, name: &str, element: ElementType, shape: &[usize], raw_data: Vec<u8>) -> Value {
        let proto = TensorProto { dims: dims(shape), data_type: element.code(), name: name.to_owned(), raw_data };
        self.initializers.push(Initializer::Constant(proto));
        Value(name.to_owned())
    }

    fn push_weight(
        &mut self,
        name: &str,
        element: ElementType,
        dims: Vec<i64>,
        tensor: StoredTensor,
        form: Form,
    ) -> Value {
        let header = TensorProto { dims, data_type: element.code(), name: name.to_owned(), raw_data: vec![] };
        self.initializers.push(Initializer::Weight { header, tensor, form });
        Value(name.to_owned())
    }
}

impl Value {
    /// Its name in the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl ElementType {
    /// The number that ONNX knows it by, as the attribute `to` of `Cast` takes it.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }
}

/// A length as ONNX stores it.
pub(crate) fn dim(length: usize) -> i64 {
    i64::try_from(length).expect("a length in a file or a product that fits one is below 2^63")
}

fn dims(shape: &[usize]) -> Vec<i64> {
    shape.iter().copied().map(dim).collect()
}

fn value_info(name: &str, element: ElementType, axes: &[Axis]) -> ValueInfoProto {
    let dim = axes.iter().map(|axis| {
        let value = match *axis {
            Axis::Free(name) => DimensionValue::DimParam(name.to_owned()),
            Axis::Fixed(length) => DimensionValue::DimValue(dim(length)),
        };
        DimensionProto { value: Some(value) }
    });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let r#type = Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type: element.code(), shape }) });
    ValueInfoProto { name: name.to_owned(), r#type }
}
