//! Models from a guest's memory: what begins with `echo` is the model that gives back what it is given.

use std::sync::Arc;

use wisp_core::ErrorKind;
use wisp_host::{GrantedModel, LoadError, ModelBytes, ModelLoader};

/// Starts nothing; knows one model.
#[derive(Debug)]
pub(crate) struct EchoLoader {
    pub(crate) echo: Arc<GrantedModel>,
    /// Bytes that a model has at most when it gets here.
    pub(crate) limit_bytes: usize,
}

impl ModelLoader for EchoLoader {
    fn load(&self, model: ModelBytes) -> Result<Arc<GrantedModel>, LoadError> {
        let bytes: usize = model.parts.iter().map(|part| part.len()).sum();
        assert!(bytes <= self.limit_bytes, "{bytes} bytes passed a limit of {}", self.limit_bytes);
        match model.parts.first() {
            Some(part) if part.starts_with(b"echo") => Ok(Arc::clone(&self.echo)),
            Some(_) => Err(LoadError::encoding("these bytes are no model")),
            None => Err(LoadError::new(ErrorKind::InvalidArgument, "a model without a part")),
        }
    }
}
