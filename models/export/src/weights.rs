//! Tensors of a safetensors file, looked up by name and shape, then streamed out as f32, or as f16 one by one.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::ExportError;

/// Longest header read. The largest public checkpoints have headers of a few megabytes; past this it is no header.
const HEADER_LIMIT_BYTES: u64 = 100_000_000;

/// Bytes of a tensor in memory at a time; a multiple of every element size.
const CHUNK_BYTES: usize = 1 << 16;

/// Bytes of the length in front of the header.
const LENGTH_BYTES: u64 = 8;

/// An open safetensors file whose header was checked against the length of the file.
pub(crate) struct Weights {
    source: Arc<Source>,
    metadata: Metadata,
    data_start_bytes: u64,
    prefix: &'static str,
}

/// The file, for messages and for reading.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    file: File,
}

/// A tensor that is still in its file.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    /// Lengths of the axes.
    pub(crate) shape: Vec<usize>,
    source: Arc<Source>,
    element: FloatType,
    start_bytes: u64,
    length_bytes: usize,
}

/// How the elements are stored, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FloatType {
    F32,
    F16,
    Bf16,
}

impl Weights {
    /// Opens the file and checks that its header describes exactly its bytes.
    ///
    /// # Errors
    /// [`ExportError::Io`], [`ExportError::Header`] or [`ExportError::Length`].
    pub(crate) fn open(path: &Path) -> Result<Self, ExportError> {
        let mut file = File::open(path).map_err(ExportError::io("open", path))?;
        let actual_bytes = file.metadata().map_err(ExportError::io("inspect", path))?.len();
        let header_error = |reason: String| ExportError::Header { path: path.to_path_buf(), reason };
        let mut length = [0; 8];
        if actual_bytes < LENGTH_BYTES {
            return Err(header_error(format!("it has {actual_bytes} bytes")));
        }
        file.read_exact(&mut length).map_err(ExportError::io("read", path))?;
        let header_bytes = u64::from_le_bytes(length);
        if header_bytes > HEADER_LIMIT_BYTES {
            return Err(header_error(format!("its header would take {header_bytes} bytes")));
        }
        let data_start_bytes = LENGTH_BYTES + header_bytes;
        if data_start_bytes > actual_bytes {
            let path = path.to_path_buf();
            return Err(ExportError::Length { path, expected_bytes: data_start_bytes, actual_bytes });
        }
        let mut header = Vec::new();
        Read::by_ref(&mut file).take(header_bytes).read_to_end(&mut header).map_err(ExportError::io("read", path))?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| header_error(error.to_string()))?;
        let expected_bytes = data_start_bytes.saturating_add(metadata.data_len() as u64);
        if expected_bytes != actual_bytes {
            return Err(ExportError::Length { path: path.to_path_buf(), expected_bytes, actual_bytes });
        }
        let prefix = match metadata.info("bert.embeddings.word_embeddings.weight") {
            Some(_) => "bert.",
            None => "",
        };
        let source = Arc::new(Source { path: path.to_path_buf(), file });
        Ok(Self { source, metadata, data_start_bytes, prefix })
    }

    /// Looks up a tensor by its name without the prefix of the checkpoint.
    ///
    /// # Errors
    /// [`ExportError::MissingTensor`], [`ExportError::Shape`] or [`ExportError::DataType`].
    pub(crate) fn tensor(&self, name: &str, expected: &[usize]) -> Result<StoredTensor, ExportError> {
        let (path, tensor) = (self.source.path.clone(), format!("{}{name}", self.prefix));
        let Some(info) = self.metadata.info(&tensor) else {
            return Err(ExportError::MissingTensor { path, tensor });
        };
        if info.shape != expected {
            return Err(ExportError::Shape { path, tensor, expected: expected.to_vec(), actual: info.shape.clone() });
        }
        let element = match info.dtype {
            Dtype::F32 => FloatType::F32,
            Dtype::F16 => FloatType::F16,
            Dtype::BF16 => FloatType::Bf16,
            other => return Err(ExportError::DataType { path, tensor, actual: other.to_string() }),
        };
        let (start, end) = info.data_offsets;
        let start_bytes = self.data_start_bytes + start as u64;
        let source = Arc::clone(&self.source);
        Ok(StoredTensor { shape: info.shape.clone(), source, element, start_bytes, length_bytes: end - start })
    }
}

impl StoredTensor {
    /// Writes a tensor as f32, row-major and little-endian.
    ///
    /// # Errors
    /// [`ExportError::Io`], of this file when reading fails and of `output` when writing does.
    pub(crate) fn copy(&self, output: &mut impl Write, output_path: &Path) -> Result<(), ExportError> {
        self.chunks(CHUNK_BYTES, |chunk| output.write_all(chunk).map_err(ExportError::io("write", output_path)))
    }

    /// Hands over each row of a matrix as f32.
    ///
    /// # Errors
    /// [`ExportError::Io`] of this file, and what `row` says.
    pub(crate) fn rows(&self, mut row: impl FnMut(&[f32]) -> Result<(), ExportError>) -> Result<(), ExportError> {
        let columns = self.shape.last().copied().unwrap_or(1);
        self.chunks(columns * self.element.size_bytes(), |chunk| {
            let (elements, _) = chunk.as_chunks::<4>();
            let values: Vec<f32> = elements.iter().map(|&element| f32::from_le_bytes(element)).collect();
            row(&values)
        })
    }

    /// Writes a matrix as [`StoredTensor::copy`] does, columns as rows. The matrix is in memory meanwhile.
    ///
    /// # Errors
    /// As [`StoredTensor::copy`].
    pub(crate) fn copy_transposed(&self, output: &mut impl Write, output_path: &Path) -> Result<(), ExportError> {
        let mut rows = Vec::new();
        self.copy(&mut rows, &self.source.path)?;
        let (elements, _) = rows.as_chunks::<4>();
        let columns = self.shape.last().copied().unwrap_or(1);
        for column in 0..columns {
            let turned: Vec<u8> = elements.iter().skip(column).step_by(columns).flatten().copied().collect();
            output.write_all(&turned).map_err(ExportError::io("write", output_path))?;
        }
        Ok(())
    }

    /// Writes a tensor as f16, each element the nearest to what is stored, in its order or columns as rows. What does not fit f16
    /// becomes infinite, and is found where the graph is compared with the model's golden vectors.
    ///
    /// # Errors
    /// As [`StoredTensor::copy`].
    pub(crate) fn copy_halves(
        &self,
        is_transposed: bool,
        output: &mut impl Write,
        output_path: &Path,
    ) -> Result<(), ExportError> {
        let mut singles = Vec::new();
        match is_transposed {
            true => self.copy_transposed(&mut singles, &self.source.path)?,
            false => self.copy(&mut singles, &self.source.path)?,
        }
        let (elements, _) = singles.as_chunks::<4>();
        let halves = elements.iter().flat_map(|&element| f16::from_f32(f32::from_le_bytes(element)).to_le_bytes());
        output.write_all(&halves.collect::<Vec<_>>()).map_err(ExportError::io("write", output_path))
    }

    /// The file it lies in.
    pub(crate) fn path(&self) -> &Path {
        &self.source.path
    }

    /// Hands over the elements as little-endian f32, `chunk_bytes` of the file at a time.
    fn chunks(
        &self,
        chunk_bytes: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let Source { path, file } = self.source.as_ref();
        let mut file: &File = file;
        file.seek(SeekFrom::Start(self.start_bytes)).map_err(ExportError::io("read", path))?;
        let mut chunk = vec![0; chunk_bytes.min(self.length_bytes)];
        let mut left_bytes = self.length_bytes;
        while left_bytes > 0 {
            let chunk = &mut chunk[..chunk_bytes.min(left_bytes)];
            file.read_exact(chunk).map_err(ExportError::io("read", path))?;
            take(&self.element.widen(chunk))?;
            left_bytes -= chunk.len();
        }
        Ok(())
    }

    pub(crate) fn element_count(&self) -> usize {
        self.length_bytes / self.element.size_bytes()
    }
}

impl FloatType {
    const fn size_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Stored elements as f32. Exact: every f16 and bf16 is an f32.
    fn widen(self, stored: &[u8]) -> Vec<u8> {
        let (halves, _) = stored.as_chunks::<2>();
        match self {
            Self::F32 => stored.to_vec(),
            Self::F16 => halves.iter().flat_map(|&half| f16::from_le_bytes(half).to_f32().to_le_bytes()).collect(),
            Self::Bf16 => halves.iter().flat_map(|&half| bf16::from_le_bytes(half).to_f32().to_le_bytes()).collect(),
        }
    }
}
