//! What a node is told besides its inputs.

use crate::onnx::{AttributeProto, AttributeType};

/// A named value of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute(AttributeProto);

impl Attribute {
    pub(crate) fn into_proto(self) -> AttributeProto {
        self.0
    }
}

/// An attribute that holds one integer.
#[must_use]
pub fn int(name: &str, value: i64) -> Attribute {
    Attribute(AttributeProto { i: Some(value), ..of_type(name, AttributeType::Int) })
}

/// An attribute that holds a list of integers.
#[must_use]
pub fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute(AttributeProto { ints: values.to_vec(), ..of_type(name, AttributeType::Ints) })
}

/// An attribute that holds one number.
#[must_use]
pub fn float(name: &str, value: f32) -> Attribute {
    Attribute(AttributeProto { f: Some(value), ..of_type(name, AttributeType::Float) })
}

/// An attribute that holds a text.
#[must_use]
pub fn text(name: &str, value: &str) -> Attribute {
    Attribute(AttributeProto { s: Some(value.as_bytes().to_vec()), ..of_type(name, AttributeType::String) })
}

fn of_type(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: kind.into(), ..AttributeProto::default() }
}
