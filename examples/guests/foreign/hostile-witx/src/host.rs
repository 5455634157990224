//! The host's functions by their raw addresses and lengths, as no binding would let anyone call them.
//!
//! Source of the layouts: `wasi-nn.witx` of the proposal. `unload` and `finalize_execution_context` are WasmEdge's.

/// What every function answers: 0 for success.
pub(crate) type Errno = i32;

/// An address in this guest's memory, or outside of it.
pub(crate) type Address = u32;

/// A graph or a context.
pub(crate) type Handle = u32;

/// `u8` among the types of tensors.
pub(crate) const U8: u32 = 3;

/// `f32` among the types of tensors.
pub(crate) const F32: u32 = 1;

/// `onnx` among the encodings of graphs.
pub(crate) const ONNX: u32 = 1;

/// `cpu` among the targets.
pub(crate) const CPU: u32 = 0;

/// A list as the host reads it: where it begins, and how many elements it has.
#[repr(C)]
pub(crate) struct List {
    pub(crate) address: Address,
    pub(crate) length: u32,
}

impl List {
    /// A list as it should be.
    pub(crate) fn of<T>(elements: &[T]) -> Self {
        Self { address: address(elements), length: elements.len() as u32 }
    }
}

/// The record that a tensor is. Its type is one byte, and the host may read three more of padding.
#[repr(C)]
pub(crate) struct TensorRecord {
    pub(crate) dimensions: List,
    pub(crate) ty: u32,
    pub(crate) data: List,
}

/// Where a slice begins. Addresses of this target have 32 bits.
pub(crate) fn address<T>(slice: &[T]) -> Address {
    slice.as_ptr() as usize as Address
}

/// Where a value lies that the host may write to.
pub(crate) fn address_of<T>(value: &mut T) -> Address {
    std::ptr::from_mut(value) as usize as Address
}

/// Where a slice begins that the host may write to.
pub(crate) fn address_mut<T>(slice: &mut [T]) -> Address {
    slice.as_mut_ptr() as usize as Address
}

/// The first address behind this guest's memory.
pub(crate) fn memory_end() -> Address {
    #[cfg(target_arch = "wasm32")]
    let end = core::arch::wasm32::memory_size(0) << 16;
    // Checks of the source compile it for their own machine, where a memory like this does not exist.
    #[cfg(not(target_arch = "wasm32"))]
    let end = usize::MAX;
    end as Address
}

// `safe`, because any number may be passed: a host that reads or writes outside the memory breaks what WebAssembly promises,
// and inside it, the modes let it write only to what they own.
#[link(wasm_import_module = "wasi_ephemeral_nn")]
unsafe extern "C" {
    pub(crate) safe fn load(parts: Address, count: u32, encoding: u32, target: u32, graph: Address) -> Errno;
    pub(crate) safe fn load_by_name(name: Address, length: u32, graph: Address) -> Errno;
    pub(crate) safe fn init_execution_context(graph: Handle, context: Address) -> Errno;
    pub(crate) safe fn set_input(context: Handle, index: u32, tensor: Address) -> Errno;
    pub(crate) safe fn compute(context: Handle) -> Errno;
    pub(crate) safe fn get_output(context: Handle, index: u32, buffer: Address, length: u32, written: Address)
    -> Errno;
    pub(crate) safe fn unload(graph: Handle) -> Errno;
    pub(crate) safe fn finalize_execution_context(context: Handle) -> Errno;
}
