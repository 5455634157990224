//! A request of named tensors, the answer, and what does not fit the one who is asked.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use wisp_core::{Axis, DataType, ErrorKind, Kinded, Tensor};
use wisp_host::{ClassifyOptions, EmbedOptions};
use wisp_scheduler::{BatchShare, Lane, Tenant};

use crate::{Endpoint, Method, PlacementReport, RequestTimes};

/// A request of tensors to a deployment, or to a model without a guest.
#[derive(Clone, Debug)]
pub struct InferRequest {
    /// The deployment or model; where both have this name, it is the deployment.
    pub name: String,
    /// The inputs, in any order.
    pub inputs: Vec<InferTensor>,
    /// How to embed, for deployments that do.
    pub embed: EmbedOptions,
    /// How to classify, for deployments that do. Its candidates are those of the input that has them, if it is given.
    pub classify: ClassifyOptions,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Which lane it waits in.
    pub lane: Lane,
    /// Whose share it is served from; `None` for requests that show no identity.
    pub tenant: Option<Tenant>,
    /// What it is counted as.
    pub method: Method,
}

/// The answer to an [`InferRequest`].
#[derive(Clone, Debug)]
pub struct InferResponse {
    /// Who answered.
    pub endpoint: Arc<Endpoint>,
    /// All outputs, in the order in which the endpoint declares them.
    pub outputs: Vec<InferTensor>,
    /// Where the time went.
    pub times: RequestTimes,
    /// The inferences that computed it, and what they shared.
    pub share: BatchShare,
    /// What ran; `None` when a guest answered without computing.
    pub placement: Option<PlacementReport>,
}

/// Values under the name of an input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct InferTensor {
    /// The name.
    pub name: String,
    /// The values.
    pub values: Values,
}

/// What goes into an endpoint or comes out of it. Row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers that models compute with.
    Numbers(Tensor),
    /// Strings of bytes, such as texts: as many as the shape says.
    Strings {
        /// The length of each axis.
        shape: Vec<usize>,
        /// The strings.
        elements: Vec<Bytes>,
    },
    /// Counts, along one axis.
    Counts(Vec<u32>),
}

/// The type of [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Numbers of this type.
    Number(DataType),
    /// Strings of bytes.
    String,
    /// Unsigned numbers of 32 bits.
    Count,
}

/// Name, type and shape of what goes in or comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSpec {
    /// The name.
    pub name: String,
    /// The type.
    pub value_type: ValueType,
    /// One entry an axis.
    pub shape: Vec<Axis>,
}

/// Why inputs do not fit the one who is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// An input is missing.
    #[error("input `{name}` is missing; `{endpoint}` takes {expected}")]
    Missing {
        /// Who is asked.
        endpoint: String,
        /// The input.
        name: String,
        /// All inputs.
        expected: String,
    },
    /// There is no such input.
    #[error("input `{name}` does not exist; `{endpoint}` takes {expected}")]
    Unknown {
        /// Who is asked.
        endpoint: String,
        /// The name as given.
        name: String,
        /// All inputs.
        expected: String,
    },
    /// An input is given twice.
    #[error("input `{name}` is given twice")]
    Duplicate {
        /// The input.
        name: String,
    },
    /// An input has another type.
    #[error("input `{name}` of `{endpoint}` must be {expected}")]
    Type {
        /// Who is asked.
        endpoint: String,
        /// The input.
        name: String,
        /// The type that it has.
        expected: ValueType,
    },
    /// Texts are neither a list nor a column.
    #[error("input `{name}` must have shape [n] or [n, 1], got {actual:?}")]
    TextShape {
        /// The input.
        name: String,
        /// Its shape.
        actual: Vec<usize>,
    },
    /// A text is no text.
    #[error("text {index} is not UTF-8")]
    NotUtf8 {
        /// Which text, from 0.
        index: usize,
    },
    /// A label or its description is no text.
    #[error("element {index} of input `{name}` is not UTF-8")]
    LabelNotUtf8 {
        /// The input.
        name: String,
        /// Which element, from 0.
        index: usize,
    },
    /// Neither texts nor images, or both.
    #[error("`{endpoint}` classifies either `texts` or `images`; send one of the two inputs")]
    TextsOrImages {
        /// Who is asked.
        endpoint: String,
    },
    /// Not one description a candidate.
    #[error(
        "{descriptions} descriptions belong to {candidates} candidates; send one for each in `descriptions`, empty where there is none"
    )]
    Descriptions {
        /// How many descriptions.
        descriptions: usize,
        /// How many candidates.
        candidates: usize,
    },
    /// A row is longer than the model takes.
    #[error("a row of {length} tokens is longer than model `{model}` takes; at most {limit} fit")]
    RowTooLong {
        /// The model.
        model: String,
        /// Length of the row.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// More rows, or more tokens in them, than one request may bring.
    #[error("{rows} rows of length {length} are more than model `{model}` takes in one request; {remedy}")]
    TooManyRows {
        /// The model.
        model: String,
        /// Rows as given.
        rows: usize,
        /// Their length.
        length: usize,
        /// The bound, and what to do.
        remedy: String,
    },
}

impl Kinded for InputError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::RowTooLong { .. } | Self::TooManyRows { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::InvalidArgument,
        }
    }
}

impl Default for InferRequest {
    /// Nothing to nobody.
    fn default() -> Self {
        Self {
            name: String::new(),
            inputs: Vec::new(),
            embed: EmbedOptions::default(),
            classify: ClassifyOptions::default(),
            deadline: None,
            lane: Lane::default(),
            tenant: None,
            method: Method::Infer,
        }
    }
}

impl Values {
    /// The type.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Numbers(tensor) => ValueType::Number(tensor.data_type()),
            Self::Strings { .. } => ValueType::String,
            Self::Counts(_) => ValueType::Count,
        }
    }

    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Numbers(tensor) => tensor.shape().to_vec(),
            Self::Strings { shape, .. } => shape.clone(),
            Self::Counts(counts) => vec![counts.len()],
        }
    }
}

impl std::fmt::Display for ValueType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(data_type) => data_type.fmt(f),
            Self::String => f.write_str("strings"),
            Self::Count => f.write_str("u32"),
        }
    }
}
