//! Running with bound inputs and outputs: each is copied once between host and device, and only what the signature names.
//!
//! A binding lives for one inference. ONNX Runtime keeps the outputs of a binding and would write the next inference into them,
//! while ours still belong to whoever got them.

use std::ffi::CString;

use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions, Session, SessionInputValue, SessionOutputs};
use ort::{AsPointer, ortsys};
use wisp_core::Signature;

/// Copies the inputs to the device, runs, and brings the outputs of the signature into host memory.
///
/// The values that come back own their memory. `binding` is the caller's so that they can be taken out of it.
pub(super) fn run<'b>(
    session: &'b mut Session,
    binding: &'b mut IoBinding,
    inputs: &[(&str, SessionInputValue<'_>)],
    signature: &Signature,
    options: &RunOptions<NoSelectedOutputs>,
) -> ort::Result<SessionOutputs<'b>> {
    for (name, value) in inputs {
        bind_input(binding, name, value)?;
    }
    let host = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput)?;
    for spec in &signature.outputs {
        binding.bind_output_to_device(spec.name.as_str(), &host)?;
    }
    // The copies to the device may still be on their way on a stream of their own.
    binding.synchronize_inputs()?;
    session.run_binding_with_options(binding, options)
}

/// Binds without the host copy that [`IoBinding::bind_input`] makes of borrowed values.
fn bind_input(binding: &mut IoBinding, name: &str, value: &SessionInputValue<'_>) -> ort::Result<()> {
    let name = CString::new(name)?;
    let value: &ort::value::DynValue = value;
    // SAFETY: all three pointers are live for the call. ONNX Runtime either copies the value to the session's device, or shares
    // its OrtValue, whose memory is borrowed from the caller's tensor: `OrtSession::run` drops the binding before those.
    ortsys![unsafe BindInput(binding.ptr_mut(), name.as_ptr(), value.ptr())?];
    Ok(())
}
