//! Tensors of Wisp and tensors of OpenVINO: one copy in, one copy out.

use openvino::{ElementType, InferenceError, Shape};
use wisp_core::aligned::AlignedBuffer;
use wisp_core::{BackendError, BackendId, DataType, Tensor};

use super::run_error;

/// The Wisp type of an OpenVINO element type, if there is one.
pub(super) fn data_type(element: ElementType) -> Option<DataType> {
    Some(match element {
        ElementType::F16 => DataType::F16,
        ElementType::Bf16 => DataType::Bf16,
        ElementType::F32 => DataType::F32,
        ElementType::F64 => DataType::F64,
        ElementType::U8 => DataType::U8,
        ElementType::I32 => DataType::I32,
        ElementType::I64 => DataType::I64,
        _ => return None,
    })
}

fn element_type(data_type: DataType) -> ElementType {
    match data_type {
        DataType::F16 => ElementType::F16,
        DataType::Bf16 => ElementType::Bf16,
        DataType::F32 => ElementType::F32,
        DataType::F64 => ElementType::F64,
        DataType::U8 => ElementType::U8,
        DataType::I32 => ElementType::I32,
        DataType::I64 => ElementType::I64,
    }
}

/// A copy of a tensor in memory that OpenVINO owns.
pub(super) fn to_openvino(tensor: &Tensor) -> Result<openvino::Tensor, BackendError> {
    let overflow = |_| BackendError::Input(format!("shape {:?} is too large", tensor.shape()));
    let lengths: Vec<i64> =
        tensor.shape().iter().map(|&axis| i64::try_from(axis)).collect::<Result<_, _>>().map_err(overflow)?;
    let copied = (|| {
        let mut copy = openvino::Tensor::new(element_type(tensor.data_type()), &Shape::new(&lengths)?)?;
        copy.get_raw_data_mut()?.copy_from_slice(tensor.data());
        Ok(copy)
    })();
    copied.map_err(|error: InferenceError| run_error(&error))
}

/// A copy of an output: OpenVINO writes the next one into the same memory.
pub(super) fn from_openvino(output: &openvino::Tensor) -> Result<Tensor, BackendError> {
    let element = output.get_element_type().map_err(|error| run_error(&error))?;
    let data_type = data_type(element).ok_or_else(|| BackendError::Unsupported {
        backend: BackendId::OpenVino,
        what: format!("output type {element}"),
    })?;
    let shape = output.get_shape().map_err(|error| run_error(&error))?;
    let lengths: Result<Vec<usize>, _> = shape.get_dimensions().iter().map(|&axis| usize::try_from(axis)).collect();
    let lengths = lengths.map_err(|_| BackendError::Run {
        backend: BackendId::OpenVino,
        reason: format!("output has shape {:?}", shape.get_dimensions()),
    })?;
    // The pointer of an empty tensor may be null, which no slice may be.
    let bytes = match lengths.contains(&0) {
        true => bytes::Bytes::new(),
        false => AlignedBuffer::copy_of(output.get_raw_data().map_err(|error| run_error(&error))?).freeze(),
    };
    Ok(Tensor::new(data_type, &lengths, bytes)?)
}

/// Whether the library's message says that memory ran out: of the device, or of the process.
pub(super) fn is_out_of_memory(message: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "CL_OUT_OF_RESOURCES",
        "CL_MEM_OBJECT_ALLOCATION_FAILURE",
        "CL_OUT_OF_HOST_MEMORY",
        "OUT_OF_DEVICE_MEMORY",
        "bad_alloc",
        "Exceeded max size of memory",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_counterpart_that_leads_back() {
        for known in DataType::ALL {
            assert_eq!(data_type(element_type(known)), Some(known));
        }
        assert_eq!(data_type(ElementType::String), None);
    }

    #[test]
    fn messages_of_exhausted_devices_are_known() {
        assert!(is_out_of_memory("[GPU] clEnqueueNDRangeKernel, error code: -5 CL_OUT_OF_RESOURCES"));
        assert!(is_out_of_memory("[GPU] Exceeded max size of memory object allocation: requested 9 bytes"));
        assert!(is_out_of_memory("L0 zeMemAllocDevice result: ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY"));
        assert!(!is_out_of_memory("Unsupported operator"));
    }
}
