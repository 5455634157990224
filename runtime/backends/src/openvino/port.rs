//! Ports of models, given back when they are no longer looked at.
//!
//! The bindings' `Node` frees nothing, and a port holds the graph behind it with all weights: every model that was ever read would
//! stay in memory.

use std::ops::Deref;

use openvino::Node;
use openvino_sys::{ov_output_const_port_free, ov_output_const_port_t};

/// An input or output of a model.
pub(super) struct Port(Node);

// Should the bindings free ports themselves one day, this must go.
const _: () = assert!(!std::mem::needs_drop::<Node>() && size_of::<Node>() == size_of::<*mut ov_output_const_port_t>());

impl From<Node> for Port {
    fn from(node: Node) -> Self {
        Self(node)
    }
}

impl Deref for Port {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

#[expect(unsafe_code, reason = "the bindings neither free a port nor give its pointer")]
impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: `Node` is the pointer to a port and nothing else; its size is checked above. It came from the library, is freed
        // by nobody else, because `Node` has no destructor, which is checked above as well, and is not used after this.
        unsafe {
            let port: *mut ov_output_const_port_t = std::mem::transmute_copy(&self.0);
            ov_output_const_port_free(port);
        }
    }
}
