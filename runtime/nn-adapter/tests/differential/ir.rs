//! OpenVINO's IR, version 11, written by hand: layers in the order of computation, and one file of constants.
//!
//! OpenVINO's C library reads this format and has no function that writes it, and its converter is a Python program that would be
//! one more thing to fetch. The format is open: an XML of layers with numbered ports, and edges between them.

use std::fmt::Write;

/// A model as guests bring it.
pub(crate) struct Ir {
    /// The graph.
    pub(crate) xml: String,
    /// Its constants.
    pub(crate) weights: Vec<u8>,
}

/// A graph under construction. Nothing is checked here: OpenVINO does when it reads it.
pub(crate) struct Graph {
    layers: Vec<Layer>,
    weights: Vec<u8>,
}

/// What a layer gives to others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    layer: usize,
    element: Element,
}

/// The types that constants and edges have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    I64,
}

struct Layer {
    kind: &'static str,
    version: &'static str,
    data: String,
    inputs: Vec<Value>,
    /// What the output holds; none for the layers that end the graph.
    element: Option<Element>,
    /// What the model calls it.
    name: Option<&'static str>,
}

impl Graph {
    /// An empty graph over constants that are known already; [`Graph::stored`] finds them by their place.
    pub(crate) fn over(weights: Vec<u8>) -> Self {
        Self { layers: Vec::new(), weights }
    }

    /// An input; `-1` in its shape for a free axis.
    pub(crate) fn input(&mut self, name: &'static str, element: Element, shape: &[i64]) -> Value {
        let data = format!("shape=\"{}\" element_type=\"{}\"", list(shape), element.name());
        let value = self.push("Parameter", "opset1", data, &[], element);
        self.layers[value.layer].name = Some(name);
        value
    }

    /// A constant that lies at these bytes.
    pub(crate) fn stored(&mut self, element: Element, shape: &[usize], bytes: std::ops::Range<usize>) -> Value {
        let (shape, offset, size) = (list(shape), bytes.start, bytes.len());
        let data = format!("element_type=\"{}\" shape=\"{shape}\" offset=\"{offset}\" size=\"{size}\"", element.name());
        self.push("Const", "opset1", data, &[], element)
    }

    /// A constant of floats.
    pub(crate) fn floats(&mut self, shape: &[usize], values: &[f32]) -> Value {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(Element::F32, shape, &bytes)
    }

    /// A constant of integers along one axis.
    pub(crate) fn integers(&mut self, values: &[i64]) -> Value {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(Element::I64, &[values.len()], &bytes)
    }

    /// A constant of one integer without an axis.
    pub(crate) fn integer(&mut self, value: i64) -> Value {
        self.constant(Element::I64, &[], &value.to_le_bytes())
    }

    /// An operation whose output holds what its first input holds. `data` are its attributes.
    pub(crate) fn op(&mut self, kind: &'static str, version: &'static str, data: &str, inputs: &[Value]) -> Value {
        self.op_to(inputs[0].element, kind, version, data, inputs)
    }

    /// An operation whose output holds `element`.
    pub(crate) fn op_to(
        &mut self,
        element: Element,
        kind: &'static str,
        version: &'static str,
        data: &str,
        inputs: &[Value],
    ) -> Value {
        self.push(kind, version, data.to_owned(), inputs, element)
    }

    /// An operation on two tensors, the smaller one repeated.
    pub(crate) fn with(&mut self, kind: &'static str, left: Value, right: Value) -> Value {
        self.op(kind, "opset1", "auto_broadcast=\"numpy\"", &[left, right])
    }

    /// A product of matrices; the right one may lie on its side.
    pub(crate) fn product(&mut self, left: Value, right: Value, is_transposed: bool) -> Value {
        let data = format!("transpose_a=\"false\" transpose_b=\"{is_transposed}\"");
        self.op("MatMul", "opset1", &data, &[left, right])
    }

    /// The same elements in another shape; 0 keeps an axis.
    pub(crate) fn reshaped(&mut self, value: Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.op("Reshape", "opset1", "special_zero=\"true\"", &[value, shape])
    }

    /// Makes a value an output.
    pub(crate) fn output(&mut self, name: &'static str, value: Value) {
        self.layers[value.layer].name = Some(name);
        let result = Layer {
            kind: "Result",
            version: "opset1",
            data: String::new(),
            inputs: vec![value],
            element: None,
            name: None,
        };
        self.layers.push(result);
    }

    /// The finished model.
    pub(crate) fn finish(self) -> Ir {
        let (mut layers, mut edges) = (String::new(), String::new());
        for (id, layer) in self.layers.iter().enumerate() {
            let is_written = write_layer(&mut layers, id, layer).and_then(|()| {
                layer.inputs.iter().enumerate().try_for_each(|(port, from)| {
                    let from_port = self.layers[from.layer].inputs.len();
                    writeln!(
                        edges,
                        "<edge from-layer=\"{}\" from-port=\"{from_port}\" to-layer=\"{id}\" to-port=\"{port}\"/>",
                        from.layer
                    )
                })
            });
            is_written.expect("a string takes everything");
        }
        let xml = format!(
            "<?xml version=\"1.0\"?>\n<net name=\"model\" version=\"11\">\n<layers>\n{layers}</layers>\n\
             <edges>\n{edges}</edges>\n</net>\n"
        );
        Ir { xml, weights: self.weights }
    }

    fn constant(&mut self, element: Element, shape: &[usize], bytes: &[u8]) -> Value {
        // The longest elements have eight bytes.
        self.weights.resize(self.weights.len().next_multiple_of(8), 0);
        let start = self.weights.len();
        self.weights.extend_from_slice(bytes);
        self.stored(element, shape, start..start + bytes.len())
    }

    fn push(
        &mut self,
        kind: &'static str,
        version: &'static str,
        data: String,
        inputs: &[Value],
        element: Element,
    ) -> Value {
        let layer = self.layers.len();
        self.layers.push(Layer { kind, version, data, inputs: inputs.to_vec(), element: Some(element), name: None });
        Value { layer, element }
    }
}

impl Element {
    /// Its name in attributes.
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
        }
    }

    /// Its name on ports, which is an older one.
    fn precision(self) -> &'static str {
        match self {
            Self::F32 => "FP32",
            Self::I64 => "I64",
        }
    }
}

/// A layer with its ports: the inputs first, then the output. Their shapes are left to OpenVINO, which finds them anyway.
fn write_layer(text: &mut String, id: usize, layer: &Layer) -> std::fmt::Result {
    let Layer { kind, version, data, inputs, element, name } = layer;
    writeln!(text, "<layer id=\"{id}\" name=\"{kind}_{id}\" type=\"{kind}\" version=\"{version}\">")?;
    if !data.is_empty() {
        writeln!(text, "<data {data}/>")?;
    }
    if !inputs.is_empty() {
        let port = |(port, input): (usize, &Value)| {
            format!("<port id=\"{port}\" precision=\"{}\"/>", input.element.precision())
        };
        let ports: String = inputs.iter().enumerate().map(port).collect();
        writeln!(text, "<input>{ports}</input>")?;
    }
    if let Some(element) = element {
        let names = name.map(|name| format!(" names=\"{name}\"")).unwrap_or_default();
        let (port, precision) = (inputs.len(), element.precision());
        writeln!(text, "<output><port id=\"{port}\" precision=\"{precision}\"{names}/></output>")?;
    }
    writeln!(text, "</layer>")
}

fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
