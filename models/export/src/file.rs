//! Writes the ONNX file: a protobuf message whose weights are streamed in, under a temporary name until it is complete.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use prost::Message;
use prost::bytes::BytesMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::ExportError;
use crate::graph::{Form, Graph, Initializer};
use crate::onnx::{
    GRAPH_INITIALIZER_TAG, GraphProto, IR_VERSION, MODEL_GRAPH_TAG, ModelProto, OperatorSetIdProto, TENSOR_RAW_DATA_TAG,
};
use crate::weights::StoredTensor;

/// Bytes of an f32.
const FLOAT_BYTES: u64 = 4;

/// Bytes of an f16.
const HALF_BYTES: u64 = 2;

/// Longest message that protobuf libraries read.
const MESSAGE_LIMIT_BYTES: u64 = i32::MAX as u64;

/// Version of the graphs made here. It is part of the file, and the digest of the file is pinned in manifests: raise it
/// when the graph changes, and only then.
pub(crate) const GRAPH_REVISION: &str = "1";

/// The message in the pieces in which it is written.
struct Pieces {
    /// Fields of the model in front of the graph.
    model_head: Vec<u8>,
    /// Fields of the graph in front of the initializers.
    graph_head: Vec<u8>,
    /// Fields of the graph after the initializers.
    graph_tail: Vec<u8>,
    /// Fields of the model after the graph.
    model_tail: Vec<u8>,
    /// Length of the graph, initializers included.
    graph_bytes: u64,
}

/// Writes the file and returns its length in bytes.
///
/// # Errors
/// [`ExportError::Io`] and [`ExportError::TooLarge`]; the temporary file is removed then.
pub(crate) fn write(graph: Graph, output: &Path) -> Result<u64, ExportError> {
    let Graph { proto, initializers, operator_set, .. } = graph;
    let pieces = Pieces::new(proto, operator_set, &initializers);
    let bytes = pieces.total_bytes();
    if bytes > MESSAGE_LIMIT_BYTES {
        return Err(ExportError::TooLarge { bytes, limit_bytes: MESSAGE_LIMIT_BYTES });
    }
    let write_error = || ExportError::io("write", output);
    // A sibling, because only within one file system is a rename atomic.
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(".export-")
        .suffix(".partial")
        // Plain creation leaves the permissions to the umask; the crate's own would make the model private.
        .make_in(folder, |path| File::create_new(path))
        .map_err(ExportError::io("create a file beside", output))?;

    let mut writer = BufWriter::new(temporary.as_file());
    writer.write_all(&pieces.front()).map_err(write_error())?;
    for initializer in &initializers {
        write_initializer(initializer, &mut writer, output)?;
    }
    writer.write_all(&pieces.graph_tail).map_err(write_error())?;
    writer.write_all(&pieces.model_tail).map_err(write_error())?;
    writer.flush().map_err(write_error())?;
    drop(writer);
    temporary.as_file().sync_all().map_err(write_error())?;
    temporary.persist(output).map_err(|error| write_error()(error.error))?;
    Ok(bytes)
}

impl Pieces {
    fn new(proto: GraphProto, operator_set: i64, initializers: &[Initializer]) -> Self {
        let GraphProto { node, name, initializer: _, input, output } = proto;
        let graph_head = GraphProto { node, name, ..GraphProto::default() }.encode_to_vec();
        let graph_tail = GraphProto { input, output, ..GraphProto::default() }.encode_to_vec();
        let model_head = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "wisp-model-export".to_owned(),
            producer_version: GRAPH_REVISION.to_owned(),
            ..ModelProto::default()
        };
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: operator_set }];
        let model_tail = ModelProto { opset_import, ..ModelProto::default() };
        let fields =
            initializers.iter().map(|initializer| field_bytes(GRAPH_INITIALIZER_TAG, initializer_bytes(initializer)));
        let graph_bytes = fields.sum::<u64>() + (graph_head.len() + graph_tail.len()) as u64;
        Self {
            model_head: model_head.encode_to_vec(),
            graph_head,
            graph_tail,
            model_tail: model_tail.encode_to_vec(),
            graph_bytes,
        }
    }

    fn total_bytes(&self) -> u64 {
        (self.model_head.len() + self.model_tail.len()) as u64 + field_bytes(MODEL_GRAPH_TAG, self.graph_bytes)
    }

    /// Everything in front of the first initializer.
    fn front(&self) -> Vec<u8> {
        [&self.model_head[..], &field_start(MODEL_GRAPH_TAG, self.graph_bytes), &self.graph_head].concat()
    }
}

fn write_initializer(initializer: &Initializer, writer: &mut impl Write, output: &Path) -> Result<(), ExportError> {
    let mut front = field_start(GRAPH_INITIALIZER_TAG, initializer_bytes(initializer)).to_vec();
    match initializer {
        Initializer::Constant(proto) => {
            front.extend(proto.encode_to_vec());
            writer.write_all(&front).map_err(ExportError::io("write", output))
        }
        Initializer::Weight { header, tensor, form } => {
            front.extend(header.encode_to_vec());
            front.extend_from_slice(&field_start(TENSOR_RAW_DATA_TAG, data_bytes(tensor, *form)));
            writer.write_all(&front).map_err(ExportError::io("write", output))?;
            match form {
                Form::Stored => tensor.copy(writer, output),
                Form::Transposed => tensor.copy_transposed(writer, output),
                Form::Half { is_transposed } => tensor.copy_halves(*is_transposed, writer, output),
                Form::Quantized(part) => part.write(tensor, &header.name, writer, output),
            }
        }
    }
}

/// Length of the message of an initializer, data included.
fn initializer_bytes(initializer: &Initializer) -> u64 {
    match initializer {
        Initializer::Constant(proto) => proto.encoded_len() as u64,
        Initializer::Weight { header, tensor, form } => {
            header.encoded_len() as u64 + field_bytes(TENSOR_RAW_DATA_TAG, data_bytes(tensor, *form))
        }
    }
}

/// Length of what is written of a tensor.
fn data_bytes(tensor: &StoredTensor, form: Form) -> u64 {
    match form {
        Form::Stored | Form::Transposed => tensor.element_count() as u64 * FLOAT_BYTES,
        Form::Half { .. } => tensor.element_count() as u64 * HALF_BYTES,
        Form::Quantized(part) => part.bytes(tensor),
    }
}

/// Key and length in front of `content_bytes` of a message or of raw bytes.
fn field_start(tag: u32, content_bytes: u64) -> BytesMut {
    let mut start = BytesMut::new();
    encode_key(tag, WireType::LengthDelimited, &mut start);
    encode_varint(content_bytes, &mut start);
    start
}

/// Length of such a field with its key and length.
fn field_bytes(tag: u32, content_bytes: u64) -> u64 {
    (key_len(tag) + encoded_len_varint(content_bytes)) as u64 + content_bytes
}
