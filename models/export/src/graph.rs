//! A graph under construction: nodes in order of computation, constants, and weights that are still in their file.

use crate::onnx::{
    AttributeProto, AttributeType, DimensionProto, DimensionValue, FLOAT, GraphProto, INT64, NodeProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::weights::StoredTensor;

/// Nodes, initializers, inputs and outputs of a graph.
pub(crate) struct Graph {
    /// The graph without its initializers.
    pub(crate) proto: GraphProto,
    /// The initializers, in the order of first use.
    pub(crate) initializers: Vec<Initializer>,
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
        /// Whether columns become rows.
        is_transposed: bool,
    },
}

/// A value in the graph, by its name.
#[derive(Clone, Debug)]
pub(crate) struct Value(String);

/// An axis of an input or output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Axis {
    /// Any length, under a name.
    Free(&'static str),
    /// This length.
    Fixed(usize),
}

impl Graph {
    pub(crate) fn new(name: &str) -> Self {
        Self { proto: GraphProto { name: name.to_owned(), ..GraphProto::default() }, initializers: Vec::new() }
    }

    /// Declares an i64 input.
    pub(crate) fn input(&mut self, name: &str, axes: &[Axis]) -> Value {
        self.proto.input.push(value_info(name, INT64, axes));
        Value(name.to_owned())
    }

    /// Declares an f32 output; the node of that name computes it.
    pub(crate) fn output(&mut self, name: &str, axes: &[Axis]) {
        self.proto.output.push(value_info(name, FLOAT, axes));
    }

    /// Adds a node with one output. Node and output share `name`, which must be new.
    pub(crate) fn node(
        &mut self,
        op_type: &str,
        name: impl Into<String>,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let name = name.into();
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op_type.to_owned(),
            attribute: attributes,
        });
        Value(name)
    }

    /// Adds an f32 scalar.
    pub(crate) fn scalar(&mut self, name: &str, value: f32) -> Value {
        self.constant(name, FLOAT, vec![], value.to_le_bytes().to_vec())
    }

    /// Adds an i64 tensor. `values` fill `shape`.
    pub(crate) fn indices(&mut self, name: &str, shape: &[usize], values: impl IntoIterator<Item = i64>) -> Value {
        let data = values.into_iter().flat_map(i64::to_le_bytes).collect();
        self.constant(name, INT64, dims(shape), data)
    }

    /// Adds a weight as it is stored.
    pub(crate) fn weight(&mut self, name: &str, tensor: StoredTensor) -> Value {
        let shape = dims(&tensor.shape);
        self.push_weight(name, shape, tensor, false)
    }

    /// Adds a stored matrix `[out, in]` as `[in, out]`, the layout in which `MatMul` takes and libraries pack it.
    pub(crate) fn transposed_weight(&mut self, name: &str, tensor: StoredTensor) -> Value {
        let shape = dims(&tensor.shape).into_iter().rev().collect();
        self.push_weight(name, shape, tensor, true)
    }

    /// Elements of all weights.
    pub(crate) fn parameters(&self) -> u64 {
        let counts = self.initializers.iter().map(|initializer| match initializer {
            Initializer::Constant(_) => 0,
            Initializer::Weight { tensor, .. } => tensor.element_count() as u64,
        });
        counts.sum()
    }

    fn constant(&mut self, name: &str, data_type: i32, dims: Vec<i64>, raw_data: Vec<u8>) -> Value {
        let proto = TensorProto { dims, data_type, name: name.to_owned(), raw_data };
        self.initializers.push(Initializer::Constant(proto));
        Value(name.to_owned())
    }

    fn push_weight(&mut self, name: &str, dims: Vec<i64>, tensor: StoredTensor, is_transposed: bool) -> Value {
        let header = TensorProto { dims, data_type: FLOAT, name: name.to_owned(), raw_data: vec![] };
        self.initializers.push(Initializer::Weight { header, tensor, is_transposed });
        Value(name.to_owned())
    }
}

/// An attribute that holds one integer.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    let r#type = AttributeType::Int.into();
    AttributeProto { name: name.to_owned(), i: Some(value), ints: vec![], r#type }
}

/// An attribute that holds a list of integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = AttributeType::Ints.into();
    AttributeProto { name: name.to_owned(), i: None, ints: values.to_vec(), r#type }
}

/// A length as ONNX stores it.
pub(crate) fn dim(length: usize) -> i64 {
    i64::try_from(length).expect("a length in a file or a product that fits one is below 2^63")
}

fn dims(shape: &[usize]) -> Vec<i64> {
    shape.iter().copied().map(dim).collect()
}

fn value_info(name: &str, elem_type: i32, axes: &[Axis]) -> ValueInfoProto {
    let dim = axes.iter().map(|axis| {
        let value = match *axis {
            Axis::Free(name) => DimensionValue::DimParam(name.to_owned()),
            Axis::Fixed(length) => DimensionValue::DimValue(dim(length)),
        };
        DimensionProto { value: Some(value) }
    });
    let shape = Some(TensorShapeProto { dim: dim.collect() });
    let r#type = Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type, shape }) });
    ValueInfoProto { name: name.to_owned(), r#type }
}
